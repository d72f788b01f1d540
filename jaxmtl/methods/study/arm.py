"""What an arm is."""

from collections.abc import Callable
from typing import NamedTuple

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.bench import Bench, StudyProtocol


class Arm(NamedTuple):
    """One contestant.

    Attributes:
        name: as ``--arms`` takes it.
        description: one line for the report.
        run: trains it for every seed.
        least_tasks: without which it has no meaning.
        why_not: from what all arms have in common to why it does not go with that; None if it does.

    Example:
        >>> from jaxmtl.comparison import ARMS
        >>> ARMS["restarts"].description
        'hard sharing that restarts when the adaptive run splits, without a split'
    """

    name: str
    description: str
    run: Callable[[Bench], Fitted]
    least_tasks: int = 1
    why_not: Callable[[StudyProtocol], str | None] = lambda protocol: None
