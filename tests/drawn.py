"""Parameters drawn by NumPy: compiling JAX's random draws would take most of a test's time."""

import jax
import jax.numpy as jnp
import numpy as np


def drawn_parameters(model, x, seed=0):
    """Normal parameters with deviation 1/sqrt(fan-in) in the shapes that ``model.init`` gives."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)

    def draw(leaf):
        fan_in = leaf.shape[-2] if len(leaf.shape) > 1 else 1
        return jnp.asarray(rng.normal(size=leaf.shape) / np.sqrt(fan_in), leaf.dtype)

    return jax.tree.map(draw, shapes)
