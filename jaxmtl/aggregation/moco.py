"""Multi-objective gradient correction: min-norm weights of smoothed gradients."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmtl._validate import check_choice, check_positive
from jaxmtl.aggregation.contract import Aggregator, checked, describe, require_losses
from jaxmtl.aggregation.parts import kept_unless, nonnegative, rejoin
from jaxmtl.aggregation.rows import along_tasks, gram_matrix, weighted_sum
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers import project_simplex
from jaxmtl.aggregation.solvers.simplex import share_among
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks

Simplex = Literal["projection", "softmax"]


class MoCoState(NamedTuple):
    """Smoothed gradients and weights.

    Attributes:
        smoothed: y, like the task gradients.
        weights: lambda on the simplex.
        steps: updates at which task t was present.
    """

    smoothed: PyTree
    weights: Float[Array, " tasks"]
    steps: Int[Array, " tasks"]


def moco(
    beta: Real = 0.5,
    beta_sigma: Real = 0.5,
    gamma: Real = 0.1,
    gamma_sigma: Real = 0.5,
    rho: Real = 0.0,
    *,
    normalize: bool = True,
    simplex: Simplex = "projection",
) -> Aggregator:
    """Min-norm weights by one step an update, on gradients smoothed to take their bias off.

    With k the number of the update: y_t <- y_t - beta / k^beta_sigma (y_t - h_t), then lambda <-
    P(lambda - gamma / k^gamma_sigma (Y Y^T + rho I) lambda) on the simplex, and the result is Y^T
    lambda. With ``normalize``, h_t = loss_t g_t / |g_t|, as in the authors' code and LibMTL, whose
    defaults these are; without, h_t = g_t, as in the paper. The paper projects onto the simplex;
    that code takes a softmax of the step (``simplex="softmax"``).

    Needs the gradients and a state of their size; losses with ``normalize``. No weighted sum of the
    gradients given: ``info.weights`` are lambda, those of the smoothed ones.

    Args:
        beta: step of the smoothing.
        beta_sigma: its decay.
        gamma: step of the weights.
        gamma_sigma: its decay.
        rho: strength of the pull to equal weights. All of these may be traced.
        normalize: static.
        simplex: ``"projection"`` or ``"softmax"``, static.

    Returns:
        The aggregator; its state is a ``MoCoState``. Absent tasks keep theirs, and their part of
        lambda. With ``normalize``, losses below 0 give NaN: they would turn the gradient around.

    Raises:
        ValueError: a number or choice out of range; at the update, without losses if they are
            needed.

    Example:
        >>> import jax.numpy as jnp
        >>> grads = jnp.array([[3.0, 4.0], [0.0, 1.0]])
        >>> aggregator = moco(normalize=False)
        >>> combined, state, info = aggregator.update(grads, aggregator.init(grads))
        >>> [round(w, 3) for w in info.weights.tolist()]
        [0.35, 0.65]

    References:
        Fernando, Shen, Liu, Chaudhury, Murugesan, Chen (2023), Mitigating gradient bias in
        multi-objective learning, algorithm 1.
    """
    check_choice("normalize", normalize, (False, True))
    check_choice("simplex", simplex, ("projection", "softmax"))
    for name, value in (("beta", beta), ("gamma", gamma)):
        check_positive(name, value)
    for name, value in (("beta_sigma", beta_sigma), ("gamma_sigma", gamma_sigma), ("rho", rho)):
        check_positive(name, value, zero=True)

    def init(task_grads: PyTree) -> MoCoState:
        tasks, dtype = num_tasks(task_grads), accumulator_dtype(task_grads)
        return MoCoState(
            smoothed=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, dtype), task_grads),
            weights=jnp.full(tasks, 1 / tasks, dtype),
            steps=jnp.zeros(tasks, jnp.int32),
        )

    def update(task_grads: PyTree, state: MoCoState, **given: Any) -> Any:
        task_grads, context = checked(task_grads, **given)
        dtype, present = state.weights.dtype, context.present
        gram = gram_matrix(task_grads)
        factor = jnp.ones_like(state.weights)
        if normalize:
            norms = jnp.sqrt(jnp.diagonal(gram))
            losses = nonnegative(require_losses("moco", context, dtype))
            factor = losses / jnp.where(norms == 0, 1, norms)
        steps = state.steps + present.astype(jnp.int32)
        number = jnp.maximum(steps, 1).astype(dtype)
        rate = jnp.where(present, in_type(beta, dtype) / number ** in_type(beta_sigma, dtype), 0)

        def smooth(y: Array, leaf: Array) -> Array:
            h = along_tasks(factor, leaf) * leaf.astype(dtype)
            return y - along_tasks(rate, leaf) * (y - h)

        smoothed = jax.tree.map(smooth, state.smoothed, task_grads)
        present_rows = jax.tree.map(lambda y: jnp.where(along_tasks(present, y), y, 0), smoothed)
        lam = share_among(state.weights, present)
        smoothed_gram = gram_matrix(present_rows)
        finite = jnp.isfinite(smoothed_gram).all() & jnp.isfinite(factor).all()
        slope = (smoothed_gram * lam[None]).sum(axis=1) + in_type(rho, dtype) * lam
        step = in_type(gamma, dtype) / jnp.max(number) ** in_type(gamma_sigma, dtype)
        moved = lam - step * slope
        if simplex == "projection":
            lam = project_simplex(moved, present)
        else:
            lam = jax.nn.softmax(jnp.where(present, moved, -jnp.inf))
        lam = jnp.where(finite, lam, jnp.nan)
        combined = weighted_sum(lam, present_rows)
        combined = jax.tree.map(lambda c, leaf: c.astype(leaf.dtype), combined, task_grads)
        following = MoCoState(smoothed, rejoin(state.weights, lam, present), steps)
        return combined, kept_unless(finite, following, state), describe(gram, context, lam)

    return Aggregator(init, update, weighted=False)
