"""Carries parameters of one network into another that has layers of the same names."""

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxmtl._paths import (
    Select,
    check_matched,
    leaf_path,
    listed,
    matches,
    named_leaves,
    patterns_of,
)


def transfer_parameters(source_params: PyTree, target_params: PyTree, select: Select) -> PyTree:
    """The target's parameters with the selected ones replaced by the source's.

    Every selected leaf has to be in both networks and of one shape: a layer that is left out or cut
    to size without a word is a transfer that did not happen.

    Args:
        source_params: of the network that was trained; for one part of it, that part's subtree.
            Traced or concrete.
        target_params: of the network to be trained, traced or concrete.
        select: paths of what is carried, such as ``"trunk"`` or ``("shared_*", "bank/kernel")``:
            the beginnings of paths, part by part, with ``*`` as in a shell. Static.

    Returns:
        Parameters like the target's, dtypes included.

    Raises:
        ValueError: a path that selects nothing, or a selected leaf that one of the networks lacks
            or has in another shape; the sentence names the leaf.

    Example:
        >>> import jax.numpy as jnp
        >>> source = {"trunk": {"kernel": jnp.ones((2, 3))}, "head": {"kernel": jnp.ones((3, 5))}}
        >>> target = {"trunk": {"kernel": jnp.zeros((2, 3))}, "head": {"kernel": jnp.zeros((3, 2))}}
        >>> carried = transfer_parameters(source, target, "trunk")
        >>> float(carried["trunk"]["kernel"].sum()), float(carried["head"]["kernel"].sum())
        (6.0, 0.0)
        >>> transfer_parameters(source, target, "head")
        Traceback (most recent call last):
            ...
        ValueError: 'head/kernel': expected the target's shape (3, 2), got (3, 5) in the source

    References:
        Yosinski, Clune, Bengio, Lipson (2014), How Transferable Are Features in Deep Neural
        Networks?, NeurIPS.
    """
    patterns = patterns_of(select)
    source, target = named_leaves(source_params), named_leaves(target_params)
    check_matched(patterns, list(target), "the target")

    def selected(path: str) -> bool:
        return any(matches(path, pattern) for pattern in patterns)

    for mine, others, names in (
        (target, source, ("target", "source")),
        (source, target, ("source", "target")),
    ):
        for path in filter(selected, mine):
            if path not in others:
                raise ValueError(
                    f"{path!r}: expected this parameter of the {names[0]} in the {names[1]} too, "
                    f"which has {listed(list(others))}"
                )

    def carried(path: tuple[object, ...], leaf: jax.Array) -> jax.Array:
        name = leaf_path(path)
        if not selected(name):
            return leaf
        if jnp.shape(source[name]) != jnp.shape(leaf):
            raise ValueError(
                f"{name!r}: expected the target's shape {jnp.shape(leaf)}, "
                f"got {jnp.shape(source[name])} in the source"
            )
        return jnp.asarray(source[name], jnp.asarray(leaf).dtype)

    return jax.tree_util.tree_map_with_path(carried, target_params)
