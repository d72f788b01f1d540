"""Networks for tables: one a fold, all trained in one program, at an epoch that others chose."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmtl.data.folds import Data, Folds
from jaxmtl.losses import loss_of
from jaxmtl.methods.linear import LinearModel
from jaxmtl.methods.links import Link, links_from_json, links_to_json, outputs_of
from jaxmtl.methods.method import Fitted, Model, Work, checked_keys
from jaxmtl.methods.mixture import mixed
from jaxmtl.methods.network_model import NetworkModel, network_model_of
from jaxmtl.methods.of_each_task import mean_losses, measured, some_rows
from jaxmtl.methods.saved import check_arrays, check_fields, with_prefix
from jaxmtl.methods.straight_line import StraightLine
from jaxmtl.statistics.selection import choose_from_others
from jaxmtl.tasks import Task, output_widths
from jaxmtl.training.as_network import as_network
from jaxmtl.training.tabular import Scaling, TableRows, train_table
from jaxmtl.training.tabular.schedule import epochs_for

if TYPE_CHECKING:
    from jaxmtl.models.sharing import Sharing
    from jaxmtl.models.table_net import TableNet

RATE = 0.05
FURTHEST = 1e300  # where no range is known: files hold finite numbers only


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TableNetworkModel:
    """A network, and what its outputs mean in the units of the targets.

    Attributes:
        network: on coded features.
        links: how its outputs become predictions, a task each.
        offset: added to outputs times ``scale``.
        scale: of the targets.
        low: least number that is predicted.
        high: greatest number that is.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.models import TableNet
        >>> network = TableNet(outputs=(1,), hidden=(4,))
        >>> params = network.init(jax.random.key(0), jnp.ones((5, 2)))["params"]
        >>> model = TableNetworkModel(
        ...     network=NetworkModel(network=network, params=params), links=(Link("same", 1),),
        ...     offset=np.array([3.0]), scale=np.array([2.0]), low=np.array([0.0]),
        ...     high=np.array([9.0]))
        >>> model.predict(np.ones((1, 2), np.float32)).tolist()
        [[3.0]]
    """

    kind: ClassVar[str] = "table network"

    network: NetworkModel
    links: tuple[Link, ...]
    offset: Float[np.ndarray, " outputs"]
    scale: Float[np.ndarray, " outputs"]
    low: Float[np.ndarray, " outputs"]
    high: Float[np.ndarray, " outputs"]

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Numbers in the units of the targets, and probabilities of classes."""
        sums = self.network.predict(np.asarray(x, np.float32)).astype(float)
        found = outputs_of(self.links, sums * self.scale + self.offset, np.zeros(len(self.scale)))
        return np.clip(found, self.low, self.high)

    def spec(self) -> dict[str, Any]:
        """The network's, and the links."""
        return {"network": self.network.spec(), "links": links_to_json(self.links)}

    def arrays(self) -> dict[str, np.ndarray]:
        """The network's, and those of the units."""
        own = {name: getattr(self, name) for name in ("offset", "scale", "low", "high")}
        return own | {f"network/{name}": leaf for name, leaf in self.network.arrays().items()}


def table_network_of(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> TableNetworkModel:
    """Reads what ``spec`` and ``arrays`` gave; a ``Reader``."""
    what = "model of kind table network"
    check_fields(what, spec, {"network", "links"})
    inner = with_prefix(arrays, "network/")
    own = {name: a for name, a in arrays.items() if not name.startswith("network/")}
    names = ("offset", "scale", "low", "high")
    check_arrays(own, {name: ((outputs,), np.dtype(float)) for name in names})
    network = network_model_of(spec["network"], inner, features=features, outputs=outputs)
    links = links_from_json(what, spec["links"], outputs)
    return TableNetworkModel(network=network, links=links, **own)


@dataclasses.dataclass(frozen=True)
class TableNetworks:
    """A network a fold on embedded columns, with one of the ways in which tasks share.

    Parameters are kept at the four moments at which the learning rate is 0; which of them a fold
    takes, for its numbers and for its classes, is chosen by the rows that the *other* folds held
    out, so that the error on its own is one
    of rows that had no say.

    Attributes:
        name: of the method.
        description: in a few words.
        sharing: see ``TableNet``.
        hidden: see ``TableNet``.
        plain: whether numbers are taken as they are, without waves, by layers of "relu".
        line: whether the networks learn what a straight line leaves over; see ``StraightLine``.
        epochs: None: as many as the rows are worth.

    Example:
        >>> TableNetworks().sharing
        'shared'
    """

    name: str = "network"
    description: str = "a network for all targets together"
    sharing: "Sharing" = "shared"
    hidden: tuple[int, ...] = (128, 128, 128)
    plain: bool = False
    line: bool = False
    epochs: int | None = None

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """One network a fold; see ``Method.fit``."""
        keys = checked_keys(self.name, keys, folds)
        network = self._network(data)
        scaling, low, high = _units(data, folds)
        rows = TableRows(
            data.x.astype(np.float32, copy=False),
            np.where(data.known, data.y, 0).astype(np.float32),
            data.known,
        )
        report = work.on_progress
        trained = train_table(
            as_network(network),
            rows,
            [np.concatenate([fold.train, fold.validation]) for fold in folds],
            keys,
            loss=loss_of(data.tasks),
            scaling=scaling,
            rate=RATE,
            epochs=self.epochs,
            seconds=work.seconds,
            start=self._start(data, folds, network, scaling),
            devices=work.devices,
            chunk=work.chunk,
            checkpoint=None if work.checkpoint is None else f"{work.checkpoint}/{self.name}",
            resume=work.resume,
            on_progress=None if report is None else lambda at: report(self.name, at),
        )
        links = tuple(_link(task) for task in data.tasks)
        repeats = output_widths(data.tasks)

        def model(fold: int, mark: int) -> TableNetworkModel:
            params = jax.tree.map(lambda leaf: np.asarray(leaf[fold, mark]), trained.params)
            offset, scale = scaling.offset[fold], scaling.scale[fold]
            counts = np.array([task.kind == "count" for task in data.tasks])
            # The network predicts the logarithm of a count over its scale.
            offset, scale = np.where(counts, np.log(scale), offset), np.where(counts, 1.0, scale)
            return TableNetworkModel(
                network=NetworkModel(network=network, params=params),
                links=links,
                offset=np.repeat(offset, repeats),
                scale=np.repeat(scale, repeats),
                low=np.repeat(low[fold], repeats),
                high=np.repeat(high[fold], repeats),
            )

        every = [[model(k, m) for m in range(len(trained.marks))] for k in range(len(folds))]
        losses = np.array(
            [
                [_losses(every[k][m], data, fold, scaling, k) for k, fold in enumerate(folds)]
                for m in range(len(trained.marks))
            ]
        )
        chosen = _marks(losses, data.tasks)
        models = [_at_marks(every[k], chosen[k], data.tasks) for k in range(len(folds))]
        size = sum(leaf.size for leaf in every[0][0].network.arrays().values())
        epochs = np.array(trained.marks)[chosen]
        diverged = trained.epochs < trained.marks[-1]
        fitted = measured(
            data, folds, models, [{"epoch": epochs[k].tolist()} for k in range(len(folds))]
        )
        return dataclasses.replace(
            fitted,
            notes=self._cut(folds, trained.marks[-1]),
            parameters=np.full(len(folds), size),
            diverged=np.asarray(diverged),
        )

    def _cut(self, folds: Folds, passes: int) -> tuple[str, ...]:
        """What is to be said where the time was not enough."""
        least = min(len(fold.train) + len(fold.validation) for fold in folds)
        wanted = self.epochs or epochs_for(least)
        if passes >= wanted:
            return ()
        return (f"{self.name}: {passes} passes over the rows instead of {wanted}, for the time",)

    def _network(self, data: Data) -> "TableNet":
        """The network for coded columns, whose ``parts`` say what each of them is."""
        from jaxmtl.models import TableNet  # flax loads rich

        roles = [part.role for part in data.parts] or ["number"] * data.x.shape[1]
        codes = [i for i, role in enumerate(roles) if role == "code"]
        classes = all(task.has_classes for task in data.tasks)
        return TableNet(
            outputs=output_widths(data.tasks),
            numbers=[i for i, role in enumerate(roles) if role == "number"],
            levels=[i for i, role in enumerate(roles) if role == "level"],
            codes=codes,
            sizes=[data.parts[i].size for i in codes],
            hidden=self.hidden,
            sharing=self.sharing,
            embedding="none" if self.plain else "periodic",
            activation="relu" if self.plain else "selu" if classes else "mish",
            # In both cases, so that both are one compiled program; without one it stays 0.
            line=True,
        )

    def _start(
        self, data: Data, folds: Folds, network: "TableNet", scaling: Scaling
    ) -> Callable[[PyTree], PyTree] | None:
        """Sets the line of every fold, in the units of the network's outputs."""
        if not self.line:
            return None
        lines = StraightLine().fit(data, folds, None, Work()).models
        widths = output_widths(data.tasks)
        # A count is learned as a logarithm, of which a line in its own units says nothing.
        counts = np.repeat([task.kind == "count" for task in data.tasks], widths)
        columns = [*network.numbers, *network.levels]

        def start(params: PyTree) -> PyTree:
            own: dict[str, list[np.ndarray]] = {name: [] for name in params["line"]}
            for k, line in enumerate(lines):
                assert isinstance(line, LinearModel)
                scale = np.where(counts, 0, 1 / np.repeat(scaling.scale[k], widths))
                offset = np.repeat(scaling.offset[k], widths)
                own["slopes"].append(line.slopes[columns] * scale)
                own["intercept"].append((line.intercept - offset) * scale)
                at = 0
                for column, size in line.codes:
                    assert line.levels is not None
                    own[f"levels_{column}"].append(line.levels[at : at + size] * scale)
                    at += size
            made = {name: jnp.asarray(np.stack(all_), jnp.float32) for name, all_ in own.items()}
            return {**params, "line": made}

        return start


def _link(task: Task) -> Link:
    if task.has_classes:
        return Link("softmax", task.width)
    return Link("exp" if task.kind == "count" else "same", 1)


def _units(data: Data, folds: Folds) -> tuple[Scaling, np.ndarray, np.ndarray]:
    """Scales of the targets, and the range that they were seen in, by fold."""
    shape = (len(folds), len(data.tasks))
    offset, scale = np.zeros(shape), np.ones(shape)
    low, high = np.full(shape, -FURTHEST), np.full(shape, FURTHEST)
    for k, fold in enumerate(folds):
        rows = np.concatenate([fold.train, fold.validation])
        for t, task in enumerate(data.tasks):
            y = data.y[rows[data.known[rows, t]], t].astype(float)
            if task.has_classes:
                low[k, t], high[k, t] = 0.0, 1.0
                continue
            if not len(y):
                continue
            low[k, t], high[k, t] = y.min(), y.max()
            if task.kind == "count":
                scale[k, t] = max(y.mean(), 1e-6)
            else:
                offset[k, t], scale[k, t] = y.mean(), y.std() or 1.0
    return Scaling(offset, scale), low, high


def _losses(
    model: TableNetworkModel, data: Data, fold: Any, scaling: Scaling, k: int
) -> Float[np.ndarray, " tasks"]:
    """Losses of the tasks on the rows held out, in units that can be compared."""
    if not len(fold.test):
        return np.full(len(data.tasks), np.nan)
    losses = mean_losses(model.predict(data.x[fold.test]), some_rows(data, fold.test))
    numbers = np.array([not task.has_classes for task in data.tasks])
    return np.where(numbers, losses / scaling.scale[k] ** 2, losses)


def _marks(
    losses: Float[np.ndarray, "marks folds tasks"], tasks: Sequence[Task]
) -> Int[np.ndarray, "folds tasks"]:
    """Which parameters each fold takes: the same for all numbers, and the same for all classes.

    Probabilities become too sure long before numbers become worse. For every task by itself the
    choice would be one of chance: of twenty tables of numbers none was the better for it.
    """
    chosen = np.zeros(losses.shape[1:], int)
    kinds = np.array([task.has_classes for task in tasks])
    weights = np.array([task.weight for task in tasks])
    for kind in np.unique(kinds):
        own = losses[:, :, kinds == kind]
        known = ~np.isnan(own)
        share = known * weights[kinds == kind]
        with np.errstate(invalid="ignore"):
            means = np.where(known, own, 0.0) * share
            means = means.sum(axis=2) / share.sum(axis=2)
        chosen[:, kinds == kind] = choose_from_others(means)[:, None]
    return chosen


def _at_marks(
    models: Sequence[TableNetworkModel], marks: Int[np.ndarray, " tasks"], tasks: Sequence[Task]
) -> Model:
    """The model that predicts every task as that of its mark does."""
    return mixed(models, marks[None] == np.arange(len(models))[:, None], tasks)
