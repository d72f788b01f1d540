"""Settings of methods as traced numbers: all that are real, of every method there is."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from aggregation.cases import TASKS, arguments, random_rows, stacked

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.settings import real_settings

FACTORIES = {
    **{name: row.factory for name, row in (ag.REGISTRY | ag.LOSS_METHODS).items()},
    "auto_lambda": ag.auto_lambda,
    "preferred": lambda preferences: ag.preferred(ag.pcgrad(), preferences),
}
pytestmark = pytest.mark.few_optimizations
REAL = {name: real_settings(factory) for name, factory in FACTORIES.items()}
REAL["preferred"] = ("preferences",)
# What the others are left at, where the default would hide a setting.
BESIDE = {"rlw": {"distribution": "dirichlet"}}
# A first and a second value, where 0.6 times the default, or 0.2 for 0, is none.
VALUES = {
    ("recon", "threshold"): (0.0, -0.4),
    ("sdmgrad", "learning_rate"): (0.2, 0.1),  # 10 makes the inner iteration chaotic
    ("dwa", "period"): (2.0, 1.0),
    ("pcd", "eps"): (1e-8, 0.5),
    ("nash_mtl", "max_norm"): (1.0, 0.3),
    ("and_mask", "tau"): (1.0, 0.3),
}
VECTORS = ("weights", "preferences")
EVEN, UNEVEN = (0.25,) * TASKS, (0.5, 1.0, 2.0, 1.5)


def values_of(name, setting):
    if setting in VECTORS:
        return EVEN, UNEVEN
    default = inspect.signature(FACTORIES[name]).parameters[setting].default
    return VALUES.get((name, setting)) or (default, 0.6 * default or 0.2)


def in_two_steps(method):
    """What two updates give, so that settings count that show in the second only."""
    given = arguments()
    if isinstance(method, ag.Aggregator):
        rows = [stacked(random_rows(seed)) for seed in range(2)]

        def update(state, grads):
            grads, state, info = method.update(grads, state, **given)
            return state, (grads, info.weights)

        return jax.lax.scan(
            update, method.init(rows[0]), jax.tree.map(lambda *two: jnp.stack(two), *rows)
        )
    if isinstance(method, ag.AutoLambda):
        data, step = jnp.asarray(random_rows(0), jnp.float32), lambda w, g: w - 0.1 * g
        losses = lambda w, x: ((x - w[None]) ** 2).mean(axis=1)  # noqa: E731
        return method.weigh(losses, data[0], method.init(TASKS), data, 0.5 * data, step)[:2]

    def turn(state, fall):
        losses = given["losses"] * fall
        loss, state, weights = method.scalarize(losses, state, key=given["key"])
        if method.observe is not None:
            state = method.observe(0.9 * losses, state)
        return state, (loss, weights)

    falls = jnp.outer(jnp.array([1.0, 0.9, 0.6, 0.5]), jnp.array([1.0, 0.9, 0.8, 0.7]))
    return jax.lax.scan(turn, method.init(TASKS), falls)


def close(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def differ(ours, theirs):
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return any(not np.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in pairs)


@pytest.mark.parametrize("name", [name for name, settings in REAL.items() if settings])
def test_every_real_setting_may_be_mapped_over(name):
    """One program: first values, each setting's second, and all second ones, these as numbers too."""
    both = {setting: values_of(name, setting) for setting in REAL[name]}
    first, second = ({setting: pair[at] for setting, pair in both.items()} for at in (0, 1))
    rows = [first, *({**first, setting: second[setting]} for setting in both), second]
    table = jax.tree.map(lambda *column: np.stack(column), *map(arrays, rows))

    def outcome(settings):
        return in_two_steps(FACTORIES[name](**BESIDE.get(name, {}), **settings))

    mapped, literal = jax.jit(lambda table: (jax.vmap(outcome)(table), outcome(second)))(table)
    found = [jax.tree.map(lambda leaf, row=row: leaf[row], mapped) for row in range(len(rows))]
    close(found[-1], literal)
    for setting, ours in zip(both, found[1:], strict=False):
        assert differ(ours, found[0]), setting


def arrays(row):
    return {name: np.asarray(value, np.float32) for name, value in row.items()}
