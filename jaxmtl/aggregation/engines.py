"""Steps that never hold the task gradients: by their Gram matrix, or at the features."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._modes import take_step
from jaxmtl._pytree import cloned_keys
from jaxmtl._validate import check_choice
from jaxmtl.aggregation.checks import check_kind, check_parts, check_state
from jaxmtl.aggregation.contract import AggregationInfo, Aggregator, Rule, describe, gram_context
from jaxmtl.aggregation.heads import head_weights, with_heads
from jaxmtl.aggregation.info import StepInfo, info_of, read_value, value_for
from jaxmtl.aggregation.keys import step_keys
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.one_pass import OnePass
from jaxmtl.aggregation.step import AggregatedStep, StepState, init_of
from jaxmtl.gradients import (
    LossFn,
    SplitLoss,
    feature_gradients,
    task_gramian,
    trunk_gramian,
)
from jaxmtl.gradients.loss import gives_aux, parts_of, value_of
from jaxmtl.gradients.stacked import accumulator_dtype

Combine = Callable[..., tuple[PyTree, Any, AggregationInfo]]


def gramian_step(
    loss_fn: LossFn,
    aggregator: AnyMethod,
    optimizer: optax.GradientTransformation,
    *,
    engine: Literal["auto", "layers", "rank_one"] = "auto",
    chunk: int | None = None,
    head_gradients: Literal["plain", "weighted"] | None = None,
    has_aux: bool = False,
    solve_on: Callable[[PyTree], PyTree] | None = None,
) -> AggregatedStep:
    """Makes one step that forms the Gram matrix, but not the task gradients.

    The numbers are those of ``aggregated_step``, with ``head_gradients`` those of ``with_heads``.
    Instead of tasks times parameters it holds the largest layer's share of that at a time, or the
    dense layers' factors, of which their combined gradient is made; it is also the faster step
    where most parameters are dense.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the task losses, and may take and give more; see
            ``aggregated_step``. With tasks missing from a batch the losses themselves may be NaN,
            their slopes in the parameters may not; those of ``mean_over_known`` are 0 (for targets
            of NaN see there). A ``SplitLoss`` of one function a head spares every head the passes
            of the other tasks.
        aggregator: a method that needs only the Gram matrix, or ``with_heads`` of one.
        optimizer: any optax optimizer.
        engine: how the matrix is formed, see ``task_gramian``. Static.
        chunk: tasks whose backward passes run side by side; None for all. Static.
        head_gradients: of a ``SplitLoss``: None aggregates the gradients of all parameters;
            ``"plain"`` and ``"weighted"`` those of the trunk alone, and give each head its own
            gradient, or that times the weight of its task; see ``with_heads``. Static.
        has_aux: whether the loss gives a pair (losses, aux); a ``SplitLoss`` says so itself.
            Static.
        solve_on: from the batch to the part of it that the Gram matrix is formed on, such as its
            first rows; None for all. The losses, their weighted gradient and aux are those of the
            whole batch, one pass more; with an eighth of the rows the passes a task cost about an
            eighth. Weights are those of a smaller sample, then, so the losses should be means over
            rows. Static.

    Returns:
        ``init`` and ``step`` as those of ``aggregated_step``, without ``extra_batches``.

    Raises:
        ValueError: the method needs more than the Gram matrix; an unknown choice of head gradients,
            or one without a ``SplitLoss``; see also ``task_gramian``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + x) ** 2).sum()])
        >>> init, step = gramian_step(loss_fn, ag.upgrad(), optax.sgd(0.25))
        >>> params, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0])
        >>> jax.jit(step)(params, init(params, batch), batch)[0].tolist()
        [0.5, 0.5]
    """
    aggregator = as_aggregator(aggregator)
    check_parts("aggregator", aggregator, Aggregator, optimizer)
    apart, inside = aggregator.apart, aggregator
    if apart is not None:
        if head_gradients is not None:
            raise ValueError(
                "head_gradients: expected None with a method of with_heads, which says it already, "
                f"got {head_gradients!r}"
            )
        inside = apart.aggregator
    rule = required_rule("gramian_step", inside)
    gramian: Callable[..., Any]
    if head_gradients is None:
        gramian = task_gramian(
            loss_fn,
            engine=engine,
            chunk=chunk,
            has_aux=has_aux,
            counted=None if apart is None else apart.flags,
        )
    else:
        check_choice("head_gradients", head_gradients, ("plain", "weighted"))
        if not isinstance(loss_fn, SplitLoss):
            raise ValueError(
                "head_gradients: expected None without a SplitLoss, which tells the heads apart, "
                f"got {head_gradients!r}"
            )
        gramian = trunk_gramian(loss_fn, engine=engine, chunk=chunk)

    has_aux = gives_aux(loss_fn, has_aux)
    parts = parts_of(loss_fn, has_aux)
    sparing = aggregator
    if head_gradients is not None:  # of the pair that a SplitLoss has for parameters
        sparing = with_heads(aggregator, (True, False), head_gradients)

    def open_loss(params: PyTree, *given: Any, **keyed: Any) -> tuple[Any, Combine]:
        if isinstance(sparing, OnePass) or solve_on is not None:
            return open_once(params, *given, **keyed)
        return open_all(params, *given, **keyed)

    def open_once(params: PyTree, batch: PyTree, *args: Any, **keyed: Any) -> Any:
        losses, pullback, beside = jax.vjp(
            lambda p: parts(p, batch, *args, **keyed), params, has_aux=True
        )

        def back(weights: Array) -> PyTree:
            return pullback(weights.astype(losses.dtype))[0]

        def combine(losses: Array, state: Any, **rest: Any) -> Any:
            again = cloned_keys(keyed)  # the losses are there already: the same are drawn

            def solved() -> Any:
                if solve_on is None:
                    return open_all(params, batch, *args, **again)[1](losses, state, **rest)
                gram = gramian(params, solve_on(batch), *args, **again)[1]
                check_state(state, lambda: inside.init(gram), losses.shape[0])
                weights, after, info = weigh(rule, gram, state, losses=losses, **rest)
                pulled, apart = back(weights), sparing.apart
                if apart is None:
                    return pulled, after, info
                own = head_weights(apart.head_gradients, weights, losses, rest.get("present"))
                ours, heads = apart.split(pulled)[0], apart.split(back(own))[1]
                return apart.join(pulled, ours, heads), after, info

            if not isinstance(sparing, OnePass):
                return solved()
            context, once = gram_context(losses.shape[0], losses=losses, **rest), sparing
            return once.branch(
                state, context, solved, lambda: once.pull(back, state, context, losses.dtype)
            )

        return value_of(losses, beside, has_aux), combine

    def open_all(params: PyTree, *given: Any, **keyed: Any) -> tuple[Any, Combine]:
        value, gram, backward = gramian(params, *given, **keyed)

        def combine(losses: Array, state: Any, **given: Any) -> Any:
            check_state(state, lambda: inside.init(gram), losses.shape[0])
            weights, state, info = weigh(rule, gram, state, losses=losses, **given)
            choice = head_gradients if apart is None else apart.head_gradients
            if choice is None:
                return backward(weights), state, info
            own = head_weights(choice, weights, losses, given.get("present"))
            return backward(weights, own), state, info

        return value, combine

    def rows(params: PyTree, *given: Any, **keyed: Any) -> PyTree:
        tasks = parts(params, *given, **keyed)[0].shape[0]
        return jax.tree.map(lambda p: jnp.broadcast_to(p, (tasks, *jnp.shape(p))), params)

    weighted = aggregator.weighted and head_gradients != "plain"
    return step_of(open_loss, rows, loss_fn, aggregator, optimizer, has_aux, weighted)


def feature_step(
    split: SplitLoss,
    aggregator: AnyMethod,
    optimizer: optax.GradientTransformation,
    head_gradients: Literal["plain", "weighted"],
) -> AggregatedStep:
    """Makes one step that aggregates gradients at the features and passes the trunk back once.

    Rows are the gradients at the representation of the whole batch, one long vector a task. It is
    what MGDA-UB and GradDrop do, and LibMTL's ``rep_grad``, which however sums over the batch
    first. For methods on the Gram matrix it is an approximation: the trunk's Jacobian, of any size,
    stands between its gradients and these. The step costs about one step on the summed loss.

    Args:
        split: trunk and heads; parameters are the pair of theirs. It says itself whether its trunk
            gives (features, aux); see ``SplitLoss`` for keys and further arguments.
        aggregator: any; it is given the gradients at the features.
        optimizer: any optax optimizer.
        head_gradients: ``"plain"``: every head its own gradient; ``"weighted"``: times the weight
            of its task; see ``with_heads``. Static.

    Returns:
        ``init`` and ``step`` as those of ``aggregated_step``, without ``extra_batches``.

    Raises:
        ValueError: an unknown choice, ``"weighted"`` with a method whose result is no weighted sum.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> split = ag.SplitLoss(
        ...     trunk=lambda w, x: x * w,
        ...     heads=(lambda v, z, x: v[0] * z.sum(), lambda v, z, x: -v[1] * z.sum()))
        >>> params = (jnp.array(1.0), jnp.array([1.0, 2.0]))
        >>> init, step = feature_step(split, ag.mgda(), optax.sgd(0.1), "plain")
        >>> x = jnp.array([1.0, 2.0])
        >>> params, state, info = jax.jit(step)(params, init(params, x), x)
        >>> round(params[0].item(), 4), [round(w, 4) for w in info.aggregation.weights.tolist()]
        (1.0, [0.6667, 0.3333])

    References:
        Sener, Koltun (2018), Multi-task learning as multi-objective optimization, section 3.3.
    """
    aggregator = as_aggregator(aggregator)
    check_parts("aggregator", aggregator, Aggregator, optimizer)
    if aggregator.apart is not None:
        raise ValueError(
            "aggregator: expected one for the features, got with_heads(...) for the parameters: "
            f"take the one inside, and head_gradients={aggregator.apart.head_gradients!r}"
        )
    if not isinstance(split, SplitLoss):
        raise ValueError(
            "split: expected a SplitLoss, whose trunk makes the features, got "
            f"{type(split).__name__}: SplitLoss(trunk, heads)"
        )
    check_choice("head_gradients", head_gradients, ("plain", "weighted"))
    if head_gradients == "weighted" and not aggregator.weighted:
        raise ValueError(
            "head_gradients: expected 'plain' with a method whose result is no weighted sum of the "
            "task gradients, got 'weighted'"
        )
    gradients_fn = feature_gradients(split)

    def open_loss(params: Any, *given: Any, **keyed: Any) -> tuple[Any, Combine]:
        value, rows, backward = gradients_fn(params, *given, **keyed)

        def combine(losses: Array, state: Any, **given: Any) -> Any:
            check_state(state, lambda: aggregator.init(rows), losses.shape[0])
            combined, state, info = aggregator.update(
                rows, state, losses=losses, params=params, **given
            )
            weights = head_weights(head_gradients, info.weights, losses, given.get("present"))
            return backward(combined, weights), state, info

        return value, combine

    def rows(*given: Any, **keyed: Any) -> PyTree:
        return gradients_fn(*given, **keyed)[1]

    weighted = head_gradients == "weighted"
    return step_of(open_loss, rows, split, aggregator, optimizer, split.has_aux, weighted)


def step_of(
    open_loss: Callable[..., tuple[Any, Combine]],
    rows: Callable[..., PyTree],
    loss_fn: LossFn,
    aggregator: Aggregator,
    optimizer: optax.GradientTransformation,
    has_aux: bool,
    weighted: bool,
) -> AggregatedStep:
    """A step of an engine.

    Args:
        open_loss: ``open_loss(params, batch, *args, **key)`` gives losses, with ``has_aux`` the
            pair (losses, aux), and ``combine(losses, state, *, key, present, order)``, which gives
            the combined gradient, the aggregator's state and info.
        rows: ``rows(params, batch, *args, **key)`` gives what the aggregator combines, of which
            only the shapes are used.
        loss_fn: for whether it takes a key.
        aggregator: for its first state.
        optimizer: any.
        has_aux: whether the loss gives a pair.
        weighted: whether all parameters go along the weighted sum of their task gradients.

    Returns:
        ``init`` and ``step``.
    """

    init = init_of(loss_fn, rows, optimizer, lambda _, shapes: aggregator.init(shapes))

    def step(
        params: PyTree,
        state: StepState,
        batch: PyTree,
        *args: PyTree,
        key: Key[Array, ""] | None = None,
        present: Bool[Array, " tasks"] | None = None,
        value: Float[Array, ""] | None = None,
        order: Int[Array, "tasks tasks"] | None = None,
    ) -> tuple[PyTree, StepState, StepInfo]:
        check_kind(state, StepState)
        keys = step_keys(loss_fn, args, state, key)
        given, combine = open_loss(params, batch, *args, **keys.loss)
        losses, names, aux = read_value(given, has_aux)
        grads, inner, found = combine(
            losses, state.aggregator, key=keys.method, present=present, order=order
        )
        info = info_of(losses, found, weighted=weighted, aux=aux, names=names)
        value = value_for(info, present, value)
        after, optimizer_state = take_step(optimizer, grads, state.optimizer, params, value=value)
        return after, StepState(inner, optimizer_state, state.key, state.number + 1), info

    return AggregatedStep(init, step)


def required_rule(caller: str, aggregator: Aggregator) -> Rule:
    """The rule of a method on the Gram matrix.

    Raises:
        ValueError: it is none.
    """
    if aggregator.rule is None:
        raise ValueError(
            f"{caller}: expected a method that needs only the Gram matrix, got one that needs the "
            "task gradients: take aggregated_step"
        )
    return aggregator.rule


def weigh(
    rule: Rule, gram: Float[Array, "tasks tasks"], state: Any, **given: Any
) -> tuple[Float[Array, " tasks"], Any, AggregationInfo]:
    """Weights, state and info from the Gram matrix, in which absent tasks are set to 0."""
    context = gram_context(gram.shape[0], **given)
    both = context.present[:, None] & context.present[None]
    gram = jnp.where(both, gram, 0)
    found = rule(gram, state, context)
    info = describe(gram, context, found.weights, found.converged, found.residual)
    return found.weights, found.state, info


def flat_rows(task_grads: PyTree) -> Float[Array, "tasks parameters"]:
    """The rows of J as a matrix, float32 at least."""
    dtype = accumulator_dtype(task_grads)
    leaves = jax.tree.leaves(task_grads)
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1).astype(dtype) for leaf in leaves], 1)


def unflatten(flat: Float[Array, " parameters"], like: PyTree) -> PyTree:
    """A vector as a pytree of the shapes and types of another."""
    leaves, structure = jax.tree.flatten(like)
    parts, at = [], 0
    for leaf in leaves:
        parts.append(flat[at : at + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
        at += leaf.size
    return jax.tree.unflatten(structure, parts)
