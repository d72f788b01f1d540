"""The properties that papers promise, on random, degenerate and wildly scaled matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from aggregation import oracles
from aggregation.cases import example
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.registry import LINEAR, SAFE, STATIONARY, SYMMETRIC

TASKS, COLUMNS = 4, 6
NAMES = sorted(ag.REGISTRY)


def matrices(number=6):
    rng = np.random.default_rng(0)
    found = [rng.normal(size=(TASKS, COLUMNS)) - 0.1 for _ in range(number)]
    shared = rng.normal(size=COLUMNS)
    found.append(rng.normal(size=(TASKS, COLUMNS)) + 2 * shared)  # hardly a conflict
    return np.stack(found)


def method(name):
    if name == "cagrad":  # the ball reaches a non-conflicting direction for c >= 1
        return ag.cagrad(1.2)
    return ag.nash_mtl(None) if name == "nash_mtl" else example(name)


@pytest.fixture(scope="module")
def compiled():
    made = {}

    def update(name):
        aggregator = method(name)
        order = jnp.asarray([np.roll(np.arange(TASKS), task) for task in range(TASKS)])

        def first(j, losses, p, key):
            order_now = jnp.argsort(p)[order][p]  # the same visits after a permutation p of rows
            given = {"losses": losses, "key": key, "order": order_now}
            return aggregator.update(j, aggregator.init(j), **given)[::2]

        return jax.jit(jax.vmap(first, in_axes=(0, 0, 0, None)))

    def call(name, js, losses=None, p=None):
        js = np.asarray(js)
        losses = np.full(js.shape[:2], 1.0) if losses is None else losses
        p = np.tile(np.arange(TASKS), (len(js), 1)) if p is None else p
        if name not in made:
            made[name] = update(name)
        pad = 10 - len(js)  # one batch size, one compilation
        args = [np.concatenate([a, np.repeat(a[:1], pad, axis=0)]) for a in (js, losses, p)]
        grads, info = made[name](*args, jax.random.key(0))
        return np.asarray(grads)[: len(js)], jax.tree.map(lambda x: np.asarray(x)[: len(js)], info)

    return call


# Of each property one that has it and one that has not.
KEPT = ("mean", "upgrad", "pcgrad")
WITH_RULE = [name for name in NAMES if ag.make(name, TASKS).rule is not None]


@pytest.mark.parametrize("name", some(NAMES, *KEPT))
def test_properties(name, compiled):
    js = matrices()
    promised = ag.REGISTRY[name].properties
    base, info = compiled(name, js)
    assert info.converged.all()
    size = np.maximum(np.linalg.norm(base, axis=1, keepdims=True), 1e-3)

    if SAFE in promised or name == "cagrad":
        lengths = np.linalg.norm(js, axis=2)
        assert (np.einsum("bij,bj->bi", js, base) >= -1e-9 * lengths * size).all()
    if SYMMETRIC in promised:
        p = np.stack([np.random.default_rng(b).permutation(TASKS) for b in range(len(js))])
        shuffled, _ = compiled(name, np.stack([j[q] for j, q in zip(js, p, strict=True)]), p=p)
        np.testing.assert_allclose(shuffled / size, base / size, rtol=0, atol=1e-8)
    if LINEAR in promised:
        rng = np.random.default_rng(3)
        c1, c2 = 10.0 ** rng.uniform(-3, 3, size=(2, len(js), TASKS, 1))
        if name == "recon":
            c1, c2 = np.abs(c1), np.abs(c2)
        one, two, both = (compiled(name, c * js)[0] for c in (c1, c2, 2 * c1 + 3 * c2))
        scale = np.linalg.norm(both, axis=1, keepdims=True)
        np.testing.assert_allclose(both / scale, (2 * one + 3 * two) / scale, rtol=0, atol=1e-7)
    degree = ag.REGISTRY[name].degree
    if degree is not None:
        for c in (1e-6, 250.0):
            scaled, _ = compiled(name, c * js)
            np.testing.assert_allclose(scaled / c**degree / size, base / size, rtol=0, atol=1e-6)
    if STATIONARY in promised and name != "random":
        # 0 is a combination of the first two rows alone: stationary, not strongly.
        weak = np.zeros((1, TASKS, COLUMNS))
        weak[0, :, :3] = [[1, 0, 0], [-2, 0, 0], [0, 1, 0], [1, 1, 1]]
        assert np.linalg.norm(compiled(name, weak)[0]) > 0.05


@pytest.mark.parametrize("name", some(WITH_RULE, *(name for name in KEPT if name in WITH_RULE)))
def test_right_rotations_change_nothing(name, compiled):
    js = matrices(3)
    q = np.linalg.qr(np.random.default_rng(9).normal(size=(COLUMNS, COLUMNS)))[0]
    turned = compiled(name, js @ q)[0]
    np.testing.assert_allclose(turned, compiled(name, js)[0] @ q, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_mgda_is_shorter_than_any_convex_combination(compiled):
    js = matrices()
    shortest, _ = compiled("mgda", js)
    w = np.random.default_rng(4).dirichlet(np.full(TASKS, 0.4), size=2000)
    others = np.linalg.norm(np.einsum("wi,bij->bwj", w, js), axis=2).min(axis=1)
    assert (np.linalg.norm(shortest, axis=1) <= others + 1e-12).all()


@pytest.mark.slow
def test_cagrad_stays_at_its_distance(compiled):
    js = matrices()
    found, _ = compiled("cagrad", js)
    g0 = js.mean(axis=1)
    distance = np.linalg.norm(found - g0, axis=1)
    np.testing.assert_allclose(distance, 1.2 * np.linalg.norm(g0, axis=1), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("shape", some([(6, 3), (9, 4), (20, 10), (9, 9)], (9, 4)))
def test_cagrad_has_no_gap_to_its_dual_even_where_some_task_must_lose(shape):
    """The dual at any w bounds the worst case of any d in the ball: equal, both are optimal."""
    tasks, rank = shape
    lost = 0
    update = jax.jit(lambda j, c: ag.cagrad(c).update(j, ())[::2])
    for c in (0.1, 0.5, 0.9):
        for seed in range(4):
            rng = np.random.default_rng(seed)
            j = rng.normal(size=(tasks, rank)) @ rng.normal(size=(rank, 15)) / rank
            found, info = update(j, c)
            mean = j.mean(axis=0)
            length = np.linalg.norm(mean)
            np.testing.assert_allclose(np.linalg.norm(found - mean), c * length, rtol=1e-9)
            w = np.maximum(np.asarray(info.weights) - 1 / tasks, 0)
            w /= w.sum()
            dual = w @ j @ mean + c * length * np.linalg.norm(w @ j)
            worst = (j @ found).min()
            assert abs(dual - worst) <= 1e-9 * length * np.linalg.norm(j, axis=1).max()
            lost += worst < -1e-3 * length
    assert lost > 0


def test_aligned_system_has_condition_number_one():
    j = matrices()[0]
    weights = jax.jit(jax.vmap(lambda p: ag.aligned_mtl("min", p).weights(j @ j.T)))
    system = np.asarray(weights(np.eye(TASKS))) @ j
    smallest = np.linalg.eigvalsh(j @ j.T)[0]
    np.testing.assert_allclose(system @ system.T, smallest * np.eye(TASKS), atol=1e-9)


@pytest.mark.slow
def test_wild_scales_lose_nothing(compiled):
    # By the dependence on angles alone: the result on scaled rows follows from that on plain rows.
    js = matrices(3)
    c = 10.0 ** np.array([-10.0, 15.0, 0.0, 4.0])[:, None]
    plain, info = compiled("nash_mtl", js)
    scaled, found = compiled("nash_mtl", c * js)
    np.testing.assert_allclose(scaled, plain, rtol=1e-9)
    np.testing.assert_allclose(found.weights * c[:, 0], info.weights, rtol=1e-9)
    for scaled_j in c * js:
        expected = oracles.upgrad(scaled_j)
        found = compiled("upgrad", scaled_j[None])[0][0]
        np.testing.assert_allclose(found / 1e15, expected / 1e15, rtol=0, atol=1e-9)
        shortest = compiled("mgda", scaled_j[None])[0][0]
        assert np.linalg.norm(shortest) <= np.linalg.norm(scaled_j[0]) * (1 + 1e-9)
        lengths = np.linalg.norm(scaled_j, axis=1) * np.linalg.norm(shortest)
        assert (scaled_j @ shortest >= -1e-12 * lengths).all()


@pytest.mark.slow
def test_stationary_points_are_told(compiled):
    j = np.zeros((1, TASKS, COLUMNS))
    j[0, :, :3] = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]
    for name in ("nash_mtl", "fairgrad"):
        _, info = compiled(name, j)
        assert not info.converged.any()
        assert np.isfinite(info.weights).all()
    for name in ("mgda", "upgrad", "dualproj", "cagrad"):
        grads, info = compiled(name, j)
        assert info.converged.all()
        np.testing.assert_allclose(grads, 0, atol=1e-9)


def test_contradicting_constraints_leave_the_first_task(compiled):
    j = np.zeros((1, TASKS, COLUMNS))
    j[0, :, :3] = [[1, 1, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]]
    grads, info = compiled("pcd", j)
    np.testing.assert_allclose(grads[0], j[0, 0], atol=1e-9)
    assert not info.converged.any()
