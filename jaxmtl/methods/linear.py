"""Ridge regression: a straight line for every task."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Float, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.levels import codes_from_json
from jaxmtl.methods.links import Link, check_floor, links_from_json, links_to_json, outputs_of
from jaxmtl.methods.method import Fitted, Work
from jaxmtl.methods.of_each_task import check_numbers, fit_each_fold
from jaxmtl.methods.saved import check_arrays, check_fields
from jaxmtl.plain.linear import linear_sums

PENALTIES = np.logspace(-4, 3, 15)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """``x @ slopes + intercept``, in float64; levels and classes where there are any.

    Attributes:
        slopes: of every output; 0 for a feature that holds the number of a level.
        intercept: of every output.
        codes: place of each feature that holds the number of a level, and its levels.
        levels: what a level adds to every output, those of one code after those of the other; None
            without codes.
        links: how the sums become the outputs, a task each; empty where all are numbers.
        floor: added to the probabilities of classes; None without links.

    Example:
        >>> model = LinearModel(slopes=np.array([[2.0], [0.0]]), intercept=np.array([1.0]))
        >>> model.predict(np.array([[1.0, 5.0]])).tolist()
        [[3.0]]
    """

    kind: ClassVar[str] = "linear"

    slopes: Float[np.ndarray, "features outputs"]
    intercept: Float[np.ndarray, " outputs"]
    codes: tuple[tuple[int, int], ...] = ()
    levels: Float[np.ndarray, "levels outputs"] | None = None
    links: tuple[Link, ...] = ()
    floor: Float[np.ndarray, " outputs"] | None = None

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features; that of a row hangs on no other row."""
        sums = linear_sums(x, self.slopes, self.intercept, self.codes, self.levels)
        return sums if self.floor is None else outputs_of(self.links, sums, self.floor)

    def spec(self) -> dict[str, Any]:
        """What the arrays do not say; nothing for a model of plain numbers."""
        found: dict[str, Any] = {}
        if self.levels is not None:
            found["codes"] = [list(code) for code in self.codes]
        if self.floor is not None:
            found["links"] = links_to_json(self.links)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Slopes and intercept, and what levels and classes need."""
        names = ("slopes", "intercept", "levels", "floor")
        return {name: a for name in names if (a := getattr(self, name)) is not None}


def linear_model_of(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> LinearModel:
    """Reads what ``spec`` and ``arrays`` gave; a ``Reader``."""
    what, numbers = "model of kind linear", np.dtype(float)
    check_fields(what, spec, {name for name in ("codes", "links") if name in spec})
    expected = {"slopes": ((features, outputs), numbers), "intercept": ((outputs,), numbers)}
    given: dict[str, Any] = {}
    if "codes" in spec:
        given["codes"] = codes = codes_from_json(what, spec["codes"], features)
        expected["levels"] = ((sum(size for _, size in codes), outputs), numbers)
    if "links" in spec:
        given["links"] = links_from_json(what, spec["links"], outputs)
        expected["floor"] = ((outputs,), numbers)
    check_arrays(arrays, expected)
    check_floor(arrays.get("floor"))
    given |= arrays
    return LinearModel(**given)


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
