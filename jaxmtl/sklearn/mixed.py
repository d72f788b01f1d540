"""Targets of different kinds at once."""

from typing import Any, Self

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from jaxmtl.sklearn.tables import TableEstimator


class MultiTaskEstimator(TableEstimator):
    """Targets of different kinds in a data frame; see ``MultiTaskRegressor``.

    Example:
        >>> import pandas as pd
        >>> X = pd.DataFrame({"a": np.arange(40.0), "b": ["u", "v"] * 20})
        >>> y = pd.DataFrame({"twice": 2 * X["a"], "level": np.where(X["a"] < 20, "low", "high")})
        >>> model = MultiTaskEstimator(families=("mean", "linear"), random_state=0).fit(X, y)
        >>> model.predict(X)["level"].tolist()[:2]
        ['low', 'low']
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learns from rows.

        Args:
            X: a data frame of columns of any kind, or an array of numbers.
            y: a data frame; its kinds are found out, or named in ``kinds``.

        Returns:
            Itself.
        """
        if not hasattr(y, "columns"):
            raise ValueError(f"y: expected a data frame, got {type(y).__name__}")
        self.targets_ = [str(name) for name in y.columns]
        self._learn(X, {str(name): y[name] for name in y.columns})
        return self

    def predict(self, X: Any) -> Any:
        """Numbers, and the most probable classes.

        Args:
            X: as in ``fit``.

        Returns:
            A data frame with the columns of y.
        """
        import pandas as pd

        predictor, found = self._outputs(X)
        return pd.DataFrame(predictor.words(found.mean), index=getattr(X, "index", None))

    def score(self, X: Any, y: Any) -> float:
        """Mean over the targets of R², of classes of the share that is right.

        Args:
            X: as in ``fit``.
            y: as in ``fit``.

        Returns:
            1 at best.
        """
        predicted, found = self.predict(X), []
        for task in self.predictor_.tasks:
            label, own = y[task.name], predicted[task.name]
            at = label.notna().to_numpy()
            measure = accuracy_score if task.has_classes else r2_score
            found.append(measure(label[at], own[at]))
        return float(np.mean(found))
