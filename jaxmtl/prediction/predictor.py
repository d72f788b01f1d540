"""Everything that it takes to predict rows of a table: the one value that training ends in."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl.data import CellTable, Coding, Preprocessing, Table
from jaxmtl.data.reading.tables import Decimal, Thousands
from jaxmtl.methods.method import Model
from jaxmtl.methods.mixture import MixtureModel
from jaxmtl.plain import class_numbers
from jaxmtl.prediction.calibration import LEVEL, Bounds, Calibration
from jaxmtl.prediction.shortage import Shortage, shortage_of
from jaxmtl.tasks import Task, output_widths


class ByFold(NamedTuple):
    """What the models of all folds give for the same rows.

    Attributes:
        outputs: coded numbers and probabilities.
        disagreement: how far the parts of a model are apart, for each task.

    Example:
        >>> ByFold(np.array([[[1.0]], [[2.0]]]), np.zeros((2, 1, 1))).mean.tolist()
        [[1.5]]
    """

    outputs: Float[np.ndarray, "folds rows outputs"]
    disagreement: Float[np.ndarray, "folds rows tasks"]

    @property
    def mean(self) -> Float[np.ndarray, "rows outputs"]:
        """Outputs of the predictor."""
        return np.asarray(np.mean(list(self.outputs), axis=0, dtype=np.float64))


class Reading(NamedTuple):
    """How a table of rows to predict is to be read, as the run read its own.

    Attributes:
        missing_features: "error", "drop" (no prediction for such a row) or "mean".
        missing_values: numbers and texts that stand for a missing value, or in one column "CO=0".
        decimal: "." or "," in numbers that are texts; None where that is found out.
        thousands: what marks thousands in such numbers; None where that is found out.
        header_row: number of the row of the header; None for the first that is not empty.
        visible_rows: whether hidden rows are left out.

    Example:
        >>> Reading(missing_values=("0",)).missing_features
        'error'
    """

    missing_features: str = "error"
    missing_values: tuple[str | float, ...] = ()
    decimal: Decimal | None = None
    thousands: Thousands | None = None
    header_row: int | None = None
    visible_rows: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Predictor:
    """From a table to predictions in original units.

    Attributes:
        coding: what models see of a table: columns of numbers, scaled and filled, or columns of any
            kind.
        tasks: what is predicted, one for each target of ``coding``.
        models: one a fold; the prediction is the mean of their outputs.
        method: that trained them, by name.
        reading: how tables to predict are to be read.
        baselines: models that were trained beside them to compare with, by name.
        calibration: errors of rows that were left out, from which intervals follow; None without.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl.data import Scaler
        >>> from jaxmtl.methods.network_model import NetworkModel
        >>> from jaxmtl.models import HardSharing
        >>> from jaxmtl.tasks import number_tasks
        >>> network = HardSharing()
        >>> params = network.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> coding = Preprocessing(
        ...     features=tuple("abcd"), targets=("y", "z"),
        ...     feature_scaler=Scaler(np.zeros(4), np.ones(4)),
        ...     target_scaler=Scaler(np.zeros(2), np.ones(2)))
        >>> predictor = Predictor(
        ...     coding=coding, tasks=number_tasks(["y", "z"]), method="hard_sharing",
        ...     models=(NetworkModel(network=network, params=params),))
        >>> predictor.predict(np.ones((3, 4))).shape
        (3, 2)
    """

    coding: Preprocessing | Coding
    tasks: tuple[Task, ...]
    models: tuple[Model, ...]
    method: str
    reading: Reading = Reading()
    baselines: Mapping[str, Model] = dataclasses.field(default_factory=dict)
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        """Checks that the parts go together."""
        names = tuple(task.name for task in self.tasks)
        targets = self.coding.target_names
        if names != targets:
            raise ValueError(
                f"tasks: expected the targets {', '.join(targets)}, got {', '.join(names)}"
            )
        if not self.models:
            raise ValueError("models: expected one a fold, got none")

    def baseline(self, name: str) -> "Predictor":
        """The same with the model of a baseline instead.

        Args:
            name: of the baseline.

        Returns:
            A predictor without baselines.

        Raises:
            KeyError: there is no such baseline.
        """
        return dataclasses.replace(
            self, models=(self.baselines[name],), method=name, baselines={}, calibration=None
        )

    def outputs(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Coded outputs for coded features: the mean over the folds.

        Args:
            x: coded features.

        Returns:
            Coded numbers and probabilities, the outputs of all tasks side by side.
        """
        first, *others = (model.predict(x) for model in self.models)
        if not others:
            return first
        return np.asarray(np.mean([first, *others], axis=0, dtype=np.float64))

    def outputs_by_fold(self, x: Float[np.ndarray, "rows features"]) -> ByFold:
        """What every fold's model gives, from which intervals follow.

        Args:
            x: coded features.

        Returns:
            Coded numbers and probabilities by fold, whose mean is ``outputs``, and how far the
            parts of a fold's model are apart.
        """
        outputs, apart = [], []
        for model in self.models:
            if isinstance(model, MixtureModel):
                own, disagreement = model.with_disagreement(x)
            else:
                own = model.predict(x)
                disagreement = np.zeros((len(x), len(self.tasks)))
            outputs.append(np.asarray(own, np.float64))
            apart.append(disagreement)
        return ByFold(np.stack(outputs), np.stack(apart))

    def bounds(
        self,
        found: ByFold,
        *,
        confidence_level: float = LEVEL,
        joint: bool = False,
    ) -> Bounds:
        """Intervals of numbers and sets of classes: see ``jaxmtl.prediction.calibration``.

        Args:
            found: of ``outputs_by_fold``.
            confidence_level: share of rows that they are to hold.
            joint: whether it is the share of rows of which all tasks are held together.

        Returns:
            Ends and sets by task.

        Raises:
            ValueError: a run without rows that were left out.
        """
        if self.calibration is None:
            raise ValueError(
                "intervals: expected a run whose folds left rows out, got one without; train it "
                "with 'jaxmtl fit TABLE --targets ...'"
            )
        return self.calibration.bounds(
            self.tasks, *found, confidence_level=confidence_level, joint=joint
        )

    def shortages(
        self, *, confidence_level: float = LEVEL, joint: bool = False
    ) -> dict[str, Shortage]:
        """Tasks with too few rows for intervals of a level, and how many it takes.

        Args:
            confidence_level: share of rows that intervals are to hold.
            joint: whether it is the share of rows of which all tasks are held together.

        Returns:
            By the name of the task; empty where all intervals are finite.
        """
        found = self.calibration
        if found is None:
            return {}
        infinite = found.infinite(confidence_level=confidence_level, joint=joint)
        used = found.rows_used(joint=joint)
        return {
            task.name: shortage_of(confidence_level, rows, joint=joint)
            for task, short, rows in zip(self.tasks, infinite, used, strict=True)
            if short
        }

    def decoded(
        self, outputs: Float[np.ndarray, "rows outputs"]
    ) -> Float[np.ndarray, "rows tasks"]:
        """What outputs say in original units.

        Args:
            outputs: of ``outputs``.

        Returns:
            A column a task; of classes, the number of the most probable one, or of the one in the
            middle if they are ordered.
        """
        parts = np.split(outputs, np.cumsum(output_widths(self.tasks))[:-1], axis=1)
        values = np.stack(
            [values_of(task, part) for task, part in zip(self.tasks, parts, strict=True)], axis=1
        )
        return values if isinstance(self.coding, Coding) else self.coding.decode(values)

    def words(self, outputs: Float[np.ndarray, "rows outputs"]) -> dict[str, np.ndarray]:
        """What outputs say, by the name of the task: numbers in original units, or classes.

        Args:
            outputs: of ``outputs``.

        Returns:
            An array of the rows for each task.
        """
        if isinstance(self.coding, Coding):
            return self.coding.decode(outputs)
        found: dict[str, np.ndarray] = {}
        for task, column in zip(self.tasks, self.decoded(outputs).T, strict=True):
            classes = np.array(task.classes, object)
            found[task.name] = classes[column.astype(int)] if task.has_classes else column
        return found

    @property
    def preprocessing(self) -> Preprocessing:
        """The coding of a table of numbers.

        Raises:
            AttributeError: columns of any kind are coded.
        """
        if isinstance(self.coding, Coding):
            raise AttributeError("predictor: expected columns of numbers, got columns of any kind")
        return self.coding

    def predict(
        self, x: CellTable | Table | Float[np.ndarray, "rows features"]
    ) -> Float[np.ndarray, "rows tasks"]:
        """Predictions in original units; that of a row does not depend on the rows around it.

        Args:
            x: a table with the columns of the coding; where those are numbers, also their values in
                original units, NaN where missing.

        Returns:
            One column a task: numbers in original units, or numbers of classes. If the run dropped
            rows with missing features, NaN for such rows.

        Raises:
            TableError: a feature is missing and the run neither fills nor drops, or the columns are
                other ones.
            ValueError: a model holds numbers that are not finite.
        """
        if isinstance(self.coding, Coding):
            if not isinstance(x, CellTable):
                raise TypeError(f"x: expected a table of cells, got {type(x).__name__}")
            predicted = self.decoded(self.outputs(self.coding.encode(x).x))
            if not np.isfinite(predicted).all():
                self._check_finite()
            return predicted
        if isinstance(x, CellTable):
            raise TypeError("x: expected numbers or a table of numbers, got a table of cells")
        return self._predict_numbers(x)

    def _predict_numbers(
        self, x: Table | Float[np.ndarray, "rows features"]
    ) -> Float[np.ndarray, "rows tasks"]:
        values = np.asarray(x.x if isinstance(x, Table) else x, dtype=np.float64)
        known = np.ones(len(values), bool)
        if self.reading.missing_features == "drop" and values.ndim == 2:
            known = np.asarray(~np.isnan(values).any(axis=1))
            x = _only(x, known)
        predicted = self.decoded(self.outputs(self.preprocessing.encode(x)))
        if not np.isfinite(predicted).all():
            self._check_finite()
        whole = np.full((len(known), predicted.shape[1]), np.nan)
        whole[known] = predicted
        return whole

    def _check_finite(self) -> None:
        """Raises ValueError for a model that can predict nothing; finite ones may overflow."""
        for model in self.models:
            for name, array in model.arrays().items():
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    raise ValueError(
                        f"model {self.method!r}: expected finite numbers, got others in {name}; "
                        "train it anew, with a lower learning rate or scaled columns"
                    )


def values_of(task: Task, outputs: Float[np.ndarray, "rows width"]) -> Float[np.ndarray, " rows"]:
    """What the outputs of one task predict: numbers, or numbers of classes.

    Args:
        task: that is predicted.
        outputs: numbers in original units, or probabilities of its classes.

    Example:
        >>> values_of(Task(name="visits", kind="count"), np.array([[-0.5], [3.0]])).tolist()
        [0.0, 3.0]
    """
    if task.has_classes:
        return class_numbers(task.kind, outputs)
    return np.maximum(outputs[:, 0], 0) if task.kind == "count" else outputs[:, 0]


def _only(x: Any, known: np.ndarray) -> Any:
    if not isinstance(x, Table):
        return np.asarray(x)[known]
    return dataclasses.replace(x, x=x.x[known], y=x.y[known], rows=x.rows[known], kept={})
