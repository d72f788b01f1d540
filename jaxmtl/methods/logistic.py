"""Multinomial logistic regression on whitened features, with a penalty that is chosen."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

# Penalties over rows, of the direction that varies most; the strongest comes first.
SHARES = np.logspace(1, -7, 9)
INNER_FOLDS = 3
ROWS_TO_CHOOSE = 9000  # at most: with more, a finer choice changes nothing
MOST_STEPS = 60
_PATIENCE = 2  # weaker penalties without gain after which no weaker one is tried


def fit_logistic(
    z: Float[np.ndarray, "rows directions"],
    labels: Int[np.ndarray, " rows"],
    classes: int,
    relative: Float[np.ndarray, " directions"],
    held: tuple[Float[np.ndarray, "held directions"], Int[np.ndarray, " held"]] | None,
) -> tuple[Float[np.ndarray, "directions classes"], Float[np.ndarray, " classes"], float]:
    """Slopes and intercepts of the logits of classes.

    Args:
        z: directions of mean 0 and mean square 1 that do not correlate.
        labels: numbers of classes.
        classes: that there are.
        relative: penalty of every direction over that of the first.
        held: rows to choose the penalty by; None: by leaving out thirds of the rows.

    Returns:
        Slopes, intercepts, and the penalty over the number of rows. A class that no row has keeps
        slopes of 0 and an intercept far below the others.

    Example:
        >>> z = np.array([[-1.0], [-1.0], [1.0], [1.0]] * 5)
        >>> labels = np.array([0, 0, 2, 2] * 5)
        >>> slopes, intercept, _ = fit_logistic(z, labels, 3, np.ones(1), None)
        >>> bool(slopes[0, 0] < 0 < slopes[0, 2]), bool(intercept[1] < -30)
        (True, True)
    """
    present, labels = np.unique(labels, return_inverse=True)
    slopes, intercept = np.zeros((z.shape[1], classes)), np.zeros(classes)
    share = float(SHARES[0])
    if len(present) > 1 and z.shape[1]:
        share = _choose(z, labels, len(present), relative, present, held)
        weights = _minimum(z, labels, len(present), share * relative, None)
        slopes[:, present], intercept[present] = weights[:-1], weights[-1]
    else:
        intercept[present] = np.log(np.bincount(labels) / len(labels))
    absent = np.setdiff1d(np.arange(classes), present)
    intercept[absent] = intercept[present].min() - 40.0
    return slopes, intercept, share


def _choose(
    z: np.ndarray,
    labels: np.ndarray,
    classes: int,
    relative: np.ndarray,
    present: np.ndarray,
    held: tuple[np.ndarray, np.ndarray] | None,
) -> float:
    """The share with the least log loss on rows that were not fitted on."""
    if held is not None:
        # A class that no training row has is beyond any penalty.
        met = np.isin(held[1], present)
        others = np.searchsorted(present, held[1][met])
        pairs = [((z, labels), (held[0][met], others))] if met.any() else []
    else:
        drawn = np.random.default_rng(0).permutation(len(z))[:ROWS_TO_CHOOSE]
        z, labels, part = z[drawn], labels[drawn], np.arange(len(drawn)) % INNER_FOLDS
        pairs = [
            ((z[part != k], labels[part != k]), (z[part == k], labels[part == k]))
            for k in range(INNER_FOLDS)
            if (part == k).any()
        ]
    if not pairs:
        return float(SHARES[0])
    weights: list[np.ndarray | None] = [None] * len(pairs)
    losses: list[float] = []
    for share in SHARES:
        total = 0.0
        for k, ((train, own), (other, others)) in enumerate(pairs):
            weights[k] = found = _minimum(
                train, own, classes, share * relative, weights[k], loose=True
            )
            logits = other @ found[:-1] + found[-1]
            total += float((_log_sum(logits) - logits[np.arange(len(others)), others]).sum())
        losses.append(total)
        if len(losses) - 1 - int(np.argmin(losses)) >= _PATIENCE:
            break
    return float(SHARES[int(np.argmin(losses))])


def _minimum(
    z: np.ndarray,
    labels: np.ndarray,
    classes: int,
    decay: np.ndarray,
    start: np.ndarray | None,
    *,
    loose: bool = False,
) -> np.ndarray:
    """Weights (directions + 1, classes) of least mean log loss plus penalty."""
    from scipy.optimize import minimize

    # The curvature of the loss is at most 1/4: with steps in this unit all directions are alike.
    unit = np.append(1 / np.sqrt(0.25 + decay), 2.0)[:, None]
    truth = np.eye(classes)[labels] / len(z)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(-1, classes) * unit
        logits = z @ w[:-1] + w[-1]
        total = _log_sum(logits)
        value = total.mean() - (truth * logits).sum() + 0.5 * (decay @ (w[:-1] ** 2)).sum()
        off = np.exp(logits - total[:, None]) / len(z) - truth
        slope = np.vstack([z.T @ off + decay[:, None] * w[:-1], off.sum(axis=0)])
        return float(value), (slope * unit).ravel()

    if start is None:
        shares = np.bincount(labels, minlength=classes) + 1.0
        start = np.vstack([np.zeros((z.shape[1], classes)), np.log(shares / shares.sum())])
    # To tell penalties apart, a loss to four digits will do.
    options: Any = {"maxiter": MOST_STEPS, "ftol": 1e-5 if loose else 1e-9, "gtol": 1e-6}
    found = minimize(loss, (start / unit).ravel(), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(-1, classes) * unit


def _log_sum(logits: np.ndarray) -> np.ndarray:
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
