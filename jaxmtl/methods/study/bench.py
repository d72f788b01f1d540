"""What all arms of a comparison share: rows, keys, the first network, and the schedule."""

import copy
import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key, PyTree

from jaxmtl.conflict import Rule, Zeros
from jaxmtl.data import Data, Folds, Splits
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.files.names import folder_name
from jaxmtl.methods.method import Fitted, Model, Trace, Work
from jaxmtl.methods.network_model import NetworkModel
from jaxmtl.methods.study.in_use import in_use
from jaxmtl.methods.views_model import ViewsModel
from jaxmtl.training import STUDY_PHASES, Phase, Runs, sweep
from jaxmtl.training.kinds.views import ViewNetwork
from jaxmtl.training.phased.combining import Combining
from jaxmtl.training.phased.phases import NEVER, PhaseTable, phase_table
from jaxmtl.training.phased.state import Optimizer

if TYPE_CHECKING:
    from jaxmtl.models import HardSharing


# Values that outputs can take, and by how much rounding may miss them.
REACH = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf)}
SLACK = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyProtocol:
    """What is common to all arms.

    Attributes:
        shared: sizes of the shared layers below the bank.
        nodes: of the bank at the start.
        towers: sizes of every task's own hidden layers.
        activation: of hidden layers.
        output_activation: of outputs; ``"sigmoid"`` reaches targets scaled to 0..1 only, None all.
        phases: the schedule of the adaptive arm, which all arms but plain hard sharing follow.
        optimizer: factory from a learning rate to an optax optimizer.
        batch_size: samples of one update.
        shuffle: a new order every epoch.
        rule: see ``fit_adaptive``.
        zeros: see ``fit_adaptive``.
        transplant: see ``fit_adaptive``.

    Example:
        >>> StudyProtocol(nodes=4).nodes
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


class Bench:
    """Runs the networks of a comparison; all arms get the same rows, keys and number of steps.

    Example:
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.tasks import number_tasks
        >>> data = Data(x=np.zeros((20, 4), np.float32), y=np.zeros((20, 2), np.float32),
        ...             known=np.ones((20, 2), bool), tasks=number_tasks(["a", "b"]))
        >>> fold = SplitIndices(np.arange(10), np.array([], int), np.arange(10, 20))
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> bench = Bench(StudyProtocol(batch_size=4), data, Folds(parts=(fold, fold)), keys)
        >>> bench.num_tasks, bench.updates_an_epoch
        (2, 3)
    """

    def __init__(
        self,
        protocol: StudyProtocol,
        data: Data,
        folds: Folds,
        keys: Key[Array, " folds"],
        work: Work = Work(),  # noqa: B008 (frozen)
    ) -> None:
        """Lays out rows and keys.

        Args:
            protocol: common to all arms.
            data: all rows; tasks are numbers.
            folds: with as many rows of each part in every fold.
            keys: one a fold.
            work: how it is to be done; every arm has a checkpoint of its own.

        Raises:
            ValueError: folds of other numbers of rows, or a task that is no number.
        """
        classes = [task.name for task in data.tasks if task.kind != "number"]
        if classes:
            raise ValueError(
                f"tasks: expected numbers, got classes for {', '.join(map(repr, classes))}; the "
                "study's networks predict numbers only"
            )
        self.protocol = protocol
        self.data = data
        self.folds = folds
        self.keys = keys
        self.work = work
        self.method: Combining | None = None
        self.given: str | None = None
        self.restart = 0
        self.splits = _stacked(data, folds)

    def is_of(self, data: Data, folds: Folds, keys: Key[Array, " folds"]) -> bool:
        """Whether it was laid out for these very values."""
        return self.data is data and self.folds is folds and self.keys is keys

    def lay_down(self) -> None:
        """Trains the adaptive runs, whose schedule all other arms follow."""
        _ = self.updates

    def combined_by(self, method: Combining) -> "Bench":
        """The same bench, on the same schedule, but every network trains with an aggregator.

        Args:
            method: a name of ``jaxmtl.aggregation``; or an aggregator or loss method, whose runs
                then need a name, see ``called``.

        Returns:
            A bench whose runs are named ``arm+method``.
        """
        self.lay_down()  # by the adaptive run without an aggregator
        bench = copy.copy(self)
        bench.method = method
        return bench

    def called(self, name: str) -> "Bench":
        """The same bench, on the same schedule, but all runs have the name that a user gave.

        Args:
            name: for the progress and the checkpoints.

        Returns:
            A bench.
        """
        self.lay_down()
        bench = copy.copy(self)
        bench.given = name
        return bench

    def restarted(self, number: int) -> "Bench":
        """The same bench, on the same schedule, but networks begin with other initial values.

        Args:
            number: of the restart; 0 for none.

        Returns:
            A bench with keys of its own.
        """
        self.lay_down()
        bench = copy.copy(self)
        if number:
            keys = jax.random.clone(self.keys)
            bench.keys = jax.vmap(lambda key: jax.random.fold_in(key, 1000 + number))(keys)
            bench.restart = number
            bench.__dict__.pop("start", None)
        return bench

    def of_first(self, number: int) -> "Bench":
        """The bench of some folds only, the first ones, on the schedule laid down for them."""
        self.lay_down()
        bench = copy.copy(self)
        bench.folds = dataclasses.replace(self.folds, parts=self.folds.parts[:number])
        bench.keys = jax.random.clone(self.keys)[:number]
        laid = (self.splits, self.adaptive, self.updates)
        bench.splits, bench.adaptive, bench.updates = jax.tree.map(lambda leaf: leaf[:number], laid)
        bench.__dict__.pop("start", None)
        return bench

    @property
    def num_tasks(self) -> int:
        """Number of targets."""
        return len(self.data.tasks)

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
        model, x = self.network(), jnp.asarray(self.splits.train.x[:, :1])
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
        return -(-self.splits.train.x.shape[1] // self.protocol.batch_size)

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
        p, data, keys = self.protocol, self.splits, jax.random.clone(self.keys)
        name = arm if self.method is None else f"{arm}+{self.method}"
        if self.given is not None:
            name = "/".join([self.given, *arm.split("/")[1:]])
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
            keep_best=data.validation is not None,
            aggregator=options.pop("aggregator", self.method),
            **(self._options(name) | options),
        )

    def fitted(self, network: Any, runs: Runs, *, nodes: int | None = None) -> Fitted:
        """The models of the epochs that were chosen by the validation rows, and what they came to.

        Args:
            network: that was trained.
            runs: of all folds, or of some.
            nodes: of the bank at the start; None: as the protocol has it.

        Returns:
            One model a run; without validation rows that of the last epoch.
        """
        records, best = runs.records, runs.best
        ran = np.asarray(records.ran)
        if best is None:
            chosen, epoch = (runs.params, runs.head_index, runs.state), ran.sum(axis=1)
        else:
            chosen, epoch = (best.params, best.head_index, best.state), np.asarray(best.epoch)
        scores = np.full((len(runs), self.num_tasks), np.nan)
        if records.test is not None:
            scores = np.asarray(records.test, float)[np.arange(len(runs)), epoch - 1]
        nodes = self.protocol.nodes if nodes is None else nodes
        kept, last = jax.tree.map(np.asarray, (chosen, (runs.params, runs.head_index)))
        splits, parameters = np.zeros(len(runs), int), np.zeros(len(runs), int)
        models, traces = [], []
        for i in range(len(runs)):
            one: Any = jax.tree.map(lambda leaf, i=i: leaf[i], (kept, last))
            (params, index, state), (at_end, read) = one
            models.append(_model_of(network, params, index, state))
            parameters[i], splits[i] = in_use(at_end, read, nodes)
            run = runs[i]
            traces.append(Trace(history=run.history, events=run.events, divergence=run.divergence))
        steps = -(-np.asarray(records.samples) // self.protocol.batch_size) * ran
        return Fitted(
            models=tuple(models),
            scores=np.where(runs.diverged[:, None], np.nan, scores),
            chosen=tuple({"epoch": int(number)} for number in epoch),
            parameters=parameters,
            splits=splits,
            steps=steps.sum(axis=1),
            diverged=np.asarray(runs.diverged),
            traces=tuple(traces),
            notes=self._out_of_reach(),
        )

    def _out_of_reach(self) -> tuple[str, ...]:
        """A note where outputs cannot reach the targets of the training rows."""
        low, high = REACH.get(str(self.protocol.output_activation), (-np.inf, np.inf))
        y, known = np.asarray(self.splits.train.y), self.splits.train.known
        beyond = (y < low - SLACK) | (y > high + SLACK)
        beyond = beyond if known is None else beyond & np.asarray(known)
        if not beyond.any():
            return ()
        return (
            f"targets of the training rows lie outside {low:g} to {high:g}, which outputs of "
            f"{self.protocol.output_activation!r} cannot reach; scale them, or set "
            "output_activation to None in the protocol",
        )

    def _options(self, name: str) -> dict[str, Any]:
        work = self.work
        report = work.on_progress and functools.partial(work.on_progress, name)
        if self.given is not None:
            name = folder_name(self.given) + name.removeprefix(self.given)
        return {
            "devices": work.devices,
            "chunk": work.chunk,
            "checkpoint": None if work.checkpoint is None else f"{work.checkpoint}/{name}",
            "resume": work.resume,
            "on_progress": report,
        }


def _model_of(network: Any, params: PyTree, index: Any, state: PyTree) -> Model:
    if isinstance(network, ViewNetwork):
        return ViewsModel(network=network, params=params, pointers=index)
    return NetworkModel(network=network, params=params, head_index=index, state=state)


def _stacked(data: Data, folds: Folds) -> Splits:
    """The rows of all folds, leaves (folds, rows, ...)."""
    for number, fold in enumerate(folds):
        for name, part, first in zip(fold._fields, fold, folds.parts[0], strict=True):
            if len(part) != len(first):
                raise ValueError(
                    f"folds: expected the same number of {name} rows in every fold, got "
                    f"{len(part)} in fold {number} and {len(first)} in fold 0"
                )
    return jax.tree.map(lambda *leaves: np.stack(leaves), *map(data.splits, folds))


def _broadcast(table: PhaseTable, seeds: int) -> PhaseTable:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (seeds, *leaf.shape)), table)
