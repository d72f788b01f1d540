"""One number for several tasks: Δm% against a baseline, and the mean rank among methods."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmtl.metrics._rows import as_float

HigherIsBetter = bool | Sequence[bool]


def delta_m(
    values: Float[Array, "*methods tasks"],
    baseline: Float[Array, "*methods tasks"],
    higher_is_better: HigherIsBetter = False,
) -> Float[Array, "*methods"]:
    """Δm%: by how many percent the tasks are worse than under a baseline, on average.

    100 * mean over the tasks of s_t (m_t - b_t) / |b_t|, with s_t = -1 where higher is better and 1
    where lower is.

    Args:
        values: m, a metric a task (or several metrics a task, all in one axis), traced.
        baseline: b, the same of the baseline, usually networks trained on one task each; of the
            shape of the values, or (tasks,). Traced.
        higher_is_better: for all metrics or one flag each, static.

    Returns:
        Percent; **lower is better**, below 0 the baseline is beaten. Infinite or NaN where the
        baseline is 0.

    Raises:
        ValueError: the shapes or the flags do not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> values, baseline = jnp.array([0.9, 2.0]), jnp.array([0.75, 1.0])
        >>> round(float(delta_m(values, baseline, (True, False))), 3)
        40.0

    References:
        Maninis, Radosavovic, Kokkinos (2019), Attentive Single-Tasking of Multiple Tasks, CVPR,
        with the opposite sign; the sign here is that of Navon et al. (2022), Multi-Task Learning as
        a Bargaining Game, ICML, and of most tables since. A negative baseline (R2, say) is divided
        by its size, so that worse stays worse.
    """
    values, baseline = as_float(values), as_float(baseline)
    if values.ndim < 1 or baseline.shape not in (values.shape, values.shape[-1:]):
        raise ValueError(
            "baseline: expected (tasks,) or the shape of the values, "
            f"got {baseline.shape} for values {values.shape}"
        )
    baseline = jnp.broadcast_to(baseline, values.shape)
    signs = jnp.broadcast_to(_signs(higher_is_better, values.shape[-1]), values.shape)
    return 100 * (signs * (values - baseline) / jnp.abs(baseline)).mean(axis=-1)


def mean_rank(
    values: Float[Array, "methods tasks"], higher_is_better: HigherIsBetter = False
) -> Float[Array, " methods"]:
    """Mean over the tasks of each method's rank on that task, 1 being the best.

    Args:
        values: a metric of each method on each task, traced.
        higher_is_better: for all tasks or one flag a task, static.

    Returns:
        Mean ranks; **lower is better**. Equal values share the mean of their ranks. NaN in all
        methods where any value is NaN.

    Raises:
        ValueError: the values are not a matrix, or the flags do not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> errors = jnp.array([[0.1, 0.4], [0.2, 0.3], [0.2, 0.5]])
        >>> mean_rank(errors).tolist()
        [1.5, 1.75, 2.75]

    References:
        Navon et al. (2022), Multi-Task Learning as a Bargaining Game, ICML.
    """
    values = as_float(values)
    if values.ndim != 2:
        raise ValueError(f"values: expected shape (methods, tasks), got {values.shape}")
    costs = values * jnp.broadcast_to(_signs(higher_is_better, values.shape[1]), values.shape)
    mine, others = costs[:, None], costs[None]
    better = (others < mine).sum(axis=1)
    equal = (others == mine).sum(axis=1)
    ranks = better + (equal + 1) / 2
    return jnp.where(jnp.isnan(values).any(), jnp.nan, ranks.mean(axis=1))


def _signs(higher_is_better: HigherIsBetter, tasks: int) -> np.ndarray[Any, Any]:
    flags = np.asarray(higher_is_better)
    if flags.dtype != np.bool_ or flags.shape not in ((), (tasks,)):
        raise ValueError(
            f"higher_is_better: expected True, False or {tasks} of them, one a task, "
            f"got {higher_is_better!r}"
        )
    return np.where(flags, -1.0, 1.0).astype(np.float32)
