"""Any network with hard or soft constraints on the outputs of its tasks."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PyTree

from jaxmtl._validate import check_choice
from jaxmtl.constraints import ConvexSet, SoftBound, project_rows
from jaxmtl.constraints.hard import GRADIENTS, Gradient


class Constrained(nn.Module):
    """A network whose outputs are projected onto sets, or pay for leaving their bounds.

    The parameters are those of the network inside, under the same names, so that they can be handed
    from one to the other. It trains through ``jaxmtl.fit`` as any network does: a soft bound adds
    strength * mean(relu(lower - y)^2 + relu(y - upper)^2) over the batch to the summed task losses.
    A task may have both: the soft bound then looks at the outputs before they are projected, and
    gives the gradient that the projection withholds.

    Attributes:
        model: the network, with a field ``outputs``: the output width of each task.
        hard: a set for each task or None, onto which every row of its outputs is projected; empty
            for none.
        soft: a bound for each task or None; empty for none.
        gradient: of the projections, ``"true"`` or ``"straight_through"``; see ``project``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl.constraints import Box, SoftBound
        >>> from jaxmtl.models import HardSharing
        >>> plain = HardSharing(output_activation=None)
        >>> hard = Constrained(plain, hard=(None, Box(lower=0.85)))
        >>> variables = hard.init(jax.random.key(0), jnp.zeros((1, 4)))
        >>> y = hard.apply(variables, jnp.ones((5, 4)))
        >>> y.shape, bool((y[:, 1] >= 0.85).all())
        ((5, 2), True)
        >>> soft = Constrained(plain, soft=(None, SoftBound(lower=0.85, strength=10.0)))
        >>> _, sown = soft.apply(variables, jnp.ones((5, 4)), mutable=["penalties"])
        >>> list(sown["penalties"])
        ['soft_bound_1']

    References:
        Marquez-Neila, Salzmann, Fua (2017), Imposing Hard Constraints on Deep Networks: Promises
        and Limitations, compares hard and soft constraints.
    """

    model: nn.Module
    hard: Sequence[ConvexSet | None] = ()
    soft: Sequence[SoftBound | None] = ()
    gradient: Gradient = "true"

    def __post_init__(self) -> None:
        """Makes the sequences tuples, one entry a task."""
        check_choice("gradient", self.gradient, GRADIENTS)
        if not hasattr(self.model, "outputs"):
            raise ValueError(
                "model: expected a network with a field outputs (the output width of each task), "
                f"got {type(self.model).__name__}"
            )
        for name in ("hard", "soft"):
            entries = tuple(getattr(self, name)) or (None,) * len(self.outputs)
            if len(entries) != len(self.outputs):
                raise ValueError(
                    f"{name}: expected one entry a task, {len(self.outputs)}, got {len(entries)}"
                )
            object.__setattr__(self, name, entries)
        super().__post_init__()

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output width of each task."""
        return tuple(getattr(self.model, "outputs"))  # noqa: B009

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.outputs)

    @property
    def has_penalties(self) -> bool:
        """Whether a penalty is sown, here or by the network inside."""
        inner = bool(getattr(self.model, "has_penalties", False))
        return inner or any(bound is not None for bound in self.soft)

    def shared_parameters(self, params: PyTree, head_index: Any = None) -> PyTree:
        """Those of the network inside; all of one that does not say."""
        declared = getattr(self.model, "shared_parameters", None)
        if declared is None:
            return jax.tree.map(lambda leaf: jnp.ones(jnp.shape(leaf), bool), params)
        return declared(params, head_index)

    def setup(self) -> None:
        """Gives the parameters the names that they have in the network inside."""
        nn.share_scope(self, self.model)

    def __call__(self, x: Float[Array, "batch ..."], *args: Any) -> Float[Array, "batch outputs"]:
        """Constrained predictions of all tasks side by side; further arguments are handed on."""
        y = self.model(x, *args)
        if y.shape[-1] != sum(self.outputs):
            raise ValueError(
                f"model: expected {sum(self.outputs)} outputs, as its field outputs says, "
                f"got {y.shape[-1]}"
            )
        parts, start = [], 0
        for task, (width, onto, bound) in enumerate(
            zip(self.outputs, self.hard, self.soft, strict=True)
        ):
            part = y[:, start : start + width]
            start += width
            # Sown at initialisation, it would end up among the variables.
            if bound is not None and not self.is_initializing():
                self.sow("penalties", f"soft_bound_{task}", bound.penalty(part))
            parts.append(part if onto is None else project_rows(part, onto, gradient=self.gradient))
        return jnp.concatenate(parts, axis=-1)
