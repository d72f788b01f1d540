"""Hard constraints: outputs or parameters projected onto a convex set.

A set is a small frozen dataclass; ``project`` and ``project_rows`` project onto it. It is a pytree,
so that its numbers may be traced and mapped over, and it is hashable while they are Python numbers
or tuples, so that a network may hold it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from jaxmtl._pytree import register_dataclass
from jaxmtl._validate import check_choice, check_positive

Gradient = Literal["true", "straight_through"]
GRADIENTS = ("true", "straight_through")


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Box:
    """Every entry between two bounds; with one bound left out, a half-line.

    Attributes:
        lower: a number, one an entry (a tuple or an array), or a pytree like the point.
        upper: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> Box(lower=0.5).project(jnp.array([0.0, 0.5, 2.0])).tolist()
        [0.5, 0.5, 2.0]
    """

    lower: Any = -float("inf")
    upper: Any = float("inf")

    def __post_init__(self) -> None:
        """Checks plain numbers; arrays may be traced."""
        if _is_number(self.lower) and _is_number(self.upper) and not self.lower <= self.upper:
            raise ValueError(f"Box: expected lower <= upper, got {self.lower} and {self.upper}")

    def project(self, tree: PyTree) -> PyTree:
        """The nearest point of the set."""
        lower, upper = _spread("lower", self.lower, tree), _spread("upper", self.upper, tree)
        clipped = optax.projections.projection_box(tree, lower, upper)
        # jnp.clip halves the gradient on the bound; a point of the set is not clamped.
        return jax.tree.map(lambda x, p: jnp.where(p == x, x, p), tree, clipped)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class NonNegative:
    """Every entry at least 0.

    Example:
        >>> import jax.numpy as jnp
        >>> NonNegative().project({"w": jnp.array([-1.0, 2.0])})["w"].tolist()
        [0.0, 2.0]
    """

    def project(self, tree: PyTree) -> PyTree:
        """The nearest point of the set."""
        clipped = optax.projections.projection_non_negative(tree)
        return jax.tree.map(lambda x, p: jnp.where(p == x, x, p), tree, clipped)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Simplex:
    """Entries at least 0 that sum to ``scale``.

    Attributes:
        scale: above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> Simplex().project(jnp.array([1.0, 0.5, -3.0])).tolist()
        [0.75, 0.25, 0.0]
    """

    scale: Any = 1.0

    def __post_init__(self) -> None:
        """Checks a plain number."""
        _check_scale(self)

    def project(self, tree: PyTree) -> PyTree:
        """The nearest point of the set."""
        return optax.projections.projection_simplex(tree, self.scale)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class L1Ball:
    """Absolute values that sum to ``scale`` at most.

    Attributes:
        scale: above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> L1Ball().project(jnp.array([1.0, -0.5, 0.0])).tolist()
        [0.75, -0.25, 0.0]
    """

    scale: Any = 1.0

    def __post_init__(self) -> None:
        """Checks a plain number."""
        _check_scale(self)

    def project(self, tree: PyTree) -> PyTree:
        """The nearest point of the set."""
        return optax.projections.projection_l1_ball(tree, self.scale)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class L2Ball:
    """Euclidean norm of ``scale`` at most.

    Attributes:
        scale: above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> L2Ball(10.0).project(jnp.array([12.0, 16.0])).tolist()
        [6.0, 8.0]
    """

    scale: Any = 1.0

    def __post_init__(self) -> None:
        """Checks a plain number."""
        _check_scale(self)

    def project(self, tree: PyTree) -> PyTree:
        """The nearest point of the set."""
        inside = optax.tree.norm(tree, squared=True) <= jnp.square(self.scale)
        return _where(inside, tree, optax.projections.projection_l2_ball(tree, self.scale))


@register_dataclass
@dataclasses.dataclass(frozen=True)
class LInfBall:
    """Every absolute value ``scale`` at most.

    Attributes:
        scale: above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> LInfBall(2.0).project(jnp.array([3.0, -1.0, -9.0])).tolist()
        [2.0, -1.0, -2.0]
    """

    scale: Any = 1.0

    def __post_init__(self) -> None:
        """Checks a plain number."""
        _check_scale(self)

    def project(self, tree: PyTree) -> PyTree:
        """The nearest point of the set."""
        clipped = optax.projections.projection_linf_ball(tree, self.scale)
        return jax.tree.map(lambda x, p: jnp.where(p == x, x, p), tree, clipped)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Hyperplane:
    """Points p with normal . p = offset.

    Attributes:
        normal: one number an entry (a tuple or an array), or a pytree like the point; not all 0.
        offset: a number.

    Example:
        >>> import jax.numpy as jnp
        >>> Hyperplane((1.0, 1.0), 1.0).project(jnp.array([2.0, 3.0])).tolist()
        [0.0, 1.0]
    """

    normal: Any
    offset: Any = 0.0

    def __post_init__(self) -> None:
        """Checks plain numbers."""
        _check_normal(self)

    def project(self, tree: PyTree) -> PyTree:
        """The nearest point of the set."""
        normal = _spread("normal", self.normal, tree)
        return optax.projections.projection_hyperplane(tree, normal, self.offset)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class HalfSpace:
    """Points p with normal . p <= offset.

    Attributes:
        normal: one number an entry (a tuple or an array), or a pytree like the point; not all 0.
        offset: a number.

    Example:
        >>> import jax.numpy as jnp
        >>> order = HalfSpace((1.0, -1.0))  # the first output at most the second
        >>> order.project(jnp.array([3.0, 1.0])).tolist()
        [2.0, 2.0]
    """

    normal: Any
    offset: Any = 0.0

    def __post_init__(self) -> None:
        """Checks plain numbers."""
        _check_normal(self)

    def project(self, tree: PyTree) -> PyTree:
        """The nearest point of the set."""
        normal = _spread("normal", self.normal, tree)
        inside = optax.tree.vdot(tree, normal) <= self.offset
        nearest = optax.projections.projection_halfspace(tree, normal, self.offset)
        return _where(inside, tree, nearest)


ConvexSet = Box | NonNegative | Simplex | L1Ball | L2Ball | LInfBall | Hyperplane | HalfSpace


def project(tree: PyTree, onto: ConvexSet, *, gradient: Gradient = "true") -> PyTree:
    """The point of a convex set that is nearest to a pytree: argmin over p in the set of |x - p|^2.

    The whole pytree is one point. The projection's own gradient is 0 in the directions in which the
    set holds the point. So an output held at its bound is not pushed further out, and neither is it
    pulled back in: one that starts outside and is reached by no other gradient stays there for
    good. Straight-through hands the gradient on as if nothing had been projected. A point of the
    set, its boundary included, is not held: its Jacobian is the identity, except on the hyperplane
    and the simplex, which are flat.

    Args:
        tree: a point, an array or a pytree of arrays of floating type, traced.
        onto: the set, static or a traced pytree.
        gradient: ``"true"`` or ``"straight_through"``, static.

    Returns:
        A pytree of the same structure, shapes and types.

    Raises:
        ValueError: an unknown gradient, leaves that are not of floating type, or bounds or a normal
            that fit neither the point's shape nor its structure.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> y = jnp.array([0.2, 0.9])
        >>> project(y, Box(lower=0.5)).tolist() == [0.5, y[1]]
        True
        >>> slope = lambda how: jax.grad(lambda y: project(y, Box(0.5), gradient=how).sum())(y)
        >>> slope("true").tolist(), slope("straight_through").tolist()
        ([0.0, 1.0], [1.0, 1.0])

    References:
        Parikh, Boyd (2014), Proximal Algorithms, section 6; Bengio, Leonard, Courville (2013),
        Estimating or Propagating Gradients Through Stochastic Neurons (straight-through).
    """
    check_choice("gradient", gradient, GRADIENTS)
    tree = jax.tree.map(jnp.asarray, tree)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                f"project: expected leaves of floating type, got {leaf.dtype} "
                f"at {jax.tree_util.keystr(path) or 'the root'}"
            )
    # Sums of half-precision numbers are formed in float32.
    precise = jax.tree.map(lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32)), tree)
    nearest = jax.tree.map(lambda p, x: p.astype(x.dtype), onto.project(precise), tree)
    if gradient == "true":
        return nearest
    return _straight_through(tree, jax.lax.stop_gradient(nearest))


def project_rows(
    values: Float[Array, "*batch width"], onto: ConvexSet, *, gradient: Gradient = "true"
) -> Float[Array, "*batch width"]:
    """Projects every row by itself: the last axis is the point, the others are a batch.

    Args:
        values: points, traced.
        onto: the set, static or a traced pytree.
        gradient: see ``project``, static.

    Returns:
        The nearest points, of the same shape.

    Raises:
        ValueError: as ``project``, or a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> project_rows(jnp.array([[3.0, 3.0], [1.0, 0.0]]), Simplex()).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
    """
    if jnp.ndim(values) < 1:
        raise ValueError("project_rows: expected (..., width), got a scalar; use project")
    flat = values.reshape(-1, values.shape[-1])
    rows = jax.vmap(lambda row: project(row, onto, gradient=gradient))(flat)
    return rows.reshape(values.shape)


@jax.custom_jvp
def _straight_through(values: PyTree, replacement: PyTree) -> PyTree:
    # values + stop_gradient(replacement - values) would leave the set by a rounding error.
    del values
    return replacement


@_straight_through.defjvp
def _straight_through_jvp(primals: Any, tangents: Any) -> tuple[PyTree, PyTree]:
    return primals[1], tangents[0]


def _spread(name: str, value: Any, tree: PyTree) -> PyTree:
    """``value`` as a pytree with the structure, shapes and types of ``tree``."""
    leaves, structure = jax.tree.flatten(tree)
    single = jax.tree.structure(0) == structure
    if single and not isinstance(value, Mapping):
        parts = [value]
    elif not single and jax.tree.structure(value) == structure:
        parts = jax.tree.leaves(value)
    elif not isinstance(value, Mapping) and np.ndim(value) == 0:
        parts = [value] * len(leaves)
    else:
        raise ValueError(
            f"{name}: expected a number or a pytree like the point, {structure}, "
            f"got {jax.tree.structure(value)}"
        )
    spread = []
    for part, leaf in zip(parts, leaves, strict=True):
        part = jnp.asarray(part, leaf.dtype)
        if part.shape not in ((), leaf.shape):
            raise ValueError(
                f"{name}: expected a number or the shape of the point {leaf.shape}, "
                f"got {part.shape}"
            )
        spread.append(jnp.broadcast_to(part, leaf.shape))
    return jax.tree.unflatten(structure, spread)


def _where(condition: Array, new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _check_scale(ball: Any) -> None:
    if _is_number(ball.scale):
        check_positive(f"{type(ball).__name__}: scale", ball.scale)


def _check_normal(plane: Any) -> None:
    if isinstance(plane.normal, tuple | list):
        # As a tuple, so that the set is hashable; JAX may put anything in place of the numbers.
        object.__setattr__(plane, "normal", tuple(plane.normal))
        if all(_is_number(entry) for entry in plane.normal) and not any(plane.normal):
            raise ValueError(
                f"{type(plane).__name__}: expected a normal that is not 0, got {plane.normal}"
            )
