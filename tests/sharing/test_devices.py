"""Views on two devices, in a process of its own: their number is fixed at its start."""

import os
import subprocess
import sys

import pytest
from quick import QUICK

START = """
import jax
import jax.numpy as jnp
import numpy as np
import optax
import jaxmtl.aggregation as ag
from jaxmtl.sharing import duplicate, open_banks, split, view_gradients, view_losses

assert jax.device_count() == 2
rng = np.random.default_rng(0)
def draw(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

params = {"first": {"kernel": draw(4, 3), "bias": draw(3)}, "heads": draw(3, 2)}
banks, pointers = open_banks(params, {"first": [("first", -1)]}, 2)
x, y = draw(8, 4), draw(8, 2)
known = jnp.asarray(rng.random((8, 2)) < 0.6).at[:4, 1].set(False).at[5, 1].set(True)
mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

def loss_fn(params, batch):
    h = jnp.tanh(batch[0] @ params["first"]["kernel"] + params["first"]["bias"][None])
    errors = jnp.where(batch[2], (h @ params["heads"] - batch[1]) ** 2, 0)
    return errors.sum(axis=0) / jnp.maximum(batch[2].sum(axis=0), 1)

def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)
"""
# The columns of the banks lie on two devices, and so does the copy that a split makes.
BANKS = """
place = jax.NamedSharding(mesh, jax.P(None, "data"))
spread = {**banks, "first": {"kernel": jax.device_put(banks["first"]["kernel"], place),
                             "bias": banks["first"]["bias"]}}

@jax.jit
def work(banks, pointers):
    apart = split(banks, pointers, "first", 1, jnp.array([True, False]),
                  opt_state=optax.adam(0.1).init(banks))
    return apart, view_gradients(loss_fn)(apart.banks, (x, y, known), apart.pointers)

found, wanted = work(spread, pointers), work(banks, pointers)
assert len(found[0].banks["first"]["kernel"].sharding.device_set) == 2
close(found, wanted)
np.testing.assert_array_equal(found[0].pointers["first"], [[0, 3, 2], [0, 1, 2]])
"""
# The rows lie on two devices, the second task has labels on one of them only.
ROWS = """
banks, pointers = duplicate(banks, pointers, "first", 1, [0])
losses, optimizer, batch = view_losses(loss_fn), optax.sgd(0.1), (x, y, known)
for crossing in ("columns", "rows"):
    many = ag.data_parallel_step(losses, ag.upgrad(), optimizer, mesh, crossing=crossing,
                                 counts=lambda batch: batch[2].sum(axis=0))
    alone = ag.aggregated_step(losses, ag.upgrad(), optimizer)
    found, wanted = (
        jax.jit(made.step)(banks, made.init(banks, batch, pointers), batch, pointers)
        for made in (many, alone)
    )
    close((found[0], found[2].losses), (wanted[0], wanted[2].losses))
"""


@pytest.mark.parametrize(
    "program", [BANKS, pytest.param(ROWS, marks=pytest.mark.slow)], ids=["banks", "rows"]
)
def test_two_devices_give_what_one_gives(program):
    flags = f"{QUICK['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", START + program + 'print("the same")'],
        env=os.environ | QUICK | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "the same\n"
