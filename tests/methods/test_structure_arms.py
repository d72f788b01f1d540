"""Arms that decide which tasks share, grow, or average restarts."""

import csv
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from same_runs import assert_identical, check_models

from jaxmtl import Phase
from jaxmtl.comparison import Bench, Protocol, check_arms, find_arm
from jaxmtl.data import Data, Folds, SplitIndices
from jaxmtl.methods import Work
from jaxmtl.methods.study import bench as bench_module
from jaxmtl.methods.study.grow import grown, wider
from jaxmtl.methods.study.look_ahead_arm import _is_better
from jaxmtl.methods.study.stages import after
from jaxmtl.prediction.records import every_run, write_history
from jaxmtl.tasks import number_tasks
from jaxmtl.training import Divergence

pytestmark = pytest.mark.few_optimizations

X = np.random.default_rng(0).uniform(size=(40, 3)).astype(np.float32)
PHASES = tuple(Phase(2, learning_rate=0.02) for _ in range(3))
SEEDS = 2
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("groups@2", "grow@2", "halving")]
# The sweep that is broken off.
BROKEN = [("groups@2", 2), ("grow@2", 2), ("halving", 5), ("ensemble@2:restarts", 2)]
BROKEN += [("ensemble@2:lookahead", 7)]


def make_bench(phases=PHASES, *, validation=True, **work):
    y = np.stack([X[:, 0] * X[:, 1], 1 - X[:, 2] ** 2, -X[:, 0] * X[:, 1]], axis=-1)
    data = Data(x=X, y=y, known=np.ones((40, 3), bool), tasks=number_tasks(["u", "v", "w"]))
    rows = np.arange(40)
    fold = SplitIndices(rows[:20], rows[20:30] if validation else rows[:0], rows[30:])
    keys = jax.vmap(jax.random.key)(np.arange(SEEDS))
    protocol = Protocol(phases=phases, shared=(3,), nodes=2, batch_size=5, output_activation=None)
    bench = Bench(protocol, data, Folds(parts=(fold,) * SEEDS), keys, Work(**work))
    bench.__dict__["updates"] = np.array([[8] * len(phases)] * SEEDS)  # without an adaptive run
    return bench


@pytest.fixture(scope="module")
def bench():
    return make_bench()


@pytest.fixture(scope="module")
def fitted(bench):
    return functools.cache(lambda name: find_arm(name).run(bench))


@pytest.mark.parametrize("name", ["lookahead", "ensemble@2:restarts", *SLOW])
def test_an_arm_keeps_the_models_whose_errors_it_reports(bench, fitted, name):
    check_models(bench, fitted(name), X)


@pytest.mark.slow
def test_steps_are_those_of_all_that_was_trained(fitted):
    a_run, a_phase = 24, 8
    assert fitted("groups@2").steps.tolist() == [a_run + a_run // 4] * SEEDS
    assert fitted("grow@2").steps.tolist() == [a_run] * SEEDS
    assert fitted("lookahead").steps.tolist() == [a_run + a_phase] * SEEDS
    assert fitted("halving").steps.tolist() == [3 * a_phase + 2 * a_phase + a_phase] * SEEDS
    assert fitted("ensemble@2:restarts").steps.tolist() == [2 * a_run] * SEEDS
    epochs = [choice["epoch"] for choice in fitted("halving").chosen]
    assert all(4 < epoch <= 6 for epoch in epochs)


@pytest.mark.parametrize("name", ["lookahead", *SLOW[1:]])
def test_the_history_holds_all_stages_of_the_run_that_was_kept(fitted, name):
    found, epochs = fitted(name), 2 * len(PHASES)
    for seed, trace in enumerate(found.traces):
        history = trace.history
        assert history.phase.tolist() == [1, 1, 2, 2, 3, 3]
        assert history.epoch.tolist() == [1, 2] * 3
        assert trace.ends == ((2,) if name == "grow@2" else (2, 4))
        # No stage begins anew: the errors are those of one run.
        assert (np.diff(history.train.sum(axis=1)) < 0.1 * history.train[0].sum()).all()
        chosen = found.chosen[seed]["epoch"]
        assert trace.ends[-1] < chosen <= epochs
        np.testing.assert_allclose(history.test[chosen - 1], found.scores[seed], rtol=1e-5)


def test_the_history_of_an_ensemble_is_that_of_all_its_runs(bench, fitted, tmp_path):
    (trace, _), alone = fitted("ensemble@2:restarts").traces, find_arm("restarts").run(bench)
    assert_identical(trace.history, alone.traces[0].history)
    runs = every_run({"ensemble": trace})
    write_history(tmp_path / "history.csv", runs, ["u", "v", "w"])
    with open(tmp_path / "history.csv", encoding="utf-8-sig") as file:
        rows = [(row["run"], int(row["epoch_of_run"])) for row in csv.DictReader(file)]
    assert rows == [(f"ensemble, run {run}", epoch) for run in (1, 2) for epoch in range(1, 7)]


def test_a_stage_that_diverged_is_said(fitted):
    one = fitted("ensemble@2:restarts")
    kept = dataclasses.replace(one, chosen=({"epoch": 3},) * SEEDS)
    broken = [
        dataclasses.replace(one.traces[0], divergence=Divergence(1, 2, 3, task)) for task in (0, 1)
    ]
    found = after([[broken[0], broken[1]], [one.traces[0], broken[1]]], kept)
    assert found.diverged.tolist() == [True, True]
    assert np.isnan(found.scores).all()
    assert [trace.divergence for trace in found.traces] == [
        Divergence(1, 2, 3, 0),
        Divergence(2, 2, 3, 1),
    ]
    assert [choice["epoch"] for choice in found.chosen] == [15, 15]
    good = after([[one.traces[0]]] * SEEDS, kept)
    assert not good.diverged.any()
    np.testing.assert_array_equal(good.scores, one.scores)


@pytest.mark.parametrize(
    ("name", "broken"),
    [("lookahead", 3), *(pytest.param(*one, marks=pytest.mark.slow) for one in BROKEN)],
)
def test_an_arm_that_was_broken_off_goes_on_to_the_same(
    fitted, name, broken, tmp_path, monkeypatch
):
    """Stages that are through are read again, and the decisions with them."""
    sweep, calls = bench_module.sweep, []

    def breaks(*given, **options):
        calls.append(options["checkpoint"])
        if len(calls) == broken:
            raise KeyboardInterrupt
        return sweep(*given, **options)

    monkeypatch.setattr(bench_module, "sweep", breaks)
    with pytest.raises(KeyboardInterrupt):
        find_arm(name).run(make_bench(checkpoint=tmp_path))
    resumed = find_arm(name).run(make_bench(checkpoint=tmp_path, resume=True))
    assert len(set(calls)) == len(calls) - broken  # every stage has a folder of its own
    whole = fitted(name)
    for field in ("scores", "steps", "parameters", "diverged"):
        np.testing.assert_array_equal(getattr(resumed, field), getattr(whole, field))
    assert resumed.chosen == whole.chosen
    for mine, theirs in zip(resumed.models, whole.models, strict=True):
        assert_identical(mine.arrays(), theirs.arrays())
    for mine, theirs in zip(resumed.traces, whole.traces, strict=True):
        assert_identical(mine.history, theirs.history)


def test_an_ensemble_is_the_mean_of_runs_of_which_the_first_is_the_arm(bench, fitted):
    alone = find_arm("restarts").run(bench)
    other = find_arm("restarts").run(bench.restarted(1))
    found = fitted("ensemble@2:restarts")
    for seed in range(SEEDS):
        both = [one.models[seed].predict(X) for one in (alone, other)]
        assert np.abs(both[0] - both[1]).max() > 1e-3
        np.testing.assert_allclose(found.models[seed].predict(X), np.mean(both, axis=0), rtol=1e-5)
    assert found.parameters.tolist() == (2 * alone.parameters).tolist()


@pytest.mark.slow
def test_tasks_of_a_group_share_all_layers(bench, monkeypatch):
    seen = []

    def groups(relation, tasks, number):
        seen.append((relation, tasks, number))
        return ("0", "2"), ("1",)

    monkeypatch.setattr("jaxmtl.methods.study.in_groups.groups_by", groups)
    found = find_arm("groups@2").run(bench)
    assert [one[1:] for one in seen] == [(("0", "1", "2"), 2)] * SEEDS
    assert all(0 <= one[0].min() and one[0].shape == (3, 3) for one in seen)
    for choice, model in zip(found.chosen, found.models, strict=True):
        assert choice["groups"] == "u with w; v"
        for rows in model.pointers.columns.values():
            assert np.unique(np.asarray(rows)[:, 0], return_inverse=True)[1].tolist() == [0, 1, 0]
    alone = 3 * 3 + 3 + 3 * 2 + 2
    assert found.parameters.tolist() == [2 * alone + 3 * 3] * SEEDS


def test_a_network_that_grows_predicts_what_it_did(bench):
    narrow, wide = bench.network(capacity=2), wider(bench, 3)
    params, fresh = (
        jax.jit(network.init)(jax.random.key(n), X)["params"]
        for n, network in enumerate((narrow, wide))
    )
    larger = grown(params, fresh)
    outputs = [
        jax.jit(network.apply)({"params": own}, X)
        for network, own in ((narrow, params), (wide, larger))
    ]
    np.testing.assert_allclose(*outputs, rtol=1e-6)
    assert np.asarray(larger["shared_0"]["kernel"]).all()


def test_a_change_is_kept_for_more_than_a_standard_error_only(bench, fitted):
    one = fitted("lookahead")
    y = jnp.asarray(bench.data.y)

    class Off:
        def __init__(self, by):
            self.by = by

        def predict(self, x):
            rows = [int(np.flatnonzero((X == row).all(axis=1))[0]) for row in x]
            return np.asarray(y)[rows] + self.by[rows][:, None]

    def with_errors(by):
        return one.__class__(**{**one.__dict__, "models": (Off(by),) * SEEDS})

    far, near = with_errors(np.full(40, 0.5)), with_errors(np.full(40, 0.1))
    noisy = with_errors(np.where(np.arange(40) == 25, 0.0, 0.51))
    assert _is_better(bench, far, near).all()
    assert not _is_better(bench, near, far).any()
    assert not _is_better(bench, far, far).any()
    assert not _is_better(bench, far, noisy).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lookahead", "halving"])
def test_two_phases_are_enough_and_one_is_not(name):
    found = find_arm(name).run(make_bench(PHASES[:2]))
    assert {choice["kept"] for choice in found.chosen}


@pytest.mark.parametrize("name", ["lookahead", "halving", "grow@2"])
def test_one_phase_has_no_end_at_which_to_decide(name):
    with pytest.raises(ValueError, match="expected a schedule of several phases, as it decides"):
        check_arms([name], "hard_sharing", 3, Protocol(phases=PHASES[:1]))


@pytest.mark.parametrize("name", ["groups@2", "lookahead", "halving"])
def test_there_have_to_be_rows_to_decide_by(name):
    with pytest.raises(ValueError, match=f"{name}: expected validation rows to decide by, got non"):
        find_arm(name).run(make_bench(validation=False))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "grow@x",
            "'grow@x': expected a number of times from 2 to 64, as in grow@2, got 'x'",
        ),
        ("grow@1", "expected a number of times from 2 to 64"),
        ("grow@", "'grow@': expected grow@N, got no n"),
        ("groups@9", "groups@9 does not go with these targets: expected at least 9 tasks, got 3"),
        ("groups@1", "expected a number of groups from 2 to 1000, as in groups@2, got '1'"),
        ("ensemble@2:mmo", "'ensemble@2:mmo': there is no arm and no method 'mmo' .did you mean"),
        ("ensemble@2", "expected an arm behind the number, as in ensemble@2:restarts"),
        ("ensemble@x:mmoe", "expected a number of runs from 2 to 100, .* got 'x'"),
        ("ensemble@2:ensemble@2:mmoe", "expected an arm that is no ensemble itself"),
        ("ensemble", "'ensemble': expected ensemble@N:ARM, got no n"),
        ("ensemble@2:grow@x", "expected a number of times from 2 to 64"),
    ],
)
def test_mistakes_in_names(name, words):
    with pytest.raises(ValueError, match=words):
        check_arms([name], "hard_sharing", 3, Protocol())


def test_names_of_ensembles_are_full_ones():
    names = {
        "ensemble@4:upgrad": "ensemble@4:restarts+upgrad",
        "ensemble@2:cagrad(c=0.3)": "ensemble@2:restarts+cagrad(c=0.3)",
        "ensemble@2:mmoe+upgrad": "ensemble@2:mmoe+upgrad",
        "ensemble@2:halving": "ensemble@2:halving",
    }
    for name, full in names.items():
        assert find_arm(name).name == full
        assert find_arm(full).name == full
