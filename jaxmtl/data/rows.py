"""What every training loop takes: rows of scaled numbers, divided into splits."""

from typing import Any, NamedTuple

from jaxtyping import Bool, Float


class Rows(NamedTuple):
    """Rows of features and targets.

    Attributes:
        x: scaled features, NumPy or JAX.
        y: scaled targets, one or more columns a task; 0 where not known.
        known: whether the target of a task is known; None if all of them are.

    Example:
        >>> import numpy as np
        >>> rows = Rows(x=np.zeros((3, 4)), y=np.zeros((3, 2)))
        >>> rows.x.shape, rows.known
        ((3, 4), None)
    """

    x: Float[Any, "rows features"]
    y: Float[Any, "rows outputs"]
    known: Bool[Any, "rows tasks"] | None = None


class Splits(NamedTuple):
    """Rows to train on, to choose by and to report on.

    Attributes:
        train: rows that the parameters and the scaling are fitted on.
        validation: rows to choose between runs; None if there are none.
        test: rows that nothing is fitted to or chosen by; None if there are none.

    Example:
        >>> import numpy as np
        >>> splits = Splits(train=Rows(np.zeros((3, 4)), np.zeros((3, 2))))
        >>> splits.test is None
        True
    """

    train: Rows
    validation: Rows | None = None
    test: Rows | None = None
