import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmtl import Rows, Splits, fit
from jaxmtl.models import DSelectK, smooth_step


def step(z, gamma):
    if z <= -gamma / 2:
        return 0.0
    if z >= gamma / 2:
        return 1.0
    return -2 / gamma**3 * z**3 + 3 / (2 * gamma) * z + 0.5


def selector(z, gamma, experts):
    """The weight of each expert, from the binary digits of its number, the lowest first."""
    weights = []
    for e in range(experts):
        digits = [int(d) for d in reversed(np.binary_repr(e, width=len(z)))]
        factors = [
            step(v, gamma) if d else 1 - step(v, gamma) for v, d in zip(z, digits, strict=True)
        ]
        weights.append(np.prod(factors))
    return np.array(weights)


def entropy(weights):
    return -sum(w * np.log(w) for w in weights if w > 0)


def literal(model, p, row):
    """Outputs, gates and both penalties of one row."""
    bits = int(np.ceil(np.log2(model.num_experts)))
    tasks, k = model.num_tasks, model.selected
    experts = []
    for e in range(model.num_experts):
        layer = p["expert_stack"]["layer_0"]
        experts.append(np.maximum(row @ layer["kernel"][e] + layer["bias"][e], 0.0))
    columns, gates, uncertain, missed = [], [], 0.0, 0.0
    for t in range(tasks):
        if model.per_example:
            z = row @ p["gate"]["bits"]["kernel"][t] + p["gate"]["bits"]["bias"][t]
            z = z.reshape(k, bits)
            alpha = row @ p["gate"]["weights"]["kernel"][t] + p["gate"]["weights"]["bias"][t]
        else:
            z, alpha = p["gate"]["bits"][t], p["gate"]["weights"][t]
        r = [selector(z[i], model.gamma, model.num_experts) for i in range(k)]
        weights = np.exp(alpha) / np.exp(alpha).sum()
        gate = sum(weights[i] * r[i] for i in range(k))
        h = sum(gate[e] * experts[e] for e in range(model.num_experts))
        out = p["heads"][f"output_{t}"]
        columns.extend(h @ out["kernel"] + out["bias"])
        gates.append(gate)
        uncertain += sum(entropy(r[i]) for i in range(k))
        missed += sum(1 / r[i].sum() - 1 for i in range(k))
    return np.array(columns), np.array(gates), uncertain, missed


def widened(p, scale):
    """Bits far from 0 as well as near it, so that all parts of the smooth step are met."""
    keys = iter(range(10))
    return jax.tree.map(
        lambda leaf: np.random.default_rng(next(keys)).normal(size=leaf.shape) * scale, p
    )


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize(("experts", "selected"), [(4, 2), (5, 3)])
def test_forward_and_penalties(drawn, close, experts, selected, per_example):
    model = DSelectK(
        num_experts=experts,
        experts=(6,),
        selected=selected,
        gamma=1.5,
        entropy=0.3,
        reach=0.2,
        per_example=per_example,
        outputs=(2, 1),
    )
    case = drawn(model)
    case.params64["gate"] = widened(case.params64["gate"], 0.2 if per_example else 0.5)
    rows = [literal(model, case.params64, row) for row in case.x64]
    outputs, sown = case.apply(mutable=["penalties"])
    close(outputs, [row[0] for row in rows])
    close(case.apply("gates"), [row[1] for row in rows])
    penalties = sown["penalties"]["gate"]
    close(penalties["entropy"][0], 0.3 * np.mean([row[2] for row in rows]))
    assert ("reach" in penalties) == (experts == 5)
    if "reach" in penalties:
        np.testing.assert_allclose(
            penalties["reach"][0], 0.2 * np.mean([row[3] for row in rows]), rtol=1e-4
        )


def test_smooth_step_is_exact_outside_and_flat_at_the_ends():
    z = jnp.array([-3.0, -1.0, -0.3, 0.0, 0.4, 1.0, 3.0])
    np.testing.assert_allclose(smooth_step(z, 2.0), [step(v, 2.0) for v in z], rtol=1e-6)
    slopes = jax.vmap(jax.grad(lambda v: smooth_step(v, 2.0)))(z)
    np.testing.assert_allclose(slopes[jnp.array([0, 6])], 0)
    np.testing.assert_allclose(slopes[3], 0.75)


def test_gradients_stay_finite_where_bits_are_settled(drawn):
    model = DSelectK(num_experts=3, selected=1, outputs=(1, 1))
    case = drawn(model)
    params = case.params
    # Task 0 has settled on expert 2, task 1 on the number 3, which no expert has.
    params["gate"]["bits"] = jnp.array([[[-4.0, 4.0]], [[4.0, 4.0]]])

    def loss(p):
        outputs, sown = model.apply({"params": p}, case.x, mutable=["penalties"])
        return (outputs**2).sum() + sum(leaf.sum() for leaf in jax.tree.leaves(sown))

    gates = jax.jit(lambda p: model.apply({"params": p}, case.x, method="gates"))(params)
    assert gates[0].tolist() == [[0, 0, 1], [0, 0, 0]]
    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    assert jnp.isfinite(value)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.slow
def test_training_adds_the_penalty_to_the_loss(drawn):
    # One step of plain gradient descent, against the gradient of losses and penalties by hand.
    model = DSelectK(num_experts=3, selected=2, gamma=4.0, entropy=0.5, outputs=(1, 1))
    case = drawn(model, shape=(16, 5))
    params, x, y = case.params, case.x, case.x[:, :2]

    @jax.jit
    @jax.grad
    def gradient(p, strength):
        outputs, sown = model.apply({"params": p}, x, mutable=["penalties"])
        penalty = sum(leaf.sum() for leaf in jax.tree.leaves(sown))
        return ((outputs - y) ** 2).mean(axis=0).sum() + strength * penalty

    run = fit(
        model,
        Splits(train=Rows(x, y)),
        params=params,
        epochs=1,
        batch_size=16,
        learning_rate=0.1,
        optimizer=optax.sgd,
    )
    for strength in (1.0, 0.0):
        expected = params["gate"]["bits"] - 0.1 * gradient(params, strength)["gate"]["bits"]
        agrees = np.allclose(run.params["gate"]["bits"], expected, rtol=1e-5, atol=1e-6)
        assert agrees == bool(strength)


@pytest.mark.slow
def test_training_makes_gates_sparse(drawn):
    model = DSelectK(num_experts=4, experts=(4,), selected=2, entropy=0.5, outputs=(1, 1))
    case = drawn(model, shape=(32, 5))
    case.params64["gate"]["bits"] *= 0.1  # all bits undecided
    data = Splits(train=Rows(case.x, case.x[:, :2]))
    run = fit(model, data, params=case.params, epochs=60, batch_size=32, learning_rate=2e-2)
    gates = model.apply({"params": run.params}, case.x[:1], method="gates")[0]
    assert (case.apply("gates")[0] > 0.01).all()
    assert ((gates > 0.01).sum(axis=1) <= 2).all()
    np.testing.assert_allclose(gates.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"selected": 5}, "selected: expected between 1 and num_experts"),
        ({"selected": 0}, "selected: expected between 1 and num_experts"),
        ({"num_experts": 1, "selected": 1}, "at least 2 experts, got 1 of 1"),
        ({"gamma": 0.0}, "gamma: expected a number > 0"),
        ({"entropy": -1.0}, "entropy: expected a number >= 0"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(ValueError, match=message):
        DSelectK(**fields)
