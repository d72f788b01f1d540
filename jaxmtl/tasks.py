"""What is predicted: one value a task, from which output widths, losses and measures follow."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

TaskKind = Literal["number", "classes"]
KINDS: tuple[str, ...] = get_args(TaskKind)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A column to be predicted.

    Arrays of targets are (rows, tasks) for tasks of every kind: a class is its number in
    ``classes``. The outputs of a network have ``width`` columns a task, side by side.

    Attributes:
        name: of the column.
        kind: ``"number"``, or ``"classes"`` without an order.
        classes: their values, all texts or all whole numbers; empty for a number.
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
        object.__setattr__(self, "classes", tuple(self.classes))
        start = f"task {self.name!r}"
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"task: expected a name, got {self.name!r}")
        if self.kind not in KINDS:
            raise ValueError(f"{start}: expected kind 'number' or 'classes', got {self.kind!r}")
        if self.kind == "number" and self.classes:
            raise ValueError(f"{start}: expected no classes for a number, got {self.classes}")
        if self.kind == "classes":
            if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
                raise ValueError(
                    f"{start}: expected at least two classes, each once, got {self.classes}"
                )
            if {type(value) for value in self.classes} not in ({str}, {int}):
                raise ValueError(
                    f"{start}: expected classes that are all texts or all whole numbers, got "
                    f"{self.classes}"
                )
            if self.unit:
                raise ValueError(f"{start}: expected no unit for classes, got {self.unit!r}")
        weight = self.weight
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise ValueError(f"{start}: expected a weight above 0, got {weight!r}")

    @property
    def width(self) -> int:
        """Columns of the outputs: 1 for a number, one a class otherwise."""
        return len(self.classes) if self.kind == "classes" else 1

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

    Example:
        >>> output_widths([Task(name="CO"), Task(name="level", kind="classes", classes=(0, 1, 2))])
        (1, 3)
    """
    return tuple(task.width for task in tasks)
