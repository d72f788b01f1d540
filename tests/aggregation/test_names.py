"""Losses by name, the one layout of an info, and what is refused by name."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxmtl
import jaxmtl.aggregation as ag
from jaxmtl.gradients import trunk_gramian

X = jnp.array([1.0, -1.0])
PARAMS = (jnp.array([1.0, 0.5]), jnp.array([2.0, -1.0]))


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Losses:
    price: Any
    demand: Any


class Pair(NamedTuple):
    price: Any
    demand: Any


FORMS = {
    "dict": lambda demand, price: {"price": price, "demand": demand},
    "tuple": lambda demand, price: Pair(price, demand),
    "dataclass": lambda demand, price: Losses(price, demand),
}


def losses_of(params, x):
    return ((params[0] * params[1] - x) ** 2).mean(), ((params[0] + params[1] * x) ** 2).mean()


def of_form(form):
    return lambda params, x: FORMS[form](*losses_of(params, x))


def vector(params, x):
    return jnp.stack(losses_of(params, x))


def trunk(params, x):
    return params * x


def steps(form):
    """One step of every engine for a loss of that form; None for a vector."""
    loss_fn = vector if form is None else of_form(form)

    def heads(params, z, x):
        first, second = (z * params).mean(), ((z - params) ** 2).mean()
        return jnp.stack([first, second]) if form is None else FORMS[form](first, second)

    split, sgd = ag.SplitLoss(trunk, heads), optax.sgd(0.1)
    return [
        ag.aggregated_step(loss_fn, ag.gradnorm(), sgd),
        ag.gramian_step(loss_fn, ag.gradnorm(), sgd),
        ag.gramian_step(split, ag.gradnorm(), sgd, head_gradients="weighted"),
        ag.feature_step(split, ag.gradnorm(), sgd, "weighted"),
        ag.scalarized_step(loss_fn, ag.uncertainty(), sgd),
    ]


def test_losses_by_name_are_the_vector_to_the_bit():
    @jax.jit
    def run():
        return [
            [step(PARAMS, init(PARAMS, X), X) for init, step in steps(form)]
            for form in (None, "dict")
        ]

    for plain, named in zip(*run(), strict=True):
        assert (plain[2].names, named[2].names) == (None, ("demand", "price"))
        for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(named), strict=True):
            np.testing.assert_array_equal(a, b)
        info = named[2]
        scalars = {name: float(value) for name, value in info.scalars().items()}
        assert scalars["loss/price"] == info.losses[1]
        assert scalars["weight/demand"] == info.weights[0]
        np.testing.assert_allclose(scalars["loss"], info.loss)
        assert set(scalars) - {"conflict_rate", "converged", "residual"} == {
            *("loss/demand", "loss/price", "weight/demand", "weight/price", "loss"),
        }
        assert ("converged" in scalars) == (info.aggregation is not None)
        assert "loss/0" in plain[2].scalars()
        if info.aggregation is not None:
            np.testing.assert_allclose(info.loss, info.weights @ info.losses, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_names_are_in_the_order_of_the_leaves(form):
    losses, grads = jax.jit(jaxmtl.task_gradients(of_form(form)))(PARAMS, X)
    assert type(losses) is type(of_form(form)(PARAMS, X))
    expected, rows = jax.jit(jaxmtl.task_gradients(vector))(PARAMS, X)
    order = [0, 1] if form == "dict" else [1, 0]
    np.testing.assert_array_equal(jnp.stack(jax.tree.leaves(losses)), expected[np.array(order)])
    np.testing.assert_array_equal(grads[0], rows[0][np.array(order)])
    init, step = ag.aggregated_step(of_form(form), ag.sum(), optax.sgd(0.1))
    info = jax.eval_shape(step, PARAMS, init(PARAMS, X), X)[2]
    assert info.names == (("demand", "price") if order == [0, 1] else ("price", "demand"))
    init, step = ag.auto_lambda_step(of_form(form), optax.sgd(0.1), look_ahead=0.1)
    assert jax.eval_shape(step, PARAMS, init(PARAMS, X), X, X)[2].losses.shape == (2,)


def test_scalars_of_groups_of_scans_and_of_methods_without_weights():
    grouped = ag.aggregated_step(of_form("dict"), ag.grouped(ag.gradnorm()), optax.sgd(0.1))
    found = jax.jit(grouped.step)(PARAMS, grouped.init(PARAMS, X), X)[2]
    scalars = found.scalars()
    assert found.loss is None
    assert all(value.shape == () for value in scalars.values())
    assert scalars["weight/1/price"] == found.weights[1, 1]
    assert scalars["conflict_rate/0"] == found.aggregation.conflict_rate[0]

    init, step = ag.aggregated_step(of_form("dict"), ag.trimmed_mean(0), optax.sgd(0.1))

    def body(carry, x):
        *carry, info = step(*carry, x)
        return tuple(carry), info

    xs = jnp.stack([X, 2 * X, X])
    _, infos = jax.lax.scan(body, (PARAMS, init(PARAMS, X)), xs)
    assert infos.names == ("demand", "price")
    assert set(infos.scalars()) == {
        *("loss/demand", "loss/price", "conflict_rate", "converged", "residual"),
    }
    np.testing.assert_array_equal(infos.scalars()["loss/price"], infos.losses[:, 1])


def test_what_a_loss_or_parameters_may_not_be_is_told_by_name():
    def made(loss_fn, **given):
        return ag.aggregated_step(loss_fn, ag.sum(), optax.sgd(0.1), **given)

    for loss_fn, given, text in (
        (lambda p, x: {"price": p[0] * x}, {}, "got shape .2,. for the task 'price'"),
        (lambda p, x: {}, {}, "expected one loss a task, got an empty dict"),
        (lambda p, x: None, {}, "got None: return the losses"),
        (lambda p, x: (vector(p, x), x), {}, "got a tuple: jnp.stack it, or ask for has_aux=True"),
        (vector, {"has_aux": True}, r"loss_fn: expected a pair \(losses, aux\) with has_aux=True"),
        (lambda p, x: (vector(p, x), x, x), {"has_aux": True}, "got 3 parts"),
    ):
        with pytest.raises(ValueError, match=text):
            made(loss_fn, **given).init(PARAMS, X)
    split = ag.SplitLoss(trunk, lambda p, z, x: jnp.stack([z.sum(), p.sum()]))
    with pytest.raises(ValueError, match="has_aux: expected it of the SplitLoss"):
        ag.gramian_step(split, ag.mgda(), optax.sgd(0.1), has_aux=True)
    with pytest.raises(ValueError, match=r"trunk: expected a pair \(features, aux\)"):
        trunk_gramian(dataclasses.replace(split, has_aux=True))(PARAMS, X)
    for leaf, got in (
        (jnp.int32(3), "int32"),
        (3, "int"),
        (jnp.array([True]), "bool"),
        (jax.random.key(0), r"key<fry>"),
    ):
        with pytest.raises(
            ValueError, match=rf"params\['n'\]: .* floating array, got {got}: train"
        ):
            made(lambda p, x: vector(p["w"], x)).init({"w": PARAMS, "n": leaf}, X)


def test_states_of_nnx_are_parameters_alone():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(2, 2, rngs=rngs)
            self.norm = nnx.BatchNorm(2, rngs=rngs)

    graph, params, rest = nnx.split(Net(nnx.Rngs(0)), nnx.Param, ...)

    def loss_fn(params, x, rest):
        model = nnx.merge(graph, params, rest, copy=True)
        losses = (model.norm(model.layer(x)) ** 2 + 0.1).mean(axis=0)
        return losses, nnx.state(model, nnx.BatchStat)

    init, step = ag.aggregated_step(loss_fn, ag.sum(), optax.sgd(0.1), has_aux=True)
    x = jnp.array([[1.0, 2.0], [0.0, -1.0], [2.0, 2.0]])
    _, _, info = jax.jit(step)(params, init(params, x, rest), x, rest)
    assert jax.tree.structure(info.aux) == jax.tree.structure(rest)
    moved = zip(jax.tree.leaves(info.aux), jax.tree.leaves(rest), strict=True)
    assert all((a != b).any() for a, b in moved)
    whole = nnx.state(Net(nnx.Rngs(0)))
    for given in (whole, {"trunk": whole}, {"trunk": Net(nnx.Rngs(0))}):
        with pytest.raises(ValueError, match=r"got the nnx (state State|module Net) whose stat"):
            init(given, x, rest)
