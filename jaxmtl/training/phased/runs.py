"""What a sweep leaves behind: many runs as one pytree with a leading axis of members."""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._pytree import register_dataclass
from jaxmtl.duplication import HeadIndex
from jaxmtl.training.phased.best import Best
from jaxmtl.training.phased.choice import own_state
from jaxmtl.training.phased.run import Divergence, Events, Run, collect_history
from jaxmtl.training.phased.state import EpochRecord, EventLog


class Divergences(NamedTuple):
    """Where members diverged; -1 throughout for those that did not, see ``Divergence``.

    Attributes:
        phase: from 1.
        epoch: of the phase, from 1.
        sample: place of the failing update in the order of that epoch.
        task: whose loss or gradient was not finite; -1 where no single one is to blame.
    """

    phase: Int[np.ndarray, " members"]
    epoch: Int[np.ndarray, " members"]
    sample: Int[np.ndarray, " members"]
    task: Int[np.ndarray, " members"]


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of a sweep, in the order of the keys; ``runs[i]`` is one ``Run``.

    Attributes:
        params: leaves (members, ...).
        head_index: (members, tasks, nodes); None for networks without a bank.
        records: leaves (members, epochs, ...), one row an epoch that ran, from the first row on;
            ``records.ran`` marks them, the others mean nothing.
        events: leaves (members, phases), see ``EventLog``; None where nothing was counted.
        divergences: where members diverged.
        best: leaves (members, ...), see ``Best``; None where it was not kept.
        state: leaves (members, ...), see ``Run``; None for most networks.
        aggregator_state: leaves (members, ...), see ``Run``; None where gradients were summed. Of
            members with methods of their own those of all; ``runs[i]`` has its own.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl import HardSharing, Phase, Rows, Splits, sweep
        >>> x = jax.random.uniform(jax.random.key(1), (20, 4))
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> runs = sweep(HardSharing(), Splits(Rows(x, x[:, :2])), keys=keys, phases=[Phase(2)])
        >>> len(runs), runs.records.train.shape, runs[2].history.train.shape
        (3, (3, 2, 2), (2, 2))
    """

    params: PyTree
    head_index: HeadIndex | None
    records: EpochRecord
    events: EventLog | None
    divergences: Divergences
    best: Best | None = None
    state: PyTree = None
    aggregator_state: PyTree = None

    def __len__(self) -> int:
        """Number of members."""
        return len(self.divergences.phase)

    def __getitem__(self, member: int) -> Run:
        """One member as ``fit`` and ``fit_adaptive`` return it."""
        if not -len(self) <= member < len(self):
            raise IndexError(f"runs: expected a member below {len(self)}, got {member}")
        one = jax.tree.map(
            lambda leaf: leaf[member],
            (self.params, self.head_index, self.records, self.events, self.best, self.state),
        )
        params, head_index, records, events, best, state = one
        combining = own_state(jax.tree.map(lambda leaf: leaf[member], self.aggregator_state))
        place = Divergence(*(int(field[member]) for field in self.divergences))
        return Run(
            params=params,
            head_index=head_index,
            history=collect_history(records),
            events=Events(log=events),
            divergence=None if place.phase < 0 else place,
            best=best,
            state=state,
            aggregator_state=combining,
        )

    @property
    def diverged(self) -> Bool[np.ndarray, " members"]:
        """Which members diverged."""
        return self.divergences.phase > 0

    def last(self, errors: Float[Array, "members epochs tasks"]) -> Float[Array, "members tasks"]:
        """The errors of the last epoch that ran.

        Args:
            errors: such as ``records.test``.

        Returns:
            One row a member.
        """
        ends = np.asarray(self.records.ran).sum(axis=1) - 1
        return errors[np.arange(len(self)), ends]
