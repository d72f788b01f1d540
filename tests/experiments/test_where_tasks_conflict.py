"""Where tasks conflict, and what splitting there brings: figures by their definition."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.sharing import open_banks, task_view

from .load import load

where = load("where_tasks_conflict")
pytestmark = pytest.mark.few_optimizations


def test_ranks_agree_where_values_do():
    assert where.rank_correlation(np.array([1, 2, 9]), np.array([0.1, 0.2, 0.3])) == 1
    assert where.rank_correlation(np.array([1, 2, 9]), np.array([3.0, 2.0, 1.0])) == -1
    assert where.rank_correlation(np.array([1, 1, 2, 3]), np.array([1, 2, 3, 4])) < 1
    assert where.rank_correlation(np.array([5, 5, 5]), np.array([1, 2, 3])) == 0


def test_a_score_that_knows_the_best_layer_is_worth_what_hindsight_is(capsys):
    rng = np.random.default_rng(0)
    of_layers = rng.normal(size=(4, len(where.LAYERS)))
    benefit = dict(zip(where.LAYERS, of_layers.T, strict=True)) | {"everything": of_layers[:, 0]}
    scores = {"knows": 3 * of_layers, "wrong": -of_layers}
    rows = where.table(where.Found(scores, benefit, None, np.arange(1)))
    found = {(row["kind"], row["name"]): row for row in rows}
    assert found["correlation", "knows"]["mean"] == pytest.approx(1)
    assert found["correlation", "wrong"]["of_means"] == pytest.approx(-1)
    best = (of_layers.max(axis=1) - of_layers.mean(axis=1)).mean()
    for name in ("knows", "(best in hindsight)"):
        assert found["top layer", name]["mean"] == pytest.approx(best)
    assert found["top layer", "wrong"]["mean"] < 0
    assert found["split", "everything"]["mean"] == pytest.approx(of_layers[:, 0].mean())
    assert "rank correlation" in capsys.readouterr().out


@pytest.mark.slow
def test_layers_that_are_split_are_those_that_are_asked_for():
    params = where.start_values(0)
    groups = {layer: [layer] for layer in where.LAYERS}
    banks, start = open_banks(params, groups, 3)
    stacked = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], banks)
    apart = np.array([layer == "conv_1" for layer in where.LAYERS])
    split, pointers = where.split_at(stacked, start, apart)
    for layer in where.LAYERS:
        expected = [0, 1, 2] if layer == "conv_1" else [0, 0, 0]
        assert pointers[layer][:, 0].tolist() == expected
    own = jax.tree.map(lambda leaf: leaf[0], split)
    view = task_view(own, pointers, 2)
    np.testing.assert_array_equal(view["conv_1"]["kernel"], params["conv_1"]["kernel"])


@pytest.mark.slow
def test_it_runs_and_draws(tmp_path, capsys):
    found = where.main(quick=True, out=str(tmp_path))
    assert {values.shape for values in found.scores.values()} == {(2, len(where.LAYERS))}
    for name, values in found.scores.items():
        assert np.isfinite(values).all(), name
    assert set(found.benefit) == {*where.LAYERS, "everything"}
    with open(tmp_path / "where_tasks_conflict.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds = [row["kind"] for row in rows]
    assert kinds.count("split") == len(where.LAYERS) + 1
    assert kinds.count("correlation") == len(found.scores) == kinds.count("top layer") - 1
    assert (tmp_path / "where_tasks_conflict.png").stat().st_size > 10_000
    assert "everything" in capsys.readouterr().out
