"""Reference lines: what an analyst would otherwise use. No contestants, and no JAX."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Rows, Splits

ALPHAS = np.logspace(-4, 3, 15)
MOST_TREES = 200


class Line(NamedTuple):
    """A predictor of one target.

    Attributes:
        name: in the tables.
        description: one line for the report.
        predict: from training rows, validation rows (or None) and test inputs to test predictions.
    """

    name: str
    description: str
    predict: Callable[[Any, Any, Any], np.ndarray]


def _mean(train: Any, validation: Any, x: Any) -> np.ndarray:
    return np.full(len(x), train[1].mean())


def _ridge(train: Any, validation: Any, x: Any) -> np.ndarray:
    from sklearn.linear_model import Ridge, RidgeCV

    if validation is None:
        return RidgeCV(ALPHAS).fit(*train).predict(x)
    fits = [Ridge(alpha).fit(*train) for alpha in ALPHAS]
    errors = [((fit.predict(validation[0]) - validation[1]) ** 2).mean() for fit in fits]
    return fits[int(np.argmin(errors))].predict(x)


def _boosted_trees(train: Any, validation: Any, x: Any) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    # Few rows: threads would wait for each other longer than they work.
    with threadpool_limits(1, "openmp"):
        trees = HistGradientBoostingRegressor(max_iter=MOST_TREES, random_state=0)
        trees.set_params(early_stopping=False).fit(*train)
        if validation is None:
            return trees.predict(x)
        stages = trees.staged_predict(validation[0])
        errors = [((stage - validation[1]) ** 2).mean() for stage in stages]
        best = int(np.argmin(errors))
        return next(itertools.islice(trees.staged_predict(x), best, None))


LINES = (
    Line("mean", "the mean of the training rows, whatever the inputs", _mean),
    Line("ridge", "ridge regression, a target at a time (scikit-learn)", _ridge),
    Line(
        "boosted_trees", "gradient-boosted trees, a target at a time (scikit-learn)", _boosted_trees
    ),
)


def line_errors(line: Line, splits: Splits) -> Float[np.ndarray, " tasks"]:
    """Test errors of a reference line on the rows of one seed.

    What it has to choose (the penalty, the number of trees) it chooses on the validation rows.

    Args:
        line: one of ``LINES``.
        splits: scaled rows.

    Returns:
        Scaled mean squared error of every target, over the rows where it is known.

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> rows = Rows(np.zeros((4, 1)), np.array([[0.0], [2.0], [0.0], [2.0]]))
        >>> line_errors(LINES[0], Splits(train=rows, test=rows)).tolist()
        [1.0]
    """
    assert splits.test is not None
    errors = []
    for task in range(splits.train.y.shape[1]):
        train, test = _of_task(splits.train, task), _of_task(splits.test, task)
        validation = None if splits.validation is None else _of_task(splits.validation, task)
        if validation is not None and not len(validation[1]):
            validation = None
        predicted = line.predict(train, validation, test[0])
        errors.append(((predicted - test[1]) ** 2).mean())
    return np.array(errors)


def _of_task(rows: Rows, task: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(rows.x, float), np.asarray(rows.y, float)[:, task]
    known = slice(None) if rows.known is None else np.asarray(rows.known)[:, task]
    return x[known], y[known]
