"""How predictions look in a workbook, and that its cells hold them in full."""

import datetime

import openpyxl
import pytest

from jaxmtl.cli.predict_table import _plain_column
from jaxmtl.cli.workbook import number_format, write_workbook


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([0.012345678], "0.00000"),
        ([12.345678, 98.7654321], "0.00"),
        ([1234.5678], "0"),
        ([2.5e7], "0"),
        ([1e-9], "0.000E+00"),
        ([0.0, 0.0, 250.5], "0.0"),
        ([1.0, 1e-9, 1e-7], "0.0000"),  # probabilities
        ([0.001, 0.2, 0.98], "0.0000"),
        ([1.5] * 200 + [1e9], "0.000"),
        ([float("nan"), None, "good"], "0.000"),
        ([], "0.000"),
    ],
)
def test_about_four_digits_of_a_typical_number_are_shown(cells, expected):
    assert number_format(cells) == expected


def test_cells_hold_the_full_value_and_days_have_no_hour(tmp_path):
    path, day = tmp_path / "a.xlsx", datetime.datetime(2026, 3, 1)
    hour = day.replace(hour=6)
    header = ["day", "hour", "x", "=y", "level", "note"]
    rows = [
        [day, day, 1 / 3, 200 / 3, "=1+1", None],
        [day, hour, 2.0, 7, "good", "far outside"],
        [None] * 6,
    ]
    write_workbook(path, header, rows, rounded=["=y", "level"])
    sheet = openpyxl.load_workbook(path)["predictions"]
    first, second = ([sheet.cell(row, column) for column in range(1, 7)] for row in (2, 3))
    assert [cell.value for cell in first] == rows[0]
    assert [cell.value for cell in second] == rows[1]
    assert first[0].number_format == "yyyy-mm-dd"
    assert "h:mm" in first[1].number_format
    assert first[2].number_format == "General"  # not predicted: as it came
    assert first[3].number_format == "0.00"
    assert second[3].number_format == "General"
    assert sheet["D1"].value == "=y"
    assert {sheet["D1"].data_type, first[4].data_type} == {"s"}


def test_days_are_kept_without_an_hour_where_no_row_has_one():
    day = datetime.datetime(2026, 3, 1)
    assert _plain_column([day, None, "?"]) == [day.date(), None, "?"]
    hours = [day, day.replace(hour=6)]
    assert _plain_column(hours) == hours


def test_numbers_of_a_text_file_are_numbers_in_a_workbook_and_codes_stay_texts(tmp_path):
    rows = [["-0.5", "007", "12", "1e-3", "a"], ["", "010", "3.25", "-2", "4"]]
    header = ["x", "code", "n", "small", "mixed"]
    for texts_only in (True, False):
        file = tmp_path / f"{texts_only}.xlsx"
        write_workbook(file, header, rows, texts_only=texts_only)
        _, *found = openpyxl.load_workbook(file).active.iter_rows(values_only=True)
        if texts_only:
            assert found == [(-0.5, "007", 12, 0.001, "a"), (None, "010", 3.25, -2, "4")]
        else:
            assert found[0] == tuple(rows[0])
