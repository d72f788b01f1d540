"""Networks of `cheaper_steps.py`: trunks with a linear head a task, in JAX and in torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmtl.aggregation as ag

CLASSES = 10
Trunk = Callable[[Any, jax.Array], jax.Array]


class Network(NamedTuple):
    """A trunk.

    Attributes:
        params: its parameters.
        trunk: from them and x, (rows, *shape), to features (rows, width).
        shape: of a row.
        width: of the features.
    """

    params: Any
    trunk: Trunk
    shape: tuple[int, ...]
    width: int


def dense(rng: np.random.Generator, *shape: int) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape) / math.prod(shape[:-1]) ** 0.5, jnp.float32)


def mlp(rng: np.random.Generator) -> Network:
    """784-512-512-256, ReLU."""
    sizes = (784, 512, 512, 256)
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    params = [(dense(rng, a, b), jnp.zeros(b)) for a, b in pairs]

    def trunk(params: Any, h: jax.Array) -> jax.Array:
        for kernel, bias in params:
            h = jax.nn.relu(h @ kernel + bias[None])
        return h

    return Network(params, trunk, (784,), 256)


def conv(rng: np.random.Generator) -> Network:
    """Three convolutions of 16 channels on images of 8 x 8 x 3, their mean."""
    width = 16
    params = [dense(rng, 3, 3, 3 if k == 0 else width, width) for k in range(3)]

    def trunk(params: Any, h: jax.Array) -> jax.Array:
        for kernel in params:
            numbers = ("NHWC", "HWIO", "NHWC")
            h = jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=numbers)
            h = jax.nn.relu(h)
        return h.mean(axis=(1, 2))

    return Network(params, trunk, (8, 8, 3), width)


def attention(rng: np.random.Generator) -> Network:
    """Two layers of attention and a dense part each, 16 tokens of 64 numbers, their mean."""
    width, heads = 64, 4
    params = [
        {
            "qkv": dense(rng, width, 3 * width),
            "out": dense(rng, width, width),
            "up": dense(rng, width, 2 * width),
            "down": dense(rng, 2 * width, width),
        }
        for _ in range(2)
    ]

    def trunk(params: Any, h: jax.Array) -> jax.Array:
        for layer in params:
            parts = (h @ layer["qkv"]).reshape(*h.shape[:-1], 3, heads, width // heads)
            q, k, v = (parts[:, :, i] for i in range(3))
            mixed = jax.nn.dot_product_attention(q, k, v)
            h = h + mixed.reshape(h.shape) @ layer["out"]
            h = h + jax.nn.relu(h @ layer["up"]) @ layer["down"]
        return h.mean(axis=1)

    return Network(params, trunk, (16, width), width)


NETWORKS = {"mlp": mlp, "conv": conv, "attention": attention}


class Problem(NamedTuple):
    """A loss, where it starts, and a batch: x (rows, *shape), y (tasks, rows) of classes."""

    split: ag.SplitLoss
    params: Any
    batch: tuple[jax.Array, jax.Array]


def make_problem(name: str, tasks: int, rows: int) -> Problem:
    """Cross-entropy of a head a task on random numbers."""
    rng = np.random.default_rng(0)
    network = NETWORKS[name](rng)
    heads = [(dense(rng, network.width, CLASSES), jnp.zeros(CLASSES)) for _ in range(tasks)]

    def head(task: int) -> Callable[..., jax.Array]:
        def loss(params: Any, z: jax.Array, batch: Any) -> jax.Array:
            logits = z @ params[task][0] + params[task][1][None]
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1][task]).mean()

        return loss

    split = ag.SplitLoss(
        lambda params, batch: network.trunk(params, batch[0]), [head(t) for t in range(tasks)]
    )
    x = jnp.asarray(rng.normal(size=(rows, *network.shape)), jnp.float32)
    y = jnp.asarray(rng.integers(0, CLASSES, (tasks, rows)), jnp.int32)
    return Problem(split, (network.params, heads), (x, y))


def make_torch(name: str, problem: Problem) -> tuple[Any, Any, Any, Any]:
    """The same network as torch modules, trunk and heads, and the batch."""
    import torch
    from torch import nn

    def linear(kernel: Any, bias: Any = None) -> Any:
        layer = nn.Linear(kernel.shape[0], kernel.shape[1], bias=bias is not None)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(np.asarray(kernel).T))
            if bias is not None:
                layer.bias.copy_(torch.tensor(np.asarray(bias)))
        return layer

    def convolution(kernel: Any) -> Any:
        layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1, bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(np.asarray(kernel).transpose(3, 2, 0, 1)))
        return layer

    class Mean(nn.Module):
        def __init__(self, axes: tuple[int, ...]) -> None:
            super().__init__()
            self.axes = axes

        def forward(self, h: Any) -> Any:
            return h.mean(dim=self.axes)

    class Block(nn.Module):
        def __init__(self, params: Any) -> None:
            super().__init__()
            for part, kernel in params.items():
                setattr(self, part, linear(kernel))

        def forward(self, h: Any) -> Any:
            own: Any = self  # whose layers torch's types do not know
            rows, tokens, width = h.shape
            parts = own.qkv(h).reshape(rows, tokens, 3, 4, width // 4)
            q, k, v = (parts[:, :, i].transpose(1, 2) for i in range(3))
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
            h = h + own.out(mixed.transpose(1, 2).reshape(h.shape))
            return h + own.down(torch.relu(own.up(h)))

    params, heads = problem.params
    x, y = (torch.tensor(np.asarray(part)) for part in problem.batch)
    if name == "conv":
        x = x.permute(0, 3, 1, 2).contiguous()
        parts = [part for kernel in params for part in (convolution(kernel), nn.ReLU())]
        parts.append(Mean((2, 3)))
    elif name == "attention":
        parts = [*(Block(layer) for layer in params), Mean((1,))]
    else:
        parts = [part for layer in params for part in (linear(*layer), nn.ReLU())]
    return nn.Sequential(*parts), nn.ModuleList(linear(*h) for h in heads), x, y.long()
