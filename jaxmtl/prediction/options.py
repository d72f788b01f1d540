"""Options of what learns from a table of any kind."""

import dataclasses
from typing import Annotated

import msgspec

from jaxmtl._options import Option, Options

FAMILIES = ("mean", "linear", "trees", "networks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableOptions(Options):
    """Which families of models are trained, and on how many folds.

    Example:
        >>> TableOptions(families=("linear", "forests")).check()
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: --families: expected some of mean, linear, trees, networks, got 'forests'
    """

    families: Annotated[
        tuple[str, ...],
        Option(
            help="What is trained and mixed: mean,linear,trees,networks.",
            metavar="NAMES",
            shown="all",
        ),
    ] = ()
    folds: Annotated[
        Annotated[int, msgspec.Meta(ge=2, le=100)],
        Option(help="Parts of the rows, each predicted by what the others taught."),
    ] = 5

    def check(self) -> None:
        """Raises ValueError for a family that there is not."""
        for name in self.families:
            if name not in FAMILIES:
                raise ValueError(
                    f"--families: expected some of {', '.join(FAMILIES)}, got {name!r}"
                )
