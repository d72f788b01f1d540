"""What is said of intervals, of columns and of pairs of targets."""

import pytest

from jaxmtl.report.words.table_intervals import coverage_rows, joint_words, short_words
from jaxmtl.report.words.table_relations import pairs_of, relation_words
from jaxmtl.tasks import Task

TASKS = [Task(name="CO"), Task(name="O3"), Task(name="rain", kind="classes", classes=("no", "yes"))]


def intervals(widths, shortages=None, joint=None):
    held = {"rows": 20, "held": 18}
    each = {"all": held, "lowest": None, "highest": None}
    tasks = {task.name: each | {"width": w} for task, w in zip(TASKS, widths, strict=True)}
    short = {name: {"needed": 99, "there": 38} for name in shortages or ()}
    return {
        "level": 0.99,
        "tasks": tasks,
        "joint": held,
        "shortages": short,
        "joint_shortage": joint,
    }


def test_rows_that_are_missing_are_counted():
    found = intervals([None, None, 2.0], ["CO", "O3", "rain"])
    assert [row[1] for row in coverage_rows(found, TASKS)] == [
        "infinite",
        "infinite",
        "2.0 of 2 classes",
    ]
    assert short_words(found, TASKS) == [
        "CO and O3: a 99 % interval needs at least 99 rows with a known value; there are 38.",
        "rain: a 99 % set needs at least 99 rows with a known value; there are 38.",
    ]


def test_intervals_that_only_parts_of_the_rows_lack_and_sets_that_hold_all_are_told_apart():
    assert short_words(intervals([None, 3.0, 2.0]), TASKS) == [
        "CO: intervals are finite for new rows, not where parts of these rows are left out.",
        "rain: all 2 classes are possible for every row at this level.",
    ]
    assert short_words(intervals([1.0, 3.0, 1.5]), TASKS) == []
    older = intervals([None, 3.0, 2.0]) | {"shortages": None}
    assert short_words(older, TASKS) == []


def test_intervals_of_all_columns_that_are_infinite_are_not_said_to_hold():
    assert joint_words(intervals([1.0] * 3, joint={"needed": 199, "there": 38})) == (
        "A 99 % interval for all columns at once needs at least 199 rows with all values; "
        "there are 38."
    )
    assert joint_words(intervals([1.0] * 3)).endswith("held 90 % (68 to 99).")


def relations(*pairs, names=("PM2.5", "PM10", "O3")):
    """(first, second, labels, rest, low, high) each; nothing is known of the others."""
    parts = ("labels", "rest", "rest_low", "rest_high")
    found = {part: [[None] * len(names) for _ in names] for part in ("rows", *parts)}
    for i, j, *values in pairs:
        for part, value in zip(("rows", *parts), (90, *values), strict=True):
            found[part][i][j] = found[part][j][i] = value
    return {"relations": {"tasks": list(names), **found}}


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (
            [(0, 1, 0.84, 0.41, 0.3, 0.5), (0, 2, 0.1, -0.3, -0.4, -0.2)],
            "PM2.5 and PM10 move together (0.84); after the features 0.41 remains (0.30 to 0.50). "
            "Something remains of 1 more pair.",
        ),
        (
            [(1, 2, -0.7, -0.5, -0.6, -0.4)],
            "PM10 and O3 move against each other (-0.70); after the features -0.50 remains (-0.60 "
            "to -0.40).",
        ),
        (
            [(0, 1, 0.84, 0.1, -0.1, 0.3)],
            "PM2.5 and PM10 move together (0.84), which the features tell: 0.10 remains (-0.10 to "
            "0.30).",
        ),
        ([(0, 1, 0.2, 0.5, -0.1, 0.9)], ""),
        ([], ""),
    ],
)
def test_a_sentence_is_said_where_targets_share_something(pairs, words):
    assert relation_words(relations(*pairs)) == words


def test_pairs_come_by_what_remains():
    found = pairs_of(relations((0, 1, 0.8, 0.1, 0, 0.2), (0, 2, 0.3, -0.4, -0.5, -0.3)))
    assert [pair.names for pair in found] == [("PM2.5", "O3"), ("PM2.5", "PM10")]
    assert pairs_of({}) == []
