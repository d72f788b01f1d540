"""A decision in stages, each of which ends in a checkpoint that the next one can begin from."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jaxtyping import PyTree

from jaxmtl.files.locked import locked
from jaxmtl.structure.files import to_json
from jaxmtl.structure.members import Members
from jaxmtl.structure.plain import Structure
from jaxmtl.training.driver.describe import describe
from jaxmtl.training.driver.identity import circumstances
from jaxmtl.training.driver.store import Store, StoreError, digest

Standing = TypeVar("Standing", bound=PyTree)


@contextlib.contextmanager
def checkpoints(
    folder: str | os.PathLike[str] | None,
    crew: Members,
    structures: Sequence[Structure],
    more: Mapping[str, Any],
    *,
    resume: bool,
) -> Iterator[Store | None]:
    """Opens the checkpoints of a decision, for this process alone.

    Args:
        folder: of them; None for none.
        crew: that is trained.
        structures: that are weighed.
        more: what else the decision hangs on, JSON values by name.
        resume: a checkpoint that is there is gone on with.

    Yields:
        The checkpoints; None for none.

    Raises:
        StoreError: those there are of something else, or another process is writing them.
    """
    if folder is None:
        yield None
        return
    what = {
        **describe({"recipe": crew.recipe, "activation": crew.trunk.activation}),
        "structures": [to_json(one) for one in structures],
        "outputs": list(crew.trunk.outputs),
        **more,
        "rows": digest(crew.data),
        "keys": digest(crew.keys),
        **circumstances(crew.mesh),
    }
    with locked(Path(folder), error=StoreError):
        yield Store(folder, what, resume=resume)


def in_stages(
    stages: Sequence[Callable[[Standing], Standing]], standing: Standing, store: Store | None
) -> Standing:
    """Goes from stage to stage, from the last one that a checkpoint was left of.

    Args:
        stages: each from what the one before has left to what the next one begins from, in leaves
            of the same shapes.
        standing: before the first.
        store: of ``checkpoints``.

    Returns:
        What the last stage leaves.
    """
    done = 0
    if store is not None and (found := store.load(standing)) is not None:
        done, standing = found
    for number in range(done, len(stages)):
        standing = stages[number](standing)
        if store is not None:
            store.save(number + 1, standing)
    return standing
