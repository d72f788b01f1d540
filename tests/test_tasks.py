"""Tasks: what they refuse, and that JSON gives them back."""

import json

import pytest

from jaxmtl.tasks import (
    Task,
    check_outputs,
    kinds_differ,
    number_tasks,
    output_slices,
    output_widths,
)

LEVEL = Task(name="level", kind="classes", classes=("good", "fair", "poor"), weight=0.5)
NUMBERED = Task(name="rain", kind="classes", classes=(0, 1))
CO = Task(name="CO", unit="mg/m³", weight=2)


ORDERED = Task(name="level", kind="ordered", classes=("good", "fair"))
COUNT = Task(name="dogs", kind="count", unit="dogs")


@pytest.mark.parametrize("task", [ORDERED, COUNT, LEVEL, NUMBERED, CO, Task(name="细颗粒物")])
def test_json_gives_the_same_task(task):
    again = Task.from_json(json.loads(json.dumps(task.to_json())))
    assert again == task
    assert hash(again) == hash(task)
    assert isinstance(again.classes, tuple)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "expected a name, got ''"),
        ({"name": 3}, "expected a name, got 3"),
        (
            {"kind": "ranks"},
            "expected kind 'number', 'classes', 'count' or 'ordered', got 'ranks'",
        ),
        ({"kind": ["number"]}, "expected kind"),
        ({"classes": ("x", "y")}, "expected no classes for a number"),
        ({"kind": "count", "classes": (0, 1)}, "expected no classes for a number"),
        ({"kind": "ordered", "classes": ("x",)}, "at least two classes"),
        ({"kind": "ordered", "classes": (0, 1), "unit": "m"}, "expected no unit for classes"),
        ({"kind": "classes"}, "at least two classes, each once, got ()"),
        ({"kind": "classes", "classes": ("x",)}, "at least two classes"),
        ({"kind": "classes", "classes": ("x", "y", "x")}, "each once"),
        ({"kind": "classes", "classes": ("x", 1)}, "all texts or all whole numbers"),
        ({"kind": "classes", "classes": (True, False)}, "all texts or all whole numbers"),
        ({"kind": "classes", "classes": (0.0, 1.0)}, "all texts or all whole numbers"),
        ({"kind": "classes", "classes": ([1], [2])}, "all texts or all whole numbers"),
        ({"kind": "classes", "classes": "xy"}, "expected a tuple of classes, got 'xy'"),
        ({"kind": "classes", "classes": 2}, "expected a tuple of classes, got 2"),
        ({"kind": "classes", "classes": (0, 1), "unit": "m"}, "expected no unit for classes"),
        ({"unit": None}, "expected a text as unit, got None"),
        ({"weight": 0}, "expected a weight above 0, got 0"),
        ({"weight": float("inf")}, "expected a weight above 0, got inf"),
        ({"weight": float("nan")}, "expected a weight above 0, got nan"),
        ({"weight": True}, "expected a weight above 0, got True"),
        ({"weight": "2"}, "expected a weight above 0, got '2'"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        Task(**({"name": "a"} | fields))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "saved", [[], {}, None, {"kind": "number"}, {"name": "a", "offset": 1.0}, "a"]
)
def test_other_json_is_refused(saved):
    with pytest.raises(ValueError, match="expected the fields classes, kind, name, unit, weight"):
        Task.from_json(saved)


def test_classes_of_json_are_a_list():
    with pytest.raises(ValueError, match="expected a list of classes, got 'xy'"):
        Task.from_json({"name": "a", "kind": "classes", "classes": "xy"})


def test_outputs_stand_side_by_side():
    tasks = (CO, LEVEL, NUMBERED)
    assert output_widths(tasks) == (1, 3, 2)
    assert output_slices(tasks) == (slice(0, 1), slice(1, 4), slice(4, 6))
    assert output_slices(()) == ()


def test_kinds():
    assert not kinds_differ((LEVEL, NUMBERED))
    assert not kinds_differ(number_tasks("ab"))
    assert kinds_differ((CO, LEVEL))


def test_outputs_of_other_shapes_are_refused():
    class Shaped:
        def __init__(self, *shape):
            self.shape = shape

    check_outputs("outputs", Shaped(9, 4), (CO, LEVEL))
    for shape in ((9, 2), (4,), (9, 4, 1)):
        with pytest.raises(ValueError, match=r"outputs: expected shape .*CO, level \(3\), got"):
            check_outputs("outputs", Shaped(*shape), (CO, LEVEL))
    with pytest.raises(ValueError, match="at least one, got none"):
        check_outputs("outputs", Shaped(9, 0), ())
