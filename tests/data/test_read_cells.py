"""All columns of a table are read as cells; what is not used refuses nothing."""

import datetime

import numpy as np
import pandas as pd
import pytest
from made_workbooks import row, write_workbook

from jaxmtl.data import TableError, infer_columns, read_cells, read_table, table_of_cells
from jaxmtl.data.typed import dates_of


def write(tmp_path, text, name="t.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


DAYS = "日期,城市,SO2,CO,备注\n" + "".join(
    f"2015-01-{day:02},{'北京' if day % 2 else '上海'},{day}.5,{day},\n" for day in range(1, 21)
)


def test_all_columns_are_cells(tmp_path):
    table = read_cells(write(tmp_path, DAYS))
    assert table.names == ("日期", "城市", "SO2", "CO", "备注")
    assert len(table) == 20
    assert table.rows.tolist() == list(range(2, 22))
    assert table.cells("城市")[:2] == ["北京", "上海"]
    assert table.numbers("SO2")[:2].tolist() == [1.5, 2.5]
    assert table.gaps("备注").all()
    assert not table.gaps("SO2").any()
    assert table.place("CO", 3).endswith("column 'CO', row 5")


def test_the_same_rows_and_numbers_as_read_table(tmp_path):
    text = DAYS + "\nTotal,,220,210,\nData of the station\n"
    path = write(tmp_path, text)
    cells = read_cells(path)
    table = read_table(path, features=["SO2"], targets=["CO"])
    assert np.array_equal(cells.rows, table.rows)
    assert np.array_equal(cells.numbers("SO2"), table.x[:, 0])
    assert np.array_equal(cells.left_out, table.left_out)
    assert set(table.notes) <= set(cells.notes)
    assert len(cells) == 20


@pytest.mark.parametrize("label", ["Total", "合计", "Ergebnis", ""])
def test_a_total_below_numbered_days(tmp_path, label):
    days = "".join(f"{i},{i * i},{7 * i},{8 - i % 3}\n" for i in range(1, 9))
    for head, end in (("day,a,b,c", f"{label},204,252,55"), ("a,day,b,c", f"36,{label},252,55")):
        table = read_cells(write(tmp_path, f"{head}\n{days}{end}\n"))
        assert table.left_out.tolist() == [10]
        assert "row 10: its numbers" in table.notes[0]
    near = read_cells(write(tmp_path, f"day,a,b,c\n{days}{label or 'Note'},9,9,9\n"))
    assert len(near) == 9
    assert "row 10: called" in near.notes[0]


def test_a_row_of_a_few_texts_is_no_remark(tmp_path):
    # Numbers are missing, but the city and the class are known.
    text = DAYS + "2015-02-01,New Delhi,,,\n"
    table = read_cells(write(tmp_path, text))
    assert len(table) == 21
    assert not [note for note in table.notes if "nothing but" in note]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_are_found_in_columns_of_numbers(tmp_path, separator):
    rows = "".join(
        separator.join((f"{day:02}.01.2015", f"1.0{day},5", f"a.b,{day}")) + "\n"
        for day in range(10, 20)
    ).replace("1.0", "")
    table = read_cells(write(tmp_path, separator.join(("day", "SO2", "text")) + "\n" + rows))
    assert table.numbers("SO2").tolist() == [day + 0.5 for day in range(10, 20)]
    assert any("decimal commas" in note for note in table.notes)


def test_names_limit_the_columns_and_expected_ones_must_be_there(tmp_path):
    path = write(tmp_path, DAYS)
    assert read_cells(path, names=["CO", "日期"]).names == ("日期", "CO")
    assert read_cells(path, expected=["CO"]).names == ("日期", "城市", "SO2", "CO", "备注")
    with pytest.raises(TableError, match="there is no column .C0.; choose among"):
        read_cells(path, expected=["C0"])


def test_a_header_that_is_further_down_is_named(tmp_path):
    path = write(tmp_path, "Station 7,,,,\n" + DAYS)
    with pytest.raises(TableError, match="name row 2, which looks like the header"):
        read_cells(path, expected=["CO", "SO2"])
    assert len(read_cells(path, header_row=2, expected=["CO"])) == 20


def test_columns_that_cannot_be_told_apart_or_named_are_left_out(tmp_path):
    table = read_cells(write(tmp_path, "a,b,a,,c\n1,2,3,4,5\n2,3,4,5,6\n"))
    assert table.names == ("b", "c")
    assert table.unusable == {"a": "its header stands over the columns A and C"}
    assert any("column D: without a header" in note for note in table.notes)


def test_formulas_are_refused_only_where_they_are_used(tmp_path):
    never = "<f>SUM(A2:A9)</f>"
    rows = row(1, "a", "b") + "".join(row(i, i, never) for i in range(2, 12))
    table = read_cells(write_workbook(tmp_path / "t.xlsx", rows))
    assert table.numbers("a")[0] == 2.0
    with pytest.raises(TableError, match="row 2: the formula =SUM"):
        table.numbers("b")


def test_cells_of_a_workbook_keep_their_types(write_xlsx):
    days = [datetime.datetime(2015, 1, day, 6 * (day % 4)) for day in range(1, 21)]
    rows = [
        [day, day.day, day.day % 2 == 0, datetime.time(day.day % 24), "x" * (day.day % 3), 2015]
        for day in days
    ]
    path = write_xlsx([["day", "n", "wet", "hour", "text", "year"], *rows])
    table = read_cells(path, expected=["n"])
    assert table.cells("day") == days
    assert table.cells("wet")[:2] == [False, True]
    columns = infer_columns(
        table, targets=["n", "wet"], kinds={"year": "category"}, ignore=["year"]
    )
    assert {column.name: (column.kind, column.parts) for column in columns.columns} == {
        "day": ("date", ("year", "weekday", "hour")),
        "hour": ("date", ("hour",)),
        "text": ("category", ()),
    }
    assert columns.tasks[1].classes == ("FALSE", "TRUE")


def test_codes_for_missing_values_by_column(tmp_path):
    table = read_cells(write(tmp_path, DAYS), missing_values=["CO=3", "北京"])
    assert np.isnan(table.numbers("CO")).sum() == 1
    assert not np.isnan(table.numbers("SO2")).any()
    assert table.gaps("城市").sum() == 10
    with pytest.raises(TableError, match="expected a column in use before the equals sign"):
        read_cells(write(tmp_path, DAYS), missing_values=["C0=3"])


def test_odd_cells_are_refused_with_their_place_once_they_are_numbers(tmp_path):
    table = read_cells(write(tmp_path, DAYS.replace("5.5", "5.5*")))
    with pytest.raises(TableError, match=r"column 'SO2' \(C\), row 6: expected a number"):
        table.numbers("SO2")


def test_columns_at_hand_are_a_table():
    cells = {
        "a": np.array([1.0, np.nan]),
        "b": [True, None],
        "c": [datetime.date(2015, 1, 1), "x"],
    }
    table = table_of_cells(cells, missing_values=["x"])
    frame = pd.DataFrame({"day": pd.to_datetime(["2015-01-02", None]), "n": [1, 2]})
    frame["n"] = frame["n"].astype("Int64").where([True, False])
    for column in (frame["day"], frame["day"].to_numpy()):
        assert table_of_cells({"day": column}).cells("day") == [
            datetime.datetime(2015, 1, 2), None
        ]  # fmt: skip
    assert table_of_cells({"n": frame["n"]}).cells("n") == [1, None]
    assert table.gaps("a").tolist() == [False, True]
    assert table.gaps("c").tolist() == [False, True]
    assert table.some(np.array([1])).cells("b") == [None]
    assert table.some(np.array([1])).rows.tolist() == [2]
    with pytest.raises(TableError, match="columns of one length"):
        table_of_cells({"a": [1], "b": []})


def test_plain_texts_are_read_as_a_look_at_every_cell_reads_them(tmp_path):
    # The bulk of a column is read at once; what that cannot decide is left to the cells.
    for cells in (["1.234", "262", "867"], ["3,753", "1"], ["1e3", "2"], ["９", "2"], ["-", "1"]):
        path = write(tmp_path, "a\n" + "".join(f'"{cell}"\n' for cell in cells))
        outcomes = []
        for read in (
            lambda p: read_cells(p, names=["a"]).numbers("a").tolist(),
            lambda p: read_table(p, features=["a"]).x[:, 0].tolist(),
        ):
            try:
                outcomes.append(read(path))
            except TableError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]


def test_a_header_behind_a_comment_sign(tmp_path):
    rows = "".join(f"{i},{i % 4},{3 * i % 7}\n" for i in range(1, 9))
    for sign in ("#", "# "):
        table = read_cells(write(tmp_path, f"# by hand\n{sign}day,a,b\n{rows}"), expected=["b"])
        assert table.names == ("day", "a", "b")
        assert len(table) == 8
    # A remark that names a target is no header where it is not as wide as the rows.
    table = read_cells(write(tmp_path, f"# b, by hand\nday,a,b\n{rows}"), expected=["b"])
    assert table.names == ("day", "a", "b")


def test_an_odd_text_that_many_cells_hold_is_counted(tmp_path):
    """Then it stands for a gap as a rule."""
    path = write(
        tmp_path, "CO,day\n1,2021-01-01\nn.d.,2021-01-02\nn.d.,n.d.\n2,n.d.\n3,2021-02-01\n"
    )
    table = read_cells(path)
    said = "train with --missing-values=n.d.; 2 cells of the column hold it"
    with pytest.raises(TableError, match=f"row 3: expected a number, got the text 'n.d.'.*{said}"):
        table.numbers("CO")
    with pytest.raises(TableError, match=f"row 4: expected a date.*{said}"):
        dates_of(table, "day")
    assert np.isnan(read_cells(path, missing_values=["n.d."]).numbers("CO")).sum() == 2


def test_a_column_that_a_run_learned_from_is_to_be_added(tmp_path):
    said = "there is no column 'C0', from which the run learned; add it .its cells may be empty"
    with pytest.raises(TableError, match=said):
        read_cells(write(tmp_path, DAYS), expected=["C0"], of_run=True)
