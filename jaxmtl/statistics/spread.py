"""How large an error is to be expected at a row: fitted to rows that were left out; NumPy only."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.plain.spread import (
    BY_PREDICTION,
    FLOOR,
    KNOTS,
    MAX_TERMS,
    SpreadModel,
)

FEWEST = 50  # rows, below which all rows are taken for alike
_DOUBT = 0.5  # standard errors by which a term must be better
_RIDGE = 2.0  # rows that say that a term has no effect
_EDGES = (0.01, 0.99)  # quantiles beyond which nothing changes


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
    floor = max(FLOOR * float(disagreement.mean()), 1e-30) if len(disagreement) else 1.0
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
    columns = model.columns(predicted, disagreement)
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
