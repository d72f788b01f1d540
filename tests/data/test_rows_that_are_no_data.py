"""Totals, remarks, blank and hidden rows, and the sheet that is read."""

import datetime

import numpy as np
import pytest
from made_workbooks import MAIN, OFFICE, RELATED, row

from jaxmtl.data import read_table
from jaxmtl.data.reading.total_words import is_total_word

HEAD = ["day", "a", "b"]
DAYS = [["x 1", 3, 10.5], ["x 2", 1, 20.25], ["x 3", 6, 31], ["x 4", 5, 16]]
TABLE = f'<table xmlns="{MAIN}" ref="A1:C6" totalsRowCount="1"/>'


def read(path, **options):
    return read_table(path, features=["a"], targets=["b"], **options)


@pytest.mark.parametrize(
    ("label", "total"),
    [
        ("Total", [15, 77.75]),
        ("合计：", [15, 77.75]),
        ("Summe", [15, 77.8]),
        ("AVERAGE", [3.75, 19.44]),
        ("Monthly mean", [3.75, 19.4375]),
        ("最大值", [6, 31]),
        ("Min.", [1, 10.5]),
        (None, [15, 77.75]),
        ("Everything", [15, 77.75]),
    ],
)
def test_a_row_that_sums_up_the_others(write_xlsx, label, total):
    table = read(write_xlsx([HEAD, *DAYS, [label, *total]]))
    assert table.rows.tolist() == [2, 3, 4, 5]
    assert table.left_out.tolist() == [6]
    assert "row 6: its numbers" in table.notes[0]


def test_several_totals_and_those_of_blocks(write_xlsx):
    ends = [["Total", 15, 77.75], ["Average", 3.75, 19.4375], ["Note: by hand"]]
    table = read(write_xlsx([HEAD, *DAYS, [], *ends]))
    assert table.rows.tolist() == [2, 3, 4, 5]
    assert table.left_out.tolist() == [6, 7, 8, 9]
    blocks = [*DAYS[:2], ["小计", 4, 30.75], *DAYS[2:], ["x 5", 2, 7], ["小计", 13, 54]]
    assert read(write_xlsx([HEAD, *blocks])).left_out.tolist() == [4, 8]
    first = [HEAD, ["Total", 15, 77.75], *DAYS]
    assert read(write_xlsx(first)).rows.tolist() == [3, 4, 5, 6]


def test_a_row_that_is_only_called_a_total(write_xlsx):
    table = read(write_xlsx([HEAD, *DAYS, ["Total", 150, 12]]))
    assert len(table.rows) == 5
    assert "row 6: called 'Total' and far from the other rows, but used" in table.notes[0]
    near = read(write_xlsx([HEAD, *DAYS, ["Median", 4, 15]]))
    assert "called 'Median', but used" in near.notes[0]
    named = read(write_xlsx([HEAD, *([day, 1, i] for i, day in enumerate(["Total", "Part"] * 4))]))
    assert (len(named.rows), named.notes) == (8, ())


@pytest.mark.parametrize(
    "word", ["Yhteensä", "Σύνολο", "合 計", "Moyenne annuelle", "Mean (2021)", "ממוצע"]
)
def test_words_for_totals_in_other_languages(word):
    assert is_total_word(word)


def test_words_that_only_begin_like_one():
    assert not any(map(is_total_word, ("Sumatra", "Østfold", "Minsk", "Σx", "():", "")))


def test_a_row_as_far_above_all_others_as_a_total(write_xlsx):
    days = [[f"day {i}", 10 + i, 50 - i] for i in range(9)]
    total = ["Ganzes", 140.5, 431]  # no sum of the others, and no word that is known
    for rows, number in (([*days, total], 11), ([total, *days], 2)):
        table = read(write_xlsx([HEAD, *rows]))
        assert len(table.rows) == 10
        assert f"row {number}: its numbers ('Ganzes') are far above those of all" in table.notes[-1]
    storm = ["day 9", 60, 48]  # far in one column only
    assert read(write_xlsx([HEAD, *days, storm])).notes == ()
    on_top = [[None, sum(day[1] for day in days), sum(day[2] for day in days)], *days]
    assert read(write_xlsx([HEAD, *on_top])).left_out.tolist() == [2]


def test_a_label_unlike_all_others(write_xlsx, write_csv):
    days = "".join(f"2021-01-0{i},{i * i},{7 * i}\n" for i in range(1, 9))
    for end in ("Insgesamt 2021,204,252", "Everything,204,", "Alles zusammen,,252"):
        assert read(write_csv(f"day,a,b\n{days}{end}\n")).left_out.tolist() == [10]
    told = read(write_csv(f"day,a,b\n{days}Source: EPA, 2020\n")).notes
    assert "row 10: called 'Source: EPA' and far from the other rows, but used" in told[0]
    named = [[f"station {chr(65 + i)}", i * i, 7 * i] for i in range(9)]
    assert read(write_xlsx([HEAD, *named])).notes == ()
    assert read(write_xlsx([HEAD, *named, ["Total for 2021", 204, 252]])).left_out.tolist() == [11]


def test_the_total_row_of_a_table_object(make_xlsx):
    days = "".join(row(i + 2, *day) for i, day in enumerate(DAYS))
    body = row(1, *HEAD) + days + row(6, "Ergebnis", "<f>SUBTOTAL(101,A2:A5)</f><v>3.75</v>", 9)
    link = f'<Relationship Id="t" Type="{OFFICE}/table" Target="../tables/table1.xml"/>'
    parts = {
        "xl/worksheets/_rels/sheet1.xml.rels": f'<Relationships xmlns="{RELATED}">{link}'
        "</Relationships>",
        "xl/tables/table1.xml": TABLE,
    }
    table = read(make_xlsx(body, parts=parts))
    assert table.rows.tolist() == [2, 3, 4, 5]
    assert "row 6: totals of the table, so left out" in table.notes[0]
    beside = parts | {"xl/tables/table1.xml": TABLE.replace("A1:C6", "F1:H6")}
    assert len(read(make_xlsx(body, parts=beside)).rows) == 5


@pytest.mark.parametrize(
    "remark", [["Note: station 3"], ["* preliminary", None, None, "checked"], ["Quelle: UBA 2021"]]
)
@pytest.mark.parametrize("place", [2, 4])
def test_a_remark_is_no_row(write_xlsx, remark, place):
    rows = [HEAD + ["remark"], *DAYS]
    rows.insert(place + 1, remark)
    table = read(write_xlsx(rows))
    assert table.left_out.tolist() == [place + 2]
    assert "nothing but the text" in table.notes[0]
    assert len(table.x) == 4


def test_a_remark_below_a_column_in_use(write_xlsx):
    table = read_table(
        write_xlsx([["a", "b"], [1, 2], ["Note: by hand, in 2021"]]), features=["a", "b"]
    )
    assert table.rows.tolist() == [2]


def test_rows_of_missing_values_are_rows(write_xlsx, write_csv):
    stamp = datetime.datetime(2021, 1, 5)
    for day in ("x 5", stamp, 5, "2021-01-05"):
        table = read(write_xlsx([HEAD, *DAYS, [day, None, None], ["x 6", 1, 2]]))
        assert np.isnan(table.x[4, 0])
        assert table.notes == ()
    table = read(write_csv("day,a,b\n1,2,3\n2,,\n3,4,5\n"))
    assert table.rows.tolist() == [2, 3, 4]


def test_hidden_rows(make_xlsx):
    looks = [' hidden="1"', "", ' hidden="true" ht="12"', ' ht="0" customHeight="1"']
    body = row(1, *HEAD) + "".join(row(i + 2, *day, looks=looks[i]) for i, day in enumerate(DAYS))
    table = read(make_xlsx(body))
    assert len(table.rows) == 4
    assert "3 of 4 rows are hidden" in table.notes[0]
    assert "--visible-rows" in table.notes[0]
    # Rows that need a parser are treated like those that need none.
    assert "3 of 4 rows are hidden" in read(make_xlsx(body.replace("<v>", "<f>1</f><v>"))).notes[0]
    seen = read(make_xlsx(body), visible_rows=True)
    assert (seen.rows.tolist(), seen.left_out.tolist()) == ([3], [2, 4, 5])
    assert "rows 2, 4 and 5: hidden, so left out" in seen.notes[0]


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_first_sheet(make_xlsx, state):
    sheets = [row(1, *HEAD) + row(2, "x", value, value) for value in (1, 2)]
    path = make_xlsx(*sheets, states=[state])
    table = read(path)
    assert table.x.tolist() == [[2]]
    assert "sheet 'S2': read because 'S1' before it is hidden" in table.notes[0]
    for sheet in (0, "S1"):
        assert read(path, sheet=sheet).x.tolist() == [[1]]
    assert read(make_xlsx(*sheets, states=[state, state])).x.tolist() == [[1]]
    assert read(make_xlsx(*sheets)).notes == ()
