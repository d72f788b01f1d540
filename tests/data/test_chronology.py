"""Rows in the order of time: dates, ties, and what is said of files that are in another order."""

import datetime

import numpy as np
import pytest

from jaxmtl.data import Table, TableError, chronological_split, read_table
from jaxmtl.data.chronology import describe_order, rising_column
from jaxmtl.data.divide import divide
from jaxmtl.data.reading.dates import is_date, read_times

DAY = 86400.0


def table_of(**kept) -> Table:
    rows = len(next(iter(kept.values())))
    x = np.arange(float(rows))[:, None]
    return Table(
        features=("a",),
        targets=("b",),
        x=x,
        y=x,
        rows=np.arange(rows) + 2,
        source="file a.csv",
        kept={name: np.array(cells, object) for name, cells in kept.items()},
    )


def times(*cells):
    return read_times(cells, [f"row {i}" for i in range(len(cells))])


@pytest.mark.parametrize(
    "cells",
    [
        ("2021-03-09", "2021-03-10", "2021-03-13"),
        ("2021/3/9", "2021/3/10", "2021/3/13"),
        ("2021年3月9日", "2021年3月10日", "2021年3月13日"),
        ("09.03.2021", "10.03.2021", "13.03.2021"),
        ("9/3/2021", "10/3/2021", "13/3/2021"),
        ("3/9/2021", "3/10/2021", "3/13/2021"),
        ("9 March 2021", "10-Mar-2021", "13. mar 2021"),
        ("Mar 9, 2021", "Mar 10, 2021", "March 13 2021"),
        ("2021-03-09 06:30", "2021-03-10T06:30:00", "2021-03-13 06.30.00"),
        ("2021-03-09T00:30:00+02:00", "2021-03-10T00:30:00+02:00", "2021-03-12T22:30:00Z"),
        tuple(datetime.date(2021, 3, day) for day in (9, 10, 13)),
        tuple(datetime.datetime(2021, 3, day, 5) for day in (9, 10, 13)),
    ],
)
def test_dates_as_people_write_them(cells):
    assert np.diff(times(*cells)).tolist() == [DAY, 3 * DAY]
    assert all(map(is_date, cells))


def test_numbers_and_times_of_a_day():
    assert times(3, "4.5", 1e3).tolist() == [3, 4.5, 1000]
    assert times(datetime.time(1, 0, 5), datetime.time(2)).tolist() == [3605, 7200]
    assert not any(map(is_date, (3, "4.5", datetime.time(2), "12", "day 3", True, "2021", "")))


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("2021-03-09", None), "row 1: expected a date or a number to order the rows by, got noth"),
        (("2021-03-09", " "), "row 1: .* got nothing; fill it in"),
        (("2021-02-30",), "row 0: .* got '2021-02-30'"),
        (("spring",), "row 0: .* got 'spring'"),
        ((1.0, float("nan")), "row 1: .* got nan"),
        ((True,), "row 0: .* got True"),
        (("2021-03-09", "17"), "row 1: expected a date as in the rows before it, got a number"),
        (("3/4/2021", "5/4/2021"), "row 0: '3/4/2021' does not say which number is the day"),
        (("13/4/2021", "4/13/2021"), "row 1: expected the day before the month as in '13/4/2021'"),
    ],
)
def test_what_is_no_time_is_refused_with_its_place(cells, said):
    with pytest.raises(TableError, match=said):
        times(*cells)


def test_rows_are_ordered_and_those_of_one_time_stay_together():
    when = np.array([5.0, 1, 4, 1, 3, 3, 2, 5, 5, 0])
    train, validation, test = chronological_split(10, test=0.2, validation=0.2, times=when)
    assert test.tolist() == [0, 7, 8]  # three of one time, where two were asked for
    assert validation.tolist() == [4, 5, 2]
    assert train.tolist() == [9, 1, 3, 6]
    assert when[train].max() < when[validation].min() <= when[validation].max() < when[test].min()
    gapped = chronological_split(10, test=0.2, gap=2, times=when)
    assert gapped.train.tolist() == [9, 1, 3, 6, 4]
    same = chronological_split(10, test=0.2, validation=0.1, times=np.arange(10.0))
    for mine, theirs in zip(same, chronological_split(10, test=0.2, validation=0.1), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(TableError, match="too many have the same time"):
        chronological_split(10, test=0.2, times=np.ones(10))


def test_file_that_falls_is_refused_and_one_that_rises_is_taken():
    newest_first = table_of(noted=["x"] * 5, day=[f"2021-03-0{5 - i}" for i in range(5)])
    with pytest.raises(TableError, match="column 'day', row 3: .* got 2021-03-04 after 2021-03-05"):
        divide(newest_first, "chronological", test=0.4)
    parts = divide(newest_first, "chronological", test=0.4, time="day")
    assert (parts.train.tolist(), parts.test.tolist()) == ([4, 3, 2], [1, 0])
    said = describe_order(newest_first, parts, "day")
    assert said.endswith(
        "tests on the last 2 rows in the order of 'day', from 2021-03-04 to 2021-03-05"
    )
    other = table_of(day=newest_first.kept["day"], read=newest_first.kept["day"][::-1])
    assert rising_column(other) == "read"
    assert divide(other, "chronological", test=0.4).test.tolist() == [3, 4]
    spaced = table_of(**{"day of reading": newest_first.kept["day"]})
    with pytest.raises(TableError, match="--time 'day of reading'"):
        rising_column(spaced)


def test_columns_of_dates_are_found_without_their_names(tmp_path):
    lines = [f"2021-05-{day:02},{day},3/5/21,{day * 2}" for day in range(1, 8)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["date,CO,said,O3", *lines, "Sum,28,,56"]), encoding="utf-8")
    table = read_table(path, features=["CO"], targets=["O3"], keep_dates=True)
    assert list(table.kept) == ["date"]
    assert len(table.rows) == 7  # the sum is still seen by its name
    assert rising_column(table) == "date"
    assert read_table(path, features=["CO"], targets=["O3"]).kept == {}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (
            ["Delhi", "Pune", "Delhi", "", "4"],
            "of texts, as 'Delhi' and 'Pune'; leave it out",
        ),
        (["2021-05-01", "2021-05-02", "2"], "column of dates, as '2021-05-01'; leave it out of"),
        (["1", "2", "low", "4"], "row 4: expected a number, got the text 'low'; correct or clear"),
    ],
)
def test_columns_that_hold_no_numbers_are_called_what_they_are(tmp_path, cells, said):
    path = tmp_path / "a.csv"
    lines = [f"{i},{cell}" for i, cell in enumerate(cells)]
    path.write_text("\n".join(["CO,O3", *lines]), encoding="utf-8")
    with pytest.raises(TableError, match=said):
        read_table(path, features=["O3"], targets=["CO"])
