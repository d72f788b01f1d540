"""The layers of most conflict are every task's own, from the start: Recon."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from jaxmtl._pytree import leaf_groups
from jaxmtl.aggregation import Aggregator
from jaxmtl.aggregation.known import AnyMethod
from jaxmtl.aggregation.recon import recon
from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.methods.study.layers import (
    names_apart,
    network_of_layers,
    shared_layers,
    split_layers,
    summed_or,
    too_few,
    watched,
)

SEARCH = 4  # of so many parts of the updates, the first one finds the layers


def recon_at(number: str) -> Arm:
    """An arm that finds the shared layers of most conflict, splits them, and trains anew.

    A quarter of the schedule's updates is trained with all shared, at its first rate, while every
    layer's pairs of tasks with a cosine below 0 are counted. The layers of the highest counts get
    a copy a task, and the network is trained from its initial values on the whole schedule. Steps
    are those of both. With a method that combines task gradients, both use it; with one that looks
    ahead, which is no aggregator, the search sums them.

    We depart from the paper in the unit, which is a dense layer with its bias, and in the severity
    of what counts as a conflict, which is not tuned.

    Args:
        number: of layers to split, as it stands in the name of the arm.

    Returns:
        The arm.

    Raises:
        ValueError: no whole number of at least 1.

    Example:
        >>> recon_at("2").name
        'recon@2'

    References:
        Shi, Li, Zhang, Chen, Wu (2023), Recon: reducing conflicting gradients from the root for
        multi-task learning, algorithm 1.
    """
    if not re.fullmatch("[1-9][0-9]{0,3}", number):
        raise ValueError(f"expected a number of layers from 1, as in recon@1, got {number!r}")
    k = int(number)
    return Arm(
        f"recon@{k}",
        recon_in_words("shared layer" if k == 1 else f"{k} shared layers"),
        functools.partial(_run, k),
        least_tasks=2,
        why_not=functools.partial(_why_not, k),
    )


def recon_in_words(layers: str) -> str:
    """What the arm does with some layers."""
    return f"the {layers} of most conflict in a first quarter split, and all trained anew"


def _why_not(k: int, protocol: StudyProtocol) -> str | None:
    layers = shared_layers(protocol)
    if (why := too_few(protocol)) is not None:
        return why
    if k <= len(layers):
        return None
    return f"expected at most {len(layers)} layers, which are {', '.join(layers)}, got {k}"


def _run(k: int, bench: Bench) -> Fitted:
    name, layers = f"recon@{k}", shared_layers(bench.protocol)
    apart, searched = _search(name, k, bench)
    network, banks, pointers = network_of_layers(bench)
    banks, pointers = split_layers(banks, pointers, jnp.asarray(apart))
    runs = bench.run(name, network, bench.same_schedule, params=banks, head_index=pointers)
    fitted = bench.fitted(network, runs)
    chosen = tuple(
        {**choice, "split": names_apart(layers, row)}
        for choice, row in zip(fitted.chosen, apart, strict=True)
    )
    return dataclasses.replace(fitted, chosen=chosen, steps=fitted.steps + searched)


def _search(
    name: str, k: int, bench: Bench
) -> tuple[Bool[np.ndarray, "seeds layers"], Int[np.ndarray, " seeds"]]:
    """The layers of most conflict, and the steps that it took to find them."""
    table = bench.constant_rate
    stop = -(-table.stop // SEARCH)
    table = table._replace(stop=stop, epochs=-(-stop // bench.updates_an_epoch))
    looking = watched(bench, name, _scored(summed_or(bench.method)))
    network = bench.network()
    runs = looking.run(f"{name}/search", network, table)
    one = jax.tree.map(lambda leaf: leaf[0], runs.params)
    places = {label: place for place, label in enumerate(leaf_groups(one, 1))}
    layers = shared_layers(bench.protocol)
    scores = np.asarray(runs.aggregator_state.scores)
    scores = scores[:, [places[f"['{layer}']"] for layer in layers]]
    # Of equal counts the lower layer is split.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    apart = np.zeros(scores.shape, bool)
    np.put_along_axis(apart, order, values=True, axis=1)
    return apart, looking.fitted(network, runs).steps


@functools.cache  # the same object for the same method: it is static in what is compiled
def _scored(method: AnyMethod) -> Aggregator:
    return recon(method)
