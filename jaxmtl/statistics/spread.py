"""How large an error is to be expected at a row, from what is predicted there; NumPy only."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

KNOTS = (0.5, 0.8)  # quantiles of the predictions, at which the slope may change
MAX_TERMS = 2 + len(KNOTS)  # slope, changes of it, and the disagreement
BY_PREDICTION = 1 + len(KNOTS)  # the same without the disagreement
TERMS = (0, BY_PREDICTION, MAX_TERMS)
FEWEST = 50  # rows, below which all rows are taken for alike
_FLOOR = 0.05  # of the mean error: what errors are never expected to be less than
_DOUBT = 0.5  # standard errors by which a term must be better
_RIDGE = 2.0  # rows that say that a term has no effect
_EDGES = (0.01, 0.99)  # quantiles beyond which nothing changes


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
    place: Float[np.ndarray, " place"]
    apart: Float[np.ndarray, " apart"]
    weights: Float[np.ndarray, " weights"]

    def __call__(
        self, predicted: Float[np.ndarray, " rows"], disagreement: Float[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " rows"]:
        """The expected error, above 0.

        Args:
            predicted: what is predicted.
            disagreement: of the parts of the model.
        """
        if not self.terms:
            return np.full(len(predicted), self.size)
        logarithm = self._terms(predicted, disagreement) @ self.weights[: self.terms + 1]
        return self.size * np.maximum(np.exp(np.minimum(logarithm, 10.0)), _FLOOR)

    def _terms(self, predicted: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
        mean, deviation, low, high, *knots = self.place
        z = np.clip((predicted - mean) / deviation, low, high)
        columns = [np.ones(len(z)), z, *(np.maximum(z - knot, 0) for knot in knots)]
        if self.terms == MAX_TERMS:
            mean, deviation, low, high, floor = self.apart
            logarithm = np.log(np.maximum(disagreement, floor))
            columns.append(np.clip((logarithm - mean) / deviation, low, high))
        return np.stack(columns, axis=1)

    def to_array(self) -> Float[np.ndarray, " parts"]:
        """All numbers but ``terms``, one after the other."""
        return np.concatenate([[self.size], self.place, self.apart, self.weights])

    @staticmethod
    def of_array(parts: Float[np.ndarray, " parts"], terms: int) -> "SpreadModel":
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


def check_spread(parts: Float[np.ndarray, " parts"]) -> None:
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


def fit_spread(
    predicted: Float[np.ndarray, " rows"],
    disagreement: Float[np.ndarray, " rows"],
    errors: Float[np.ndarray, " rows"],
    fold: Int[np.ndarray, " rows"],
    folds: int,
) -> tuple[SpreadModel, ...]:
    """A model for every fold, from the rows of the others.

    Errors are taken to be exponentially distributed around their expected size (their deviation
    around the prediction is then Laplace's). Terms are added if rows that they were not fitted on
    are likelier with them, by more than half a standard error.

    Args:
        predicted: of rows that were left out.
        disagreement: of the parts of the model there.
        errors: absolute ones.
        fold: which fold left a row out.
        folds: how many there are.

    Returns:
        One a fold, all with the same terms.
    """
    choices = [0]
    if len(errors) >= FEWEST and np.ptp(predicted) > 0:
        choices.append(BY_PREDICTION)
        if np.ptp(disagreement) > 0:
            choices.append(MAX_TERMS)
    best, best_loss = (), np.zeros(0)
    for terms in choices:
        models = tuple(
            _fitted(predicted[at], disagreement[at], errors[at], terms)
            for at in (fold != f if (fold != f).any() else fold == f for f in range(folds))
        )
        loss = _losses(models, predicted, disagreement, errors, fold)
        gain = best_loss - loss if best else np.zeros(0)
        if not best or gain.mean() > _DOUBT * gain.std() / np.sqrt(len(gain)):
            best, best_loss = models, loss
    return best


def _losses(
    models: Sequence[SpreadModel],
    predicted: np.ndarray,
    disagreement: np.ndarray,
    errors: np.ndarray,
    fold: np.ndarray,
) -> np.ndarray:
    expected = np.empty(len(errors))
    for f, model in enumerate(models):
        at = fold == f
        expected[at] = model(predicted[at], disagreement[at])
    return np.log(expected) + errors / expected


def _fitted(
    predicted: np.ndarray, disagreement: np.ndarray, errors: np.ndarray, terms: int
) -> SpreadModel:
    size = float(errors.mean()) if len(errors) else 1.0
    size = size if size > 0 else float(np.finfo(float).tiny) ** 0.5
    place, z = _standardised(predicted)
    floor = max(_FLOOR * float(disagreement.mean()), 1e-30) if len(disagreement) else 1.0
    apart, _ = _standardised(np.log(np.maximum(disagreement, floor)))
    knots = np.quantile(z, KNOTS) if len(z) else np.zeros(len(KNOTS))
    model = SpreadModel(
        terms=terms,
        size=size,
        place=np.concatenate([place, knots]),
        apart=np.append(apart, floor),
        weights=np.zeros(MAX_TERMS + 1),
    )
    if not terms:
        return model
    columns = model._terms(predicted, disagreement)
    own = _newton(columns, errors / size)
    weights = np.zeros(MAX_TERMS + 1)
    weights[: terms + 1] = own
    return dataclasses.replace(model, weights=weights)


def _standardised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(values):
        return np.array([0.0, 1.0, 0.0, 0.0]), values
    mean, deviation = float(values.mean()), float(values.std())
    deviation = deviation if deviation > 0 else 1.0
    z = (values - mean) / deviation
    return np.array([mean, deviation, *np.quantile(z, _EDGES)]), z


def _newton(columns: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Least mean of eta + e exp(-eta), eta = columns w: convex in w."""
    rows, number = columns.shape
    penalty = np.full(number, _RIDGE)
    penalty[0] = 0.0
    weights = np.zeros(number)

    def loss(w: np.ndarray) -> float:
        eta = columns @ w
        return float((eta + errors * np.exp(-eta)).sum() + (penalty * w**2).sum() / 2)

    now = loss(weights)
    for _ in range(50):
        inverse = errors * np.exp(-columns @ weights)
        slope = columns.T @ (1 - inverse) + penalty * weights
        # A row with a large error bends much, one without hardly: the expected bend is 1 a row.
        bend = (columns * np.maximum(inverse, 0.1)[:, None]).T @ columns + np.diag(penalty + 1e-9)
        step = np.linalg.solve(bend, slope)
        size = 1.0
        while (new := loss(weights - size * step)) > now and size > 1e-6:
            size /= 2
        if not new < now:
            break
        weights, gained, now = weights - size * step, now - new, new
        if gained < 1e-10 * rows:
            break
    return weights
