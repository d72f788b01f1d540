"""The whole method once more: float64 NumPy, one sample and one task at a time, gradients by hand.

Written from the description of the method alone, so that an agreement with `jaxmtl` means
something: nothing is imported from it, and the network is kept differently. Here it is a list of
nodes, each with its own incoming weights, its bias and the tasks that read it; there is no bank, no
head index and no capacity while it trains. Every parameter carries its own gradient and Adam
moments. Slow on purpose: nothing is shared between tasks, samples or weights that the text does not
share.

Where the text leaves a choice, the choice made here is marked `choice:` in a comment.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Params = dict[str, dict[str, np.ndarray]]


def _sigmoid(z: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(z))  # never overflows
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


# name -> (function, its derivative written in terms of the function's VALUE)
ACTIVATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sigmoid": (_sigmoid, lambda value: value * (1.0 - value)),
    "tanh": (np.tanh, lambda value: 1.0 - value**2),
    "relu": (lambda z: np.maximum(z, 0.0), lambda value: (value > 0).astype(float)),
    "identity": (lambda z: z, np.ones_like),
}


@dataclass(eq=False)
class Param:
    """One array to be trained; beside it the batch's gradient and the optimizer's moments."""

    value: np.ndarray
    grad: np.ndarray = field(init=False)
    first: np.ndarray = field(init=False)
    second: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Own the array, and start with no gradient and no moments."""
        self.value = np.array(self.value, dtype=np.float64)
        self.forget()

    def forget(self) -> None:
        """Zero the gradient and the moments."""
        self.grad, self.first, self.second = (np.zeros_like(self.value) for _ in range(3))


@dataclass(eq=False)
class Dense:
    """An ordinary layer: kernel (in, out) and bias (out,)."""

    kernel: Param
    bias: Param


@dataclass(eq=False)
class Node:
    """One node of the last shared layer; slots[reader] = the row of its head that it feeds."""

    weights: Param
    bias: Param
    slots: dict[int, int]


@dataclass
class Network:
    """Shared layers, then the nodes, then one stack of layers a task (the last is its output)."""

    shared: list[Dense]
    nodes: list[Node]
    heads: list[list[Dense]]
    activation: str
    output_activation: str

    def params(self) -> list[Param]:
        """Every trained array."""
        layers = [*self.shared, *(layer for head in self.heads for layer in head)]
        found = [p for layer in layers for p in (layer.kernel, layer.bias)]
        return found + [p for node in self.nodes for p in (node.weights, node.bias)]


def build(
    params: Mapping[str, Any],
    head_index: Any = None,
    activation: str = "sigmoid",
    output_activation: str | None = "sigmoid",
) -> Network:
    """Read the library's layout (bank of columns, head index) into nodes with readers."""

    def get(layer: str, part: str) -> np.ndarray:
        return np.asarray(params[layer][part], dtype=np.float64)

    shared = [
        Dense(Param(get(f"shared_{n}", "kernel")), Param(get(f"shared_{n}", "bias")))
        for n in range(sum(name.startswith("shared_") for name in params))
    ]
    tower_names = [f"tower_{n}" for n in range(sum(name.startswith("tower_") for name in params))]
    tower_names.append("output")
    num_tasks = get("output", "kernel").shape[0]
    heads = [
        [Dense(Param(get(name, "kernel")[t]), Param(get(name, "bias")[t])) for name in tower_names]
        for t in range(num_tasks)
    ]
    num_slots = heads[0][0].kernel.value.shape[0]
    if head_index is None:
        head_index = [list(range(num_slots)) for _ in range(num_tasks)]
    head_index = np.asarray(head_index)
    kernel, bias = get("bank", "kernel"), get("bank", "bias")
    nodes = []
    for column in range(int(head_index.max()) + 1):
        slots = {
            task: slot
            for task in range(num_tasks)
            for slot in range(num_slots)
            if head_index[task, slot] == column
        }
        nodes.append(Node(Param(kernel[:, column]), Param(bias[column : column + 1]), slots))
    return Network(shared, nodes, heads, activation, output_activation or "identity")


def layout(net: Network, like: Mapping[str, Any], pick: str = "value") -> tuple[Params, np.ndarray]:
    """Write a network (pick="grad": its gradients) in the library's layout, and its head index.

    Columns that no node stands for are zero.
    """
    new: Params = {}
    for number, layer in enumerate(net.shared):
        new[f"shared_{number}"] = {
            "kernel": getattr(layer.kernel, pick).copy(),
            "bias": getattr(layer.bias, pick).copy(),
        }
    depth = len(net.heads[0])
    for number in range(depth):
        new["output" if number == depth - 1 else f"tower_{number}"] = {
            "kernel": np.stack([getattr(head[number].kernel, pick) for head in net.heads]),
            "bias": np.stack([getattr(head[number].bias, pick) for head in net.heads]),
        }
    kernel, bias = (np.zeros(np.shape(like["bank"][part])) for part in ("kernel", "bias"))
    num_slots = net.heads[0][0].kernel.value.shape[0]
    head_index = np.full((len(net.heads), num_slots), -1, dtype=np.int32)
    for column, node in enumerate(net.nodes):
        kernel[:, column] = getattr(node.weights, pick)
        bias[column] = getattr(node.bias, pick)[0]
        for task, slot in node.slots.items():
            head_index[task, slot] = column
    new["bank"] = {"kernel": kernel, "bias": bias}
    return new, head_index


def _forward(net: Network, task: int, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, list]:
    """Values of one task on one row: shared layers (x first), slots, layers of the head."""
    act, out = ACTIVATIONS[net.activation][0], ACTIVATIONS[net.output_activation][0]
    below = [x]
    for layer in net.shared:
        below.append(act(below[-1] @ layer.kernel.value + layer.bias.value))
    slots = np.zeros(net.heads[task][0].kernel.value.shape[0])
    for node in net.nodes:
        if task in node.slots:
            z = np.sum(below[-1] * node.weights.value) + node.bias.value[0]
            slots[node.slots[task]] = act(z)
    above = [slots]
    for number, layer in enumerate(net.heads[task]):
        last = number == len(net.heads[task]) - 1
        above.append((out if last else act)(above[-1] @ layer.kernel.value + layer.bias.value))
    return below, slots, above


def backward(
    net: Network, task: int, x: np.ndarray, target: float
) -> tuple[float, dict[Param, np.ndarray]]:
    """Squared error of one task on one row, and its gradient at every parameter it reaches.

    With o the output: d(o - y)²/dz = 2 (o - y) f'(z), and then layer by layer downwards
    dkernel = outer(input, δ), dbias = δ, δ_below = (kernel δ) f'(z_below).
    """
    slope, out_slope = ACTIVATIONS[net.activation][1], ACTIVATIONS[net.output_activation][1]
    below, slots, above = _forward(net, task, x)
    found: dict[Param, np.ndarray] = {}
    error = above[-1] - target
    delta = 2.0 * error * out_slope(above[-1])
    for number in reversed(range(len(net.heads[task]))):
        layer = net.heads[task][number]
        found[layer.kernel] = np.outer(above[number], delta)
        found[layer.bias] = delta
        delta = (layer.kernel.value @ delta) * slope(above[number])
    onto = np.zeros_like(below[-1])
    for node in net.nodes:
        if task in node.slots:
            node_delta = delta[node.slots[task]]
            found[node.weights] = below[-1] * node_delta
            found[node.bias] = np.array([node_delta])
            onto += node.weights.value * node_delta
    for number in reversed(range(len(net.shared))):
        layer = net.shared[number]
        delta = onto * slope(below[number + 1])
        found[layer.kernel] = np.outer(below[number], delta)
        found[layer.bias] = delta
        onto = layer.kernel.value @ delta
    return float(error[0] ** 2), found


def predict(
    params: Mapping[str, Any],
    head_index: Any,
    x: Any,
    activation: str = "sigmoid",
    output_activation: str | None = "sigmoid",
) -> np.ndarray:
    """Outputs (rows, tasks) of a network in the library's layout."""
    return _predict(build(params, head_index, activation, output_activation), np.asarray(x))


def _predict(net: Network, x: np.ndarray) -> np.ndarray:
    rows = np.asarray(x, dtype=np.float64)
    return np.array([[_forward(net, t, r)[2][-1][0] for t in range(len(net.heads))] for r in rows])


def task_gradients(
    params: Mapping[str, Any],
    head_index: Any,
    x: Any,
    y: Any,
    activation: str = "sigmoid",
    output_activation: str | None = "sigmoid",
) -> tuple[np.ndarray, Params]:
    """Errors (tasks,) on ONE row, and gradients in the library's layout, task axis first."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    errors, each = [], []
    for task in range(len(y)):
        net = build(params, head_index, activation, output_activation)
        error, found = backward(net, task, x, y[task])
        for param, grad in found.items():
            param.grad = grad
        errors.append(error)
        each.append(layout(net, params, "grad")[0])
    stacked = {
        name: {part: np.stack([one[name][part] for one in each]) for part in each[0][name]}
        for name in each[0]
    }
    return np.array(errors), stacked


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


def moving_tasks(gradients: Mapping[int, float], readers: Sequence[int]) -> tuple[int, ...]:
    """Which readers get the copy: those that agree with the lowest-numbered one where it fired."""
    # choice: a reader whose target is unknown at that sample has gradient 0, which counts as >= 0.
    sign = {task: gradients.get(task, 0.0) >= 0 for task in readers}
    lowest = min(readers)
    moved = tuple(task for task in sorted(readers) if sign[task] == sign[lowest])
    # choice: a streak that was only held (a zero, an unknown target) can fire where nobody
    # disagrees; the lowest-numbered reader then moves alone, as it always does with two readers.
    return moved if len(moved) < len(readers) else (lowest,)


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
    outputs = _predict(net, x)
    errors = [
        [(outputs[r, t] - y[r, t]) ** 2 for r in range(len(y)) if known[r, t]]
        for t in range(y.shape[1])
    ]
    # choice: a task without a single known row has error 0
    return np.array([sum(e) / len(e) if e else 0.0 for e in errors])


def _largest(streaks: list[list[int]]) -> tuple[int, int, int]:
    """Largest of streaks[k][i] with its (i, k), the first in the order (0, 0), (0, 1), ..."""
    best = (-1, 0, 0)
    for i in range(len(streaks[0])):
        for k in range(len(streaks)):
            if streaks[k][i] > best[0]:
                best = (streaks[k][i], i, k)
    return best


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
                    streak, i, k = _largest(streaks)
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
                            "tasks": moving_tasks(signs, sorted(net.nodes[k].slots)),
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
