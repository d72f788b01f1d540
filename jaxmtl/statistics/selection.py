"""What is chosen on rows that were held out, without flattering what is then shown on them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmtl.tasks import Task, check_outputs, output_slices

ROUNDS = 40  # models that are added at most; a weight is a multiple of 1 over their number
ROWS_FOR_MIXTURES = 15  # known labels of a task: with fewer, the single best is taken
CAUTION = 0.25  # standard errors of its gain that a family must be better by than the first
ALIKE = 1.5  # standard errors of its loss that a family may be worse by than the best
NEAR = 1.5  # times the loss of the best, at most, that such a family has
GAIN = 1e-3  # share of the loss below which a further model is not worth it
_EPSILON = float(np.finfo(np.float64).eps)  # to which probabilities are clipped


def choose_from_others(
    scores: Float[np.ndarray, "choices folds"],
) -> Int[np.ndarray, " folds"]:
    """For every fold the choice with the best mean over the *other* folds.

    What is chosen on the very rows that are shown afterwards flatters: epochs, penalties, weights.
    Chosen for fold k from the others, the error on fold k is one of rows that had no say.

    Args:
        scores: losses, the simplest choice first; NaN or infinity where a choice failed. A choice
            that failed in one of the other folds is taken only if all did; a fold in which all
            failed has no say.

    Returns:
        Numbers of choices; the first of equal ones. A single fold has no others: it chooses for
        itself, and what is shown of it flatters, which its user should be told.

    Raises:
        ValueError: no choice, no fold, or another shape.

    Example:
        >>> scores = np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 2.5]])
        >>> choose_from_others(scores).tolist()
        [0, 1, 1]
        >>> choose_from_others(scores[:, :1]).tolist()
        [1]
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"scores: expected (choices, folds), one at least, got {scores.shape}")
    failed = ~np.isfinite(scores)
    counts = ~failed.all(axis=0)
    worst = np.where(failed & counts, np.inf, np.where(counts, scores, 0.0))
    if scores.shape[1] == 1:
        return np.argmin(worst, axis=0)
    # Summed anew for each fold: a difference of sums has other last bits, and infinity no end.
    others = ~np.eye(scores.shape[1], dtype=bool)
    return np.array([int(np.argmin(worst[:, mask].mean(axis=1))) for mask in others])


class Mixture(NamedTuple):
    """Weights of families for every task, and what they come to.

    Attributes:
        weights: from all rows, for the final predictor; those of a task have the sum 1.
        of_folds: of every fold, from the rows of the other folds; only these may be shown.
        predictions: of all rows by ``of_folds``.
        losses: mean loss of these on the known rows of every task; NaN where none is known.
        alone: the same of every family by itself.
        single: whether one family was taken for a task because few labels are known.
        notes: what the user should know.
    """

    weights: Float[np.ndarray, "families tasks"]
    of_folds: Float[np.ndarray, "folds families tasks"]
    predictions: Float[np.ndarray, "rows outputs"]
    losses: Float[np.ndarray, " tasks"]
    alone: Float[np.ndarray, "families tasks"]
    single: Bool[np.ndarray, " tasks"]
    notes: tuple[str, ...]


def greedy(
    predictions: Sequence[Float[np.ndarray, "rows outputs"]],
    y: Float[np.ndarray, "rows tasks"],
    known: Bool[np.ndarray, "rows tasks"],
    tasks: Sequence[Task],
    fold: Int[np.ndarray, " rows"],
    *,
    rows_for_mixtures: int = ROWS_FOR_MIXTURES,
) -> Mixture:
    """Greedy selection with replacement, a task each, from predictions of rows held out.

    Beginning with the best family, the one is added, again and again, whose addition makes the
    loss of the mean least; the shortest sequence is kept whose loss is within a thousandth of the
    least. The best family must be better than the first by a quarter of the standard error of the
    difference, else the first is kept: where nothing can be learned, chance would choose. (On made
    tables of 24 to 600 rows this was as good as no caution, and one standard error was worse.)

    Of families that can hardly be told from the best (by at most 1.5 standard errors of the
    difference) chance prefers some. Where there are several, half of the weight is therefore
    shared equally among them. (On 20 public tables of 38 to 800 rows the error over the best of
    three by hindsight was 0.9625 instead of 0.9692 with five folds, 0.9593 instead of 0.9682 with
    ten; on 18 of them cut to 20 rows 1.025 instead of 1.046 with the single best.) Where rows are
    many, few are alike. A few wild predictions make the standard error as
    large as the error; the loss of such a family is therefore at most 1.5 times that of the best.

    Args:
        predictions: of every family for all rows, each by a model that had not seen the row; the
            simplest family first. Numbers, and probabilities of classes. A family with a
            prediction that is not finite is left out for that task.
        y: targets, a class as its number; anything where not known.
        known: which targets are.
        tasks: their columns.
        fold: number of the fold that held out each row, from 0.
        rows_for_mixtures: known labels that it takes to mix; with fewer, the single best is taken.

    Returns:
        The weights, and honest predictions: those of fold k have weights from the other folds.

    Raises:
        ValueError: no family, or shapes that do not fit.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> y = np.arange(100.0)[:, None]
        >>> families = [np.full((100, 1), 49.5), y + 3, y - 3]
        >>> found = greedy(families, y, np.ones((100, 1), bool), number_tasks(["CO"]),
        ...                np.arange(100) % 5)
        >>> found.weights.ravel().tolist(), found.losses.tolist()
        ([0.0, 0.5, 0.5], [0.0])

    References:
        Caruana, Niculescu-Mizil, Crew, Ksikes (2004), Ensemble Selection from Libraries of Models,
        ICML.
    """
    tasks = tuple(tasks)
    every, y, known, fold = _checked(predictions, y, known, tasks, fold)
    folds = int(fold.max(initial=0)) + 1
    shape = (len(every), len(tasks))
    weights, of_folds = np.zeros(shape), np.zeros((folds, *shape))
    alone, losses = np.full(shape, np.nan), np.full(len(tasks), np.nan)
    single = known.sum(axis=0) < rows_for_mixtures
    mean = np.zeros_like(every[0])
    for t, (task, columns) in enumerate(zip(tasks, output_slices(tasks), strict=True)):
        rows = np.flatnonzero(known[:, t])
        given = _evidence(task, [p[:, columns] for p in every], y[:, t], rows)
        usable = np.array(np.isfinite(given).all(axis=1))
        terms = _terms(task, given)
        alone[usable, t] = terms[usable].mean(axis=1) if len(rows) else np.nan
        weights[:, t] = _weights(task, given, usable, single=bool(single[t]))
        for k in range(folds):
            others = given[:, fold[rows] != k] if folds > 1 else given
            of_folds[k, :, t] = _weights(task, others, usable, single=bool(single[t]))
            here = fold == k
            mean[here, columns] = sum(
                (w * p[here, columns] for w, p in zip(of_folds[k, :, t], every, strict=True) if w),
                start=np.zeros((int(here.sum()), task.width)),
            )
        if len(rows):
            own = _evidence(task, [mean[:, columns]], y[:, t], rows)
            losses[t] = _terms(task, own).mean()
    notes = () if folds > 1 else (ONE_FOLD,)
    return Mixture(weights, of_folds, mean, losses, alone, single, notes)


ONE_FOLD = (
    "what was chosen was chosen on the very rows that its error is shown for, since there is one "
    "fold only: the error flatters"
)


def _checked(
    predictions: Sequence[np.ndarray],
    y: np.ndarray,
    known: np.ndarray,
    tasks: tuple[Task, ...],
    fold: np.ndarray,
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    if not len(predictions):
        raise ValueError("predictions: expected at least one family, got none")
    every = [np.asarray(p, np.float64) for p in predictions]
    y, known, fold = np.asarray(y, np.float64), np.asarray(known, bool), np.asarray(fold)
    for number, p in enumerate(every):
        check_outputs(f"predictions[{number}]", p, tasks)
    shape = (len(every[0]), len(tasks))
    if y.shape != shape or known.shape != shape or any(len(p) != shape[0] for p in every):
        raise ValueError(
            f"y: expected y, known (rows, tasks) {shape} and as many predictions, got {y.shape}, "
            f"{known.shape} and {[len(p) for p in every]}"
        )
    if fold.shape != shape[:1] or fold.dtype.kind not in "iu" or fold.min(initial=0) < 0:
        raise ValueError(
            f"fold: expected a number from 0 for each of {shape[0]} rows, got {fold!r}"
        )
    return every, y, known, fold


def _evidence(
    task: Task, outputs: list[np.ndarray], y: np.ndarray, rows: np.ndarray
) -> Float[np.ndarray, "families known"]:
    """All that the loss of a mean needs: errors of numbers, probabilities of the true class."""
    if task.width == 1:
        return np.stack([p[rows, 0] - y[rows] for p in outputs])
    labels = y[rows].astype(int)
    return np.stack([p[rows, labels] for p in outputs])


def _terms(task: Task, given: Float[np.ndarray, "*families known"]) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return given**2 if task.width == 1 else -np.log(np.clip(given, _EPSILON, 1.0))


def _weights(
    task: Task, given: Float[np.ndarray, "families known"], usable: np.ndarray, *, single: bool
) -> Float[np.ndarray, " families"]:
    """Weights of one task from the rows that may have a say."""
    weights = np.zeros(len(given))
    places = np.flatnonzero(usable)
    if not len(places) or not given.shape[1]:
        weights[places[0] if len(places) else 0] = 1.0
        return weights
    given = given[places]
    terms = _terms(task, given)
    gains = terms[0] - terms
    # A family that is the first one in disguise gains 0 with an error of 0.
    needed = CAUTION * gains.std(axis=1) / np.sqrt(max(gains.shape[1], 1))
    better = gains.mean(axis=1) > needed
    if not better.any():
        weights[places[0]] = 1.0
        return weights
    best = int(np.argmin(np.where(better, terms.mean(axis=1), np.inf)))
    added = [best] if single else _sequence(task, given, best)
    np.add.at(weights, places[added], 1.0 / len(added))
    behind = terms - terms[best]
    most = ALIKE * behind.std(axis=1) / np.sqrt(behind.shape[1])
    alike = behind.mean(axis=1) <= np.minimum(most, (NEAR - 1) * terms[best].mean())
    if not single and alike.sum() > 1:
        weights[places] = (weights[places] + alike / alike.sum()) / 2
    return weights


def _sequence(task: Task, given: np.ndarray, first: int) -> list[int]:
    """Families in the order in which they are added, cut where more of them gain nothing."""
    squares = given @ given.T / given.shape[1] if task.width == 1 else None
    added, total, losses = [first], given[first].copy(), [_terms(task, given[first]).mean()]
    of_sum = squares[first].copy() if squares is not None else None
    norm = float(squares[first, first]) if squares is not None else 0.0
    while len(added) < ROUNDS:
        size = len(added) + 1
        if squares is not None and of_sum is not None:
            # The square of a mean of errors needs only the products of the families' errors.
            found = (norm + 2 * of_sum + np.diag(squares)) / size**2
        else:
            found = np.array([_terms(task, (total + own) / size).mean() for own in given])
        best = int(np.argmin(found))
        if squares is not None and of_sum is not None:
            norm += 2 * float(of_sum[best]) + float(squares[best, best])
            of_sum += squares[best]
        else:
            total += given[best]
        added.append(best)
        losses.append(float(found[best]))
    least = min(losses)
    length = next(k for k, loss in enumerate(losses) if loss <= least * (1 + GAIN)) + 1
    return added[:length]
