"""Intervals of a whole predictor: what they hold, where they are infinite, how they are kept."""

import numpy as np
import pytest

from jaxmtl.data import infer_columns, table_of_cells
from jaxmtl.files import FileError
from jaxmtl.prediction.calibration import calibrate, calibration_of, intervals
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.save import load_predictor, save_predictor
from jaxmtl.tasks import Task, number_tasks

LINEAR = ("mean", "linear")


def table(rows, seed, *, missing=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    near = x @ np.array([[1.0, 0.5], [-1.0, 1.0], [0.3, 0.0]])
    y = near + rng.normal(size=near.shape) * np.exp(0.4 * near)
    cells = {name: column.tolist() for name, column in zip("abc", x.T, strict=True)}
    cells |= {name: column.tolist() for name, column in zip(("y", "z"), y.T, strict=True)}
    cells["z"] = [None if i < missing else value for i, value in enumerate(cells["z"])]
    return table_of_cells(cells)


def learn(rows, *, seed=0, missing=0, **plan):
    made = table(rows, seed, missing=missing)
    columns = infer_columns(made, targets=["y", "z"])
    return fit_table(made, columns, Plan(families=LINEAR, **plan))


@pytest.fixture(scope="module")
def learned():
    return learn(600)


def test_new_rows_are_held_and_wide_where_errors_are_large(learned):
    predictor, new = learned.predictor, table(4000, 1)
    coded = predictor.coding.encode(new)
    y, _ = predictor.coding.targets(new)
    found = predictor.outputs_by_fold(coded.x)
    assert (found.mean == predictor.outputs(coded.x)).all()
    each = predictor.bounds(found)
    joint = predictor.bounds(found, joint=True)
    inside = {
        name: np.stack([(b.ends[k][:, 0] <= v) & (v <= b.ends[k][:, 1]) for k, v in at.items()])
        for name, b in (("each", each), ("joint", joint))
        for at in [dict(zip("yz", y.T, strict=True))]
    }
    assert (abs(inside["each"].mean(axis=1) - 0.9) < 0.03).all()
    assert inside["joint"].all(axis=0).mean() > 0.88
    width = np.diff(each.ends["y"], axis=1)[:, 0]
    highest = found.mean[:, 0] >= np.quantile(found.mean[:, 0], 0.9)
    assert inside["each"][0, highest].mean() >= 0.82
    assert width[highest].mean() > 1.5 * width[~highest].mean()


def test_coverage_is_counted_on_rows_that_were_left_out(learned):
    found = learned.coverage
    assert found.tasks["y"].all.rows == 600
    assert abs(found.tasks["y"].all.share - 0.9) < 0.03
    assert found.tasks["y"].highest.rows == 60
    assert found.joint.rows == 600
    tested = learn(300, test=0.2).coverage
    assert tested.tasks["y"].all.rows == 60


def test_rows_without_a_label_are_left_out_of_its_errors_alone():
    found = learn(60, missing=52)
    assert found.coverage.tasks["z"].width is None  # eight labels, for which the level takes nine
    assert found.coverage.tasks["y"].width > 0
    bounds = found.predictor.bounds(found.predictor.outputs_by_fold(found.data.x[:2]))
    assert np.isinf(bounds.ends["z"]).all()
    assert np.isfinite(bounds.ends["y"]).all()


def test_what_is_mostly_0_is_held_as_often_as_it_is_said_to_be():
    """The mean of a fold with fewer other values is higher: its zeros are no further from it."""
    rng = np.random.default_rng(3)
    y = np.where(rng.uniform(size=400) < 0.95, 0.0, rng.exponential(5, 400))
    level = np.where(rng.uniform(size=400) < 0.95, "no", "yes")
    made = table_of_cells({"a": rng.normal(size=400).tolist(), "y": y.tolist(), "z": list(level)})
    columns = infer_columns(made, targets=["y", "z"], kinds={"y": "number"})
    found = fit_table(made, columns, Plan(families=("mean",), folds=5))
    bounds = found.predictor.bounds(found.predictor.outputs_by_fold(found.data.x[:1]))
    ((lower, upper),) = bounds.ends["y"]
    share = np.mean((lower <= y) & (y <= upper))
    assert share > 0.93
    assert abs(found.coverage.tasks["y"].all.share - share) < 0.02
    share = np.mean(bounds.sets["z"][0][(level == "yes").astype(int)])
    assert abs(found.coverage.tasks["z"].all.share - share) < 0.02


def test_how_many_rows_are_missing_is_known():
    found = learn(60, missing=52)
    short = found.predictor.shortages()
    assert {name: (one.needed, one.there) for name, one in short.items()} == {"z": (9, 8)}
    assert found.coverage.shortages == short
    joint = found.predictor.shortages(joint=True)
    assert {name: (one.needed, one.there) for name, one in joint.items()} == dict.fromkeys(
        "yz", (19, 8)
    )
    assert found.coverage.joint_shortage == joint["y"]
    assert set(found.predictor.shortages(confidence_level=0.99)) == {"y", "z"}
    assert found.predictor.shortages(confidence_level=0.5) == {}


def test_they_are_saved_with_the_predictor(learned, tmp_path):
    save_predictor(tmp_path, learned.predictor)
    read = load_predictor(tmp_path)
    x = learned.data.x[:20]
    one, other = (each.bounds(each.outputs_by_fold(x)) for each in (learned.predictor, read))
    for name in "yz":
        assert (one.ends[name] == other.ends[name]).all()


def broken(**changed):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(12, 1))
    made = calibrate(number_tasks("y"), 0 * y, y, np.ones((12, 1), bool), np.arange(12) % 3)
    return made.arrays() | changed


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"more": np.zeros(1)}, "expected fold, scores, terms, spreads"),
        ({"scores": np.zeros((12, 2))}, "scores: expected shape"),
        ({"scores": -np.ones((12, 1))}, "scores of 0 or more"),
        ({"scores": np.full((12, 1), np.inf)}, "finite scores"),
        ({"scores": np.ones((12, 1), np.float16)}, "got .* of float16"),
        ({"fold": np.full(12, 3)}, "expected folds below 3"),
        ({"terms": np.array([9])}, "terms of 0, 3, 4"),
        ({"terms": np.array([2])}, "terms of 0, 3, 4"),
        ({"spreads": np.zeros((3, 1, 17))}, "expected sizes above 0"),
        ({"spreads": np.full((3, 1, 17), np.nan)}, "finite spreads"),
    ],
)
def test_arrays_of_another_kind_are_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        calibration_of(broken(**changed), tasks=number_tasks("y"), folds=3)


def test_a_damaged_file_is_refused_in_a_sentence(learned, tmp_path):
    path = tmp_path / "model.npz"
    save_predictor(path, learned.predictor)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"intervals/fold": arrays["intervals/fold"] + 50})
    with pytest.raises(FileError, match="got a damaged or other file"):
        load_predictor(path)


def test_a_run_without_folds_has_none(learned):
    single = learned.predictor.__class__(
        coding=learned.predictor.coding,
        tasks=learned.predictor.tasks,
        models=learned.predictor.models,
        method="linear",
    )
    with pytest.raises(ValueError, match="expected a run whose folds left rows out"):
        single.bounds(single.outputs_by_fold(learned.data.x[:1]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([1.0], [[0.5]]), "expected one a row"),
        (([1.0], [np.nan]), "expected finite numbers"),
        (([1.0], [0.5], [1]), "expected numbers from 0 to 0"),
    ],
)
def test_residuals_of_ones_own_are_checked(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        intervals(*map(np.asarray, arguments))


def test_sets_of_ordered_classes_have_no_gaps():
    task = Task(name="level", kind="ordered", classes=("a", "b", "c"))
    rng = np.random.default_rng(1)
    held = rng.dirichlet([0.3] * 3, size=90)
    y = np.array([rng.choice(3, p=p) for p in held])[:, None]
    found = calibrate([task], held, y, np.ones((90, 1), bool), np.arange(90) % 3)
    new = np.tile(rng.dirichlet([0.3] * 3, size=200), (3, 1, 1))
    sets = found.bounds([task], new).sets["level"]
    assert not (sets[:, 0] & ~sets[:, 1] & sets[:, 2]).any()
    assert sets.any(axis=1).all()
