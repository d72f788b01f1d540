"""The network of the reference: float64 NumPy, one sample and one task at a time.

A list of nodes, each with its own incoming weights, its bias and the tasks that read it; there is
no bank, no head index and no capacity. Every parameter carries its own gradient and Adam moments,
and the gradients are those of the chain rule, written out by hand. Nothing is imported from
`jaxmtl`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def forward(net: Network, task: int, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, list]:
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
    below, slots, above = forward(net, task, x)
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
    return predict_rows(build(params, head_index, activation, output_activation), np.asarray(x))


def predict_rows(net: Network, x: np.ndarray) -> np.ndarray:
    rows = np.asarray(x, dtype=np.float64)
    return np.array([[forward(net, t, r)[2][-1][0] for t in range(len(net.heads))] for r in rows])


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
