"""A network a task: what sharing has to beat."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench


def network_of_each(bench: Bench) -> tuple[Any, PyTree]:
    """Networks of which each task has one, and their initial values for all seeds."""
    from jaxmtl.models import IndependentNetworks

    p = bench.protocol
    model = IndependentNetworks(
        shared=p.shared,
        nodes=p.nodes,
        towers=p.towers,
        outputs=(1,) * bench.num_tasks,
        activation=p.activation,
        output_activation=p.output_activation,
    )
    params = {f"task_{t}": _of_task(bench, t) for t in range(bench.num_tasks)}
    return model, params


def _run(bench: Bench) -> Fitted:
    model, params = network_of_each(bench)
    runs = bench.run("independent", model, bench.same_schedule, params=params)
    return bench.fitted(model, runs)


def _of_task(bench: Bench, task: int) -> PyTree:
    """Each network starts from what hard sharing starts from, so that the start is the same."""

    def taken(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        name = path[0].key
        if name == "bank":
            return leaf[..., : bench.protocol.nodes]
        if name.startswith("shared_"):
            return leaf
        return leaf[:, task : task + 1]  # a tower's layer: (seeds, tasks, ...)

    return jax.tree_util.tree_map_with_path(taken, jax.tree.map(jnp.asarray, bench.start))


INDEPENDENT = Arm("independent", "a network a task, nothing shared", _run)
