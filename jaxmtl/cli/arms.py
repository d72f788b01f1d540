"""Which methods ``jaxmtl compare`` takes: their list, and the names that were given."""

import textwrap
from typing import TYPE_CHECKING

from jaxmtl.cli.errors import say

if TYPE_CHECKING:
    from jaxmtl.methods import StudyProtocol


def list_all_arms() -> None:
    """Says the names of all methods that can be compared, and what each is."""
    from jaxmtl.comparison import ARMS, DEFAULT_ARMS
    from jaxmtl.methods import BASELINES
    from jaxmtl.methods.study.arms import ARMS_AT, AT
    from jaxmtl.training.phased.combining import aggregators, weightings

    for name, arm in ARMS.items():
        say(f"{name:16}{'*' if name in DEFAULT_ARMS else ' '} {arm.description}")
    for name, (what, _, description) in ARMS_AT.items():
        say(f"{name + AT + what:16}  {description}")
    say("\n* compared unless --arms says otherwise; --arms all compares all of these\n")
    for name, method in BASELINES.items():
        say(f"{name:16}  {method.description}")
    say("\nThese are reference lines, whatever is compared; named in --arms they take part.\n")
    for group, methods in (("aggregators", aggregators()), ("losses", weightings())):
        say(f"--arms {group}:")
        say(textwrap.fill(", ".join(methods), 96, initial_indent="  ", subsequent_indent="  "))
    say(
        "\nThese combine task gradients: on any arm (--arms mmoe+upgrad) or, by themselves "
        "(--arms\nupgrad), on hard sharing with the adaptive run's schedule (restarts)."
    )


def arm_names(
    text: str | None, reference: str, num_tasks: int, protocol: "StudyProtocol | None" = None
) -> tuple[list[str], str]:
    """Full names of the arms and of the reference.

    Args:
        text: of ``--arms``, or None.
        reference: of ``--reference``.
        num_tasks: number of targets.
        protocol: what all arms have in common; None where it is not known yet.

    Returns:
        Names of the arms, the reference among them, and that of the reference.

    Raises:
        ValueError: an unknown name, or none.

    Example:
        >>> arm_names("upgrad", "mean", 2)
        (['restarts+upgrad', 'mean'], 'mean')
    """
    from jaxmtl.aggregation.known import split_names
    from jaxmtl.comparison import DEFAULT_ARMS, check_arms

    names = split_names(text or "")
    if text is not None and not names:
        raise ValueError("--arms: expected names separated by commas, got none")
    try:
        (full,) = check_arms([], reference, num_tasks, protocol)
    except ValueError as error:
        raise ValueError(f"--reference: {str(error).removeprefix('arms: ')}") from error
    try:
        return check_arms(names or DEFAULT_ARMS, reference, num_tasks, protocol), full
    except ValueError as error:
        raise ValueError(f"--arms: {str(error).removeprefix('arms: ')}") from error
