import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import drawn_parameters
from some_cases import some

from jaxmtl import (
    STUDY_PHASES,
    HardSharing,
    IndependentNetworks,
    Phase,
    Rows,
    Splits,
    fit,
    fit_adaptive,
)
from jaxmtl.training.as_network import as_network
from jaxmtl.training.fit import advance
from jaxmtl.training.phased.epoch import epoch
from jaxmtl.training.phased.phases import phase_table
from jaxmtl.training.phased.state import ELEMENTWISE, Config, init_state

pytestmark = pytest.mark.few_optimizations  # golden runs are compiled as they are shipped

rng = np.random.default_rng(0)
X = rng.uniform(size=(60, 4)).astype(np.float32)
Y = rng.uniform(size=(60, 2)).astype(np.float32)
DATA = Splits(
    train=Rows(X[:40], Y[:40]), validation=Rows(X[40:50], Y[40:50]), test=Rows(X[50:], Y[50:])
)
PHASES = (Phase(6, 2, 4), Phase(4, 1, 4), Phase(4, 2, 4), Phase(3, learning_rate=1e-3))
adaptive = functools.partial(fit_adaptive, phases=PHASES)  # four phases share one compilation


@functools.cache
def first_run():
    """Of the first key; not to be changed."""
    return adaptive(HardSharing(), DATA, key=jax.random.key(0))


def test_a_run_has_what_it_promises():
    run = first_run()
    epochs = len(run.history)
    assert run.history.train.shape == run.history.test.shape == (epochs, 2)
    assert run.history.validation.shape == (epochs, 2)
    assert run.history.conflicts.shape == (epochs, 6)
    assert len(run.events) == 3
    for event, phase in zip(run.events, PHASES, strict=False):
        rows = run.history.phase == event.phase
        assert run.history.epoch[rows][-1] == event.epoch >= phase.warmup
        assert run.history.samples[rows][-1] == event.sample + 1
        assert (run.history.samples[rows][:-1] == 40).all()
        assert event.streak >= phase.threshold
        assert event.tasks == (0,)
        assert event.copy == event.phase + 2
        assert event.copy in np.asarray(run.head_index[0])
    assert run.divergence is None
    last = HardSharing().apply({"params": run.params}, X[50:], run.head_index)
    np.testing.assert_allclose(((last - Y[50:]) ** 2).mean(axis=0), run.history.test[-1], rtol=1e-5)


def test_the_schedule_of_the_study():
    assert [dataclasses.astuple(p) for p in STUDY_PHASES] == [
        (200, 80, 10, 5e-3),
        (50, 50, 8, 5e-3),
        (100, 51, 8, 5e-3),
        (300, 0, None, 1e-3),
    ]


def test_a_phase_without_a_trigger_duplicates_nothing_and_the_next_goes_on():
    phases = (Phase(2, threshold=10**6), Phase(3, threshold=3), Phase(2), Phase(1))
    run = fit_adaptive(HardSharing(), DATA, key=jax.random.key(0), phases=phases)
    assert [event.phase for event in run.events] == [2]
    assert run.history.phase.tolist()[:2] == [1, 1]
    assert run.history.phase.tolist()[-3:] == [3, 3, 4]


def test_the_warm_up_holds_the_trigger_back_while_streaks_run():
    on = [Phase(1)] * 3
    late = fit_adaptive(HardSharing(), DATA, key=jax.random.key(0), phases=[Phase(5, 5, 2), *on])
    assert (late.events[0].phase, late.events[0].epoch) == (1, 5)
    assert late.events[0].sample == 0 or late.events[0].streak >= 2
    never = fit_adaptive(HardSharing(), DATA, key=jax.random.key(0), phases=[Phase(5, 6, 1), *on])
    assert len(never.events) == 0


def test_a_run_that_never_splits_is_plain_hard_sharing():
    plain = fit(HardSharing(), DATA, key=jax.random.key(3), epochs=4)
    phases = [Phase(4), Phase(1), Phase(1), Phase(1)]  # as many as other runs have here
    counted = fit_adaptive(HardSharing(), DATA, key=jax.random.key(3), phases=phases)
    np.testing.assert_allclose(plain.history.train, counted.history.train[:4], rtol=1e-5)
    assert plain.history.conflicts is None
    assert counted.history.conflicts.sum() > 0


@pytest.mark.slow
def test_nothing_is_compiled_twice_whatever_is_split_when():
    traces = []

    class Counting(HardSharing):
        def trunk(self, x):
            traces.append(x.shape)
            return super().trunk(x)

    before = advance._cache_size()
    adaptive(Counting(), DATA, key=jax.random.key(0))
    first = len(traces)
    for seed in range(1, 4):
        other = (Phase(6, 1, 3 + seed), Phase(4, 1, 5), Phase(4, 2, 4), Phase(3))
        run = fit_adaptive(Counting(), DATA, key=jax.random.key(seed), phases=other)
        assert advance._cache_size() == before + 1
    assert len(run.events) >= 1
    assert len(traces) == first


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 8])
def test_vmap_over_seeds_equals_a_loop(batch_size):
    model, table = HardSharing(), phase_table(PHASES)
    config, network = Config(num_tasks=2, counts=True, batch_size=batch_size), as_network(model)
    data = jax.tree.map(jnp.asarray, DATA)
    starts = [drawn_parameters(model, X[:1], seed)["params"] for seed in range(4)]
    states = [init_state(as_network(model), config, p, table, jax.random.key(9)) for p in starts]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

    @jax.jit
    def whole(state):
        return jax.lax.scan(lambda s, _: epoch(network, config, s, data, table), state, length=17)

    together, records = jax.vmap(whole)(stacked)
    nodes = set()
    for i, state in enumerate(states):
        alone, record = whole(state)
        pick = functools.partial(jax.tree.map, lambda leaf, i=i: np.asarray(leaf[i]))
        events, expected = pick(together.watch.events), alone.watch.events
        for a, b in zip(events, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        nodes.add(tuple(np.asarray(expected.node)))
        np.testing.assert_array_equal(together.head_index[i], alone.head_index)
        ran = np.asarray(record.ran)
        np.testing.assert_array_equal(np.asarray(records.ran[i]), ran)
        np.testing.assert_allclose(
            np.asarray(records.test[i])[ran], np.asarray(record.test)[ran], rtol=2e-4
        )
    assert len(nodes) > 1  # seeds split different nodes side by side


@pytest.mark.slow
def test_hyperparameters_are_leaves_that_vmap():
    model, config = HardSharing(), Config(num_tasks=2, counts=True)
    data = jax.tree.map(jnp.asarray, DATA)
    table = phase_table([Phase(3)])
    params = drawn_parameters(model, X[:1])["params"]
    state = init_state(as_network(model), config, params, table, jax.random.key(0))
    rates = jnp.array([1e-3, 1e-2])

    def errors(rate):
        phases = table._replace(learning_rate=rate[None])
        return epoch(as_network(model), config, state, data, phases)[1].train

    together = jax.jit(jax.vmap(errors))(rates)
    np.testing.assert_allclose(together[1], jax.jit(errors)(rates[1]), rtol=1e-5)
    assert (np.asarray(together[0]) != np.asarray(together[1])).all()


@pytest.mark.parametrize("name", some(["adam", "nadam", "sgd"], "adam"))
def test_one_flat_vector_gives_the_same_numbers(name):
    """The shortcut for elementwise optimizers equals the same optimizer on the pytree."""
    optimizer = getattr(optax, name)
    assert optimizer in ELEMENTWISE  # while a factory that is not listed is never flattened
    flat = adaptive(HardSharing(), DATA, key=jax.random.key(0), optimizer=optimizer)
    tree = adaptive(
        HardSharing(), DATA, key=jax.random.key(0), optimizer=lambda rate: optimizer(rate)
    )
    assert list(flat.events) == list(tree.events)
    np.testing.assert_allclose(flat.history.train, tree.history.train, rtol=1e-4)


ANY_OPTIMIZER = {
    "nesterov": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    "clipped": lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate)),
    "lamb": optax.lamb,
    "flatten": lambda rate: optax.flatten(optax.adam(rate)),
    "schedule": lambda rate: optax.adam(optax.cosine_decay_schedule(1e-2, 100)),
}
OPTIMIZERS = list(itertools.product(ANY_OPTIMIZER, ["fresh", "copy"]))


@pytest.mark.parametrize("case", some(OPTIMIZERS, ("clipped", "copy")))
def test_any_optax_optimizer(case):
    name, transplant = case
    run = adaptive(
        *(HardSharing(), DATA),
        key=jax.random.key(0),
        optimizer=ANY_OPTIMIZER[name],
        transplant=transplant,
    )
    assert run.divergence is None
    assert run.history.train[-1].sum() < run.history.train[0].sum()


@pytest.mark.slow
def test_independent_networks_train_in_the_same_loop():
    """Each network of the pair learns what it would learn alone."""
    both = fit(IndependentNetworks(), DATA, key=jax.random.key(0), epochs=3)
    init = jax.jit(IndependentNetworks().init)
    start = init(jax.random.split(jax.random.key(0))[0], X[:1])["params"]
    for t in range(2):
        one = Splits(train=Rows(X[:40], Y[:40, t : t + 1]))
        alone = fit(HardSharing(outputs=(1,)), one, params=start[f"task_{t}"], epochs=3)
        np.testing.assert_allclose(alone.history.train[:, 0], both.history.train[:, t], rtol=1e-4)


def test_shuffling_is_by_key_and_every_epoch_anew():
    runs = [
        fit(HardSharing(), DATA, key=jax.random.key(s), epochs=3, shuffle=True) for s in (0, 0, 1)
    ]
    np.testing.assert_array_equal(runs[0].history.train, runs[1].history.train)
    assert (runs[0].history.train != runs[2].history.train).any()
    in_order = fit(HardSharing(), DATA, key=jax.random.key(0), epochs=3)
    assert (runs[0].history.train != in_order.history.train).any()


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [7, 100])
def test_the_last_batch_may_be_smaller(batch_size):
    run = fit(HardSharing(), DATA, key=jax.random.key(0), epochs=2, batch_size=batch_size)
    assert (run.history.samples == 40).all()


def test_rows_without_a_label_count_for_the_other_task_only():
    known = np.ones((40, 2), bool)
    known[::2, 1] = False
    noise, errors = np.where(known, Y[:40], 1e6), []
    for filler in (np.where(known, Y[:40], 0), noise, np.where(known, Y[:40], np.nan)):
        data = Splits(train=Rows(X[:40], filler.astype(np.float32), known))
        run = adaptive(HardSharing(), data, key=jax.random.key(0))
        errors.append(run.history.train)
    np.testing.assert_allclose(errors[1], errors[0], rtol=1e-6)
    np.testing.assert_allclose(errors[2], errors[0], rtol=1e-6)


@pytest.mark.slow
def test_outputs_of_several_widths_have_one_loss_a_task():
    data = Splits(train=Rows(X, np.concatenate([Y, Y[:, :1]], axis=1)))
    model = HardSharing(outputs=(2, 1))
    run = adaptive(model, data, key=jax.random.key(0))
    outputs = model.apply({"params": run.params}, X, run.head_index)
    error = (np.asarray(outputs) - np.asarray(data.train.y)) ** 2
    expected = [error[:, :2].mean(), error[:, 2].mean()]
    np.testing.assert_allclose(run.history.train[-1], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_inputs(dtype):
    data = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), DATA)
    run = adaptive(HardSharing(), data, key=jax.random.key(0))
    assert run.history.train.dtype == np.float32
    assert np.isfinite(run.history.train).all()


def test_a_run_starts_from_given_parameters_and_head_index():
    first = first_run()
    on = fit(HardSharing(), DATA, params=first.params, head_index=first.head_index, epochs=2)
    np.testing.assert_array_equal(on.head_index, first.head_index)
    assert on.history.train[-1].sum() <= first.history.train[-1].sum() * 1.05
    again = fit(
        HardSharing(), DATA, params={"params": first.params}, head_index=first.head_index, epochs=2
    )
    np.testing.assert_array_equal(again.history.train, on.history.train)


@pytest.mark.slow
def test_a_bank_without_a_free_column_goes_on_unsplit():
    run = adaptive(HardSharing(capacity=4), DATA, key=jax.random.key(0))
    assert len(run.events) == 1
    assert run.history.phase[-1] == 4


def test_progress_is_reported_to_the_end():
    seen = []
    adaptive(HardSharing(), DATA, key=jax.random.key(0), on_progress=seen.append)
    assert seen[-1].done == seen[-1].total == 17
    assert (seen[-1].phase, seen[-1].num_phases, seen[-1].num_epochs) == (4, 4, 3)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1].train.shape == (2,)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [pytest.param(optax.sgd, 1e30, id="overflow"), (optax.adam, 5e-3)],
)
def test_divergence_names_step_and_task_and_keeps_the_last_finite_state(optimizer, rate):
    y = Y[:40].copy()
    if rate < 1:
        y[17, 1] = np.inf
    data = DATA._replace(train=Rows(X[:40], y))
    model, phases = HardSharing(), PHASES
    if rate > 1:  # outputs that are bounded never overflow
        model = HardSharing(activation="relu", output_activation=None)
        phases = [Phase(3, 1, 1000, rate), Phase(2)]
    run = fit_adaptive(model, data, key=jax.random.key(0), phases=phases, optimizer=optimizer)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params))
    if rate < 1:
        assert run.divergence == (1, 1, 17, 1)
        assert run.history.samples.tolist() == [17]
        # Exactly the parameters after the 17 updates before it.
        before = Splits(train=Rows(X[:17], y[:17]))
        short = fit(model, before, key=jax.random.key(0), epochs=1)
        for a, b in zip(jax.tree.leaves(short.params), jax.tree.leaves(run.params), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    else:
        assert run.divergence.task >= 0
        assert "was not finite" in str(run.divergence)
    assert len(run.history) == 1


@pytest.mark.slow
def test_divergence_later_in_a_run_keeps_the_history_before_it():
    phases = [Phase(4), Phase(2, learning_rate=1e38)]
    model = HardSharing(activation="relu", output_activation=None)
    run = fit_adaptive(model, DATA, key=jax.random.key(0), phases=phases, optimizer=optax.sgd)
    assert (run.divergence.phase, run.divergence.epoch) == (2, 1)
    assert run.history.phase.tolist() == [1, 1, 1, 1, 2]
    assert np.isfinite(run.history.train[:4]).all()


BAD = {
    "neither key nor params": ({}, "key: expected a jax.random.key for drawing initial values"),
    "an old key": ({"key": jax.random.PRNGKey(0)}, "key: expected one typed key, made by"),
    "batch size": (
        {"key": jax.random.key(0), "batch_size": 0},
        "batch_size: expected a number > 0",
    ),
    "no phases": ({"key": jax.random.key(0), "phases": ()}, "phases: expected at least one Phase"),
    "rule": ({"key": jax.random.key(0), "rule": "no"}, "rule: expected one of"),
    "zeros": ({"key": jax.random.key(0), "zeros": "no"}, "zeros: expected one of"),
    "transplant": ({"key": jax.random.key(0), "transplant": "pad"}, "transplant: expected one of"),
    "index": (
        {"key": jax.random.key(0), "head_index": jnp.array([[0, 1, 9]] * 2)},
        "head_index: expected columns 0 .. 5 of the bank, got 9",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_one_sentence(case):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        fit_adaptive(HardSharing(), DATA, **arguments)
    assert "\n" not in str(caught.value)


def test_bad_data_and_models_are_one_sentence():
    key = functools.partial(jax.random.key, 0)
    with pytest.raises(ValueError, match="model: expected a network with a bank, such as"):
        fit_adaptive(IndependentNetworks(), DATA, key=key())
    with pytest.raises(ValueError, match=r"data.train: expected x \(rows, features\)"):
        fit(HardSharing(), Splits(train=Rows(X[:40], Y[:39])), key=key())
    with pytest.raises(ValueError, match="targets: expected the shape of the outputs"):
        fit(HardSharing(outputs=(1, 1, 1)), DATA, key=key())
    with pytest.raises(ValueError, match=r"loss: expected losses of shape \(batch, tasks\)"):
        fit(HardSharing(), DATA, key=key(), loss=lambda a, b: (a - b).sum(axis=1))
    wrong = Splits(train=Rows(X, Y, np.ones((60, 3), bool)))
    with pytest.raises(ValueError, match=r"data.train.known: expected shape \(60, 2\)"):
        fit(HardSharing(), wrong, key=key())
    for bad in ({"epochs": 0}, {"epochs": 1, "warmup": -1}, {"epochs": 1, "threshold": 0}):
        with pytest.raises(ValueError, match="Phase: expected"):
            Phase(**bad)
    with pytest.raises(ValueError, match="Phase: expected a finite learning rate above 0"):
        Phase(1, learning_rate=float("nan"))
