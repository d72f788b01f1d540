"""The network becomes wider while it trains: what any change of size has to beat."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm, number_in_name
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.methods.study.stages import after, one_phase_only, phases_from, steps_of, traces_of

MOST = 64


def grow_at(number: str) -> Arm:
    """An arm whose shared layers become several times as wide where the first phase ends.

    Nothing that it predicts changes by that: what new nodes hand on to old ones, and to the tasks'
    own layers, is 0 at first. The epoch is selected among those after it.

    Args:
        number: how many times as wide, as it stands in the name of the arm.

    Returns:
        The arm.

    Raises:
        ValueError: no whole number from 2 on.

    Example:
        >>> grow_at("2").name
        'grow@2'
    """
    times = number_in_name(number, "times", "grow@2", MOST)
    run, words = functools.partial(_run, times), grow_in_words(f"{times} times")
    return Arm(f"grow@{times}", words, run, why_not=one_phase_only)


def grow_in_words(times: str) -> str:
    """What the arm does."""
    return f"hard sharing that becomes {times} as wide where the first phase ends"


def wider(bench: Bench, times: int) -> Any:
    """Hard sharing with shared layers several times as wide."""
    p: StudyProtocol = bench.protocol
    nodes = p.nodes * times
    shared = tuple(size * times for size in p.shared)
    return bench.network(nodes, capacity=nodes).clone(shared=shared)


def grown(old: PyTree, new: PyTree) -> PyTree:
    """Parameters of a wider network that computes what a narrower one does.

    Args:
        old: of the narrower one; kernels are (..., inputs, outputs), biases (..., outputs).
        new: initial values of the wider one.

    Returns:
        The old values, and beside them the new ones, of which those from new nodes to old ones are
        0.

    Example:
        >>> old = {"layer": {"kernel": jnp.ones((1, 1)), "bias": jnp.ones(1)}}
        >>> new = {"layer": {"kernel": jnp.full((2, 3), 5.0), "bias": jnp.full(3, 5.0)}}
        >>> grown(old, new)["layer"]["kernel"].tolist()
        [[1.0, 5.0, 5.0], [0.0, 5.0, 5.0]]
    """

    def one(path: Any, narrow: Array, wide: Array) -> Array:
        outputs = narrow.shape[-1]
        if path[-1].key != "kernel":
            return wide.at[..., :outputs].set(narrow)
        inputs = narrow.shape[-2]
        wide = wide.at[..., inputs:, :outputs].set(0)
        return wide.at[..., :inputs, :outputs].set(narrow)

    return jax.tree_util.tree_map_with_path(one, old, new)


def _run(times: int, bench: Bench) -> Fitted:
    name, p, table = f"grow@{times}", bench.protocol, bench.same_schedule
    narrow, wide = bench.network(capacity=p.nodes), wider(bench, times)
    bank = jax.tree.map(lambda leaf: leaf[..., : p.nodes], bench.start["bank"])
    first = bench.run(
        f"{name}/before", narrow, phases_from(table, 0, 1), params=bench.start | {"bank": bank}
    )
    fresh = _initial(bench, wide)
    params = jax.jit(grown)(jax.tree.map(jnp.asarray, first.params), fresh)
    runs = bench.run(name, wide, phases_from(table, 1), params=params)
    fitted = bench.fitted(wide, runs, nodes=p.nodes * times)
    fitted = after([[trace] for trace in traces_of(first)], fitted)
    return dataclasses.replace(fitted, steps=fitted.steps + steps_of(first, bench))


def _initial(bench: Bench, network: Any) -> PyTree:
    """Initial values of a wider network, from keys that nothing else draws from."""
    x = jnp.asarray(bench.splits.train.x[:, :1])
    keys = jax.vmap(lambda key: jax.random.fold_in(key, 1))(jax.random.clone(bench.keys))
    return jax.jit(jax.vmap(lambda key, x: network.init(key, x)["params"]))(keys, x)
