"""What is learned from a table in the time there is, and whether sharing is judged."""

import numpy as np
import pytest

from jaxmtl.data import infer_columns, table_of_cells
from jaxmtl.methods import find_method
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.time_plan import Cost, TimePlan


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=60)
    y, z = x + 0.1 * rng.normal(size=60), rng.normal(size=60)
    cells = {"CO": x, "O3": y, "NO2": z}
    return table_of_cells({name: values.tolist() for name, values in cells.items()})


def learn(table, **plan):
    return fit_table(table, infer_columns(table, targets=["O3", "NO2"]), Plan(folds=3, **plan))


def test_together_is_compared_with_one_by_one(table, monkeypatch):
    stands_for = {"network": "linear", "separate": "mean"}
    monkeypatch.setattr(
        "jaxmtl.prediction.families.find_method",
        lambda name: find_method(stands_for.get(name, name)),
    )
    found = learn(table, families=("network", "separate"))
    assert found.sharing is not None
    assert found.sharing.over == "separate"
    assert found.sharing.high[0] < -50
    assert found.sharing.low[1] <= 0 <= found.sharing.high[1]
    assert learn(table, families=("mean", "network")).sharing is None


def test_what_does_not_fit_is_left_out_and_named(table, monkeypatch):
    costs = {"mean": Cost(0.0, 0.0), "linear": Cost(500.0, 500.0)}
    monkeypatch.setattr("jaxmtl.prediction.families.cost_of", lambda name, *_: costs[name])
    found = learn(table, families=("mean", "linear"), seconds=60.0)
    assert [line.name for line in found.leaderboard] == ["mean"]
    assert found.predictor.method == "mean"
    assert found.notes[-1].startswith("left out for want of time (60 s): a straight line (about ")
    # A network that was not trained has no part in who shares with whom.
    costs["network"] = costs["linear"]
    found = learn(table, families=("mean", "network"), seconds=60.0)
    assert ([line.name for line in found.leaderboard], found.structure) == (["mean"], None)
    # What reading took counts, and the limit is said as it was given.
    found = learn(table, families=("mean", "linear"), seconds=1200.0, spent=1000.0)
    assert found.notes[-1].startswith("left out for want of time (20 min): a straight line (")
    # Without any time, the simplest is still there.
    late = learn(table, families=("linear",), seconds=0.1, spent=5.0)
    assert late.predictor.method == "linear"


def test_what_takes_very_long_is_left_out_unless_it_is_asked_for(table, monkeypatch):
    costs = {"mean": Cost(2000.0, 2000.0), "linear": Cost(1000.0, 1000.0)}
    monkeypatch.setattr("jaxmtl.prediction.families.cost_of", lambda name, *_: costs[name])
    found = learn(table, families=("mean", "linear"))
    assert [line.name for line in found.leaderboard] == ["mean"]
    assert found.notes[-1].startswith("left out, as it would take long: a straight line (about 17")
    for asked in ({"longest": None}, {"seconds": 1e5}):
        found = learn(table, families=("mean", "linear"), **asked)
        assert [line.name for line in found.leaderboard[:2]] == ["mean", "linear"]
        assert not any("left out" in note for note in found.notes)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_time_is_divided_by_what_each_can_use():
    clock = Clock()
    costs = {"linear": Cost(1, 1), "boosted": Cost(10, 10), "network": Cost(110, 10)}
    plan = TimePlan(costs, 100.0, clock=clock)  # of which 12 are for mixing and writing
    assert plan.kept() == ["linear", "boosted", "network"]
    assert plan.share("boosted") is None
    assert plan.share("network") == pytest.approx(88 - 11)
    clock.now = 7.0
    plan.done("linear")  # twice as slow as expected, of which so little tells little
    assert plan.needs("boosted") == 20
    assert plan.later("boosted") == pytest.approx(81)
    clock.now = 60.0
    assert plan.kept() == ["boosted"]
    plan.leave_out("boosted")
    assert plan.kept() == ["network"]
    clock.now = 87.0
    assert plan.kept() == []


def test_what_takes_a_moment_is_kept_whatever_the_time():
    clock = Clock()
    plan = TimePlan({"mean": Cost(0.1, 0.1), "boosted": Cost(10, 10)}, 20.0, clock=clock)
    clock.now = 30.0
    assert plan.kept() == ["mean"]


def test_one_that_takes_much_longer_is_an_error_and_not_the_pace():
    clock = Clock()
    costs = {"linear": Cost(2, 2), "boosted": Cost(50, 50)}
    plan = TimePlan(costs, 400.0, clock=clock)
    clock.now = 60.0
    plan.done("linear")
    assert plan.needs("boosted") == 200
    assert plan.kept() == ["boosted"]


def test_without_a_limit_nothing_is_cut():
    plan = TimePlan({"boosted": Cost(10, 10), "network": Cost(1e9, 1e9)}, clock=Clock())
    assert plan.kept() == ["boosted", "network"]
    assert plan.share("network") is None
    assert plan.later("boosted") == 1e9
