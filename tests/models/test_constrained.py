"""Networks with constrained outputs; the reference case against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn_parameters

from jaxmtl import HardSharing, Rows, Splits, fit
from jaxmtl.constraints import Box, Simplex, SoftBound
from jaxmtl.models.constrained import Constrained
from jaxmtl.models.soft_sharing import SoftSharing

PLAIN = HardSharing(
    shared=(),
    nodes=50,
    capacity=50,
    activation="relu",
    output_activation=None,
    initializer="glorot_uniform",
)
SOFT = Constrained(PLAIN, soft=(None, SoftBound(lower=0.85, strength=10.0)))
HARD = Constrained(PLAIN, hard=(None, Box(lower=0.85)))
SLOW = pytest.mark.slow
RATE, EPOCHS, STRENGTH, BOUND = 1e-3, 100, 10.0, 0.85


def reference_data(seed=0, rows=32):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(rows, 10)), rng.uniform(size=(rows, 2))
    return Splits(train=Rows(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)))


def flat(params):
    return {
        "w1": params["bank"]["kernel"],
        "b1": params["bank"]["bias"],
        "w2": params["output"]["kernel"][:, :, 0],
        "b2": params["output"]["bias"][:, 0],
    }


def reference_by_hand(start, x, y, epochs, hard=False):
    """Adam on mean squared errors and the penalty, gradients by hand, float64 NumPy."""
    p = {name: np.asarray(leaf, np.float64) for name, leaf in start.items()}
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    m = {name: np.zeros_like(leaf) for name, leaf in p.items()}
    v = {name: np.zeros_like(leaf) for name, leaf in p.items()}
    errors = []

    def forward():
        z = x @ p["w1"] + p["b1"]
        h = np.maximum(z, 0)
        return z, h, h @ p["w2"].T + p["b2"]

    for t in range(1, epochs + 1):
        z, h, out = forward()
        if hard:
            slope = 2 * (np.column_stack([out[:, 0], np.maximum(out[:, 1], BOUND)]) - y)
            slope[:, 1] *= out[:, 1] >= BOUND
        else:
            slope = 2 * (out - y)
            slope[:, 1] -= 2 * STRENGTH * np.maximum(BOUND - out[:, 1], 0)
        slope /= len(x)
        back = (slope @ p["w2"]) * (z > 0)
        grads = {
            "w1": x.T @ back,
            "b1": back.sum(axis=0),
            "w2": slope.T @ h,
            "b2": slope.sum(axis=0),
        }
        for name, g in grads.items():
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.999 * v[name] + 0.001 * g**2
            step = (m[name] / (1 - 0.9**t)) / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-8)
            p[name] = p[name] - RATE * step
        out = forward()[2]
        if hard:
            out = np.column_stack([out[:, 0], np.maximum(out[:, 1], BOUND)])
        errors.append(((out - y) ** 2).mean(axis=0))
    return p, np.array(errors)


@pytest.mark.parametrize(
    ("model", "hard"),
    [pytest.param(SOFT, False, id="soft"), pytest.param(HARD, True, id="hard", marks=SLOW)],
)
def test_reference_case(model, hard):
    data = reference_data()
    start = drawn_parameters(model, data.train.x)["params"]
    run = fit(model, data, params=start, epochs=EPOCHS, learning_rate=RATE, batch_size=32)
    want, errors = reference_by_hand(flat(start), data.train.x, data.train.y, EPOCHS, hard=hard)
    np.testing.assert_allclose(run.history.train, errors, rtol=1e-4)
    for name, leaf in flat(run.params).items():
        np.testing.assert_allclose(leaf, want[name], atol=1e-5, err_msg=name)
    plain = fit(PLAIN, data, params=start, epochs=EPOCHS, learning_rate=RATE, batch_size=32)

    def shortfall(model, params):
        y = model.apply({"params": params}, data.train.x)[:, 1]
        return float(np.maximum(BOUND - np.asarray(y), 0).mean())

    if hard:
        assert shortfall(model, run.params) == 0
    else:
        assert shortfall(model, run.params) < 0.3 * shortfall(PLAIN, plain.params)


def test_a_constraint_that_never_binds_changes_nothing():
    data = reference_data()
    start = drawn_parameters(PLAIN, data.train.x)["params"]
    loose = Constrained(
        PLAIN,
        hard=(Box(-1e6, 1e6), None),
        soft=(None, SoftBound(lower=-1e6, strength=1.0)),
    )
    options = {"params": start, "epochs": 5, "batch_size": 32}
    plain, wrapped = fit(PLAIN, data, **options), fit(loose, data, **options)
    for a, b in zip(jax.tree.leaves(plain.params), jax.tree.leaves(wrapped.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_parameters_have_the_names_of_the_network_inside():
    x = jnp.ones((2, 10))
    inside, outside = PLAIN.init(jax.random.key(0), x), SOFT.init(jax.random.key(0), x)
    assert set(outside) == {"params"}
    assert jax.tree.structure(inside) == jax.tree.structure(outside)
    for a, b in zip(jax.tree.leaves(inside), jax.tree.leaves(outside), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_projects_each_task_and_each_row_by_itself():
    plain = HardSharing(outputs=(2, 1, 3), output_activation=None)
    model = Constrained(plain, hard=(Simplex(), None, Box(0.0, 0.1)))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(7, 4)), jnp.float32)
    variables = drawn_parameters(plain, x)
    y, raw = model.apply(variables, x), plain.apply(variables, x)
    np.testing.assert_allclose(y[:, :2].sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(y[:, 2], raw[:, 2])
    np.testing.assert_array_equal(y[:, 3:], np.clip(raw[:, 3:], 0, np.float32(0.1)))
    np.testing.assert_allclose(jax.jit(model.apply)(variables, x), y, rtol=1e-6)
    np.testing.assert_allclose(
        jax.vmap(lambda row: model.apply(variables, row[None])[0])(x), y, rtol=1e-5, atol=1e-6
    )


def test_gradient_of_a_clamped_output_is_zero_or_handed_on():
    x = jnp.ones((3, 10))
    variables = drawn_parameters(PLAIN, x)

    def slope(gradient):
        model = Constrained(PLAIN, hard=(None, Box(lower=1e3)), gradient=gradient)
        loss = lambda v: model.apply(v, x)[:, 1].sum()  # noqa: E731
        return flat(jax.jit(jax.grad(loss))(variables)["params"])["b2"]

    assert slope("true").tolist() == [0, 0]
    assert slope("straight_through").tolist() == [0, 3]


def test_penalty_looks_at_outputs_before_they_are_projected_and_inner_penalties_stay():
    inner = SoftSharing(hidden=(3,), strength=0.5, output_activation=None)
    model = Constrained(
        inner, hard=(Box(lower=2.0), None), soft=(SoftBound(lower=2.0, strength=10.0), None)
    )
    x = jnp.asarray(np.random.default_rng(1).normal(size=(5, 4)), jnp.float32)
    variables = drawn_parameters(model, x)
    raw, tie = inner.apply(variables, x, mutable=["penalties"])
    y, sown = model.apply(variables, x, mutable=["penalties"])
    assert (np.asarray(y[:, 0]) >= 2).all()
    want = 10 * (np.maximum(2 - np.asarray(raw[:, 0], np.float64), 0) ** 2).mean()
    np.testing.assert_allclose(sown["penalties"]["soft_bound_0"][0], want, rtol=1e-5)
    assert tie["penalties"]["tie_0"][0] == sown["penalties"]["tie_0"][0] > 0
    assert len(jax.tree.leaves(sown)) == 2
    assert model.has_penalties
    assert Constrained(inner).has_penalties
    assert not HARD.has_penalties


def test_equal_wrappers_are_one_static_argument():
    again = Constrained(PLAIN, soft=[None, SoftBound(lower=0.85, strength=10.0)])
    assert hash(again) == hash(SOFT)
    assert again == SOFT


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constrained(PLAIN, hard=(Simplex(),)), "hard: expected one entry a task, 2"),
        (lambda: Constrained(PLAIN, soft=(None,) * 3), "soft: expected one entry a task, 2"),
        (lambda: Constrained(PLAIN, gradient="none"), "gradient: expected one of"),
        (lambda: Constrained(object()), "a field outputs"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
