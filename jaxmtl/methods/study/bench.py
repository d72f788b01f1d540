"""What all arms of a comparison share: rows, keys, the first network, and the schedule."""

import copy
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl.conflict import Rule, Zeros
from jaxmtl.data import Splits
from jaxmtl.duplication import count_parameters
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.training import STUDY_PHASES, Phase, Runs, sweep
from jaxmtl.training.phased.phases import NEVER, PhaseTable, phase_table
from jaxmtl.training.phased.state import Optimizer

if TYPE_CHECKING:
    from jaxmtl.models import HardSharing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is common to all arms.

    Attributes:
        shared: sizes of the shared layers below the bank.
        nodes: of the bank at the start.
        towers: sizes of every task's own hidden layers.
        activation: of hidden layers.
        output_activation: of outputs.
        phases: the schedule of the adaptive arm, which all arms but plain hard sharing follow.
        optimizer: factory from a learning rate to an optax optimizer.
        batch_size: samples of one update.
        shuffle: a new order every epoch.
        rule: see ``fit_adaptive``.
        zeros: see ``fit_adaptive``.
        transplant: see ``fit_adaptive``.

    Example:
        >>> Protocol(nodes=4).nodes
        4
    """

    shared: Sequence[int] = (4,)
    nodes: int = 3
    towers: Sequence[int] = ()
    activation: str = "sigmoid"
    output_activation: str | None = "sigmoid"
    phases: Sequence[Phase] = STUDY_PHASES
    optimizer: Optimizer = optax.adam
    batch_size: int = 1
    shuffle: bool = False
    rule: Rule = "nonnegative"
    zeros: Zeros = "reset"
    transplant: Transplant = "fresh"


class Outcome(NamedTuple):
    """What an arm came to, one entry a seed.

    Attributes:
        errors: scaled mean squared test error of every task, at the selected epoch; NaN where the
            run diverged.
        epoch: the selected one, counted from 1 over all phases.
        parameters: in use at the end.
        splits: nodes that were duplicated.
        steps: gradient steps.
        diverged: whether the run did.

    Example:
        >>> one = np.ones(1, int)
        >>> Outcome(np.array([[0.1, 0.3]]), one, one, one, one, one == 0).errors.mean().item()
        0.2
    """

    errors: Float[np.ndarray, "seeds tasks"]
    epoch: Int[np.ndarray, " seeds"]
    parameters: Int[np.ndarray, " seeds"]
    splits: Int[np.ndarray, " seeds"]
    steps: Int[np.ndarray, " seeds"]
    diverged: Bool[np.ndarray, " seeds"]


class Bench:
    """Runs the networks of a comparison; all arms get the same rows, keys and number of steps.

    Example:
        >>> from jaxmtl.data import Rows
        >>> rows = Rows(np.zeros((2, 10, 4), np.float32), np.zeros((2, 10, 2), np.float32))
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> bench = Bench(Protocol(batch_size=4), Splits(train=rows, test=rows), keys)
        >>> bench.num_tasks, bench.updates_an_epoch
        (2, 3)
    """

    def __init__(
        self,
        protocol: Protocol,
        data: Splits,
        keys: Key[Array, " seeds"],
        options: Callable[[str], dict[str, Any]] = lambda arm: {},
    ) -> None:
        """Lays out rows and keys.

        Args:
            protocol: common to all arms.
            data: leaves (seeds, rows, ...).
            keys: one a seed.
            options: from the name of an arm to more options of ``sweep``.
        """
        self.protocol = protocol
        self.data = data
        self.keys = keys
        self._options = options
        self.method: str | None = None

    def combined_by(self, method: str) -> "Bench":
        """The same bench, on the same schedule, but every network trains with an aggregator.

        Args:
            method: a name of ``jaxmtl.aggregation``.

        Returns:
            A bench whose runs are named ``arm+method``.
        """
        _ = self.updates  # those of the adaptive run without an aggregator
        bench = copy.copy(self)
        bench.method = method
        return bench

    @property
    def num_tasks(self) -> int:
        """Number of targets."""
        return self.data.train.y.shape[-1]

    def network(self, nodes: int | None = None, **fields: Any) -> "HardSharing":
        """Hard sharing as the protocol has it, perhaps with another number of nodes."""
        from jaxmtl.models import HardSharing

        p = self.protocol
        return HardSharing(
            shared=p.shared,
            nodes=p.nodes if nodes is None else nodes,
            towers=p.towers,
            outputs=(1,) * self.num_tasks,
            activation=p.activation,
            output_activation=p.output_activation,
            **fields,
        )

    @functools.cached_property
    def start(self) -> PyTree:
        """Initial values of hard sharing for every seed, as a sweep draws them from the keys."""
        model, x = self.network(), jnp.asarray(self.data.train.x[:, :1])
        init_keys = jax.vmap(jax.random.split)(jax.random.clone(self.keys))[:, 0]
        return jax.jit(jax.vmap(lambda key, x: model.init(key, x)["params"]))(init_keys, x)

    @functools.cached_property
    def adaptive(self) -> Runs:
        """The adaptive runs, which lay down the schedule of all others."""
        return self.run_adaptive()

    def run_adaptive(self) -> Runs:
        """Adaptive runs; those of a bench with an aggregator split at times of their own."""
        table = _broadcast(phase_table(tuple(self.protocol.phases)), len(self.keys))
        return self.run("adaptive", self.network(), table)

    @functools.cached_property
    def updates(self) -> Int[np.ndarray, "seeds phases"]:
        """Updates that the adaptive run made in each phase; of one that diverged, all planned."""
        records = self.adaptive.records
        steps = -(-np.asarray(records.samples) // self.protocol.batch_size) * records.ran
        phases = len(self.protocol.phases)
        made = np.stack(
            [(steps * (records.phase == p + 1)).sum(axis=1) for p in range(phases)], axis=1
        )
        planned = [phase.epochs * self.updates_an_epoch for phase in self.protocol.phases]
        return np.where(self.adaptive.diverged[:, None], planned, made)

    @property
    def updates_an_epoch(self) -> int:
        """Updates of one pass over the training rows."""
        return -(-self.data.train.x.shape[1] // self.protocol.batch_size)

    @property
    def same_schedule(self) -> PhaseTable:
        """The phases of the adaptive run of each seed, which stop where it did; none splits."""
        table = _broadcast(phase_table(tuple(self.protocol.phases)), len(self.keys))
        never = jnp.full_like(table.threshold, NEVER)
        return table._replace(threshold=never, stop=jnp.asarray(self.updates, jnp.int32))

    @property
    def constant_rate(self) -> PhaseTable:
        """One phase with the rate of the first one and as many updates as the adaptive run."""
        total = jnp.asarray(self.updates.sum(axis=1, keepdims=True), jnp.int32)
        first = phase_table(tuple(self.protocol.phases))
        rate = jnp.broadcast_to(first.learning_rate[:1], total.shape)
        epochs = -(-total // self.updates_an_epoch)
        return PhaseTable(epochs, jnp.zeros_like(total), jnp.full_like(total, NEVER), rate, total)

    def run(
        self,
        arm: str,
        model: Any,
        table: PhaseTable,
        *,
        seeds: Int[np.ndarray, " some"] | None = None,
        **options: Any,
    ) -> Runs:
        """Sweeps over the seeds.

        Args:
            arm: its name, for the progress and the checkpoint.
            model: any network.
            table: leaves (seeds, phases).
            seeds: places of the seeds to run; None for all.
            options: of ``sweep``.

        Returns:
            The runs of those seeds.
        """
        # Arms start from the same keys on purpose.
        p, data, keys = self.protocol, self.data, jax.random.clone(self.keys)
        name = arm if self.method is None else f"{arm}+{self.method}"
        if seeds is not None:
            data, table, keys = jax.tree.map(lambda leaf: leaf[seeds], (data, table, keys))
        return sweep(
            model,
            data,
            keys=keys,
            phases=table,
            stacked=True,
            optimizer=p.optimizer,
            batch_size=p.batch_size,
            shuffle=p.shuffle,
            rule=p.rule,
            zeros=p.zeros,
            transplant=p.transplant,
            aggregator=self.method,
            **(self._options(name) | options),
        )

    def outcome(self, runs: Runs, *, nodes: int | None = None) -> Outcome:
        """Selects an epoch of every run by its validation rows, and reads off the test errors.

        Args:
            runs: of all seeds, or of some.
            nodes: of the bank at the start; None: as the protocol has it.

        Returns:
            The outcome; without validation rows that of the last epoch.
        """
        records = runs.records
        ran = np.asarray(records.ran)
        if records.validation is None:
            place = ran.sum(axis=1) - 1
        else:
            mean = np.nanmean(np.asarray(records.validation, float), axis=2)
            place = np.argmin(np.where(ran & np.isfinite(mean), mean, np.inf), axis=1)
        errors = np.asarray(records.test, float)[np.arange(len(runs)), place]
        errors = np.where(runs.diverged[:, None], np.nan, errors)
        nodes = self.protocol.nodes if nodes is None else nodes
        splits, parameters = np.zeros(len(runs), int), np.zeros(len(runs), int)
        for i in range(len(runs)):
            one = (runs.params, runs.head_index)
            params, index = jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i]), one)
            parameters[i] = count_parameters(params, index)
            if index is not None:
                splits[i] = len(np.unique(index)) - nodes
        steps = -(-np.asarray(records.samples) // self.protocol.batch_size) * ran
        return Outcome(
            errors, place + 1, parameters, splits, steps.sum(axis=1), np.asarray(runs.diverged)
        )


def _broadcast(table: PhaseTable, seeds: int) -> PhaseTable:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (seeds, *leaf.shape)), table)
