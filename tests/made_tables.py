"""Made tables with tasks and columns of every kind."""

import numpy as np

from jaxmtl.data import SplitIndices
from jaxmtl.data.folds import Data, Folds, Part
from jaxmtl.tasks import Task

NONE = np.array([], int)
TASKS = (
    Task(name="number"),
    Task(name="rain", kind="classes", classes=("no", "yes")),
    Task(name="level", kind="classes", classes=("low", "mid", "high", "never")),
    Task(name="other"),
)
CITIES = 7  # that of cities not met is the last


def mixed_data(rows=150, missing=0.2, seed=0):
    """Three numbers, a flag and the number of a city; a class that no row has."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)).astype(np.float32)
    x[:, 3] = x[:, 3] > 0.5
    x[:, 4] = rng.integers(0, CITIES - 1, rows)
    effect = np.array([2.0, -1, 0, 1, 3, -2, 0])[x[:, 4].astype(int)]
    signal = x[:, 0] + effect + x[:, 1] * x[:, 3]
    noisy = signal + rng.normal(0, 0.7, rows)
    y = np.stack(
        [noisy, noisy > 0.5, np.digitize(noisy, [-1, 1.5]), 50 + 3 * signal], axis=1
    ).astype(float)
    known = rng.uniform(size=y.shape) >= missing
    known[:, 3] = known[:, 0]
    parts = (Part("a"), Part("b"), Part("c"), Part("d", "level"), Part("City", "code", CITIES))
    return Data(x=x, y=np.where(known, y, 0), known=known, tasks=TASKS, parts=parts)


def kfold(rows, folds=3, seed=0):
    part = np.random.default_rng(seed).permutation(rows) % folds
    every = (
        SplitIndices(np.flatnonzero(part != k), NONE, np.flatnonzero(part == k))
        for k in range(folds)
    )
    return Folds(parts=tuple(every))
