"""Several devices in a process of their own, since their number is fixed at its start."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import optax
import pytest
from quick import QUICK

import jaxmtl.aggregation as ag

PROGRAM = """
import jax
jax.config.update("jax_num_cpu_devices", 3)
jax.config.update("jax_platforms", "cpu")
import jax.numpy as jnp
import numpy as np
import optax
import jaxmtl.aggregation as ag

def loss_fn(params, x):
    h = jnp.tanh(x @ params["a"])
    return ((h @ params["b"] - x[:, :2]) ** 2).mean(axis=0)

rng = np.random.default_rng(0)
params = {"a": jnp.asarray(rng.normal(size=(4, 5))), "b": jnp.asarray(rng.normal(size=(5, 2)))}
x = jnp.asarray(rng.normal(size=(6, 4)))
mesh = jax.make_mesh((3,), ("data",))
def run(made):
    state, after = made.init(params, x), params
    step = jax.jit(made.step)
    for _ in range(2):
        after, state, info = step(after, state, x, present=jnp.ones(2, bool))
    assert step._cache_size() <= 2, step._cache_size()  # states come back placed on the mesh
    return jax.tree.map(np.asarray, (after, info))

optimizer = optax.sgd(0.1, momentum=0.9)
expected = run(ag.aggregated_step(loss_fn, ag.mgda(), optimizer))
for crossing in ("columns", "rows"):
    found = run(ag.data_parallel_step(loss_fn, ag.mgda(), optimizer, mesh, crossing=crossing))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
placed = jax.device_put(x, jax.NamedSharding(mesh, jax.P("data")))
made = ag.data_parallel_step(loss_fn, ag.mgda(), optimizer, mesh)
jax.block_until_ready(jax.jit(made.step)(params, made.init(params, x), placed)[0])
made = ag.data_parallel_step(loss_fn, ag.mgda(), optimizer, mesh, crossing="gram")
text = jax.jit(made.step).lower(params, made.init(params, x), x).as_text()
sizes = [line.split("tensor<")[1].split(">")[0] for line in text.splitlines()
         if "}) :" in line and "tensor<" in line]
assert "2x2xf32" in sizes, sizes
assert not any(size.startswith(("2x4x5", "2x5x2", "2x30")) for size in sizes), sizes
"""
# Statistics that run on, draws, and labels that are missing.
MASKED = (
    PROGRAM
    + """
def moving(params, batch, mean, scale, key):
    x = batch["x"]
    assert (x.shape[0], batch["seen"].shape, batch["key"].shape) == (2, (), ()), batch
    one, two = loss_fn(params, x)
    mean, drawn = 0.5 * mean + 0.5 * x.mean(axis=0), jax.random.uniform(key)
    return {"b": scale * one, "a": two}, {"mean": mean, "drawn": drawn, "seen": batch["seen"]}

given, key = (jnp.ones(4), 2.0), jax.random.key(1)
made = ag.data_parallel_step(moving, ag.sum(), optimizer, mesh, crossing="rows", has_aux=True)
batch = {"x": x, "seen": jnp.int32(7), "key": jax.random.key(2)}
state = made.init(params, {**batch, "x": x[:2]}, *given)
after, _, info = jax.jit(made.step)(params, state, batch, *given, key=key)
draws = [jax.random.uniform(jax.random.fold_in(jax.random.split(key)[0], d)) for d in range(3)]
np.testing.assert_allclose(info.aux["mean"], 0.5 + 0.5 * x.mean(axis=0), rtol=1e-5)
np.testing.assert_allclose(info.aux["drawn"], np.mean(draws), rtol=1e-5)
np.testing.assert_allclose(info.scalars()["loss/b"], 2 * loss_fn(params, x)[0], rtol=1e-5)
assert info.names == ("a", "b") and int(info.aux["seen"]) == 7
def masked(params, batch):
    x, known = batch
    errors = (jnp.tanh(x @ params["a"]) @ params["b"] - x[:, :2]) ** 2
    return jnp.where(known, errors, 0).sum(axis=0) / known.sum(axis=0)  # NaN where none is known

known = jnp.asarray([[1, 1], [1, 0], [1, 0], [0, 0], [1, 0], [1, 0]], bool)
batch, plain = (x, known), optax.sgd(0.1)
one = ag.aggregated_step(masked, ag.upgrad(), plain)
expected = jax.jit(one.step)(params, one.init(params, batch), batch)
for crossing in ("columns", "rows", "gram"):
    many = ag.data_parallel_step(masked, ag.sum(), plain, mesh, crossing=crossing,
                                 counts=lambda batch: batch[1].sum(axis=0))
    alone = ag.aggregated_step(masked, ag.sum(), plain)
    found = jax.jit(many.step)(params, many.init(params, batch), batch)
    wanted = jax.jit(alone.step)(params, alone.init(params, batch), batch)
    for a, b in zip(jax.tree.leaves((found[0], found[2].losses)),
                    jax.tree.leaves((wanted[0], wanted[2].losses)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
many = ag.data_parallel_step(masked, ag.upgrad(), plain, mesh, counts=lambda b: b[1].sum(axis=0))
found = jax.jit(many.step)(params, many.init(params, batch), batch)
np.testing.assert_allclose(found[0]["a"], expected[0]["a"], rtol=1e-4, atol=1e-5)
for bad, text in ((batch, "counts"), ((x[:5], known[:5]), "divide by 3 devices")):
    made = ag.data_parallel_step(masked, ag.upgrad(), plain, mesh)
    try:
        jax.jit(made.step)(params, made.init(params, bad), bad)
    except ValueError as error:
        assert text in str(error) and str(error).startswith("batch["), error
    else:
        raise AssertionError(text)
"""
)


@pytest.mark.parametrize(
    "program",
    [PROGRAM, pytest.param(MASKED, marks=pytest.mark.slow)],
    ids=["plain", "masked"],
)
def test_three_devices_make_the_step_of_one(program):
    program += 'print(jax.device_count(), "devices agree")'
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | QUICK,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "3 devices agree\n"


def test_bad_input_is_told_in_one_sentence():
    mesh = jax.make_mesh((1,), ("data",))
    loss_fn, optimizer = (lambda p, b: jnp.stack([p, p])), optax.sgd(0.1)
    with pytest.raises(ValueError, match="crossing: expected one of"):
        ag.data_parallel_step(loss_fn, ag.mgda(), optimizer, mesh, crossing="everything")
    with pytest.raises(ValueError, match="crossing 'columns': expected a method that needs only"):
        ag.data_parallel_step(loss_fn, ag.trimmed_mean(), optimizer, mesh)
    with pytest.raises(ValueError, match="gramian_step: expected a method that needs only"):
        ag.gramian_step(loss_fn, ag.trimmed_mean(), optimizer)
    with pytest.raises(ValueError, match="head_gradients: expected None without a SplitLoss"):
        ag.gramian_step(loss_fn, ag.mgda(), optimizer, head_gradients="plain")
    split = ag.SplitLoss(lambda p, b: p, lambda p, z, b: jnp.stack([z, z]))
    with pytest.raises(ValueError, match="head_gradients: expected 'plain' with a method"):
        ag.feature_step(split, ag.graddrop(), optimizer, "weighted")
    with pytest.raises(ValueError, match="head_gradients: expected one of"):
        ag.feature_step(split, ag.mgda(), optimizer, "none")
    with pytest.raises(ValueError, match="head_gradients: expected one of"):
        ag.gramian_step(split, ag.mgda(), optimizer, head_gradients="none")
