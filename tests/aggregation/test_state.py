"""What the state of every method must bear: tasks that come and go, a bad batch, donation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from aggregation.cases import TASKS, arguments, example, flat, random_rows, stacked
from some_cases import some

import jaxmtl.aggregation as ag

WITH_STATE = sorted(
    [name for name, row in ag.REGISTRY.items() if row.state]
    + [name for name, row in ag.LOSS_METHODS.items() if row.state]
)
USING_LOSSES = [name for name, row in ag.REGISTRY.items() if "losses" in row.needs]
# The first task leads pcd: it has no mirror image.
MIRRORED = {name: lambda name=name: ag.make(name) for name in WITH_STATE if name != "pcd"} | {
    "excess_mtl, warm-up": lambda: ag.excess_mtl(warmup=3),
    "moco, softmax": lambda: ag.moco(simplex="softmax"),
    "nash_mtl, every third": lambda: ag.nash_mtl(update_every=3),
    "nash_mtl, every fourth": lambda: ag.nash_mtl(None, update_every=4),
    "cr_mogm of mean": lambda: ag.cr_mogm(ag.mean()),
    "cr_mogm of sum": lambda: ag.cr_mogm(ag.sum()),
    "cr_mogm of upgrad": lambda: ag.cr_mogm(ag.upgrad()),
    "grouped gradvac": lambda: ag.grouped(ag.gradvac()),
    "recon of moco": lambda: ag.recon(ag.moco()),
    "dwa, short": lambda: ag.from_losses(ag.dwa(period=3)),
}
SMOOTHED = ("excess_mtl", "moco", "gradnorm", "dwa, short")
# Tasks that mirror each other, and one between them.
PAIR = np.array([[1.0, 0.3], [0.3, 1.0], [0.6, 0.6]], np.float32)
OPPOSED = np.array([[3.0, -2.0], [-2.0, 3.0], [0.5, 0.5]], np.float32)


@pytest.mark.parametrize("name", some(MIRRORED, *SMOOTHED))
def test_a_task_that_is_missing_now_and_then_keeps_its_part(name):
    aggregator = MIRRORED[name]()

    @jax.jit
    def trained(rows, present, everyone):
        def body(state, present):
            given = {"losses": jnp.ones(3), "key": jax.random.key(0), "present": present}
            order = jnp.broadcast_to(jnp.arange(3), (3, 3))
            grads, state, info = aggregator.update(rows, state, order=order, **given)
            return state, (grads, info.weights)

        state, _ = jax.lax.scan(body, aggregator.init(rows), present)
        return body(state, everyone)[1]

    steps = np.arange(150)
    always, never = steps >= 0, steps < 0
    seldom = np.stack([always, steps % 3 == 1, never], axis=1)
    turns = np.stack([steps % 2 == 0, steps % 2 == 1, always], axis=1)
    # Gradients that are smoothed over steps have seen less of the one that is missing; and who was
    # there last counts a little more.
    smooth = "moco" in name or name == "db_mtl"
    for rows, present, tolerance in (
        (PAIR, seldom, 0.1 if smooth else 1e-3),
        (OPPOSED, seldom, 0.1 if smooth else 1e-3),
        (PAIR, turns, 0.1),
    ):
        here = jnp.asarray([True, True, bool(present[0, 2])])
        grads, weights = trained(rows, jnp.asarray(present), here)
        weights = np.asarray(weights) / np.abs(np.asarray(weights)).max()
        np.testing.assert_allclose(weights[..., 0], weights[..., 1], atol=tolerance)
        size = np.abs(np.asarray(grads)).max()
        np.testing.assert_allclose(grads[0] / size, grads[1] / size, atol=2 * tolerance)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "name",
    some(
        ["excess_mtl", "modo", "gradnorm", "cr_mogm", "moco", "sdmgrad"], "excess_mtl", "gradnorm"
    ),
)
def test_parts_of_the_absent_do_not_depend_on_who_was_there(name, first):
    first = np.arange(2) == first
    aggregator, rows = ag.make(name), jnp.asarray([[4.0, 1.0], [0.5, 2.0]])
    update = jax.jit(lambda s, p: aggregator.update(rows, s, losses=jnp.ones(2), present=p)[1:])
    both, alone = jnp.ones(2, bool), jnp.asarray(first)
    state = aggregator.init(rows)
    for _ in range(3):
        state, info = update(state, both)
    between = state
    for _ in range(5):
        between, lonely = update(between, alone)
        np.testing.assert_allclose(lonely.weights, first, atol=1e-5)
    kept = "log_weights" if name == "excess_mtl" else "weights"
    before, after = (np.asarray(getattr(s, kept)) for s in (state, between))
    if name == "excess_mtl":
        before, after = np.exp(before), np.exp(after)
    np.testing.assert_allclose(after / after.sum(), before / before.sum(), atol=1e-5)


# Weights of a recurrence, learned logits, means of losses.
KEPT = ("excess_mtl", "famo", "dwa")


def given_for(name, bad=False):
    losses = arguments()["losses"]
    if bad and name in ag.LOSS_METHODS:
        losses = losses.at[1].set(jnp.nan)
    return arguments() | {"losses": losses}


def method_of(name):
    if name in ag.LOSS_METHODS:
        return ag.make(name, TASKS)
    return ag.nash_mtl(update_every=2) if name == "nash_mtl" else example(name)


@pytest.mark.parametrize("name", some(WITH_STATE, *KEPT))
def test_one_bad_batch_is_seen_and_then_as_if_it_had_never_been(name):
    aggregator = method_of(name)
    update = jax.jit(lambda rows, state, given: aggregator.update(rows, state, **given))
    good = [stacked(random_rows(seed)) for seed in range(4)]
    holes = random_rows(5)
    holes[1, 0] = np.nan
    start = aggregator.init(good[0])
    for at in (0, 1, 2):
        state, expected = start, start
        for number, rows in enumerate(good):
            if number == at:
                found, state, info = update(stacked(holes), state, given_for(name, bad=True))
                assert np.isnan(flat(found)).any()
            found, state, info = update(rows, state, given_for(name))
            plain, expected, plain_info = update(rows, expected, given_for(name))
        assert np.isfinite(flat(found)).all()
        np.testing.assert_array_equal(flat(found), flat(plain))
        np.testing.assert_array_equal(info.weights, plain_info.weights)
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
            assert np.isfinite(a).all()
            np.testing.assert_array_equal(a, b)


def loss_fn(params, x):
    return jnp.stack([((params["w"] - t * x) ** 2).mean() + 0.1 for t in range(1, TASKS + 1)])


@pytest.mark.parametrize("name", some(WITH_STATE, "excess_mtl", "famo"))
def test_no_two_leaves_of_a_state_share_a_buffer(name):
    params, x = {"w": jnp.array([1.0, 0.5])}, jnp.array([1.0, -1.0])
    optimizer = optax.adam(0.1)
    made = [ag.aggregated_step(loss_fn, method_of(name), optimizer)]
    if name in ag.LOSS_METHODS:
        made.append(ag.scalarized_step(loss_fn, ag.make_scalarizer(name, TASKS), optimizer))
    for init, step in made:
        state, after = init(params, x, jax.random.key(0)), params
        donating = jax.jit(step, donate_argnums=1)
        for _ in range(2):
            after, state, _ = donating(after, state, x)
        assert np.isfinite(after["w"]).all()


@pytest.mark.slow
def test_states_of_wrappers_adapters_and_learned_weights_may_be_donated():
    rows, x = jnp.ones((2, 2)), jnp.array([1.0, -1.0])
    for aggregator in (
        ag.grouped(ag.gradnorm()),
        ag.recon(ag.cr_mogm(ag.gradnorm())),
        ag.preferred(ag.excess_mtl(), [1.0, 2.0]),
        ag.with_heads(ag.make("dwa"), True, "plain"),
    ):
        update = jax.jit(
            lambda s, a=aggregator: a.update(rows, s, losses=jnp.ones(2))[1], donate_argnums=0
        )
        update(update(aggregator.init(rows)))
    adapter = ag.as_optax(ag.gradnorm(), 2)
    jax.jit(lambda s: adapter.update(rows, s, losses=jnp.ones(2))[1], donate_argnums=0)(
        adapter.init(jnp.ones(2))
    )
    params = {"w": jnp.ones(2)}
    init, step = ag.auto_lambda_step(loss_fn, optax.adam(0.1), look_ahead=0.1)
    jax.jit(step, donate_argnums=1)(params, init(params, x), x, x)


# What a method makes of a loss below 0: NaN where it divides by losses or takes their logarithm.
NO_SENSE_BELOW_0 = {
    *("gls", "famo", "imtl_l", "uncertainty", "dwa", "igb"),
    *("gradnorm", "moco", "db_mtl"),
}


@pytest.mark.parametrize(
    "name", some([*USING_LOSSES, *ag.LOSS_METHODS], "gradnorm", "gls", "linear")
)
def test_a_loss_below_zero_is_right_or_seen(name):
    aggregator, rows = method_of(name), stacked(random_rows(3))
    given = arguments() | {"losses": jnp.array([0.5, -0.25, 1.0, 2.0])}
    update = jax.jit(lambda state, given: aggregator.update(rows, state, **given))
    start = aggregator.init(rows)
    found, state, info = update(start, given)
    if name in NO_SENSE_BELOW_0:
        assert np.isnan(flat(found)).all()
        assert np.isnan(info.weights).all()
        for leaf in jax.tree.leaves(state):
            assert np.isfinite(leaf).all()
        absent = given | {"present": jnp.array([True, False, True, True])}
        assert np.isfinite(flat(update(start, absent)[0])).all()
    else:
        assert np.isfinite(flat(found)).all()
    if name in ag.LOSS_METHODS and name in NO_SENSE_BELOW_0:
        everyone = -given["losses"][:3]
        method = ag.make_scalarizer(name)
        assert np.isnan(method.scalarize(everyone, method.init(3))[2]).all()
    if name == "famo":
        method = ag.famo(minima=-1.0)
        assert np.isfinite(method.scalarize(given["losses"], method.init(TASKS))[2]).all()
