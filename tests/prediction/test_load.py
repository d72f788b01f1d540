"""``jaxmtl.load``: frames in, frames out, the same numbers as the command's."""

import numpy as np
import pandas as pd
import pytest

import jaxmtl
from jaxmtl.data import infer_columns, table_of_cells
from jaxmtl.prediction.fit_table import Plan, fit_table
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
    found = fit_table(table, columns, Plan(families=("mean", "linear"), folds=4))
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


def test_a_column_that_is_not_there_is_named(folder, frame):
    with pytest.raises(ValueError, match="'CO'"):
        jaxmtl.load(folder).predict(frame[["city"]])


def test_what_is_no_frame_of_these_columns_is_said(folder, frame):
    run = jaxmtl.load(folder)
    double = pd.concat([frame, frame[["CO"]]], axis=1)
    for ask in (run.predict, run.intervals):
        with pytest.raises(TypeError, match="data frame with the columns .*CO.*, got ndarray"):
            ask(frame[["CO"]].to_numpy())
        with pytest.raises(ValueError, match="column 'CO' is there more than once"):
            ask(double)
