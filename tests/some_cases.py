"""Which cases of a test the default run has."""

from collections.abc import Iterable
from typing import Any

import pytest


def some(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """Cases of one parameter: those that are kept, and, where all tests are run, the others.

    Those kept go different ways through the code; the others are further evidence.
    """
    cases = list(cases)
    missing = [case for case in kept if case not in cases]
    if missing:
        raise ValueError(f"kept: expected some of the cases, got {missing}")
    slow = pytest.mark.slow
    return [case if case in kept else pytest.param(case, marks=slow) for case in cases]
