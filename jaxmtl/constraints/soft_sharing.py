"""Soft parameter sharing: penalties that tie the parameters of one network a task."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl._validate import check_choice

Tie = Literal["l2", "trace_norm"]
TIES = ("l2", "trace_norm")


def sharing_penalty(
    networks: Sequence[PyTree], *, tie: Tie = "l2", strength: PyTree = 1.0
) -> Float[Array, ""]:
    """Penalty on what corresponding layers of several networks do not have in common.

    With the layers of the tasks flattened to rows w_1 .. w_T of a matrix W, a layer costs

        l2:          sum over pairs s < t of |w_s - w_t|^2,
        trace_norm:  sum of the singular values of W,

    times its strength. L2 pulls the networks to one another; the trace norm also shrinks them, and
    prefers layers that span few directions: some tasks may share one and others another.

    Args:
        networks: parameters, one pytree a task, of the same structure and shapes; at least two.
            Where output layers differ, pass the parts that correspond. Traced.
        tie: ``"l2"`` or ``"trace_norm"``, static.
        strength: a number, for the network as one layer, or a prefix of the pytrees: each of its
            leaves is the strength of the layer made of all that is below it. Traced.

    Returns:
        A scalar.

    Raises:
        ValueError: fewer than two networks, an unknown tie, or networks that differ in structure or
            shape.

    Example:
        >>> import jax.numpy as jnp
        >>> one = {"low": jnp.array([1.0, 0.0]), "high": jnp.array([0.0])}
        >>> two = {"low": jnp.array([0.0, 1.0]), "high": jnp.array([3.0])}
        >>> float(sharing_penalty([one, two], strength={"low": 1.0, "high": 2.0}))
        20.0
        >>> round(float(sharing_penalty([one["low"], two["low"]], tie="trace_norm")), 5)
        2.0

    References:
        Duong, Cohn, Bird, Cook (2015), Low Resource Dependency Parsing, equation 2 (L2); Yang,
        Hospedales (2017), Trace Norm Regularised Deep Multi-Task Learning, "last axis flattening".
    """
    check_choice("tie", tie, TIES)
    _check_alike(networks)

    def of_layer(factor: Any, *parts: PyTree) -> Array:
        return factor * tie_penalty(jnp.stack([_flat(part) for part in parts]), tie)

    try:
        layers = jax.tree.map(of_layer, strength, *networks)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "strength: expected a number or a prefix of the networks' pytree, "
            f"{jax.tree.structure(networks[0])}, got {jax.tree.structure(strength)}"
        ) from error
    return sum(jax.tree.leaves(layers), jnp.zeros(()))


def tie_penalty(rows: Float[Array, "tasks size"], tie: Tie) -> Float[Array, ""]:
    """Penalty of one layer, given flattened, one row a task; see ``sharing_penalty``.

    Args:
        rows: the layer of every task, traced.
        tie: ``"l2"`` or ``"trace_norm"``, static.

    Returns:
        A scalar.

    Raises:
        ValueError: an unknown tie.

    Example:
        >>> import jax.numpy as jnp
        >>> float(tie_penalty(jnp.array([[1.0, 2.0], [1.0, 4.0]]), "l2"))
        4.0
    """
    check_choice("tie", tie, TIES)
    if tie == "trace_norm":
        return trace_norm(rows)
    # The sum over pairs is T times the sum of squared distances from the mean.
    return rows.shape[0] * ((rows - rows.mean(axis=0, keepdims=True)) ** 2).sum()


@jax.custom_jvp
def trace_norm(matrix: Float[Array, "rows columns"]) -> Float[Array, ""]:
    """Sum of the singular values, with a gradient that is finite everywhere.

    With matrix = U S V^T the gradient is U V^T over the singular values above rounding error: it
    does not depend on the choice of vectors where singular values repeat, and at a zero one it is
    the subgradient of least norm, so the gradient of the zero matrix is 0.

    Args:
        matrix: traced.

    Returns:
        A scalar. Only first derivatives are safe.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> jax.grad(trace_norm)(jnp.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    return jnp.linalg.svd(matrix, compute_uv=False).sum()


@trace_norm.defjvp
def _trace_norm_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (matrix,), (tangent,) = primals, tangents
    u, s, vt = jnp.linalg.svd(matrix, full_matrices=False)
    rounding = jnp.finfo(s.dtype).eps * max(matrix.shape) * s[:1]
    kept = jnp.where(~(s <= rounding), 1.0, 0.0).astype(s.dtype)  # NaN is kept, and seen
    gradient = jnp.matmul(u * kept[None], vt, precision="highest")
    return s.sum(), (gradient * tangent).sum()


def _flat(part: PyTree) -> Float[Array, " size"]:
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(part)])


def _check_alike(networks: Sequence[PyTree]) -> None:
    if len(networks) < 2:
        raise ValueError(f"networks: expected at least two, got {len(networks)}")
    first = jax.tree_util.tree_leaves_with_path(networks[0])
    for task, network in enumerate(networks[1:], start=1):
        if jax.tree.structure(network) != jax.tree.structure(networks[0]):
            raise ValueError(
                f"networks: expected the structure {jax.tree.structure(networks[0])} for every "
                f"task, got {jax.tree.structure(network)} for task {task}"
            )
        for (path, leaf), other in zip(first, jax.tree.leaves(network), strict=True):
            if jnp.shape(leaf) != jnp.shape(other):
                raise ValueError(
                    f"networks: expected shape {jnp.shape(leaf)} at {jax.tree_util.keystr(path)}, "
                    f"as in task 0, got {jnp.shape(other)} for task {task}"
                )
