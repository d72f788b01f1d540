"""Names of arms, and arms with aggregators."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxmtl import Phase
from jaxmtl.aggregation import REGISTRY
from jaxmtl.aggregation.known import known_names
from jaxmtl.comparison import ARMS, DEFAULT_ARMS, Bench, Protocol, check_arms, expand, find_arm
from jaxmtl.data import Data, Folds, SplitIndices
from jaxmtl.methods import Work, find_method, held_out
from jaxmtl.methods.method import first_folds
from jaxmtl.tasks import Task, number_tasks

pytestmark = pytest.mark.few_optimizations


@pytest.fixture(scope="module")
def bench():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(80, 3)).astype(np.float32)
    y = np.stack([x[..., 0] * x[..., 1], 1 - x[..., 0] ** 2], axis=-1)
    data = Data(x=x, y=y, known=np.ones((80, 2), bool), tasks=number_tasks(["u", "v"]))
    folds = Folds(parts=tuple(SplitIndices(*(np.arange(40) + at,) * 3) for at in (0, 40)))
    phases = (Phase(4, warmup=1, threshold=2), Phase(2))
    return Bench(Protocol(phases=phases), data, folds, jax.vmap(jax.random.key)(np.arange(2)))


def test_every_method_is_an_arm_on_every_arm():
    for method in known_names():
        assert find_arm(method).name == f"restarts+{method}"
        for base in ARMS:
            if (base, method) == ("parameter_differentiation", "auto_lambda"):
                with pytest.raises(ValueError, match="expected a method that combines task grad"):
                    find_arm(f"{base}+{method}")
                continue
            if base == "linear@tuned":
                with pytest.raises(ValueError, match="weighs the losses itself; take it alone"):
                    find_arm(f"{base}+{method}")
                continue
            arm = find_arm(f"{base}+{method}")
            assert arm.name == f"{base}+{method}"
            assert arm.description.startswith(ARMS[base].description)
            assert arm.description.endswith(f"combined by {method}")


def test_groups_leave_out_what_needs_more_tasks():
    two, five = expand(["aggregators"], 2), expand(["aggregators"], 5)
    assert set(five) - set(two) == {"restarts+krum", "restarts+trimmed_mean"}
    assert five[-1] == "linear@tuned"  # what they have to beat
    assert len(five) == len(REGISTRY) + 1
    assert expand(["losses", "famo"], 2).count("restarts+famo") == 1
    assert expand(["all"], 2) == list(ARMS)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("upgrade", "did you mean 'upgrad'"),
        ("mmoe+upgrade", "did you mean 'upgrad'"),
        ("moe+upgrad", "did you mean"),
        ("upgrad+mmoe", "'upgrad.mmoe': there is no arm 'upgrad'"),
        ("mmoe+", "there is no method to combine with ''"),
        ("krum", "restarts.krum does not go with these targets: krum: expected at least 4 tasks"),
    ],
)
def test_bad_names(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_arms([name], "hard_sharing", 2)


@pytest.mark.slow
def test_the_sum_is_the_arm_itself(bench):
    plain, summed = ARMS["restarts"].run(bench), find_arm("sum").run(bench)
    np.testing.assert_allclose(summed.scores, plain.scores, rtol=1e-5)
    assert summed.chosen == plain.chosen
    for field in ("parameters", "splits", "steps"):
        np.testing.assert_array_equal(getattr(summed, field), getattr(plain, field))


@pytest.mark.slow
def test_the_adaptive_arm_splits_by_its_own_times_and_others_by_the_plain_ones(bench):
    plain = bench.adaptive
    ours = find_arm("adaptive+sum").run(bench)
    np.testing.assert_allclose(ours.scores, ARMS["adaptive"].run(bench).scores, rtol=1e-5)
    again = find_arm("one_shot+nash_mtl").run(bench)
    assert bench.adaptive is plain
    assert again.splits.sum() > 0
    np.testing.assert_array_equal(again.steps, bench.updates.sum(axis=1))


@pytest.mark.slow
def test_a_bench_with_a_method_names_its_runs(bench):
    asked = []
    work = Work(on_progress=lambda arm, progress: asked.append(arm))
    named = Bench(bench.protocol, bench.data, bench.folds, bench.keys, work)
    find_arm("mmoe+famo").run(named)
    assert list(dict.fromkeys(asked)) == ["adaptive", "mmoe+famo"]
    assert named.method is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [*DEFAULT_ARMS, "mmoe"])
def test_an_arm_returns_the_models_whose_errors_it_reports(bench, name):
    """Also those of an epoch before the last, whose parameters training has left behind."""
    found = ARMS[name].run(bench)
    again = held_out(found, bench.data, bench.folds)
    for fold in range(2):
        held = bench.folds.parts[fold].test
        errors = ((again[fold] - bench.data.y[held]) ** 2).mean(axis=0)
        np.testing.assert_allclose(errors, found.scores[fold], rtol=1e-4, atol=1e-7)
        history = found.traces[fold].history
        mean = history.validation.astype(float).mean(axis=1)
        assert found.chosen[fold]["epoch"] == int(mean.argmin()) + 1
        np.testing.assert_array_equal(history.test[mean.argmin()], found.scores[fold])


@pytest.mark.slow
def test_an_arm_is_a_method_by_itself(bench):
    """It lays down its own schedule, and one fold alone is the fold among others."""
    method = find_method("restarts", protocol=bench.protocol)
    one = Folds(parts=bench.folds.parts[1:])
    found = method.fit(bench.data, one, bench.keys[1:], Work())
    among = ARMS["restarts"].run(bench)
    np.testing.assert_allclose(found.scores[0], among.scores[1], rtol=1e-4)
    assert found.chosen[0] == among.chosen[1]
    shared = find_method("restarts", bench=bench)
    same = shared.fit(bench.data, bench.folds, bench.keys, Work())
    np.testing.assert_array_equal(same.scores, among.scores)


@pytest.mark.slow
def test_the_bench_of_the_first_folds_has_their_schedule_and_their_runs(bench):
    one = bench.of_first(1)
    assert len(one.folds) == len(one.keys) == len(one.start["bank"]["kernel"]) == 1
    np.testing.assert_array_equal(one.updates, bench.updates[:1])
    whole, first = (find_arm("adaptive").run(of) for of in (bench, one))
    few = first_folds(whole, 1)
    np.testing.assert_array_equal(first.scores, few.scores)
    assert first.chosen == few.chosen
    assert len(few.models) == len(few.traces) == 1
    x = bench.data.x[:3]
    np.testing.assert_array_equal(first.models[0].predict(x), few.models[0].predict(x))


@pytest.mark.slow
def test_targets_that_outputs_cannot_reach_are_noted(bench):
    far = dataclasses.replace(bench.data, y=50 * bench.data.y)
    phases = bench.protocol.phases
    for activation, noted in (("sigmoid", True), (None, False)):
        protocol = Protocol(phases=phases, output_activation=activation)
        found = find_method("restarts", bench=Bench(protocol, far, bench.folds, bench.keys))
        notes = found.fit(far, bench.folds, bench.keys, Work()).notes
        assert any("outputs of 'sigmoid' cannot reach" in note for note in notes) is noted
    assert ARMS["restarts"].run(bench).notes == ()


@pytest.mark.parametrize("keys", [None, jax.random.key(0)])
def test_a_key_a_fold_is_asked_for(bench, keys):
    with pytest.raises(ValueError, match="keys: expected one a fold for restarts, .* got"):
        find_method("restarts").fit(bench.data, bench.folds, keys, Work())


def test_folds_of_other_sizes_are_refused(bench):
    parts = bench.folds.parts[0], SplitIndices(*(np.arange(39),) * 3)
    with pytest.raises(ValueError, match="same number of train rows in every fold, got 39"):
        Bench(bench.protocol, bench.data, Folds(parts=parts), bench.keys)


def test_classes_are_refused(bench):
    level = Task(name="level", kind="classes", classes=(0, 1))
    data = dataclasses.replace(bench.data, tasks=(bench.data.tasks[0], level))
    with pytest.raises(ValueError, match="tasks: expected numbers, got classes for 'level'"):
        Bench(bench.protocol, data, bench.folds, bench.keys)
