"""Phases of a run: how long, when it may split, and how fast it learns."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

NEVER = np.iinfo(np.int32).max


@dataclasses.dataclass(frozen=True)
class Phase:
    """One stretch of training, ended by a duplication or by its last epoch.

    Attributes:
        epochs: passes over the training rows at most.
        warmup: first epoch, counted from 1, in which a node may be duplicated; streaks are counted
            before it too.
        threshold: samples in a row that a conflict must last; None for a phase that never splits.
        learning_rate: of the optimizer in this phase.

    Example:
        >>> Phase(epochs=200, warmup=80, threshold=10)
        Phase(epochs=200, warmup=80, threshold=10, learning_rate=0.005)
        >>> Phase(epochs=0)
        Traceback (most recent call last):
            ...
        ValueError: Phase: expected at least 1 epoch, got epochs=0
    """

    epochs: int
    warmup: int = 0
    threshold: int | None = None
    learning_rate: float = 5e-3

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.epochs < 1:
            raise ValueError(f"Phase: expected at least 1 epoch, got epochs={self.epochs}")
        if self.warmup < 0:
            raise ValueError(f"Phase: expected a warm-up of 0 epochs or more, got {self.warmup}")
        if self.threshold is not None and self.threshold < 1:
            raise ValueError(f"Phase: expected a threshold of at least 1, got {self.threshold}")
        if not np.isfinite(self.learning_rate) or self.learning_rate <= 0:
            raise ValueError(
                f"Phase: expected a finite learning rate above 0, got {self.learning_rate}"
            )


STUDY_PHASES = (
    Phase(epochs=200, warmup=80, threshold=10),
    Phase(epochs=50, warmup=50, threshold=8),
    Phase(epochs=100, warmup=51, threshold=8),
    Phase(epochs=300, learning_rate=1e-3),
)
"""The schedule of Wang et al. (2023), Mathematics 11(22), 4639: three duplications at most."""


class PhaseTable(NamedTuple):
    """The phases as arrays: every entry is a leaf, so that a sweep can vmap over it.

    Attributes:
        epochs: see ``Phase``.
        warmup: see ``Phase``.
        threshold: see ``Phase``; the largest int32 for a phase that never splits.
        learning_rate: see ``Phase``.
        stop: number of updates after which the phase stops in any case; the largest int32 for none.
    """

    epochs: Int[Array, " phases"]
    warmup: Int[Array, " phases"]
    threshold: Int[Array, " phases"]
    learning_rate: Float[Array, " phases"]
    stop: Int[Array, " phases"]


def phase_table(phases: Sequence[Phase]) -> PhaseTable:
    """Stacks phases into arrays.

    Args:
        phases: at least one.

    Returns:
        The table; a phase that never splits has the largest int32 as its threshold, and none is
        told to stop.

    Raises:
        ValueError: no phases.

    Example:
        >>> phase_table(STUDY_PHASES).warmup.tolist()
        [80, 50, 51, 0]
    """
    if not phases:
        raise ValueError("phases: expected at least one Phase, got none")
    return PhaseTable(
        epochs=jnp.array([p.epochs for p in phases], jnp.int32),
        warmup=jnp.array([p.warmup for p in phases], jnp.int32),
        threshold=jnp.array(
            [NEVER if p.threshold is None else p.threshold for p in phases], jnp.int32
        ),
        learning_rate=jnp.array([p.learning_rate for p in phases], float),
        stop=jnp.full(len(phases), NEVER, jnp.int32),
    )
