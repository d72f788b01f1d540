"""How predictions change with a column: curves of a line are its slopes, with what folds tell."""

import numpy as np
import pytest

from jaxmtl.data import infer_columns, table_of_cells
from jaxmtl.files import FileError
from jaxmtl.prediction.dependence import nearest, partial_dependence
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.sample import SAMPLE, read_sample, some_rows, write_sample

ROWS = 400


@pytest.fixture(scope="module")
def learned():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, ROWS))
    city = rng.choice(["Lima", "Oslo", "Rome"], ROWS, p=[0.6, 0.3, 0.1])
    month = np.arange(ROWS) % 6 + 1  # the first half of the years alone
    dates = [f"20{10 + i // 60}-{m:02}-{1 + i % 28:02}" for i, m in enumerate(month)]
    y = 3 * a + 5 * (city == "Oslo") + 0.3 * rng.normal(size=ROWS)
    cells = {
        "a": [None if i % 50 == 0 else v for i, v in enumerate(a.tolist())],
        "b": b.tolist(),
        "few": rng.integers(1, 5, ROWS).tolist(),
        "city": city.tolist(),
        "day": dates,
        "y": (100 + y).tolist(),
        "z": np.where(y > 1, "high", "low").tolist(),
    }
    table = table_of_cells(cells)
    columns = infer_columns(table, targets=["y", "z"])
    return fit_table(table, columns, Plan(families=("linear",), folds=5))


def curve(learned, column, number=0):
    return partial_dependence(learned.predictor, some_rows(learned.data.x), column)[number]


def test_a_line_is_drawn_with_its_slope(learned):
    found = curve(learned, "a")
    assert found.names == ("y", "z probability of high", "z probability of low")
    assert len(found.labels) == 12
    steps = np.diff(found.mean[:, 0]) / np.diff(found.values)
    assert np.allclose(steps, 3, rtol=0.05)
    assert (np.diff(found.mean[:, 1]) > 0).all()
    assert np.allclose(found.mean[:, 1:].sum(axis=1), 1)
    assert -3.5 < found.values.min() < found.values.max() < 3.5


def test_what_tells_nothing_is_flat_within_its_band(learned):
    found = curve(learned, "b")
    assert np.ptp(found.mean[:, 0]) < 0.3
    middle = found.mean[:, 0].mean()
    assert ((found.low[:, 0] <= middle) & (middle <= found.high[:, 0])).mean() > 0.8
    narrow = curve(learned, "a")
    assert ((narrow.high - narrow.low)[:, 0] < 0.5).all()


def test_levels_come_by_how_frequent_they_are_and_few_numbers_as_they_are(learned):
    found = curve(learned, "city")
    assert found.labels == ("Lima", "Oslo", "Rome")
    assert not found.is_number
    assert found.mean[1, 0] - found.mean[0, 0] == pytest.approx(5, abs=0.3)
    two = partial_dependence(learned.predictor, learned.data.x, "city", points=2)[0]
    assert (two.labels, two.more) == (("Lima", "Oslo"), 1)
    assert curve(learned, "few").labels == ("1", "2", "3", "4")


def test_of_dates_only_what_was_met_is_shown_a_part_at_a_time(learned):
    found = partial_dependence(learned.predictor, learned.data.x, "day")
    parts = {one.part: one for one in found}
    assert list(parts) == ["year", "season", "weekday"]
    assert parts["season"].labels == ("Jan", "Feb", "Mar", "Apr", "May", "Jun")
    assert parts["weekday"].labels[0] == "Mon"
    assert parts["year"].labels[0].startswith("2010")
    assert (np.diff(parts["year"].values) > 0).all()


def test_the_band_holds_the_curve_that_many_rows_would_give():
    """A slope of 1 from 60 noisy rows, of which the band is to hold 95 %."""
    held = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        a = rng.normal(size=60)
        table = table_of_cells({"a": a.tolist(), "y": (a + rng.normal(size=60)).tolist()})
        plan = Plan(families=("linear",), folds=5)
        made = fit_table(table, infer_columns(table, targets=["y"]), plan)
        found = partial_dependence(made.predictor, made.data.x, "a")[0]
        held.append(((found.low[:, 0] <= found.values) & (found.values <= found.high[:, 0])).mean())
    assert 0.85 <= np.mean(held) <= 1


def test_a_column_that_is_not_used_is_told_the_nearest(learned):
    with pytest.raises(ValueError, match=r"got 'citty' \(did you mean city\?\)"):
        curve(learned, "citty")
    assert nearest("X", ["b", "c"]) == " (there are b, c)"
    assert nearest("?", list("abcdefgh")) == " (there are a, b, c, d, e, f and 2 more)"


def test_rows_that_are_kept_are_few_and_checked(tmp_path, learned):
    with pytest.raises(FileError, match="it keeps no rows .sample.npz."):
        read_sample(tmp_path, 3)
    x = learned.data.x
    write_sample(tmp_path, x)
    kept = read_sample(tmp_path, x.shape[1])
    assert len(kept) == 300
    assert {row.tobytes() for row in kept} <= {row.tobytes() for row in x.astype(np.float32)}
    with pytest.raises(FileError, match="expected rows of 2 coded features"):
        read_sample(tmp_path, 2)
    np.savez(tmp_path / SAMPLE, x=np.full((3, 2), np.nan, np.float32))
    with pytest.raises(FileError, match="expected finite numbers"):
        read_sample(tmp_path, 2)
