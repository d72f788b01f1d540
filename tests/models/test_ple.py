import jax
import numpy as np
import pytest

from jaxmtl.models import CGC, PLE


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def expert(params, e, row):
    for i in range(len(params)):
        layer = params[f"layer_{i}"]
        row = np.maximum(row @ layer["kernel"][e] + layer["bias"][e], 0.0)
    return row


def forward(params, row, *, tasks, own, shared, levels):
    """As the paper writes it: S_t stacks the own experts of task t and the shared ones."""
    g = {t: row for t in range(tasks)} | {"s": row}
    task_gates, shared_gates = [], []
    for j in range(levels):
        p = params[f"level_{j}"]
        owned = {
            t: [expert(p["experts"], t * own + e, g[t]) for e in range(own)] for t in range(tasks)
        }
        common = [expert(p["experts"], tasks * own + e, g["s"]) for e in range(shared)]
        new, gates = {}, []
        for t in range(tasks):
            selected = np.stack(owned[t] + common)
            weights = softmax(g[t] @ p["task_gates"]["kernel"][t])
            new[t] = weights @ selected
            gates.append(weights)
        task_gates.append(gates)
        if j < levels - 1:
            everything = np.stack([f for t in range(tasks) for f in owned[t]] + common)
            weights = softmax(g["s"] @ p["shared_gate"]["kernel"])
            new["s"] = weights @ everything
            shared_gates.append(weights)
        else:
            assert "shared_gate" not in p
        g = new
    return [g[t] for t in range(tasks)], task_gates, shared_gates


@pytest.mark.parametrize(
    ("tasks", "own", "shared", "experts"),
    [
        (2, 2, 2, ((6,), (4,))),
        pytest.param(3, 1, 2, ((6, 5), (4,), (3, 3)), marks=pytest.mark.slow),
        pytest.param(1, 2, 1, ((4,), (4,)), marks=pytest.mark.slow),
        (2, 2, 3, ((6, 4),)),
    ],
)
def test_forward(drawn, close, tasks, own, shared, experts):
    widths = tuple(range(1, tasks + 1))
    model = PLE(own_experts=own, shared_experts=shared, experts=experts, outputs=widths)
    case = drawn(model)
    rows, last = [], []
    levels = len(experts)
    read = case.apply("level_gates")
    for n, row in enumerate(case.x64):
        h, task_gates, shared_gates = forward(
            case.params64, row, tasks=tasks, own=own, shared=shared, levels=levels
        )
        heads = case.params64["heads"]
        outs = [heads["output" if tasks == 1 else f"output_{t}"] for t in range(tasks)]
        kernels = [o["kernel"][0] if tasks == 1 else o["kernel"] for o in outs]
        biases = [o["bias"][0] if tasks == 1 else o["bias"] for o in outs]
        rows.append(np.concatenate([h[t] @ kernels[t] + biases[t] for t in range(tasks)]))
        last.append(task_gates[-1])
        for j in range(levels):
            close(read[j].tasks[n], task_gates[j])
            if j < levels - 1:
                close(read[j].shared[n], shared_gates[j])
    assert read[-1].shared is None
    close(case.apply(), rows)
    close(case.apply("gates"), last)


def test_cgc_is_one_level(drawn, close):
    cgc = CGC(own_experts=2, shared_experts=1, experts=[6, 4], towers=(3,), outputs=(1, 2))
    ple = PLE(own_experts=2, shared_experts=1, experts=[[6, 4]], towers=(3,), outputs=(1, 2))
    case = drawn(cgc)
    assert "shared_gate" not in case.params64["level_0"]
    close(case.apply(), jax.jit(ple.apply)({"params": case.params}, case.x))
    h, gates, _ = forward(case.params64, case.x64[0], tasks=2, own=2, shared=1, levels=1)
    close(case.apply("gates")[0], gates[0])
    heads = case.params64["heads"]
    tower = heads["tower_0"]
    for t, columns in enumerate([slice(0, 1), slice(1, 3)]):
        a = np.maximum(h[t] @ tower["kernel"][t] + tower["bias"][t], 0.0)
        literal = a @ heads[f"output_{t}"]["kernel"] + heads[f"output_{t}"]["bias"]
        close(case.apply()[0, columns], literal)


def test_no_error_of_a_task_reaches_the_last_own_experts_of_another(drawn):
    model = PLE(own_experts=2, shared_experts=1, experts=((4,), (3,)), outputs=(1, 1))
    case = drawn(model)
    gradient = jax.jit(jax.grad(lambda p: model.apply({"params": p}, case.x)[:, 0].sum()))(
        case.params
    )
    last = np.abs(gradient["level_1"]["experts"]["layer_0"]["kernel"]).sum(axis=(1, 2))
    first = np.abs(gradient["level_0"]["experts"]["layer_0"]["kernel"]).sum(axis=(1, 2))
    assert (last > 0).tolist() == [True, True, False, False, True]
    assert (first > 0).all()  # through the shared gate


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (PLE, {"experts": (16,)}, "experts: expected one or more rows of sizes, one a level"),
        (PLE, {"experts": ()}, "experts: expected one or more rows of sizes, one a level"),
        (PLE, {"experts": ((4,), ())}, "experts: expected one or more rows of sizes, one a level"),
        (PLE, {"own_experts": 0}, "own_experts: expected a number > 0"),
        (CGC, {"shared_experts": 0}, "shared_experts: expected a number > 0"),
        (CGC, {"experts": ()}, "experts: expected one or more whole sizes"),
    ],
)
def test_bad_fields(cls, fields, message):
    with pytest.raises(ValueError, match=message):
        cls(**fields)
