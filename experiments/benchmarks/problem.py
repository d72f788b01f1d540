"""What every contestant is given: the same rows, the same start, the same phases. NumPy only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Params = dict[str, dict[str, np.ndarray]]

FEATURES, HIDDEN, NODES, TASKS = 4, 4, 3, 2

STUDY_PHASES: tuple[dict[str, Any], ...] = (
    {"epochs": 200, "warmup": 80, "threshold": 10, "learning_rate": 5e-3},
    {"epochs": 50, "warmup": 50, "threshold": 8, "learning_rate": 5e-3},
    {"epochs": 100, "warmup": 51, "threshold": 8, "learning_rate": 5e-3},
    {"epochs": 300, "learning_rate": 1e-3},
)


class Problem(NamedTuple):
    """Rows (x, y) and a start, in float64."""

    x: np.ndarray
    y: np.ndarray
    params: Params


def never_splits(epochs: int) -> tuple[dict[str, Any], ...]:
    """One phase that counts all the way and has a threshold that no streak reaches."""
    return ({"epochs": epochs, "threshold": 10**8, "learning_rate": 5e-3},)


def make_rows(num_rows: int = 925, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows like those of the study: 4 gases to PM2.5 and ozone, each scaled to 0..1.

    A common load (the stagnant air of winter) moves all gases and PM2.5 up and ozone down; the rest
    is skewed noise. Float64: x (num_rows, 4), y (num_rows, 2).
    """
    rng = np.random.default_rng(seed)
    load = rng.normal(size=num_rows)
    noise = rng.normal(size=(num_rows, FEATURES))
    x = np.exp(0.5 * load[:, None] * [0.6, 0.8, 0.9, 1.0] + 0.3 * noise)
    heat = rng.normal(size=num_rows)
    dust = x @ [0.1, 0.3, 0.2, 0.6] + 0.15 * rng.normal(size=num_rows)
    ozone = 1.5 - 0.4 * load + 0.8 * heat + 0.2 * x[:, 0] - 0.3 * x[:, 2]
    y = np.stack([dust, np.exp(0.4 * ozone)], axis=1)
    return _unit(x), _unit(y)


def make_params(seed: int = 0) -> Params:
    """The study's network in the library's layout, every layer uniform within ±1/√fan_in."""
    rng = np.random.default_rng(seed)

    def dense(fan_in: int, kernel: tuple[int, ...], bias: tuple[int, ...]) -> dict[str, np.ndarray]:
        bound = fan_in**-0.5
        return {
            "kernel": rng.uniform(-bound, bound, kernel),
            "bias": rng.uniform(-bound, bound, bias),
        }

    capacity = TASKS * NODES
    return {
        "shared_0": dense(FEATURES, (FEATURES, HIDDEN), (HIDDEN,)),
        "bank": dense(HIDDEN, (HIDDEN, capacity), (capacity,)),
        "output": dense(NODES, (TASKS, NODES, 1), (TASKS, 1)),
    }


def _unit(values: np.ndarray) -> np.ndarray:
    low, high = values.min(axis=0), values.max(axis=0)
    return (values - low) / (high - low)
