"""Folders of runs of other methods than the study's."""

import csv
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.methods.method import Fitted, Trace
from jaxmtl.methods.models import READERS
from jaxmtl.methods.network_model import NetworkModel
from jaxmtl.methods.saved import check_arrays
from jaxmtl.models import MMoE
from jaxmtl.report import RunFolderError, load_run, summarize
from jaxmtl.report.run.fitted import write_fitted_run


@dataclasses.dataclass(frozen=True, eq=False)
class Lines:
    """A model without a network."""

    kind = "lines"
    weights: np.ndarray

    def predict(self, x):
        return np.asarray(x, np.float64) @ self.weights

    def spec(self):
        return {}

    def arrays(self):
        return {"weights": self.weights}


def lines_of(spec, arrays, *, features, outputs):
    check_arrays(arrays, {"weights": ((features, outputs), np.dtype(np.float64))})
    return Lines(arrays["weights"])


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setitem(READERS, "lines", lines_of)
    return [Lines(np.array([[0.2, 0.4], [0.1, -0.3]]) * size) for size in (1, 3)]


def fitted_of(*models, traces=(), **fields) -> Fitted:
    folds = len(models)
    zeros = np.zeros(folds, int)
    values = {
        "chosen": ({"alpha": np.float64(0.1)},) * folds,
        "parameters": zeros + 6,
        "steps": zeros,
        "splits": zeros,
        "diverged": zeros > 0,
    } | fields
    return Fitted(models=models, scores=np.zeros((folds, 2)), traces=traces, **values)


@pytest.fixture
def undrawn(monkeypatch):
    """The arguments of pictures that were not drawn."""
    calls = []
    monkeypatch.setattr(
        "jaxmtl.report.pictures.of_a_run.draw_fitted", lambda *args: calls.append(args)
    )
    return calls


def test_model_without_a_network(made, lines, tmp_path):
    fitted = fitted_of(lines[0], notes=("few rows",))
    options = {"method": "ridge", "dataset": made.dataset, "table": made.table}
    predictor = write_fitted_run(tmp_path, fitted, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "card.md",
        "config.json",
        "metrics.json",
        "model.npz",
        "plain",
        "predict.py",
        "predictions.csv",
        "predictions.png",
    ]
    run = load_run(tmp_path)
    x = made.table.x
    np.testing.assert_array_equal(run.predict(x), predictor.predict(x))
    scaled = made.dataset.encode(x).astype(float) @ lines[0].weights
    np.testing.assert_array_equal(run.predict(x), made.dataset.decode(scaled))
    errors = run.metrics["errors"]
    y, held = made.dataset.splits.train.y.astype(float), made.dataset.splits.test
    mean = ((held.y - y.mean(axis=0)) ** 2).mean(axis=0)
    assert list(errors["mean"]["test"]["mse_scaled"].values()) == pytest.approx(mean)
    own = ((held.x.astype(float) @ lines[0].weights - held.y) ** 2).mean(axis=0)
    assert list(run.metrics["relative"]["test"].values()) == pytest.approx(own / mean)
    text = summarize(run)
    assert "  method   ridge: 2 inputs, 2 tasks, lines of 6 parameters" in text
    assert "  chosen   alpha 0.1" in text
    assert "  note     few rows" in text
    assert "Errors on the 10 test rows" in text
    assert text.splitlines()[10].split() == ["ridge", "mean", "relative", "straight", "line"]
    assert "ratio" not in text
    with pytest.raises(AttributeError, match=r"expected one network, got lines; use run.predictor"):
        _ = run.model


def test_prediction_is_the_mean_over_folds(made, lines, tmp_path, undrawn):
    predictor = write_fitted_run(tmp_path, fitted_of(*lines), method="ridge", dataset=made.dataset)
    run = load_run(tmp_path)
    singly = [dataclasses.replace(predictor, models=(model,)) for model in lines]
    expected = np.mean([one.predict(made.table.x) for one in singly], axis=0)
    np.testing.assert_allclose(run.predict(made.table.x), expected, rtol=1e-12)
    assert list(run.metrics["runs"]) == ["ridge, fold 1", "ridge, fold 2"]
    assert "6 parameters, 6 parameters" in summarize(run)


def test_constant_prediction_stands_alone(made, tmp_path, monkeypatch, undrawn):
    monkeypatch.setitem(READERS, "lines", lines_of)
    model = Lines(np.zeros((2, 2)))
    write_fitted_run(tmp_path, fitted_of(model), method="mean", dataset=made.dataset)
    run = load_run(tmp_path)
    assert list(run.metrics["errors"]) == ["mean", "straight line"]
    assert summarize(run).count("relative") == 0


def test_network_with_a_bank_at_an_earlier_epoch(make, tmp_path, undrawn):
    made = make()
    start = made.baseline  # before the duplication at the end of epoch 4
    model = NetworkModel(network=made.model, params=start.params, head_index=start.head_index)
    trace = Trace(history=made.run.history, events=made.run.events, divergence=None)
    fitted = fitted_of(model, traces=(trace,), chosen=({"epoch": 3},))
    write_fitted_run(tmp_path, fitted, method="adaptive", dataset=made.dataset)
    run = load_run(tmp_path)
    assert [event["node"] for event in run.events] == [1]  # of the whole training
    with (tmp_path / "history.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["adaptive"] * 14
    (_, runs, bank, *_), (network, until) = undrawn[0], undrawn[0][2]
    assert list(runs) == ["adaptive"]
    assert (network, bank[1]) == (made.model, until)
    assert (len(until.history), list(until.events)) == (3, [])
    assert run.model.num_columns == 3
    text = summarize(run)
    assert "  chosen   epoch 3" in text
    assert "  split    node 1 in epoch 4 of the run: copy 3 for PM2.5" in text


@pytest.mark.slow
def test_all_pictures_of_a_bank(made, tmp_path):
    run = made.run
    model = NetworkModel(network=made.model, params=run.params, head_index=run.head_index)
    trace = Trace(history=run.history, events=run.events, divergence=None)
    fitted = fitted_of(model, traces=(trace,), chosen=({"epoch": 14},))
    write_fitted_run(tmp_path, fitted, method="adaptive", dataset=made.dataset)
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert pictures == ["conflicts.png", "errors.png", "network.png", "predictions.png"]


def test_other_network_has_no_picture_of_a_bank(made, tmp_path, undrawn):
    network = MMoE(num_experts=2, experts=(3,), towers=(2,))
    init = jax.jit(lambda x: network.init(jax.random.key(0), x)["params"])
    model = NetworkModel(network=network, params=init(jnp.zeros((1, 2))))
    trace = Trace(history=made.baseline.history, events=made.baseline.events, divergence=None)
    fitted = fitted_of(model, traces=(trace,), chosen=({"epoch": 20},))
    write_fitted_run(tmp_path, fitted, method="mmoe", dataset=made.dataset)
    assert undrawn[0][2] is None
    assert not (tmp_path / "events.csv").exists()
    run = load_run(tmp_path)
    assert run.model == network
    x = made.table.x
    expected = made.dataset.decode(model.predict(made.dataset.encode(x)))
    np.testing.assert_array_equal(run.predict(x), expected)
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "- Its network (MMoE) needs JAX: `predict.py` refuses it, `jaxmtl predict` does" in card


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("runs", "ridge"), None, "got another field"),
        (("relative", "test"), None, "expected ['test', 'train'], got ['train']"),
        (("errors", "mean"), {}, "splits with errors"),
        (("parameters", "ridge"), "many", "got another field"),
        (("notes",), 3, "got another field"),
    ],
)
def test_damage_is_told(made, lines, tmp_path, undrawn, place, value, said):
    write_fitted_run(tmp_path, fitted_of(lines[0]), method="ridge", dataset=made.dataset)
    path = tmp_path / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    at = metrics
    for key in place[:-1]:
        at = at[key]
    if value is None and place[0] == "relative":
        del at[place[-1]]
    else:
        at[place[-1]] = value
    path.write_text(json.dumps(metrics), encoding="utf-8")
    with pytest.raises(RunFolderError) as caught:
        load_run(tmp_path)
    assert said in str(caught.value)
