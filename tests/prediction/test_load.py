"""``jaxmtl.load``: frames in, frames out, the same numbers as the command's."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import jaxmtl
from jaxmtl.data import infer_columns, table_of_cells
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.predictor import Reading
from jaxmtl.prediction.table_run import write_table_run


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"CO": rng.normal(size=80), "city": ["A", "B"] * 40}, index=range(5, 85))
    made["O3"] = 2 * made["CO"] + rng.normal(size=80)
    made["level"] = np.where(made["CO"] > 0, "high", "low")
    return made


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    made = tmp_path_factory.mktemp("run")
    table = table_of_cells({name: frame[name] for name in frame})
    columns = infer_columns(table, targets=["O3", "level"])
    reading = Reading(missing_values=(-99.0, "O3=0"))
    plan = Plan(families=("mean", "linear"), folds=4)
    found = fit_table(table, columns, plan, reading=reading)
    write_table_run(made, found, table)
    return made


def test_it_predicts_frames_by_the_names_of_their_columns(folder, frame):
    run = jaxmtl.load(folder)
    found = run.predict(frame[["city", "CO"]])
    assert found.index.equals(frame.index)
    shares = [f"level probability of {name}" for name in ("high", "low")]
    assert list(found) == ["O3", "level", *shares]
    assert np.allclose(found[shares].sum(axis=1), 1)
    assert np.corrcoef(found["O3"], frame["O3"])[0, 1] > 0.8


def test_intervals_have_the_level_that_is_asked_for(folder, frame):
    run = jaxmtl.load(folder)
    found = run.intervals(frame)
    assert list(found) == ["O3 lower 90 %", "O3 upper 90 %", "level one of 90 %"]
    narrow = run.intervals(frame, 0.5)
    assert (narrow["O3 upper 50 %"] < found["O3 upper 90 %"]).all()
    assert (run.intervals(frame, joint=True)["O3 upper 90 %"] >= found["O3 upper 90 %"]).all()


def test_what_columns_are_worth_is_a_frame(folder):
    found = jaxmtl.load(folder).importance
    assert found["O3"].idxmax() == "CO"
    assert list(found)[:3] == ["O3", "O3 low", "O3 high"]
    assert found.loc["CO", "O3 low"] > 0


def test_how_predictions_change_with_a_column_is_a_frame(folder, frame):
    run = jaxmtl.load(folder)
    found = run.dependence("CO")
    shares = [f"level probability of {name}" for name in ("high", "low")]
    names = [name for one in ["O3", *shares] for name in (one, f"{one} low", f"{one} high")]
    assert list(found) == ["part", "value", *names]
    assert np.corrcoef(found["value"], found["O3"])[0, 1] > 0.99
    assert (found["O3 low"] <= found["O3 high"]).all()
    own = run.dependence("city", frame[:10])
    assert own["value"].tolist() == ["A", "B"]
    with pytest.raises(ValueError, match="did you mean city"):
        run.dependence("town city")


def test_where_it_is_wrong_and_what_has_drifted_are_frames(folder, frame):
    run = jaxmtl.load(folder)
    parts = run.where_wrong
    assert set(parts["by"]) == {"prediction", "city"}
    assert set(parts["target"]) == {"O3", "level"}
    assert list(parts)[:7] == ["target", "by", "part", "rows", "typical", "low", "high"]
    worst = run.worst_rows
    assert worst.index.name == "row"
    numbers = worst[worst["target"] == "O3"]
    same = frame.iloc[numbers.index - 1]  # rows of a frame are counted from 1
    assert numbers["observed"].tolist() == same["O3"].tolist()
    assert numbers["city"].tolist() == same["city"].tolist()
    assert numbers["times off"].is_monotonic_decreasing
    away = run.drift(frame.assign(CO=frame["CO"] + 5))
    assert list(away.index) == ["CO", "city"]
    assert away.loc["CO", "distance"] > 0.9
    assert away.loc["CO", "p"] < 1e-6
    assert away.loc["city", "distance"] == 0


def test_older_folders_load_without(folder, frame, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for name, field in (("metrics.json", "where_wrong"), ("config.json", "distributions")):
        saved = json.loads((tmp_path / name).read_text("utf-8"))
        del saved[field]
        (tmp_path / name).write_text(json.dumps(saved), "utf-8")
    run = jaxmtl.load(tmp_path)
    assert run.predict(frame).equals(jaxmtl.load(folder).predict(frame))
    with pytest.raises(AttributeError, match="does not hold what it learned from"):
        run.drift(frame)
    with pytest.raises(AttributeError, match="does not hold where it is wrong"):
        _ = run.worst_rows


def test_a_column_that_is_not_there_is_named(folder, frame):
    with pytest.raises(ValueError, match="'CO'"):
        jaxmtl.load(folder).predict(frame[["city"]])


def test_what_stood_for_a_gap_does_so_in_a_frame(folder, frame):
    run = jaxmtl.load(folder)
    gaps = frame[["CO", "city"]].iloc[:5].assign(CO=[np.nan, 1.0, 2.0, np.nan, 0.5])
    pd.testing.assert_frame_equal(run.predict(gaps.fillna({"CO": -99})), run.predict(gaps))


def test_a_run_of_numbers_takes_frames_too(made, save, tmp_path):
    reading = Reading(missing_features="drop", missing_values=(-99.0,))
    run = jaxmtl.load(save(tmp_path / "run", made, reading=reading))
    frame = pd.DataFrame({"CO": [1.0, -99.0], "SO2": [20.0, 30.0]}, index=["a", "b"])
    found = run.predict(frame)
    assert (list(found), list(found.index)) == (["PM2.5", "O3"], ["a", "b"])
    gap = pd.DataFrame({"CO": pd.array([1, None], "Int64"), "SO2": [20, 30]}, index=["a", "b"])
    pd.testing.assert_frame_equal(run.predict(gap), found)
    with pytest.raises(ValueError, match="expected a run whose folds left rows out"):
        run.intervals(frame)


def test_what_is_no_frame_of_these_columns_is_said(folder, frame):
    run = jaxmtl.load(folder)
    double = pd.concat([frame, frame[["CO"]]], axis=1)
    for ask in (run.predict, run.intervals):
        with pytest.raises(TypeError, match="data frame with the columns .*CO.*, got ndarray"):
            ask(frame[["CO"]].to_numpy())
        with pytest.raises(ValueError, match="column 'CO' is there more than once"):
            ask(double)
