"""Options of the study's networks and schedule."""

import dataclasses
from typing import Annotated, Any, Literal, get_args

import msgspec
import optax

from jaxmtl._options import INT32, Count, Option
from jaxmtl._words import short
from jaxmtl.conflict import Rule, Zeros
from jaxmtl.data.options import ScalingOptions
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.methods.study.bench import StudyProtocol
from jaxmtl.training import STUDY_PHASES, Phase
from jaxmtl.training.phased.combining import check_combining

FORM = "epochs,warmup,threshold,rate"
HARD_EPOCHS_OF_STUDY = 480
MOST_PHASES = 1000
MOST_LAYERS = 64  # hundreds are compiled for longer than anyone waits
OptimizerName = Literal["adam", "adamw", "adamax", "amsgrad", "nadam", "rmsprop", "adagrad", "sgd"]
# A layer of more nodes has a typing error in it.
Size = Annotated[int, msgspec.Meta(ge=1, le=2**16)]
# The last batch is filled up to its size; beyond this, with more rows than memory holds.
BatchSize = Annotated[int, msgspec.Meta(ge=1, le=2**24)]


def parse_phases(text: str) -> tuple[Phase, ...]:
    """A schedule: phases separated by semicolons, each "epochs,warmup,threshold,rate".

    What is left out at the end or between commas has its default: warm-up 0, no threshold (the
    phase never splits), learning rate 0.005.

    Args:
        text: of the option.

    Returns:
        The phases.

    Raises:
        ValueError: the text has another form, or a number is out of range.

    Example:
        >>> parse_phases("200,80,10;300,,,0.001")[1]
        Phase(epochs=300, warmup=0, threshold=None, learning_rate=0.001)
        >>> parse_phases("9,x")
        Traceback (most recent call last):
            ...
        ValueError: --phases, phase 1: expected numbers 'epochs,warmup,threshold,rate', got '9,x'
    """
    phases = []
    for number, part in enumerate(text.strip().rstrip(";").split(";"), 1):
        cells = [cell.strip() for cell in part.split(",")]
        kinds = {"epochs": int, "warmup": int, "threshold": int, "learning_rate": float}
        try:
            if len(cells) > len(kinds) or not cells[0]:
                raise ValueError
            values: dict[str, Any] = {
                name: kind(cell)
                for (name, kind), cell in zip(kinds.items(), cells, strict=False)
                if cell
            }
        except ValueError:
            raise ValueError(
                f"--phases, phase {number}: expected numbers {FORM!r}, got {short(part.strip())}"
            ) from None
        try:
            phases.append(Phase(**values))
            _check_warmup(phases[-1])
        except ValueError as error:
            sentence = str(error).removeprefix("Phase: ")
            raise ValueError(f"--phases, phase {number}: {sentence}") from error
    return tuple(phases)


def _check_warmup(phase: Phase) -> None:
    """Raises ValueError for a warm-up that nothing comes after."""
    if phase.warmup and phase.threshold is None:
        raise ValueError(
            f"expected a threshold after the warm-up, as in '{phase.epochs},{phase.warmup},8', got "
            f"none: without it the phase never splits; leave the warm-up out if that is meant"
        )
    if phase.warmup > phase.epochs:
        raise ValueError(
            f"expected a warm-up of at most {phase.epochs} epochs, which the phase has, got "
            f"{phase.warmup}"
        )


def write_phases(phases: tuple[Phase, ...]) -> str:
    """The text that ``parse_phases`` reads as these phases.

    Args:
        phases: of a schedule.

    Returns:
        The text; the first phase has its learning rate in it, the others where it is no default.

    Example:
        >>> write_phases((Phase(200, 80, 10), Phase(50, 50, 8), Phase(300, learning_rate=0.001)))
        '200,80,10,0.005;50,50,8;300,,,0.001'
    """
    usual, texts = Phase(1), []
    for number, phase in enumerate(phases):
        given = number == 0 or phase.learning_rate != usual.learning_rate
        cells = [
            str(phase.epochs),
            str(phase.warmup) if phase.warmup else "",
            "" if phase.threshold is None else str(phase.threshold),
            repr(float(phase.learning_rate)) if given else "",
        ]
        texts.append(",".join(cells).rstrip(","))
    return ";".join(texts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyOptions(ScalingOptions):
    """The networks of all arms, and the schedule that the adaptive one follows.

    Example:
        >>> StudyOptions(nodes=4).protocol().nodes
        4
    """

    only_for = "networks"

    shared: Annotated[
        tuple[Size, ...],
        Option(help="Sizes of shared layers below the bank.", metavar="SIZES"),
    ] = (4,)
    nodes: Annotated[Size, Option(help="Nodes of the bank.")] = 3
    towers: Annotated[
        tuple[Size, ...],
        Option(help="Sizes of each task's own layers.", metavar="SIZES", shown="none"),
    ] = ()
    activation: Annotated[str, Option(help="Of hidden layers.")] = "sigmoid"
    output_activation: Annotated[
        str | None,
        Option(
            help="Of outputs.",
            shown="sigmoid if scaled to 0..1, else identity",
            follows="scaling",
            derive=lambda options: "sigmoid" if options.scaling == "minmax" else "identity",
        ),
    ] = None
    optimizer: Annotated[
        OptimizerName,
        Option(help=f"One of {', '.join(get_args(OptimizerName))}.", metavar="<str>"),
    ] = "adam"
    batch_size: Annotated[BatchSize, Option(help="Rows of one update.")] = 1
    shuffle: Annotated[bool, Option(help="A new order every epoch.")] = False
    phases: Annotated[
        tuple[Phase, ...],
        Option(
            help=f"Schedule, each phase as {FORM}.",
            metavar="PHASES",
            parse=parse_phases,
            write=write_phases,
        ),
    ] = STUDY_PHASES
    rule: Annotated[Rule, Option(help="Signs in conflict.")] = "nonnegative"
    zeros: Annotated[Zeros, Option(help="What exact zeros do to a streak.")] = "reset"
    transplant: Annotated[Transplant, Option(help="Optimizer state across phases.")] = "fresh"

    def check(self) -> None:
        """Raises ValueError for no phases, or for more epochs than are counted."""
        if not self.phases:
            raise ValueError("--phases: expected at least one phase, got none")
        for option, sizes in (("--shared", self.shared), ("--towers", self.towers)):
            if (number := len(sizes)) > MOST_LAYERS:
                raise ValueError(f"{option}: expected at most {MOST_LAYERS} layers, got {number}")
        if len(self.phases) > MOST_PHASES:
            raise ValueError(
                f"--phases: expected at most {MOST_PHASES} phases, got {len(self.phases)}"
            )
        for number, phase in enumerate(self.phases, 1):
            for count in (phase.epochs, phase.warmup, phase.threshold or 0):
                if count > INT32:
                    raise ValueError(
                        f"--phases, phase {number}: expected numbers of at most {INT32}, got "
                        f"{count}"
                    )
        epochs = sum(phase.epochs for phase in self.phases)
        if epochs > INT32:
            raise ValueError(f"--phases: expected at most {INT32} epochs in all, got {epochs}")

    def protocol(self) -> StudyProtocol:
        """What all arms of a comparison have in common.

        Returns:
            The same choices, with the optimizer itself for its name.
        """
        return StudyProtocol(
            shared=self.shared,
            nodes=self.nodes,
            towers=self.towers,
            activation=self.activation,
            output_activation=self.output_activation,
            phases=self.phases,
            optimizer=getattr(optax, self.optimizer),
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            rule=self.rule,
            zeros=self.zeros,
            transplant=self.transplant,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairOptions(StudyOptions):
    """What only the study's pair of runs has: the adaptive one, and plain hard sharing beside it.

    Example:
        >>> PairOptions(aggregator="upgrad").aggregator
        'upgrad'
    """

    only_for = "the study's pair of runs"

    hard_epochs: Annotated[
        Count | None,
        Option(
            help="Epochs of plain hard sharing, to compare with.",
            shown=f"{HARD_EPOCHS_OF_STUDY}; with --phases, those of all phases",
            follows="phases",
            derive=lambda options: (
                HARD_EPOCHS_OF_STUDY
                if options.phases == STUDY_PHASES
                else sum(phase.epochs for phase in options.phases)
            ),
        ),
    ] = None
    aggregator: Annotated[
        str | None,
        Option(
            help="What combines task gradients, such as 'cagrad(c=0.4)', or module:name; "
            "jaxmtl compare --list-arms names all.",
            metavar="NAME",
            shown="their sum",
        ),
    ] = None

    def check(self) -> None:
        """Raises ValueError for an aggregator that there is not."""
        if self.aggregator is None:
            return
        try:
            check_combining(self.aggregator)
        except ValueError as error:
            sentence = str(error).removeprefix("aggregator: ")
            raise ValueError(f"--aggregator: {sentence}") from error
