"""Options of reading a table, dividing its rows and scaling its columns."""

import dataclasses
from typing import Annotated, Literal

import msgspec

from jaxmtl._options import INT32, Option, Options
from jaxmtl.data.kinds import Declared, parse_kinds, parse_weights
from jaxmtl.data.prepare import MissingFeatures, MissingTargets
from jaxmtl.data.reading.grid import LAST_ROW
from jaxmtl.data.reading.tables import Decimal, Thousands
from jaxmtl.data.scaling import ScalingKind

Fraction = Annotated[float, msgspec.Meta(ge=0, lt=1)]
# Seeds of JAX and NumPy alike.
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadingOptions(Options):
    """Which columns of a table are read, and what a gap in them means.

    Example:
        >>> ReadingOptions(missing="mean").missing
        'mean'
    """

    features: Annotated[
        tuple[str, ...] | None, Option(help="Columns to predict from: A,B.", metavar="NAMES")
    ] = None
    targets: Annotated[
        tuple[str, ...] | None,
        Option(help="Columns to predict, one task each: C,D.", metavar="NAMES"),
    ] = None
    sheet: Annotated[
        str | None, Option(help="Name or number (from 0).", shown="the first that is not hidden")
    ] = None
    missing: Annotated[MissingFeatures, Option(help="Missing features.")] = "error"
    missing_targets: Annotated[
        MissingTargets | None,
        Option(
            help="Missing targets.",
            shown="as --missing",
            follows="missing",
            derive=lambda options: options.missing,
        ),
    ] = None
    missing_values: Annotated[
        tuple[str, ...],
        Option(
            help="What stands for a missing value: 0,-999; in one column CO=0.", metavar="VALUES"
        ),
    ] = ()
    decimal: Annotated[
        Decimal | None, Option(help="In numbers that are texts.", shown="found out")
    ] = None
    thousands: Annotated[
        Thousands | None, Option(help="What marks thousands in such numbers.", shown="found out")
    ] = None
    header_row: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=LAST_ROW)] | None,
        Option(help="Row of the names of columns, from 1.", shown="the first that is not empty"),
    ] = None
    visible_rows: Annotated[bool, Option(help="Leave out rows hidden by a filter.")] = False

    def check(self) -> None:
        """Raises ValueError for one sign that is to mean two things."""
        if (self.decimal, self.thousands) in ((".", "point"), (",", "comma")):
            raise ValueError(
                f"--thousands: expected another sign than that of --decimal, got {self.thousands}"
            )


def _split_of(options: "FoldOptions") -> str:
    if options.split_column is not None:
        return "column"
    return "random" if options.time is None else "chronological"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldOptions(Options):
    """Which rows are learned from, chosen by and reported on.

    Example:
        >>> FoldOptions(split="random", gap=3).check()
        Traceback (most recent call last):
            ...
        ValueError: --gap: expected with --split chronological only, got it with --split random
    """

    seed: Annotated[Seed, Option(help="Of split, initial values and order.")] = 0
    split: Annotated[
        Literal["random", "chronological", "column"] | None,
        Option(
            help="How rows are divided.",
            shown="random",
            follows=("split_column", "time"),
            derive=_split_of,
        ),
    ] = None
    test: Annotated[Fraction, Option(help="Fraction to test on.")] = 0.2
    validation: Annotated[
        Fraction, Option(help="Fraction to validate on; compare selects epochs on it.")
    ] = 0.0
    gap: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=INT32)],
        Option(help="Rows left out between parts of a chronological split."),
    ] = 0
    split_column: Annotated[
        str | None, Option(help="Column with train, validation or test.", metavar="NAME")
    ] = None

    time: Annotated[
        str | None,
        Option(
            help="Column of dates or numbers by which a chronological split goes.",
            metavar="NAME",
        ),
    ] = None

    def check(self) -> None:
        """Raises ValueError for a column or a gap that the kind of split does not use."""
        if self.time is not None and self.split != "chronological":
            raise ValueError(
                "--time: expected with --split chronological only, got it with --split "
                f"{self.split}"
            )
        if (self.split == "column") != (self.split_column is not None):
            raise ValueError(
                "--split column: expected together with --split-column NAME, got one without the "
                "other"
            )
        if self.gap and self.split != "chronological":
            raise ValueError(
                f"--gap: expected with --split chronological only, got it with --split {self.split}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnOptions(Options):
    """What the columns of a table are, where it is not found out.

    Example:
        >>> ColumnOptions(weights="PM2.5=2").task_weights
        {'PM2.5': 2.0}
    """

    kinds: Annotated[
        str | None,
        Option(
            help="Kinds of columns, levels in their order: year=category,level=good<fair<poor.",
            metavar="PAIRS",
            shown="found out",
        ),
    ] = None
    weights: Annotated[
        str | None,
        Option(help="Weights of targets: PM2.5=2.", metavar="PAIRS", shown="1 each"),
    ] = None
    ignore: Annotated[
        tuple[str, ...], Option(help="Columns that are not used: A,B.", metavar="NAMES")
    ] = ()
    group: Annotated[
        str | None, Option(help="Column of which rows of one value stay together.", metavar="NAME")
    ] = None

    @property
    def column_kinds(self) -> dict[str, Declared]:
        """What ``kinds`` says, by the name of the column."""
        return parse_kinds(self.kinds or "")

    @property
    def task_weights(self) -> dict[str, float]:
        """What ``weights`` says, by the name of the target."""
        return parse_weights(self.weights or "")

    def check(self) -> None:
        """Raises ValueError for pairs that say no kind, or no weight."""
        _ = self.column_kinds, self.task_weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScalingOptions(Options):
    """How columns are scaled, and by which rows.

    Example:
        >>> ScalingOptions().scaling
        'minmax'
    """

    scaling: Annotated[ScalingKind, Option(help="Of all columns.")] = "minmax"
    scale_on: Annotated[Literal["train", "all"], Option(help="Rows that scales are fitted on.")] = (
        "train"
    )
