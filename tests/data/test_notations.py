"""How numbers are written in texts: decimal signs, thousands, codes, and where the header is."""

import numpy as np
import pytest

from jaxmtl.data import TableError, infer_columns, read_cells, read_table
from jaxmtl.plain.cells import CellError, MissingValues, Notation, read_cell


def refused(path, **options):
    with pytest.raises(TableError) as caught:
        read_table(path, **({"features": ["a", "b"]} | options))
    return str(caught.value)


@pytest.mark.parametrize(
    ("notation", "text", "number"),
    [
        ((",", None), "2,75", 2.75),
        ((",", None), "-4.321,5", -4321.5),
        ((",", None), ",5", 0.5),
        ((",", None), "1,2e3", 1200),
        ((",", "point"), "4.321", 4321),
        ((",", "point"), "1.004.321", 1004321),
        ((",", "space"), "4\u00a0321,25", 4321.25),
        ((".", "space"), "4 321.25", 4321.25),
        ((".", "comma"), "4,321", 4321),
        ((".", "apostrophe"), "4'321.5", 4321.5),
        ((".", "apostrophe"), "4’321", 4321),
        ((".", None), "4.321", 4.321),
    ],
)
def test_a_notation(notation, text, number):
    assert read_cell(text, MissingValues(), Notation(*notation)) == number


@pytest.mark.parametrize(
    ("notation", "text", "part"),
    [
        ((",", None), "4.321", "say --thousands"),
        ((",", None), "4.5", "got the text '4.5'"),
        ((",", "point"), "43.21", "got the text"),
        ((".", "comma"), "43,21", "with a decimal comma"),
        ((None, None), "4 321", "say how with --thousands"),
        ((None, None), "1.004.321", "say how with --thousands"),
        ((None, None), "4'321", "say how with --thousands"),
    ],
)
def test_what_does_not_go_with_a_notation(notation, text, part):
    with pytest.raises(CellError, match=part):
        read_cell(text, MissingValues(), Notation(*notation))


def test_decimal_commas_are_inferred_where_all_cells_agree(write_csv):
    table = read_table(write_csv("a;b\n1,5;20\n2;0,25\n;-3,0\n"), features=["a", "b"])
    np.testing.assert_array_equal(table.x, [[1.5, 20], [2, 0.25], [np.nan, -3]])
    assert "row 2: '1,5' and the like are read with decimal commas" in table.notes[0]
    assert read_table(write_csv("a\tb\n1,5\t20\n"), features=["a", "b"]).x.tolist() == [[1.5, 20]]
    coded = read_table(write_csv("a;b\n1,5;n.v.\n"), features=["a", "b"], missing_values="n.v.")
    assert np.isnan(coded.x[0, 1])


@pytest.mark.parametrize("text", ["a;b\n1,5;2.5\n", "a;b\n1,234;2\n", 'a,b\n"1,5",2\n'])
def test_and_only_there(write_csv, text):
    assert "--decimal" in refused(write_csv(text))


def test_decimal_commas_between_commas_cannot_be_told_apart(write_csv):
    said = refused(write_csv("day,a,b\n1,3,5,4,25\n"))
    assert "cannot be told apart" in said
    assert "row 2" in said
    assert "save the table with semicolons" in said


def test_points_that_mark_thousands(write_csv, write_xlsx):
    text = "a,b\n512,1.5\n1.204,2.25\n2.048,3\n733,4\n"
    said = refused(write_csv(text))
    assert "column 'a' (A), row 3: the text '1.204' may mean 1204" in said
    assert "--thousands point or --decimal ." in said
    assert "row 3: the text '1.204'" in refused(write_xlsx([["a"], [512], ["1.204"]]), features="a")
    table = read_table(write_csv(text), features=["a", "b"], thousands="point")
    assert table.x.tolist() == [[512, 1.5], [1204, 2.25], [2048, 3], [733, 4]]
    assert "columns b: points are read as decimal ones" in table.notes[0]
    table = read_table(write_csv(text), features=["a", "b"], decimal=".")
    assert table.x[1, 0] == 1.204
    small = read_table(write_csv("a,b\n7,1\n1.204,2\n"), features=["a", "b"])
    assert (small.x[1, 0], len(small.notes)) == (1.204, 1)
    # Three digits everywhere are a matter of rounding.
    assert not read_table(write_csv("a,b\n7.125,1\n1.204,2\n"), features=["a", "b"]).notes


def test_numbers_that_a_program_took_for_decimal_ones(write_xlsx):
    cells = [512, 733, 1.204, 2.048, 3.1, 640]
    table = read_table(write_xlsx([["a"], *([c] for c in cells)]), features="a")
    assert "1.204 beside whole numbers from 512 to 733" in table.notes[0]
    assert not read_table(
        write_xlsx([["a"], [5], [6], [7], [1.5], [2.5], [3.5]]), features="a"
    ).notes


def test_two_signs_for_one_thing(write_csv):
    path = write_csv("a,b\n1,2\n")
    assert "expected another sign" in refused(path, decimal=",", thousands="comma")


def test_codes_of_one_column(write_csv):
    path = write_csv("a,b\n0,0\n-9,1\n5,-9\n")
    table = read_table(path, features=["a", "b"], missing_values=["a=0", -9])
    np.testing.assert_array_equal(table.x, [[np.nan, 0], [np.nan, 1], [5, np.nan]])
    assert "got 'c=0'; choose among a, b" in refused(path, missing_values=["c=0"])
    named = write_csv("x=y,b\n0,x=z\n")
    assert np.isnan(read_table(named, features=["x=y"], missing_values=["x=y=0"]).x).all()
    assert np.isnan(read_table(named, features=["b"], missing_values=["x=z"]).x).all()


@pytest.mark.parametrize("separator", [";", "|", "\t", ","])
@pytest.mark.parametrize(("quote", "more"), [("", 0), ('"', 0), ("", 2)])
def test_a_first_line_that_names_the_separator(write_csv, separator, quote, more):
    rows = [["a", "b"], ["1.5", "2"]]
    lines = "\r\n".join(separator.join(cells) for cells in rows)
    path = write_csv(f"{quote}sep={separator}{quote}{separator * more}\r\n{lines}\r\n")
    table = read_table(path, features=["b", "a"])
    assert (table.x.tolist(), table.rows.tolist()) == ([[2, 1.5]], [3])


def test_comments(write_csv):
    text = '# made by, a logger\n#\n\na,b\n1,2\n# stopped\n"#3",4\n5,6\n# end, of, it\n'
    table = read_table(write_csv(text), features=["b"], keep=["a"])
    assert table.x.tolist() == [[2], [4], [6]]
    assert table.kept["a"].tolist() == ["1", "#3", "5"]
    assert table.rows.tolist() == [5, 7, 8]
    assert "4 rows (1, 2, 6, ...): beginning with #, so left out" in table.notes[0]
    # A cell that goes on in such a line is no comment, and a header may begin with the sign.
    assert read_table(write_csv('a,b,c\n1,2,"x\n# y"\n'), features=["a", "b"]).x.tolist() == [
        [1, 2]
    ]
    assert read_table(write_csv("# x\n# a,b\n1,2\n"), features=["a", "b"]).x.tolist() == [[1, 2]]


def test_where_the_header_is(write_csv, write_xlsx):
    lines = [["Station 3"], [None, "2021"], [], ["a", "b"], [1, 2], [3, 4]]
    text = "\n".join(",".join("" if c is None else str(c) for c in line) for line in lines)
    for path in (write_xlsx(lines), write_csv(text)):
        assert "--header-row 4" in refused(path)
        table = read_table(path, features=["a", "b"], header_row=4)
        assert (table.x.tolist(), table.rows.tolist()) == ([[1, 2], [3, 4]], [5, 6])
        assert "header in row 9" in refused(path, header_row=9)
    spoken = write_csv('"x\ny",z\na,b\n1,2\n')
    assert read_table(spoken, features=["a", "b"], header_row=2).rows.tolist() == [3]
    assert "--header-row" not in refused(write_xlsx([["x", "y"], [1, 2]]))


def test_names_match_whatever_their_blanks_are(write_xlsx):
    path = write_xlsx([["SO2\n(µg/m3)", "a\r\n\tb", "=1+1", "T, dry"], [1, 2, 3, 4]])
    names = ["SO2 (μg/m3)", "a\nb", "T, dry"]
    table = read_table(path, features=names)
    assert table.x.tolist() == [[1, 2, 4]]
    assert table.features == ("SO2 (μg/m3)", "a b", "T, dry")
    said = refused(path, features=["SO2 (ug/m3)", "Tdry"])
    assert "'SO2 (µg/m3)'" in said
    assert "(did you mean 'T, dry' in double quotes, as it holds a comma?)" in said
    assert "\n" not in said
    assert "\\n" not in said


@pytest.mark.parametrize("options", [{"thousands": "point"}, {"decimal": ","}])
def test_numbers_in_another_notation_are_still_meant_for_numbers(write_csv, options):
    lines = "".join(f"{i}.204;{i / 8:.2f}\n" for i in range(1, 9))
    table = read_cells(write_csv("a;b\n512;0\n" + lines), **options)
    if "thousands" in options:
        columns = infer_columns(table, targets=["a"]).columns
        assert [column.kind for column in columns] == ["number"]
        assert table.numbers("a")[:2].tolist() == [512, 1204]
    else:  # a category of numbers would be learned from without a word
        with pytest.raises(TableError, match="column 'a'.*got the text '1.204'"):
            infer_columns(table, targets=["a"])
