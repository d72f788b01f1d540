"""Sign conflict between task gradients: where it is, how often, and for how long.

Every function here is pure, has static shapes and runs under ``jit``, ``vmap`` and ``scan``. A
*node* is one column of a dense layer; its *readers* are the tasks whose head uses it. Only readers
can disagree: the gradient of a task at a node that it does not read is exactly 0, which the rule of
the study (``>= 0``) would call positive and, on about half of all samples, a conflict.
"""

import functools
import operator
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmtl._validate import check_choice

Rule = Literal["nonnegative", "strict"]
Zeros = Literal["reset", "hold"]


class Evidence(NamedTuple):
    """What each sample of a batch says about each weight or node.

    Attributes:
        conflict: some reader's gradient sign differs from another's.
        zero: the gradients of all readers are exactly 0.
        comparable: at least two readers are left to compare, and no gradient that could change the
            answer is NaN; elsewhere the sample says nothing.
    """

    conflict: Bool[Array, "batch ..."]
    zero: Bool[Array, "batch ..."]
    comparable: Bool[Array, "#batch ..."]


def sign_conflict(
    gradients: Float[Array, "*samples tasks nodes"],
    readers: Bool[Array, "*#samples tasks nodes"] | None = None,
    *,
    rule: Rule = "nonnegative",
    task_axis: int | None = None,
) -> Bool[Array, "*samples nodes"]:
    """Marks the entries at which the gradients of two reading tasks differ in sign.

    With ``rule="nonnegative"`` (the study) the sign of a gradient g is the truth of g >= 0, so a
    conflict is (g_s >= 0) != (g_t >= 0) for some readers s, t; a zero counts as positive. With
    ``rule="strict"`` it is g_s g_t < 0: a zero conflicts with nothing. The two differ only where
    a gradient is exactly 0. For more than two tasks a conflict is one between any pair. NaN has no
    sign and conflicts with nothing; ``node_conflict`` tells such an entry from one of no conflict.

    Args:
        gradients: task gradients with the task axis second to last, any leading axes (samples,
            rows of a kernel), or wherever ``task_axis`` says, traced.
        readers: which task reads which node, traced; None means that all tasks read all nodes.
            Leading axes broadcast, so a task whose label is missing on some samples is left out
            there by a mask with a sample axis.
        rule: ``"nonnegative"`` or ``"strict"``, static.
        task_axis: which axis is that of the tasks, static: 0 for what ``task_gradients`` returns.
            None for the second to last; that must be known by ``readers``, or be the first of two.

    Returns:
        True where readers disagree; the task axis is gone.

    Raises:
        ValueError: an unknown rule, gradients with fewer than two axes, readers that do not fit, or
            more than two axes with neither readers nor ``task_axis``: task gradients of a kernel,
            (tasks, inputs, nodes), would be read as one sample a task.

    Example:
        >>> import jax.numpy as jnp
        >>> g = jnp.array([[1.0, 1.0, 0.0], [2.0, -1.0, -1.0]])  # two tasks, three nodes
        >>> sign_conflict(g).tolist()
        [False, True, True]
        >>> sign_conflict(g, rule="strict").tolist()
        [False, True, False]

    References:
        Wang, Jin, Du, Zhang, Hao (2023), Mathematics 11(22), 4639, the sign rule. The reader mask
        is ours: without it, nodes that are already split keep on being counted.
    """
    check_choice("rule", rule, ("nonnegative", "strict"))
    if gradients.ndim < 2:
        raise ValueError(
            f"gradients: expected axes (..., tasks, nodes), got shape {gradients.shape}"
        )
    if task_axis is not None:
        gradients = jnp.moveaxis(gradients, task_axis, -2)
    elif readers is None and gradients.ndim > 2:
        raise ValueError(
            f"gradients: expected to know the axis of the tasks in shape {gradients.shape}: pass "
            "task_axis=0 for what task_gradients returns, task_axis=-2 for samples first"
        )
    if readers is not None and (
        readers.ndim < 2
        or readers.shape[-2] != gradients.shape[-2]
        or readers.shape[-1] not in (1, gradients.shape[-1])
    ):
        raise ValueError(
            f"readers: expected axes (..., tasks, nodes) as the gradients of shape "
            f"{gradients.shape}, got shape {readers.shape}"
        )
    positive = gradients >= 0 if rule == "nonnegative" else gradients > 0
    negative = gradients < 0
    if readers is not None:
        mask = _like(readers, gradients)
        positive, negative = positive & mask, negative & mask
    return _any_task(positive) & _any_task(negative)


def node_conflict(
    deltas: Float[Array, "batch tasks nodes"],
    readers: Bool[Array, "*#batch tasks nodes"],
    *,
    rule: Rule = "nonnegative",
    finite: bool = False,
) -> Evidence:
    """Conflict of each node on each sample, from the gradients at its pre-activation.

    The gradient of weight (i, k) of a dense layer is a_i delta_t[k]: with an input a_i > 0, as
    after a sigmoid, every weight of a node says what the node says. This is then exact and costs no
    factor of the fan-in. It is always exactly the statistic of the node's bias, whose input is 1.

    Args:
        deltas: gradient of each task's loss at the pre-activation of each node, traced.
        readers: which task reads which node, (tasks, nodes), or (batch, tasks, nodes) where labels
            are missing, traced.
        rule: see ``sign_conflict``, static.
        finite: whether all gradients are known to be finite, as in a loop that ends where one is
            not; spares a look at each. Static.

    Returns:
        Evidence with leaves (batch, nodes).

    Example:
        >>> import jax.numpy as jnp
        >>> deltas = jnp.array([[[1.0, 0.0], [-1.0, 0.0]]])  # one sample, two tasks, two nodes
        >>> found = node_conflict(deltas, jnp.ones((2, 2), bool))
        >>> found.conflict.tolist(), found.zero.tolist()
        ([[True, False]], [[False, True]])
    """
    conflict = sign_conflict(deltas, readers, rule=rule)
    comparable = jnp.atleast_2d(readers.sum(axis=-2) >= 2)
    if not finite:
        unknown = _any_task(jnp.isnan(deltas) & _like(readers, deltas))
        comparable = comparable & (conflict | ~unknown)
    return Evidence(
        conflict=conflict,
        zero=~_any_task((deltas != 0) & _like(readers, deltas)),
        comparable=comparable,
    )


def weight_conflict(
    activations: Float[Array, "batch inputs"],
    deltas: Float[Array, "batch tasks nodes"],
    readers: Bool[Array, "*#batch tasks nodes"],
    *,
    rule: Rule = "nonnegative",
    finite: bool = False,
) -> Evidence:
    """Conflict of each weight on each sample, for inputs of any sign.

    With X+ the conflict of the deltas and X- that of the negated deltas (they differ only where a
    delta is 0), the weight (i, k) is in conflict by X+ where a_i > 0, by X- where a_i < 0, and
    never where a_i = 0: all its gradients are then 0.

    Args:
        activations: inputs of the layer, traced.
        deltas: gradient of each task's loss at each node's pre-activation, traced.
        readers: as in ``node_conflict``, traced.
        rule: see ``sign_conflict``, static.
        finite: whether all gradients are known to be finite, as in a loop that ends where one is
            not; spares a look at each. Static.

    Returns:
        Evidence with leaves (batch, inputs, nodes).

    Example:
        >>> import jax.numpy as jnp
        >>> a = jnp.array([[1.0, 0.0, -1.0]])
        >>> deltas = jnp.array([[[2.0], [-3.0]]])  # two tasks disagree at the only node
        >>> weight_conflict(a, deltas, jnp.ones((2, 1), bool)).conflict[0, :, 0].tolist()
        [True, False, True]
    """
    above = node_conflict(deltas, readers, rule=rule, finite=finite)
    below = sign_conflict(-deltas, readers, rule=rule)
    a = activations[:, :, None]
    conflict = ((a > 0) & above.conflict[:, None]) | ((a < 0) & below[:, None])
    told = above.comparable[:, None]
    if not finite:
        told = told & ~jnp.isnan(a)
    return Evidence(conflict=conflict, zero=(a == 0) | above.zero[:, None], comparable=told)


def count_conflicts(
    conflict: Bool[Array, "samples ..."], counted: Bool[Array, "samples ..."] | None = None
) -> Int[Array, "..."]:
    """Counts the samples in conflict, along the first axis.

    Args:
        conflict: marks of ``sign_conflict`` with samples first, traced.
        counted: samples to count, traced; None for all.

    Returns:
        Number of conflicts, int32.

    Example:
        >>> import jax.numpy as jnp
        >>> count_conflicts(jnp.array([[True, False], [False, False], [True, True]])).tolist()
        [2, 1]
    """
    return (conflict if counted is None else conflict & counted).sum(axis=0, dtype=jnp.int32)


def update_streak(
    streak: Int[Array, "..."], evidence: Evidence, *, zeros: Zeros = "reset"
) -> Int[Array, "batch ..."]:
    """Run lengths of conflict after each sample of a batch, carried on from earlier batches.

    A streak is the number of consecutive samples in conflict; it ends at the first sample without
    one. With c the running count of conflicts inside the batch, the streak after sample n is c_n
    minus c at the last sample that ended it, or plus the streak carried in if none did: a
    cumulative sum and a cumulative maximum, no loop. Where fewer than two readers are left (a label
    is missing), or a gradient is NaN and the others agree, the sample leaves the streak as it is.

    Args:
        streak: streaks before the batch, int, traced.
        evidence: evidence of each sample in order, traced.
        zeros: what a sample does at which all gradients are exactly 0, static. ``"reset"`` (the
            study): it is one without conflict and ends the streak; ``"hold"``: it leaves the streak
            as it is. Zeros arise from inputs that are 0 (dead ReLUs, the minimum of a scaled
            column) and in float32 from the sigmoid, whose derivative is exactly 0 beyond about 17:
            there ``"reset"`` ends a streak by rounding, ``"hold"`` does not.

    Returns:
        The streak after every sample; the last row is what to carry to the next batch.

    Raises:
        ValueError: an unknown policy.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([True, True, False, True])
        >>> evidence = Evidence(conflict=x, zero=~x, comparable=jnp.ones(4, bool))
        >>> update_streak(jnp.int32(5), evidence).tolist()
        [6, 7, 0, 1]
        >>> update_streak(jnp.int32(5), evidence, zeros="hold").tolist()
        [6, 7, 7, 8]

    References:
        The study's mini-batch variant sets the count to zero at every batch; this one carries it.
    """
    check_choice("zeros", zeros, ("reset", "hold"))
    carried = jnp.asarray(streak)[None]
    ended = ~evidence.conflict & evidence.comparable
    if zeros == "hold":
        ended = ended & ~evidence.zero
    if ended.shape[0] == 1:  # one sample a step: the recursion itself
        return jnp.where(ended, 0, carried + evidence.conflict.astype(carried.dtype))
    count = jnp.cumsum(evidence.conflict, axis=0, dtype=carried.dtype)
    start = jax.lax.cummax(jnp.where(ended, count, -carried), axis=0)
    return count - start


def _any_task(marks: Bool[Array, "*samples tasks nodes"]) -> Bool[Array, "*samples nodes"]:
    if marks.shape[-2] > 8:
        return marks.any(axis=-2)
    # For few tasks a chain of ORs: XLA fuses it with its neighbours, which it does not do to a
    # reduction; in a loop over single samples every kernel saved counts.
    return functools.reduce(operator.or_, (marks[..., t, :] for t in range(marks.shape[-2])))


def _like(mask: Array, values: Array) -> Array:
    return jnp.expand_dims(mask, range(values.ndim - mask.ndim))
