"""Equal weights."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array

from jaxmtl._validate import check_choice
from jaxmtl.aggregation.contract import Context
from jaxmtl.aggregation.losses.contract import Scalarizer, from_value, present_mean


def equal(reduction: Literal["sum", "mean"] = "sum") -> Scalarizer:
    """Sum or mean of the losses.

    The control of a method on gradients is the one that takes the method's step where tasks agree:
    ``"mean"`` for those whose preferences are 1 / tasks, such as UPGrad and DualProj, ``"sum"`` for
    those whose are 1, such as PCGrad and GradVac. With another, SGD compares learning rates; Adam
    alone does not mind, but for its eps, weight decay and clipping.

    Args:
        reduction: ``"sum"``, as in LibMTL and the Nash-MTL benchmark (EW, LS), or ``"mean"``,
            over the tasks present.

    Returns:
        The loss method; no state.

    Raises:
        ValueError: an unknown reduction.

    Example:
        >>> import jax.numpy as jnp
        >>> equal().scalarize(jnp.array([0.5, 2.0, 4.0]), ())[0].item()
        6.5

        Beside UPGrad, tasks in no conflict:

        >>> from jaxmtl import aggregation as ag
        >>> grads = jnp.array([[1.0, 0.0], [1.0, 2.0]])
        >>> combined, _, _ = ag.upgrad().update(grads, ag.upgrad().init(grads))
        >>> weights = equal("mean").scalarize(jnp.ones(2), ())[2]
        >>> combined.tolist(), (weights @ grads).tolist()
        ([1.0, 1.0], [1.0, 1.0])
    """
    check_choice("reduction", reduction, ("sum", "mean"))

    def value(losses: Array, state: object, context: Context) -> Array:
        if reduction == "mean":
            return present_mean(losses, context.present)
        return jnp.where(context.present, losses, 0).sum()

    return from_value(value)
