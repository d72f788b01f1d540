"""Who gets a copy, and when a streak fires, where labels are missing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from some_cases import some

from jaxmtl import HardSharing
from jaxmtl.training.as_network import as_network
from jaxmtl.training.phased.counting import choose_node, count_batch, first_tally
from jaxmtl.training.phased.state import Config

pytestmark = pytest.mark.few_optimizations

MODELS = {
    "node": HardSharing(shared=(2,), nodes=2, outputs=(1, 1, 1)),
    "weight": HardSharing(shared=(2,), nodes=2, outputs=(1, 1, 1), activation="relu"),
}


@functools.partial(jax.jit, static_argnames=("kind", "split"))
def outcome(kind, split, slots, known, streak, threshold):
    model = MODELS[kind]
    bank = as_network(model).bank
    params = model.init(jax.random.key(0), jnp.zeros((1, 2)))["params"]
    config, index = Config(num_tasks=3, counts=True, split=split), model.initial_head_index()
    columns = (model.num_columns,) if kind == "node" else (2, model.num_columns)
    start = jnp.zeros(columns, jnp.int32).at[..., 0].set(streak)
    tally = first_tally(bank, params, {}, start, jnp.zeros((1, 2)))
    inputs = jnp.ones((len(slots), 2))
    tally = count_batch(bank, config, tally, index, threshold, inputs, slots, known)
    node, moving, _ = choose_node(bank, config, tally, index, tally.conflicts, jax.random.key(1))
    return tally.fired, node, moving


def fired(kind, deltas, known, split="streak", streak=0, threshold=1):
    """What becomes of samples with these gradients, (samples, 3) at the first of two nodes."""
    deltas = np.asarray(deltas, np.float32)
    slots = np.stack([deltas, np.zeros_like(deltas)], axis=-1)
    known = None if known is None else np.asarray(known)
    found = outcome(kind, split, slots, known, np.int32(streak), np.int32(threshold))
    return bool(found[0]), int(found[1]), found[2].tolist()


@pytest.mark.parametrize("kind", some(MODELS, "node"))
def test_a_reader_without_a_label_stays_with_the_original(kind):
    if kind == "weight":
        assert not MODELS[kind].positive_bank_inputs
    for unknown in (0, 1, 2):
        known = [[task != unknown for task in range(3)]]
        copied = {tuple(known[0].index(True) == task for task in range(3))}
        for sign in (1, -1):
            for nothing in (0.0, 5.0, -5.0, np.nan):
                deltas = np.full(3, nothing)
                deltas[known[0]] = [sign, -sign]
                found = fired(kind, [deltas], known)
                assert found[:2] == (True, 0)
                assert {tuple(found[2])} == copied
    assert fired(kind, [[-1, 2, -3]], None) == (True, 0, [True, False, True])
    assert fired(kind, [[-1, 2, -3]], [[True] * 3]) == (True, 0, [True, False, True])
    # A gradient that is not a number is on neither side.
    assert fired(kind, [[-1, np.nan, 3]], None) == (True, 0, [True, False, False])
    for split in ("random", "least"):
        found = fired(kind, [[-1, 7, 3]], [[True, False, True]], split=split)
        assert found[2] == [True, False, False], split


@pytest.mark.parametrize("kind", some(MODELS, "node"))
def test_a_streak_fires_only_at_a_sample_with_two_known_labels(kind):
    one = [True, False, False]
    # The streak was there before, under another threshold; this sample knows nobody to compare.
    assert not fired(kind, [[1, -1, -1]], [one], streak=5, threshold=3)[0]
    assert fired(kind, [[1, -1, -1]] * 2, [one, [True, True, False]], streak=5, threshold=3)[0]
    assert not fired(kind, [[1, -1, -1]] * 4, [one] * 4)[0]
