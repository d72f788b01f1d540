"""Auto-Lambda with statistics, a key, names and missing tasks, as written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmtl.aggregation as ag

RNG = np.random.default_rng(1)
PARAMS = {"w": jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32)}
FIRST, SECOND = jnp.asarray(RNG.normal(size=(2, 8, 3)), jnp.float32)
MEAN = jnp.zeros(3)


def vector(params, x, mean, key):
    moved = 0.5 * mean + 0.5 * x.mean(axis=0)
    kept = jax.random.bernoulli(key, 0.7, x.shape)
    out = jnp.where(kept, x - moved[None], 0) @ params["w"]
    return ((out - x[:, :2]) ** 2).mean(axis=0), moved


def loss_fn(params, x, mean, key):
    losses, moved = vector(params, x, mean, key)
    return {"b": losses[1], "a": losses[0]}, moved


def test_a_step_is_that_written_by_hand():
    sgd = optax.sgd(0.1)
    init, step = ag.auto_lambda_step(
        loss_fn, sgd, look_ahead=0.2, weight_rate=0.01, initial=0.5, has_aux=True
    )
    key = jax.random.key(3)

    @jax.jit
    def ours(present):
        state = init(PARAMS, FIRST, MEAN, key=key)
        return step(PARAMS, state, FIRST, SECOND, MEAN, present=present)

    @jax.jit
    def by_hand():
        of_first, _ = jax.random.split(jax.random.fold_in(key, 0))
        of_second = jax.random.fold_in(jax.random.clone(of_first), 0)

        def losses_at(params, x, key):
            return vector(params, x, MEAN, jax.random.clone(key))[0]

        def validation(weights):
            slopes = jax.grad(lambda p: weights @ losses_at(p, FIRST, of_first))(PARAMS)
            ahead = jax.tree.map(lambda p, g: p - 0.2 * g, PARAMS, slopes)
            return losses_at(ahead, SECOND, of_second)

        weights, adam = jnp.full(2, 0.5), optax.adam(0.01)
        slopes = jax.grad(lambda w: validation(w).sum())(weights)
        updates, _ = adam.update(slopes, adam.init(weights))
        moved = weights + updates
        losses, pullback, mean = jax.vjp(
            lambda p: vector(p, FIRST, MEAN, jax.random.clone(of_first)), PARAMS, has_aux=True
        )
        grads = pullback(moved)[0]
        after = jax.tree.map(lambda p, g: p - 0.1 * g, PARAMS, grads)
        return after, moved, losses, mean, validation(weights), slopes

    params, state, info = ours(jnp.array([True, True]))
    found = params, state.weights, info.losses, info.aux, info.validation, info.slopes
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(by_hand()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert (info.names, int(state.number)) == (("a", "b"), 1)
    scalars = info.scalars()
    assert scalars["validation/b"] == info.validation[1]
    assert scalars["slope/a"] == info.slopes[0]
    assert scalars["weight/b"] == state.weights[1]
    np.testing.assert_allclose(scalars["loss"], info.weights @ info.losses, rtol=1e-6)
    _, state, info = ours(jnp.array([True, False]))
    assert (info.weights[1], info.slopes[1], state.weights[1]) == (0, 0, 0.5)
    assert state.weights[0] != 0.5


@pytest.mark.slow
def test_an_optimizer_that_searches_has_the_weighted_loss():
    def plain(params, x):
        return vector(params, x, MEAN, jax.random.key(0))[0]

    made = ag.auto_lambda_step(plain, optax.lbfgs(), look_ahead=0.1)
    after, state, info = jax.jit(made.step)(PARAMS, made.init(PARAMS, FIRST), FIRST, SECOND)
    assert info.weights @ plain(after, FIRST) < info.loss
    made = ag.auto_lambda_step(plain, optax.lbfgs(), look_ahead=None)
    with pytest.raises(ValueError, match="look_ahead: expected a number beside .* needs value_fn"):
        jax.eval_shape(made.step, PARAMS, made.init(PARAMS, FIRST), FIRST, SECOND)


def test_ahead_of_a_step_whose_length_depends_on_the_loss():
    polyak, weights = optax.polyak_sgd(0.5), jnp.array([0.3, 0.7])

    def losses_at(params, x):
        return ((x @ params["w"] - x[:, :2]) ** 2).mean(axis=0)

    @jax.jit
    def slopes_of(weights):
        def validation(weights):
            value, grads = jax.value_and_grad(lambda p: weights @ losses_at(p, FIRST))(PARAMS)
            updates, _ = polyak.update(grads, polyak.init(PARAMS), PARAMS, value=value)
            return losses_at(optax.apply_updates(PARAMS, updates), SECOND).sum()

        return jax.grad(validation)(weights)

    init, step = ag.auto_lambda_step(losses_at, polyak, look_ahead=None)
    state = init(PARAMS, FIRST)._replace(weights=weights)
    _, _, info = jax.jit(step)(PARAMS, state, FIRST, SECOND)
    np.testing.assert_allclose(info.slopes, slopes_of(weights), rtol=1e-4, atol=1e-5)
    assert abs(info.slopes).max() > 0.01
