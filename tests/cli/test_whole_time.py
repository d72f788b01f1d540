"""The time that all methods of a comparison take together."""

import math

import pytest

from jaxmtl.cli.console import Console, describe_sweep
from jaxmtl.cli.whole_time import WholeTime
from jaxmtl.training import SweepProgress

NAMES = ["adaptive", "mmoe", "equal_nodes", "hard_sharing"]


def progress(done, left=math.nan, members=10):
    return SweepProgress(members, members * (done == 100), done, 100, left)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def timed():
    clock = Clock()
    whole = WholeTime(NAMES, 10, clock=clock)

    def left(seconds, name, *args):
        clock.now = float(seconds)
        return whole.left(name, progress(*args))

    return whole, left


def test_the_first_method_tells_of_all(timed):
    whole, left = timed
    assert math.isnan(left(4, "adaptive", 1))
    assert whole.estimate() is None
    assert left(10, "adaptive", 50, 10.0) == 10 + 3 * 20
    said = whole.estimate()
    # A fifth of it goes into compiling, whatever the number of seeds.
    assert said.startswith("4 methods x 10 seeds: about 80 s, with --seeds 5 about 48 s; fewer")
    assert whole.estimate() is None  # once


def test_later_methods_are_told_by_those_that_are_through(timed):
    _, left = timed
    left(2, "adaptive", 50, 2.0)
    assert left(4, "adaptive", 100, 0.0) == 3 * 4
    assert left(5, "mmoe", 10) == 5 + 2 * 5
    left(8, "mmoe", 50, 2.0)
    assert left(10, "mmoe", 100, 0.0) > 0
    part = left(12, "equal_nodes/3", 50, 0.5)
    assert part > left(13, "equal_nodes/3", 50, 0.5) > 0  # its other parts are counted
    assert left(30, "hard_sharing", 100, 0.0) == 0


def test_a_single_seed_has_nothing_to_save(timed):
    whole = WholeTime(["adaptive"], 1, clock=Clock())
    whole.left("adaptive", progress(50, 200.0, members=1))
    assert whole.estimate().startswith("1 method x 1 seed: about 3 min; fewer --arms")


def test_methods_without_steps_are_not_counted_and_named(timed):
    whole = WholeTime(["adaptive"], 2, without_steps=["mean", "ridge"], clock=Clock())
    whole.left("adaptive", progress(50, 40.0, members=2))
    said = whole.estimate()
    assert said.startswith(
        "1 method x 2 seeds: about 40 s, and the time of mean, ridge, which make"
    )


def test_a_method_without_steps_leaves_the_others_time_alone(timed):
    whole, left = timed
    left(2, "adaptive", 50, 2.0)
    left(4, "adaptive", 100, 0.0)
    for finished in (0, 10):
        assert not whole.left("ridge", SweepProgress(10, finished, 0, 0, 0.0))
        whole._clock.now += 10.0 * (not finished)
    assert left(15, "mmoe", 10) == pytest.approx(4 - 1 + 2 * 4)


def test_what_makes_no_steps_is_shown_at_work(capsys):
    with Console().sweeping() as on_progress:
        on_progress("adaptive", progress(100, 0.0))
        on_progress("ridge", SweepProgress(10, 0, 0, 0, math.nan))
        on_progress("ridge", SweepProgress(10, 10, 0, 0, 0.0))
    assert capsys.readouterr().err.splitlines()[1:] == ["ridge: 0/10 seeds through"]


def test_the_console_says_it_once_and_shows_the_time_left_of_all(capsys):
    clock = Clock()
    whole = WholeTime(NAMES, 10, clock=clock)
    with Console().sweeping(whole) as on_progress:
        clock.now = 5.0
        on_progress("adaptive", progress(50, 5.0))
        on_progress("adaptive", progress(60, 4.0))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("note: 4 methods x 10 seeds: about 40 s, with --seeds 5 about")
    assert lines[1] == "adaptive: 0/10 seeds through, 50 % of the epochs, 0:35 left"
    assert len(lines) == 2
    assert "left" not in describe_sweep(progress(100, 0.0))
