"""Several numbers at once."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_consistent_length

from jaxmtl.prediction.calibration import LEVEL
from jaxmtl.sklearn.tables import TableEstimator, score_of_known, targets_of


class MultiTaskRegressor(RegressorMixin, TableEstimator):
    """Several numbers predicted from the same columns, by the mixture that ``jaxmtl fit`` keeps.

    Args:
        families: names of methods to train and mix; None for all of ``TABLE_FAMILIES``.
        folds: parts of the rows; None: 10, of more than 1000 rows 5.
        kinds: of columns by name, such as {"city": "category"}: "number", "category", "date",
            "count", "class", or levels in their order, "good<fair<poor"; columns of arrays are x0,
            x1 and so on, targets y0, y1.
        time_limit: seconds that learning may take, about; None for as long as it needs.
        random_state: of folds and methods.

    Attributes:
        predictor_: ``jaxmtl.prediction.predictor.Predictor``.
        leaderboard_: error of every family over that of the mean, by target.
        importance_: what each column is worth; see ``permutation_importance``.
        coverage_: what intervals held of rows that were not learned from.
        notes_: what should be known.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(60, 3))
        >>> y = X[:, :2] + 0.1 * rng.normal(size=(60, 2))
        >>> y[:20, 1] = np.nan  # labels may be missing
        >>> model = MultiTaskRegressor(families=("mean", "linear"), random_state=0).fit(X, y)
        >>> points, intervals = model.predict_interval(X, confidence_level=0.8)
        >>> points.shape, intervals.shape, bool(model.score(X, y) > 0.9)
        ((60, 2), (60, 2, 2), True)
    """

    _kind = "number"

    def fit(self, X: Any, y: Any) -> Self:
        """Learns from rows.

        Args:
            X: an array of numbers, NaN where missing, or a data frame of columns of any kind.
            y: (rows,) or (rows, targets), NaN where a label is missing.

        Returns:
            Itself.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        values, names, self._one = targets_of(y, numeric=True)
        check_consistent_length(X, values)
        self.targets_ = names
        self._learn(X, dict(zip(names, values.T, strict=True)))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predictions in the units of y.

        Args:
            X: as in ``fit``.

        Returns:
            (rows,) if y was, else (rows, targets).
        """
        predictor, found = self._outputs(X)
        return self._shaped(predictor.decoded(found.mean))

    def predict_interval(
        self,
        X: Any,
        confidence_level: float = LEVEL,
        *,
        joint: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and between what the targets lie.

        Args:
            X: as in ``fit``.
            confidence_level: share of new rows whose interval holds the target.
            joint: whether all targets of a row are to be held together.

        Returns:
            Points as ``predict`` gives them, and (rows, 2) or (rows, 2, targets).
        """
        predictor, found, bounds = self._bounds(X, confidence_level, joint)
        ends = np.stack([bounds.ends[name] for name in self.targets_], axis=2)
        return self._shaped(predictor.decoded(found.mean)), ends[..., 0] if self._one else ends

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean over the targets of R², of the rows whose label is known.

        Args:
            X: as in ``fit``.
            y: as in ``fit``.
            sample_weight: of rows.

        Returns:
            1 at best.
        """
        values, _, _ = targets_of(y, numeric=True)
        predicted = self.predict(X).reshape(values.shape)
        return score_of_known(r2_score, values, predicted, sample_weight)

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        return values[:, 0] if self._one else values
