"""The whole method once more: float64 NumPy, one sample and one task at a time, gradients by hand.

Written from the description of the method alone, so that an agreement with `jaxmtl` means
something: nothing is imported from it, and the network is kept differently (see `oracle_network`).
Slow on purpose: nothing is shared between tasks, samples or weights that the text does not share.

Where the text leaves a choice, the choice made here is marked `choice:` in a comment.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from oracle_network import ACTIVATIONS as ACTIVATIONS
from oracle_network import Network, Node, backward, build, layout, predict_rows
from oracle_network import Param as Param
from oracle_network import predict as predict
from oracle_network import task_gradients as task_gradients


def in_conflict(gradients: Sequence[float], rule: str) -> bool:
    """Do any two of these tasks' gradients at one weight disagree?"""
    for position, g1 in enumerate(gradients):
        for g2 in gradients[position + 1 :]:
            if rule == "nonnegative" and (g1 >= 0) != (g2 >= 0):
                return True
            # g1 * g2 < 0, said without the product, which may underflow to 0
            if rule == "strict" and ((g1 > 0 and g2 < 0) or (g1 < 0 and g2 > 0)):
                return True
    return False


def next_streak(streak: int, gradients: Sequence[float], rule: str, zeros: str) -> int:
    """The streak at one weight after a sample, from its readers' gradients (known targets only)."""
    if len(gradients) < 2:
        return streak  # nothing was learnt about this weight
    if zeros == "hold" and all(g == 0 for g in gradients):
        return streak
    return streak + 1 if in_conflict(gradients, rule) else 0


def moving_tasks(gradients: Mapping[int, float]) -> tuple[int, ...]:
    """Which readers get the copy, from the gradients of those whose target is known where it fired.

    Those that agree with the lowest-numbered of them. Who is not among them is on no side and keeps
    the original.
    """
    lowest = min(gradients)
    moved = tuple(t for t in sorted(gradients) if (gradients[t] >= 0) == (gradients[lowest] >= 0))
    # choice: a streak that was held over zeros can fire where nobody disagrees; the lowest-numbered
    # reader then moves alone, as it always does with two readers.
    return moved if len(moved) < len(gradients) else (lowest,)


def split(net: Network, column: int, tasks: Sequence[int]) -> int:
    """Append a copy of a node that these tasks read from now on; returns its number."""
    node = net.nodes[column]
    twin = Node(copy.deepcopy(node.weights), copy.deepcopy(node.bias), {})
    for task in tasks:
        twin.slots[task] = node.slots.pop(task)
    net.nodes.append(twin)
    return len(net.nodes) - 1


def adam_step(params: Sequence[Param], step: int, learning_rate: float) -> None:
    """One step of Adam (b1 0.9, b2 0.999, eps 1e-8 added outside the root); step counts from 1."""
    for p in params:
        p.first = 0.9 * p.first + 0.1 * p.grad
        p.second = 0.999 * p.second + 0.001 * p.grad**2
        mean, square = p.first / (1 - 0.9**step), p.second / (1 - 0.999**step)
        p.value = p.value - learning_rate * mean / (np.sqrt(square) + 1e-8)


def sgd_step(params: Sequence[Param], step: int, learning_rate: float) -> None:
    """One step of plain gradient descent."""
    del step
    for p in params:
        p.value = p.value - learning_rate * p.grad


def _rows(part: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, known = (*part, None)[:3]
    y = np.asarray(y, dtype=np.float64)
    known = np.ones(y.shape, bool) if known is None else np.asarray(known, dtype=bool)
    return np.asarray(x, dtype=np.float64), y, known


def _mean_errors(net: Network, part: Any) -> np.ndarray:
    x, y, known = _rows(part)
    outputs = predict_rows(net, x)
    errors = [
        [(outputs[r, t] - y[r, t]) ** 2 for r in range(len(y)) if known[r, t]]
        for t in range(y.shape[1])
    ]
    # choice: a task without a single known row has error 0
    return np.array([sum(e) / len(e) if e else 0.0 for e in errors])


def _largest(streaks: list[list[int]], columns: Sequence[int]) -> tuple[int, int, int]:
    """Largest of streaks[k][i] in these columns with its (i, k), the first in row-major order."""
    best = (-1, 0, 0)
    for i in range(len(streaks[0])):
        for k in columns:
            if streaks[k][i] > best[0]:
                best = (streaks[k][i], i, k)
    return best


def _compared(net: Network, found: Mapping[int, Any]) -> list[int]:
    """The columns that two tasks with a known target read: elsewhere a sample says nothing."""
    return [k for k, node in enumerate(net.nodes) if sum(t in found for t in node.slots) > 1]


def _count(
    net: Network,
    streaks: list[list[int]],
    found: Mapping[int, Mapping[Param, np.ndarray]],
    rule: str,
    zeros: str,
) -> list[int]:
    """Carry every streak over one sample; returns the columns in conflict at that sample."""
    columns = []
    for k, node in enumerate(net.nodes):
        readers = [t for t in sorted(node.slots) if t in found]
        hits = 0
        for i in range(len(node.weights.value)):
            gradients = [found[t][node.weights][i] for t in readers]
            hits += in_conflict(gradients, rule)
            streaks[k][i] = next_streak(streaks[k][i], gradients, rule, zeros)
        # choice: a column is in conflict if any of its weights is
        if hits:
            columns.append(k)
    return columns


def run(
    params: Mapping[str, Any],
    splits: Sequence[Any],
    phases: Sequence[Mapping[str, Any]],
    *,
    head_index: Any = None,
    activation: str = "sigmoid",
    output_activation: str | None = "sigmoid",
    optimizer: str = "adam",
    batch_size: int = 1,
    rule: str = "nonnegative",
    zeros: str = "reset",
    transplant: str = "fresh",
    order: Callable[[int, int], Any] | None = None,
) -> dict[str, Any]:
    """Train with splitting, phase after phase.

    Args:
        params: the start in the library's layout; bank columns that nobody reads are ignored.
        splits: train, validation, test, each (x, y) or (x, y, known); the last two may be None or
            left out.
        phases: mappings with epochs, and if wanted warmup (0), threshold (None), learning_rate
            (5e-3).
        head_index: (tasks, slots); None: every task reads columns 0, 1, ...
        activation: a key of ACTIVATIONS, for the shared layers, the nodes and the towers.
        output_activation: a key of ACTIVATIONS or None.
        optimizer: "adam" or "sgd".
        batch_size: rows a step; the last batch of an epoch may be smaller.
        rule: "nonnegative" or "strict".
        zeros: "reset" or "hold".
        transplant: "fresh" starts every phase with a new optimizer, "copy" keeps it and gives the
            copy its original's moments.
        order: (phase, epoch), both from 1, to the rows in the order of their use; None: file order.

    Returns:
        params and head_index (library layout), history (a dict of arrays with one entry an epoch
        that ran), and events (a list of dicts).
    """
    assert rule in ("nonnegative", "strict")
    assert zeros in ("reset", "hold")
    assert transplant in ("fresh", "copy")
    padded = (*splits, None, None)[:3]
    parts = dict(zip(("train", "validation", "test"), padded, strict=True))
    x, y, known = _rows(parts["train"])
    net = build(params, head_index, activation, output_activation)
    capacity = np.shape(params["bank"]["bias"])[0]
    take_step = {"adam": adam_step, "sgd": sgd_step}[optimizer]
    counters = ("phase", "epoch", "samples", "conflicts")
    history: dict[str, list] = {name: [] for name in (*counters, *parts)}
    events: list[dict[str, Any]] = []
    step = 0
    for phase_number, phase in enumerate(phases, start=1):
        threshold = np.inf if phase.get("threshold") is None else phase["threshold"]
        learning_rate = phase.get("learning_rate", 5e-3)
        if transplant == "fresh":
            step = 0
            for p in net.params():
                p.forget()
        streaks = [[0] * len(node.weights.value) for node in net.nodes]
        event = None
        for epoch in range(1, phase["epochs"] + 1):
            rows = np.arange(len(x)) if order is None else np.asarray(order(phase_number, epoch))
            conflicts, used = [0] * capacity, 0
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                for p in net.params():
                    p.grad = np.zeros_like(p.value)
                for position, row in enumerate(batch):
                    found = {
                        t: backward(net, t, x[row], y[row, t])[1]
                        for t in range(y.shape[1])
                        if known[row, t]
                    }
                    for t, grads in found.items():
                        for p, grad in grads.items():
                            p.grad = p.grad + grad / known[batch, t].sum()
                    for k in _count(net, streaks, found, rule, zeros):
                        # choice: the rows of a batch after the one that fired are counted too,
                        # because the step used them.
                        conflicts[k] += 1
                    # choice: a streak that this sample only left alone does not fire at it, though
                    # it may be long enough (under the threshold of another epoch it was not).
                    streak, i, k = _largest(streaks, _compared(net, found))
                    warm = epoch >= phase.get("warmup", 0)
                    if event is None and warm and streak >= threshold:
                        weights = net.nodes[k].weights
                        signs = {t: found[t][weights][i] for t in found if weights in found[t]}
                        event = {
                            "phase": phase_number,
                            "epoch": epoch,
                            # choice: the place in the epoch's order; in file order, the row
                            "sample": start + position,
                            "node": k,
                            "copy": len(net.nodes),
                            "streak": streak,
                            "tasks": moving_tasks(signs),
                        }
                step += 1
                take_step(net.params(), step, learning_rate)
                used += len(batch)
                if event is not None:
                    break
            values = (phase_number, epoch, used, conflicts)
            for name, value in zip(counters, values, strict=True):
                history[name].append(value)
            for name, part in parts.items():
                if part is not None:
                    history[name].append(_mean_errors(net, part))
            if event is not None:
                break
        if event is not None:
            split(net, event["node"], event["tasks"])
            events.append(event)
    final, final_index = layout(net, params)
    return {
        "params": final,
        "head_index": final_index,
        "history": {name: np.array(values) if values else None for name, values in history.items()},
        "events": events,
    }
