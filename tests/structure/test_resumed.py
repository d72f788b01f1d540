"""Decisions that were broken off go on from their checkpoints, to the same numbers to the bit."""

import jax
import numpy as np
import optax
import pytest
from same_runs import assert_identical

from jaxmtl.data import Rows, Splits
from jaxmtl.structure import (
    Recipe,
    cross_validated,
    everything,
    halving,
    look_ahead,
    separate,
    shared,
    train_structures,
)
from jaxmtl.structure.members import Members
from jaxmtl.structure.proposals import grow

# Shapes as in test_decisions.py, so that programs are shared.
RECIPE = Recipe(steps=12, batch_size=4, rate=0.05)
CANDIDATES = [shared("ab", (4,)), shared("ab", (2,)), separate("ab", (3,))]
START = shared("ab", (2,))


def rows(seed, number):
    x = np.random.default_rng(seed).normal(size=(number, 4)).astype(np.float32)
    return Rows(x, np.tanh(x[:, :2]))


DATA = Splits(rows(0, 24), rows(1, 10))
OPTIONS = {"keys": jax.random.split(jax.random.key(5), 3), "recipe": RECIPE}


def halve(recipe=RECIPE, **options):
    return halving(CANDIDATES, DATA, **{**OPTIONS, "recipe": recipe}, **options)


def look(**options):
    whole = OPTIONS | {"at": 3, "steps": 3, "z": 0.0} | options
    return look_ahead([START, everything(START)], DATA, **whole)


def look_at_growth(**options):
    return look_ahead([START, grow(START)], DATA, at=3, steps=3, mode="fresh", **OPTIONS, **options)


def cross_validate(**options):
    folds = np.array_split(np.arange(24), 3)
    whole = {"key": jax.random.key(5), "recipe": RECIPE} | options
    return cross_validated(CANDIDATES, DATA.train, folds, **whole)


def train(**options):
    return train_structures(CANDIDATES[1:], DATA, forked_at=4, mode="fresh", **OPTIONS, **options)


# What is trained between two checkpoints, and what had been before the one that is broken off.
STAGES = {
    halve: (3, 1),
    look: (3, 2),
    look_at_growth: (3, 1),
    cross_validate: (6, 4),
    train: (9, 3),
}
SLOW = (look_at_growth, train)


def numbers(found):
    return {name: value for name, value in found._asdict().items() if name != "trunk"}


@pytest.fixture
def forward(monkeypatch):
    """Counts trainings, and breaks off the one whose number is set."""
    found = {"calls": 0, "broken": None}
    run = Members.forward

    def counted(*given):
        found["calls"] += 1
        if found["calls"] == found["broken"]:
            raise KeyboardInterrupt
        return run(*given)

    monkeypatch.setattr(Members, "forward", counted)
    return found


@pytest.mark.parametrize(
    "decide",
    [pytest.param(one, marks=[pytest.mark.slow] if one in SLOW else []) for one in STAGES],
)
def test_what_was_broken_off_goes_on_to_the_same(decide, forward, tmp_path):
    stages, done = STAGES[decide]
    whole = decide()
    forward.update(calls=0, broken=done + 1)
    with pytest.raises(KeyboardInterrupt):
        decide(checkpoint=tmp_path / "saved")
    forward.update(calls=0, broken=None)
    resumed = decide(checkpoint=tmp_path / "saved", resume=True)
    assert forward["calls"] == stages - done
    assert_identical(numbers(resumed), numbers(whole))
    # What is through is only read again.
    forward.update(calls=0)
    decide(checkpoint=tmp_path / "saved", resume=True)
    assert forward["calls"] == 0


@pytest.mark.parametrize(
    ("decide", "other", "words"),
    [
        (halve, {"rungs": ((0.5, 1),)}, "rungs was"),
        (look, {"z": 1.0}, "z was"),
        (cross_validate, {"key": jax.random.key(6)}, "keys was"),
    ],
)
def test_a_checkpoint_of_another_decision_is_refused(decide, other, words, forward, tmp_path):
    forward.update(broken=2)
    with pytest.raises(KeyboardInterrupt):
        decide(checkpoint=tmp_path / "saved")
    with pytest.raises(ValueError, match=words):
        decide(**other, checkpoint=tmp_path / "saved", resume=True)


@pytest.mark.slow  # another optimizer, so programs of its own
def test_keys_that_an_optimizer_keeps_go_on_too(forward, tmp_path):
    def noisy(rate):
        return optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(3)), optax.adam(rate))

    recipe = Recipe(steps=12, batch_size=4, rate=0.05, optimizer=noisy)
    whole = halve(recipe)
    forward.update(calls=0, broken=2)
    with pytest.raises(KeyboardInterrupt):
        halve(recipe, checkpoint=tmp_path / "saved")
    forward.update(broken=None)
    resumed = halve(recipe, checkpoint=tmp_path / "saved", resume=True)
    assert_identical((resumed.held, resumed.params), (whole.held, whole.params))
