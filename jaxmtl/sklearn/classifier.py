"""Several classes at once."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length

from jaxmtl.prediction.calibration import LEVEL
from jaxmtl.sklearn.tables import TableEstimator, known_labels, score_of_known, targets_of, typed


class MultiTaskClassifier(ClassifierMixin, TableEstimator):
    """Several classes predicted from the same columns; see ``MultiTaskRegressor``.

    Attributes:
        classes_: of the target, or a list of them.

    Example:
        >>> X = np.repeat(np.arange(40.0)[:, None], 2, axis=1)
        >>> y = np.where(X[:, 0] < 20, "low", "high")
        >>> model = MultiTaskClassifier(families=("mean", "linear"), random_state=0).fit(X, y)
        >>> model.predict(X[:1]).tolist(), model.predict_proba(X).shape, model.classes_.tolist()
        (['low'], (40, 2), ['high', 'low'])
    """

    _kind = "classes"

    def fit(self, X: Any, y: Any) -> Self:
        """Learns from rows.

        Args:
            X: an array of numbers, NaN where missing, or a data frame of columns of any kind.
            y: (rows,) or (rows, targets): classes; None or NaN where a label is missing.

        Returns:
            Itself.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        values, names, self._one = targets_of(y, numeric=False)
        check_consistent_length(X, values)
        found, texts = [], {}
        for name, label in zip(names, values.T, strict=True):
            there = known_labels(label)
            known: np.ndarray = typed(label[there])
            check_classification_targets(known)
            classes, numbers = np.unique(known, return_inverse=True)
            if len(classes) < 2:
                raise ValueError(f"{name}: expected several classes, got {len(classes)} class")
            found.append(classes)
            words = np.full(len(label), None, object)
            words[there] = [f"c{number}" for number in numbers]
            texts[name] = words
        self.targets_ = names
        self._each = found
        self.classes_ = found[0] if self._one else found
        self._learn(X, texts)
        return self

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of classes.

        Args:
            X: as in ``fit``.

        Returns:
            (rows, classes) in the order of ``classes_``; a list of these for several targets.
        """
        predictor, found = self._outputs(X)
        widths = [task.width for task in predictor.tasks]
        parts = np.split(found.mean, np.cumsum(widths)[:-1], axis=1)
        shaped = []
        for task, part, classes in zip(predictor.tasks, parts, self._each, strict=True):
            order = [int(str(word)[1:]) for word in task.classes]
            own = np.zeros((len(part), len(classes)))
            own[:, order] = part
            shaped.append(own / own.sum(axis=1, keepdims=True))
        return shaped[0] if self._one else shaped

    def predict(self, X: Any) -> np.ndarray:
        """The most probable classes.

        Args:
            X: as in ``fit``.

        Returns:
            (rows,) if y was, else (rows, targets).
        """
        found = self.predict_proba(X)
        each = [found] if self._one else found
        words = [
            classes[part.argmax(axis=1)] for classes, part in zip(self._each, each, strict=True)
        ]
        if self._one:
            return words[0]
        alike = len({word.dtype.kind for word in words}) == 1
        return np.stack(words if alike else [word.astype(object) for word in words], axis=1)

    def predict_set(self, X: Any, confidence_level: float = LEVEL) -> Any:
        """The classes that each row may be of.

        Args:
            X: as in ``fit``.
            confidence_level: share of new rows whose set holds the class.

        Returns:
            (rows, classes) of truth values; a list of these for several targets.
        """
        predictor, _, bounds = self._bounds(X, confidence_level, False)
        shaped = []
        for task, classes in zip(predictor.tasks, self._each, strict=True):
            own = np.zeros((len(bounds.sets[task.name]), len(classes)), bool)
            own[:, [int(str(word)[1:]) for word in task.classes]] = bounds.sets[task.name]
            shaped.append(own)
        return shaped[0] if self._one else shaped

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean over the targets of the share of right classes.

        Args:
            X: as in ``fit``.
            y: as in ``fit``.
            sample_weight: of rows.

        Returns:
            1 at best.
        """
        values, _, _ = targets_of(y, numeric=False)
        predicted = self.predict(X).reshape(values.shape)
        return score_of_known(accuracy_score, values, predicted, sample_weight)
