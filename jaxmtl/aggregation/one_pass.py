"""Methods that at most updates need one weighted sum of the task gradients, not all of them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmtl.aggregation.checks import check_state
from jaxmtl.aggregation.contract import (
    AggregationInfo,
    Aggregator,
    Context,
    UpdateFn,
    checked,
    gram_context,
)
from jaxmtl.aggregation.heads import Apart, head_weights
from jaxmtl.aggregation.rows import weighted_sum
from jaxmtl.gradients.convolutions import lay_out

Due = Callable[[Any, Context], Bool[Array, ""]]
Ask = Callable[[Any, Context], Float[Array, " tasks"]]
Answer = Callable[[PyTree, Any, Array, Context], tuple[PyTree, Any, AggregationInfo]]


@dataclasses.dataclass(frozen=True)
class OnePass(Aggregator):
    """An aggregator of which engines spare the backward passes that it does not need.

    Where ``due`` says so, ``update`` is given all task gradients. Else the method asks for their
    sum with weights of its own, which is one backward pass whatever the number of tasks, and
    answers with the combined gradient. ``aggregated_step`` and ``gramian_step`` do so within one
    compiled program, by a branch; elsewhere ``update`` gives the same numbers from all gradients.
    Under ``vmap`` with another number of steps for every member both branches are run, as always.

    Attributes:
        due: ``due(state, context)``; None for never.
        ask: ``ask(state, context)`` gives the weights, 0 for absent tasks.
        answer: ``answer(sum, state, weights, context)`` gives combined gradient, state and info.

    Example:
        >>> import jaxmtl.aggregation as ag
        >>> isinstance(ag.every(8, ag.upgrad()), OnePass), isinstance(ag.upgrad(), OnePass)
        (True, False)
    """

    due: Due | None = None
    ask: Ask | None = None
    answer: Answer | None = None

    def spare(
        self,
        params: PyTree,
        state: Any,
        open_loss: Callable[[], tuple[Any, Array, Callable[[Array], PyTree]]],
        all_rows: Callable[[], Any],
        about: Mapping[str, Any],
    ) -> Any:
        """What one pass gives, or, where they are due, what all task gradients give.

        Args:
            params: of the loss.
            state: of the method.
            open_loss: gives what the loss gave, the losses, and the way back from their weights.
            all_rows: gives what the loss gave, and what ``update`` returns.
            about: key, order and tasks present.

        Returns:
            What the loss gave, and (combined gradient, state, info).
        """
        tasks = jax.eval_shape(lambda: open_loss()[1]).shape[0]
        check_state(state, lambda: self.init(rows_like(params, tasks)), tasks)

        def one_row() -> Any:
            value, losses, pullback = open_loss()
            context = gram_context(tasks, losses=losses, **about)
            return value, self.pull(pullback, state, context, losses.dtype)

        return self.branch(state, gram_context(tasks, **about), all_rows, one_row)

    def branch(
        self,
        state: Any,
        context: Context,
        all_rows: Callable[[], Any],
        one_row: Callable[[], Any],
    ) -> Any:
        """One of the two, which give the same structure."""
        if self.due is None:
            return one_row()
        return jax.lax.cond(self.due(state, context), lay_out(all_rows), lay_out(one_row))

    def pull(
        self, pullback: Callable[[Array], PyTree], state: Any, context: Context, dtype: Any
    ) -> tuple[PyTree, Any, AggregationInfo]:
        """Combined gradient, state and info from one backward pass.

        Args:
            pullback: from weights of the losses to the gradient of their weighted sum.
            state: of the method.
            context: of the update.
            dtype: of the losses.

        Returns:
            The same as ``update``. Heads are passed back once more, without the trunk.
        """
        assert self.ask is not None
        assert self.answer is not None
        weights = self.ask(state, context)
        pulled = pullback(weights.astype(dtype))
        apart: Apart | None = self.apart
        if apart is None:
            return self.answer(pulled, state, weights, context)
        combined, state, info = self.answer(apart.split(pulled)[0], state, weights, context)
        own = head_weights(apart.head_gradients, info.weights, weights, context.present)
        heads = apart.split(pullback(own.astype(dtype)))[1]
        return apart.join(pulled, combined, heads), state, info


def one_pass(
    init: Callable[[PyTree], Any],
    ask: Ask,
    answer: Answer,
    *,
    weighted: bool,
    due: Due | None = None,
    full: UpdateFn | None = None,
) -> OnePass:
    """Builds such a method; its ``update`` is the literal one, from all task gradients.

    Args:
        init: see ``Aggregator``.
        ask: see ``OnePass``.
        answer: see ``OnePass``.
        weighted: whether the result is a weighted sum of the rows of this update.
        due: see ``OnePass``.
        full: the update where all are due.

    Returns:
        The aggregator.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.aggregation.contract import describe
        >>> def answer(row, state, weights, context):
        ...     return row, state, describe(jnp.eye(2), context, weights)
        >>> ask = lambda state, context: jnp.array([1.0, 0.0])
        >>> first = one_pass(lambda rows: (), ask, answer, weighted=True)
        >>> first.update(jnp.array([[1.0, 2.0], [3.0, 4.0]]), ())[0].tolist()
        [1.0, 2.0]
    """

    def update(task_grads: PyTree, state: Any, **given: Any) -> Any:
        rows, context = checked(task_grads, **given)

        def one_row() -> Any:
            weights = ask(state, context)
            return answer(weighted_sum(weights, rows), state, weights, context)

        if due is None or full is None:
            return one_row()
        all_rows = functools.partial(full, task_grads, state, **given)
        return jax.lax.cond(due(state, context), all_rows, one_row)

    return OnePass(init, update, weighted=weighted, due=due, ask=ask, answer=answer)


def untold(
    weights: Float[Array, " tasks"],
    converged: Bool[Array, ""],
    residual: Float[Array, ""],
) -> AggregationInfo:
    """The info of an update that has seen no pair of gradients: cosines and conflict are NaN.

    Example:
        >>> import jax.numpy as jnp
        >>> untold(jnp.ones(2), jnp.array(True), jnp.array(0.0)).conflict_rate.item()
        nan
    """
    tasks = weights.shape[0]
    return AggregationInfo(
        weights=weights,
        cosines=jnp.full((tasks, tasks), jnp.nan, weights.dtype),
        conflict_rate=jnp.full((), jnp.nan, weights.dtype),
        converged=jnp.asarray(converged),
        residual=jnp.asarray(residual, weights.dtype),
    )


def rows_like(params: PyTree, tasks: int) -> PyTree:
    """Shapes of the gradients of so many tasks.

    Example:
        >>> import jax.numpy as jnp
        >>> rows_like(jnp.ones(3), 2).shape
        (2, 3)
    """
    return jax.tree.map(
        lambda p: jax.ShapeDtypeStruct((tasks, *jnp.shape(p)), jnp.result_type(p)), params
    )
