"""Tables with several targets that can be had without a network: scikit-learn's and made ones."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

AIR_FEATURES, AIR_TARGETS = ("SO2", "CO", "NO2", "PM10"), ("PM2.5", "O3_8h")


class TableSet(NamedTuple):
    """Features and targets, all of them numbers without gaps."""

    x: Float[np.ndarray, "rows features"]
    y: Float[np.ndarray, "rows targets"]


def linnerud() -> TableSet:
    """20 rows: three exercises and three measures of the body."""
    from sklearn.datasets import load_linnerud

    found: Any = load_linnerud()
    return TableSet(found.data.astype(float), found.target.astype(float))


def columns_of(load: Callable[[], Any], targets: Sequence[int], *, label: bool) -> TableSet:
    """Some columns of a table as targets of the others; its label is one more of either."""
    found = load()
    values = np.asarray(found.data, float)
    others = np.setdiff1d(np.arange(values.shape[1]), targets)
    y = values[:, list(targets)]
    if label:
        y = np.column_stack([y, found.target])
    return TableSet(values[:, others], y)


def diabetes() -> TableSet:
    """442 patients: the progression of the disease, and three of the blood measures."""
    from sklearn.datasets import load_diabetes

    return columns_of(load_diabetes, (5, 7, 9), label=True)


def wine() -> TableSet:
    """178 wines: four of the measures from the others."""
    from sklearn.datasets import load_wine

    return columns_of(load_wine, (0, 6, 9, 12), label=False)


def breast_cancer() -> TableSet:
    """569 tumours: the five worst values of texture to symmetry from means and errors."""
    from sklearn.datasets import load_breast_cancer

    found: Any = load_breast_cancer()
    values = np.asarray(found.data, float)
    return TableSet(values[:, :20], values[:, [21, 24, 25, 28, 29]])


def digits() -> TableSet:
    """1797 pictures: eight points of the lower half from the upper one."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    values = np.asarray(found.data, float)
    return TableSet(values[:, :32], values[:, [34, 35, 36, 37, 43, 44, 51, 52]])


def low_rank(rows: int, features: int, targets: int, seed: int) -> TableSet:
    """Linear targets of features that hang together, with noise of half their spread."""
    rng = np.random.default_rng(seed)
    rank = max(features // 4, 2)
    inner = rng.normal(size=(rows, rank))
    x = inner @ rng.normal(size=(rank, features)) + 0.5 * rng.normal(size=(rows, features))
    y = inner @ rng.normal(size=(rank, targets))
    return TableSet(x, y + 0.5 * y.std(axis=0) * rng.normal(size=y.shape))


def friedman(rows: int, seed: int) -> TableSet:
    """Three functions of Friedman (1991) that have their features in common."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(rows, 10))
    a, b, c, d, e = x.T[:5]
    first = 10 * np.sin(np.pi * a * b) + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e
    second = np.hypot(a, b * c - 1 / (1 + 9 * b * d))
    third = np.arctan2(b * c - 0.1, a + 0.1)
    y = np.stack([first, second, third], axis=1)
    return TableSet(x, y + 0.2 * y.std(axis=0) * rng.normal(size=y.shape))


def steps(rows: int, seed: int) -> TableSet:
    """Targets that jump where features pass thresholds: what trees are made for."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 8))
    inner = (x > 0).astype(float)
    y = np.stack(
        [inner[:, 0] * 2 + inner[:, 1] * inner[:, 2], inner[:, 0] - 3 * inner[:, 3] * inner[:, 4]],
        axis=1,
    )
    return TableSet(x, y + 0.5 * rng.normal(size=y.shape))


def dial(cosine: float, rows: int = 1000, features: int = 20, tasks: int = 8) -> TableSet:
    """MultiTab's dial: linear parts of the tasks whose cosine is exactly the one given.

    With orthonormal rows U and (1 - p) I + p 11' = V L V', the tasks' weights are V sqrt(L) U; task
    i adds the powers 2 to 1 + i mod 3 of its linear part.

    References:
        MultiTab, arXiv:2511.09970.
    """
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(features, tasks)))[0].T
    sizes, vectors = np.linalg.eigh((1 - cosine) * np.eye(tasks) + cosine)
    weights = vectors * np.sqrt(np.maximum(sizes, 0)) @ basis
    x = rng.normal(size=(rows, features))
    linear = x @ weights.T
    y = np.stack(
        [sum(linear[:, i] ** k for k in range(1, 2 + i % 3)) for i in range(tasks)], axis=1
    )
    return TableSet(x, y + 0.3 * y.std(axis=0) * rng.normal(size=y.shape))


def mostly_zeros() -> TableSet:
    """600 rows: counts of which nine in ten are 0."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 6))
    rate = np.exp(x[:, :3] - 3)
    return TableSet(x, rng.poisson(rate).astype(float))


def noise() -> TableSet:
    """150 rows of which nothing can be learned."""
    rng = np.random.default_rng(6)
    return TableSet(rng.normal(size=(150, 8)), rng.normal(size=(150, 3)))


def workbook(path: Path) -> TableSet:
    """Daily values of air, as the study has them; rows with a reading of 0 are left out."""
    from jaxmtl.data import read_table

    names = (*AIR_FEATURES, *AIR_TARGETS)
    table = read_table(path, features=AIR_FEATURES, targets=AIR_TARGETS, missing_values=("0",))
    values = np.column_stack([table.x, table.y])
    good = np.isfinite(values).all(axis=1)
    if not good.any():
        raise ValueError(f"{path}: expected a row with all of {', '.join(names)}, got none")
    return TableSet(table.x[good], table.y[good])


SETS: Mapping[str, Callable[[], TableSet]] = {
    "linnerud": linnerud,
    "diabetes": diabetes,
    "wine": wine,
    "breast_cancer": breast_cancer,
    "digits": digits,
    "lines_50": partial(low_rank, 50, 8, 4, 0),
    "lines_wide": partial(low_rank, 160, 300, 6, 1),
    "friedman_120": partial(friedman, 120, 2),
    "friedman_1500": partial(friedman, 1500, 3),
    "steps_400": partial(steps, 400, 4),
    "dial_0": partial(dial, 0.0),
    "dial_09": partial(dial, 0.9),
    "mostly_zeros": mostly_zeros,
    "noise": noise,
}


def split(rows: int, seed: int, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows at random."""
    order = np.random.default_rng(seed).permutation(rows)
    tested = math.ceil(rows * share)
    return np.sort(order[tested:]), np.sort(order[:tested])
