"""The options that several commands share."""

from typing import Annotated, Any

import typer

from jaxmtl.cli.parse import FORM, parse_names, parse_phases, parse_sizes
from jaxmtl.cli.settings import CHOICES, OPTIMIZERS, Settings

STUDY = Settings()


def _one_of(name: str) -> str:
    return "|".join(CHOICES[name])


Table = Annotated[
    str | None,
    typer.Argument(help="Workbook (.xlsx) or text table (.csv).", show_default="built-in data"),
]
Features = Annotated[
    str | None, typer.Option(help="Columns to predict from: A,B.", metavar="NAMES")
]
Targets = Annotated[
    str | None, typer.Option(help="Columns to predict, one task each: C,D.", metavar="NAMES")
]
Sheet = Annotated[
    str | None, typer.Option(help="Name or number (from 0).", show_default="the first")
]
Preset = Annotated[str, typer.Option(help="Defaults of all options: study.")]
Config = Annotated[
    str | None,
    typer.Option(help="Repeat the run of this folder or config.json.", metavar="RUN"),
]
Out = Annotated[str, typer.Option(help="Folder to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an older run folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Seed = Annotated[
    int | None,
    typer.Option(help="Of split, initial values and order.", show_default=str(STUDY.seed)),
]
Missing = Annotated[
    str | None,
    typer.Option(help="Missing features.", metavar=_one_of("missing"), show_default=STUDY.missing),
]
MissingTargets = Annotated[
    str | None,
    typer.Option(
        help="Missing targets.", metavar=_one_of("missing_targets"), show_default="as --missing"
    ),
]
MissingValues = Annotated[
    str | None,
    typer.Option(help="What stands for a missing value: 0,-999.", metavar="VALUES"),
]
Scaling = Annotated[
    str | None,
    typer.Option(metavar=_one_of("scaling"), show_default=STUDY.scaling, help="Of all columns."),
]
ScaleOn = Annotated[
    str | None,
    typer.Option(
        help="Rows that scales are fitted on.",
        metavar=_one_of("scale_on"),
        show_default=STUDY.scale_on,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(help="How rows are divided.", metavar=_one_of("split"), show_default="random"),
]
Test = Annotated[
    float | None, typer.Option(help="Fraction to test on.", show_default=str(STUDY.test))
]
Validation = Annotated[
    float | None, typer.Option(help="Fraction to validate on.", show_default="0")
]
Gap = Annotated[
    int | None,
    typer.Option(help="Rows left out between parts of a chronological split.", show_default="0"),
]
SplitColumn = Annotated[
    str | None, typer.Option(help="Column with train, validation or test.", metavar="NAME")
]
Shared = Annotated[
    str | None,
    typer.Option(help="Sizes of shared layers below the bank.", metavar="SIZES", show_default="4"),
]
Nodes = Annotated[
    int | None, typer.Option(help="Nodes of the bank.", show_default=str(STUDY.nodes))
]
Towers = Annotated[
    str | None,
    typer.Option(help="Sizes of each task's own layers.", metavar="SIZES", show_default="none"),
]
Activation = Annotated[
    str | None, typer.Option(help="Of hidden layers.", show_default=STUDY.activation)
]
OutputActivation = Annotated[
    str | None,
    typer.Option(help="Of outputs.", show_default="sigmoid if scaled to 0..1, else identity"),
]
Optimizer = Annotated[
    str | None,
    typer.Option(help=f"One of {', '.join(OPTIMIZERS)}.", show_default=STUDY.optimizer),
]
BatchSize = Annotated[int | None, typer.Option(help="Rows of one update.", show_default="1")]
Shuffle = Annotated[
    bool | None,
    typer.Option("--shuffle/--no-shuffle", help="A new order every epoch.", show_default="no"),
]
Phases = Annotated[
    str | None,
    typer.Option(
        help=f"Schedule, each phase as {FORM}.",
        metavar="PHASES",
        show_default="200,80,10,0.005;50,50,8;100,51,8;300,,,0.001",
    ),
]
HardEpochs = Annotated[
    int | None,
    typer.Option(
        help="Epochs of plain hard sharing, to compare with.",
        show_default="480; with --phases, those of all phases",
    ),
]
Rule = Annotated[
    str | None,
    typer.Option(help="Signs in conflict.", metavar=_one_of("rule"), show_default=STUDY.rule),
]
Zeros = Annotated[
    str | None,
    typer.Option(
        help="What exact zeros do to a streak.",
        metavar=_one_of("zeros"),
        show_default=STUDY.zeros,
    ),
]
Transplant = Annotated[
    str | None,
    typer.Option(
        help="Optimizer state across phases.",
        metavar=_one_of("transplant"),
        show_default=STUDY.transplant,
    ),
]
Aggregator = Annotated[
    str | None,
    typer.Option(
        help="What combines task gradients; jaxmtl compare --list-arms names all.",
        metavar="NAME",
        show_default="their sum",
    ),
]
ValidationOfComparison = Annotated[
    float | None, typer.Option(help="Fraction to select epochs on.", show_default="0.2")
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Compile anew; keep no compiled programs.")
]
Arms = Annotated[
    str | None,
    typer.Option(
        help="Methods to compare, A,B, or all, aggregators, losses; --list-arms names them.",
        metavar="NAMES",
        show_default="node duplication and what it has to beat",
    ),
]
ListArms = Annotated[bool, typer.Option("--list-arms", help="Name the methods and exit.")]
Reference = Annotated[str, typer.Option(help="Method that the others are compared with.")]
Seeds = Annotated[int, typer.Option(help="Number of seeds, from --seed on.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with an interrupted comparison in --out.")
]
Devices = Annotated[
    int | None,
    typer.Option(help="Devices to spread the seeds over.", show_default="all; on a CPU its cores"),
]
Chunk = Annotated[
    int | None, typer.Option(help="Seeds to run at once.", show_default="as many as fit")
]
Coordinator = Annotated[
    str | None,
    typer.Option(help="Address of process 0, if several share the work.", metavar="HOST:PORT"),
]
NumProcesses = Annotated[int, typer.Option(help="Processes that share the work.")]
ProcessId = Annotated[int, typer.Option(help="Number of this process, from 0.")]


def given_options(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as fields of ``Settings``.

    Args:
        values: texts and numbers by name, None where not given; others than fields are left out.

    Returns:
        The fields.

    Raises:
        ValueError: a text that cannot be read.

    Example:
        >>> given_options({"features": "SO2,CO", "shared": "8,4", "seed": None, "quiet": True})
        {'features': ('SO2', 'CO'), 'shared': (8, 4)}
    """
    fields = {name for name in Settings.__dataclass_fields__ if values.get(name) is not None}
    return {name: _read(name, values[name]) for name in values if name in fields}


def _read(name: str, value: Any) -> Any:
    if name in ("features", "targets", "missing_values"):
        return parse_names(value)
    if name in ("shared", "towers"):
        return parse_sizes("--" + name, value)
    if name == "phases":
        return parse_phases(value)
    return value
