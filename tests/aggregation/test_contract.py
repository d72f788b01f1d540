"""What every aggregator of the registry must hold, in float32."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from aggregation.cases import HARD, TASKS, arguments, example, flat, random_rows, stacked
from some_cases import some

import jaxmtl.aggregation as ag

NAMES = sorted(ag.REGISTRY)
# Methods that draw, whose draw for fewer tasks is another one.
DRAWS = {"random"}
# One of each way to weights: fixed, by order, a program, a recurrence, a rule an entry.
KINDS = ("mean", "pcgrad", "mgda", "gradnorm", "graddrop")
each_kind = pytest.mark.parametrize("name", some(NAMES, *KINDS))
# Programs within programs, which compile longest; in double precision all of them are run.
LONG = {"cagrad", "pcd", "aligned_mtl", "nash_mtl", "gradvac", "cr_mogm", "fairgrad", "dualproj"}
nearly_all = pytest.mark.parametrize("name", some(NAMES, *sorted(set(NAMES) - LONG)))
NO_WEIGHTS = {"graddrop", "trimmed_mean", "and_mask", "sand_mask"}


class Compiled:
    """The jitted update of a method, and how often it was traced."""

    def __init__(self, name):
        self.aggregator, self.traces = example(name), 0

        @jax.jit
        def update(grads, state, given):
            self.traces += 1
            return self.aggregator.update(grads, state, **given)

        self.update = update

    def init(self, rows):
        return self.aggregator.init(stacked(rows))


@pytest.fixture(scope="module")
def compiled():
    made = {}
    return lambda name: made.setdefault(name, Compiled(name))


@functools.cache
def hard_rows():
    return {case: stacked(rows) for case, rows in HARD.items()}


def same_types(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype, x.weak_type) == (y.shape, y.dtype, y.weak_type)


def close(a, b, rtol=1e-4):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = np.asarray(x, float), np.asarray(y, float)
            size = np.nanmax(np.abs(x), initial=1e-2)
            np.testing.assert_allclose(x / size, y / size, rtol=0, atol=rtol)


@pytest.mark.parametrize("name", some(NAMES, "mean", "gradnorm"))
def test_eager_equals_jit_traced_once_with_a_stable_state(name, compiled):
    method = compiled(name)
    start = state = method.init(random_rows(0))
    for seed in range(3):
        eager_state = state
        grads, state, info = method.update(stacked(random_rows(seed)), state, arguments())
        same_types(state, start)
        assert jax.tree.map(jnp.shape, grads) == {"b": (3,), "w": (2, 2)}
        assert (info.weights is None) == (name in NO_WEIGHTS)
        assert info.weights is None or info.weights.shape == (TASKS,)
        assert info.cosines.shape == (TASKS, TASKS)
        assert (info.conflict_rate >= 0) & (info.conflict_rate <= 1)
        assert info.converged
    assert method.traces == 1
    with jax.debug_nans(True):
        eager = method.aggregator.update(stacked(random_rows(2)), eager_state, **arguments())
    close(eager, (grads, state, info))
    rows = random_rows(2)
    unit = rows / np.linalg.norm(rows, axis=1)[:, None]
    np.testing.assert_allclose(info.cosines, unit @ unit.T, rtol=0, atol=1e-5)
    if method.aggregator.weighted:
        np.testing.assert_allclose(
            np.asarray(info.weights) @ rows, flat(grads), rtol=1e-3, atol=1e-4
        )


@nearly_all
def test_works_in_the_stricter_modes_of_jax(name, compiled):
    method, rows = compiled(name), stacked(random_rows(3))
    someone = jnp.asarray([True, False, True, True])
    given, other, before = arguments(), arguments() | {"present": someone}, method.traces
    # One mode after the other: to look for NaN moves values to the host.
    with jax.transfer_guard("disallow"):
        state = method.aggregator.init(rows)
        _, state, _ = method.update(rows, state, given)
    with jax.debug_nans(True):
        grads, state, _ = method.update(rows, state, other)
    assert np.isfinite(flat(grads)).all()
    assert method.traces == max(before, 1)
    # Types are promoted while it is traced; nothing has to be compiled.
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(lambda r, g: method.aggregator.update(r, state, **g), rows, arguments())


@each_kind
def test_vmap_over_seeds_equals_the_loop(name, compiled):
    method = compiled(name)
    rows = [random_rows(seed) for seed in range(3)]
    state = method.init(rows[0])
    looped = [method.update(stacked(r), state, arguments()) for r in rows]
    looped = jax.tree.map(lambda *leaves: jnp.stack(leaves), *looped)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[stacked(r) for r in rows])
    mapped = jax.jit(jax.vmap(lambda g: method.aggregator.update(g, state, **arguments())))
    close(mapped(batch), looped)


@each_kind
def test_absent_tasks_count_as_never_given(name, compiled):
    if name in DRAWS or name == "pcd":  # pcd: the first task leads; see its own test
        return
    method, rows = compiled(name), random_rows(11)
    keep = np.array([0, 1, 3])
    present = jnp.asarray([True, True, False, True])
    holes = rows.copy()
    holes[2] = np.nan
    start = method.init(rows)
    state = start
    for _ in range(2):
        given = arguments()
        losses = jnp.where(present, given["losses"], jnp.nan)
        given |= {"present": present, "losses": losses}
        masked, state, info = method.update(stacked(holes), state, given)
    fewer = ag.constant([0.5, 1.0, 1.5]) if name == "constant" else example(name)
    order = np.stack(
        [[list(keep).index(s) for s in row if s != 2] for row in np.asarray(given["order"])[keep]]
    )
    rest = {"losses": given["losses"][keep], "order": jnp.asarray(order)}
    update = jax.jit(lambda grads, state, key: fewer.update(grads, state, key=key, **rest))
    small = fewer.init(stacked(rows[keep]))
    for _ in range(2):
        expected, small, small_info = update(stacked(rows[keep]), small, arguments()["key"])
    np.testing.assert_allclose(flat(masked), flat(expected), rtol=2e-4, atol=1e-5)
    if method.aggregator.weighted:
        np.testing.assert_allclose(info.weights[keep], small_info.weights, rtol=1e-3, atol=1e-5)
        assert info.weights[2] == 0
    np.testing.assert_allclose(info.conflict_rate, small_info.conflict_rate, rtol=1e-6)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state))


@nearly_all
def test_hard_inputs_stay_finite_and_nan_is_not_swallowed(name, compiled):
    method = compiled(name)
    for case, rows in hard_rows().items():
        state = method.aggregator.init(rows)
        for _ in range(2):
            grads, state, info = method.update(rows, state, arguments())
            assert np.isfinite(flat(grads)).all(), case
            assert np.isfinite(info.residual), case
            if method.aggregator.weighted:
                assert np.isfinite(info.weights).all(), case
        for leaf in jax.tree.leaves(state):
            assert bool(jnp.isfinite(leaf).all()), case
    bad = random_rows(0)
    bad[1, 0] = np.nan
    grads, _, _ = method.update(stacked(bad), method.init(bad), arguments())
    assert np.isnan(flat(grads)).any()
    assert method.traces == 1


@pytest.mark.parametrize("name", some(["mean", "upgrad", "trimmed_mean"], "mean", "trimmed_mean"))
def test_bfloat16_parameters_keep_their_type_and_a_float32_gram(name):
    aggregator = example(name)
    grads = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), stacked(random_rows(0)))
    found, _, info = jax.jit(lambda g: aggregator.update(g, aggregator.init(g)))(grads)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    assert info.cosines.dtype == jnp.float32
    exact = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), grads)
    expected = jax.jit(lambda g: aggregator.update(g, aggregator.init(g))[0])(exact)
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-2, atol=1e-2)


def test_the_registry_has_one_file_a_method_with_a_complete_docstring():
    for name, method in ag.REGISTRY.items():
        assert inspect.getmodule(method.factory).__name__ == f"jaxmtl.aggregation.{name}"
        text = inspect.getdoc(method.factory)
        assert "Returns:" in text, name
        assert "Example:" in text, name
        assert method.paper == "-" or "References:" in text, name
        parameters = inspect.signature(method.factory).parameters
        assert ("Args:" in text) == bool(parameters), name


def test_bad_input_is_told_in_one_sentence():
    rows = stacked(random_rows(0))
    with pytest.raises(ValueError, match="expected one of .* got 'nonsense'"):
        ag.make("nonsense")
    with pytest.raises(ValueError, match=r"task_grads\['w'\]: expected 4 tasks .* \(3, 2, 2\)"):
        ag.mean().update({**rows, "w": rows["w"][:3]}, ())
    with pytest.raises(ValueError, match="losses: expected shape"):
        ag.gradnorm().update(rows, ag.gradnorm().init(rows), losses=jnp.ones(3))
    with pytest.raises(ValueError, match="gradnorm: expected losses"):
        ag.gradnorm().update(rows, ag.gradnorm().init(rows))
    with pytest.raises(ValueError, match="pcgrad: expected a jax.random.key"):
        ag.pcgrad().update(rows, ())
    with pytest.raises(ValueError, match="upgrad: expected preferences of shape"):
        ag.upgrad([1.0, 2.0]).update(rows, ())
    with pytest.raises(ValueError, match="two further batches"):
        ag.modo().update(rows, ag.modo().init(rows), extra_task_grads=(rows,))
    with pytest.raises(ValueError, match="krum: expected at least 5 tasks"):
        ag.krum(2).update(rows, ())
    with pytest.raises(ValueError, match="more than 4 tasks"):
        ag.trimmed_mean(2).init(rows)
    with pytest.raises(ValueError, match="floating type"):
        ag.mean().update(jnp.ones((2, 3), int), ())
    with pytest.raises(ValueError, match="weighted sum"):
        ag.cr_mogm(ag.graddrop())
    with pytest.raises(ValueError, match="only the Gram matrix"):
        ag.trimmed_mean().weights(jnp.eye(3))
    with pytest.raises(ValueError, match="scale: expected one of"):
        ag.aligned_mtl("max")
    with pytest.raises(ValueError, match="c: expected a number >= 0"):
        ag.cagrad(-1.0)
