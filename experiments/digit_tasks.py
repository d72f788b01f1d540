"""The network and the tasks of ``transfer_digits.py``: small images, a trunk, and a head on it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int
from sklearn.datasets import load_digits

from jaxmtl.models import SharedBottom

LAYERS = ("trunk/conv_0", "trunk/conv_1", "trunk/dense")


class PatchConv(nn.Module):
    """A 3 x 3 convolution as one matrix product over patches.

    Under ``vmap`` over parameters an XLA convolution becomes a grouped one, which on CPU is some
    ten times slower than this.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width inputs"]) -> Array:
        height, width = x.shape[1:3]
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        patches = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        flat = jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, self.features)
        return flat + bias[None, None, None]


class Trunk(nn.Module):
    """Two convolutions with pooling and a dense layer: an image in, 32 features out."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width inputs"]) -> Float[Array, "batch 32"]:
        for i, features in enumerate((8, 16)):
            x = nn.relu(PatchConv(features, name=f"conv_{i}")(x))
            batch, height, width, _ = x.shape
            x = x.reshape(batch, height // 2, 2, width // 2, 2, features).max(axis=(2, 4))
        return nn.relu(nn.Dense(32, name="dense")(x.reshape(x.shape[0], -1)))


class Task(NamedTuple):
    """Images of every seed: a pool to draw examples from, class by class, and a test set."""

    pool: Float[Any, "seeds classes examples 8 8 1"]
    test_x: Float[Any, "seeds rows 8 8 1"]
    test_y: Int[Any, "seeds rows"]


def make_tasks(seeds: int, seed: int = 0) -> dict[str, Task]:
    """The three tasks, drawn anew for every seed; no image is in two places that must not meet.

    Of each digit 0 to 4: 100 images for the source, 30 for parity, 44 for the tests. Of each digit
    5 to 9: 100 for the pool, the first 30 of them for parity too, 74 for the test.
    """
    bunch: Any = load_digits()
    images, digits = bunch.images[..., None].astype(np.float32) / 16, bunch.target
    rows: dict[str, list[Task]] = {"source": [], "digits 5-9": [], "parity": []}
    for i in range(seeds):
        rng = np.random.default_rng((seed, i))
        of = [images[rng.permutation(np.flatnonzero(digits == digit))] for digit in range(10)]
        low, high = of[:5], of[5:]
        rows["source"].append(_task([x[:100] for x in low], [x[130:174] for x in low]))
        rows["digits 5-9"].append(_task([x[:100] for x in high], [x[100:174] for x in high]))
        pool = [x[100:130] for x in low] + [x[:30] for x in high]
        tests = [x[130:174] for x in low] + [x[100:144] for x in high]
        even, odd = [rng.permutation(np.concatenate(pool[p::2])) for p in (0, 1)]
        rows["parity"].append(_task([even, odd], [np.concatenate(tests[p::2]) for p in (0, 1)]))
    return {name: Task(*map(np.stack, zip(*tasks, strict=True))) for name, tasks in rows.items()}


def _task(pool: Sequence[np.ndarray], tests: Sequence[np.ndarray]) -> Task:
    labels = np.repeat(np.arange(len(tests)), [len(x) for x in tests])
    return Task(np.stack(pool), np.concatenate(tests), labels)


def network(classes: int) -> SharedBottom:
    """The trunk and one linear head."""
    return SharedBottom(trunk=Trunk(), towers=(), outputs=(classes,))
