"""What every aggregator is: a pair ``init, update`` that turns stacked gradients into one."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._modes import own_transfers
from jaxmtl.aggregation.parts import kept_unless
from jaxmtl.aggregation.rows import gram_matrix, keep_present, scaled_gram, weighted_sum
from jaxmtl.gradients.stacked import accumulator_dtype, num_tasks

State = Any


class AggregationInfo(NamedTuple):
    """What one aggregation found; under ``jit``, what is not used is not computed.

    Attributes:
        weights: w of the combined gradient J^T w, (*groups, tasks); None for methods whose result
            is no weighted sum of the rows. Of those that smooth gradients over steps (MoCo,
            DB-MTL): of the smoothed rows.
        cosines: cosine of each pair of task gradients; 0 where one of them is zero or absent.
        conflict_rate: share of the pairs of tasks present whose inner product is below 0.
        converged: whether the solver met its tolerance; True for methods without one.
        residual: how far from it, on the scale that the method documents; 0 without a solver.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> grads = jnp.array([[1.0, 0.0], [-1.0, 1.0]])
        >>> aggregator = ag.mgda()
        >>> _, _, info = aggregator.update(grads, aggregator.init(grads))
        >>> [round(w, 3) for w in info.weights.tolist()], info.conflict_rate.item()
        ([0.6, 0.4], 1.0)
    """

    weights: Any
    cosines: Float[Array, "*groups tasks tasks"]
    conflict_rate: Float[Array, "*groups"]
    converged: Bool[Array, "*groups"]
    residual: Float[Array, "*groups"]


class Context(NamedTuple):
    """What an update may use besides the gradients; see ``UpdateFn``.

    ``scales`` is what the rows were divided by before the Gram matrix of a rule with ``scaled`` was
    formed; None for 1.

    Example:
        >>> import jax.numpy as jnp
        >>> Context(present=jnp.ones(2, bool)).losses is None
        True
    """

    present: Bool[Array, " tasks"]
    losses: Float[Array, " tasks"] | None = None
    params: PyTree | None = None
    key: Key[Array, ""] | None = None
    order: Int[Array, "tasks tasks"] | None = None
    extra_task_grads: Sequence[PyTree] = ()
    scales: Float[Array, " tasks"] | None = None


class Weighed(NamedTuple):
    """What a rule returns; see ``from_rule``.

    Example:
        >>> import jax.numpy as jnp
        >>> Weighed(weights=jnp.ones(2), state=()).converged
        True
    """

    weights: Float[Array, " tasks"]
    state: State
    converged: Bool[Array, ""] | bool = True
    residual: Float[Array, ""] | float = 0.0


class UpdateFn(Protocol):
    """``update(task_grads, state, *, ...) -> (grads, state, info)``."""

    def __call__(
        self,
        task_grads: PyTree,
        state: State,
        *,
        losses: Float[Array, " tasks"] | None = None,
        params: PyTree | None = None,
        key: Key[Array, ""] | None = None,
        present: Bool[Array, " tasks"] | None = None,
        order: Int[Array, "tasks tasks"] | None = None,
        extra_task_grads: Sequence[PyTree] = (),
    ) -> tuple[PyTree, State, AggregationInfo]:
        """Combines task gradients.

        Args:
            task_grads: leaves (tasks, *param), traced.
            state: from ``init`` or the last update.
            losses: current task losses, where a method needs them.
            params: parameters; no method here reads them, wrappers may.
            key: ``jax.random.key`` for methods that draw.
            present: which tasks this batch has; the others are left out as if never given, and
                their state stays as it is. None for all.
            order: PCGrad and GradVac: row t lists the tasks in the order in which task t visits
                them (itself included and skipped).
            extra_task_grads: SDMGrad and MoDo: the task gradients of two further batches.

        Returns:
            The combined gradient, the next state, the info. Where a gradient or loss that the
            method uses is not finite, the result shows it (NaN, or ``converged`` False) and the
            state stays as it was.
        """
        ...


Rule = Callable[[Float[Array, "tasks tasks"], State, Context], Weighed]


@dataclasses.dataclass(frozen=True)
class Aggregator:
    """A pair of pure functions that combines task gradients, as in optax.

    Attributes:
        init: ``init(task_grads) -> state``; task_grads may be shapes only (``jax.eval_shape``).
            Unlike optax it takes gradients, not parameters: the state depends on the number of
            tasks, which parameters do not tell. ``as_optax`` bridges the two.
        update: see ``contract.UpdateFn``. Pure; runs under ``jit``, ``vmap``, ``scan``; the state
            keeps its structure, shapes and types.
        rule: of methods that need nothing but the Gram matrix, ``rule(gram, state, context)``, by
            which engines that never form J, and ``grouped``, get the weights. None otherwise.
        weighted: whether the result is a weighted sum of the rows given to this update.
        apart: of ``with_heads``: the ``Apart`` by which engines aggregate what is shared alone.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> aggregator = ag.upgrad()
        >>> grads = {"w": jnp.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])}  # two tasks
        >>> combined, state, info = aggregator.update(grads, aggregator.init(grads))
        >>> [round(g, 4) for g in combined["w"].tolist()]
        [0.2924, 1.9006, 1.9006]
        >>> [round(w, 4) for w in aggregator.weights(ag.gram_matrix(grads)).tolist()]
        [1.1111, 0.7895]

    A method of one's own that reads the gradients; one of the Gram matrix is a ``from_rule``:

        >>> from jaxmtl.aggregation.contract import checked, describe
        >>> def vote(task_grads, state, **given):
        ...     rows, context = checked(task_grads, **given)  # those of absent tasks are 0
        ...     info = describe(ag.gram_matrix(rows), context)
        ...     return {name: jnp.sign(row).sum(axis=0) for name, row in rows.items()}, state, info
        >>> ag.Aggregator(lambda _: (), vote, weighted=False).update(grads, ())[0]["w"].tolist()
        [0.0, 2.0, 2.0]
    """

    init: Callable[[PyTree], State]
    update: UpdateFn
    rule: Rule | None = None
    weighted: bool = True
    apart: Any = None

    def __post_init__(self) -> None:
        """Lets the first state be made where transfers are refused."""
        object.__setattr__(self, "init", own_transfers(self.init))

    def weights(
        self,
        gram: Float[Array, "tasks tasks"],
        state: State = None,
        *,
        losses: Float[Array, " tasks"] | None = None,
        key: Key[Array, ""] | None = None,
        present: Bool[Array, " tasks"] | None = None,
        order: Int[Array, "tasks tasks"] | None = None,
    ) -> Float[Array, " tasks"]:
        """Weights from the Gram matrix alone, for methods that need nothing else.

        Args:
            gram: G = J J^T, traced; for SDMGrad and MoDo the product over two batches.
            state: None for that of a first step.
            losses: see ``UpdateFn``, as the other arguments.
            key: see there.
            present: see there.
            order: see there.

        Returns:
            The weights, (tasks,).

        Raises:
            ValueError: the method needs more than the Gram matrix.
        """
        if self.rule is None:
            raise ValueError(
                "weights: expected a method that needs only the Gram matrix, got one that needs "
                "the task gradients: pass them to its update"
            )
        if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
            raise ValueError(f"gram: expected a square matrix, got shape {gram.shape}")
        tasks = gram.shape[0]
        state = self.init(gram) if state is None else state
        context = gram_context(tasks, losses=losses, key=key, present=present, order=order)
        return self.rule(gram, state, context).weights


def from_rule(
    rule: Rule,
    init_state: Callable[[int, Any], State] = lambda tasks, dtype: (),
    *,
    needs_gram: bool = True,
    cross: bool = False,
    scaled: bool = False,
) -> Aggregator:
    """Builds the aggregator of a rule on the Gram matrix: J is read twice, for G and for J^T w.

    Args:
        rule: from Gram matrix, state and context to ``Weighed``. Rows and columns of absent tasks
            are 0; the rule gives them weight 0. It may ask another's rule: see ``pcgrad``.
        init_state: from the number of tasks and the type of the Gram matrix to the first state.
        needs_gram: whether the weights depend on the matrix; then weights are NaN where an entry
            is not finite, rather than what a solver made of it, and the state stays as it was.
        cross: the rule wants the product of the two further batches, if they are given.
        scaled: the rule reads ``context.scales``: rows whose squares are out of range (below 1e-19
            in float32) are then divided by powers of two first.

    Returns:
        The aggregator.

    Example:
        >>> import jax.numpy as jnp
        >>> inverse_norm = from_rule(lambda gram, s, c: Weighed(jnp.diag(gram) ** -0.5, s))
        >>> inverse_norm.weights(jnp.array([[4.0, 0.0], [0.0, 16.0]])).tolist()
        [0.5, 0.25]
    """

    def guarded(gram: Float[Array, "tasks tasks"], state: State, context: Context) -> Weighed:
        found = rule(gram, state, context)
        if not needs_gram:
            return found
        finite = jnp.isfinite(gram).all()
        return Weighed(
            weights=jnp.where(finite, found.weights, jnp.nan),
            state=kept_unless(finite, found.state, state),
            converged=found.converged & finite,
            residual=jnp.where(finite, found.residual, jnp.nan),
        )

    def init(task_grads: PyTree) -> State:
        return init_state(num_tasks(task_grads), accumulator_dtype(task_grads))

    def update(task_grads: PyTree, state: State, **given: Any) -> Any:
        task_grads, context = checked(task_grads, **given)
        if scaled:
            gram, scales = scaled_gram(task_grads, context.present)
            context = context._replace(scales=scales)
        else:
            gram = gram_matrix(task_grads)
        matrix = gram
        if cross and context.extra_task_grads:
            matrix = gram_matrix(*_two_batches(context))
        found = guarded(matrix, state, context)
        return (
            weighted_sum(found.weights, task_grads),
            found.state,
            describe(gram, context, found.weights, found.converged, found.residual),
        )

    return Aggregator(init, update, guarded)


def checked(task_grads: PyTree, **given: Any) -> tuple[PyTree, Context]:
    """Checks what an update was given, and sets the rows of absent tasks to 0."""
    context = gram_context(num_tasks(task_grads), **given)
    present = given.get("present")
    extra = tuple(keep_present(grads, present) for grads in context.extra_task_grads)
    return keep_present(task_grads, present), context._replace(extra_task_grads=extra)


def describe(
    gram: Float[Array, "tasks tasks"],
    context: Context,
    weights: Array | None = None,
    converged: Array | bool = True,
    residual: Array | float = 0.0,
) -> AggregationInfo:
    """The info of an update, in the type of the Gram matrix."""
    norms = jnp.sqrt(jnp.diagonal(gram))
    # 0 for rows of 0, NaN for those that are not finite.
    inverse = jnp.where(norms > 0, 1 / jnp.where(norms > 0, norms, 1), norms)
    pairs = (
        context.present[:, None] & context.present[None] & jnp.triu(jnp.ones_like(gram, bool), 1)
    )
    in_conflict = (gram < 0) & pairs
    return AggregationInfo(
        weights=None if weights is None else jnp.asarray(weights, gram.dtype),
        cosines=gram * inverse[:, None] * inverse[None],
        conflict_rate=in_conflict.sum(dtype=gram.dtype)
        / jnp.maximum(pairs.sum(dtype=gram.dtype), 1),
        converged=jnp.asarray(converged),
        residual=jnp.asarray(residual, gram.dtype),
    )


def require_losses(method: str, context: Context, dtype: Any) -> Float[Array, " tasks"]:
    """The losses in the given type, 1 for absent tasks.

    Raises:
        ValueError: there are none.
    """
    if context.losses is None:
        raise ValueError(f"{method}: expected losses, (tasks,), got None: pass update(losses=...)")
    return jnp.where(context.present, context.losses.astype(dtype), 1)


def require_key(method: str, context: Context) -> Key[Array, ""]:
    """The key.

    Raises:
        ValueError: there is none.
    """
    if context.key is None:
        raise ValueError(
            f"{method}: expected a jax.random.key, got None: pass "
            "update(key=...), or init(params, batch, key) of a step"
        )
    return context.key


def preference_vector(
    method: str,
    preferences: Any,
    present: Bool[Array, " tasks"],
    dtype: Any,
    *,
    default: str = "mean",
) -> Float[Array, " tasks"]:
    """Preferences as an array: those given, or 1 / (tasks present), or 1; 0 for absent tasks.

    Raises:
        ValueError: not one a task.
    """
    if preferences is None:
        share = 1 / jnp.maximum(present.sum(dtype=dtype), 1) if default == "mean" else 1
        return jnp.where(present, share, 0).astype(dtype)
    values = jnp.asarray(preferences, dtype)
    if values.shape != present.shape:
        raise ValueError(
            f"{method}: expected preferences of shape {present.shape}, one a task, "
            f"got {values.shape}"
        )
    return jnp.where(present, values, 0)


def gram_context(
    tasks: int,
    *,
    losses: Any = None,
    params: Any = None,
    key: Any = None,
    present: Any = None,
    order: Any = None,
    extra_task_grads: Sequence[PyTree] = (),
) -> Context:
    """The context of an update of that many tasks, checked.

    Raises:
        ValueError: an array is not of the shape that the tasks ask for.
    """
    for name, value, shape in (
        ("losses", losses, (tasks,)),
        ("present", present, (tasks,)),
        ("order", order, (tasks, tasks)),
    ):
        if value is not None and jnp.shape(value) != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {jnp.shape(value)}")
    everyone = jnp.ones(tasks, bool)
    return Context(
        present=everyone if present is None else jnp.asarray(present, bool),
        losses=None if losses is None else jnp.asarray(losses),
        params=params,
        key=key,
        order=None if order is None else jnp.asarray(order),
        extra_task_grads=tuple(extra_task_grads),
    )


def _two_batches(context: Context) -> Sequence[PyTree]:
    if len(context.extra_task_grads) != 2:
        raise ValueError(
            "extra_task_grads: expected the task gradients of two further batches, "
            f"got {len(context.extra_task_grads)}"
        )
    return context.extra_task_grads
