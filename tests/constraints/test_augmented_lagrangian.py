"""The method of multipliers against solutions known from linear algebra and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.constraints import AugmentedLagrangian, EpsilonConstraint

# min 1/2 x' Q x - c' x, subject to A x <= b (the first active, the second not) and E x = e.
Q = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])
C = np.array([4.0, 1.0, 2.0])
A, B = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.array([1.0, 50.0])
E, F = np.array([[0.0, 1.0, 1.0]]), np.array([0.3])
METHOD = AugmentedLagrangian(penalty=2.0, equality=(False, False, True))


def solution():
    """Point and multipliers from the linear Kuhn-Tucker system of the active constraints."""
    active = np.vstack([A[:1], E])
    system = np.block([[Q, active.T], [active, np.zeros((2, 2))]])
    answer = np.linalg.solve(system, np.concatenate([C, B[:1], F]))
    return answer[:3], np.array([answer[3], 0.0, answer[4]])


def values_of(x):
    both = jnp.asarray(np.vstack([A, E]), x.dtype)
    return jnp.matmul(both, x, precision="highest") - jnp.asarray(np.append(B, F), x.dtype)


def solve(method, rounds=25, steps=300):
    def objective(x, state):
        quadratic = x @ jnp.asarray(Q, x.dtype) @ x / 2 - jnp.asarray(C, x.dtype) @ x
        return quadratic + method.terms(values_of(x), state).sum()

    def outer(carry, _):
        x, state = carry
        # The largest curvature there can be; factors differ from constraint to constraint.
        rate = 1 / (4 + 4 * state.penalty.max())
        x = jax.lax.fori_loop(0, steps, lambda _, x: x - rate * jax.grad(objective)(x, state), x)
        state = method.update(values_of(x), state)
        return (x, state), state.penalty

    x = jnp.zeros(3)
    (x, state), penalties = jax.lax.scan(outer, (x, method.init(values_of(x))), None, rounds)
    return x, state, penalties


def test_finds_the_point_and_the_multipliers():
    x, state, _ = jax.jit(solve)(METHOD)
    point, multipliers = solution()
    assert multipliers[0] > 0.1
    np.testing.assert_allclose(x, point, atol=2e-5)
    np.testing.assert_allclose(state.multiplier, multipliers, atol=2e-4)
    assert state.penalty.max() < 100  # rounding errors at the solution do not drive it up
    assert state.multiplier[1] == 0


def test_a_fixed_penalty_factor_is_enough_and_a_growing_one_stays_bounded():
    fixed = AugmentedLagrangian(penalty=5.0, growth=1.0, equality=METHOD.equality)
    x, state, penalties = jax.jit(solve)(fixed)
    np.testing.assert_allclose(x, solution()[0], atol=2e-5)
    np.testing.assert_array_equal(state.penalty, 5.0)
    growing = AugmentedLagrangian(
        penalty=0.1, growth=3.0, max_penalty=6.0, equality=METHOD.equality
    )
    x, state, penalties = jax.jit(solve)(growing)
    np.testing.assert_allclose(x, solution()[0], atol=2e-4)
    assert (np.diff(penalties, axis=0) >= 0).all()
    assert 0.1 < state.penalty[0] <= 6.0
    np.testing.assert_allclose(state.penalty[1], 0.1)  # never violated


def test_terms_equal_the_textbook():
    rng = np.random.default_rng(0)
    g, m, rho = rng.normal(size=8), rng.uniform(0, 2, size=8), rng.uniform(0.5, 3, size=8)
    equality = (True, False) * 4
    method = AugmentedLagrangian(equality=equality)
    values = jnp.asarray(g, jnp.float32)
    state = method.init(values)._replace(
        multiplier=jnp.asarray(m, jnp.float32), penalty=jnp.asarray(rho, jnp.float32)
    )

    def textbook(g):
        inequality = (np.maximum(0, m + rho * g) ** 2 - m**2) / (2 * rho)
        return np.where(equality, m * g + rho * g**2 / 2, inequality)

    np.testing.assert_allclose(method.terms(values, state), textbook(g), rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda v: method.terms(v, state).sum())(values)
    want = (textbook(g + 1e-6) - textbook(g - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, want, rtol=1e-4, atol=1e-5)
    new = method.update(values, state)
    shifted = m + rho * g
    np.testing.assert_allclose(
        new.multiplier, np.where(equality, shifted, np.maximum(shifted, 0)), rtol=1e-5, atol=1e-6
    )
    residual = np.abs(np.where(equality, g, np.maximum(g, -m / rho)))
    np.testing.assert_allclose(new.residual, residual, rtol=1e-5)
    again = method.update(values, new)  # nothing has moved: no progress
    grown = np.where(np.asarray(again.residual) > 0.5 * np.asarray(new.residual), 2 * rho, rho)
    np.testing.assert_allclose(again.penalty, grown, rtol=1e-6)


def test_limits_of_what_cannot_be_met():
    method = AugmentedLagrangian(max_penalty=8.0, max_multiplier=20.0, equality=(False, True))
    state = method.init(jnp.zeros(2))
    for _ in range(50):
        state = method.update(jnp.array([1.0, -1.0]), state)
    np.testing.assert_array_equal(state.penalty, 8.0)
    np.testing.assert_array_equal(state.multiplier, [20.0, -20.0])


def test_state_keeps_its_type_and_nothing_compiles_anew():
    traced = []

    @jax.jit
    def update(method, values, state):
        traced.append(1)
        return method.update(values, state)

    for shape, dtype in (((3,), jnp.float32), ((4, 3), jnp.float16)):
        traced.clear()
        values = jnp.ones(shape, dtype)
        state = METHOD.init(values)
        first = update(METHOD, values, state)
        update(AugmentedLagrangian(penalty=9.0, equality=METHOD.equality), values, first)
        assert len(traced) == 1
        assert jax.tree.map(jnp.shape, first) == jax.tree.map(jnp.shape, state)
        assert [leaf.dtype for leaf in first] == [dtype] * 3


def test_mapped_over_penalty_factors_equals_a_loop():
    def run(penalty):
        method = AugmentedLagrangian(penalty=penalty, equality=METHOD.equality)
        return solve(method, rounds=4, steps=20)

    penalties = jnp.array([0.5, 2.0])
    mapped = jax.jit(jax.vmap(run))(penalties)
    for i, penalty in enumerate(penalties):
        one = jax.jit(run)(penalty)
        for got, want in zip(jax.tree.leaves(mapped), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(got[i], want, rtol=1e-5, atol=1e-6)


def test_no_constraint_and_nan():
    empty = AugmentedLagrangian().init(jnp.zeros(0))
    assert AugmentedLagrangian().terms(jnp.zeros(0), empty).sum() == 0
    method = AugmentedLagrangian()
    state = method.init(jnp.zeros(1))
    assert np.isnan(method.terms(jnp.array([jnp.nan]), state)).all()
    assert np.isnan(method.update(jnp.array([jnp.nan]), state).multiplier).all()


# Task losses |w - a|^2 and |w - d|^2: the front is the segment between the two minima.
START, GOAL = np.array([0.0, 0.0]), np.array([3.0, 4.0])


def trade(bound, swap=False):
    a, d = jnp.asarray(START, jnp.float32), jnp.asarray(GOAL, jnp.float32)
    epsilon = EpsilonConstraint((bound, None) if swap else (None, bound))

    def losses_of(w):
        losses = jnp.stack([((w - a) ** 2).sum(), ((w - d) ** 2).sum()])
        return losses[::-1] if swap else losses

    def outer(carry, _):
        w, state = carry
        rate = 0.4 / (1 + state.multiplier[0] + 20 * state.penalty[0])
        slope = jax.grad(lambda w: epsilon.objective(losses_of(w), state))
        w = jax.lax.fori_loop(0, 300, lambda _, w: w - rate * slope(w), w)
        return (w, epsilon.update(losses_of(w), state)), None

    w = jnp.array([0.5, 0.1])
    (w, state), _ = jax.lax.scan(outer, (w, epsilon.init(losses_of(w))), None, 30)
    return w, state.multiplier[0]


def test_epsilon_constraint_finds_the_front_and_its_slope():
    bounds = np.array([1.0, 4.0, 16.0], np.float32)
    w, multiplier = jax.jit(jax.vmap(trade))(jnp.asarray(bounds))
    away = 5.0  # distance of the two minima
    for i, bound in enumerate(bounds):
        distance = np.sqrt(bound)
        want = GOAL + (START - GOAL) * distance / away
        np.testing.assert_allclose(w[i], want, atol=1e-3)
        # Slope of the front: -d f1 / d b = (away - distance) / distance.
        np.testing.assert_allclose(multiplier[i], (away - distance) / distance, rtol=1e-2)


def test_epsilon_constraint_that_does_not_bind_has_no_price():
    w, multiplier = jax.jit(trade)(jnp.float32(100.0))
    np.testing.assert_allclose(w, START, atol=1e-5)
    assert multiplier == 0


def test_epsilon_constraint_of_either_task():
    w, _ = jax.jit(trade)(jnp.float32(4.0))
    swapped, _ = jax.jit(lambda bound: trade(bound, swap=True))(jnp.float32(4.0))
    np.testing.assert_allclose(swapped, w, rtol=1e-5)
    assert EpsilonConstraint([0.5, None, 0.2]).task_weights == (0.0, 1.0, 0.0)
    values = EpsilonConstraint([0.5, None, 0.25]).values(jnp.array([1.0, 9.0, 0.0]))
    np.testing.assert_array_equal(values, [0.5, -0.25])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AugmentedLagrangian(penalty=0.0), "penalty > 0, got 0.0"),
        (lambda: AugmentedLagrangian(growth=0.5), "growth >= 1"),
        (lambda: AugmentedLagrangian(progress=2.0), r"progress in \[0, 1\]"),
        (lambda: METHOD.terms(jnp.ones(2), METHOD.init(jnp.ones(3))), r"\(3,\), got \(2,\)"),
        (lambda: METHOD.update(jnp.ones(2), METHOD.init(jnp.ones(3))), "init needs"),
        (lambda: METHOD.update(jnp.ones(2), METHOD.init(jnp.ones(2))), "equality: expected"),
        (lambda: EpsilonConstraint((None, None)), "a bound for some tasks"),
        (lambda: EpsilonConstraint((1.0, 2.0)), "None for the others"),
        (lambda: EpsilonConstraint((None, float("nan"))), "finite bounds"),
        (lambda: EpsilonConstraint((None, 1.0)).values(jnp.ones(3)), r"\(2,\), got \(3,\)"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
