"""Weights solved now and then, and kept in between."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmtl._validate import check_count, check_positive
from jaxmtl.aggregation.contract import Aggregator, Context, Weighed, gram_context
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.one_pass import OnePass, one_pass, untold
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers.linear import multiply
from jaxmtl.aggregation.solvers.trust import safe_root
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks


class EveryState(NamedTuple):
    """What is kept between solutions.

    Attributes:
        inner: state of the method inside.
        since: updates since the last solution, that one included; the number of ``every`` where one
            is due, as at the start and after one that was not finite.
        weights: of the last solution.
        converged: whether it was one.
        residual: of it.
        solved: tasks that it was a solution for.
    """

    inner: Any
    since: Int[Array, ""]
    weights: Float[Array, " tasks"]
    converged: Bool[Array, ""]
    residual: Float[Array, ""]
    solved: Bool[Array, " tasks"]


def every(n: int, aggregator: AnyMethod, *, max_norm: Real | None = None) -> OnePass:
    """Solves for the weights at each n-th update and keeps them in between.

    The updates between go along the gradient of the weighted loss: one backward pass instead of one
    a task, in ``aggregated_step`` and ``gramian_step``, within the same compiled program. With S
    steps on the summed loss for an update with a solution, one in n costs (S + n - 1) / n. S is
    about (1 + 2 T) / 3 in ``aggregated_step``, more where T times the parameters leave the caches;
    in ``gramian_step``, which passes activations back a task but not kernels, a dense network with
    few rows has S of about 1 + T / 3 (with a head each in a ``SplitLoss``), so that n = 8 stays
    within 1.3 up to 8 tasks or so, and 32 tasks take n = 40. With ``solve_on`` a share p of the
    rows, S is about 1 + p T / 3 to 1 + 2 p T / 3, whatever the network.

    A task that is present and was not when weights were solved makes a solution due at once; an
    absent task has weight 0.

    Updates between two solutions have NaN for cosines and conflict rate, which would take all
    gradients; ``converged`` and ``residual`` are those of the last solution.

    Args:
        n: updates from one solution to the next, static; 1 solves each time.
        aggregator: the method inside, whose result must be a weighted sum of the task gradients.
            Its state moves at the solutions only.
        max_norm: at every update, what is longer is shortened to this norm, and the weights with
            it; what is kept is the solution before that. May be traced; None for no limit.

    Returns:
        The aggregator; its state is an ``EveryState``. Wrap ``with_heads`` around it, not it around
        ``with_heads``: heads then get their gradients at every update.

    Raises:
        ValueError: n below 1, a max_norm not above 0, or a method whose result is no weighted sum.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + 2 * x) ** 2).sum()])
        >>> init, step = ag.aggregated_step(loss_fn, every(2, ag.upgrad()), optax.sgd(0.1))
        >>> params, batch, step = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0]), jax.jit(step)
        >>> state = init(params, batch)
        >>> for _ in range(3):
        ...     params, state, info = step(params, state, batch)
        ...     print(info.aggregation.conflict_rate.item(), state.aggregator.since.item())
        0.0 1
        nan 2
        1.0 1

    References:
        Xiao, Zhang, Chen, Ban et al. (2025), PSMGD: periodic stochastic multi-gradient descent for
        fast multi-objective optimization, AAAI, algorithm 1, whose released code smooths only the
        weights that it logs. Navon et al. (2022), Nash-MTL, section 5.3, did so first.
    """
    check_count("n", n)
    if max_norm is not None:
        check_positive("max_norm", max_norm)
    inside = as_aggregator(aggregator)
    check_weighted("every", inside)

    def init(task_grads: PyTree) -> EveryState:
        tasks, dtype = num_tasks(task_grads), accumulator_dtype(task_grads)
        return EveryState(
            inner=inside.init(task_grads),
            since=jnp.int32(n),
            weights=jnp.zeros(tasks, dtype),
            converged=jnp.asarray(True),
            residual=jnp.zeros((), dtype),
            solved=jnp.zeros(tasks, bool),
        )

    def due(state: EveryState, context: Context) -> Any:
        return (state.since >= n) | (context.present & ~state.solved).any()

    def kept(state: EveryState, inner: Any, info: Any, present: Array) -> EveryState:
        """The state after a solution; the one before where it is not finite."""
        fine = jnp.isfinite(info.weights).all()
        new = EveryState(inner, jnp.int32(1), info.weights, info.converged, info.residual, present)
        old = state._replace(inner=inner, since=jnp.int32(n))
        return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, old)

    def full(task_grads: PyTree, state: EveryState, **given: Any) -> Any:
        combined, inner, info = inside.update(task_grads, state.inner, **given)
        present = gram_context(info.weights.shape[0], present=given.get("present")).present
        following = kept(state, inner, info, present)
        combined, weights = limited(combined, info.weights)
        return combined, following, info._replace(weights=weights)

    def limited(combined: PyTree, weights: Array) -> tuple[PyTree, Array]:
        if max_norm is None:
            return combined, weights
        norm = optax.tree.norm(jax.tree.map(lambda leaf: leaf.astype(weights.dtype), combined))
        factor = shortening(norm, max_norm, weights.dtype)
        return jax.tree.map(
            lambda leaf: (factor * leaf).astype(leaf.dtype), combined
        ), factor * weights

    def ask(state: EveryState, context: Context) -> Array:
        return jnp.where(context.present, state.weights, 0)

    def answer(pulled: PyTree, state: EveryState, weights: Array, context: Context) -> Any:
        following = state._replace(since=state.since + 1)
        pulled, weights = limited(pulled, weights)
        return pulled, following, untold(weights, state.converged, state.residual)

    def rule(gram: Array, state: EveryState, context: Context) -> Weighed:
        assert inside.rule is not None
        solve = inside.rule

        def solved() -> tuple[Array, EveryState]:
            found = solve(gram, state.inner, context)
            found = found._replace(converged=jnp.asarray(found.converged))
            found = found._replace(residual=jnp.asarray(found.residual, gram.dtype))
            return found.weights, kept(state, found.state, found, context.present)

        def from_before() -> tuple[Array, EveryState]:
            return ask(state, context), state._replace(since=state.since + 1)

        weights, following = jax.lax.cond(due(state, context), solved, from_before)
        if max_norm is not None:
            norm = safe_root(weights @ multiply(gram, weights))
            weights = weights * shortening(norm, max_norm, weights.dtype)
        return Weighed(weights, following, following.converged, following.residual)

    made = one_pass(init, ask, answer, weighted=True, due=due, full=full)
    return made if inside.rule is None else dataclasses.replace(made, rule=rule)


def shortening(norm: Array, max_norm: Real, dtype: Any) -> Float[Array, ""]:
    """By what a vector is multiplied so that it is no longer than the limit.

    Example:
        >>> import jax.numpy as jnp
        >>> shortening(jnp.array(4.0), 1.0, jnp.float32).item()
        0.25
    """
    limit = in_type(max_norm, dtype)
    return jnp.where(norm > limit, limit / jnp.where(norm > 0, norm, 1), 1)


def check_weighted(caller: str, aggregator: Aggregator) -> None:
    """Refuses a method of which no weights can be kept.

    Raises:
        ValueError: its result is no weighted sum of the task gradients.
    """
    if aggregator.apart is not None:
        raise ValueError(
            f"{caller}: expected the method of the shared parameters, got with_heads(...): wrap "
            f"with_heads({caller}(...), ...) around it"
        )
    if not aggregator.weighted:
        raise ValueError(
            f"{caller}: expected a method whose result is one weighted sum of the task gradients, "
            "which can be had from one backward pass, got one whose result is none: "
            "take upgrad(), say"
        )
