"""Optimizers that want more than gradients: a step equals optax by hand, or is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from some_cases import some

import jaxmtl.aggregation as ag

RNG = np.random.default_rng(0)
PARAMS = {
    "kernel": jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32),
    "bias": jnp.asarray(RNG.normal(size=2), jnp.float32),
}
BATCHES = jnp.asarray(RNG.normal(size=(3, 8, 3)), jnp.float32)


def loss_fn(params, x):
    out = x @ params["kernel"] + params["bias"][None]
    return ((out - x[:, :2]) ** 2).mean(axis=0)


contrib = optax.contrib
DIRECTIONS = {
    "reduce_on_plateau": lambda: optax.chain(
        optax.adam(0.1), contrib.reduce_on_plateau(patience=1, rtol=0.5)
    ),
    "polyak_sgd": lambda: optax.polyak_sgd(0.5),
    "schedule_free": lambda: contrib.schedule_free(optax.sgd(0.1), 0.1),
    "muon": lambda: contrib.muon(0.1),
    "lbfgs without a search": lambda: optax.lbfgs(0.1, linesearch=None),
}
SEARCHES = {
    "lbfgs": optax.lbfgs,
    "backtracking": lambda: optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(5)),
    "sam": lambda: contrib.sam(optax.sgd(0.1), optax.sgd(0.05)),
    "opaque sam": lambda: contrib.sam(optax.sgd(0.1), optax.sgd(0.05), opaque_mode=True),
}


def steps_of(step, start):
    """Parameters after every batch."""
    found = []
    for batch in BATCHES:
        start = step(*start, batch)
        found.append(start[0])
    return found


def ours(made):
    return steps_of(
        lambda params, state, batch: made.step(params, state, batch)[:2],
        (PARAMS, made.init(PARAMS, BATCHES[0])),
    )


def by_hand(optimizer):
    """Down the geometric mean of the losses, whose weights depend on the losses."""
    optimizer = optax.with_extra_args_support(optimizer)

    def step(params, state, batch):
        def value_fn(p):
            return jnp.exp(jnp.log(loss_fn(p, batch)).mean())

        value, grads = jax.value_and_grad(value_fn)(params)
        given = {"value": value, "grad": grads, "value_fn": value_fn}
        if isinstance(state, contrib.SAMState):
            given = {"grad_fn": lambda p, _: jax.grad(value_fn)(p)}
        updates, state = optimizer.update(grads, state, params, **given)
        return optax.apply_updates(params, updates), state

    return steps_of(step, (PARAMS, optimizer.init(PARAMS)))


KEPT = ("reduce_on_plateau", "polyak_sgd", "backtracking", "opaque sam")


@pytest.mark.parametrize("name", some([*DIRECTIONS, *SEARCHES], *KEPT))
def test_a_step_is_that_of_optax(name):
    optimizer, method = (DIRECTIONS | SEARCHES)[name](), ag.gls()
    made = [ag.scalarized_step(loss_fn, method, optimizer)]
    if name in DIRECTIONS:
        made.append(ag.aggregated_step(loss_fn, ag.from_losses(method), optimizer))
    if name == "polyak_sgd":
        mesh = jax.make_mesh((1,), ("data",))
        made.append(ag.gramian_step(loss_fn, ag.from_losses(method), optimizer))
        made.append(ag.data_parallel_step(loss_fn, ag.from_losses(method), optimizer, mesh))

    @jax.jit
    def run():
        return [ours(one) for one in made], by_hand(optimizer)

    found, expected = run()
    for one in found:
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SEARCHES)
def test_what_looks_elsewhere_is_refused_beside_an_aggregator(name):
    optimizer = SEARCHES[name]()
    mesh = jax.make_mesh((1,), ("data",))
    for made in (
        ag.aggregated_step(loss_fn, ag.graddrop(), optimizer),
        ag.gramian_step(loss_fn, ag.mgda(), optimizer),
        ag.data_parallel_step(loss_fn, ag.mgda(), optimizer, mesh),
    ):
        state = made.init(PARAMS, BATCHES[0], jax.random.key(0))
        with pytest.raises(ValueError, match=r"optimizer: expected one that goes .* scalarized_st"):
            jax.eval_shape(made.step, PARAMS, state, BATCHES[0])


def test_the_value_is_that_of_the_direction_or_what_is_given():
    def update(updates, state, params=None, *, value, grad, **others):
        return jax.tree.map(jnp.zeros_like, updates), {"value": value, "grad": grad}

    told = optax.GradientTransformationExtraArgs(lambda params: (), update)
    losses = np.asarray(loss_fn(PARAMS, BATCHES[0]))
    for method, present, expected in (
        (ag.constant([2.0, 0.5]), None, 2 * losses[0] + losses[1] / 2),
        (ag.trimmed_mean(0), None, losses.mean()),
        (ag.trimmed_mean(0), [False, True], losses[1]),
        (ag.grouped(ag.mean()), None, losses.mean()),
    ):
        init, step = ag.aggregated_step(loss_fn, method, told)
        present = None if present is None else jnp.array(present)
        state = init(PARAMS, BATCHES[0])
        found = jax.jit(step)(PARAMS, state, BATCHES[0], present=present)[1].optimizer
        np.testing.assert_allclose(found["value"], expected, rtol=1e-6)
    init, step = ag.scalarized_step(loss_fn, ag.gls(), told)
    step = jax.jit(step)
    _, state, info = step(PARAMS, init(PARAMS, BATCHES[0]), BATCHES[0])
    np.testing.assert_allclose(state.optimizer["value"], info.loss)
    weighted = jax.grad(lambda p: info.weights @ loss_fn(p, BATCHES[0]))(PARAMS)
    np.testing.assert_allclose(state.optimizer["grad"]["bias"], weighted["bias"], rtol=1e-5)
    _, state, _ = step(PARAMS, init(PARAMS, BATCHES[0]), BATCHES[0], value=jnp.float32(7))
    assert state.optimizer["value"] == 7
