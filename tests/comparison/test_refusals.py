"""Results that cannot be compared are refused in words."""

import json

import jax
import numpy as np
import pandas as pd
import pytest
from refused import check_refused

from jaxmtl import compare_runs
from jaxmtl.comparison import Protocol
from jaxmtl.comparison.contestants import NamedMethod, _own
from jaxmtl.comparison.per_seed import read_per_seed
from jaxmtl.comparison.run_results import _read, _Work
from jaxmtl.data import Data, SplitIndices
from jaxmtl.methods import Work
from jaxmtl.tasks import number_tasks

FRAME = {"arm": ["a", "b"], "kind": "arm", "seed": 0, "task": "CO", "error": [0.5, 0.25]}


class ScoresNothing:
    def fit(self, data, folds, keys, work):
        return None


def fit_of_nothing():
    data = Data(
        x=np.zeros((4, 1)), y=np.ones((4, 1)), known=np.ones((4, 1), bool), tasks=number_tasks("y")
    )
    folds = [SplitIndices(np.arange(3), np.arange(0), np.array([3]))]
    NamedMethod(name="mine", description="", method=ScoresNothing()).fit(data, folds, None, Work())


def two_keys():
    return jax.random.split(jax.random.key(0), 2)


def returned(value):
    """Runs of which one returns this."""
    compare_runs({"a": lambda key: 1.0, "b": lambda key: value}, keys=two_keys())


def kept(place, record):
    (place / "a.json").write_text(json.dumps(record), encoding="utf-8")
    return place / "a.json"


CALLS = {
    "results of other lengths": lambda place: compare_runs(
        {"a": {"loss": np.ones(3), "rmse": np.ones(2)}, "b": np.ones(3)}
    ),
    "a key twice": lambda place: compare_runs(
        {"a": lambda key: 1.0, "b": lambda key: 1.0},
        keys=two_keys()[np.array([0, 0])],
    ),
    "a result without measures": lambda place: returned({}),
    "a complex result": lambda place: returned(1j),
    "a matrix for a result": lambda place: returned(np.ones((2, 2))),
    "a text for a result": lambda place: returned("low"),
    "a method that scores nothing": lambda place: fit_of_nothing(),
    "an arm that does not go with the schedule": lambda place: _own(
        "mine", "parameter_differentiation", 2, Protocol(phases=Protocol().phases[:1])
    ),
    "better in both ways": lambda place: read_per_seed(
        pd.DataFrame({**FRAME, "better": ["lower", "higher"]})
    ),
    "no results in a file": lambda place: _Work({"a": None}, [0], None, None).read(kept(place, {})),
    "a file of another kind": lambda place: _read(kept(place, {"measures": 3})),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case, tmp_path):
    check_refused(lambda: CALLS[case](tmp_path))
