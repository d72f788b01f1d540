"""Settings of methods as traced numbers: all that are real, of every method there is."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from aggregation.cases import TASKS, arguments, random_rows, stacked
from some_cases import some

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
    ("dwa", "period"): (1.0, 2.0),
    ("igb", "period"): (1.0, 2.0),
    ("pcd", "eps"): (1e-8, 0.5),
    ("gradnorm", "alpha"): (0.0, 6.0),  # of which only a sign is used
    ("nash_mtl", "max_norm"): (1.0, 0.3),
    ("and_mask", "tau"): (1.0, 0.3),
    ("sand_mask", "k"): (10.0, 0.3),
    ("auto_lambda", "weight_rate"): (0.01, 0.05),
}
# A recurrence, a smooth maximum; that of an equation is differentiated below.
KEPT = ("gradnorm", "stch")
FIRST = ("fairgrad", "alpha", 1.3)
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

        falling = jnp.stack([given["losses"], given["losses"] * jnp.linspace(0.5, 0.9, TASKS)])

        def update(state, now):
            given = arguments() | {"losses": now[1]}  # the same key on purpose
            grads, state, info = method.update(now[0], state, **given)
            return state, (grads, info.weights)

        steps = jax.tree.map(lambda *two: jnp.stack(two), *rows), falling
        return jax.lax.scan(update, method.init(rows[0]), steps)
    if isinstance(method, ag.AutoLambda):
        data, step = jnp.asarray(random_rows(0), jnp.float32), lambda w, g: w - 0.1 * g
        losses = lambda w, x: ((x - w[None]) ** 2).mean(axis=1)  # noqa: E731
        return method.weigh(losses, data[0], method.init(TASKS), data, 0.5 * data, step)[:2]

    def turn(state, fall):
        losses = given["losses"] * fall
        loss, state, weights = method.scalarize(losses, state, key=arguments()["key"])
        if method.observe is not None:
            state = method.observe(0.9 * losses, state)
        return state, (loss, weights)

    falls = jnp.linspace(1, 0.5, TASKS)[None] ** jnp.arange(4.0)[:, None]
    return jax.lax.scan(turn, method.init(TASKS), falls)


def close(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def differ(ours, theirs):
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return any(not np.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in pairs)


@pytest.mark.parametrize("name", some([name for name in REAL if REAL[name]], *KEPT))
def test_every_real_setting_may_be_mapped_over(name):
    """One program: first values, each setting's second, all second ones, and these as numbers."""
    rows = rows_of(name)
    table = jax.tree.map(lambda *column: np.stack(column), *map(arrays, rows))
    mapped, literal = jax.jit(
        lambda table: (jax.vmap(lambda row: outcome(name, row))(table), outcome(name, rows[-1]))
    )(table)
    found = [jax.tree.map(lambda leaf, at=at: leaf[at], mapped) for at in range(len(rows))]
    close(found[-1], literal)
    for setting, ours in zip(REAL[name], found[1:], strict=False):
        assert differ(ours, found[0]), setting


def outcome(name, settings):
    return in_two_steps(FACTORIES[name](**BESIDE.get(name, {}), **settings))


def rows_of(name):
    both = {setting: values_of(name, setting) for setting in REAL[name]}
    first, second = ({setting: pair[at] for setting, pair in both.items()} for at in (0, 1))
    return [first, *({**first, setting: second[setting]} for setting in both), second]


def test_no_real_setting_stops_at_a_tracer():
    for name, settings in REAL.items():
        if settings and name not in KEPT:
            jax.eval_shape(lambda row, name=name: outcome(name, row), arrays(rows_of(name)[-1]))


def test_what_must_be_known_says_so():
    static = []
    for name, factory in FACTORIES.items():
        for each in inspect.signature(factory).parameters.values():
            if each.name in (*REAL[name], "aggregator") or "Transformation" in str(each.annotation):
                continue
            given = {each.name: jnp.ones(2)}
            with pytest.raises(ValueError, match=f"^{each.name}: .* static"):
                jax.vmap(lambda given, factory=factory: factory(**given) and 0)(given)
            static.append((name, each.name))
    assert {("krum", "num_selected"), ("cagrad", "rescale"), ("recon", "prefix")} < {*static}


@pytest.mark.parametrize("case", some([FIRST, ("cagrad", "c", 0.4)], FIRST))
def test_settings_are_differentiated(case):
    """Against differences, on the squared length of the result."""
    name, setting, at = case
    gram = jnp.asarray(np.cov(random_rows(2)), jnp.float32)

    @jax.jit
    def length(value):
        weights = FACTORIES[name](**{setting: value}).weights(gram)
        return weights @ gram @ weights

    slope, step = jax.jit(jax.grad(length))(at), 0.02
    np.testing.assert_allclose(
        slope, (length(at + step) - length(at - step)) / (2 * step), rtol=5e-3
    )


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ag.cagrad(jnp.array(-1.0)), r"c: expected a number >= 0, got Array\(-1"),
        (lambda: ag.moco(gamma=0), "gamma: expected a number > 0, got 0"),
        (lambda: ag.pcd(beta=1), r"beta: expected a number in \[0, 1\), got 1"),
        (lambda: ag.recon(threshold=0.1), r"threshold: expected a number in \[-1, 0\], got 0.1"),
        (lambda: ag.stch(mu="x"), "mu: expected a number > 0, got 'x'"),
        (lambda: ag.krum(1.5), "num_byzantine: expected a whole number, got 1.5"),
    ],
)
def test_known_settings_out_of_range_are_named(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def arrays(row):
    return {name: np.asarray(value, np.float32) for name, value in row.items()}
