"""Projections against bisection on their Kuhn-Tucker conditions, in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmtl.constraints import (
    Box,
    HalfSpace,
    Hyperplane,
    L1Ball,
    L2Ball,
    LInfBall,
    NonNegative,
    Simplex,
    project,
    project_rows,
)

WIDTH = 5
NORMAL = (1.0, -2.0, 0.5, 0.0, 3.0)


def bisect(function, low, high):
    """The zero of a falling function."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return low


def onto_simplex(x, scale):
    tau = bisect(lambda t: np.maximum(x - t, 0).sum() - scale, x.min() - scale, x.max())
    return np.maximum(x - tau, 0)


def onto_l1(x, scale):
    if np.abs(x).sum() <= scale:
        return x
    return np.sign(x) * onto_simplex(np.abs(x), scale)


def onto_l2(x, scale):
    # The multiplier of |p|^2 <= scale^2: p = x / (1 + t).
    if np.sqrt((x**2).sum()) <= scale:
        return x
    t = bisect(lambda t: np.sqrt(((x / (1 + t)) ** 2).sum()) - scale, 0, 1e3)
    return x / (1 + t)


def onto_plane(x, offset):
    n = np.array(NORMAL)
    t = bisect(lambda t: (n * (x - t * n)).sum() - offset, -1e3, 1e3)
    return x - t * n


def onto_halfspace(x, offset):
    return x if (np.array(NORMAL) * x).sum() <= offset else onto_plane(x, offset)


BOUNDS = np.linspace(-1, 0.5, WIDTH)
SETS = {
    "box": (Box(-0.5, 0.7), lambda x: np.minimum(np.maximum(x, -0.5), 0.7)),
    "box of arrays": (
        Box(tuple(BOUNDS.tolist()), tuple((BOUNDS + 0.4).tolist())),
        lambda x: np.minimum(np.maximum(x, BOUNDS), BOUNDS + 0.4),
    ),
    "half-line": (Box(lower=0.85), lambda x: np.maximum(x, 0.85)),
    "non-negative": (NonNegative(), lambda x: np.where(x > 0, x, 0)),
    "simplex": (Simplex(2.0), lambda x: onto_simplex(x, 2.0)),
    "l1": (L1Ball(1.5), lambda x: onto_l1(x, 1.5)),
    "l2": (L2Ball(1.5), lambda x: onto_l2(x, 1.5)),
    "linf": (LInfBall(0.6), lambda x: np.minimum(np.maximum(x, -0.6), 0.6)),
    "hyperplane": (Hyperplane(NORMAL, 0.3), lambda x: onto_plane(x, 0.3)),
    "half-space": (HalfSpace(NORMAL, 0.3), lambda x: onto_halfspace(x, 0.3)),
}
each_set = pytest.mark.parametrize(("onto", "oracle"), SETS.values(), ids=SETS)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    # Small ones lie inside of the balls, large ones outside of everything.
    return (rng.normal(size=(24, WIDTH)) * np.repeat([0.1, 1.0, 5.0], 8)[:, None]).astype(
        np.float32
    )


@each_set
def test_equals_the_oracle(onto, oracle, points):
    got = jax.jit(project_rows)(jnp.asarray(points), onto)
    want = np.stack([oracle(x.astype(np.float64)) for x in points])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-6)


@each_set
def test_no_point_of_the_set_is_nearer(onto, oracle, points):
    # Variational inequality: (x - p) . (z - p) <= 0 for every z of the set.
    p = np.asarray(jax.jit(project_rows)(jnp.asarray(points), onto), np.float64)
    z = np.stack([oracle(x.astype(np.float64)) for x in points[::-1] * 3])
    scale = 1 + np.abs(points).max()
    assert ((points - p)[:, None] * (z[None] - p[:, None])).sum(-1).max() < 1e-5 * scale**2


@each_set
def test_twice_is_once_and_points_inside_are_kept_to_the_bit(onto, oracle, points):
    once = jax.jit(project_rows)(jnp.asarray(points), onto)
    np.testing.assert_allclose(jax.jit(project_rows)(once, onto), once, atol=2e-6)
    if not isinstance(onto, Hyperplane | Simplex):
        kept = [np.array_equal(oracle(x), x) for x in points]
        np.testing.assert_array_equal(once[np.array(kept)], points[np.array(kept)])


@each_set
def test_jacobian_equals_finite_differences(onto, oracle, points):
    chosen = points[::5]
    jacobian = jax.jit(jax.vmap(jax.jacobian(lambda x: project(x, onto))))
    jacobians = jacobian(jnp.asarray(chosen))
    for x, jacobian in zip(chosen, jacobians, strict=True):
        step = 1e-6 * np.eye(WIDTH)
        x = x.astype(np.float64)
        want = np.stack([(oracle(x + e) - oracle(x - e)) / 2e-6 for e in step], axis=1)
        np.testing.assert_allclose(jacobian, want, rtol=1e-4, atol=2e-5)


@each_set
def test_straight_through_projects_the_same_and_passes_the_gradient_on(onto, oracle, points):
    del oracle
    values = jnp.asarray(points)
    cotangent = jnp.asarray(points[::-1].copy())

    @jax.jit
    def through(v):
        value, pullback = jax.vjp(lambda v: project_rows(v, onto, gradient="straight_through"), v)
        return value, *pullback(cotangent)

    value, slope = through(values)
    np.testing.assert_array_equal(value, jax.jit(project_rows)(values, onto))
    np.testing.assert_array_equal(slope, cotangent)


@each_set
def test_eager_jit_vmap_and_loop_agree(onto, oracle, points):
    del oracle
    values = jnp.asarray(points)
    rows = jax.jit(project_rows)(values, onto)
    loop = np.stack([project(x, onto) for x in values[::6]])
    np.testing.assert_allclose(loop, rows[::6], rtol=1e-6, atol=1e-6)
    folded = jax.jit(project_rows)(values.reshape(2, 12, WIDTH), onto)
    np.testing.assert_allclose(folded[1], rows[12:], rtol=1e-6, atol=1e-6)


@each_set
def test_a_point_of_zeros_has_a_finite_gradient(onto, oracle):
    zeros = jnp.zeros((2, WIDTH))
    square = jax.jit(jax.value_and_grad(lambda v: (project_rows(v, onto) ** 2).sum()))
    value, slope = square(zeros)
    want = (oracle(np.zeros(WIDTH)) ** 2).sum() * 2
    np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-10)
    assert np.isfinite(slope).all()


@each_set
def test_nan_is_not_swallowed(onto, oracle):
    del oracle
    broken = jnp.full((24, WIDTH), 0.1).at[:, 1].set(jnp.nan)
    assert np.isnan(jax.jit(project_rows)(broken, onto)).any(axis=1).all()


def test_the_boundary_belongs_to_the_set():
    for onto, x in (
        (Box(0.0, 1.0), [0.0, 1.0]),
        (NonNegative(), [0.0, 0.0]),
        (LInfBall(1.0), [1.0, -1.0]),
        (L2Ball(5.0), [3.0, 4.0]),
        (L1Ball(2.0), [1.0, -1.0]),
        (HalfSpace((1.0, 1.0), 3.0), [1.0, 2.0]),
    ):
        jacobian = jax.jit(jax.jacobian(lambda x, onto=onto: project(x, onto)))(jnp.array(x))
        np.testing.assert_array_equal(jacobian, np.eye(2), err_msg=str(onto))


def test_a_pytree_is_one_point():
    tree = {"w": jnp.array([[3.0, 0.0]]), "b": jnp.array(4.0)}
    ball = project(tree, L2Ball(1.0))
    np.testing.assert_allclose(ball["w"], [[0.6, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(ball["b"], 0.8, rtol=1e-6)
    normal = {"w": jnp.array([[1.0, 0.0]]), "b": jnp.array(1.0)}
    plane = project(tree, Hyperplane(normal, 1.0))
    np.testing.assert_allclose(plane["w"], [[0.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(plane["b"], 1.0, rtol=1e-6)
    box = project(tree, Box(lower={"w": 1.0, "b": 5.0}))
    np.testing.assert_array_equal(box["w"], [[3.0, 1.0]])
    np.testing.assert_array_equal(box["b"], 5.0)


def test_bounds_are_leaves_and_sets_are_hashable():
    swept = jax.vmap(lambda low: project(jnp.zeros(2), Box(lower=low)))(jnp.array([-1.0, 1.0]))
    np.testing.assert_array_equal(swept, [[0, 0], [1, 1]])
    assert len({onto for onto, _ in SETS.values()}) == len(SETS)
    assert hash(HalfSpace([1.0, 2.0])) == hash(HalfSpace((1.0, 2.0)))


def test_traces_once():
    traced = []

    @jax.jit
    def clamped(x, onto):
        traced.append(1)
        return project(x, onto)

    clamped(jnp.ones(3), Box(0.0, 0.5))
    clamped(jnp.zeros(3), Box(0.1, 0.7))
    assert len(traced) == 1


def test_keeps_the_type():
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        for onto, _ in SETS.values():
            point = jax.ShapeDtypeStruct((WIDTH,), dtype)
            shaped = jax.eval_shape(lambda x, onto=onto: project(x, onto), point)
            assert shaped.dtype == dtype


def test_trains_parameters_inside_of_a_ball():
    # Projected parameters inside of a loss: the optimum of |w - c|^2 on the unit ball is c / |c|.
    target = jnp.array([3.0, 4.0])
    loss = lambda w: ((project(w, L2Ball(1.0)) - target) ** 2).sum()  # noqa: E731
    optimizer = optax.sgd(0.05)
    w = jnp.array([0.1, -0.2])
    state = optimizer.init(w)

    def step(_, carry):
        w, state = carry
        updates, state = optimizer.update(jax.grad(loss)(w), state)
        return optax.apply_updates(w, updates), state

    w, _ = jax.lax.fori_loop(0, 300, step, (w, state))
    np.testing.assert_allclose(project(w, L2Ball(1.0)), [0.6, 0.8], atol=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Box(1.0, 0.0), "lower <= upper"),
        (lambda: Simplex(0.0), "Simplex: scale: expected a number > 0"),
        (lambda: L2Ball(-1.0), "L2Ball: scale"),
        (lambda: Hyperplane((0.0, 0.0)), "not 0"),
        (lambda: project(jnp.ones(3), Box(lower=(0.0, 1.0))), r"lower.*\(3,\), got \(2,\)"),
        (lambda: project({"a": jnp.ones(2)}, Box({"b": 1.0})), "like the point"),
        (lambda: project({"a": jnp.arange(2)}, Box(0)), r"floating type, got int32 at \['a'\]"),
        (lambda: project(jnp.ones(2), Box(0), gradient="soft"), "gradient: expected one of"),
        (lambda: project_rows(jnp.float32(1), Box(0)), "got a scalar"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
