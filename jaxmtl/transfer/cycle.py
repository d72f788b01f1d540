"""Source and target in turn, each starting from the trunk that the other left."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import PyTree

from jaxmtl._paths import Select
from jaxmtl._validate import check_positive
from jaxmtl.transfer.parameters import transfer_parameters

Train = Callable[[PyTree, int], tuple[PyTree, Any]]


class Cycle(NamedTuple):
    """What the rounds leave behind.

    Attributes:
        source: parameters of the source as its last training left them.
        target: parameters of the target likewise.
        source_records: what the source's training returned beside parameters, one a round.
        target_records: the same of the target.

    Example:
        >>> import jax.numpy as jnp
        >>> start = {"trunk": jnp.zeros(()), "head": jnp.zeros(())}
        >>> cycle(lambda p, i: (p, "s"), lambda p, i: (p, "t"), start, start, select="trunk",
        ...       rounds=3).source_records
        ('s', 's', 's')
    """

    source: PyTree
    target: PyTree
    source_records: tuple[Any, ...]
    target_records: tuple[Any, ...]


def cycle(
    train_source: Train,
    train_target: Train,
    source_params: PyTree,
    target_params: PyTree,
    *,
    select: Select,
    rounds: int,
) -> Cycle:
    """Trains source and target in turn for a number of rounds, handing the trunk to and fro.

    A round trains the source, carries the selected parameters to the target, trains the target; the
    next round begins by carrying them back. Each keeps its own head.

    Args:
        train_source: ``(params, round from 0) -> (params, record)``, with whatever loop: of
            ``fit``, ``(run.params, run)``.
        train_target: the same for the target.
        source_params: of the source at the start.
        target_params: of the target at the start.
        select: what is carried, as of ``transfer_parameters``. Static.
        rounds: at least 1, static.

    Returns:
        Parameters and records. Pure if the training is.

    Raises:
        ValueError: no round, or selected parameters that do not match.

    Example:
        >>> import jax.numpy as jnp
        >>> add = lambda step: lambda params, i: (
        ...     {"trunk": params["trunk"] + step, "head": params["head"] + step}, i)
        >>> start = {"trunk": jnp.zeros(()), "head": jnp.zeros(())}
        >>> done = cycle(add(1.0), add(10.0), start, start, select="trunk", rounds=2)
        >>> float(done.target["trunk"]), float(done.target["head"]), done.target_records
        (22.0, 20.0, (0, 1))
    """
    check_positive("rounds", rounds)
    source, target = source_params, target_params
    source_records, target_records = [], []
    for i in range(rounds):
        if i > 0:
            source = transfer_parameters(target, source, select)
        source, record = train_source(source, i)
        source_records.append(record)
        target = transfer_parameters(source, target, select)
        target, record = train_target(target, i)
        target_records.append(record)
    return Cycle(source, target, tuple(source_records), tuple(target_records))
