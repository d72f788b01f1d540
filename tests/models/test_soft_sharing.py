"""Soft sharing: forward pass and penalties in literal NumPy, and its two limits."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import drawn_parameters
from some_cases import some

from jaxmtl import Rows, Splits, fit
from jaxmtl.constraints import sharing_penalty
from jaxmtl.models.soft_sharing import SoftSharing

X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)), jnp.float32)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(params, x, outputs):
    columns = []
    for t, _ in enumerate(outputs):
        h = np.asarray(x, np.float64)
        for name in ("hidden_0", "hidden_1"):
            layer = params[name]
            kernel = np.asarray(layer["kernel"][t], np.float64)
            h = sigmoid(h @ kernel + np.asarray(layer["bias"][t], np.float64))
        layer, t = (params["output"], t) if "output" in params else (params[f"output_{t}"], 0)
        columns.append(h @ np.asarray(layer["kernel"][t]) + np.asarray(layer["bias"][t]))
    return np.concatenate(columns, axis=1)


CASES = list(itertools.product(["l2", "trace_norm"], [(1, 1, 1), (2, 1)]))


@pytest.mark.parametrize("case", some(CASES, ("l2", (2, 1)), ("trace_norm", (1, 1, 1))))
def test_outputs_and_penalties(case):
    tie, outputs = case
    model = SoftSharing(
        hidden=(5, 4), outputs=outputs, tie=tie, strength=(0.5, 2.0), output_activation=None
    )
    variables = drawn_parameters(model, X)
    assert set(variables) == {"params"}
    params = variables["params"]
    y, sown = jax.jit(lambda v: model.apply(v, X, mutable=["penalties"]))(variables)
    np.testing.assert_allclose(y, forward(params, X, outputs), rtol=1e-5, atol=1e-6)
    for i, strength in enumerate((0.5, 2.0)):
        layer = params[f"hidden_{i}"]
        tasks = range(len(outputs))
        rows = [
            np.append(np.ravel(layer["kernel"][t]), layer["bias"][t]).astype(np.float64)
            for t in tasks
        ]
        if tie == "l2":
            want = sum(((rows[s] - rows[t]) ** 2).sum() for t in tasks for s in range(t))
        else:
            want = np.linalg.svd(np.stack(rows))[1].sum()
        np.testing.assert_allclose(sown["penalties"][f"tie_{i}"][0], strength * want, rtol=1e-5)
    by_task = [
        {
            name: jax.tree.map(lambda leaf, t=t: leaf[t], params[name])
            for name in ("hidden_0", "hidden_1")
        }
        for t in range(len(outputs))
    ]
    strength = {"hidden_0": 0.5, "hidden_1": 2.0}
    plain = jax.jit(lambda p: sharing_penalty(p, tie=tie, strength=strength))(by_task)
    np.testing.assert_allclose(sum(jax.tree.leaves(sown)), plain, rtol=1e-5)
    by_row = jax.jit(jax.vmap(lambda row: model.apply(variables, row[None])[0]))(X)
    np.testing.assert_allclose(by_row, y, rtol=1e-5, atol=1e-6)


def spread(params):
    kernel = np.asarray(params["hidden_0"]["kernel"])
    return np.abs(kernel[0] - kernel[1]).max()


def test_from_independent_networks_to_one_trunk():
    data = Splits(train=Rows(X, jax.nn.sigmoid(jnp.stack([X[:, 0], X[:, 1]], axis=1))))
    start = drawn_parameters(SoftSharing((4,)), X)["params"]
    options = {"params": start, "epochs": 300, "batch_size": 6, "learning_rate": 0.02}
    options["optimizer"] = optax.sgd
    runs = {s: fit(SoftSharing((4,), strength=s), data, **options) for s in (0.0, 0.01, 10.0)}
    apart = [spread(runs[s].params) for s in (0.0, 0.01, 10.0)]
    assert apart[0] > apart[1] > 10 * apart[2]
    assert apart[2] < 0.01
    # Strength 0: a change in one task's labels does not move the other's network.
    other = Splits(train=data.train._replace(y=data.train.y.at[:, 1].set(0.0)))
    alone = fit(SoftSharing((4,), strength=0.0), other, **options)
    mine = [run.params["hidden_0"]["kernel"][0] for run in (alone, runs[0.0])]
    np.testing.assert_allclose(*mine, rtol=1e-5, atol=1e-6)
    # Reported errors are without the penalty.
    predicted = SoftSharing((4,)).apply({"params": runs[10.0].params}, X)
    want = ((np.asarray(predicted) - np.asarray(data.train.y)) ** 2).mean(axis=0)
    np.testing.assert_allclose(runs[10.0].history.train[-1], want, rtol=1e-5)


@pytest.mark.slow
def test_trace_norm_trains_with_equal_and_zero_layers():
    model = SoftSharing((4,), tie="trace_norm", strength=0.1)
    data = Splits(train=Rows(X, jnp.full((6, 2), 0.5)))
    params = jax.tree.map(jnp.zeros_like, drawn_parameters(model, X)["params"])
    run = fit(model, data, params=params, epochs=3, batch_size=6)
    assert run.divergence is None
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params))


def test_tasks_may_be_exchanged():
    model = SoftSharing((4,), tie="trace_norm", strength=0.1)
    variables = drawn_parameters(model, X)
    turned = jax.tree.map(lambda leaf: leaf[::-1], variables)
    apply = jax.jit(lambda v: model.apply(v, X, mutable=["penalties"]))
    (y, sown), (other, other_sown) = apply(variables), apply(turned)
    np.testing.assert_allclose(other, y[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(
        other_sown["penalties"]["tie_0"], sown["penalties"]["tie_0"], rtol=1e-5
    )


def test_equal_fields_hash_alike():
    assert hash(SoftSharing([4], strength=[0.1])) == hash(SoftSharing((4,), strength=(0.1,)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden": ()}, "hidden: expected 1 sizes"),
        ({"hidden": (0,)}, "hidden"),
        ({"outputs": (1,)}, "outputs: expected 2 sizes"),
        ({"tie": "l3"}, "tie: expected one of"),
        ({"strength": -1.0}, "strength: expected a number >= 0"),
        ({"strength": (0.1, 0.2, 0.3)}, "one for each of 2 hidden layers"),
    ],
)
def test_bad_input(fields, message):
    with pytest.raises(ValueError, match=message):
        SoftSharing(**fields)
