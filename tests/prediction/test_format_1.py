"""A folder that the version before has written: it loads, and predicts what it did."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxmtl.data import read_table
from jaxmtl.models import HardSharing
from jaxmtl.prediction.save import load_predictor, save_predictor
from jaxmtl.report import RunFolderError, load_run, summarize
from jaxmtl.training.in_chunks import predictor

OLD = Path(__file__).parent / "old_run"


@pytest.fixture(scope="module")
def run():
    return load_run(OLD)


@pytest.fixture(scope="module")
def table():
    """Rows, and in the place of their targets what the version before has predicted of them."""
    return read_table(OLD / "predicted.csv", features=["SO2", "CO"], targets=["PM2.5", "O3"])


def test_predictions_are_those_of_the_version_before(run, table):
    assert np.isnan(table.x).any()  # filled with a mean
    np.testing.assert_allclose(run.predict(table.x), table.y, rtol=1e-5)  # on any machine


def test_predictions_are_to_the_bit_those_of_its_arrays(run, table):
    with np.load(OLD / "model.npz", allow_pickle=False) as file:
        old = {name: file[name] for name in file.files}
    fields = json.loads(str(old["spec"]))["network"]
    x = np.where(np.isnan(table.x), old["fill"], table.x)
    x = ((x - old["feature_offset"]) / old["feature_scale"]).astype(np.float32)
    for prefix, ours in (("", run.predictor), ("hard/", run.predictor.baseline("hard sharing"))):
        params: dict = {}
        for name, array in old.items():
            if name.startswith(f"{prefix}params/"):
                layer, leaf = name.removeprefix(f"{prefix}params/").split("/")
                params.setdefault(layer, {})[leaf] = array
        columns = params["bank"]["kernel"].shape[-1]
        model = HardSharing(**(fields | {"dtype": None, "capacity": columns}))
        scaled = predictor(model, params, old[f"{prefix}head_index"])(x)
        expected = np.asarray(scaled, float) * old["target_scale"] + old["target_offset"]
        np.testing.assert_array_equal(ours.predict(table.x), expected)


def test_what_is_saved_anew_is_the_same(run, table, tmp_path):
    save_predictor(tmp_path / "model.npz", run.predictor)
    anew = load_predictor(tmp_path)
    np.testing.assert_array_equal(anew.predict(table.x), run.predict(table.x))
    assert anew.reading == run.reading
    assert list(anew.baselines) == ["hard sharing"]


def test_summary_says_what_was_split(run):
    text = summarize(run)
    assert (
        "phase 1: node 0 split in epoch 1 (1 of the run), at sample 3 (row 8 of the sheet)" in text
    )
    assert "54 in this network, 49 in plain hard sharing, 76 in independent networks" in text


@pytest.mark.parametrize("name", ["network", "targets", "reading", "dtype"])
def test_damage_is_one_sentence(tmp_path, name):
    with np.load(OLD / "model.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    spec = json.loads(str(arrays["spec"]))
    for value in (None, 3, {}, [["a"]], "x"):
        spec[name] = value
        arrays["spec"] = np.array(json.dumps(spec))
        np.savez(tmp_path / "model.npz", **arrays)
        with pytest.raises(RunFolderError, match="damaged or other file"):
            load_predictor(tmp_path)
    del spec[name]
    arrays["spec"] = np.array(json.dumps(spec))
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(RunFolderError, match="expected the fields"):
        load_predictor(tmp_path)
