"""The section on where predictions are wrong: complete, escaped, and drawn whatever is missing."""

import copy

import matplotlib.colors
import numpy as np
import pytest
from pages import Page

from jaxmtl.report.page.where_wrong_section import where_wrong_section
from jaxmtl.report.pictures.labels import make_labels
from jaxmtl.report.pictures.style import VERMILION, looks
from jaxmtl.report.pictures.where_wrong import draw_where_wrong
from jaxmtl.tasks import Task

TASKS = (Task(name="O<3>"), Task(name="k", kind="classes", classes=("a", "b", "c")))


def parts(classes=False):
    none = [None] * 3
    return {
        "rows": [40, 50, 3],
        "typical": [0.1, 0.4, 0.3] if classes else [1.0, 4.0, 3.0],
        "low": [0.05, 0.3, None] if classes else [0.8, 3.0, None],
        "high": [0.2, 0.5, None] if classes else [1.4, 5.5, None],
        "times": [0.4, 1.3, None],
        "bias": none if classes else [0.1, -0.5, 0.2],
        "bias_low": none if classes else [-0.2, -1.0, None],
        "bias_high": none if classes else [0.4, 0.1, None],
        "predicted": none if classes else [3.0, 5.0, 9.0],
    }


FOUND = {
    "divided": 93,
    "typical": {"O<3>": 3.0, "k": 0.25},
    "divisions": [
        {"kind": "prediction", "column": "", "labels": [], "tasks": {"O<3>": parts()}},
        {
            "kind": "time",
            "column": "day",
            "labels": ["2019", "2020", "2021"],
            "tasks": {"O<3>": parts(), "k": parts(classes=True)},
        },
    ],
    "levels": {
        name: {
            "looked": 3,
            "worst": [
                {"column": "city", "level": "<b>", "rows": 50, "typical": size, "low": 0.9 * size,
                 "high": 1.2 * size, "times": 1.2, "bias": None if name == "k" else -0.5},
            ],
        }
        for name, size in (("O<3>", 4.0), ("k", 0.4))
    },
    "worst": {
        "named": ["city"],
        "numbers": [{"row": 7, "named": ["<b>"], "task": "O<3>", "observed": 9.5,
                     "predicted": 2.25, "size": 2.42}],
        "classes": [{"row": 8, "named": ["x"], "task": "k", "observed": "a", "predicted": "b",
                     "size": 0.0123}],
    },
    "reliability": {
        "k": {"of": None, "rows": [60], "said": [0.9], "true": [0.6], "low": [0.5], "high": [0.7],
              "error": 0.3, "floor": 0.03, "floor_high": 0.07}
    },
}  # fmt: skip


def shown(found=FOUND, tasks=TASKS, picture="<svg></svg>", drawn=2):
    return where_wrong_section({"where_wrong": found}, tasks, picture, drawn)


def test_it_says_where_and_in_which_rows():
    markup = shown()
    assert "<b>" not in markup
    assert "<3>" not in markup
    text = " ".join(Page(markup).text.split())
    assert "O<3> where city is <b> (typical error 4.00 against 3.00 overall)" in text
    assert "O<3> in 2020 (typical error 4.00 against 3.00 overall)" in text
    assert "O<3> where about 5.0 is predicted" in text
    assert "Probabilities of k are too sure of themselves: off by 30 of 100" in text
    levels, numbers, classes, *details = Page(markup).tables
    assert [row[1:] for row in levels[1:]] == [
        ["city <b>", "4.00", "3.60 to 4.80", "50"],
        ["city <b>", "40 %", "36 % to 48 %", "50"],
    ]
    assert numbers[1] == ["7", "<b>", "O<3>", "9.50", "2.25", "2.4"]
    assert classes[1] == ["8", "x", "k", "a", "b", "1.2 %"]
    of_o3 = details[0]
    assert of_o3[1][0] == "predictions about 3.00"
    assert of_o3[1][1:] == ["40", "1.00", "0.80 to 1.40", "0.10", "−0.20 to 0.40"]
    assert of_o3[3][3:] == ["–", "0.20", "–"]  # few rows
    assert len(of_o3) == 1 + 3 + 3 + 1
    assert of_o3[0] == ["part", "rows", "typical error", "between", "bias", "between"]
    of_classes = details[1]
    assert of_classes[0] == ["part", "rows", "share wrong", "between"]
    assert of_classes[2] == ["2020", "50", "40 %", "30 % to 50 %"]
    assert levels[0][2] == "typical error or share wrong"


def test_of_many_targets_only_what_is_worse_is_listed():
    found = copy.deepcopy(FOUND)
    found["levels"]["k"]["worst"][0]["times"] = 0.9
    more = (*TASKS, Task(name="u"), Task(name="v"))
    for name in "uv":
        found["typical"][name] = None
    tables = Page(shown(found, more, drawn=2)).tables
    assert len(tables[0]) == 2
    assert "The first 2 of 4 columns." in shown(found, more, drawn=2)


def test_runs_that_do_not_hold_it_have_no_such_section():
    assert where_wrong_section({}, TASKS, "", 0) == ""


@pytest.mark.parametrize("change", ["as it is", "no time", "no label"])
def test_the_picture_has_a_row_a_target(change):
    found = copy.deepcopy(FOUND)
    if change == "no time":
        del found["divisions"][1]
    if change == "no label":
        found["typical"]["k"] = None
        found["reliability"] = {}
        found["divisions"][1]["tasks"]["k"] = {
            name: [0] * 3 if name == "rows" else [None] * 3 for name in parts()
        }
    labels = make_labels((), ["O<3>", "k"])
    with looks(labels):
        figure = draw_where_wrong(found, TASKS, labels)
        figure.canvas.draw()
    assert len(figure.axes) == (2 if change == "no time" else 4)
    if change == "as it is":
        worse = figure.axes[1].containers[1].lines[0]
        assert matplotlib.colors.to_hex(worse.get_color()).upper() == VERMILION
        np.testing.assert_array_equal(worse.get_xydata(), [[1.0, 4.0]])
