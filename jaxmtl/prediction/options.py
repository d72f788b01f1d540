"""Options of what learns from a table of any kind."""

import dataclasses
from typing import Annotated

import msgspec

from jaxmtl._options import Option, Options, parse_seconds
from jaxmtl._words import did_you_mean, short

WORDS = ("auto", "shared", "separate")  # which targets share a network
OF_THE_STUDY = ("study", "lookahead")
TABLE = "table"  # the preset for columns of any kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableOptions(Options):
    """Which families of models are trained, and on how many folds.

    Example:
        >>> TableOptions(families=("linear", "forests")).check()
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: --families: expected some of mean, linear, trees, networks, ..., got 'forests'
    """

    families: Annotated[
        tuple[str, ...],
        Option(
            help="What is trained and mixed: mean,linear,trees,networks, or single ones of these.",
            metavar="NAMES",
            shown="all",
        ),
    ] = ()
    folds: Annotated[
        Annotated[int, msgspec.Meta(ge=2, le=100)] | None,
        Option(
            help="Parts of the rows, each predicted by what the others taught.",
            shown="10; of more than 1000 rows 5",
        ),
    ] = None
    confidence: Annotated[
        Annotated[float, msgspec.Meta(gt=0, lt=1)],
        Option(help="Level of the intervals: share of rows that they are to hold."),
    ] = 0.9
    time_limit: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None,
        Option(
            help="About how long learning may take: 90, 5min or 1h; what does not fit is left out.",
            metavar="TIME",
            shown="as long as it needs",
            parse=lambda text: parse_seconds("--time-limit", text),
        ),
    ] = None

    structure: Annotated[
        str,
        Option(
            help="Which targets share a network: auto, all ways are tried; shared, separate, or a "
            "structure's JSON file. With --preset study: auto, shared, separate, study, lookahead.",
            metavar="HOW",
            shown="auto; study with --preset study",
        ),
    ] = "auto"

    def check(self) -> None:
        """Raises ValueError for a family or a structure that there is not."""
        _ = self.family_names
        if self.structure in OF_THE_STUDY:
            raise ValueError(
                f"--structure {self.structure}: only with --preset study, whose network changes "
                f"while it trains; expected {', '.join(WORDS)} or a file .json"
            )
        if self.structure not in WORDS and not self.structure.lower().endswith(".json"):
            hint = did_you_mean(self.structure, WORDS)
            raise ValueError(
                f"--structure: expected {', '.join(WORDS)} or a file .json, got "
                f"{short(self.structure)}{hint}"
            )

    @property
    def family_names(self) -> tuple[str, ...]:
        """The families that are chosen, each by its own name, the simplest first."""
        from jaxmtl.methods import FAMILY_GROUPS, TABLE_FAMILIES

        chosen = self.families or tuple(FAMILY_GROUPS)
        known = dict.fromkeys([*FAMILY_GROUPS, *TABLE_FAMILIES])
        for name in chosen:
            if name not in known:
                raise ValueError(f"--families: expected some of {', '.join(known)}, got {name!r}")
        named = {one for name in chosen for one in FAMILY_GROUPS.get(name, (name,))}
        return tuple(name for name in TABLE_FAMILIES if name in named)
