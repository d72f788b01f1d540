"""What learns, how fast and from when on: factories of optimizers, part by part.

Each of them takes the place of ``optax.adam``: ``fit(..., optimizer=freeze("trunk"))``, or
``freeze("trunk")(1e-3)`` in a loop of one's own. They are equal to their like and hashable, so that
a compiled loop knows them again. What they do not name learns at the full rate from the start.
"""

import dataclasses
import numbers
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxmtl._paths import Select, check_matched, leaf_path, matches, patterns_of
from jaxmtl._validate import check_positive

Factory = Callable[[Any], optax.GradientTransformation]


@dataclasses.dataclass(frozen=True)
class Part:
    """Some of the parameters and how they learn.

    Attributes:
        select: paths as of ``transfer_parameters``.
        rate: what the learning rate is multiplied by; 0 for a part that never moves.
        start: number of updates before the first that moves it. Until then its optimizer is not
            called, so that its moments and its count of steps begin when it does.

    Example:
        >>> Part("trunk", rate=0.1)
        Part(select=('trunk',), rate=0.1, start=0)
    """

    select: Select
    rate: float = 1.0
    start: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        object.__setattr__(self, "select", patterns_of(self.select))
        check_positive("rate", self.rate, zero=True)
        if not isinstance(self.start, numbers.Integral) or self.start < 0:
            raise ValueError(f"start: expected a whole number of updates >= 0, got {self.start!r}")


@dataclasses.dataclass(frozen=True)
class PartOptimizer:
    """A factory from a learning rate to an optimizer that treats the parts differently.

    Each part has an optimizer of its own, so whatever looks at a whole gradient (a clipped global
    norm, say) looks at one part at a time. A parameter belongs to the first part that selects it.

    Attributes:
        parts: what is named.
        optimizer: factory of every part's optimizer, and of the rest's.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> factory = PartOptimizer((Part("trunk", rate=0.0),), optax.sgd)
        >>> params = {"trunk": jnp.ones(2), "head": jnp.ones(2)}
        >>> tx = factory(0.5)
        >>> updates, _ = tx.update(params, tx.init(params))
        >>> optax.apply_updates(params, updates)["trunk"].tolist()
        [1.0, 1.0]
    """

    parts: tuple[Part, ...]
    optimizer: Factory = optax.adam

    def __post_init__(self) -> None:
        """Makes the parts a tuple, so that the factory is hashable."""
        object.__setattr__(self, "parts", tuple(self.parts))

    def __call__(self, learning_rate: Any) -> optax.GradientTransformation:
        """The optimizer.

        Args:
            learning_rate: of the parts with a rate of 1, traced or concrete, or a schedule.

        Returns:
            An optax transformation. Its ``init`` raises ValueError if a part selects nothing.
        """
        transforms: dict[Hashable, optax.GradientTransformation] = {
            i: self._transform(learning_rate, part) for i, part in enumerate(self.parts)
        }
        transforms[len(self.parts)] = self.optimizer(learning_rate)
        return optax.partition(transforms, self.labels)

    def labels(self, params: PyTree) -> PyTree:
        """The number of the part of each leaf; that of the rest is the number of parts.

        Raises:
            ValueError: a part that selects nothing.
        """
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = [leaf_path(path) for path, _ in leaves]
        for part in self.parts:
            check_matched(part.select, paths, "the network")

        def label(path: str) -> int:
            chosen = (
                i
                for i, part in enumerate(self.parts)
                if any(matches(path, pattern) for pattern in part.select)
            )
            return next(chosen, len(self.parts))

        return jax.tree.unflatten(structure, [label(path) for path in paths])

    def _transform(self, learning_rate: Any, part: Part) -> optax.GradientTransformation:
        if part.rate == 0:
            return optax.set_to_zero()
        inner = self.optimizer(_scaled(learning_rate, part.rate))
        if part.start == 0:
            return inner

        def begun(step: Any, **_: Any) -> Any:
            return step >= part.start

        return optax.conditionally_mask(inner, begun)


def freeze(*select: str, optimizer: Factory = optax.adam) -> PartOptimizer:
    """The named parameters stay as they are, to the bit; weight decay does not touch them either.

    Args:
        select: paths as of ``transfer_parameters``, static.
        optimizer: of the rest, static.

    Returns:
        A factory from a learning rate to an optimizer.

    Raises:
        ValueError: no path.

    Example:
        >>> freeze("trunk").parts
        (Part(select=('trunk',), rate=0.0, start=0),)
    """
    return PartOptimizer((Part(select, rate=0.0),), optimizer)


def linear_probe(*heads: str, optimizer: Factory = optax.adam) -> PartOptimizer:
    """Only the named heads learn: how much the features below say as they are.

    Args:
        heads: paths as of ``transfer_parameters``, static.
        optimizer: of the heads, static.

    Returns:
        A factory from a learning rate to an optimizer.

    Raises:
        ValueError: no path.

    Example:
        >>> [part.rate for part in linear_probe("output").parts]
        [1.0, 0.0]

    References:
        Alain, Bengio (2016), Understanding Intermediate Layers Using Linear Classifier Probes,
        arXiv:1610.01644.
    """
    return PartOptimizer((Part(heads), Part("*", rate=0.0)), optimizer)


def fine_tune(*select: str, scale: float = 0.1, optimizer: Factory = optax.adam) -> PartOptimizer:
    """The named parameters learn at a smaller rate than the rest.

    Args:
        select: paths as of ``transfer_parameters``, static.
        scale: of their learning rate, above 0. Static.
        optimizer: static.

    Returns:
        A factory from a learning rate to an optimizer.

    Raises:
        ValueError: no path, or a scale that is not above 0.

    Example:
        >>> fine_tune("trunk", scale=0.1).parts
        (Part(select=('trunk',), rate=0.1, start=0),)
    """
    check_positive("scale", scale)
    return PartOptimizer((Part(select, rate=scale),), optimizer)


def discriminative(
    *layers: Select, decay: float = 1 / 2.6, optimizer: Factory = optax.adam
) -> PartOptimizer:
    """Rates that fall from layer to layer towards the inputs, where features are most general.

    The rest learns at the full rate, the last layer named at ``decay`` times it, the one before at
    ``decay**2``, and so on.

    Args:
        layers: paths as of ``transfer_parameters``, or several for one layer, in the order from the
            inputs to the outputs; static.
        decay: from each layer to the one below, above 0. Static.
        optimizer: static.

    Returns:
        A factory from a learning rate to an optimizer.

    Raises:
        ValueError: no layer, or a decay that is not above 0.

    Example:
        >>> [part.rate for part in discriminative("conv_0", "conv_1", decay=0.5).parts]
        [0.25, 0.5]

    References:
        Howard, Ruder (2018), Universal Language Model Fine-tuning for Text Classification, ACL,
        section 3.2.
    """
    check_positive("decay", decay)
    return PartOptimizer(_staircase(layers, decay, 0), optimizer)


def gradual_unfreezing(
    *layers: Select, every: int, decay: float = 1.0, optimizer: Factory = optax.adam
) -> PartOptimizer:
    """Layers that begin to learn one after the other, the last named first.

    The rest learns from the first update, the last layer named after ``every`` updates, the one
    before after ``2 * every``, and so on: a new head settles before it can spoil what is below.

    Args:
        layers: as of ``discriminative``, static.
        every: updates (not epochs) between one layer's start and the next's, at least 1. Static.
        decay: as of ``discriminative``; 1 for equal rates. Static.
        optimizer: static.

    Returns:
        A factory from a learning rate to an optimizer.

    Raises:
        ValueError: no layer, or numbers out of range.

    Example:
        >>> [part.start for part in gradual_unfreezing("conv_0", "conv_1", every=50).parts]
        [100, 50]

    References:
        Howard, Ruder (2018), Universal Language Model Fine-tuning for Text Classification, ACL,
        section 3.3.
    """
    check_positive("every", every)
    check_positive("decay", decay)
    return PartOptimizer(_staircase(layers, decay, every), optimizer)


def _staircase(layers: tuple[Select, ...], decay: float, every: int) -> tuple[Part, ...]:
    if not layers:
        raise ValueError(
            "layers: expected at least one, in the order from inputs to outputs, got none"
        )
    steps = range(len(layers), 0, -1)
    return tuple(
        Part(layer, rate=decay**step, start=every * step)
        for layer, step in zip(layers, steps, strict=True)
    )


def _scaled(learning_rate: Any, rate: float) -> Any:
    if rate == 1:
        return learning_rate
    if callable(learning_rate):
        return lambda step: jnp.asarray(learning_rate(step)) * rate
    return learning_rate * rate
