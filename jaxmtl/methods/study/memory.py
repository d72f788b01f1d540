"""What training takes of the memory, known before anything is compiled."""

import itertools
from collections.abc import Sequence

from jaxmtl.training.driver.placement import total_memory

FLOAT = 4  # bytes
# Of each parameter: itself, its successor and its best value, and two moments of an optimizer.
COPIES = 5
GIB = 2**30


def training_bytes(
    *,
    shared: Sequence[int],
    nodes: int,
    towers: Sequence[int],
    batch_size: int,
    features: int,
    tasks: int,
) -> tuple[int, int]:
    """Least memory for the parameters of the adaptive network, and for a batch that goes through.

    Args:
        shared: sizes of the shared layers.
        nodes: of the bank; it has room for as many for each task.
        towers: sizes of each task's own layers.
        batch_size: rows of one update.
        features: inputs.
        tasks: outputs.

    Returns:
        Bytes of both.

    Example:
        >>> training_bytes(shared=(4,), nodes=3, towers=(), batch_size=1, features=4, tasks=2)
        (1624, 144)
    """
    common, own = (features, *shared), (nodes, *towers, 1)
    bank = tasks * nodes
    parameters = sum((n + 1) * m for n, m in itertools.pairwise(common))
    parameters += (common[-1] + 1) * bank
    parameters += tasks * sum((n + 1) * m for n, m in itertools.pairwise(own))
    # A gradient for each task, and for their sum the deltas of all layers.
    values = sum(common) + bank + tasks * sum(own[1:])
    return FLOAT * parameters * (COPIES + tasks), FLOAT * 2 * batch_size * (values + tasks)


def check_memory(
    *,
    shared: Sequence[int],
    nodes: int,
    towers: Sequence[int],
    batch_size: int,
    features: int,
    tasks: int,
    at_once: int = 1,
) -> None:
    """Refuses what this machine has no memory for.

    Args:
        shared: see ``training_bytes``.
        nodes: see there.
        towers: see there.
        batch_size: see there.
        features: see there.
        tasks: see there.
        at_once: seeds that are trained together.

    Raises:
        ValueError: how much is there and how much would be needed, and what to lower.

    Example:
        >>> check_memory(shared=(4,), nodes=3, towers=(), batch_size=1, features=4, tasks=2)
    """
    parameters, batch = (
        at_once * size
        for size in training_bytes(
            shared=shared,
            nodes=nodes,
            towers=towers,
            batch_size=batch_size,
            features=features,
            tasks=tasks,
        )
    )
    if parameters + batch <= (there := total_memory()):
        return
    if parameters > batch:
        sizes = [*shared, nodes, *towers]
        cause = f"layers of {', '.join(map(str, sizes))} nodes for {tasks} targets"
        lower = "--shared, --nodes or --towers"
    else:
        cause, lower = f"batches of {batch_size} rows", "--batch-size"
    if at_once > 1:
        cause, lower = f"{at_once} seeds at once with {cause}", f"--chunk, {lower}"
    raise ValueError(
        f"training: {cause} take about {(parameters + batch) / GIB:.0f} GiB of memory, this "
        f"machine has {there / GIB:.0f}; lower {lower}"
    )
