"""What does not belong to one comparison is refused in words."""

import types

import pytest
from refused import check_refused

from jaxmtl.metrics.of_tasks import main_measure
from jaxmtl.report.page.comparison_page import _check
from jaxmtl.tasks import number_tasks

TASKS = number_tasks(["CO"])
RUNS = types.SimpleNamespace(
    arms=("adaptive", "ridge"), tasks=("CO",), measures=(main_measure(TASKS[0]).name,), better=""
)


def about(**changes):
    return types.SimpleNamespace(**{"tasks": TASKS, "reference": "ridge"} | changes)


CALLS = {
    "another reference": lambda: _check(RUNS, about(reference="hard_sharing")),
    "other tasks": lambda: _check(RUNS, about(tasks=number_tasks(["O3"]))),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case):
    check_refused(CALLS[case])
