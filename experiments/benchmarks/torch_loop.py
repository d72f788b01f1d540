"""Splitting shared nodes as an ordinary PyTorch loop.

One sample a step; one backward pass a task to see its gradient of the bank, a third one for the
step; signs and streaks counted in Python. Nothing is done to make it slow, and nothing that its
author would not think of to make it fast.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError(
        "expected PyTorch for this benchmark, found none; install it with: "
        "pip install 'jaxmtl[bench]'"
    ) from error


class SharedNet(nn.Module):
    """4 - 4 - 3 sigmoid nodes, and one sigmoid head a task; `columns` is what a head reads."""

    def __init__(self, params: Mapping[str, Any], dtype: torch.dtype) -> None:
        super().__init__()
        num_tasks, num_nodes = np.shape(params["output"]["kernel"])[:2]
        shared, bank, out = params["shared_0"], params["bank"], params["output"]
        self.hidden = _linear(shared["kernel"], shared["bias"], dtype)
        self.bank = _linear(bank["kernel"][:, :num_nodes], bank["bias"][:num_nodes], dtype)
        self.heads = nn.ModuleList(
            _linear(out["kernel"][t], out["bias"][t], dtype) for t in range(num_tasks)
        )
        self.columns = [list(range(num_nodes)) for _ in range(num_tasks)]
        self.has_split = False

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        h = torch.sigmoid(self.bank(torch.sigmoid(self.hidden(x))))
        if not self.has_split:
            return [torch.sigmoid(head(h)) for head in self.heads]
        return [
            torch.sigmoid(head(h[..., columns]))
            for head, columns in zip(self.heads, self.columns, strict=True)
        ]

    def both_read(self) -> np.ndarray:
        """Which nodes of the bank both heads still read."""
        readers = [np.isin(np.arange(self.bank.out_features), c) for c in self.columns]
        return readers[0] & readers[1]

    def split(self, node: int) -> int:
        """Give the first head its own copy of a node; returns the number of the copy."""
        kernel = self.bank.weight.detach()
        bias = self.bank.bias.detach()
        wider = torch.cat([kernel, kernel[node : node + 1]]).T.numpy()
        self.bank = _linear(wider, torch.cat([bias, bias[node : node + 1]]).numpy(), kernel.dtype)
        copy = len(bias)
        self.columns[0][self.columns[0].index(node)] = copy
        self.has_split = True
        return copy


def _linear(kernel: Any, bias: Any, dtype: torch.dtype) -> nn.Linear:
    layer = nn.Linear(*np.shape(kernel), dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(np.array(kernel).T))
        layer.bias.copy_(torch.as_tensor(np.array(bias)))
    return layer


def count_with_arrays(
    streak: np.ndarray, g1: torch.Tensor, g2: torch.Tensor, shared: np.ndarray
) -> np.ndarray:
    """Streaks (fan_in, nodes) after one more sample, by NumPy on whole arrays."""
    conflict = (g1.numpy().T >= 0) != (g2.numpy().T >= 0)
    return np.where(conflict & shared, streak + 1, 0)


def count_with_loops(
    streak: np.ndarray, g1: torch.Tensor, g2: torch.Tensor, shared: np.ndarray
) -> np.ndarray:
    """The same, weight by weight."""
    for i in range(streak.shape[0]):
        for k in range(streak.shape[1]):
            if shared[k] and (g1[k, i].item() >= 0) != (g2[k, i].item() >= 0):
                streak[i, k] += 1
            else:
                streak[i, k] = 0
    return streak


def _bank_gradient(net: SharedNet) -> torch.Tensor:
    grad = net.bank.weight.grad
    assert grad is not None
    return grad.clone()


Count = Callable[[np.ndarray, torch.Tensor, torch.Tensor, np.ndarray], np.ndarray]


def train_sample(
    net: SharedNet,
    optimizer: torch.optim.Optimizer,
    criterion: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    streak: np.ndarray,
    shared: np.ndarray,
    count: Count,
) -> np.ndarray:
    """One step on one sample; returns the streaks."""
    first, second = net(x)
    loss1 = criterion(first, y[:1])
    loss2 = criterion(second, y[1:])
    total = loss1 + loss2

    optimizer.zero_grad()
    loss1.backward(retain_graph=True)
    g1 = _bank_gradient(net)
    optimizer.zero_grad()
    loss2.backward(retain_graph=True)
    g2 = _bank_gradient(net)
    streak = count(streak, g1, g2, shared)

    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return streak


def _streaks(net: SharedNet) -> np.ndarray:
    return np.zeros((net.bank.in_features, net.bank.out_features), dtype=np.int64)


def run_torch(
    x: np.ndarray,
    y: np.ndarray,
    params: Mapping[str, Any],
    phases: Sequence[Mapping[str, Any]],
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """The whole run: events, and each task's training error after every epoch (epochs, tasks)."""
    rows, targets = torch.as_tensor(x, dtype=dtype), torch.as_tensor(y, dtype=dtype)
    net, criterion = SharedNet(params, dtype), nn.MSELoss()
    history, events = [], []
    for number, phase in enumerate(phases, start=1):
        optimizer = torch.optim.Adam(net.parameters(), lr=phase.get("learning_rate", 5e-3))
        streak, shared, event = _streaks(net), net.both_read(), None
        threshold = phase.get("threshold")
        for epoch in range(1, phase["epochs"] + 1):
            for r in range(len(rows)):
                streak = train_sample(
                    *(net, optimizer, criterion, rows[r], targets[r]),
                    *(streak, shared, count_with_arrays),
                )
                if threshold is None or epoch < phase.get("warmup", 0):
                    continue
                if streak.max() >= threshold:
                    event = (number, epoch, r, int(streak.argmax()) % streak.shape[1])
                    break
            with torch.no_grad():
                outputs = torch.cat(net(rows), dim=1)
                history.append(((outputs - targets) ** 2).mean(dim=0).numpy())
            if event is not None:
                break
        if event is not None:
            events.append((*event, net.split(event[-1])))
    return {"train": np.array(history), "events": events}


def time_torch(
    x: np.ndarray,
    y: np.ndarray,
    params: Mapping[str, Any],
    num_samples: int,
    count: Count = count_with_arrays,
) -> float:
    """Seconds a sample in float32, after a warm-up of 100, in a phase that does not split."""
    rows, targets = (torch.as_tensor(a, dtype=torch.float32) for a in (x, y))
    net, criterion = SharedNet(params, torch.float32), nn.MSELoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    streak, shared = _streaks(net), net.both_read()
    warm_up = 100
    started = 0.0
    for sample in range(warm_up + num_samples):
        if sample == warm_up:
            started = time.perf_counter()
        r = sample % len(rows)
        streak = train_sample(net, optimizer, criterion, rows[r], targets[r], streak, shared, count)
        if streak.max() >= 10**8:
            break
    return (time.perf_counter() - started) / num_samples
