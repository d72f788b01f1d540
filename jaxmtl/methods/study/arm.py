"""What an arm is."""

import re
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


def number_in_name(text: str, what: str, example: str, most: int) -> int:
    """A whole number from 2 on that stands in the name of an arm.

    Args:
        text: as it stands there.
        what: the number is of, for the sentence of an error.
        example: a name with such a number.
        most: the largest one.

    Returns:
        The number.

    Raises:
        ValueError: something else.

    Example:
        >>> number_in_name("2", "groups", "groups@2", 9)
        2
    """
    if not re.fullmatch("[1-9][0-9]{0,3}", text) or not 2 <= int(text) <= most:
        raise ValueError(
            f"expected a number of {what} from 2 to {most}, as in {example}, got {text!r}"
        )
    return int(text)
