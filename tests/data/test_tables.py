"""Reading what can be read: workbooks and text tables in their many honest forms."""

import datetime
import zipfile

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmtl.data import TableError, read_table
from jaxmtl.data.reading.grid import column_letter
from jaxmtl.plain.cells import CellError, MissingValues, read_cell

HEADERS = ["日期", "SO2", "CO", "PM2.5", "O3_8h"]
ROWS = [
    ["2014-01-01", 10, 0.5, 35.5, 80],
    ["2014-01-02", 20, 1.5, 71, 60],
    ["2014-01-03", 15, 1, 50, 100],
]
CSV = "日期,SO2,CO,PM2.5\n2014-01-01,10,0.5,35.5\n2014-01-02,20,1.5,71\n"
USED = {"features": ["SO2", "CO"], "targets": ["PM2.5"]}


def test_reads_columns_by_name_in_the_order_asked_for(air_xlsx):
    table = read_table(air_xlsx, features=["CO", "SO2"], targets=["O3_8h", "PM2.5"], keep=["日期"])
    assert table.features == ("CO", "SO2")
    assert table.targets == ("O3_8h", "PM2.5")
    np.testing.assert_array_equal(table.x, [[0.5, 10], [1.5, 20], [1, 15]])
    np.testing.assert_array_equal(table.y, [[80, 35.5], [60, 71], [100, 50]])
    assert table.x.dtype == table.y.dtype == np.float64
    assert table.rows.tolist() == [2, 3, 4]
    assert table.kept["日期"].tolist() == ["2014-01-01", "2014-01-02", "2014-01-03"]
    assert table.source == f"file {air_xlsx}, sheet '日报'"


def test_needs_no_targets(air_xlsx):
    table = read_table(air_xlsx, features=["SO2"])
    assert table.targets == ()
    assert table.y.shape == (3, 0)


@pytest.mark.parametrize("sheet", ["second", " second ", 1])
def test_sheet_by_name_or_number(tmp_path, sheet):
    book = openpyxl.Workbook()
    book.create_sheet("second").append(["SO2"])
    book["second"].append([3])
    book.save(tmp_path / "two.xlsx")
    assert read_table(tmp_path / "two.xlsx", features="SO2", sheet=sheet).x.tolist() == [[3]]


def test_other_empty_and_unnamed_columns_are_ignored(write_xlsx):
    path = write_xlsx(
        [
            ["remark", None, " SO2 ", "CO\n", "PM2.5", "Unnamed: 9", "remark"],
            ["text", "x", 1, 2, 3, None, "#DIV/0!"],
            [None, None, 4, 5, 6, None, None],
        ]
    )
    table = read_table(path, **USED)
    assert table.x.tolist() == [[1, 2], [4, 5]]


def test_header_that_is_a_number(write_xlsx):
    table = read_table(write_xlsx([[2013, "CO"], [1, 2]]), features=["2013"], targets=["CO"])
    assert table.x.tolist() == [[1]]


def test_empty_rows_are_no_rows(write_xlsx):
    path = write_xlsx([[], ["SO2", "CO", "PM2.5"], [1, 2, 3], [], [4, 5, 6], ["  ", None], []])
    table = read_table(path, **USED)
    assert table.rows.tolist() == [3, 5]
    assert table.left_out.tolist() == [4]
    assert table.notes == (f"file {path}, sheet '日报', row 4: blank, so left out",)
    np.testing.assert_array_equal(table.x, [[1, 2], [4, 5]])


def test_wrong_size_record_is_not_believed(air_xlsx, tmp_path):
    wrong = tmp_path / "wrong.xlsx"
    with zipfile.ZipFile(air_xlsx) as old, zipfile.ZipFile(wrong, "w") as new:
        for entry in old.namelist():
            data = old.read(entry).replace(b'<dimension ref="A1:E4"', b'<dimension ref="A1:A1"')
            new.writestr(entry, data)
    assert b'ref="A1:A1"' in zipfile.ZipFile(wrong).read("xl/worksheets/sheet1.xml")
    assert read_table(wrong, **USED).x.shape == (3, 2)


def test_kept_cells_are_handed_on_as_they_are(write_xlsx):
    day = datetime.datetime(2014, 1, 1)
    path = write_xlsx([["day", "SO2", "note"], [day, 1, None], [None, 2, "wet"]])
    kept = read_table(path, features=["SO2"], keep=["day", "note"]).kept
    assert kept["day"].tolist() == [day, None]
    assert kept["note"].tolist() == [None, "wet"]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (3, 3.0),
        (-0.5, -0.5),
        ("3", 3.0),
        (" 3.5\u3000", 3.5),
        ("\u00a0-1e-3\t", -1e-3),
        ("１２．５", 12.5),
        ("−4", -4.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1,234.5", 1234.5),
        ("-1,234,567", -1234567.0),
        ("１，２３４，５６７", 1234567.0),
    ],
)
def test_numbers_and_numbers_as_text(cell, number, write_xlsx):
    assert read_cell(cell, MissingValues()) == number
    path = write_xlsx([["SO2"], [cell]])
    assert read_table(path, features=["SO2"]).x.tolist() == [[number]]


def test_a_number_beyond_float64_is_infinite():
    with pytest.raises(CellError, match="expected a finite number"):
        read_cell(10**400, MissingValues())


@pytest.mark.parametrize("cell", [None, "", "  ", "NaN", "NA", "n/a", "#N/A", "null", "None"])
def test_missing_cells(cell):
    assert np.isnan(read_cell(cell, MissingValues()))


@pytest.mark.parametrize(
    ("declared", "cells"),
    [
        ((0,), [0, 0.0, "0", "0.0", " ０ "]),
        (("0", -999), [0, "-999.0", -999]),
        (("—", "无"), ["—", " 无 "]),
        (("inf",), ["inf", "Infinity", "∞"]),
        (0, [0]),
        ("missing", ["missing"]),
    ],
)
def test_declared_missing_values(declared, cells, write_xlsx):
    path = write_xlsx([["SO2", "day"], [7, 0], *([cell, 0] for cell in cells)])
    table = read_table(path, features=["SO2"], keep=["day"], missing_values=declared)
    assert table.x[0, 0] == 7
    assert np.isnan(table.x[1:]).all()
    assert set(table.kept["day"]) == {0}


def test_missing_values_of_another_type():
    with pytest.raises(TypeError, match="expected numbers or texts"):
        MissingValues.of([None])


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_survives_as_text(number):
    assert read_cell(number, MissingValues()) == number
    assert read_cell(f" {number!r} ", MissingValues()) == number


# Any sign but halves of a pair, those of numbers more often; ``st.text`` sorts all first, for 3 s.
SIGNS = st.sampled_from("0123456789.,-+eE %") | st.integers(0, 0xD7FF).map(chr)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.lists(SIGNS, max_size=12).map("".join))
def test_no_text_is_read_as_another_number(text):
    try:
        number = read_cell(text, MissingValues())
    except CellError:
        return
    assert np.isnan(number) or np.isfinite(number)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_encodings_and_separators(write_csv, encoding, separator, newline):
    path = write_csv(CSV.replace(",", separator).replace("\n", newline), encoding=encoding)
    table = read_table(path, keep=["日期"], **USED)
    assert table.x.tolist() == [[10, 0.5], [20, 1.5]]
    assert table.y.tolist() == [[35.5], [71]]
    assert table.kept["日期"].tolist() == ["2014-01-01", "2014-01-02"]
    assert table.source == f"file {path}"


def test_csv_with_quotes_blank_rows_and_short_rows(write_csv):
    path = write_csv('\n"SO2; dry",note;x,CO\n"1,234.5","a\nb",3\n,,\n7\n,,\n\n')
    table = read_table(path, features=["SO2; dry", "CO"], missing_values=["-"])
    np.testing.assert_array_equal(table.x, [[1234.5, 3], [7, np.nan]])
    assert table.rows.tolist() == [3, 5]


def test_csv_of_one_column(write_csv):
    assert read_table(write_csv("CO\n1\n2\n"), features=["CO"]).x.tolist() == [[1], [2]]


def test_tab_separated_ending(write_csv):
    path = write_csv(CSV.replace(",", "\t"), name="air.TSV")
    assert read_table(path, **USED).x.shape == (2, 2)


def test_formula_with_a_saved_value_and_with_a_saved_empty_text(write_xlsx, tmp_path):
    path = write_xlsx([["SO2"], ["=1+1"], ['=""'], [5]])
    computed = tmp_path / "computed.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(computed, "w") as new:
        for entry in old.namelist():
            data = old.read(entry).decode()
            data = data.replace("<f>1+1</f><v/>", "<f>1+1</f><v>2</v>")
            data = data.replace("<f>1+1</f><v></v>", "<f>1+1</f><v>2</v>")
            data = data.replace("<f>1+1</f><v />", "<f>1+1</f><v>2</v>")
            data = data.replace('<c r="A3">', '<c r="A3" t="str">')
            new.writestr(entry, data)
    with pytest.raises(TableError, match=r"row 2: the formula =1\+1"):
        read_table(path, features=["SO2"])
    np.testing.assert_array_equal(read_table(computed, features=["SO2"]).x, [[2], [np.nan], [5]])


@pytest.mark.parametrize(
    ("number", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")]
)
def test_column_letters(number, letters):
    assert column_letter(number) == letters


def test_real_workbooks(shared_data):
    names = {"features": ["SO2", "CO", "NO2", "PM10"], "targets": ["PM2.5", "O3_8h"]}
    nanjing = read_table(shared_data / "nanjing_2013_2017.xlsx", keep=["日期"], **names)
    assert nanjing.x.shape == (1157, 4)
    assert np.isfinite(nanjing.x).all()
    assert np.isfinite(nanjing.y).all()
    assert nanjing.kept["日期"][-1] == "2017-01-31"
    path = shared_data / "tianjin_2014_2022.xlsx"
    tianjin = read_table(path, missing_values=(0,), **names)
    assert np.isnan(tianjin.x[:, 3]).sum() == 35
    assert np.isnan(tianjin.y).sum(axis=0).tolist() == [30, 12]
    assert not np.isnan(read_table(path, **names).y).any()
