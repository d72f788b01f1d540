"""Small networks of three libraries, each as pure functions of parameters and statistics."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

from jaxmtl.sharing import find_units


class Net(NamedTuple):
    """A network of several tasks.

    Attributes:
        params: initial values.
        stats: running statistics; None for networks without.
        apply: ``apply(params, stats, x, key)`` gives outputs (rows, tasks) and statistics; a key
            means training.
        groups: of units.
    """

    params: Any
    stats: Any
    apply: Any
    groups: Any


IMAGES = np.random.default_rng(0).normal(size=(3, 5, 5, 2)).astype(np.float32)


class LinenNet(nn.Module):
    """Convolutions, one depthwise, with batch and group norm, dropout, and the heads."""

    tasks: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(7, (3, 3))(x)))
        x = nn.Conv(14, (3, 3), feature_group_count=7)(x)
        x = nn.relu(nn.GroupNorm(num_groups=2)(x)).mean(axis=(1, 2))
        return nn.Dense(self.tasks)(nn.Dropout(0.4, deterministic=not train)(x))


def linen_net(tasks):
    model = LinenNet(tasks)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), IMAGES, False))
    params, stats = drawn(shapes["params"]), drawn(shapes["batch_stats"])
    stats = jax.tree.map(jnp.abs, stats)

    def apply(params, stats, x, key):
        variables, options = {"params": params, "batch_stats": stats}, {"train": key is not None}
        if key is not None:
            options |= {"rngs": {"dropout": key}, "mutable": ["batch_stats"]}
            y, changed = model.apply(variables, x, **options)
            return y, changed["batch_stats"]
        return model.apply(variables, x, **options), stats

    return Net(params, stats, apply, find_units(params, stats).groups)


class NNXNet(nnx.Module):
    """Attention over the pixels, batch norm, and the heads."""

    def __init__(self, tasks, rngs):
        self.embed = nnx.Linear(2, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)
        self.heads = nnx.Linear(4, tasks, rngs=rngs)

    def __call__(self, x):
        x = self.norm(self.embed(x.reshape(len(x), -1, 2)))
        return self.heads(self.attention(x).mean(axis=1))


def nnx_net(tasks):
    model = NNXNet(tasks, nnx.Rngs(0))
    graph, params, streams, stats = nnx.split(model, nnx.Param, nnx.RngState, ...)
    model.eval()
    evaluation = nnx.graphdef(model)

    def apply(params, stats, x, key):
        # Variables may be changed only in the trace that made them.
        parts = [jax.tree.map(jnp.asarray, part) for part in (params, streams, stats)]
        merged = nnx.merge(evaluation if key is None else graph, *parts)
        y = merged(x)
        after = nnx.state(merged, nnx.BatchStat)
        return y, jax.tree.unflatten(jax.tree.structure(stats), jax.tree.leaves(after))

    return Net(drawn(params), stats, apply, find_units(params, stats).groups)


class EquinoxNet(eqx.Module):
    """A convolution, layer norm, attention, and the heads, of one sample."""

    conv: eqx.nn.Conv2d
    norm: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    heads: eqx.nn.Linear

    def __init__(self, tasks, key):
        a, b, c = jax.random.split(key, 3)
        self.conv = eqx.nn.Conv2d(2, 4, 3, key=a)
        self.norm = eqx.nn.LayerNorm(4)
        self.attention = eqx.nn.MultiheadAttention(2, 4, key=b)
        self.heads = eqx.nn.Linear(4, tasks, key=c)

    def __call__(self, x):
        x = self.conv(jnp.moveaxis(x, -1, 0)).reshape(4, -1).T
        x = jax.vmap(self.norm)(x)
        return self.heads(self.attention(x, x, x).mean(axis=0))


def equinox_net(tasks):
    model = eqx.filter_eval_shape(EquinoxNet, tasks, jax.random.key(0))
    params, rest = eqx.partition(model, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def apply(params, stats, x, key):
        del key
        return jax.vmap(eqx.combine(params, rest))(x), stats

    return Net(drawn(params), None, apply, find_units(params).groups)


NETS = {
    "linen": functools.cache(linen_net),
    "nnx": functools.cache(nnx_net),
    "equinox": functools.cache(equinox_net),
}


def drawn(params):
    """Values of NumPy: drawing them with JAX takes longer than all else."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape, scale=0.5), p.dtype), params)
