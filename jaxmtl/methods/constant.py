"""What every method has to beat: the mean of the training rows, whatever the inputs."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Float, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.method import Fitted, Work
from jaxmtl.methods.of_each_task import fit_each_fold
from jaxmtl.methods.saved import check_arrays, check_fields


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ConstantModel:
    """The same outputs for every row.

    Attributes:
        outputs: means of numbers, frequencies of classes.

    Example:
        >>> ConstantModel(outputs=np.array([0.5, 2.0])).predict(np.zeros((2, 9))).tolist()
        [[0.5, 2.0], [0.5, 2.0]]
    """

    kind: ClassVar[str] = "constant"

    outputs: Float[np.ndarray, " outputs"]

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """The outputs, once a row."""
        return np.repeat(self.outputs[None], len(x), axis=0)

    def spec(self) -> dict[str, Any]:
        """Nothing but the arrays."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """The outputs."""
        return {"outputs": self.outputs}


def constant_model_of(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> ConstantModel:
    """Reads what ``spec`` and ``arrays`` gave; a ``Reader``."""
    del features
    check_fields("model of kind constant", spec, set())
    check_arrays(arrays, {"outputs": ((outputs,), np.dtype(float))})
    return ConstantModel(**arrays)


@dataclasses.dataclass(frozen=True)
class Constant:
    """Predicts the mean of each number, and the frequencies of classes.

    Example:
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.tasks import number_tasks
        >>> data = Data(x=np.zeros((4, 1)), y=np.array([[0.0], [2.0], [0.0], [2.0]]),
        ...             known=np.ones((4, 1), bool), tasks=number_tasks(["CO"]))
        >>> fold = SplitIndices(np.array([0, 1]), np.array([], int), np.array([2, 3]))
        >>> Constant().fit(data, Folds(parts=(fold,)), keys=None, work=Work()).scores.tolist()
        [[1.0]]
    """

    name: str = "mean"
    description: str = "the mean of the training rows, whatever the inputs"

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """One model a fold; neither keys nor work are needed."""
        del keys, work

        def fit(train: Data, validation: Data) -> tuple[ConstantModel, dict[str, Any]]:
            parts = []
            for column, task in enumerate(train.tasks):
                y = train.y[train.known[:, column], column].astype(float)
                if not task.has_classes:
                    parts.append([y.mean()])
                else:
                    parts.append(np.bincount(y.astype(int), minlength=task.width) / len(y))
            return ConstantModel(outputs=np.concatenate(parts)), {}

        return fit_each_fold(self.name, data, folds, fit)
