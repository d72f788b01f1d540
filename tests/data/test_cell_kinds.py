"""Cells that look like one number and could be read as another."""

import numpy as np
import pytest
from made_workbooks import MAIN, row

from jaxmtl.data import TableError, read_table
from jaxmtl.plain.cells import CellError, MissingValues, Notation, read_cell
from jaxmtl.plain.numbers import read_plain
from jaxmtl.plain.values import Percent

NONE = MissingValues()
FORMATS = f"""<styleSheet xmlns="{MAIN}"><numFmts><numFmt numFmtId="170" formatCode='0.0"%"'/>
<numFmt numFmtId="171" formatCode="0.0%"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="9"/>
<xf numFmtId="171"/><xf numFmtId="170"/><xf numFmtId="14"/></cellXfs></styleSheet>"""
AUTOMATIC = '<calcPr fullCalcOnLoad="1"/>'


def refused(path, **options):
    with pytest.raises(TableError) as caught:
        read_table(path, **({"features": ["a"]} | options))
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "2⁵",
        "17₂",
        "⑦",
        "4½",
        "⒊",
        "12⁻³",
        "𝟟𝟠",
        "⁹",
        "6¼",
        "❼",
        "1.5²",
        "⓪",
        "３⁴",
        "5ⁿ",
        "㉒",
        "1ℯ5",
    ],
)
def test_compatibility_characters_are_no_digits(text):
    with pytest.raises(CellError, match="expected a number, got the text"):
        read_cell(text, NONE)


@pytest.mark.parametrize(
    ("text", "number"),
    [("－３．５", -3.5), ("−7", -7), ("＋１２", 12), ("﹣4", -4), ("\u20098\u202f", 8), ("٣٥", 35)],
)
def test_other_spellings_of_the_same_number(text, number):
    assert read_cell(text, NONE) == number


@pytest.mark.parametrize("text", ["35١", "1۰2", "१2"])
def test_digits_of_two_scripts_are_no_number(text):
    with pytest.raises(CellError, match="digits of more than one script"):
        read_cell(text, NONE)


def test_a_mark_that_was_declared_missing_is_missing():
    assert np.isnan(read_cell(" ① ", MissingValues.of(["①"])))


def rich(*runs):
    """Runs of a rich text: a text, and what is in its properties."""
    listed = "".join(
        f"<r>{f'<rPr>{looks}</rPr>' if looks else ''}<t>{text}</t></r>" for text, looks in runs
    )
    return f"<is>{listed}</is>"


RAISED, LOWERED = '<vertAlign val="superscript"/>', '<vertAlign val="subscript"/>'


@pytest.mark.parametrize(
    ("runs", "word"),
    [
        ([("4", ""), ("2", RAISED)], "raised '2'"),
        ([("3", RAISED), ("81", "")], "raised '3'"),
        ([("6", ""), ("0", LOWERED)], "lowered '0'"),
        ([("18", "<strike/>"), ("19", "")], "struck-through '18'"),
        ([("7", RAISED)], "raised '7'"),
    ],
)
@pytest.mark.parametrize("shared", [False, True])
def test_raised_lowered_and_struck_digits(make_xlsx, runs, word, shared):
    text, parts = rich(*runs), {}
    body = row(1, "a") + row(2, text)
    if shared:
        item = f'<sst xmlns="{MAIN}"><si>{text[4:-5]}</si></sst>'
        parts["xl/sharedStrings.xml"] = item
        body = row(1, "a") + '<row r="2"><c r="A2" t="s"><v>0</v></c></row>'
    said = refused(make_xlsx(body, parts=parts))
    assert "column 'a' (A), row 2" in said
    assert word in said


def test_rich_texts_without_a_mark_are_read(make_xlsx):
    bold = rich(("1", "<b/>"), ("5", '<vertAlign val="baseline"/><strike val="0"/>'))
    phonetic = '<is><t>12</t><rPh sb="0" eb="1"><t>99</t></rPh></is>'
    struck = rich(("3", "<strike/>"), ("1", "<strike/>"))
    path = make_xlsx(
        row(1, rich(("a", ""), ("2", LOWERED))) + row(2, bold) + row(3, phonetic) + row(4, struck)
    )
    assert read_table(path, features=["a2"]).x.tolist() == [[15], [12], [31]]


@pytest.mark.parametrize("formula", ["<f>SUM(B1:B9)</f>", '<f t="shared" si="0"/>', "<f/>"])
@pytest.mark.parametrize("stored", ["<v>0</v>", "<v>0.0</v>", "<v/>", ""])
def test_formulas_that_were_never_computed(make_xlsx, formula, stored):
    body = row(1, "a", "b") + row(2, 5, 1) + row(3, formula + stored, 2)
    said = refused(make_xlsx(body, workbook=AUTOMATIC))
    assert "column 'a' (A), row 3: the formula" in said
    assert "open the file in Excel or LibreOffice and save it" in said
    # A program that says nothing of computing, and has nothing but zeros.
    assert "row 3: the formula" in refused(make_xlsx(body))
    assert read_table(make_xlsx(body, workbook=AUTOMATIC), features=["b"]).x.tolist() == [[1], [2]]


def test_formulas_that_were_computed(make_xlsx):
    zero, other = "<f>1-1</f><v>0</v>", "<f>1+1</f><v>2</v>"
    body = row(1, "a") + row(2, zero) + row(3, other)
    assert read_table(make_xlsx(body), features="a").x.tolist() == [[0], [2]]
    alone = row(1, "a") + row(2, zero) + row(3, 7)
    for parts in (
        {"xl/calcChain.xml": "<calcChain/>"},
        {"docProps/app.xml": "<Properties><Application>LibreOffice/7</Application></Properties>"},
    ):
        assert read_table(make_xlsx(alone, parts=parts), features="a").x.tolist() == [[0], [7]]
    by_hand = make_xlsx(body, workbook='<calcPr calcMode="manual"/>')
    assert "computed by hand only" in read_table(by_hand, features="a").notes[0]


def test_percentages_beside_other_numbers(make_xlsx):
    def body(*values):
        listed = [row(i + 2, v, styles=[s]) for i, (v, s) in enumerate(values)]
        return row(1, "a") + "".join(listed)

    parts = {"xl/styles.xml": FORMATS}
    said = refused(make_xlsx(body((40, 0), (55, 0), (0.6, 1)), parts=parts))
    assert "row 4: 0.6 is shown in percent, and 40 in row 2 is not" in said
    assert "row 2" in refused(make_xlsx(body((40, 0), (0.5, 2), (0.6, 1)), parts=parts))
    table = read_table(make_xlsx(body((0.2, 1), (0.5, 2)), parts=parts), features="a")
    assert (table.x.tolist(), table.notes) == ([[0.2], [0.5]], ())
    # A quoted sign is no format, and small numbers may be shares in either.
    assert not read_table(make_xlsx(body((40, 0), (60, 3)), parts=parts), features="a").notes
    table = read_table(make_xlsx(body((0.2, 0), (0.5, 2)), parts=parts), features="a")
    assert "both are read as they are stored" in table.notes[0]
    coded = make_xlsx(body((-999, 0), (0.5, 2)), parts=parts)
    assert not read_table(coded, features="a", missing_values=-999).notes


def test_dates_and_odd_stored_numbers(make_xlsx):
    parts = {"xl/styles.xml": FORMATS}
    dated = make_xlsx(row(1, "a") + row(2, 41640, styles=[4]), parts=parts)
    assert "got the date or time 2014-01-01" in refused(dated)
    body = row(1, "a") + row(2, "<v>NaN</v>") + row(3, "<v>1.5E+2</v>") + row(4, "<v>-7</v>")
    np.testing.assert_array_equal(
        read_table(make_xlsx(body), features="a").x, [[np.nan], [150], [-7]]
    )
    assert "infinite" in refused(make_xlsx(row(1, "a") + row(2, "<v>INF</v>")))
    for stored in ("35١", "1_0", "٣"):  # Python would read them, the format has no such numbers
        said = refused(make_xlsx(row(1, "a") + row(2, f"<v>{stored}</v>")))
        assert f"expected a number, got '{stored}'" in said


def test_merged_cells_are_noted(make_xlsx):
    body = row(1, "a", "b") + row(2, 5, 1) + row(3, None, 2) + row(4, 6, 3)
    path = make_xlsx(body, after='<mergeCells><mergeCell ref="A2:A3"/></mergeCells>')
    table = read_table(path, features=["a", "b"])
    assert "column 'a' (A): rows 2 to 3 are merged" in table.notes[0]
    assert len(table.notes) == 1


@pytest.mark.parametrize("codes", [(), (-999.0,)])
def test_stored_numbers_are_read_at_once_as_they_are_one_by_one(codes):
    missing = MissingValues(numbers=frozenset(codes))
    cells = [0.1, None, -999.0, float("nan"), -0.0, 5e-324, 1.5]
    one_by_one = [read_cell(cell, missing, Notation()) for cell in cells]
    np.testing.assert_array_equal(read_plain(cells, missing, Notation(",")), one_by_one)
    # Whatever a look at each cell may refuse is left to it.
    assert read_plain([*cells, float("inf")], missing, Notation()) is None
    assert read_plain([*cells, True], missing, Notation()) is None
    assert read_plain([*cells, Percent(0.5)], missing, Notation()) is None
