"""From the sums that a model makes to what it predicts: numbers, and probabilities of classes."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from jaxmtl._words import short
from jaxmtl.plain.links import linked
from jaxmtl.tasks import Task

LinkKind = Literal["same", "exp", "softmax", "shares"]
LINKS: tuple[str, ...] = get_args(LinkKind)


@dataclasses.dataclass(frozen=True)
class Link:
    """How the sums of one task become its outputs.

    Attributes:
        kind: "same" for a number that is its sum, "exp" for a number above 0, "softmax" for
            classes whose sums are logits, "shares" for classes whose sums are probabilities.
        width: columns of the task.

    Example:
        >>> Link("softmax", 3).width
        3
    """

    kind: LinkKind
    width: int

    def __post_init__(self) -> None:
        """Checks that the fields go together."""
        if self.kind not in LINKS:
            raise ValueError(f"link: expected one of {', '.join(LINKS)}, got {self.kind!r}")
        whole = isinstance(self.width, int) and not isinstance(self.width, bool)
        if not whole or self.width < 1 or (self.width > 1) != (self.kind in ("softmax", "shares")):
            raise ValueError(
                f"link {self.kind}: expected a width that goes with it, got {self.width!r}"
            )


def outputs_of(
    links: Sequence[Link],
    sums: Float[np.ndarray, "rows outputs"],
    floor: Float[np.ndarray, " outputs"],
) -> Float[np.ndarray, "rows outputs"]:
    """What a model predicts.

    Args:
        links: a task each.
        sums: of every row; they may be overwritten.
        floor: what is added to the probabilities before they are divided by their sum, so that no
            class that can be is called impossible; 0 for numbers.

    Returns:
        Numbers, and probabilities of classes.

    Example:
        >>> links = (Link("same", 1), Link("softmax", 2))
        >>> outputs_of(links, np.array([[3.0, 0.0, 0.0]]), np.zeros(3)).tolist()
        [[3.0, 0.5, 0.5]]
    """
    return linked(links_to_json(links), sums, floor)


def floors(
    tasks: Sequence[Task], y: np.ndarray, known: np.ndarray, weight: float | None = None
) -> Float[np.ndarray, " outputs"]:
    """A floor for the probabilities of every class: their frequencies, a little of each.

    Args:
        tasks: of the columns of ``y``.
        y: training targets.
        known: which of them are.
        weight: of all frequencies together; None for that of one row among all.

    Returns:
        One number an output, 0 for numbers.

    Example:
        >>> task = Task(name="rain", kind="classes", classes=("no", "yes"))
        >>> floors([task], np.zeros((8, 1)), np.ones((8, 1), bool), 0.1).round(3).tolist()
        [0.09, 0.01]
    """
    parts = []
    for task, column, mask in zip(tasks, y.T, known.T, strict=True):
        if task.width == 1:
            parts.append(np.zeros(1))
            continue
        counts = np.bincount(column[mask].astype(int), minlength=task.width)
        # Every class as if it had been seen once more.
        shares = (counts + 1) / (counts.sum() + task.width)
        parts.append(shares * (1 / (counts.sum() + 1) if weight is None else weight))
    return np.concatenate(parts)


def links_to_json(links: Sequence[Link]) -> list[list[Any]]:
    """As lists of kind and width."""
    return [[link.kind, link.width] for link in links]


def links_from_json(what: str, saved: Any, outputs: int) -> tuple[Link, ...]:
    """What ``links_to_json`` gave.

    Args:
        what: it is part of, for the error.
        saved: perhaps by way of a file.
        outputs: that the links have together.

    Returns:
        The links.

    Raises:
        ValueError: something else, or links of another width.

    Example:
        >>> links_from_json("model", [["same", 1]], 2)
        Traceback (most recent call last):
            ...
        ValueError: model: expected links of 2 outputs together, got 1
    """
    pairs = isinstance(saved, list) and all(isinstance(p, list) and len(p) == 2 for p in saved)
    if not pairs:
        raise ValueError(f"{what}: expected links as pairs, got {short(saved)}")
    links = tuple(Link(*pair) for pair in saved)
    width = sum(link.width for link in links)
    if width != outputs:
        raise ValueError(f"{what}: expected links of {outputs} outputs together, got {width}")
    return links


def check_floor(floor: Float[np.ndarray, " outputs"] | None) -> None:
    """Raises ValueError for a floor below 0."""
    if floor is not None and (floor < 0).any():
        raise ValueError(f"array 'floor': expected numbers of 0 or more, got {floor.min()}")
