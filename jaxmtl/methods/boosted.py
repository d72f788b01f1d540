"""Gradient-boosted trees for tasks of every kind: grown by scikit-learn, kept as compact arrays."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float32, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.boosted_arrays import Grown, forests_of
from jaxmtl.methods.forest import ForestModel, as_learned
from jaxmtl.methods.levels import buckets_of, code_columns
from jaxmtl.methods.links import Link, floors
from jaxmtl.methods.method import Fitted, Work
from jaxmtl.methods.of_each_task import (
    check_known,
    measured,
    note_of_part,
    rows_drawn,
    some_rows,
)
from jaxmtl.metrics.of_tasks import EPSILON
from jaxmtl.statistics.selection import choose_from_others
from jaxmtl.tasks import Task, output_slices

MOST_ROUNDS = 300
ROUNDS_AT_ONCE = 75
PATIENCE = 25  # rounds without gain after which no more are grown
LEARNING_RATE = 0.1
INNER_PARTS = 4
_BUCKETS = 254  # and one for all others: what scikit-learn takes
ROWS_FOR_THREADS = 10_000  # with fewer, threads would wait for each other longer than they work


@dataclasses.dataclass(frozen=True)
class Boosted:
    """Histogram gradient boosting, a task at a time.

    Numbers have the squared error; counts, where none is below 0, the deviance of a Poisson
    distribution; classes the log loss. The number of rounds, perhaps none, is chosen on the
    validation rows. Without any, that of a fold is chosen on the rows that the other folds hold
    out; and where there are no others, on inner parts of the training rows. Of more than 100 000
    rows, as many are drawn at random.

    References:
        Friedman (2001), Greedy Function Approximation: A Gradient Boosting Machine, Annals of
        Statistics 29(5); as scikit-learn's ``HistGradientBoostingRegressor`` has it.
    """

    name: str = "boosted"
    description: str = "gradient-boosted trees, a target at a time (scikit-learn)"

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """One model a fold; neither keys nor work are needed."""
        # Only threads of what is loaded by then are limited.
        import sklearn.ensemble  # noqa: F401
        from threadpoolctl import threadpool_limits

        del keys, work
        check_known(self.name, data, folds)
        learned = [_Learned.of(rows_drawn(some_rows(data, fold.train))) for fold in folds]
        most = max(len(own.x) for own in learned)
        forests: list[list[Any]] = [[] for _ in learned]
        rounds: list[list[int]] = [[] for _ in learned]
        links = []
        with threadpool_limits(1 if most < ROWS_FOR_THREADS else 2, "openmp"):
            for t, columns in enumerate(output_slices(data.tasks)):
                link = _link(data.tasks[t], data.y[data.known[:, t], t])
                links.append(link)
                for k, grown in enumerate(_grow_task(link, data, folds, learned, t)):
                    rounds[k].append(grown.rounds)
                    forests[k] += forests_of(grown, learned[k].order, columns.start)
        models = [
            ForestModel(
                forests=tuple(own),
                codes=rows.codes,
                links=tuple(links),
                floor=floors(data.tasks, rows.y, rows.known),
            )
            for own, rows in zip(forests, learned, strict=True)
        ]
        found = measured(data, folds, models, [{"rounds": own} for own in rounds])
        return dataclasses.replace(found, notes=note_of_part(self.name, folds))


class _Learned(NamedTuple):
    """Training rows of a fold, the columns with numbers of levels first, as buckets.

    That is the order which scikit-learn gives them.
    """

    x: Float32[np.ndarray, "rows features"]
    y: np.ndarray
    known: np.ndarray
    codes: tuple[tuple[int, np.ndarray], ...]
    order: np.ndarray

    @staticmethod
    def of(train: Data) -> "_Learned":
        codes = tuple(
            (at, buckets_of(train.x[:, at], size, _BUCKETS)) for at, size in code_columns(train)
        )
        first = np.array([column for column, _ in codes], int)
        order = np.append(first, np.setdiff1d(np.arange(train.x.shape[1]), first))
        x = as_learned(train.x, codes)[:, order]
        return _Learned(x, train.y, train.known, codes, order)

    def task(self, t: int) -> "_Rows":
        return _Rows.known_of(self.x, self.y, self.known, t)

    def others(self, data: Data, rows: np.ndarray, t: int) -> "_Rows":
        """Further rows of a task, coded alike."""
        x = as_learned(data.x[rows], self.codes)[:, self.order]
        return _Rows.known_of(x, data.y[rows], data.known[rows], t)


class _Rows(NamedTuple):
    """Rows of one task."""

    x: Float32[np.ndarray, "rows features"]
    y: Float[np.ndarray, " rows"]

    @staticmethod
    def known_of(x: np.ndarray, y: np.ndarray, known: np.ndarray, t: int) -> "_Rows":
        mask = known[:, t]
        return _Rows(x if mask.all() else x[mask], y[mask, t].astype(float))

    def some(self, rows: np.ndarray) -> "_Rows":
        return _Rows(self.x[rows], self.y[rows])


def _link(task: Task, y: np.ndarray) -> Link:
    if task.width > 1:
        return Link("softmax", task.width)
    poisson = task.kind == "count" and y.min() >= 0 and y.max() > 0
    return Link("exp" if poisson else "same", 1)


def _grow_task(
    link: Link, data: Data, folds: Folds, learned: Sequence[_Learned], t: int
) -> list[Grown]:
    """Trees of one task, a fold each, as many as were chosen."""
    own = [rows.task(t) for rows in learned]
    levels = len(learned[0].codes)
    pairs = zip(learned, folds, strict=True)
    held = [rows.others(data, fold.validation, t) for rows, fold in pairs]
    if all(len(rows.y) for rows in held):
        models, curves = _curves(link, list(zip(own, held, strict=True)), levels)
        rounds = np.argmin(curves, axis=0)
    elif _apart(data, folds, t):
        pairs = zip(learned, folds, strict=True)
        held = [rows.others(data, fold.test, t) for rows, fold in pairs]
        models, curves = _curves(link, list(zip(own, held, strict=True)), levels)
        rounds = choose_from_others(curves)
    else:
        models, rounds = [], []
        for rows in own:
            rounds.append(_inner_rounds(link, rows, levels))
            grows = rounds[-1] and _varies(rows)
            model = _model(link, len(rows.y), levels) if grows else None
            models.append(model and model.set_params(max_iter=rounds[-1]).fit(rows.x, rows.y))
    return [
        Grown(
            model,
            int(number) if model is not None else 0,
            link,
            _constant(link, rows.y),
            tuple(np.unique(rows.x[:, k]).astype(int) for k in range(levels)),
        )
        for model, number, rows in zip(models, rounds, own, strict=True)
    ]


def _apart(data: Data, folds: Folds, t: int) -> bool:
    """Whether no row is held out by two folds, so that the others may choose for one."""
    held = np.concatenate([fold.test for fold in folds])
    judges = sum(bool(data.known[fold.test, t].any()) for fold in folds)
    return judges > 1 and len(np.unique(held)) == len(held)


def _inner_rounds(link: Link, rows: _Rows, levels: int) -> int:
    part = np.random.default_rng(0).permutation(len(rows.y)) % INNER_PARTS
    parts = [part == k for k in range(INNER_PARTS) if (part == k).any()]
    pairs = [(rows.some(~inner), rows.some(inner)) for inner in parts]
    _, curves = _curves(link, [pair for pair in pairs if len(pair[0].y)] or [(rows, rows)], levels)
    return int(np.argmin(curves.mean(axis=1)))


def _curves(
    link: Link, pairs: Sequence[tuple[_Rows, _Rows]], levels: int
) -> tuple[list[Any], Float[np.ndarray, "rounds pairs"]]:
    """Models of the first of each pair, and their mean losses on the second after each round.

    The first loss is that of no round. All grow until their mean loss has its least behind it.
    """
    models = [_model(link, len(fit.y), levels) if _varies(fit) else None for fit, _ in pairs]
    start = [_loss(link, _constant(link, fit.y)[None], test.y) for fit, test in pairs]
    curves = np.array([start])
    while len(curves) <= MOST_ROUNDS:
        following = np.repeat(np.array([start]), len(curves) + ROUNDS_AT_ONCE, axis=0)
        for k, (model, (fit, test)) in enumerate(zip(models, pairs, strict=True)):
            if model is not None:
                model.set_params(max_iter=len(following) - 1, warm_start=True)
                model.fit(fit.x, fit.y)
                if len(test.y):
                    stages = _stages(model, link, test.x)
                    following[1:, k] = [_loss(link, stage, test.y) for stage in stages]
        curves = following
        mean = curves[:, ~np.isnan(curves[0])].mean(axis=1)
        if len(mean) - 1 - int(np.argmin(mean)) >= PATIENCE:
            break
    return models, curves


def _varies(rows: _Rows) -> bool:
    return len(rows.y) > 1 and bool((rows.y != rows.y[0]).any())


def _model(link: Link, rows: int, levels: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    given: dict[str, Any] = {
        "learning_rate": LEARNING_RATE,
        "min_samples_leaf": min(max(rows // 20, 3), 20),
        "early_stopping": False,
        "random_state": 0,
        "categorical_features": list(range(levels)) or None,
    }
    if link.kind == "softmax":
        return HistGradientBoostingClassifier(**given)
    loss = "poisson" if link.kind == "exp" else "squared_error"
    return HistGradientBoostingRegressor(loss=loss, **given)


def _constant(link: Link, y: np.ndarray) -> Float[np.ndarray, " width"]:
    """What no round predicts, in the scale of the outputs."""
    if link.kind != "softmax":
        return np.array([y.mean()])
    return np.bincount(y.astype(int), minlength=link.width) / len(y)


def _stages(model: Any, link: Link, x: np.ndarray) -> Any:
    """Outputs after each round."""
    if link.kind != "softmax":
        return (stage[:, None] for stage in model.staged_predict(x))
    places = model.classes_.astype(int)

    def of_all(shares: np.ndarray) -> np.ndarray:
        found = np.zeros((len(shares), link.width))
        found[:, places] = shares
        return found

    return (of_all(shares) for shares in model.staged_predict_proba(x))


def _loss(link: Link, outputs: np.ndarray, y: np.ndarray) -> float:
    """The mean over some rows, NaN for none; outputs of one row stand for all."""
    if not len(y):
        return float("nan")
    outputs = np.broadcast_to(outputs, (len(y), link.width))
    if link.kind == "same":
        return float(((outputs[:, 0] - y) ** 2).mean())
    if link.kind == "exp":
        rate = np.maximum(outputs[:, 0], EPSILON)
        return float((rate - y * np.log(rate)).mean())
    given = outputs[np.arange(len(y)), y.astype(int)]
    return float(-np.log(np.maximum(given, EPSILON)).mean())
