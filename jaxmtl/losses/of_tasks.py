"""Which loss goes with which kind of task, and what its outputs mean."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmtl.losses.classification import softmax_cross_entropy
from jaxmtl.losses.combine import Loss, sliced, weighted
from jaxmtl.losses.counts import expected_counts, poisson_deviance
from jaxmtl.losses.regression import squared_error
from jaxmtl.tasks import Task, TaskKind, check_outputs, output_slices, output_widths

LOSSES: Mapping[TaskKind, Loss] = {
    "number": squared_error,
    "classes": softmax_cross_entropy,
    "count": poisson_deviance,
    # Ordered classes differ in what is predicted from their probabilities, and in their measures.
    "ordered": softmax_cross_entropy,
}


def loss_of(tasks: Sequence[Task]) -> Loss:
    """The loss of a network that predicts tasks of any kinds.

    The squared error of numbers, the Poisson deviance of counts from logarithms, and the
    cross-entropy of classes, ordered or not, from logits, each times the weight of its task.
    Logarithms and logits are unbounded: ``HardSharing(output_activation=None)``.

    Args:
        tasks: at least one; in their order the outputs have ``task.width`` columns each and the
            targets one column each, in which a class is its number.

    Returns:
        ``loss(outputs, targets)`` with the result (batch, tasks). For numbers of weight 1 it is
        ``squared_error`` itself; the losses of equal tasks are equal, so that a compiled loop knows
        the second again. Where a class is unknown or its number out of range, the loss is NaN with
        a slope of 0; unknown numbers are cleared by ``fit`` once before.

    Raises:
        ValueError: there is no task.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.tasks import Task, number_tasks
        >>> loss_of(number_tasks(["CO", "O3"])) is squared_error
        True
        >>> level = Task(name="level", kind="classes", classes=("good", "fair", "poor"))
        >>> loss = loss_of([Task(name="CO", weight=2.0), level])
        >>> losses = loss(jnp.array([[1.5, 0.0, 0.0, 0.0]]), jnp.array([[1.0, 2.0]]))
        >>> [f"{value:.3f}" for value in losses[0]]
        ['0.500', '1.099']
    """
    if not tasks:
        raise ValueError("tasks: expected at least one, got none")
    if all(task.kind == "number" and task.weight == 1 for task in tasks):
        return squared_error
    losses = [
        LOSSES[task.kind] if task.weight == 1 else weighted(LOSSES[task.kind], task.weight)
        for task in tasks
    ]
    return sliced(losses, output_widths(tasks), (1,) * len(tasks))


def predictions_of(
    tasks: Sequence[Task], outputs: Float[Any, "rows outputs"]
) -> Float[np.ndarray, "rows outputs"]:
    """What outputs trained by ``loss_of`` predict: numbers, expected counts, and probabilities.

    Args:
        tasks: as for ``loss_of``.
        outputs: of the network, on the host.

    Returns:
        An array of the same shape and precision; the very outputs where all tasks are numbers.

    Raises:
        ValueError: outputs of another width.

    Example:
        >>> from jaxmtl.tasks import Task
        >>> tasks = [Task(name="CO"), Task(name="rain", kind="classes", classes=("no", "yes"))]
        >>> predictions_of(tasks, np.array([[3.0, 0.0, 0.0]])).tolist()
        [[3.0, 0.5, 0.5]]
    """
    outputs = np.asarray(outputs)
    check_outputs("outputs", outputs, tasks)
    if all(task.kind == "number" for task in tasks):
        return outputs
    found = outputs.copy()
    for task, columns in zip(tasks, output_slices(tasks), strict=True):
        if task.kind == "count":
            found[:, columns] = expected_counts(outputs[:, columns])
        elif task.has_classes:
            found[:, columns] = _softmax(outputs[:, columns])
    return found


def _softmax(logits: np.ndarray) -> np.ndarray:
    # After a divergence logits may be anything; what is not finite stays visible as NaN.
    with np.errstate(over="ignore", invalid="ignore"):
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)
