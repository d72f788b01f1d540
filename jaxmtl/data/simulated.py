"""Simulated tasks that share hidden causes, as in the study of adaptive hard sharing.

Inputs x (n, 5) make hidden causes x W1 (n, 4), and these make two targets:
y = minmax(x W1 W2 + noise), each target scaled to [0, 1] over the rows that were drawn. Every
generator is a pure function of its key: map it over keys with `jax.vmap` for many data sets.

References:
    Wang, Jin, Du, Zhang, Hao: Adaptive hard parameter sharing, Mathematics 2023, 11(22), 4639.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

_FEATURES, _CAUSES, _TARGETS = 5, 4, 2

Simulated = tuple[Float[Array, "rows 5"], Float[Array, "rows 2"]]


def simulate_uniform(key: Key[Array, ""], num_rows: int = 3000) -> Simulated:
    """Uniform inputs and weights: x ~ U(0, 8), W1 and W2 ~ U(0, 4), noise ~ N(0, 1).

    All weights are positive, so both targets rise with every input.

    Args:
        key: a typed key, traced.
        num_rows: rows to draw, at least 2, static.

    Returns:
        Inputs in the units they were drawn in, and targets in [0, 1].

    Raises:
        ValueError: there are too few rows.

    Example:
        >>> x, y = simulate_uniform(jax.random.key(0), num_rows=100)
        >>> x.shape, y.shape, float(y.min()), round(float(y.max()), 6)
        ((100, 5), (100, 2), 0.0, 1.0)
    """
    _check_rows(num_rows)
    x_key, w1_key, w2_key, noise_key = jax.random.split(key, 4)
    x = jax.random.uniform(x_key, (num_rows, _FEATURES), maxval=8.0)
    w1 = jax.random.uniform(w1_key, (_FEATURES, _CAUSES), maxval=4.0)
    w2 = jax.random.uniform(w2_key, (_CAUSES, _TARGETS), maxval=4.0)
    return x, _targets(x, w1, w2, jax.random.normal(noise_key, (num_rows, _TARGETS)))


def simulate_normal(key: Key[Array, ""], num_rows: int = 1000) -> Simulated:
    """Normal inputs and weights: x, W1 and W2 ~ N(0, 1), noise normal with deviation 0.2.

    Args:
        key: a typed key, traced.
        num_rows: rows to draw, at least 2, static.

    Returns:
        Inputs in the units they were drawn in, and targets in [0, 1].

    Raises:
        ValueError: there are too few rows.

    Example:
        >>> x, y = simulate_normal(jax.random.key(0), num_rows=100)
        >>> x.shape, y.shape
        ((100, 5), (100, 2))
    """
    _check_rows(num_rows)
    x_key, w1_key, w2_key, noise_key = jax.random.split(key, 4)
    x = jax.random.normal(x_key, (num_rows, _FEATURES))
    w1 = jax.random.normal(w1_key, (_FEATURES, _CAUSES))
    w2 = jax.random.normal(w2_key, (_CAUSES, _TARGETS))
    return x, _targets(x, w1, w2, 0.2 * jax.random.normal(noise_key, (num_rows, _TARGETS)))


def simulate_exponential(key: Key[Array, ""], num_rows: int = 3000) -> Simulated:
    """Heavy-tailed inputs: x exponential with mean 10, W1 and W2 ~ N(0, 1), noise ~ N(0, 1).

    Args:
        key: a typed key, traced.
        num_rows: rows to draw, at least 2, static.

    Returns:
        Inputs in the units they were drawn in, and targets in [0, 1].

    Raises:
        ValueError: there are too few rows.

    Example:
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> x, y = jax.vmap(lambda key: simulate_exponential(key, num_rows=50))(keys)
        >>> x.shape, y.shape
        ((3, 50, 5), (3, 50, 2))
    """
    _check_rows(num_rows)
    x_key, w1_key, w2_key, noise_key = jax.random.split(key, 4)
    x = 10.0 * jax.random.exponential(x_key, (num_rows, _FEATURES))
    w1 = jax.random.normal(w1_key, (_FEATURES, _CAUSES))
    w2 = jax.random.normal(w2_key, (_CAUSES, _TARGETS))
    return x, _targets(x, w1, w2, jax.random.normal(noise_key, (num_rows, _TARGETS)))


def _targets(
    x: Float[Array, "rows 5"],
    w1: Float[Array, "5 4"],
    w2: Float[Array, "4 2"],
    noise: Float[Array, "rows 2"],
) -> Float[Array, "rows 2"]:
    # In full precision on every device, so that a key means the same data everywhere.
    causes = jnp.matmul(x, w1, precision="highest")
    raw = jnp.matmul(causes, w2, precision="highest") + noise
    low, high = raw.min(axis=0, keepdims=True), raw.max(axis=0, keepdims=True)
    return (raw - low) / (high - low)


def _check_rows(num_rows: int) -> None:
    if num_rows < 2:  # one row has no span to be scaled by
        raise ValueError(f"num_rows: expected at least 2, got {num_rows}")
