"""Ridge regression: a straight line for every task."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Float, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.method import Fitted, Work
from jaxmtl.methods.of_each_task import check_numbers, fit_each_fold
from jaxmtl.methods.saved import check_arrays, check_fields

PENALTIES = np.logspace(-4, 3, 15)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """``x @ slopes + intercept``, in float64.

    Attributes:
        slopes: of every output.
        intercept: of every output.

    Example:
        >>> model = LinearModel(slopes=np.array([[2.0], [0.0]]), intercept=np.array([1.0]))
        >>> model.predict(np.array([[1.0, 5.0]])).tolist()
        [[3.0]]
    """

    kind: ClassVar[str] = "linear"

    slopes: Float[np.ndarray, "features outputs"]
    intercept: Float[np.ndarray, " outputs"]

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features; that of a row hangs on no other row."""
        return np.einsum("rf,fo->ro", np.asarray(x, float), self.slopes) + self.intercept

    def spec(self) -> dict[str, Any]:
        """Nothing but the arrays."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """Slopes and intercept."""
        return {"slopes": self.slopes, "intercept": self.intercept}


def linear_model_of(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> LinearModel:
    """Reads what ``spec`` and ``arrays`` gave; a ``Reader``."""
    check_fields("model of kind linear", spec, set())
    numbers = np.dtype(float)
    check_arrays(
        arrays, {"slopes": ((features, outputs), numbers), "intercept": ((outputs,), numbers)}
    )
    return LinearModel(**arrays)


@dataclasses.dataclass(frozen=True)
class Ridge:
    """Least squares with a penalty on the slopes, which every task chooses for itself.

    The penalty is chosen on the validation rows; without any, by leaving one training row out.

    References:
        Hoerl, Kennard (1970), Ridge Regression, Technometrics 12(1); the error of leaving one out
        from the leverages: Golub, Heath, Wahba (1979), Generalized Cross-Validation, Technometrics
        21(2), section 1.

    Example:
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.tasks import number_tasks
        >>> x = np.arange(8.0)[:, None]
        >>> data = Data(x=x, y=3 * x + 1, known=np.ones((8, 1), bool), tasks=number_tasks(["CO"]))
        >>> fold = SplitIndices(np.arange(5), np.array([], int), np.arange(5, 8))
        >>> found = Ridge().fit(data, Folds(parts=(fold,)), keys=None, work=Work())
        >>> found.models[0].predict(np.array([[10.0]])).round(2).tolist()
        [[31.0]]
    """

    name: str = "ridge"
    description: str = "ridge regression, a penalty for each target"

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """One model a fold; neither keys nor work are needed."""
        del keys, work
        check_numbers(self.name, data.tasks)
        return fit_each_fold(self.name, data, folds, _fit)


def _fit(train: Data, validation: Data) -> tuple[LinearModel, dict[str, Any]]:
    slopes, intercepts, penalties = [], [], []
    for task in range(len(train.tasks)):
        rows, others = train.known[:, task], validation.known[:, task]
        x, y = train.x[rows].astype(float), train.y[rows, task].astype(float)
        x_mean, y_mean = x.mean(axis=0), y.mean()
        left, sizes, right = np.linalg.svd(x - x_mean, full_matrices=False)
        along = left.T @ (y - y_mean)
        each = right.T @ (along * sizes / (sizes**2 + PENALTIES[:, None])).T  # a column a penalty
        if others.any():
            given = validation.x[others].astype(float) - x_mean
            off = given @ each + y_mean - validation.y[others, task].astype(float)[:, None]
        else:
            share = sizes**2 / (sizes**2 + PENALTIES[:, None])
            leverage = left**2 @ share.T + 1 / len(y)
            # Below one row of freedom nothing is left to judge by.
            off = ((x - x_mean) @ each + y_mean - y[:, None]) / np.maximum(1 - leverage, 1e-12)
        best = int(np.argmin((off**2).mean(axis=0)))
        slopes.append(each[:, best])
        intercepts.append(y_mean - x_mean @ each[:, best])
        penalties.append(float(PENALTIES[best]))
    model = LinearModel(slopes=np.stack(slopes, axis=1), intercept=np.array(intercepts))
    return model, {"penalty": penalties}
