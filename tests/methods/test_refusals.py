"""Settings, files of models and parts that do not go together are refused in words."""

import types

import numpy as np
import pytest
from refused import check_refused

from jaxmtl import Phase
from jaxmtl.aggregation.losses import auto_lambda
from jaxmtl.methods.links import links_from_json
from jaxmtl.methods.method import join_folds
from jaxmtl.methods.models import model_of
from jaxmtl.methods.network_spec import build_network, describe_network
from jaxmtl.methods.saved import check_arrays
from jaxmtl.methods.study import parameter_differentiation
from jaxmtl.methods.study.memory import GIB, check_memory
from jaxmtl.methods.study.options import (
    INT32,
    MOST_LAYERS,
    MOST_PHASES,
    PairOptions,
    StudyOptions,
    parse_phases,
)
from jaxmtl.models import CrossStitch, HardSharing, MMoE

ONE = {"a": ((2,), np.dtype(np.float64))}


def network_with(model, **changes):
    saved = describe_network(model)
    return build_network({**saved, "fields": {**saved["fields"], **changes}}, most=100)


def model_with(**changes):
    saved = describe_network(HardSharing())
    spec = {**saved, "fields": {**saved["fields"], **changes}}
    return model_of("network", spec, {"weights": np.ones(100)}, features=3, outputs=1)


def memory(**changes):
    given = {"shared": (4,), "nodes": 3, "towers": (), "batch_size": 16, "features": 3, "tasks": 2}
    check_memory(**given | changes)


CALLS = {
    "links that are no pairs": lambda: links_from_json("model", [["same"]], 1),
    "folds twice": lambda: join_folds([(np.array([0, 0]), None)], 2),
    "no outputs": lambda: network_with(MMoE(num_experts=2), outputs=[]),
    "a kind of model that there is not": lambda: model_of("oracle", {}, {}, features=1, outputs=1),
    "a model without fields": lambda: model_of("constant", 3, {}, features=1, outputs=1),
    "no array": lambda: check_arrays({}, ONE),
    "an array too many": lambda: check_arrays({"a": np.ones(2), "b": np.ones(2)}, ONE),
    "an array of another shape": lambda: check_arrays({"a": np.ones(3)}, ONE),
    "a size in words": lambda: network_with(HardSharing(), nodes="three"),
    "sizes in words": lambda: network_with(HardSharing(), shared="four"),
    "a truth that is a number": lambda: network_with(CrossStitch(), per_node=1),
    "an activation that is a list": lambda: network_with(HardSharing(), activation=[1]),
    "a type of whole numbers": lambda: network_with(MMoE(num_experts=2), dtype="int32"),
    "no type of parameters": lambda: network_with(MMoE(num_experts=2), param_dtype=None),
    "an activation that there is not": lambda: model_with(activation="relux"),
    "layers larger than the machine": lambda: memory(shared=(2**17,) * 2),
    "batches larger than the machine": lambda: memory(batch_size=2**40),
    "seeds that do not go at once": lambda: memory(batch_size=2**20, at_once=2**20),
    "a phase in words": lambda: parse_phases("many"),
    "a phase of five numbers": lambda: parse_phases("9,1,2,0.1,5"),
    "a warm-up that nothing follows": lambda: parse_phases("9,3"),
    "a warm-up longer than its phase": lambda: parse_phases("9,30,8"),
    "no phases": lambda: StudyOptions(phases=()).check(),
    "too many shared layers": lambda: StudyOptions(shared=(2,) * (MOST_LAYERS + 1)).check(),
    "too many layers of towers": lambda: StudyOptions(towers=(2,) * (MOST_LAYERS + 1)).check(),
    "too many phases": lambda: StudyOptions(phases=(Phase(1),) * (MOST_PHASES + 1)).check(),
    "too high a threshold": lambda: StudyOptions(phases=(Phase(1, 1, INT32 + 1),)).check(),
    "too many epochs": lambda: StudyOptions(phases=(Phase(INT32),) * 2).check(),
    "an aggregator that there is not": lambda: PairOptions(aggregator="upgrat").check(),
    "a method that looks ahead": lambda: parameter_differentiation._run(
        types.SimpleNamespace(method=auto_lambda())
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case, monkeypatch):
    monkeypatch.setattr("jaxmtl.methods.study.memory.total_memory", lambda: 16 * GIB)
    check_refused(CALLS[case])
