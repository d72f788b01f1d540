"""A sweep is its single runs, side by side."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import drawn_parameters
from same_runs import assert_close, assert_same_run

from jaxmtl import HardSharing, Phase, Rows, Splits, fit, fit_adaptive, sweep
from jaxmtl.models import MMoE
from jaxmtl.training.phased.phases import NEVER, phase_table
from jaxmtl.training.phased.program import advance_all

pytestmark = pytest.mark.few_optimizations

rng = np.random.default_rng(0)
X = rng.uniform(size=(30, 4)).astype(np.float32)
Y = rng.uniform(size=(30, 3)).astype(np.float32)
KNOWN = rng.uniform(size=(30, 3)) < 0.8
MODEL = HardSharing()
PHASES = (Phase(5, 2, 4), Phase(4, 1, 4), Phase(3, learning_rate=1e-3))


def rows(tasks=2, known=None, seed=0):
    mixed = np.random.default_rng(seed).permutation(30)
    x, y = X[mixed], Y[mixed, :tasks]
    known = None if known is None else known[:24, :tasks]
    return Splits(Rows(x[:24], y[:24], known), validation=Rows(x[24:], y[24:]))


DATA = rows()


def keys(number):
    return jax.random.split(jax.random.key(0), number)


def stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@pytest.fixture(scope="module")
def alone():
    """The single runs that several tests compare with."""
    return [fit_adaptive(MODEL, DATA, key=key, phases=PHASES) for key in keys(17)]


@pytest.mark.slow
@pytest.mark.parametrize("case", [(1, None), (3, None), (17, None), (17, 3)])
def test_equals_single_runs_seed_by_seed(alone, case):
    number, chunk = case
    seen = []
    # The first keys of several are not those of a split into fewer.
    runs = sweep(
        *(MODEL, DATA), keys=keys(17)[:number], phases=PHASES, chunk=chunk, on_progress=seen.append
    )
    assert len(runs) == number
    for run, single in zip(runs, alone, strict=False):
        assert_same_run(run, single)
    assert not runs.diverged.any()
    np.testing.assert_allclose(
        runs.last(runs.records.validation)[-1], alone[number - 1].history.validation[-1], rtol=1e-4
    )
    assert seen[-1][:4] == (number, number, 12 * number, 12 * number)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    if number == 17:
        assert len({tuple(run.events) for run in runs}) > 5  # different nodes at different times


def test_one_compilation_for_the_whole_sweep():
    before = None
    for seed, threshold in ((0, 3), (1, 10**6)):
        calls, phases = [], (Phase(50, 2, threshold), Phase(4, 1, 4), Phase(2))
        sweep(
            *(MODEL, rows(seed=seed)),
            keys=keys(5),
            phases=phases,
            chunk=3,
            on_progress=calls.append,
        )
        assert len(calls) > 4  # chunks of 3 and 2, each of several calls
        before = before or advance_all._cache_size()
        assert advance_all._cache_size() == before > 0


OPTIONS = {
    "shuffled batches of 7": (2, {}, {"shuffle": True, "batch_size": 7, "transplant": "copy"}),
    "three tasks, unknown labels": (3, {}, {"zeros": "hold"}),
    "weights": (2, {"activation": "relu", "output_activation": None}, {"optimizer": optax.sgd}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_equals_single_runs_with(name):
    tasks, fields, options = OPTIONS[name]
    data = rows(tasks, KNOWN if "unknown" in name else None)
    model = HardSharing(outputs=(1,) * tasks, **fields)
    runs = sweep(model, data, keys=keys(3), phases=PHASES, **options)
    for run, key in zip(runs, keys(3), strict=True):
        assert_same_run(run, fit_adaptive(model, data, key=key, phases=PHASES, **options))
    assert any(len(run.events) for run in runs)


def test_rows_and_start_may_differ_from_member_to_member():
    each = [rows(known=KNOWN, seed=seed) for seed in range(3)]
    each[1].train.y[~each[1].train.known] = np.nan
    each[2].train.y[17, 1] = np.inf
    assert KNOWN[17, 1]
    starts = [drawn_parameters(MODEL, X[:1], seed)["params"] for seed in range(3)]
    index = jnp.array([[[0, 1, 2], [0, 1, 2]], [[0, 3, 2], [0, 1, 2]], [[5, 1, 2], [0, 1, 2]]])
    options = {"phases": PHASES, "shuffle": True}
    given = {"params": stack(starts), "head_index": index}
    runs = sweep(MODEL, stack(each), keys=keys(3), stacked=True, **given, **options)
    for i, key in enumerate(keys(3)[:2]):
        # The single run takes the order's key from the same key.
        single = fit_adaptive(
            *(MODEL, each[i]), key=key, params=starts[i], head_index=index[i], **options
        )
        assert_same_run(runs[i], single)
    assert runs.diverged.tolist() == [False, False, True]
    assert runs[2].divergence[:2] == (1, 1)
    assert runs[2].divergence.task == 1


@pytest.mark.slow
def test_numbers_of_the_phases_may_differ_from_member_to_member():
    schedules = [
        (Phase(6, 1, 3, 5e-3), Phase(2)),
        (Phase(3, 2, 6, 1e-2), Phase(4, learning_rate=1e-3)),
        (Phase(6, 3, None, 2e-3), Phase(3, 0, 2)),
    ]
    runs = sweep(MODEL, DATA, keys=keys(3), phases=schedules)
    for run, key, phases in zip(runs, keys(3), schedules, strict=True):
        assert_same_run(run, fit_adaptive(MODEL, DATA, key=key, phases=phases))
    table = phase_table(schedules[0])._replace(
        learning_rate=jnp.array([[1e-3, 5e-3]] * 2 + [[1e-2] * 2])
    )
    runs = sweep(MODEL, DATA, keys=keys(3), phases=table)
    fast = (Phase(6, 1, 3, 1e-2), Phase(2, learning_rate=1e-2))
    assert_same_run(runs[2], fit_adaptive(MODEL, DATA, key=keys(3)[2], phases=fast))


@pytest.mark.slow
@pytest.mark.parametrize("model", [MMoE(), HardSharing()])
def test_networks_that_never_split_equal_fit(model):
    runs = sweep(model, DATA, keys=keys(2), phases=[Phase(3)])
    assert runs.events is None
    for run, key in zip(runs, keys(2), strict=True):
        assert_same_run(run, fit(model, DATA, key=key, epochs=3))
    with pytest.raises(IndexError, match="runs: expected a member below 2, got 2"):
        runs[2]


# What is duplicated, if not the node of the largest streak.
STOPS = (29, 50)  # in the second epoch of 24 updates; in the third
UPDATES = 24


@functools.cache
def told_to_stop(split, parted=False):
    """Runs of two phases that stop when they are told to; a bank may be parted from the start."""
    table = phase_table((Phase(4), Phase(4), Phase(1)))
    table = table._replace(stop=jnp.array([*STOPS, NEVER], jnp.int32))
    index = jnp.arange(6).reshape(2, 3) if parted else MODEL.initial_head_index()
    index = jnp.tile(index.astype(jnp.int32)[None], (6, 1, 1))
    return sweep(MODEL, DATA, keys=keys(6), phases=table, split=split, head_index=index)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["random", "least", "all", "none", "streak"])
def test_a_phase_stops_after_as_many_updates_as_it_is_told(split):
    for run in told_to_stop(split):
        history = run.history
        for phase, stop in enumerate(STOPS):
            assert history.samples[history.phase == phase + 1].sum() == stop
        assert (history.phase == 3).sum() == 1


@pytest.mark.slow
@pytest.mark.parametrize("split", ["random", "least", "all", "streak"])
def test_a_split_of_any_kind_changes_no_error_at_the_stop(split):
    for run, unsplit in zip(told_to_stop(split), told_to_stop("none"), strict=True):
        assert len(unsplit.events) == 0
        np.testing.assert_array_equal(unsplit.head_index, MODEL.initial_head_index())
        assert_close(run.history.train[:2], unsplit.history.train[:2])
        predicted = MODEL.apply({"params": run.params}, DATA.train.x, run.head_index)
        errors = ((predicted - DATA.train.y) ** 2).mean(axis=0)
        np.testing.assert_allclose(errors, run.history.train[-1], rtol=1e-4)
        if split == "all":
            assert run.head_index.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["random", "least"])
def test_the_node_is_drawn_among_the_shared_ones_or_that_of_least_conflict(split):
    first = []
    for run in told_to_stop(split):
        one, two = run.events
        first.append(one.node)
        assert (one.phase, two.phase, one.epoch, two.epoch) == (1, 2, 2, 3)
        assert one.sample == (STOPS[0] - 1) % UPDATES
        assert (one.copy, two.copy) == (3, 4)
        assert one.tasks == two.tasks == (0,)
        assert {one.node, two.node} <= {0, 1, 2}
        assert one.node != two.node
        if split == "least":
            counted = run.history.conflicts
            for event in (one, two):
                total = counted[run.history.phase == event.phase].sum(axis=0)
                shared = [0, 1, 2] if event is one else [n for n in range(3) if n != one.node]
                assert total[event.node] == total[shared].min()
    if split == "random":
        assert len(set(first)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("split", ["random", "streak"])
def test_where_nothing_is_left_to_part_nothing_is_split(split):
    for run in told_to_stop(split, parted=True):
        assert len(run.events) == 0
        assert run.head_index.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.slow
def test_a_member_that_diverges_leaves_its_neighbours_alone():
    model = HardSharing(activation="relu", output_activation=None)
    phases = [
        (Phase(3, 1, 6, rate), Phase(2, learning_rate=late))
        for rate, late in ((1e-2, 1e-3), (1e30, 1e-3), (1e-2, 1e38))
    ]
    runs = sweep(model, DATA, keys=keys(3), phases=phases, optimizer=optax.sgd)
    assert runs.diverged.tolist() == [False, True, True]
    for run, key, schedule in zip(runs, keys(3), phases, strict=True):
        single = fit_adaptive(model, DATA, key=key, phases=schedule, optimizer=optax.sgd)
        assert run.divergence == single.divergence
        assert tuple(run.events) == tuple(single.events)
        assert_close((run.params, run.head_index), (single.params, single.head_index))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params))
        assert run.history.samples.tolist() == single.history.samples.tolist()
    assert runs[1].divergence[:2] == (1, 1)
    assert runs[2].divergence[:2] == (2, 1)


@pytest.mark.slow
def test_a_row_that_is_not_finite_is_named():
    each = [rows(seed=seed) for seed in range(3)]
    each[1].train.y[17, 1] = np.inf
    runs = sweep(MODEL, stack(each), keys=keys(3), phases=PHASES, stacked=True)
    assert runs.diverged.tolist() == [False, True, False]
    assert runs[1].divergence == (1, 1, 17, 1)
    assert runs[1].history.samples.tolist() == [17]
    for i in (0, 2):
        assert_same_run(runs[i], fit_adaptive(MODEL, each[i], key=keys(3)[i], phases=PHASES))


BAD = {
    "old keys": ({"keys": jax.random.PRNGKey(0)}, "keys: expected a row of typed keys"),
    "one key": ({"keys": jax.random.key(0)}, "keys: expected a row of typed keys"),
    "no keys": ({"keys": jax.random.split(jax.random.key(0), 2)[:0]}, "keys: expected a row of"),
    "rows": ({"stacked": True}, r"data.train.x: expected a leading axis of 3 members, one a key"),
    "params": ({"params": {"w": jnp.zeros(2)}}, r"params\['w'\]: expected a leading axis of 3"),
    "head index": ({"head_index": jnp.zeros((2, 2, 3), int)}, "head_index: expected a leading"),
    "lengths": (
        {"phases": [[Phase(1)], [Phase(1)], [Phase(1)] * 2]},
        r"phases: expected one schedule, or 3 of equally many phases, one a key, got 3 of \[1, 2\]",
    ),
    "schedules": ({"phases": [[Phase(1)]] * 2}, "phases: expected one schedule, or 3 of equally"),
    "no phases": ({"phases": ()}, "phases: expected at least one Phase"),
    "table": (
        {"phases": phase_table([Phase(1)])._replace(stop=jnp.zeros((2, 1), int))},
        r"phases.stop: expected shape \(phases,\) or \(3, phases\), got \(2, 1\)",
    ),
    "uneven table": (
        {"phases": phase_table([Phase(1)])._replace(warmup=jnp.zeros(2, int))},
        "phases: expected leaves of one length, got",
    ),
    "no bank": ({"model": MMoE()}, "model: expected a network with a bank, such as HardSharing"),
    "chunk": ({"chunk": 0}, "chunk: expected a number > 0"),
    "batch size": ({"batch_size": 0}, "batch_size: expected a number > 0"),
    "split": ({"split": "half"}, "split: expected one of"),
    "rule": ({"rule": "no"}, "rule: expected one of"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_one_sentence(case):
    changes, message = BAD[case]
    arguments = {"model": MODEL, "data": DATA, "keys": None, "phases": PHASES} | changes
    if arguments["keys"] is None:
        arguments["keys"] = keys(3)
    with pytest.raises(ValueError, match=message) as caught:
        sweep(**arguments)
    assert "\n" not in str(caught.value)
