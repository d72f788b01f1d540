import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxmtl import Rows, Splits, fit
from jaxmtl.models import ConvTrunk, MMoE, SharedBottom


def convolve(image, kernel, bias):
    """Zero padding, one output pixel and channel at a time."""
    height, width, _ = image.shape
    size, half = kernel.shape[0], (kernel.shape[0] - 1) // 2
    out = np.zeros((height, width, kernel.shape[-1]))
    for i in range(height):
        for j in range(width):
            for c in range(kernel.shape[-1]):
                total = bias[c]
                for a in range(size):
                    for b in range(size):
                        y, x = i + a - half, j + b - half
                        if 0 <= y < height and 0 <= x < width:
                            total += image[y, x] @ kernel[a, b, :, c]
                out[i, j, c] = total
    return out


def pooled(image, pool):
    height, width = image.shape[0] // pool, image.shape[1] // pool
    rows = [
        [
            image[i * pool : (i + 1) * pool, j * pool : (j + 1) * pool].max(axis=(0, 1))
            for j in range(width)
        ]
        for i in range(height)
    ]
    return np.array(rows)


@pytest.mark.parametrize(
    ("shape", "channels", "kernel", "pool", "sizes"),
    [
        ((2, 6, 7, 2), (3, 4), 3, 2, (5,)),
        ((2, 4, 4, 1), (3,), 2, 1, ()),
        ((2, 6, 6, 1), (2,), 5, 3, (4, 3)),
    ],
)
def test_forward(drawn, close, shape, channels, kernel, pool, sizes):
    trunk = ConvTrunk(channels=channels, kernel=kernel, pool=pool, sizes=sizes)
    case = drawn(trunk, shape=shape)
    rows = []
    for h in case.x64:
        for i in range(len(channels)):
            layer = case.params64[f"conv_{i}"]
            h = pooled(np.maximum(convolve(h, layer["kernel"], layer["bias"]), 0.0), pool)
        h = h.ravel()
        for i in range(len(sizes)):
            layer = case.params64[f"dense_{i}"]
            h = np.maximum(h @ layer["kernel"] + layer["bias"], 0.0)
        rows.append(h)
    close(case.apply(), rows)


def test_initial_values_are_bounded_by_the_fan_in():
    trunk = ConvTrunk(channels=(8,), sizes=())
    layer = jax.jit(trunk.init)(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))["params"]["conv_0"]
    for leaf in layer.values():
        assert 0.5 * 27**-0.5 < np.abs(leaf).max() <= 27**-0.5


def test_images_train_and_gates_read_features(drawn):
    model = MMoE(trunk=ConvTrunk(channels=(4,), sizes=(8,)), experts=(4,), outputs=(1, 1))
    case = drawn(model, shape=(32, 6, 6, 1))
    assert case.params["gate"]["kernel"].shape == (2, 8, 4)
    x = case.x
    y = jnp.stack([x[:, :3].mean(axis=(1, 2, 3)), x[:, 3:].mean(axis=(1, 2, 3))], axis=1)
    run = fit(model, Splits(train=Rows(x, y)), params=case.params, epochs=6, batch_size=8)
    assert (run.history.train[-1] < run.history.train[0]).all()


def test_any_module_that_makes_features_is_a_trunk(drawn):
    model = SharedBottom(trunk=nn.Sequential((nn.Dense(3), nn.tanh)), outputs=(1, 1))
    assert hash(model) == hash(model.clone())
    case = drawn(model)
    assert case.apply().shape == (7, 2)


def test_bad_input():
    model = SharedBottom(trunk=ConvTrunk(), outputs=(1, 1))
    with pytest.raises(ValueError, match=r"x: expected images .* got \(2, 8, 8\)"):
        model.init(jax.random.key(0), jnp.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match=r"at least 4 x 4 pixels for 2 poolings by 2"):
        model.init(jax.random.key(0), jnp.zeros((2, 3, 8, 1)))
    unflat = SharedBottom(trunk=nn.Conv(3, (3, 3)), outputs=(1, 1))
    with pytest.raises(ValueError, match=r"trunk: expected a module that makes \(batch, features"):
        unflat.init(jax.random.key(0), jnp.zeros((2, 8, 8, 1)))
    with pytest.raises(ValueError, match="channels: expected one or more whole sizes"):
        ConvTrunk(channels=())
    with pytest.raises(ValueError, match="pool: expected a number > 0"):
        ConvTrunk(pool=0)
