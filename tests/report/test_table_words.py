"""What is said of a run on a table: readable with many columns and targets."""

import math

import pytest
from made_decision import made_decision

from jaxmtl.data import Column
from jaxmtl.prediction.structure_record import decision_record
from jaxmtl.report.words.table_quality import (
    error_lines,
    gain_words,
    kept_lines,
    kept_words,
    qualities,
    sharing_words,
    verdict_of,
)
from jaxmtl.report.words.table_structure import groups_words, structure_lines, structure_words
from jaxmtl.report.words.table_summary import column_lines
from jaxmtl.tasks import Task

TASKS = [Task(name=f"y{number}") for number in range(16)]
FAMILIES = (
    "mean",
    "linear",
    "extra_trees",
    "boosted",
    "network",
    "residual",
    "separate",
    "mixture",
)


def line(name, relative):
    measures = {"rmse": 10 * math.sqrt(relative), "r2": 1 - relative}
    return {
        "name": name,
        "measures": {task.name: measures for task in TASKS},
        "relative": {task.name: relative for task in TASKS},
    }


def gain(percent, low, high, over="linear"):
    ends = {"percent": percent, "low": low, "high": high}
    return {"over": over} | {name: {task.name: v for task in TASKS} for name, v in ends.items()}


def weights(**shares):
    return {name: {task.name: share for task in TASKS} for name, share in shares.items()}


METRICS = {
    "leaderboard": [line(name, 1 / (number + 1)) for number, name in enumerate(FAMILIES)],
    "weights": weights(linear=0.25, boosted=0.75),
    "gain": gain(-31.2, -40.0, -20.0),
}


def test_shares_add_up_to_a_hundred():
    thirds = {"weights": weights(linear=0.365, boosted=0.275, network=0.265, mean=0.095)}
    words = kept_words(thirds, TASKS[0])
    found = [int(part.split()[-2]) for part in words.split(", ")]
    assert sum(found) == 100
    assert max(abs(a - b) for a, b in zip(found, (36.5, 27.5, 26.5, 9.5), strict=True)) < 1


def test_many_targets_stand_in_lines_that_fit():
    lines = error_lines(METRICS, TASKS)
    assert max(map(len, lines)) <= 100
    assert lines[3].split() == [
        "y0",
        "3.54",
        "0.88",
        "10.00",
        "7.07",
        "5.77",
        "5.00",
        "4.47",
        "4.08",
        "3.78",
    ]
    assert len(lines) <= 3 + 16 + 2
    kept = kept_lines(METRICS, TASKS)
    assert [part.strip() for part in kept[1].strip().split("  ")] == [
        "y0",
        "31.2 % (20.0 to 40.0) smaller",
        "boosted trees 75 %, a straight line 25 %",
    ]


def test_many_columns_are_counted():
    columns = [Column(name=f"x{i}", kind="number", rows=9, missing=i % 2) for i in range(400)]
    columns[50] = Column(name="a very long name of a column that goes on and on", kind="category")
    lines = column_lines(columns, TASKS, [(f"z{i}", "empty") for i in range(60)])
    assert len(lines) < 90
    assert "and 370 more: 369 taken for number, 1 taken for category, 185 with gaps" in lines
    assert lines[-1] == "left out: 30 more, named in config.json"


@pytest.mark.parametrize(
    ("relative", "words"),
    [
        (0.05, "closely"),
        (0.3, "well enough to fill gaps"),
        (0.6, "roughly"),
        (0.9, "hardly"),
        (0.999, "no better than the mean does"),
        (1.2, "no better than the mean does"),
        (None, "with an error that is not known"),
    ],
)
def test_what_it_is_good_for(relative, words):
    board = [line("mean", 1.0), line("mixture", 0.5)]
    board[-1]["relative"] = dict.fromkeys(board[-1]["relative"], relative)
    found = qualities({"leaderboard": board}, TASKS[:3])
    assert verdict_of(found) == f"Predicts y0, y1 and y2 {words}."


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((-3.0, -5.0, -1.0), "3.0 % (1.0 to 5.0) smaller"),
        ((0.4, -1.0, 2.0), "no different (1.0 % smaller to 2.0 larger)"),
        ((4.0, 1.0, 7.0), "4.0 % (1.0 to 7.0) larger"),
        ((None, None, None), "too few rows to say"),
    ],
)
def test_gains_are_said_with_their_interval(ends, words):
    said = gain_words(METRICS | {"gain": gain(*ends)}, TASKS[0])
    assert said == words
    alone = METRICS | {"gain": gain(*ends), "weights": weights(linear=1.0, boosted=0.0)}
    assert gain_words(alone, TASKS[0]) == ""


def test_sharing_helps_hurts_or_makes_no_difference():
    ends = {"A": (-3.0, -5.0, -1.0), "B": (0.2, -1.0, 1.0), "C": (6.0, 2.0, 9.0), "D": (None,) * 3}
    sharing = {
        name: {task: values[place] for task, values in ends.items()}
        for place, name in enumerate(("percent", "low", "high"))
    }
    assert sharing_words({"sharing": sharing}, [Task(name=name) for name in ends]) == (
        "Sharing helps A by 3 % (1 to 5), hurts C by 6 % (2 to 9), makes no difference to B, "
        "cannot be judged for D: there are too few rows."
    )
    assert sharing_words({}, TASKS) == ""
    many = {name: {f"t{k}": float(k + at) for k in range(1, 8)} for at, name in enumerate(sharing)}
    assert sharing_words({"sharing": many}, [Task(name=f"t{k}") for k in range(1, 8)]) == (
        "Sharing hurts 7 columns, t7 most, by 7 % (8 to 9)."
    )


def structure_metrics(kept, names=("CO", "NO2", "O3")):
    return {"structure": decision_record(made_decision(names, kept), list(names))}


def test_which_targets_share_is_said_in_words():
    metrics = structure_metrics("separate")
    assert structure_words(metrics) == (
        "Networks by themselves do best one by one: 5.0 % (2.0 to 8.0) less error than together; "
        "in groups is no different (2.0 % less to 4.0 more error than it)."
    )
    lines = structure_lines(metrics)
    assert lines[0].startswith("Which targets share a network?")
    assert [line.split()[0] for line in lines[1:]] == ["networks", "together", "one", "in", "The"]
    assert lines[4].endswith("2 groups")
    assert lines[-1] == "  The groups that were tried: CO with NO2; O3 alone."
    assert "best" in lines[3]
    words = structure_words(structure_metrics("groups"))
    assert words.startswith("Networks by themselves do best in groups (CO with NO2; O3 alone): 5.0")
    assert structure_lines(structure_metrics("groups"))[-1].endswith("best, 2 groups")
    for word in ("node", "bank", "arm", "seed"):
        assert word not in words + " ".join(lines)


def test_what_was_asked_for_is_not_compared_and_what_is_not_known_not_said():
    assert structure_words({}) == ""
    assert structure_lines({}) == []
    metrics = structure_metrics("separate")
    found = metrics["structure"]
    for over in found["over"]:
        over["overall"] = [-3.0, None, None]
    assert structure_words(metrics) == (
        "Networks by themselves do best one by one, but of together there are too few rows to say "
        "and of in groups there are too few rows to say."
    )
    found["tried"] = found["tried"][1:2]
    assert structure_words(metrics) == (
        "Networks: one by one, as was asked for; nothing else was tried."
    )
    assert structure_lines(metrics) == []


def test_many_groups_are_counted():
    groups = [[f"a{k}", f"b{k}"] for k in range(7)] + [["c"], ["d"]]
    words = groups_words(groups)
    assert words.startswith("a0 with b0; a1 with b1")
    assert words.endswith("3 more groups; c and d alone")
