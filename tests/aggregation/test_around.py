"""Groups, heads, steps, the optax adapter, and the aggregators that wrap others."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from aggregation.cases import random_rows
from flax import nnx
from some_cases import some

import jaxmtl.aggregation as ag

ROWS = random_rows(0, tasks=3).astype(np.float32)
GRADS = {
    "trunk": {
        "kernel": jnp.asarray(ROWS[:, :4].reshape(3, 2, 2)),
        "bias": jnp.asarray(ROWS[:, 4:6]),
    },
    "out": {"kernel": jnp.asarray(ROWS[:, 6:])},
}
HEADS = {"trunk": GRADS["trunk"], "heads": jnp.asarray(np.diag(ROWS[:, 0]))}


def alone(aggregator, grads, **given):
    """The first update, compiled: operation by operation it takes longer."""
    update = jax.jit(lambda grads, given: aggregator.update(grads, aggregator.init(grads), **given))
    return update(grads, given)


@pytest.mark.parametrize("prefix", some([1, {"trunk": "a", "out": "b"}], 1))
@pytest.mark.parametrize("name", some(["mgda", "mean", "trimmed_mean"], "mean", "trimmed_mean"))
def test_groups_are_aggregated_on_their_own(name, prefix):
    aggregator = ag.grouped(ag.make(name), prefix)
    update = jax.jit(lambda g: alone(aggregator, g))
    combined, _, info = update(GRADS)
    single = jax.jit(lambda g: alone(ag.make(name), g))
    for group in GRADS:
        expected = single(GRADS[group])[0]
        for leaf, other in zip(
            jax.tree.leaves(combined[group]), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(leaf, other, rtol=1e-5, atol=1e-6)
    assert info.weights is None or info.weights.shape == (2, 3)
    assert (info.weights is None) == (name == "trimmed_mean")
    assert info.cosines.shape == (2, 3, 3)
    assert info.converged.shape == (2,)


def test_groups_are_leaves_layers_or_labels_and_keys_differ():
    assert len(ag.leaf_groups(GRADS)) == 3
    assert list(ag.leaf_groups(GRADS, 1)) == ["['out']", "['trunk']"]
    everything = {"trunk": 0, "out": 0}
    assert ag.leaf_groups(GRADS, everything) == {0: (0, 1, 2)}
    whole = alone(ag.grouped(ag.mgda(), everything), GRADS)[2]
    np.testing.assert_allclose(whole.weights[0], alone(ag.mgda(), GRADS)[2].weights, rtol=1e-5)
    weights = alone(ag.grouped(ag.random()), GRADS, key=jax.random.key(0))[2].weights
    assert len(np.unique(np.asarray(weights).round(6))) == 9
    with pytest.raises(ValueError, match="prefix: expected a prefix of the pytree"):
        ag.leaf_groups(GRADS, {"trunk": 0})


def test_grouped_gradvac_keeps_a_state_for_each_group():
    aggregator = ag.grouped(ag.gradvac(), 1)
    state = aggregator.init(GRADS)
    assert state.target.shape == (2, 3, 3)
    update = jax.jit(lambda s, key: aggregator.update(GRADS, s, key=key)[1])
    after = update(update(state, jax.random.key(0)), jax.random.key(1))
    assert not np.allclose(after.target[0], after.target[1])


def test_heads_are_plain_or_weighted():
    shared = {"trunk": True, "heads": False}
    own = np.diag(ROWS[:, 0]).sum(axis=0)
    expected, _, info = alone(ag.mgda(), GRADS["trunk"])
    plain = alone(ag.with_heads(ag.mgda(), shared, "plain"), HEADS)[0]
    np.testing.assert_allclose(plain["heads"], own, rtol=1e-6)
    weighted = alone(ag.with_heads(ag.mgda(), shared, "weighted"), HEADS)[0]
    np.testing.assert_allclose(weighted["heads"], own * info.weights, rtol=1e-5)
    for found in (plain, weighted):
        np.testing.assert_allclose(found["trunk"]["bias"], expected["bias"], rtol=1e-5, atol=1e-6)
    by_group = ag.with_heads(ag.grouped(ag.mgda()), lambda tree: shared, "plain")
    np.testing.assert_allclose(alone(by_group, HEADS)[0]["heads"], own, rtol=1e-6)
    present = jnp.array([True, False, True])
    missing = alone(ag.with_heads(ag.mean(), shared, "plain"), HEADS, present=present)[0]
    np.testing.assert_allclose(missing["heads"], own * [1, 0, 1], rtol=1e-6)
    with pytest.raises(ValueError, match="head_gradients: expected 'plain'"):
        ag.with_heads(ag.graddrop(), shared, "weighted")
    with pytest.raises(ValueError, match="at least one shared leaf"):
        ag.with_heads(ag.mean(), False, "plain").init(HEADS)


def loss_fn(params, x):
    return jnp.stack([((params["w"] - x) ** 2).mean(), ((params["w"] + 2 * x) ** 2).mean()])


@pytest.mark.parametrize("name", some(["upgrad", "pcgrad", "db_mtl"], "pcgrad", "db_mtl"))
def test_a_step_is_gradients_aggregation_and_optimizer(name):
    aggregator = ag.make(name)
    init, step = ag.aggregated_step(loss_fn, aggregator, optax.sgd(0.1, momentum=0.9))
    params, x = {"w": jnp.array([1.0, 0.5])}, jnp.array([1.0, -1.0])
    state = init(params, x, jax.random.key(5))
    step_jit = jax.jit(step)
    after, following, info = step_jit(params, state, x)
    task_grads = jax.jit(jax.jacrev(loss_fn))(params, x)
    grads, _, _ = alone(aggregator, task_grads, losses=info.losses, key=jax.random.key(0))
    np.testing.assert_allclose(after["w"], params["w"] - 0.1 * grads["w"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(info.losses, loss_fn(params, x), rtol=1e-6)
    step_jit(after, following, x)
    assert step_jit._cache_size() == 1


def test_steps_scan_and_map_over_seeds_and_take_further_batches():
    init, step = ag.aggregated_step(loss_fn, ag.modo(), optax.adam(0.05))
    batches = jax.random.normal(jax.random.key(1), (30, 3, 2))

    def train(start):
        def body(carry, batch):
            params, state = carry
            params, state, info = step(params, state, batch[0], extra_batches=batch[1:])
            return (params, state), info.losses

        params = {"w": start}
        return jax.lax.scan(body, (params, init(params, batches[0, 0])), batches)[1]

    starts = jnp.array([[3.0, 3.0], [-2.0, 1.0]])
    both = jax.jit(jax.vmap(train))(starts)
    np.testing.assert_allclose(both[1], jax.jit(train)(starts[1]), rtol=1e-4)
    assert both[0, -1].sum() < both[0, 0].sum()


def test_the_optax_adapter_chains_and_remembers_its_info():
    optimizer = optax.chain(ag.as_optax(ag.pcgrad(), 3), optax.clip(1.0), optax.scale(-0.1))
    params = jax.tree.map(lambda leaf: leaf[0], GRADS)
    state = optimizer.init(params)
    assert state[0].info.weights.tolist() == [0, 0, 0]
    update = jax.jit(lambda g, s: optimizer.update(g, s, params))
    updates, after = update(GRADS, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    same = [
        (a.shape, a.dtype) == (b.shape, b.dtype)
        for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True)
    ]
    assert all(same)
    expected = ag.weighted_sum(after[0].info.weights, GRADS)
    for leaf, other in zip(jax.tree.leaves(updates), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(leaf, -0.1 * np.clip(other, -1, 1), rtol=1e-5, atol=1e-6)
    chained = optax.with_extra_args_support(ag.as_optax(ag.gradnorm(), 3))
    turn = jax.jit(lambda g, s, losses: chained.update(g, s, params, losses=losses, other=1))
    _, state = turn(GRADS, chained.init(params), jnp.ones(3))
    assert state.number == 1


@pytest.mark.slow
def test_preferences_scale_rows_or_enter_the_method():
    j = jnp.asarray(ROWS)
    p = jnp.array([1.0, 3.0, 0.5])
    by_rows = alone(ag.preferred(ag.mgda(), p), j)
    np.testing.assert_allclose(
        by_rows[0], alone(ag.mgda(), j * p[:, None])[0], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(by_rows[0], by_rows[2].weights @ j, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        ag.preferred(ag.mgda(), p).weights(j @ j.T), by_rows[2].weights, rtol=1e-3, atol=1e-5
    )
    ones = jnp.zeros(3).at[1].set(1.0)
    swept = jax.jit(jax.vmap(lambda q: alone(ag.upgrad(q), j)[0]))(jnp.stack([ones, p]))
    assert (j @ swept[0] >= -1e-4).all()
    nash = alone(ag.nash_mtl(None, preferences=p), j)[2]
    np.testing.assert_allclose(nash.weights * (j @ j.T @ nash.weights), p, rtol=1e-3)


def test_smoothed_weights_and_their_rule_agree():
    aggregator = ag.cr_mogm(ag.mgda(), alpha=0.8)
    state, expected = aggregator.init(jnp.asarray(ROWS)), None
    update = jax.jit(aggregator.update)

    @jax.jit
    def weights(gram, state):
        by_rule = aggregator.rule(gram, state, ag.Context(jnp.ones(3, bool))).weights
        return by_rule, ag.mgda().weights(gram)

    for seed in range(3):
        j = jnp.asarray(random_rows(seed, tasks=3), jnp.float32)
        by_rule, w = weights(j @ j.T, state)
        expected = w if expected is None else 0.8 * expected + 0.2 * w
        grads, state, info = update(j, state)
        np.testing.assert_allclose(info.weights, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(by_rule, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(grads, expected @ j, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_recon_counts_pairs_below_the_threshold_in_each_layer():
    def count(threshold):
        number = {}
        for group in GRADS:
            j = np.concatenate([leaf.reshape(3, -1) for leaf in jax.tree.leaves(GRADS[group])], 1)
            unit = j / np.linalg.norm(j, axis=1)[:, None]
            number[f"['{group}']"] = int((np.triu(unit @ unit.T, 1) < threshold).sum())
        return number

    for threshold in (0.0, -0.3):
        found = {k: int(v) for k, v in ag.conflict_scores(GRADS, threshold=threshold).items()}
        assert found == count(threshold)
    aggregator = ag.recon(ag.cagrad(), -0.3)
    state = aggregator.init(GRADS)
    grads, state, _ = aggregator.update(GRADS, state)
    _, state, _ = aggregator.update(GRADS, state)
    assert state.scores.tolist() == [2 * n for _, n in sorted(count(-0.3).items())]
    np.testing.assert_allclose(
        grads["trunk"]["bias"], alone(ag.cagrad(), GRADS)[0]["trunk"]["bias"], rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"threshold: expected a number in \[-1, 0\]"):
        ag.recon(threshold=0.5)


@pytest.mark.slow
def test_nash_weights_may_be_kept_between_solutions():
    aggregator = ag.nash_mtl(None, update_every=2)
    first, second = (jnp.asarray(random_rows(s, tasks=3), jnp.float32) for s in (1, 2))
    state = aggregator.init(first)
    _, state, one = aggregator.update(first, state)
    _, state, two = aggregator.update(second, state)
    np.testing.assert_allclose(one.weights, two.weights)
    _, _, three = aggregator.update(second, state)
    assert not np.allclose(three.weights, two.weights)


@pytest.mark.slow
def test_pcd_without_its_first_task_does_nothing_and_else_leaves_tasks_out():
    j = jnp.asarray(ROWS)
    grads, _, info = alone(ag.pcd(), j, present=jnp.array([False, True, True]))
    assert not grads.any()
    assert not info.converged
    found = alone(ag.pcd(0.3), j, present=jnp.array([True, False, True]))[0]
    np.testing.assert_allclose(
        found, alone(ag.pcd(0.3), j[jnp.array([0, 2])])[0], rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["upgrad", "dualproj", "mgda", "cagrad"])
def test_many_dependent_rows_are_solved_in_single_precision(name):
    # Half as many dimensions as rows: hardly any direction is common, and supports abound.
    aggregator = ag.make(name)
    update = jax.jit(lambda j: aggregator.update(j, ())[::2])
    for seed in range(3):
        rng = np.random.default_rng(seed)
        j = rng.normal(size=(48, 24)) @ rng.normal(size=(24, 60))
        found, info = update(jnp.asarray(j, jnp.float32))
        assert info.converged
        assert info.residual < 2e-5
        if name != "cagrad":
            lengths = np.linalg.norm(j, axis=1)
            assert (j @ np.asarray(found, float) >= -1e-4 * lengths * lengths.max()).all()


@pytest.mark.slow
def test_layers_are_those_of_the_parameters_beside_heads_as_well():
    shared = {"trunk": True, "out": True, "heads": False}
    grads = GRADS | {"heads": {"kernel": GRADS["out"]["kernel"], "bias": GRADS["trunk"]["bias"]}}
    expected, alone_state, _ = alone(ag.grouped(ag.gradvac(), 1), GRADS, key=jax.random.key(0))
    found, state, info = alone(
        ag.with_heads(ag.grouped(ag.gradvac(), 1), shared, "plain"), grads, key=jax.random.key(0)
    )
    assert info.weights.shape == (2, 3)
    for a, b in zip(
        jax.tree.leaves((expected, alone_state)),
        jax.tree.leaves(({name: found[name] for name in GRADS}, state)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert jax.tree.structure(found) == jax.tree.structure(grads)
    counting = ag.with_heads(ag.recon(), shared, "weighted")
    scores = alone(counting, grads)[1].scores
    assert scores.tolist() == [int(n) for _, n in sorted(ag.conflict_scores(GRADS).items())]
    one_layer = {"first": {"a": True, "head": False}}
    rows = {"first": {"a": jnp.ones((2, 3)), "head": jnp.eye(2)}}
    found = alone(ag.with_heads(ag.mean(), one_layer, "plain"), rows)[0]
    assert found["first"]["head"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", some(["random", "graddrop", "gradvac", "pcgrad", "rlw"], "rlw"))
def test_a_method_that_draws_wants_a_key_of_its_users(name):
    def three(params, x):
        return jnp.stack([((params["w"] - scale * x) ** 2).mean() for scale in (1.0, 2.0, -1.0)])

    params, x = {"w": jnp.array([1.0, 0.5])}, jnp.array([1.0, -1.0])
    made = [ag.aggregated_step(three, ag.make(name), optax.sgd(0.1))]
    if name in ag.LOSS_METHODS:
        made.append(ag.scalarized_step(three, ag.make_scalarizer(name), optax.sgd(0.1)))
    for init, step in made:
        step = jax.jit(step)
        with pytest.raises(ValueError, match=r"expected a jax.random.key, got None: .*init\("):
            step(params, init(params, x), x)
        after, state, _ = step(params, init(params, x, jax.random.key(1)), x)
        assert np.isfinite(after["w"]).all()
        assert int(state.number) == 1
    # Nothing is drawn where there is nothing to draw.
    init, step = ag.aggregated_step(loss_fn, ag.pcgrad(), optax.sgd(0.1))
    jax.jit(step)(params, init(params, x), x)


def test_tables_of_methods_are_read_only():
    for table in (ag.REGISTRY, ag.LOSS_METHODS):
        with pytest.raises(TypeError, match="does not support item assignment"):
            table["mine"] = next(iter(table.values()))


class Normalised(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(2, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.layer(x))


def test_what_could_not_be_trained_is_refused_in_a_sentence():
    def outputs(model, x):
        return (model(x) ** 2).mean(axis=0)

    def with_function(params, x):
        return params["f"](params["w"] * x)

    def as_tuple(params, x):
        return params["w"][0], params["w"][1]

    steps = (
        lambda f: ag.aggregated_step(f, ag.mean(), optax.sgd(0.1)),
        lambda f: ag.scalarized_step(f, ag.equal(), optax.sgd(0.1)),
        lambda f: ag.gramian_step(f, ag.mgda(), optax.sgd(0.1)),
        lambda f: ag.auto_lambda_step(f, optax.sgd(0.1), look_ahead=0.1),
    )
    x = jnp.ones((4, 2))
    module, plain = Normalised(nnx.Rngs(0)), nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    for make in steps:
        with pytest.raises(ValueError, match="nnx module Normalised whose statistics would never"):
            make(outputs).init(module, x)
        make(outputs).init(plain, x)
        with pytest.raises(ValueError, match=r"params\['f'\]: expected an array, got function"):
            make(with_function).init({"w": jnp.ones(2), "f": lambda z: z}, x)
        with pytest.raises(ValueError, match="expected a vector with one loss a task, got a tuple"):
            make(as_tuple).init({"w": jnp.ones(2)}, x)


@pytest.mark.slow
def test_steps_start_and_run_in_the_stricter_modes_of_jax():
    def two(params, x):
        out = jnp.tanh(x @ params["a"]) @ params["b"]
        return jnp.where(x[:, :2] > 0, (out - x[:, :2]) ** 2, 0).mean(axis=0)

    keys = jax.random.split(jax.random.key(0))
    params = {
        "a": jax.random.normal(keys[0], (3, 2)),
        "b": jax.random.normal(keys[1], (2, 2)),
    }
    x, key, adam = jnp.ones((4, 3)), jax.random.key(1), optax.adam(0.1)
    made = (
        ag.aggregated_step(two, ag.graddrop(), adam),
        ag.scalarized_step(two, ag.famo(), adam),
        ag.gramian_step(two, ag.mgda(), adam),
    )
    ahead = ag.auto_lambda_step(two, adam, look_ahead=None)
    strict = jax.numpy_dtype_promotion("strict")
    with strict, jax.debug_nans(True), jax.transfer_guard("disallow"):
        for init, step in made:
            after, state, _ = jax.jit(step)(params, init(params, x, key), x)
        after, state, _ = jax.jit(ahead.step)(params, ahead.init(params, x), x, x)
        adapter = ag.as_optax(ag.trimmed_mean(0), 2)
        start = adapter.init(params)
        twice = jax.tree.map(lambda p: jnp.stack([p, p]), params)
        jax.eval_shape(lambda s: adapter.update(twice, s), start)
    assert np.isfinite(after["a"]).all()
