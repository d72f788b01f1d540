"""A whole training step as jaxmtl and as TorchJD take it: what the scripts of this folder time.

A network (ReLU) with a linear head a task, 10 classes each and cross-entropy, takes a step of plain
SGD on a batch, in float32.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from aggregators import import_torchjd, their_aggregator

SIZES = (784, 512, 512, 256)
CLASSES, BATCH, RATE = 10, 128, 0.05
SUMMED = ("summed loss", "TorchJD's summed loss")
Dense = tuple[np.ndarray, np.ndarray]


class Problem(NamedTuple):
    """Layers of the trunk, heads, and a batch: x (rows, 784), y (tasks, rows) of classes."""

    trunk: list[Dense]
    heads: list[Dense]
    x: np.ndarray
    y: np.ndarray


class Contestant(NamedTuple):
    """``call(i)`` takes a step and waits; ``parameters()`` are those at present, flat."""

    call: Callable[[int], Any]
    parameters: Callable[[], np.ndarray]
    planned: int | None = None


def make_problem(tasks: int, sizes: Sequence[int] = SIZES, batch: int = BATCH) -> Problem:
    rng = np.random.default_rng(0)

    def dense(inputs: int, outputs: int) -> Dense:
        bound = inputs**-0.5
        draw = rng.uniform(-bound, bound, (inputs + 1, outputs)).astype(np.float32)
        return draw[:-1], draw[-1]

    trunk = [dense(*pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    heads = [dense(sizes[-1], CLASSES) for _ in range(tasks)]
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    return Problem(trunk, heads, x, rng.integers(0, CLASSES, (tasks, batch)))


def flatten(leaves: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(leaf)) for leaf in leaves])


def make_ours(problem: Problem, name: str, method: str) -> Contestant:
    """A step of jaxmtl, compiled."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxmtl.aggregation as ag
    from jaxmtl import task_gradients

    tasks = len(problem.heads)

    def trunk(params: Any, batch: Any) -> Any:
        h = batch[0]
        for kernel, bias in params:
            h = jax.nn.relu(h @ kernel + bias[None])
        return h

    def head(task: int) -> Any:
        def loss(params: Any, z: Any, batch: Any) -> Any:
            logits = z @ params[task][0] + params[task][1][None]
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1][task]).mean()

        return loss

    split = ag.SplitLoss(trunk, [head(task) for task in range(tasks)])
    aggregator, sgd = ag.make(method), optax.sgd(RATE)
    plain = ag.with_heads(aggregator, (True, False), "plain")

    def one_by_one(loss_fn: Any) -> Any:
        return task_gradients(loss_fn, chunk=1)

    def summed() -> ag.AggregatedStep:
        def init(params: Any, batch: Any) -> Any:
            return sgd.init(params)

        def step(params: Any, state: Any, batch: Any) -> Any:
            grads = jax.grad(lambda p: split(p, batch).sum())(params)
            updates, state = sgd.update(grads, state, params)
            return optax.apply_updates(params, updates), state, None

        return ag.AggregatedStep(init, step)

    steps: dict[str, Callable[[], ag.AggregatedStep]] = {
        SUMMED[0]: summed,
        "task gradients": lambda: ag.aggregated_step(split, aggregator, sgd),
        "one by one": lambda: ag.aggregated_step(split, aggregator, sgd, gradients=one_by_one),
        "Gram matrix": lambda: ag.gramian_step(split, aggregator, sgd),
        "heads apart": lambda: ag.aggregated_step(split, plain, sgd),
        "heads apart, Gram": lambda: ag.gramian_step(
            split, aggregator, sgd, head_gradients="plain"
        ),
        "features": lambda: ag.feature_step(split, aggregator, sgd, "plain"),
    }
    init, step = steps[name]()
    batch = jnp.asarray(problem.x), jnp.asarray(problem.y, jnp.int32)
    params = jax.tree.map(jnp.array, (problem.trunk, problem.heads))
    carried = [params, jax.block_until_ready(init(params, batch))]
    jitted = jax.jit(lambda p, s, b: step(p, s, b)[:2], donate_argnums=(0, 1))
    plan = jitted.lower(*carried, batch).compile().memory_analysis()

    def call(i: int) -> None:
        carried[:] = jitted(*carried, batch)
        jax.block_until_ready(carried[0])

    return Contestant(
        call,
        lambda: flatten(jax.tree.leaves(carried[0])),
        None if plan is None else plan.temp_size_in_bytes,
    )


def make_theirs(problem: Problem, name: str, method: str) -> Contestant:
    """A step of TorchJD."""
    import torch
    from torch import nn

    def linear(layer: Dense) -> Any:
        found = nn.Linear(*layer[0].shape)
        with torch.no_grad():
            found.weight.copy_(torch.tensor(layer[0].T))
            found.bias.copy_(torch.tensor(layer[1]))
        return found

    trunk = nn.Sequential(*[part for layer in problem.trunk for part in (linear(layer), nn.ReLU())])
    heads = nn.ModuleList(linear(layer) for layer in problem.heads)
    x, y = torch.tensor(problem.x), torch.tensor(problem.y)
    call = step_theirs(trunk, heads, x, y, name, method)

    def parameters() -> np.ndarray:
        layers = [m for m in [*trunk, *heads] if isinstance(m, nn.Linear)]
        pairs = [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in layers]
        return flatten([leaf for pair in pairs for leaf in pair])

    return Contestant(call, parameters)


def step_theirs(
    trunk: Any, heads: Any, x: Any, y: Any, name: str, method: str
) -> Callable[[int], None]:
    """A step of TorchJD with torch modules: ``heads`` a list, ``y`` classes (tasks, rows)."""
    import torch
    from torch import nn

    aggregation = import_torchjd()
    autojac = importlib.import_module("torchjd.autojac")
    autogram = importlib.import_module("torchjd.autogram")
    shared, every = list(trunk.parameters()), [*trunk.parameters(), *heads.parameters()]
    sgd = torch.optim.SGD(every, lr=RATE)
    aggregator, criterion = their_aggregator(method, len(heads)), nn.CrossEntropyLoss()

    def forward() -> tuple[Any, list[Any]]:
        z = trunk(x)
        return z, [criterion(head(z), y[t]) for t, head in enumerate(heads)]

    def summed() -> None:
        torch.stack(forward()[1]).sum().backward()

    def backward(chunk: int | None) -> Callable[[], None]:
        def gradients() -> None:
            autojac.backward(forward()[1], parallel_chunk_size=chunk)
            autojac.jac_to_grad(every, aggregator)

        return gradients

    def mtl_backward(chunk: int | None) -> Callable[[], None]:
        def gradients() -> None:
            z, losses = forward()
            autojac.mtl_backward(losses, features=z, parallel_chunk_size=chunk)
            autojac.jac_to_grad(shared, aggregator)

        return gradients

    def engine() -> Callable[[], None]:
        weightings = {
            "upgrad": aggregation.UPGradWeighting,
            "mgda": aggregation.MGDAWeighting,
            "cagrad": lambda: aggregation.CAGradWeighting(c=0.5),
        }
        # Losses are means over the batch, so no dimension of theirs is that of the batch.
        made, weighting = autogram.Engine(trunk, heads, batch_dim=None), weightings[method]()

        def gradients() -> None:
            losses = torch.stack(forward()[1])
            losses.backward(weighting(made.compute_gramian(losses)))

        return gradients

    makers = {
        SUMMED[1]: lambda: summed,
        "autojac.backward": lambda: backward(None),
        "the same, one by one": lambda: backward(1),
        "autogram.Engine": engine,
        "mtl_backward": lambda: mtl_backward(None),
        "mtl_backward, one by one": lambda: mtl_backward(1),
    }
    gradients = makers[name]()

    def call(i: int) -> None:
        sgd.zero_grad()
        gradients()
        sgd.step()

    return call


class Way(NamedTuple):
    """A way to take the step; what has the same ``group`` computes the same."""

    name: str
    group: str
    ours: bool

    def make(self, problem: Problem, method: str) -> Contestant:
        """The step on a problem."""
        return (make_ours if self.ours else make_theirs)(problem, self.name, method)


WAYS = (
    Way(SUMMED[0], "sum", True),
    Way("task gradients", "all", True),
    Way("one by one", "all", True),
    Way("Gram matrix", "all", True),
    Way("heads apart", "trunk", True),
    Way("heads apart, Gram", "trunk", True),
    Way("features", "features", True),
    Way(SUMMED[1], "sum", False),
    Way("autojac.backward", "all", False),
    Way("the same, one by one", "all", False),
    Way("autogram.Engine", "all", False),
    Way("mtl_backward", "trunk", False),
    Way("mtl_backward, one by one", "trunk", False),
)


def ways(method: str) -> list[Way]:
    """All ways of a method, the steps on the summed loss first of either side."""
    # TorchJD's engine gives the Gram matrix alone, and its Nash-MTL needs the rows.
    return [w for w in WAYS if (w.name, method) != ("autogram.Engine", "nash_mtl")]
