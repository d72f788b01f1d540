"""The trunk branches at a layer: those above it are every task's own."""

import functools

import jax.numpy as jnp

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.methods.study.layers import network_of_layers, shared_layers, split_layers, too_few


def branch_at(layer: str) -> Arm:
    """An arm whose shared layers stay shared up to one, and are every task's own above it.

    Args:
        layer: its name, ``"shared_0"`` for the lowest.

    Returns:
        The arm.

    Example:
        >>> branch_at("shared_0").name
        'branch@shared_0'
    """
    return Arm(
        f"branch@{layer}",
        f"the shared layers above {layer} are every task's own, from the start",
        functools.partial(_run, layer),
        least_tasks=2,
        why_not=functools.partial(_why_not, layer),
    )


def _why_not(layer: str, protocol: StudyProtocol) -> str | None:
    *below, last = shared_layers(protocol)
    if layer in below:
        return None
    if layer == last and below:
        return (
            f"expected a layer with shared ones above it, {' or '.join(below)}, got the last, "
            f"{last}: nothing would be split"
        )
    return too_few(protocol) or f"expected the layer {' or '.join(below)}, got {layer!r}"


def _run(layer: str, bench: Bench) -> Fitted:
    layers = shared_layers(bench.protocol)
    network, banks, pointers = network_of_layers(bench)
    apart = jnp.arange(len(layers)) > layers.index(layer)
    apart = jnp.broadcast_to(apart, (len(bench.keys), len(layers)))
    banks, pointers = split_layers(banks, pointers, apart)
    runs = bench.run(
        f"branch@{layer}", network, bench.same_schedule, params=banks, head_index=pointers
    )
    return bench.fitted(network, runs)
