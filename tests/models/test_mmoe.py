import numpy as np
import pytest

from jaxmtl.models import MMoE, OMoE


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def expert(params, e, row):
    for i in range(len(params)):
        layer = params[f"layer_{i}"]
        row = np.maximum(row @ layer["kernel"][e] + layer["bias"][e], 0.0)
    return row


def output(heads, t, h):
    """A tower of one layer and outputs of differing widths."""
    h = np.maximum(h @ heads["tower_0"]["kernel"][t] + heads["tower_0"]["bias"][t], 0.0)
    return h @ heads[f"output_{t}"]["kernel"] + heads[f"output_{t}"]["bias"]


@pytest.mark.parametrize("cls", [MMoE, OMoE])
def test_forward(drawn, close, cls):
    model = cls(num_experts=3, experts=(6, 4), towers=(5,), outputs=(2, 1, 3))
    case = drawn(model)
    p, rows, gates = case.params64, [], []
    for row in case.x64:
        experts = [expert(p["expert_stack"], e, row) for e in range(3)]
        columns, row_gates = [], []
        for t in range(3):
            kernel = p["gate"]["kernel"]
            gate = softmax(row @ (kernel[t] if cls is MMoE else kernel))
            h = sum(gate[e] * experts[e] for e in range(3))
            columns.extend(output(p["heads"], t, h))
            row_gates.append(gate)
        rows.append(columns)
        gates.append(row_gates)
    close(case.apply(), rows)
    close(case.apply("gates"), gates)


def test_a_trunk_feeds_gates_and_experts(drawn, close):
    model = MMoE(trunk=(6,), num_experts=2, experts=(4,), outputs=(1, 1))
    case = drawn(model)
    p, rows = case.params64, []
    assert p["gate"]["kernel"].shape == (2, 6, 2)
    for row in case.x64:
        h = np.maximum(row @ p["trunk_0"]["kernel"] + p["trunk_0"]["bias"], 0.0)
        experts = [expert(p["expert_stack"], e, h) for e in range(2)]
        columns = []
        for t in range(2):
            gate = softmax(h @ p["gate"]["kernel"][t])
            mixed = gate[0] * experts[0] + gate[1] * experts[1]
            out = p["heads"]["output"]
            columns.extend(mixed @ out["kernel"][t] + out["bias"][t])
        rows.append(columns)
    close(case.apply(), rows)


def test_one_expert_is_a_shared_bottom(drawn, close):
    model = MMoE(num_experts=1, experts=(4,), outputs=(1, 1))
    case = drawn(model)
    out = case.params64["heads"]["output"]
    h = [expert(case.params64["expert_stack"], 0, row) for row in case.x64]
    columns = [h @ out["kernel"][t] + out["bias"][t] for t in range(2)]
    close(case.apply(), np.concatenate(columns, axis=1))
    assert (case.apply("gates") == 1).all()


@pytest.mark.parametrize("cls", [MMoE, OMoE])
def test_bad_fields(cls):
    with pytest.raises(ValueError, match="num_experts: expected a number > 0, got 0"):
        cls(num_experts=0)
    with pytest.raises(ValueError, match="experts: expected one or more whole sizes"):
        cls(experts=())
