"""Seeds and methods that fit a limit of time, by a clock that only the tests move."""

import math

import numpy as np
import pytest

import jaxmtl
from jaxmtl.comparison import Protocol, compare
from jaxmtl.comparison.time_limit import BrokenOffError, TimeLimit
from jaxmtl.data import Table, prepare, random_split
from jaxmtl.methods import find_method
from jaxmtl.training import SweepProgress

NAMES = ["adaptive", "hard_sharing", "mmoe", "ple", "mtan"]


class Clock:
    """Stands still unless a method works."""

    now = 0.0

    def __call__(self):
        return self.now


class Workshop:
    """Methods that compile for some seconds and then run for some a seed, as a limit sees them."""

    def __init__(self, seconds, *, seeds=30, others=(), must=("hard_sharing", "adaptive"), **costs):
        self.clock, self.costs, self.told = Clock(), costs, []
        self.compiling = costs.pop("compiling", 2.0)
        self.limit = TimeLimit(
            seconds, seeds=seeds, networks=NAMES, others=dict(others), must=must, began=0.0,
            on_progress=lambda name, progress: self.told.append(progress), clock=self.clock,
        )  # fmt: skip

    def work(self, name):
        """Whether the method came through, and how many seeds of it."""
        seeds = self.limit.seeds
        self.limit.start(name)
        self.clock.now += self.compiling
        for done in range(1, 101):
            progress = SweepProgress(seeds, seeds * (done == 100), done * seeds, 100 * seeds, 0.0)
            try:
                self.limit.watch(name, progress)
            except BrokenOffError:
                return False
            self.clock.now += self.costs.get(name, 1.0) * self.pace(seeds) / 100
        self.limit.end()
        return True

    def pace(self, seeds):
        return seeds

    def all(self):
        while not self.work("adaptive"):
            pass
        done = []
        for name in self.limit.order(NAMES[1:]):
            while self.limit.fits(name):
                if self.work(name):
                    done.append(name)
                    break
        return done


def test_all_fits_and_nothing_is_said():
    shop = Workshop(300.0)
    assert shop.all() == NAMES[1:]
    assert shop.limit.seeds == 30
    assert shop.limit.notes() == ()
    lefts = [progress.seconds_left for progress in shop.told]
    assert lefts[50] == pytest.approx(16 + 4 * 32, rel=0.1)
    assert lefts[-1] < 1


def test_fewer_seeds_come_before_fewer_methods():
    shop = Workshop(120.0)
    assert shop.all() == NAMES[1:]
    assert 17 <= shop.limit.seeds <= 23
    assert 100 < shop.clock.now < 1.1 * 120
    said = f"for the time (2 min): {shop.limit.seeds} seeds instead of 30"
    assert shop.limit.notes() == (said,)


def test_seeds_that_cost_less_than_in_proportion_are_found_out():
    class Halved(Workshop):
        def pace(self, seeds):
            return 15 + seeds / 2

    shop = Halved(120.0)
    done = shop.all()
    assert 3 <= shop.limit.seeds < 20
    assert len(done) >= 3
    assert shop.clock.now < 1.15 * 120


def test_methods_that_do_not_fit_are_left_out_with_their_time():
    shop = Workshop(60.0, adaptive=1.0, hard_sharing=1.0, mmoe=9.0)
    done = shop.all()
    assert done[0] == "hard_sharing"
    assert "mmoe" not in done
    assert shop.clock.now < 1.15 * 60
    (note,) = shop.limit.notes()
    assert note.startswith("for the time (60 s): ")
    assert "; left out: mmoe" in note

    tight = Workshop(10.0, compiling=3.0)
    assert tight.all() == ["hard_sharing"]
    notes = tight.limit.notes()
    assert notes[0] == (
        "for the time (10 s): 3 seeds instead of 30; left out: mmoe, ple, mtan (about 6 s each)"
    )
    assert notes[1].startswith("it took about 15 s, longer than 10 s: 3 seeds of the first")


def test_seeds_are_cut_to_three_before_a_method_is_left_out():
    shop = Workshop(75.0, seeds=10, compiling=8.0)
    assert shop.all() == NAMES[1:]
    assert 3 <= shop.limit.seeds < 10
    assert shop.clock.now < 1.1 * 75

    shop = Workshop(60.0, compiling=12.0)  # no more than four fit, with three seeds
    done = shop.all()
    assert done[0] == "hard_sharing"
    assert len(done) < 4
    assert shop.clock.now < 1.1 * 60
    assert "; left out: " in shop.limit.notes()[0]


def test_a_method_that_turns_out_slow_costs_seeds_of_all_rather_than_its_place():
    shop = Workshop(180.0, mmoe=9.0)
    assert shop.all() == NAMES[1:]
    assert 3 <= shop.limit.seeds < 15
    assert shop.clock.now < 1.1 * 180
    assert "left out" not in shop.limit.notes()[0]


def test_methods_without_steps_have_their_place_by_what_they_take():
    others = {"ridge": 0.001, "boosted_trees": 1.0}
    shop = Workshop(60.0, others=others)
    assert shop.limit.order(["mmoe", "ridge", "boosted_trees", "hard_sharing"]) == [
        *("hard_sharing", "ridge", "mmoe", "boosted_trees")
    ]
    for name in ("adaptive", "hard_sharing"):
        shop.limit.start(name)
        shop.clock.now += 60.0
        shop.limit.end()
    shop.limit.seeds = 3  # of which trees take less than a network
    assert shop.limit.order(["mmoe", "boosted_trees"]) == ["boosted_trees", "mmoe"]
    shop.limit.seeds = 30
    shop.clock.now = 65.0
    assert shop.limit.fits("ridge")
    assert not shop.limit.fits("boosted_trees")
    assert shop.limit.notes() == ("for the time (60 s): left out: boosted_trees (about 30 s)",)


def test_what_takes_less_than_a_second_is_never_left_out():
    shop = Workshop(10.0, others={"mean": 0.001, "ridge": 0.03}, compiling=3.0)
    shop.all()
    assert shop.clock.now > 10.5
    assert shop.limit.fits("mean")
    assert shop.limit.fits("ridge")


def test_without_networks_the_seeds_are_known_beforehand():
    limit = TimeLimit(
        10.0, seeds=30, networks=[], others={"mean": 0.0, "boosted_trees": 1.0},
        must=["mean", "boosted_trees"], began=0.0, clock=Clock(),
    )  # fmt: skip
    assert limit.seeds == 10


def test_a_limit_without_end_cuts_nothing():
    limit = TimeLimit(
        math.inf, seeds=2, networks=NAMES, others={}, must=[], began=0.0, clock=Clock()
    )
    assert limit.order(NAMES) == NAMES
    assert all(limit.fits(name) for name in NAMES)
    assert limit.notes() == ()


def make_datasets(seeds):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(90, 4))
    y = np.stack([10 * x.mean(axis=1), 300 - 100 * x[:, 0] * x[:, 1]], axis=1)
    table = Table(
        features=tuple("abcd"), targets=("u", "v"), x=x, y=y, rows=np.arange(90) + 2,
        source="file a.csv", kept={},
    )  # fmt: skip
    return [prepare(table, random_split(90, seed=seed, test=0.3, validation=0.2)) for seed in seeds]


PROTOCOL = Protocol(phases=[jaxmtl.Phase(40)], batch_size=8)


@pytest.mark.slow
def test_a_comparison_with_fewer_seeds_is_that_of_the_first_ones():
    clock, seeds = Clock(), [7, 8, 9, 10, 11, 12]
    datasets = make_datasets(seeds)

    def on_progress(name, progress):
        clock.now += 10.0

    how = {"protocol": PROTOCOL, "reference": "mean"}
    found = compare(
        datasets, arms=["hard_sharing", "adaptive"], seeds=seeds, seconds=60.0,
        on_progress=on_progress, clock=clock, **how,
    )  # fmt: skip
    assert found.seeds == (7, 8, 9)
    assert any("3 seeds instead of 6; left out: hard_sharing" in said for said in found.answer)
    assert set(found.leaderboard["seeds"]) == {3}
    assert set(found.contrasts["seeds"]) == {3}
    assert {"mean", "boosted_trees"} <= set(found.leaderboard["arm"])
    few = compare(datasets[:3], seeds=seeds[:3], arms=["adaptive"], **how)
    names = [name for name in few.per_seed if name != "seconds"]
    for frame in ("per_seed", "contrasts"):
        mine, other = getattr(found, frame), getattr(few, frame)
        columns = names if frame == "per_seed" else list(other)
        assert mine[columns].equals(other[columns])
    assert found.test_share == few.test_share


def test_what_hangs_on_the_machine_is_not_gone_on_with(tmp_path):
    datasets = make_datasets([0])
    with pytest.raises(ValueError, match="seconds: expected None with checkpoints"):
        compare(datasets, seconds=60.0, checkpoint=str(tmp_path))
    with pytest.raises(ValueError, match="seconds: expected above 0, got 0"):
        compare(datasets, seconds=0.0)


def test_seeds_that_are_cut_later_are_cut_of_what_is_through_as_well():
    clock = Clock()

    class Slowing:
        """Takes a second a seed while it is asked how long it takes, and then two."""

        def __init__(self, name):
            self.name, self.description, self.calls = name, name, 0

        def fit(self, data, folds, keys, work):
            self.calls += 1
            clock.now += len(folds) * (1.0 if self.calls <= 2 else 2.0)
            return find_method("mean").fit(data, folds, keys, work)

    arms = {name: Slowing(name) for name in "abc"}
    found = compare(
        make_datasets(range(8)), arms=arms, reference="a", seconds=42.0, lines=False, clock=clock
    )
    assert found.seeds == (0, 1, 2, 3)
    assert set(found.per_seed["arm"]) == {"a", "b", "c"}
    board = found.leaderboard.set_index("arm")
    assert set(board["seeds"]) == {4}
    assert board["seconds"]["a"] == pytest.approx(2.0)
