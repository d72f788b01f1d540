"""Shared layers of hard sharing as units: which there are, and a network that is split in them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from jaxmtl.aggregation import Aggregator, AutoLambda
from jaxmtl.aggregation.known import AnyMethod
from jaxmtl.aggregation.sum import sum as summed
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.methods.views_model import view_layers
from jaxmtl.sharing import Pointers, duplicate, enlarge
from jaxmtl.training.kinds.views import ViewNetwork
from jaxmtl.training.phased.combining import Combining, looks_ahead


def shared_layers(protocol: StudyProtocol) -> tuple[str, ...]:
    """Names of the layers that all tasks share, from the inputs on.

    Example:
        >>> shared_layers(StudyProtocol(shared=(8, 8)))
        ('shared_0', 'shared_1', 'bank')
    """
    return (*(f"shared_{i}" for i in range(len(protocol.shared))), "bank")


def too_few(protocol: StudyProtocol) -> str | None:
    """Why there is no choice among the shared layers; None if there is.

    Example:
        >>> too_few(StudyProtocol(shared=())).partition(";")[0]
        "expected several shared layers, got one, 'bank'"
    """
    *below, last = shared_layers(protocol)
    if below:
        return None
    return (
        f"expected several shared layers, got one, {last!r}; add some below it (--shared 8,8),"
        " or take fully_split, which splits this one"
    )


def network_of_layers(bench: Bench) -> tuple[ViewNetwork, PyTree, Pointers]:
    """Hard sharing whose shared layers may be split, with the initial values of all other arms.

    Args:
        bench: of the arms.

    Returns:
        The network, and for all seeds its banks and pointers, by which every task reads all.
    """
    p = bench.protocol
    features = bench.splits.train.x.shape[-1]
    network = view_layers(
        bench.network(capacity=p.nodes), list(shared_layers(p)), features=features
    )
    start = network.start()
    bank = jax.tree.map(lambda leaf: leaf[..., : p.nodes], bench.start["bank"])
    banks = jax.vmap(lambda params: enlarge(params, start))(bench.start | {"bank": bank})
    seeds = len(bench.keys)
    pointers = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (seeds, *leaf.shape)), start)
    return network, banks, pointers


@jax.jit
def split_layers(
    banks: PyTree, pointers: Pointers, apart: Bool[Array, "seeds layers"]
) -> tuple[PyTree, Pointers]:
    """Gives every task its own copy of some layers, which differ from seed to seed.

    Args:
        banks: leaves (seeds, ...), traced.
        pointers: the same.
        apart: which layers, in the order of the groups, traced.

    Returns:
        Both after it.
    """

    def of_seed(banks: PyTree, pointers: Pointers, apart: Array) -> tuple[PyTree, Pointers]:
        tasks = jnp.arange(pointers.num_tasks)
        for number, group in enumerate(pointers.groups):
            for task in range(1, pointers.num_tasks):
                moving = (tasks == task) & apart[number]
                banks, pointers = duplicate(banks, pointers, group.name, 0, moving)
        return banks, pointers

    return jax.vmap(of_seed)(banks, pointers, apart)


def names_apart(layers: tuple[str, ...], apart: Bool[np.ndarray, " layers"]) -> str:
    """The layers that are split, in words."""
    return ", ".join(name for name, one in zip(layers, apart, strict=True) if one) or "none"


def watched(bench: Bench, arm: str, watch: Aggregator) -> Bench:
    """The bench with what looks on while gradients are combined, under the name of the arm."""
    name = arm if bench.method is None else f"{arm}+{bench.method}"
    return bench.combined_by(watch).called(bench.given or name)


@functools.cache
def summed_or(method: Combining | None) -> AnyMethod:
    """What combines the gradients beside what looks on; the sum for methods that look ahead."""
    if method is None or isinstance(method, AutoLambda) or looks_ahead(method):
        return summed()
    return method
