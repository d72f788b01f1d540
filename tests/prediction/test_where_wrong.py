"""Where predictions are wrong: what was made worse is found, and nothing else."""

import datetime

import msgspec
import numpy as np
import pytest

from jaxmtl.data import Column, Columns, Data, table_of_cells
from jaxmtl.prediction.divisions import Moments, divisions_of_time
from jaxmtl.prediction.reliability import Reliability, reliability_of
from jaxmtl.prediction.where_wrong import WhereWrong, where_wrong
from jaxmtl.report.words.table_wrong import findings, reliability_words, worst_text, wrong_lines
from jaxmtl.tasks import Task

ROWS = 1200
DAY = datetime.date(2018, 1, 1)
TASKS = (
    Task(name="O3", unit="ppb"),
    Task(name="visits", kind="count"),
    Task(name="level", kind="classes", classes=("low", "mid", "high")),
    Task(name="step", kind="ordered", classes=(1, 2)),
)
WIDTH = 7


def made(seed=0, rows=ROWS, worse=True, order=None):
    """Errors of O3 are larger in B and from November to January; those of others are all alike."""
    rng = np.random.default_rng(seed)
    days = [DAY + datetime.timedelta(days=i * 1000 // rows) for i in range(rows)]
    cities = rng.choice(list("ABCD"), rows)
    table = table_of_cells({"day": days, "city": cities})
    columns = Columns(
        columns=(Column(name="day", kind="date"), Column(name="city", kind="category")),
        tasks=TASKS,
    )
    predicted = rng.uniform(20, 80, rows)
    size = np.ones(rows)
    if worse:
        winter = np.array([day.month in (11, 12, 1) for day in days])
        size = np.where(cities == "B", 3.0, 1.0) * np.where(winter, 3.0, 1.0)
    p = rng.dirichlet(np.ones(3), rows)
    q = rng.uniform(0.1, 0.9, rows)
    y = np.stack(
        [
            predicted + 2 * size * rng.normal(size=rows),
            rng.poisson(4.0, rows),
            (p.cumsum(axis=1) < rng.uniform(size=(rows, 1))).sum(axis=1),
            rng.uniform(size=rows) < q,
        ],
        axis=1,
    )
    known = rng.uniform(size=y.shape) < 0.9
    held = np.column_stack([predicted, np.full(rows, 4.0), p, 1 - q, q])
    data = Data(x=np.zeros((rows, 1)), y=y, known=known, tasks=TASKS)
    shown = np.arange(rows) if order is None else order
    return where_wrong(table, columns, data, np.arange(rows), shown, held[shown]), data, held, table


@pytest.fixture(scope="module")
def found():
    return made()[0]


def as_saved(found):
    return msgspec.to_builtins(found)


def test_what_was_made_worse_is_found(found):
    saved = as_saved(found)
    where = [one.where for one in findings(saved, TASKS[0])]
    assert where[:2] in (["where city is B", "in Nov to Jan"], ["in Nov to Jan", "where city is B"])
    worst = found.levels["O3"].worst[0]
    assert (worst.column, worst.level, found.levels["O3"].looked) == ("city", "B", 4)
    assert worst.low < worst.typical < worst.high
    lines = wrong_lines({"where_wrong": saved}, TASKS, "run")
    assert len(lines) <= 3
    assert lines[0].startswith("Most wrong: O3 ")
    assert "ppb overall" in lines[0]
    assert "jaxmtl inspect run --worst" in lines[2]
    text = worst_text({"where_wrong": saved}, TASKS)
    assert "  visits: nowhere more wrong than elsewhere" in text.splitlines()


def test_nothing_is_found_on_nearly_all_tables_without():
    false = []
    for seed in range(40):
        saved = as_saved(made(seed, rows=300, worse=False)[0])
        false.append(any(findings(saved, task) for task in TASKS))
    assert np.mean(false) <= 0.1  # at 5 % of all kinds of parts and tasks together


def test_errors_are_those_of_the_rows(found):
    _, data, held, _ = made()
    at = data.known[:, 0]
    off = (data.y - held[:, :4])[:, 0][at]
    assert found.typical["O3"] == pytest.approx(np.sqrt((off**2).mean()), rel=1e-5)
    (tenths,) = [one for one in found.divisions if one.kind == "prediction"]
    assert list(tenths.tasks) == ["O3", "visits"]
    order = np.argsort(held[at, 0])
    first = off[order[: tenths.tasks["O3"].rows[0]]]
    assert tenths.tasks["O3"].bias[0] == pytest.approx(first.mean(), rel=1e-5)
    assert tenths.tasks["O3"].typical[0] == pytest.approx(np.sqrt((first**2).mean()), rel=1e-5)
    months = {one.kind: one for one in found.divisions}["month"].tasks["level"]
    wrong = held[:, 2:5].argmax(axis=1) != data.y[:, 2]
    assert found.typical["level"] == pytest.approx(wrong[data.known[:, 2]].mean(), rel=1e-5)
    assert sum(months.rows) == data.known[:, 2].sum()
    assert months.bias == [None] * 12


def test_rows_are_named_as_their_owner_knows_them():
    order = np.random.default_rng(1).permutation(ROWS)  # as folds have it
    found, data, held, table = made(order=order)
    assert found.worst.named == ["day", "city"]
    size = np.abs(data.y[:, 0] - held[:, 0]) / found.typical["O3"]
    counts = np.abs(data.y[:, 1] - 4) / found.typical["visits"]
    either = np.fmax(np.where(data.known[:, 0], size, 0), np.where(data.known[:, 1], counts, 0))
    own = [either[row.row - 1] for row in found.worst.numbers]
    assert own == np.sort(either)[: -len(own) - 1 : -1].tolist()
    assert len(own) == len({row.row for row in found.worst.numbers}) == 20
    first = found.worst.numbers[0]
    assert first.named == [
        str(table.cells("day")[first.row - 1]),
        table.cells("city")[first.row - 1],
    ]
    assert first.size == pytest.approx(either.max(), rel=5e-3)
    least = found.worst.classes[0]
    task = [task.name for task in TASKS].index(least.task)
    given = held[least.row - 1, {2: slice(2, 5), 3: slice(5, 7)}[task]]
    label = TASKS[task].classes[int(data.y[least.row - 1, task])]
    assert least.observed == str(label)
    assert least.size == pytest.approx(given[int(data.y[least.row - 1, task])], rel=1e-2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: m["typical"].pop("O3"), "typical: expected the targets O3"),
        (lambda m: m["divisions"][1]["labels"].pop(), "expected 11 parts of day"),
        (lambda m: m["divisions"][0]["tasks"]["O3"]["rows"].pop(), "expected 9 parts"),
        (lambda m: m["worst"]["numbers"][0].update(task="CO"), "'CO' is no target of its kind"),
        (lambda m: m["worst"]["numbers"][0]["named"].pop(), "expected 2 names of row"),
        (lambda m: m["worst"]["numbers"].extend(m["worst"]["numbers"]), "of length <= 20"),
        (lambda m: m["reliability"]["level"]["said"].pop(), "expected 10 bins"),
    ],
)
def test_damage_is_told(found, change, sentence):
    saved = as_saved(found)
    change(saved)
    with pytest.raises(ValueError, match="xpected|no target") as told:
        msgspec.convert(saved, WhereWrong).check(TASKS)
    assert sentence.replace("11", str(len(found.divisions[1].labels) - 1)) in str(told.value)


def test_few_rows_and_targets_that_nothing_is_known_of():
    rows = 20
    table = table_of_cells({"a": list(range(rows))})
    columns = Columns(columns=(Column(name="a", kind="number"),), tasks=TASKS[:2])
    data = Data(
        x=np.zeros((rows, 1)), y=np.arange(2.0 * rows).reshape(rows, 2),
        known=np.stack([np.arange(rows) < 15, np.zeros(rows, bool)], axis=1), tasks=TASKS[:2],
    )  # fmt: skip
    held = np.zeros((rows, 2))
    held[0] = np.nan
    found = where_wrong(table, columns, data, np.arange(rows), np.arange(rows), held)
    found.check(TASKS[:2])
    assert found.typical["visits"] is None
    assert [row.row for row in found.worst.numbers[:2]] == [15, 14]
    assert len(found.worst.numbers) == 14  # the first was not predicted
    assert worst_text({"where_wrong": as_saved(found)}, TASKS[:2]).count("no row with a known") == 1


def test_spans_are_the_finest_that_can_be_read():
    def units(days, number):
        moments = Moments("day", np.linspace(0, days * 86400.0, number), True, False)
        return [(one.kind, len(one.labels), one.labels[0]) for one in divisions_of_time(moments)]

    assert units(6, 100) == [("time", 7, "1970-01-01")]
    assert units(100, 300) == [("time", 15, "week of 1969-12-29")]
    assert units(600, 3000) == [("time", 20, "Jan 1970"), ("month", 12, "Jan")]
    assert units(2000, 300)[0] == ("time", 22, "1970 Q1")
    assert units(20_000, 3000)[0] == ("time", 12, "1970-01-01 to 1974-07-25")
    assert divisions_of_time(Moments("day", np.zeros(50), True, False)) == []
    assert (
        divisions_of_time(Moments("n", np.arange(50.0), False, False))[0].labels[1] == "9.8 to 19.6"
    )
    hours = divisions_of_time(Moments("at", np.arange(0, 86400.0, 600), False, True))
    assert [(one.kind, one.part[-1]) for one in hours] == [("hour", 23)]


def drawn(temperature, rows, classes, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.7), rows)
    y = (p.cumsum(axis=1) < rng.uniform(size=(rows, 1))).sum(axis=1)
    said = p**temperature
    return said / said.sum(axis=1, keepdims=True), y


@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_that_are_right_are_told_from_others(classes):
    names = tuple(range(classes))

    def verdicts(temperature):
        cases = [drawn(temperature, 400, classes, seed) for seed in range(60)]
        return [reliability_of(names, *case).verdict for case in cases]

    assert verdicts(1).count("right") >= 52
    assert verdicts(3).count("too sure") >= 55
    assert verdicts(0.4).count("not sure enough") >= 55


def test_the_floor_is_what_chance_makes():
    found = [reliability_of(("a", "b", "c"), *drawn(1, 400, 3, seed)) for seed in range(100)]
    floors = np.mean([one.floor for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(floors, rel=0.1)


def test_what_is_said_of_probabilities():
    task = Task(name="rain", kind="classes", classes=("no", "yes"))
    p = np.full((200, 2), 0.5)
    found = reliability_of(task.classes, p, np.arange(200) % 10 == 0)
    assert (found.of, found.verdict) == ("yes", "too high")
    words = reliability_words(as_saved(found), task)
    assert "are too high: off by 40 of 100" in words
    assert words.endswith("Where 50 % is said, 10 % are yes (6 to 15).")
    few = reliability_of(task.classes, p[:30], np.arange(30) % 2)
    assert reliability_words(as_saved(few), task) == (
        "Probabilities of rain have too few rows to be judged."
    )
    sides = np.repeat([0.6, 0.9], 100)
    mixed = np.stack([sides, *2 * [(1 - sides) / 2]], axis=1)
    y = np.concatenate([np.arange(100) < 10, np.arange(100) < 40]).astype(int)
    assert reliability_of(("a", "b", "c"), mixed, y).verdict == "both"
    assert reliability_of(task.classes, p[:0], np.zeros(0, int)) is None
    assert isinstance(msgspec.convert(as_saved(found), Reliability), Reliability)


def test_gaps_are_levels():
    rng = np.random.default_rng(0)
    gap = rng.uniform(size=400) < 0.2
    table = table_of_cells(
        {
            "CO": np.where(gap, np.nan, rng.normal(size=400)),
            "k": [None if i % 5 == 0 else "x" for i in range(400)],
        }
    )
    columns = Columns(
        columns=(
            Column(name="CO", kind="number", missing=int(gap.sum()), rows=400),
            Column(name="k", kind="category"),
        ),
        tasks=TASKS[:1],
    )
    y = np.where(gap, 5, 1)[:, None] * rng.normal(size=(400, 1))
    data = Data(x=np.zeros((400, 1)), y=y, known=np.ones(y.shape, bool), tasks=TASKS[:1])
    found = where_wrong(table, columns, data, np.arange(400), np.arange(400), np.zeros((400, 1)))
    assert [one.where for one in findings(as_saved(found), TASKS[0])] == ["where CO is missing"]
    assert found.levels["O3"].worst[0].rows == gap.sum()
    assert {(one.column, one.level) for one in found.levels["O3"].worst} == {
        ("CO", "missing"),
        ("k", "x"),
        ("k", "missing"),
    }
