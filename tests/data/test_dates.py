"""Which cells are dates, and in which order day and month stand."""

import datetime

import numpy as np
import pytest

from jaxmtl.data import TableError, table_of_cells
from jaxmtl.data.typed import dates_of
from jaxmtl.plain.dates import date_parts, seconds_of


def moment(text):
    return seconds_of(date_parts(text), "dmy")


def utc(*parts):
    return datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("2015-01-31", (2015, 1, 31)),
        ("2015/1/31", (2015, 1, 31)),
        ("2015.1.31", (2015, 1, 31)),
        ("31.01.2015", (2015, 1, 31)),
        ("31/1/15", (2015, 1, 31)),
        ("2015-01-31T13:05:20Z", (2015, 1, 31, 13, 5, 20)),
        ("2015-01-31 13:05", (2015, 1, 31, 13, 5)),
        ("2015-01-31T13", (2015, 1, 31, 13)),
        ("31/01/2015 1:05 pm", (2015, 1, 31, 13, 5)),
        ("2015年1月31日", (2015, 1, 31)),
        ("2015年1月31日 13时", (2015, 1, 31, 13)),
        ("２０１５-01-31", (2015, 1, 31)),
        ("2015-01", (2015, 1, 1)),
        ("31 Jan 2015", (2015, 1, 31)),
        ("January 31, 2015", (2015, 1, 31)),
        ("31-Jan-15", (2015, 1, 31)),
        (datetime.datetime(2015, 1, 31, 13, 5), (2015, 1, 31, 13, 5)),
        (datetime.date(2015, 1, 31), (2015, 1, 31)),
    ],
)
def test_dates(cell, parts):
    assert moment(cell) == utc(*parts)


@pytest.mark.parametrize(
    "cell",
    [
        "2015",
        "2015.1",
        "12.50",
        "3.753",
        "1-2",
        "192.168.1.1",
        "2015-13-01",
        "x",
        "",
        None,
        1.5,
        "2015-01-01 25:00",
        "20150131",
        True,
        "Q1 2015",
        "32.01.2015",
        "1" * 80,
    ],
)
def test_what_is_no_date(cell):
    assert date_parts(cell) is None


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        ("13:05", 47100),
        ("18.00.00", 64800),
        ("1:05 PM", 47100),
        (datetime.time(1, 0), 3600),
        (datetime.timedelta(hours=30), 108000),
        ("24:00", 86400),
        ("12:00 am", 0),
    ],
)
def test_times_of_the_day(cell, seconds):
    parts = date_parts(cell)
    assert parts.form == "time"
    assert parts.seconds == seconds


@pytest.mark.parametrize(
    ("cells", "order"),
    [
        (["1/2/2015", "13/2/2015"], "dmy"),
        (["2/1/2015", "2/13/2015"], "mdy"),
        (["01.02.2015", "02.02.2015"], "dmy"),  # points: the day comes first
        (["1/2/2015", "2/2/2015", "3/2/2015", "1/3/2015"], "dmy"),  # else it would fall
        (["2015-01-02", "2015-01-03"], "ymd"),
    ],
)
def test_the_column_decides(cells, order):
    dates, found = dates_of(table_of_cells({"day": cells}), "day")
    assert found == order
    assert (np.diff(dates.seconds) > 0).all()
    assert dates.has_days
    assert not dates.has_times


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["1/2/2015", "3/2/2015", "1/3/2015", "2/1/2015"],
            ".1/2/2015. may mean two days.*date:dmy",
        ),
        (["13/2/2015", "2/13/2015"], "got '13/2/2015' and '2/13/2015'"),
        (["2015-02-30"], "row 1: expected a date, got '2015-02-30', a day that there is not"),
        (["2015-02-01", "soon"], "row 2: expected a date or time.*got 'soon'"),
        (["2015-02-01", "13:05"], "expected dates or times of the day, got both"),
    ],
)
def test_what_cannot_be_told_is_refused(cells, message):
    with pytest.raises(TableError, match=message):
        dates_of(table_of_cells({"day": cells}), "day")


def test_an_order_that_says_nothing_is_found_out_anew():
    # Learned from 2015-01-31, applied to 13/2/2015.
    dates, order = dates_of(table_of_cells({"day": ["1/2/2015", "13/2/2015"]}), "day", "ymd")
    assert order == "dmy"
    assert dates.seconds[0] == utc(2015, 2, 1)


def test_a_declared_order_and_stamps():
    table = table_of_cells({"day": ["1/2/2015", None, 20150203]})
    dates, order = dates_of(table, "day", "mdy", stamps=True)
    assert order == "mdy"
    assert dates.seconds[0] == utc(2015, 1, 2)
    assert np.isnan(dates.seconds[1])
    assert dates.seconds[2] == utc(2015, 2, 3)
