"""Backpropagation by hand for linear hidden nodes under sigmoid outputs, all rows at once.

    h = x W + b,    o_t = σ(h · v_t + c_t),    L_t = (o_t - y_t)²

    δ_t        = ∂L_t/∂z_t      = 2 (o_t - y_t) o_t (1 - o_t)
    ∂L_t/∂v_t  = δ_t h          ∂L_t/∂c_t = δ_t
    ∂L_t/∂h    = δ_t v_t        (the nodes are linear: no derivative of an activation)
    ∂L_t/∂W    = x ⊗ (δ_t v_t)  ∂L_t/∂b   = δ_t v_t

Every product of δ with σ' is elementwise. Parameters and gradients are in the library's layout
(bank, output), no column of the bank being split; columns beyond the nodes in use get gradient 0.
Imports nothing from the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

Params = dict[str, dict[str, np.ndarray]]


class Descent(NamedTuple):
    """Gradient descent on all rows at once, until it ended or the tasks disagreed for too long."""

    params: Params
    streak: np.ndarray  # (features, capacity), after the last update
    conflicts: np.ndarray  # (features, capacity), updates in conflict at each weight
    updates: int
    stopped: bool


def forward(params: Mapping[str, Any], x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Hidden values (rows, nodes) and outputs (rows, tasks)."""
    v, c = np.asarray(params["output"]["kernel"])[:, :, 0], np.asarray(params["output"]["bias"])
    nodes = v.shape[1]
    kernel = np.asarray(params["bank"]["kernel"])[:, :nodes]
    h = np.asarray(x, dtype=np.float64) @ kernel + np.asarray(params["bank"]["bias"])[:nodes]
    return h, 1.0 / (1.0 + np.exp(-(h @ v.T + c[:, 0])))


def sample_task_gradients(params: Mapping[str, Any], x: Any, y: Any) -> Params:
    """Gradient of each task's squared error on each row: leaves (rows, tasks, *parameter)."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    v = np.asarray(params["output"]["kernel"], dtype=np.float64)[:, :, 0]
    h, o = forward(params, x)
    (rows, tasks), nodes = y.shape, v.shape[1]
    delta = 2.0 * (o - y) * o * (1.0 - o)
    at_hidden = delta[:, :, None] * v  # (rows, tasks, nodes)
    bank_kernel = np.zeros((rows, tasks, *np.shape(params["bank"]["kernel"])))
    bank_bias = np.zeros((rows, tasks, *np.shape(params["bank"]["bias"])))
    bank_kernel[..., :nodes] = x[:, None, :, None] * at_hidden[:, :, None, :]
    bank_bias[..., :nodes] = at_hidden
    # the head of task s has no part in the error of task t
    own = np.eye(tasks)
    out_bias = delta[:, :, None] * own
    return {
        "bank": {"kernel": bank_kernel, "bias": bank_bias},
        "output": {
            "kernel": (out_bias[..., None] * h[:, None, None, :])[..., None],
            "bias": out_bias[..., None],
        },
    }


def task_gradients(params: Mapping[str, Any], x: Any, y: Any) -> Params:
    """Gradient of each task's mean squared error over all rows: leaves (tasks, *parameter)."""
    each = sample_task_gradients(params, x, y)
    return {n: {k: leaf.mean(axis=0) for k, leaf in layer.items()} for n, layer in each.items()}


def mean_gradients(params: Mapping[str, Any], x: Any, y: Any) -> Params:
    """Gradient of the mean over rows of the sum over tasks."""
    each = task_gradients(params, x, y)
    return {n: {k: leaf.sum(axis=0) for k, leaf in layer.items()} for n, layer in each.items()}


def descend(
    params: Mapping[str, Any],
    x: Any,
    y: Any,
    *,
    learning_rate: float,
    updates: int,
    threshold: int = 3,
) -> Descent:
    """Plain gradient descent; stops after the update at which a streak reaches the threshold.

    A streak counts, at one weight of the bank, the consecutive updates before which the tasks'
    gradients over all rows differed in `>= 0`.
    """
    params = {
        n: {k: np.array(leaf, dtype=np.float64) for k, leaf in layer.items()}
        for n, layer in params.items()
    }
    streak = np.zeros(params["bank"]["kernel"].shape, int)
    conflicts = np.zeros_like(streak)
    for update in range(1, updates + 1):
        each = task_gradients(params, x, y)
        conflict = _disagree(each["bank"]["kernel"], axis=0)
        streak = np.where(conflict, streak + 1, 0)
        conflicts += conflict
        for name, layer in params.items():
            for part, leaf in layer.items():
                leaf -= learning_rate * each[name][part].sum(axis=0)
        if streak.max() >= threshold:
            return Descent(params, streak, conflicts, update, True)
    return Descent(params, streak, conflicts, updates, False)


def count_conflicts(params: Mapping[str, Any], x: Any, y: Any) -> np.ndarray:
    """Number of rows on which some two tasks' gradients differ in `>= 0`: (features, capacity)."""
    return _disagree(sample_task_gradients(params, x, y)["bank"]["kernel"], axis=1).sum(axis=0)


def _disagree(gradients: np.ndarray, axis: int) -> np.ndarray:
    positive = gradients >= 0
    return positive.any(axis=axis) & ~positive.all(axis=axis)
