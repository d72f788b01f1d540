"""Splitting shared nodes as a scalar loop, compiled by numba: what plain C would do.

The study's network only (4 - 4 - 3 sigmoid nodes, two sigmoid heads), one sample a step, Adam. All
sizes are compile-time constants, all parameters lie in one vector, so that the optimizer is one
vectorised loop, and nothing is allocated while it runs. The counting uses that a sigmoid is
positive: all weights of a node agree, and one counter a node is enough.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from problem import FEATURES, HIDDEN, NODES, TASKS

try:
    import numba
except ImportError as error:
    raise ImportError(
        "expected numba for this benchmark, found none; install it with: "
        "pip install 'jaxmtl[bench]'"
    ) from error

CAPACITY = TASKS * NODES
# Where each piece begins in the vector; the bank is last, so that free columns are at its end.
HIDDEN_BIAS = FEATURES * HIDDEN
HEADS = HIDDEN_BIAS + HIDDEN  # a task: NODES weights, then the bias
BANK = HEADS + TASKS * (NODES + 1)  # a node: HIDDEN weights, then the bias
SIZE = BANK + CAPACITY * (HIDDEN + 1)
NEVER = 2**31 - 1


@numba.njit(error_model="numpy")
def _errors(
    theta: np.ndarray,
    columns: np.ndarray,
    used: int,
    x: np.ndarray,
    y: np.ndarray,
    history: np.ndarray,
    epoch: int,
) -> None:
    """Mean squared error of each task over all rows, into the epoch's row of history."""
    if history.shape[0] == 0:
        return
    one = theta.dtype.type(1.0)
    a, h = np.empty(HIDDEN, theta.dtype), np.empty(CAPACITY, theta.dtype)
    for t in range(TASKS):
        history[epoch - 1, t] = 0.0
    for r in range(x.shape[0]):
        for j in range(HIDDEN):
            z = theta[HIDDEN_BIAS + j]
            for i in range(FEATURES):
                z += x[r, i] * theta[i * HIDDEN + j]
            a[j] = one / (one + math.exp(-z))
        for k in range(used):
            at = BANK + k * (HIDDEN + 1)
            z = theta[at + HIDDEN]
            for j in range(HIDDEN):
                z += a[j] * theta[at + j]
            h[k] = one / (one + math.exp(-z))
        for t in range(TASKS):
            at = HEADS + t * (NODES + 1)
            z = theta[at + NODES]
            for s in range(NODES):
                z += h[columns[t, s]] * theta[at + s]
            error = one / (one + math.exp(-z)) - y[r, t]
            history[epoch - 1, t] += error * error / x.shape[0]


def _phase(
    theta: np.ndarray,
    work: np.ndarray,
    columns: np.ndarray,
    streak: np.ndarray,
    used: int,
    x: np.ndarray,
    y: np.ndarray,
    epochs: int,
    warmup: int,
    threshold: int,
    learning_rate: float,
    history: np.ndarray,
) -> tuple[int, int, int]:
    """Train one phase; returns (epochs begun, sample that fired or -1, its node).

    theta (SIZE,) and streak (CAPACITY,) are updated in place; work (3, SIZE) is gradient and
    moments, columns (TASKS, NODES) the bank column of each slot, used the number of columns in use,
    history (epochs, TASKS) the training errors, not computed if it has no rows.
    """
    kind = theta.dtype.type
    zero, one, two = kind(0.0), kind(1.0), kind(2.0)
    b1, b2, eps, rate = kind(0.9), kind(0.999), kind(1e-8), kind(learning_rate)
    one_b1, one_b2 = kind(0.1), kind(0.001)
    grad, first, second = work[0], work[1], work[2]
    a, h, below = np.empty(HIDDEN, kind), np.empty(CAPACITY, kind), np.empty(HIDDEN, kind)
    delta = np.zeros((TASKS, CAPACITY), kind)
    active = BANK + used * (HIDDEN + 1)
    power1, power2 = 1.0, 1.0
    first[:] = zero
    second[:] = zero
    streak[:] = 0
    rows = x.shape[0]
    for epoch in range(1, epochs + 1):
        for r in range(rows):
            # forward: all the nodes once
            for j in range(HIDDEN):
                z = theta[HIDDEN_BIAS + j]
                for i in range(FEATURES):
                    z += x[r, i] * theta[i * HIDDEN + j]
                a[j] = one / (one + math.exp(-z))
                below[j] = zero
            for k in range(used):
                at = BANK + k * (HIDDEN + 1)
                z = theta[at + HIDDEN]
                for j in range(HIDDEN):
                    z += a[j] * theta[at + j]
                h[k] = one / (one + math.exp(-z))
            # the heads, and their gradients down to the nodes
            for t in range(TASKS):
                at = HEADS + t * (NODES + 1)
                z = theta[at + NODES]
                for s in range(NODES):
                    z += h[columns[t, s]] * theta[at + s]
                o = one / (one + math.exp(-z))
                d = two * (o - y[r, t]) * o * (one - o)
                grad[at + NODES] = d
                for s in range(NODES):
                    k = columns[t, s]
                    grad[at + s] = d * h[k]
                    delta[t, k] = d * theta[at + s] * h[k] * (one - h[k])
            # the bank and its streaks; a task that does not read k has left delta[t, k] at 0
            longest, node = 0, 0
            for k in range(used):
                shared = k < NODES and columns[0, k] == columns[1, k]
                if shared and (delta[0, k] >= zero) != (delta[1, k] >= zero):
                    streak[k] += 1
                else:
                    streak[k] = 0
                if streak[k] > longest:
                    longest, node = streak[k], k
                d = delta[0, k] + delta[1, k]
                at = BANK + k * (HIDDEN + 1)
                grad[at + HIDDEN] = d
                for j in range(HIDDEN):
                    grad[at + j] = a[j] * d
                    below[j] += theta[at + j] * d
            for j in range(HIDDEN):
                d = below[j] * a[j] * (one - a[j])
                grad[HIDDEN_BIAS + j] = d
                for i in range(FEATURES):
                    grad[i * HIDDEN + j] = x[r, i] * d
            # Adam: rate (m / c1) / (sqrt(v / c2) + eps), with the corrections taken out of the loop
            power1 *= 0.9
            power2 *= 0.999
            root = math.sqrt(1.0 - power2)
            scale, floor = rate * kind(root / (1.0 - power1)), eps * kind(root)
            for p in range(active):
                g = grad[p]
                m = b1 * first[p] + one_b1 * g
                v = b2 * second[p] + one_b2 * g * g
                first[p] = m
                second[p] = v
                theta[p] -= scale * m / (math.sqrt(v) + floor)
            if epoch >= warmup and longest >= threshold:
                _errors(theta, columns, used, x, y, history, epoch)
                return epoch, r, node
        _errors(theta, columns, used, x, y, history, epoch)
    return epochs, -1, -1


# compiled at the first call with each dtype
PHASE = {
    fastmath: numba.njit(error_model="numpy", fastmath=fastmath)(_phase)
    for fastmath in (False, True)
}


def _pack(params: Mapping[str, Any], dtype: Any) -> np.ndarray:
    """The parameters in the library's layout as one vector."""
    bank = np.vstack([params["bank"]["kernel"], params["bank"]["bias"]])
    heads = np.concatenate([params["output"]["kernel"][..., 0], params["output"]["bias"]], axis=1)
    pieces = [params["shared_0"]["kernel"], params["shared_0"]["bias"], heads, bank.T]
    theta = np.concatenate([np.ravel(piece) for piece in pieces]).astype(dtype)
    assert theta.shape == (SIZE,), "numba_loop is written for the study's network only"
    return theta


def run_numba(
    x: np.ndarray,
    y: np.ndarray,
    params: Mapping[str, Any],
    phases: Sequence[Mapping[str, Any]],
    dtype: Any = np.float64,
    *,
    fastmath: bool = False,
    evaluate: bool = True,
) -> dict[str, Any]:
    """The whole run: events, training errors of each task after every epoch, samples used."""
    x, y = np.ascontiguousarray(x, dtype), np.ascontiguousarray(y, dtype)
    theta, work = _pack(params, dtype), np.zeros((3, SIZE), dtype)
    columns = np.tile(np.arange(NODES), (TASKS, 1))
    streak, used, samples = np.zeros(CAPACITY, np.int64), NODES, 0
    histories, events = [], []
    for number, phase in enumerate(phases, start=1):
        threshold = NEVER if phase.get("threshold") is None else phase["threshold"]
        history = np.zeros((phase["epochs"] if evaluate else 0, TASKS))
        epochs, sample, node = PHASE[fastmath](
            *(theta, work, columns, streak, used, x, y),
            *(phase["epochs"], phase.get("warmup", 0), threshold),
            *(float(phase.get("learning_rate", 5e-3)), history),
        )
        histories.append(history[:epochs])
        samples += epochs * len(x)
        if sample >= 0:
            samples += sample + 1 - len(x)
            events.append((number, epochs, sample, node, used))
            bank = theta[BANK:].reshape(CAPACITY, HIDDEN + 1)
            bank[used] = bank[node]
            columns[0, columns[0] == node] = used
            used += 1
    return {"train": np.concatenate(histories), "events": events, "samples": samples}


def time_numba(
    x: np.ndarray,
    y: np.ndarray,
    params: Mapping[str, Any],
    phases: Sequence[Mapping[str, Any]],
    dtype: Any = np.float32,
    *,
    fastmath: bool = False,
    evaluate: bool = True,
) -> float:
    """Seconds a sample of a whole run, compiled before the clock starts."""
    first = [{**phases[0], "epochs": 1}]
    run_numba(x, y, params, first, dtype, fastmath=fastmath, evaluate=evaluate)
    started = time.perf_counter()
    run = run_numba(x, y, params, phases, dtype, fastmath=fastmath, evaluate=evaluate)
    return (time.perf_counter() - started) / run["samples"]
