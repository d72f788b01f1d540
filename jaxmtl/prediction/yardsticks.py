"""What every error is to be seen beside: predicting the mean, and a straight line."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Dataset, Rows, data_of
from jaxmtl.methods.constant import Constant
from jaxmtl.methods.linear import Ridge
from jaxmtl.methods.method import Work
from jaxmtl.prediction.records import LINE, MEAN

METHODS = {MEAN: Constant(), LINE: Ridge()}


def yardsticks(
    dataset: Dataset, parts: Mapping[str, Rows]
) -> dict[str, dict[str, Float[np.ndarray, "rows tasks"]]]:
    """Coded predictions of the mean and of a straight line, fitted on the training rows.

    The line's penalty is chosen on the validation rows, or by leaving training rows out: test rows
    are only predicted.

    Args:
        dataset: rows and their division.
        parts: rows by split, that are predicted.

    Returns:
        By name and split.

    Example:
        >>> from jaxmtl.data import SplitIndices, Table, prepare
        >>> x = np.arange(6.0)[:, None]
        >>> table = Table(features=("a",), targets=("b",), x=x, y=2 * x, rows=np.arange(6),
        ...               source="file a.csv", kept={})
        >>> data = prepare(table, SplitIndices(np.arange(4), np.array([], int), np.array([4, 5])))
        >>> found = yardsticks(data, {"test": data.splits.test})
        >>> {name: by_split["test"].round(2).tolist() for name, by_split in found.items()}
        {'mean': [[0.5], [0.5]], 'straight line': [[1.33], [1.67]]}
    """
    data, folds = data_of([dataset])
    found = {}
    for name, method in METHODS.items():
        (model,) = method.fit(data, folds, None, Work()).models
        found[name] = {split: model.predict(np.asarray(rows.x)) for split, rows in parts.items()}
    return found
