"""Where in a network task gradients disagree: norms, cosines and signs of every pair, by layer.

For gradients that one has already, of any model and from any library: a pytree whose leaves have
the task axis first.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from jaxmtl._paths import listed, named_leaves
from jaxmtl._pytree import Prefix, leaf_groups, register_dataclass
from jaxmtl._validate import is_concrete
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks

CHUNK = 2**14  # entries of a task that are looked at together


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ConflictMap:
    """How the gradients of every pair of tasks stand to each other, layer by layer.

    A pair of which one gradient is zero, absent or not finite has no cosine: NaN, in all that is
    told of pairs. Nor has one that moves no number together, as heads of one task each; its inner
    product is 0. Axes of ``vmap`` and ``scan`` come in front.

    Attributes:
        norms: of every task's gradient; NaN where the task is absent.
        cosines: between -1 and 1, 1 on the diagonal.
        opposite: share of the entries at which the two have opposite signs, of those at which
            neither is exactly 0; NaN where there is none.
        layers: their names, in the order of the first axis. Static.
        names: of the tasks; None for tasks without names. Static.

    Example:
        >>> import jax.numpy as jnp
        >>> found = conflict_map({"a": jnp.array([[3.0, 4.0], [3.0, -4.0]])}, names=("x", "y"))
        >>> {name: round(float(value), 2) for name, value in found.scalars().items()}
        {'norm/a/x': 5.0, 'norm/a/y': 5.0, 'cosine/a/x/y': -0.28, 'opposite/a/x/y': 0.5}
        >>> found
        ConflictMap(1 layer, 2 tasks; least cosine -0.28: x and y at a)
    """

    norms: Float[Array, "*lead layers tasks"]
    cosines: Float[Array, "*lead layers tasks tasks"]
    opposite: Float[Array, "*lead layers tasks tasks"]
    layers: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    names: tuple[str, ...] | None = dataclasses.field(default=None, metadata={"static": True})

    def __repr__(self) -> str:
        """How many layers and tasks, and the pair whose gradients oppose each other the most."""
        return brief(self, "cosine", self.cosines, lambda: self.cosines, largest=False)

    @property
    def products(self) -> Float[Array, "*lead layers tasks tasks"]:
        """Inner products; below 0, a step down one task's gradient raises the other's loss."""
        lengths = self.norms[..., :, None] * self.norms[..., None, :]
        apart = jnp.isnan(self.cosines) & (lengths > 0)  # no number is moved by both
        return jnp.where(apart, 0, self.cosines * lengths)

    @property
    def norm_ratios(self) -> Float[Array, "*lead layers tasks tasks"]:
        """The smaller norm over the larger: the further below 1, the more one task dominates."""
        a, b = self.norms[..., :, None], self.norms[..., None, :]
        both = (a > 0) & (b > 0)
        return jnp.where(both, jnp.minimum(a, b) / jnp.where(both, jnp.maximum(a, b), 1), jnp.nan)

    def conflict_rate(self, threshold: float = 0.0) -> Float[Array, "*lead layers"]:
        """Share of the pairs of tasks whose cosine is below a threshold; NaN without any pair.

        Args:
            threshold: S of Recon, in [-1, 0]; static or traced.
        """
        cosines = of_pairs(self.cosines)
        number = jnp.isfinite(cosines).sum(-1, dtype=cosines.dtype)
        below = (cosines < threshold).sum(-1, dtype=cosines.dtype)
        return jnp.where(number > 0, below / jnp.maximum(number, 1), jnp.nan)

    def scalars(self) -> dict[str, Array]:
        """All numbers under flat names, for a logger.

        Returns:
            ``norm/LAYER/TASK``, ``cosine/LAYER/TASK/TASK``, ``opposite/LAYER/TASK/TASK``, each pair
            once; tasks without names have numbers.
        """
        tasks = self.names or tuple(map(str, range(self.norms.shape[-1])))
        found = {
            f"norm/{layer}/{task}": self.norms[..., at, t]
            for at, layer in enumerate(self.layers)
            for t, task in enumerate(tasks)
        }
        return found | {
            f"{field}/{layer}/{tasks[s]}/{tasks[t]}": values[..., at, s, t]
            for field, values in (("cosine", self.cosines), ("opposite", self.opposite))
            for at, layer in enumerate(self.layers)
            for s, t in zip(*pairs_of(len(tasks)), strict=True)
        }


def brief(
    found: Any, what: str, like: Any, values: Callable[[], Array], *, largest: bool = True
) -> str:
    """A value of conflict in one line: its size, and the pair and layer that stand out.

    Args:
        found: with ``layers`` and ``names``.
        what: the values are.
        like: a leaf of its shape; where it is traced, or no array, values are not asked for.
        values: gives those of pairs at layers, (*lead, layers, tasks, tasks).
        largest: whether the largest stands out, or else the least.

    Returns:
        Its ``repr``.
    """
    number = len(found.layers)
    shape: Any = getattr(like, "shape", ())
    said = f"{number} layer{'s' * (number != 1)}"
    if len(shape) > 2:
        said += f", {shape[-1]} task{'s' * (shape[-1] != 1)}"
        said += f", axes {shape[:-3]} in front" if len(shape) > 3 else ""
    known = is_concrete(like)
    if known and getattr(like, "is_fully_addressable", isinstance(like, np.ndarray)):
        with jax.ensure_compile_time_eval():  # inside of jit all else would be traced
            each = np.asarray(of_pairs(values()), float)
        if np.isfinite(each).any():
            place = np.nanargmax(each) if largest else np.nanargmin(each)
            *_, layer, pair = np.unravel_index(place, each.shape)
            names = found.names or tuple(f"task {task}" for task in range(shape[-1]))
            one, other = (names[tasks[pair]] for tasks in pairs_of(shape[-1]))
            said += f"; {'largest' if largest else 'least'} {what} {each.flat[place]:.3g}: "
            said += f"{one} and {other} at {found.layers[layer]}"
    return f"{type(found).__name__}({said})"


def conflict_map(
    task_grads: PyTree,
    prefix: Prefix = 1,
    *,
    present: Bool[Array, " tasks"] | None = None,
    names: Sequence[str] | None = None,
) -> ConflictMap:
    """Norms, cosines and sign disagreement of task gradients for every layer.

    Needs no more memory than the gradients and, for one leaf at a time, their signs. Exact for
    gradients of any size, as norms are taken of entries over the largest.

    Args:
        task_grads: leaves (tasks, *param), traced: what ``task_gradients`` returns, or gradients of
            elsewhere.
        prefix: what a layer is, static. 1 for the entries of the outermost dictionary, 2 for those
            within these, None for every leaf, 0 for the network as a whole, or a pytree of labels
            that is a prefix of the parameters.
        present: which tasks have a gradient in this batch, traced; None for all.
        names: of the tasks, static: for ``scalars`` and pictures.

    Returns:
        The map; its layers are called by their paths, ``encoder/conv_1``.

    Raises:
        ValueError: leaves that differ in their first axis, or of no floating type; a prefix that
            does not fit; another number of names than tasks.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = {"trunk": jnp.array([[3.0, 4.0], [-3.0, 0.0]]), "top": jnp.ones((2, 4))}
        >>> found = conflict_map(grads)
        >>> found.layers, [round(cosine, 3) for cosine in found.cosines[:, 0, 1].tolist()]
        (('top', 'trunk'), [1.0, -0.6])
        >>> found.conflict_rate().tolist()
        [0.0, 1.0]

    References:
        Yu et al. (2020), Gradient surgery for multi-task learning: cosine and ratio of norms.
        Shi et al. (2023), Recon, definition 3: conflict by layer. Wang et al. (2023), Mathematics
        11(22), 4639: signs.
    """
    num_tasks(task_grads)
    leaves = jax.tree.leaves(task_grads)
    groups = leaf_groups(task_grads, prefix)
    if prefix is None or isinstance(prefix, int):
        layers = _layer_names(task_grads, groups, prefix)
    else:
        layers = tuple(map(str, groups))
    dtype = accumulator_dtype(task_grads)
    parts = [
        _compare([leaves[at][:, None].reshape(len(leaves[at]), 1, -1) for at in group], dtype)
        for group in groups.values()
    ]
    found = [jnp.concatenate(part) for part in zip(*parts, strict=True)]
    return _map(*found, layers=layers, reads=present, names=names)


def unit_map(
    task_grads: PyTree,
    axes: Mapping[str, int],
    *,
    readers: Bool[Array, "tasks units"] | None = None,
    names: Sequence[str] | None = None,
) -> ConflictMap:
    """The same for every unit of a layer: a node, a channel, a head.

    Args:
        task_grads: leaves (tasks, *param), traced.
        axes: the leaves that a unit has a part of, by their path, and which axis of the parameter
            (so without that of the tasks) is that of the units: the columns of a kernel and its
            bias are ``{"dense/kernel": -1, "dense/bias": 0}``. Static.
        readers: which task reads which unit, traced; None where all read all. A task has nothing to
            say at a unit that it does not read.
        names: of the tasks, static.

    Returns:
        The map, whose layers are the units, called by their numbers.

    Raises:
        ValueError: no leaf of that path, an axis that it does not have, or leaves that have another
            number of units.

    Example:
        >>> import jax.numpy as jnp
        >>> kernel = jnp.array([[[1.0, 1.0]], [[1.0, -1.0]]])  # two tasks, one input, two nodes
        >>> unit_map({"dense": {"kernel": kernel}}, {"dense/kernel": 1}).cosines[:, 0, 1].tolist()
        [1.0, -1.0]
    """
    tasks = num_tasks(task_grads)
    named = named_leaves(task_grads)
    if not axes:
        raise ValueError("axes: expected the path of at least one leaf, got none")
    parts, units = [], None
    for path, axis in axes.items():
        if path not in named:
            raise ValueError(
                f"axes: expected paths of leaves, got {path!r}; there are {listed(tuple(named))}"
            )
        leaf, ndim = named[path], named[path].ndim - 1
        if not -ndim <= axis < ndim:
            raise ValueError(
                f"axes[{path!r}]: expected an axis of a parameter of shape {leaf.shape[1:]}, "
                f"got {axis}"
            )
        part = jnp.moveaxis(leaf, 1 + axis % ndim, 1)
        units = part.shape[1] if units is None else units
        if part.shape[1] != units:
            raise ValueError(
                f"axes[{path!r}]: expected {units} units, as in {next(iter(axes))!r}, got "
                f"{part.shape[1]} on axis {axis} of shape {leaf.shape[1:]}"
            )
        parts.append(part.reshape(tasks, units, -1))
    found = _compare(parts, accumulator_dtype(task_grads))
    layers = tuple(map(str, range(units or 0)))
    return _map(*found, layers=layers, reads=readers, names=names)


def _compare(parts: Sequence[Array], dtype: Any) -> tuple[Array, Array, Array]:
    """Norms (units, tasks), products of unit vectors and shares (units, tasks, tasks)."""
    parts = [part.swapaxes(0, 1) for part in parts]  # (units, tasks, entries)
    largest = jnp.stack([jnp.abs(part).max(-1, initial=0) for part in parts]).max(0).astype(dtype)
    scale = jnp.where(largest > 0, largest, 1)[..., None]
    sums = [_sums(part, scale) for part in parts]
    products, signs, both = (sum(of_parts) for of_parts in zip(*sums, strict=True))
    lengths = jnp.sqrt(jnp.diagonal(products, axis1=-2, axis2=-1))
    norms = lengths * scale[..., 0]
    inverse = jnp.where(lengths > 0, 1 / jnp.where(lengths > 0, lengths, 1), jnp.nan)
    cosines = jnp.clip(products * inverse[..., :, None] * inverse[..., None, :], -1, 1)
    cosines = jnp.where(both > 0, cosines, jnp.nan)
    itself = jnp.broadcast_to(jnp.eye(cosines.shape[-1], dtype=bool), cosines.shape)
    cosines = jnp.where(itself & jnp.isfinite(cosines), 1, cosines)
    opposite = jnp.where(both > 0, (both - signs) / (2 * jnp.where(both > 0, both, 1)), jnp.nan)
    return norms, cosines, opposite


def _sums(
    part: Float[Array, "units tasks entries"], scale: Float[Array, "units tasks 1"]
) -> tuple[Array, Array, Array]:
    """Products of scaled rows, of their signs, and numbers of entries at which neither is 0.

    Of many entries some at a time: XLA would hold copies of all leaves at once.
    """

    def of(some: Array) -> tuple[Array, Array, Array]:
        rows = some.astype(scale.dtype)
        sign = jnp.sign(rows)
        return _products(rows / scale), _products(sign), _products(jnp.abs(sign))

    def add(number: Any, total: tuple[Array, ...]) -> tuple[Array, ...]:
        more = of(jax.lax.dynamic_slice_in_dim(part, number * CHUNK, CHUNK, axis=-1))
        return tuple(a + b for a, b in zip(total, more, strict=True))

    chunks = part.shape[-1] // CHUNK
    if chunks < 2:
        return of(part)
    start = of(part[..., chunks * CHUNK :])  # sums of none are 0
    return jax.lax.fori_loop(0, chunks, add, start)


def _products(rows: Float[Array, "units tasks entries"]) -> Float[Array, "units tasks tasks"]:
    return jnp.einsum("uti,usi->uts", rows, rows, precision=jax.lax.Precision.HIGHEST)


def _map(
    norms: Array,
    cosines: Array,
    opposite: Array,
    *,
    layers: tuple[str, ...],
    reads: Array | None,
    names: Sequence[str] | None,
) -> ConflictMap:
    tasks = norms.shape[-1]
    if names is not None and len(names) != tasks:
        raise ValueError(f"names: expected one for each of {tasks} tasks, got {list(names)}")
    if reads is not None:
        reads = jnp.asarray(reads, bool)
        reads = reads[None] if reads.ndim == 1 else reads.T  # (units, tasks)
        if reads.shape not in ((1, tasks), (len(layers), tasks)):
            raise ValueError(
                f"expected a mask of {tasks} tasks, or of tasks and {len(layers)} units, got shape "
                f"{reads.shape[::-1]}"
            )
        reads = jnp.broadcast_to(reads, norms.shape)
        norms = jnp.where(reads, norms, jnp.nan)
        both = reads[:, :, None] & reads[:, None]
        cosines, opposite = (jnp.where(both, values, jnp.nan) for values in (cosines, opposite))
    return ConflictMap(
        norms=norms,
        cosines=cosines,
        opposite=opposite,
        layers=layers,
        names=None if names is None else tuple(map(str, names)),
    )


def _layer_names(
    tree: PyTree, groups: Mapping[Any, tuple[int, ...]], prefix: Any
) -> tuple[str, ...]:
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    firsts = [paths[group[0]][:prefix] for group in groups.values()]
    names = (jax.tree_util.keystr(path, simple=True, separator="/") for path in firsts)
    return tuple(name or "all" for name in names)


def of_pairs(values: Array) -> Array:
    """Each pair of tasks once: (..., tasks, tasks) as (..., pairs)."""
    return values[..., *pairs_of(values.shape[-1])]


def pairs_of(tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second task of each pair."""
    return np.triu_indices(tasks, 1)
