"""The driver drives any epoch: here one of a recurrence that no network knows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from same_runs import assert_identical

from jaxmtl.training.driver import members
from jaxmtl.training.driver.placement import member_mesh
from jaxmtl.training.driver.program import DIVERGED, FINISHED, RUNNING, Program

pytestmark = pytest.mark.few_optimizations

LENGTH = 4


class State(NamedTuple):
    value: jax.Array
    status: jax.Array
    epoch: jax.Array
    key: jax.Array


class Record(NamedTuple):
    ran: jax.Array
    value: jax.Array


class Hparams(NamedTuple):
    factor: jax.Array
    epochs: jax.Array


def epoch(state, data, hparams):
    """Multiplies, and draws; what grows above 100 diverges, and is not kept."""
    running = state.status == RUNNING
    noise = jax.random.uniform(jax.random.fold_in(state.key, state.epoch))
    value = state.value * hparams.factor + data.sum() + noise
    fails = value > 100
    over = state.epoch + 1 >= hparams.epochs
    status = jnp.where(fails, DIVERGED, jnp.where(over, FINISHED, RUNNING)).astype(jnp.int32)
    after = State(jnp.where(fails, state.value, value), status, state.epoch + ~fails, state.key)
    kept = [jnp.where(running, new, old) for new, old in zip(after[:3], state[:3], strict=True)]
    return State(*kept, state.key), Record(running, value)


@jax.jit
def advance(states, data, hparams, limit):
    def body(i, loop):
        states, records = loop
        states, record = jax.vmap(epoch, (0, None, 0))(states, data, hparams)
        ran = record.ran & (i < limit)
        keep = jax.tree.map(lambda to, row: to.at[:, i].set(row), records, record._replace(ran=ran))
        return states, keep

    members = states.status.shape[0]
    blank = Record(jnp.zeros((members, LENGTH), bool), jnp.zeros((members, LENGTH)))
    return jax.lax.fori_loop(0, jnp.minimum(limit, LENGTH), body, (states, blank))


def repeat(state, data, hparams):
    running = state._replace(status=jnp.zeros_like(state.status))
    return state, epoch(running, data, hparams)[1], (state.epoch,)


PROGRAM = Program(
    advance=advance,
    length=LENGTH,
    record_shape=lambda *one: jax.eval_shape(epoch, *one)[1],
    ready=jnp.asarray,
    totals=lambda hparams: np.asarray(hparams.epochs),
    done=lambda states, hparams: states.epoch,
    repeat=repeat,
    nowhere=(-1,),
    keep=lambda states: states.value,
)
DATA = np.float32([0.5, 0.25])
MEMBERS = 5
HPARAMS = Hparams(jnp.float32([0.5, 0.9, 3.0, 0.1, 1.0]), jnp.int32([9, 12, 12, 3, 12]))


def start():
    zero = jnp.zeros(MEMBERS, jnp.int32)
    return State(jnp.ones(MEMBERS), zero, zero, jax.random.split(jax.random.key(0), MEMBERS))


def driven(program=PROGRAM, **options):
    options = {"chunk": 2, "checkpoint": None, "resume": False, "on_progress": None} | options
    return members.run_members(
        *(program, start(), DATA, HPARAMS),
        stacked=False,
        mesh=member_mesh(jax.devices()[:1]),
        described=lambda: {"recurrence": "linear"},
        **options,
    )


def literally(member):
    """Values of one member, epoch after epoch, by the epoch alone."""
    state = jax.tree.map(lambda leaf: leaf[member], start())
    hparams = jax.tree.map(lambda leaf: leaf[member], HPARAMS)
    values = []
    while state.status == RUNNING:
        state, record = epoch(state, DATA, hparams)
        values.append(float(record.value))
    return float(state.value), values, int(state.epoch) if state.status == DIVERGED else -1


def test_every_member_ends_as_it_would_alone():
    said = []
    kept, records, (places,) = driven(on_progress=said.append)
    for member in range(MEMBERS):
        value, values, place = literally(member)
        ran = records.ran[member]
        np.testing.assert_allclose(kept[member], value, rtol=1e-6)
        np.testing.assert_allclose(records.value[member][ran], values, rtol=1e-6)
        assert ran.sum() == len(values)
        assert places[member] == place
    assert (np.asarray(places) >= 0).tolist() == [False, False, True, False, False]
    assert records.ran.shape == (MEMBERS, 12)
    assert said[-1][:4] == (MEMBERS, MEMBERS, 48, 48)
    assert len(said) > 6


def test_it_goes_on_from_a_checkpoint(tmp_path, monkeypatch):
    whole = driven()
    monkeypatch.setattr(members, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(members, "SHARE_OF_SAVING", float("inf"))

    def stop(progress):
        if progress.done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driven(checkpoint=tmp_path, on_progress=stop)
    said = []
    assert_identical(driven(checkpoint=tmp_path, resume=True, on_progress=said.append), whole)
    assert said[0].done > 20
    with pytest.raises(ValueError, match="of other work .chunk was 2 and is 3"):
        driven(checkpoint=tmp_path, resume=True, chunk=3)
