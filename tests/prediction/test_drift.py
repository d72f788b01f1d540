"""Rows to predict from other conditions are noted, and rows from the same ones are not."""

import msgspec
import numpy as np
import pytest

from jaxmtl.data import Column, Columns, TableError, table_of_cells
from jaxmtl.prediction.drift import (
    FEWEST_ROWS,
    LARGE,
    MOST_LEVELS,
    MOST_QUANTILES,
    compare_columns,
    distributions_of,
    drift_note,
    learned_columns,
)
from jaxmtl.tasks import Task

KINDS = {"a": "number", "b": "number", "c": "number", "d": "category", "e": "category"}
LEVELS = 1 / np.arange(1, 61)


def rows_of(rng, rows, shift=0.0):
    """A bell, many zeros with gaps, few whole numbers, two levels and sixty."""
    zeros = np.where(rng.uniform(size=rows) < 0.7, 0, rng.exponential(size=rows))
    return {
        "a": rng.normal(size=rows) + shift,
        "b": np.where(rng.uniform(size=rows) < 0.2, np.nan, zeros),
        "c": rng.poisson(2, rows),
        "d": rng.choice(["x", "y"], rows, p=[0.8, 0.2]),
        "e": [f"l{i}" for i in rng.choice(60, rows, p=LEVELS / LEVELS.sum())],
    }


COLUMNS = Columns(
    columns=tuple(Column(name=name, kind=kind) for name, kind in KINDS.items()),
    tasks=(Task(name="O3"),),
)


def learned_from(rng, rows):
    return learned_columns(table_of_cells(rows_of(rng, rows)), COLUMNS, np.arange(rows))


def notes(learned_rows, rows, shift=0.0, tables=25):
    rng = np.random.default_rng(learned_rows + rows)
    found = [
        drift_note(learned_from(rng, learned_rows), table_of_cells(rows_of(rng, rows, shift)))
        for _ in range(tables)
    ]
    return [note for note in found if note is not None]


@pytest.mark.parametrize(("learned_rows", "rows"), [(60, 20), (60, 2000), (1000, 20), (1000, 200)])
def test_rows_like_those_learned_from_get_no_note(learned_rows, rows):
    assert len(notes(learned_rows, rows)) <= 3  # of 25, at 5 %


def test_half_a_standard_deviation_is_seen_in_200_rows():
    found = notes(1000, 200, shift=0.5)
    assert sum("from: a (" in note for note in found) >= 23


def test_small_drifts_are_not_noted_however_sure():
    assert notes(1000, 2000, shift=0.15, tables=10) == []


@pytest.fixture(scope="module")
def learned():
    return learned_from(np.random.default_rng(0), 1000)


def note_of(learned, **changed):
    rows = rows_of(np.random.default_rng(1), 100) | changed
    return drift_note(learned, table_of_cells(rows))


def test_the_note_says_what_is_different_worst_first(learned):
    note = note_of(learned, d=["y"] * 90 + ["x"] * 10, b=[np.nan] * 60 + [0.0] * 40)
    start, _, told = note.partition(" learned from: ")
    assert start == "the table: predictions rest on other conditions than the model"
    first, second, *rest = told.split("), ")
    assert rest == []
    d, b = learned[3], learned[1]
    assert first == f"d (x in 10 % of rows, in {d.counts[0] / 10:.0f} % of those learned from"
    assert second == f"b (missing in 60 % of rows, in {b.missing / 10:.0f} % of those learned from)"
    assert "e (other levels in 100 % of rows" in note_of(learned, e=["new"] * 100)
    many = note_of(learned, a=[9.0] * 100, c=[50] * 100, d=["y"] * 100, e=["l3"] * 100)
    assert many.endswith("and 1 more column")


def test_it_is_the_distance_of_kolmogorov_and_smirnov(learned):
    before = rows_of(np.random.default_rng(0), 1000)
    now = rows_of(np.random.default_rng(3), 300, shift=0.4)
    found = {one.column: one for one in compare_columns(learned, table_of_cells(now))}

    def exact(name):
        every = np.sort(np.concatenate([before[name], now[name]]))
        shares = (np.searchsorted(np.sort(x[name]), every, "right") for x in (before, now))
        return np.abs(next(shares) / 1000 - next(shares) / 300).max()

    assert exact("a") - 0.01 <= found["a"].distance <= exact("a")
    assert found["c"].distance == pytest.approx(exact("c"))
    assert found["a"].p < 1e-4 < found["c"].p


def test_what_is_kept_is_bounded_and_survives_a_file(learned):
    saved = msgspec.to_builtins(learned)
    assert distributions_of({"distributions": saved}) == learned
    rng = np.random.default_rng(2)
    table = table_of_cells({"a": rng.normal(size=5000), "d": [str(i % 300) for i in range(5000)]})
    columns = Columns(
        columns=(Column(name="a", kind="number"), Column(name="d", kind="category")),
        tasks=COLUMNS.tasks,
    )
    numbers, levels = learned_columns(table, columns, np.arange(5000))
    assert len(numbers.values) == MOST_QUANTILES
    assert len(levels.levels) == MOST_LEVELS
    assert not set(numbers.values) & set(table.numbers("a").tolist())
    few = learned_columns(table, columns, np.arange(20))[0]
    assert len(few.values) == 9


def test_of_few_rows_and_old_runs_nothing_is_said(learned):
    far = {name: [9.0] * (FEWEST_ROWS - 1) for name in "abc"}
    far |= {name: ["y"] * (FEWEST_ROWS - 1) for name in "de"}
    assert drift_note(learned, table_of_cells(far)) is None
    assert drift_note([], table_of_cells({"a": [1.0] * 100})) is None
    more = {name: [*cells, cells[0]] for name, cells in far.items()}
    found = compare_columns(learned, table_of_cells(more))
    assert found[0].distance > LARGE
    assert drift_note(learned, table_of_cells(more)) is not None


def test_a_column_that_is_not_there_is_named(learned):
    with pytest.raises(TableError, match="got none called 'b', 'c', 'd', 'e'"):
        compare_columns(learned, table_of_cells({"a": [1.0]}))


def test_columns_of_gaps_or_of_one_value():
    table = table_of_cells({"a": [None] * 50, "b": [3.0] * 50, "d": ["x"] * 50})
    columns = Columns(
        columns=tuple(Column(name=name, kind=KINDS[name]) for name in "abd"), tasks=COLUMNS.tasks
    )
    learned = learned_columns(table, columns, np.arange(50))
    assert drift_note(learned, table) is None
    other = table_of_cells({"a": [1.0] * 50, "b": [4.0] * 50, "d": [None] * 50})
    assert [one.distance for one in compare_columns(learned, other)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c[0]["values"].pop(), "expected shares of"),
        (lambda c: c[0].update(missing=9999), "expected at most 1000 gaps"),
        (lambda c: c[3]["counts"].pop(), "expected counts of 2 levels"),
        (lambda c: c[3]["counts"].__setitem__(0, 9999), "expected at most 1000 rows"),
        (lambda c: c[0]["values"].extend([0.0] * 100), "length <= 99"),
        (lambda c: c[3].update(kind="date"), "Invalid value"),
    ],
)
def test_damage_is_told(learned, change, sentence):
    saved = msgspec.to_builtins(learned)
    change(saved)
    with pytest.raises(msgspec.ValidationError, match=sentence):
        distributions_of({"distributions": saved})
