"""What is predicted: one value a task, from which output widths, losses and measures follow."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

TaskKind = Literal["number", "classes", "count", "ordered"]
KINDS: tuple[str, ...] = get_args(TaskKind)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A column to be predicted.

    Arrays of targets are (rows, tasks) for tasks of every kind: a class is its number in
    ``classes``. The outputs of a network have ``width`` columns a task, side by side.

    Attributes:
        name: of the column.
        kind: ``"number"``; ``"count"``, a number of at least 0 with a long tail, such as how many
            of something there are; ``"classes"`` without an order; or ``"ordered"`` ones.
        classes: their values, all texts or all whole numbers, lowest first if they are ordered;
            empty for a number.
        weight: of the task's loss in the sum over the tasks, above 0.
        unit: of a number, for tables and pictures, such as ``"µg/m³"``; empty where not known.

    Raises:
        ValueError: a kind that there is not, classes that do not go with it, a weight out of range.

    Example:
        >>> Task(name="PM2.5", unit="µg/m³").width
        1
        >>> Task(name="level", kind="classes", classes=("good", "fair", "poor")).width
        3
        >>> Task(name="level", kind="classes")
        Traceback (most recent call last):
            ...
        ValueError: task 'level': expected at least two classes, each once, got ()
    """

    name: str
    kind: TaskKind = "number"
    classes: tuple[str | int, ...] = ()
    weight: float = 1.0
    unit: str = ""

    def __post_init__(self) -> None:
        """Checks that the fields go together."""
        start = f"task {self.name!r}"
        if isinstance(self.classes, str) or not isinstance(self.classes, Sequence):
            raise ValueError(f"{start}: expected a tuple of classes, got {self.classes!r}")
        object.__setattr__(self, "classes", tuple(self.classes))
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"task: expected a name, got {self.name!r}")
        if self.kind not in KINDS:
            raise ValueError(
                f"{start}: expected kind {', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}, got "
                f"{self.kind!r}"
            )
        if not self.has_classes and self.classes:
            raise ValueError(f"{start}: expected no classes for a number, got {self.classes}")
        if self.has_classes:
            # Types first: what cannot be hashed cannot be counted. A bool is not an int here.
            if {type(value) for value in self.classes} not in (set(), {str}, {int}):
                raise ValueError(
                    f"{start}: expected classes that are all texts or all whole numbers, got "
                    f"{self.classes}"
                )
            if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
                raise ValueError(
                    f"{start}: expected at least two classes, each once, got {self.classes}"
                )
        if not isinstance(self.unit, str) or (self.unit and self.has_classes):
            wanted = "no unit for classes" if self.has_classes else "a text as unit"
            raise ValueError(f"{start}: expected {wanted}, got {self.unit!r}")
        weight = self.weight
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise ValueError(f"{start}: expected a weight above 0, got {weight!r}")

    @property
    def has_classes(self) -> bool:
        """Whether a target is the number of a class, and outputs are one a class."""
        return self.kind in ("classes", "ordered")

    @property
    def width(self) -> int:
        """Columns of the outputs: 1 for a number, one a class otherwise."""
        return len(self.classes) if self.has_classes else 1

    def to_json(self) -> dict[str, Any]:
        """As texts, numbers and lists."""
        return dataclasses.asdict(self) | {"classes": list(self.classes)}

    @staticmethod
    def from_json(saved: Mapping[str, Any]) -> "Task":
        """The task that ``to_json`` was called on.

        Args:
            saved: perhaps by way of a file.

        Returns:
            The task.

        Raises:
            ValueError: a field that there is not, that is missing, or of another type.

        Example:
            >>> Task.from_json(Task(name="CO").to_json()) == Task(name="CO")
            True
        """
        names = {field.name for field in dataclasses.fields(Task)}
        if not isinstance(saved, Mapping) or not {"name"} <= set(saved) <= names:
            raise ValueError(f"task: expected the fields {', '.join(sorted(names))}, got {saved!r}")
        if not isinstance(saved.get("classes", []), list | tuple):
            raise ValueError(f"task: expected a list of classes, got {saved['classes']!r}")
        return Task(**saved)


def number_tasks(names: Sequence[str]) -> tuple[Task, ...]:
    """Numbers of weight 1, one a name.

    Args:
        names: of the columns.

    Returns:
        The tasks.

    Example:
        >>> [task.name for task in number_tasks(["CO", "O3"])]
        ['CO', 'O3']
    """
    return tuple(Task(name=name) for name in names)


def output_widths(tasks: Sequence[Task]) -> tuple[int, ...]:
    """Columns of each task in the outputs of a network, as its field ``outputs`` takes them.

    Args:
        tasks: in the order of the outputs.

    Returns:
        One width a task.

    Example:
        >>> output_widths([Task(name="CO"), Task(name="level", kind="classes", classes=(0, 1, 2))])
        (1, 3)
    """
    return tuple(task.width for task in tasks)


def output_slices(tasks: Sequence[Task]) -> tuple[slice, ...]:
    """Where the outputs of each task stand among the columns of all.

    Args:
        tasks: in the order of the outputs.

    Returns:
        One slice a task.

    Example:
        >>> output_slices([Task(name="CO"), Task(name="rain", kind="classes", classes=(0, 1))])
        (slice(0, 1, None), slice(1, 3, None))
    """
    ends = list(itertools.accumulate(output_widths(tasks), initial=0))
    return tuple(itertools.starmap(slice, itertools.pairwise(ends)))


def kinds_differ(tasks: Sequence[Task]) -> bool:
    """Whether the losses of the tasks have different meanings, so that their mean has none.

    Args:
        tasks: of one network.

    Returns:
        Whether there are tasks of more than one kind.

    Example:
        >>> kinds_differ(number_tasks(["CO", "O3"]))
        False
    """
    return len({task.kind for task in tasks}) > 1


def check_outputs(name: str, outputs: Any, tasks: Sequence[Task]) -> None:
    """Raises ValueError unless the outputs are (rows, columns of all tasks).

    Args:
        name: of the outputs in the error message.
        outputs: an array.
        tasks: in the order of the outputs.

    Raises:
        ValueError: there is no task, or the array has another shape.

    Example:
        >>> import numpy as np
        >>> check_outputs("outputs", np.zeros((4, 3)), number_tasks(["CO", "O3"]))
        Traceback (most recent call last):
            ...
        ValueError: outputs: expected shape (rows, 2), the columns of CO, O3, got (4, 3)
    """
    if not tasks:
        raise ValueError("tasks: expected at least one, got none")
    width = sum(output_widths(tasks))
    if len(outputs.shape) != 2 or outputs.shape[1] != width:
        named = ", ".join(
            task.name if task.width == 1 else f"{task.name} ({task.width})" for task in tasks
        )
        raise ValueError(
            f"{name}: expected shape (rows, {width}), the columns of {named}, got "
            f"{tuple(outputs.shape)}"
        )
