"""Targets of different kinds at once."""

from typing import Any, Self

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from jaxmtl.prediction.calibration import LEVEL
from jaxmtl.prediction.predictor import ByFold, Predictor
from jaxmtl.sklearn.tables import TableEstimator, known_labels, mean_score, typed, unique_names

TRUE = "TRUE"  # the class of a true value


class MultiTaskEstimator(TableEstimator):
    """Targets of different kinds in a data frame; see ``MultiTaskRegressor``.

    Example:
        >>> import pandas as pd
        >>> X = pd.DataFrame({"a": np.arange(40.0), "b": ["u", "v"] * 20})
        >>> y = pd.DataFrame({"twice": 2 * X["a"], "level": np.where(X["a"] < 20, "low", "high")})
        >>> model = MultiTaskEstimator(families=("mean", "linear"), random_state=0).fit(X, y)
        >>> model.predict(X)["level"].tolist()[:2]
        ['low', 'low']
        >>> points, ends = model.predict_interval(X, confidence_level=0.8)
        >>> [column for column in ends]
        [('twice', 'lower'), ('twice', 'upper'), ('level', 'high'), ('level', 'low')]
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
        self.targets_ = unique_names(y.columns, "y")
        self._columns = y.columns
        columns = [y[name] for name in y.columns]
        known = [column[column.notna()] for column in columns]
        # A table has words for these.
        self._of_truth = [bool(len(one)) and {*map(type, one)} <= {bool, np.bool_} for one in known]
        self._learn(X, dict(zip(self.targets_, columns, strict=True)))
        return self

    def predict(self, X: Any) -> Any:
        """Numbers, and the most probable classes.

        Args:
            X: as in ``fit``.

        Returns:
            A data frame with the columns of y.
        """
        return self._points(*self._outputs(X), X)

    def predict_interval(
        self, X: Any, confidence_level: float = LEVEL, *, joint: bool = False
    ) -> tuple[Any, Any]:
        """Predictions, between what numbers lie, and which classes a row may be of.

        Args:
            X: as in ``fit``.
            confidence_level: share of new rows whose interval or set holds the target.
            joint: whether all targets of a row are to be held together.

        Returns:
            Points as ``predict`` gives them, and a data frame with two levels of columns: of a
            number "lower" and "upper", infinite where there are too few rows for the level; of
            classes whether each of them is in the set.

        Raises:
            ValueError: a level that is not between 0 and 1.
        """
        import pandas as pd

        predictor, found, bounds = self._bounds(X, confidence_level, joint)
        parts: dict[tuple[Any, Any], Any] = {}
        for name, task, truth in zip(self._columns, predictor.tasks, self._of_truth, strict=True):
            if task.has_classes:
                heads = [word == TRUE if truth else word for word in task.classes]
                columns = bounds.sets[task.name]
            else:
                heads, columns = ["lower", "upper"], bounds.ends[task.name]
            parts |= {(name, head): own for head, own in zip(heads, columns.T, strict=True)}
        index = getattr(X, "index", None)
        frame = pd.DataFrame(dict(enumerate(parts.values())), index=index)
        ends = frame.set_axis(pd.MultiIndex.from_tuples(list(parts)), axis=1)
        return self._points(predictor, found, X), ends

    def _points(self, predictor: Predictor, found: ByFold, X: Any) -> Any:
        import pandas as pd

        cells = [
            column == TRUE if truth else column
            for column, truth in zip(
                predictor.words(found.mean).values(), self._of_truth, strict=True
            )
        ]
        frame = pd.DataFrame(dict(enumerate(cells)), index=getattr(X, "index", None))
        return frame.set_axis(self._columns, axis=1)

    def score(self, X: Any, y: Any) -> float:
        """Mean over the targets of R², of classes of the share that is right.

        Args:
            X: as in ``fit``.
            y: as in ``fit``.

        Returns:
            1 at best.
        """
        predicted, found = self.predict(X), []
        for name, task in zip(self._columns, self.predictor_.tasks, strict=True):
            label, own = y[name].to_numpy(), predicted[name].to_numpy()
            at = known_labels(label)
            if not at.any():
                continue
            measure = accuracy_score if task.has_classes else r2_score
            found.append(measure(typed(label[at]), typed(own[at])))
        return mean_score(found)
