"""What arms come to in the time of plain training: epochs cut, and chosen anew among the rest."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import jaxmtl
from jaxmtl.comparison import Protocol, compare
from jaxmtl.comparison.equal_time import COLUMNS, EqualTime, Paces, equal_time
from jaxmtl.data import Table, prepare, random_split
from jaxmtl.methods import Fitted
from jaxmtl.methods.method import Trace
from jaxmtl.report.page.equal_time_table import equal_time_table
from jaxmtl.tasks import number_tasks
from jaxmtl.training import Events, History, SweepProgress

SEEDS, EPOCHS, TASKS = 9, 12, number_tasks(["u", "v"])


class Clock:
    """Time that passes where a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_fit(rng, *, better=1.0, epochs=EPOCHS, validation=True, runs=1, diverged=()) -> Fitted:
    traces = []
    for _ in range(SEEDS):
        losses = better * rng.uniform(0.5, 1.5, size=(3, epochs, len(TASKS)))
        train, held, test = losses / np.arange(1, epochs + 1)[:, None]
        history = History(
            phase=np.ones(epochs, int), epoch=np.arange(1, epochs + 1),
            samples=np.full(epochs, 10), train=train, test=test, conflicts=None,
            validation=held if validation else None,
        )  # fmt: skip
        traces.append(Trace(history=history, events=Events(log=None), divergence=None))
    at = [literal(trace, epochs) for trace in traces]
    failed = np.isin(np.arange(SEEDS), diverged)
    number = np.full(SEEDS, 1)
    return Fitted(
        models=(None,) * SEEDS, scores=np.where(failed[:, None], np.nan, np.array(at)),
        chosen=({},) * SEEDS, parameters=number, splits=0 * number,
        steps=number * runs * epochs * 10, diverged=failed, traces=tuple(traces),
    )  # fmt: skip


def literal(trace, most):
    """The errors at the best epoch of the first ones, one by one."""
    best, errors = math.inf, None
    for epoch in range(most):
        held = trace.history.validation
        mean = -epoch if held is None else sum(held[epoch]) / len(TASKS)
        if mean < best:
            best, errors = mean, trace.history.test[epoch]
    return errors


def row_of(found, arm):
    return found.arms.set_index("arm").loc[arm]


@pytest.mark.parametrize("validation", [True, False])
def test_arms_are_cut_to_the_epochs_that_fit(validation):
    rng = np.random.default_rng(0)
    fitted = {
        "restarts": a_fit(rng, validation=validation),
        "dear": a_fit(rng, validation=validation),
        "cheap": a_fit(rng, validation=validation),
        "never": a_fit(rng, validation=validation),
    }
    seconds = {"restarts": 2.0, "dear": 5.0, "cheap": 1.0, "never": 25.0}
    found = equal_time(fitted, seconds, TASKS)
    assert list(found.arms) == list(COLUMNS)
    assert found.plain == "restarts"
    for arm, epochs in {"restarts": 12, "dear": 4, "cheap": 12}.items():
        row = row_of(found, arm)
        assert row["cost"] == seconds[arm] / 2
        assert row["epochs"] == epochs
        expected = [literal(trace, epochs) for trace in fitted[arm].traces]
        assert_allclose(row["error_at_equal_time"], np.mean(expected))
        assert_allclose(row["error"], fitted[arm].scores.mean())
    assert row_of(found, "never")["epochs"] == 0
    assert np.isnan(row_of(found, "never")["error_at_equal_time"])


def test_an_arm_that_is_better_by_more_than_it_costs_is_named():
    rng = np.random.default_rng(1)
    fitted = {"restarts": a_fit(rng), "good": a_fit(rng, better=0.1), "bad": a_fit(rng)}
    found = equal_time(fitted, {"restarts": 1.0, "good": 1.5, "bad": 3.0}, TASKS)
    assert found.sentence.startswith("At equal time, good beat restarts by ")
    assert found.sentence.endswith("; of 1 more this cannot be said.")
    assert row_of(found, "good")["verdict"] == "better"
    assert row_of(found, "bad")["verdict"] == "worse"
    del fitted["good"]
    found = equal_time(fitted, {"restarts": 1.0, "bad": 3.0}, TASKS)
    assert found.sentence.startswith("At equal time, bad did worse than restarts by ")


def test_several_runs_have_a_cost_but_no_error_at_equal_time():
    rng = np.random.default_rng(2)
    fitted = {"hard_sharing": a_fit(rng), "tuned": a_fit(rng, runs=11), "one": a_fit(rng)}
    found = equal_time(fitted, {"hard_sharing": 1.0, "tuned": 1.1, "one": math.nan}, TASKS)
    assert found is None  # nothing is left to compare
    found = equal_time(fitted, {"hard_sharing": 1.0, "tuned": 1.1, "one": 1.0}, TASKS)
    assert_allclose(row_of(found, "tuned")["cost"], 12.1)
    assert np.isnan(row_of(found, "tuned")["error_at_equal_time"])
    assert row_of(found, "one")["error_at_equal_time"] > 0


def test_times_that_were_disturbed_are_told_from_arms_that_do_the_same():
    rng = np.random.default_rng(6)
    fitted = {name: a_fit(rng) for name in ("restarts", "hard_sharing", "upgrad")}
    seconds = {"restarts": 1.0, "hard_sharing": 1.2, "upgrad": 2.0}
    assert "disturbed" not in equal_time(fitted, seconds, TASKS).sentence
    found = equal_time(fitted, seconds | {"hard_sharing": 3.6}, TASKS)
    assert "an epoch of restarts and hard sharing, which do the same, took 3.6 ti" in found.sentence


def test_seeds_that_diverged_are_left_out():
    rng = np.random.default_rng(3)
    fitted = {"restarts": a_fit(rng), "wild": a_fit(rng, diverged=[0, 4])}
    found = equal_time(fitted, {"restarts": 1.0, "wild": 1.0}, TASKS)
    through = np.delete(fitted["wild"].scores, [0, 4], axis=0)
    assert_allclose(row_of(found, "wild")["error_at_equal_time"], through.mean())


def test_nothing_is_said_without_plain_training():
    rng = np.random.default_rng(4)
    fitted = {"adaptive": a_fit(rng), "upgrad": a_fit(rng)}
    assert equal_time(fitted, {"adaptive": 1.0, "upgrad": 2.0}, TASKS) is None
    assert equal_time({}, {}, TASKS) is None


def report(paces, clock, name, seconds, done):
    clock.now += seconds
    paces.watch(name, SweepProgress(2, 0, done, 100, math.nan))


def test_a_pace_is_that_of_the_quickest_call_after_the_one_that_compiles():
    clock, told = Clock(), []
    paces = Paces(lambda name, progress: told.append((name, progress.done)), clock)
    paces.start("upgrad")
    for seconds, done in [(1, 2), (3, 4), (4, 8), (80, 12), (16, 28)]:
        report(paces, clock, "upgrad", seconds, done)
    assert paces.seconds("upgrad") == 1.0
    assert told == [("upgrad", done) for done in (2, 4, 8, 12, 28)]


def test_a_pace_is_not_told_by_few_calls_nor_of_several_networks():
    clock = Clock()
    paces = Paces(None, clock)
    paces.start("few")
    for done in (2, 4, 8, 8):
        report(paces, clock, "few", 1, done)
    paces.start("many")
    for part in ("many/0", "many/1"):
        for done in (2, 4, 8, 16, 32):
            report(paces, clock, part, 1, done)
    assert np.isnan([paces.seconds(name) for name in ("few", "many", "unknown")]).all()
    paces.start("few")  # anew, with fewer seeds
    for done in (1, 2, 3, 4):
        report(paces, clock, "few", 0.5, done)
    assert paces.seconds("few") == 0.5


@pytest.fixture(scope="module")
def compared():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(60, 3))
    y = np.stack([x[:, 0], x[:, 1] * x[:, 2]], axis=1)
    table = Table(
        features=("a", "b", "c"), targets=("u", "v"), x=x, y=y, rows=np.arange(60) + 2,
        source="file a.csv", kept={},
    )  # fmt: skip
    datasets = [prepare(table, random_split(60, seed=s, test=0.3, validation=0.2)) for s in (0, 1)]
    protocol = Protocol(phases=[jaxmtl.Phase(40)], batch_size=8)
    return compare(datasets, arms=["restarts", "mgda"], protocol=protocol, lines=False)


def test_a_comparison_tells_costs_and_errors_at_equal_time(compared):
    found: EqualTime = compared.equal_time
    assert set(found.arms["arm"]) == {"hard_sharing", "restarts", "restarts+mgda"}
    assert row_of(found, "restarts")["cost"] == 1.0
    # All epochs fit: then it is the error of the comparison.
    board = compared.leaderboard.set_index("arm")["error"]
    plain = row_of(found, "restarts")
    assert_allclose(plain["error_at_equal_time"], board["restarts"], rtol=1e-6)
    assert_allclose(plain["error"], board["restarts"], rtol=1e-6)
    assert found.sentence.startswith("At equal time, none of 2 arms beat restarts.")


def test_the_page_shows_costs_and_dashes_where_nothing_is_known(compared):
    shown = equal_time_table(compared.equal_time, {"restarts+mgda": "MGDA"})
    assert "MGDA" in shown
    assert "restarts+mgda" not in shown
    assert "<td>1.0</td><td>40</td>" in shown
    rng = np.random.default_rng(5)
    fitted = {"restarts": a_fit(rng), "tuned": a_fit(rng, runs=11), "one": a_fit(rng)}
    found = equal_time(fitted, dict.fromkeys(fitted, 1.0), TASKS)
    assert "<td>11.0</td><td>–</td>" in equal_time_table(found, {})
