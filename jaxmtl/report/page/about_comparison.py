"""What the page of a comparison tells beside its numbers."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from jaxmtl.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class AboutComparison:
    """What a reader must know of a comparison beside its numbers; every text is plain text.

    Attributes:
        table: where the rows come from, "file air.xlsx, sheet 'days'".
        rows: number of rows by split: "train", "validation", "test".
        features: names of the feature columns.
        tasks: what the target columns are, in the order in which they are shown.
        split: how rows are divided, and whether seeds divide them anew.
        seeds: the seeds, as integers.
        arms: what each arm and line is, in one line, by its name.
        reference: name of the arm that others are compared with.
        selection: which epoch's parameters are tested.
        protocol: architecture, schedule, optimizer: what all arms have in common.
        versions: version by name of the software.
        command: that repeats the comparison; empty if it was none.
        seconds: of the whole comparison; NaN if not measured.
        machine: processor and devices, in words.
        notes: what else is to be known, such as what was left out; sentences without a full stop.
        labels: what arms are called on the page, by name; others are called by their name,
            without underscores.
        pages: of the same runs by other measures: where they are from this one, by the measure.
        answer: what to use, how sure that is and what it costs, in short sentences; plain text.
        use: the command that trains what is to be used; empty if there is none.

    Raises:
        ValueError: the reference is not one of the arms, or there is no seed.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> AboutComparison(
        ...     table="file a.csv", rows={"train": 80, "test": 20}, features=["x"],
        ...     tasks=number_tasks("y"), split="random", seeds=[0], arms={"plain": "Hard sharing."},
        ...     reference="plain", selection="last epoch").seeds
        (0,)
    """

    table: str
    rows: Mapping[str, int]
    features: Sequence[str]
    tasks: Sequence[Task]
    split: str
    seeds: Sequence[int]
    arms: Mapping[str, str]
    reference: str
    selection: str
    protocol: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    command: str = ""
    seconds: float = math.nan
    machine: str = ""
    notes: Sequence[str] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    answer: Sequence[str] = ()
    use: str = ""

    def __post_init__(self) -> None:
        """Freezes sequences, and checks what the page is built on."""
        for field in ("features", "tasks", "seeds", "notes", "answer"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if self.reference not in self.arms:
            raise ValueError(
                f"reference: expected one of {', '.join(self.arms)}, got {self.reference!r}; "
                "describe it among the arms"
            )
        if not self.seeds:
            raise ValueError("seeds: expected at least one, got none; name those that were run")
