"""LAPACK on a CPU of few threads: what waits for them may wait for ever."""

import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.solvers.eigen import eigenvalues_and_vectors
from jaxmtl.aggregation.solvers.linear import factored_solver

# More tasks than are solved without a loop; two groups: the same work twice at a time. A solver
# and a decomposition of those that call LAPACK at all, as is tested below.
TASKS = 9
METHODS = ("aligned_mtl", "config", "dualproj", "fairgrad", "imtl_g", "mgda", "upgrad")
ENDS = f"""
import jax, numpy as np, jaxmtl.aggregation as ag
rows = np.random.default_rng(0).normal(size=(3, {TASKS}, 4)).astype(np.float32)
grads = {{"a": rows, "b": rows[::-1]}}
for method in (ag.imtl_g(), ag.aligned_mtl()):
    both = ag.grouped(method, ag.leaf_groups)
    step = jax.jit(jax.vmap(lambda g: both.update(g, both.init(g))[0]))
    for _ in range(10):
        jax.block_until_ready(step(grads))
"""


@pytest.mark.parametrize("name", some(METHODS, "aligned_mtl", "config", "imtl_g", "mgda"))
def test_no_call_of_lapack_is_batched_where_seeds_are(name):
    method = ag.make(name)
    rows = jax.ShapeDtypeStruct((3, TASKS, 4), np.float32)
    step = jax.vmap(lambda rows: method.update(rows, method.init(rows))[0])
    text = jax.jit(step).trace(rows).lower(lowering_platforms=("cpu",)).as_text()
    calls = re.findall(r"custom_call @lapack_\w+.*?: \(tensor<([^>]*)>", text)
    assert all(re.fullmatch(r"9x9xf32", shape) for shape in calls), calls
    assert bool(calls) == (name in ("aligned_mtl", "config", "imtl_g"))


@pytest.mark.slow
def test_programs_with_two_of_them_at_a_time_end_on_two_threads():
    environment = os.environ | {"NPROC": "2", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    subprocess.run([sys.executable, "-c", ENDS], env=environment, check=True, timeout=300)


def spread(size, batch=()):
    rows = np.random.default_rng(size).normal(size=(*batch, size, size + 3))
    return (rows @ np.swapaxes(rows, -1, -2) / size).astype(np.float32)


@pytest.mark.parametrize("batch", [(), (4,)])
def test_the_loop_solves_as_lapack_does(batch):
    matrix, b = spread(20, batch), np.ones((*batch, 20), np.float32)
    expected = np.linalg.solve(matrix.astype(float), b[..., None].astype(float))[..., 0]
    assert_allclose(factored_solver(jnp.asarray(matrix))(b), expected, rtol=2e-3)


def test_a_matrix_that_is_not_positive_has_no_solution():
    assert np.isnan(factored_solver(-jnp.eye(9))(jnp.ones(9))).all()


def test_eigenvalues_and_their_slopes_are_those_of_numpy_matrix_by_matrix():
    matrices = jnp.asarray(spread(5, (3,)))
    change = jnp.asarray(spread(5, (3,))[::-1])
    at = jax.vmap(eigenvalues_and_vectors)
    ours, theirs = (
        jax.jit(lambda m, c, f=f: jax.jvp(f, (m,), (c,))) for f in (at, jnp.linalg.eigh)
    )
    (values, vectors), (slopes, turns) = ours(matrices, change)
    assert_allclose(values, np.linalg.eigvalsh(matrices), rtol=1e-4, atol=1e-5)
    assert_allclose(vectors * values[:, None] @ np.swapaxes(vectors, 1, 2), matrices, atol=1e-5)
    _, (slopes_of_jax, turns_of_jax) = theirs(matrices, change)
    assert_allclose(slopes, slopes_of_jax, rtol=1e-4, atol=1e-5)
    assert_allclose(turns, turns_of_jax, rtol=1e-3, atol=1e-4)
    slope = jax.jit(jax.grad(lambda m: eigenvalues_and_vectors(m)[0][-1]))(matrices[0])
    vectors = np.asarray(vectors)
    assert_allclose(slope, np.outer(vectors[0, :, -1], vectors[0, :, -1]), atol=1e-5)
