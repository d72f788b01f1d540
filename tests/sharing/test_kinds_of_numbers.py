"""Views of half-precision parameters, of Equinox's state, and of as many tasks as one likes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmtl.aggregation as ag
from jaxmtl import task_gradients
from jaxmtl.sharing import (
    compact,
    enlarge,
    find_units,
    merge,
    open_banks,
    split,
    task_view,
    view_losses,
)

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
GROUPS = {"first": [("first", -1)], "second": ["second"]}


def params_of(tasks, dtype=jnp.float32):
    rng = np.random.default_rng(1)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), dtype)

    return {
        "first": {"kernel": draw(3, 4), "bias": draw(4)},
        "second": {"kernel": draw(4, 4)},
        "heads": draw(4, tasks),
    }


def outputs(params, x):
    h = jnp.tanh(x.astype(params["heads"].dtype) @ params["first"]["kernel"])
    return (
        jnp.tanh((h + params["first"]["bias"][None]) @ params["second"]["kernel"])
        @ (params["heads"])
    )


def loss_fn(params, x):
    return (outputs(params, x).astype(jnp.float32) ** 2).mean(axis=0)


def test_half_precision_stays_what_it_is():
    banks, pointers = open_banks(params_of(3, jnp.bfloat16), GROUPS, num_tasks=3, capacity=6)
    optimizer = optax.adam(0.1)
    init, step = ag.aggregated_step(view_losses(loss_fn), "sum", optimizer)
    moving = np.array([False, True, True])

    @jax.jit
    def parted(banks, pointers):
        opt_state = optimizer.init(banks)
        one = split(banks, pointers, "first", 2, moving, opt_state=opt_state)
        two = split(one.banks, one.pointers, "second", 0, moving, opt_state=one.opt_state)
        return two, [
            outputs(task_view(*given, task), X)
            for given in ((banks, pointers), two[:2])
            for task in range(3)
        ]

    apart, found = parted(banks, pointers)
    for before, after in zip(found[:3], found[3:], strict=True):
        assert before.dtype == jnp.bfloat16
        np.testing.assert_array_equal(before, after)
    trained, _, info = jax.jit(step)(
        apart.banks, init(apart.banks, X, apart.pointers), X, apart.pointers
    )
    assert np.isfinite(info.losses).all()
    joined = merge(trained, apart.pointers, "first", 2, 4, opt_state=apart.opt_state)
    for tree in (apart.banks, trained, joined.banks, compact(trained, apart.pointers)[0]):
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.bfloat16.dtype}
    moved = np.asarray(trained["first"]["kernel"] != apart.banks["first"]["kernel"])
    assert moved[:, :5].any(axis=0).all()
    assert not moved[:, 5].any()  # nobody reads it
    mean = np.asarray(trained["first"]["bias"], np.float32)[np.array([2, 4, 4])].mean()
    np.testing.assert_allclose(float(joined.banks["first"]["bias"][2]), mean, rtol=1e-2)


class EquinoxNorm(eqx.Module):
    """A layer with BatchNorm, and the heads."""

    layer: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    heads: eqx.nn.Linear

    def __init__(self, tasks, key):
        self.layer = eqx.nn.Linear(3, 4, key=key)
        self.norm = eqx.nn.BatchNorm(4, axis_name="batch", mode="ema")
        self.heads = eqx.nn.Linear(4, tasks, key=jax.random.clone(key))

    def __call__(self, x, state):
        x, state = self.norm(self.layer(x), state)
        return self.heads(jnp.tanh(x)), state


def test_the_running_statistics_of_equinox_follow_their_column():
    model, state = eqx.nn.make_with_state(EquinoxNorm)(2, jax.random.key(0))
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    groups, left_out = find_units(params, state)
    assert {"1/0", "1/1"} < set(left_out)  # Equinox names its state by numbers
    groups = {"layer": [*groups["layer"], ("1", 0)]}
    banks, pointers = open_banks(params, groups, 2, others=[state], capacity=5)
    apart = split(
        *(banks, pointers, "layer", 1, [1]),
        stats=enlarge(state, pointers),
        opt_state=optax.sgd(0.1, momentum=0.9).init(banks),
    )

    def losses(params, x, state):
        forward = jax.vmap(
            eqx.combine(params, rest), in_axes=(0, None), out_axes=(0, None), axis_name="batch"
        )
        found, state = forward(x, state)
        return (found**2).mean(axis=0), state

    views = view_losses(losses, has_stats=True)
    # The copy sees other inputs than its original from now on.
    bias = apart.banks.layer.bias.at[4].add(1.0)
    moved = eqx.tree_at(lambda banks: banks.layer.bias, apart.banks, bias)

    @jax.jit
    def three(moved):
        alone = losses(params, X, state), views(banks, X, pointers, enlarge(state, pointers))
        return *alone, views(moved, X, apart.pointers, apart.stats)

    (one, updated), (same, pooled), (_, after) = three(moved)
    np.testing.assert_allclose(one, same, rtol=1e-6)
    means = [jax.tree.leaves(tree)[1] for tree in (updated, pooled, after)]
    np.testing.assert_allclose(means[0], means[1][:4], rtol=1e-6)
    np.testing.assert_allclose(means[2][:4], means[0], rtol=1e-6)
    # The copy's inputs lie 1 higher, which the first step takes in as a whole.
    np.testing.assert_allclose(means[2][4] - means[2][1], 1, rtol=1e-4)
    for task, column in ((0, 1), (1, 4)):
        view = jax.tree.leaves(task_view(after, apart.pointers, task))[1]
        assert float(view[1]) == float(means[2][column])


def test_what_is_compiled_grows_at_most_linearly_with_the_tasks():
    def operations(tasks):
        banks, pointers = open_banks(params_of(tasks), GROUPS, tasks, capacity={"first": 6})
        gradients = task_gradients(view_losses(loss_fn))
        text = jax.jit(gradients).lower(banks, X, pointers).as_text()
        return sum(" = " in line for line in text.splitlines())

    two, four, six = map(operations, (2, 4, 6))
    assert 0 < six - four <= 1.05 * (four - two)


@pytest.mark.parametrize("capacity", [0, 3.5, {"first": -1}])
def test_a_capacity_that_is_none_names_the_leaf(capacity):
    with pytest.raises(ValueError, match="capacity of group 'first', of 'first/.*: expected"):
        open_banks(params_of(2), GROUPS, 2, capacity=capacity)
