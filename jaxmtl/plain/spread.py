"""How large an error is to be expected at a row, from what is predicted there."""

import dataclasses

import numpy as np

KNOTS = (0.5, 0.8)  # quantiles of the predictions, at which the slope may change
MAX_TERMS = 2 + len(KNOTS)  # slope, changes of it, and the disagreement
BY_PREDICTION = 1 + len(KNOTS)  # the same without the disagreement
TERMS = (0, BY_PREDICTION, MAX_TERMS)
FLOOR = 0.05  # of the mean error: what errors are never expected to be less than


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SpreadModel:
    """The expected error as exp of a piecewise linear function of prediction and disagreement.

    Attributes:
        terms: how many of the terms it has: 0 (all rows alike), BY_PREDICTION or MAX_TERMS.
        size: the mean error.
        place: mean, deviation, lower and upper edge of the predictions, and the knots.
        apart: the same of the logarithm of the disagreement, without knots, and its floor.
        weights: of the terms, an intercept first.

    Example:
        >>> model = SpreadModel(terms=0, size=2.0, place=np.array([0, 1, -1, 1, 0, 0.5]),
        ...                     apart=np.array([0, 1, -1, 1, 1.0]), weights=np.zeros(5))
        >>> model(np.array([3.0, 4.0]), np.zeros(2)).tolist()
        [2.0, 2.0]
    """

    terms: int
    size: float
    place: np.ndarray
    apart: np.ndarray
    weights: np.ndarray

    def __call__(self, predicted: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
        """The expected error, above 0.

        Args:
            predicted: what is predicted.
            disagreement: of the parts of the model.
        """
        if not self.terms:
            return np.full(len(predicted), self.size)
        logarithm = self.columns(predicted, disagreement) @ self.weights[: self.terms + 1]
        return self.size * np.maximum(np.exp(np.minimum(logarithm, 10.0)), FLOOR)

    def columns(self, predicted: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
        """The terms, (rows, terms), an intercept first; see ``__call__``."""
        mean, deviation, low, high, *knots = self.place
        z = np.clip((predicted - mean) / deviation, low, high)
        columns = [np.ones(len(z)), z, *(np.maximum(z - knot, 0) for knot in knots)]
        if self.terms == MAX_TERMS:
            mean, deviation, low, high, floor = self.apart
            logarithm = np.log(np.maximum(disagreement, floor))
            columns.append(np.clip((logarithm - mean) / deviation, low, high))
        return np.stack(columns, axis=1)

    def to_array(self) -> np.ndarray:
        """All numbers but ``terms``, one after the other."""
        return np.concatenate([[self.size], self.place, self.apart, self.weights])

    @staticmethod
    def of_array(parts: np.ndarray, terms: int) -> "SpreadModel":
        """What ``to_array`` was called on.

        Args:
            parts: its result.
            terms: of the model.
        """
        place, apart = 4 + len(KNOTS), 5
        size, place_, apart_, weights = np.split(parts, [1, 1 + place, 1 + place + apart])
        return SpreadModel(
            terms=terms, size=float(size[0]), place=place_, apart=apart_, weights=weights
        )

    @staticmethod
    def length() -> int:
        """Numbers that ``to_array`` gives."""
        return 1 + 4 + len(KNOTS) + 5 + MAX_TERMS + 1


def check_spread(parts: np.ndarray) -> None:
    """Raises unless the numbers of a model can be divided by, as those of a damaged file may not.

    Args:
        parts: as ``SpreadModel.to_array`` has them.

    Raises:
        ValueError: they cannot.
    """
    model = SpreadModel.of_array(parts, 0)
    positive = (model.size, model.place[1], model.apart[1], model.apart[4])
    if not all(value > 0 for value in positive):
        raise ValueError("intervals: spreads: expected sizes above 0")
