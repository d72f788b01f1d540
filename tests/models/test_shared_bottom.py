import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl import Rows, Splits, fit
from jaxmtl.models import HardSharing, SharedBottom, split_outputs


def relu(z):
    return np.maximum(z, 0.0)


def one_row(params, row, trunk, towers, outputs):
    """The network for one row, one unit at a time, with towers as rows of sizes a task."""
    h = row
    for i in range(len(trunk)):
        layer = params[f"trunk_{i}"]
        h = [max(0.0, h @ layer["kernel"][:, o] + layer["bias"][o]) for o in range(trunk[i])]
        h = np.array(h)
    heads, columns = params["heads"], []
    alike = len(set(towers)) == 1
    for t, width in enumerate(outputs):
        a = h
        for i in range(len(towers[t])):
            if alike:
                kernel, bias = heads[f"tower_{i}"]["kernel"][t], heads[f"tower_{i}"]["bias"][t]
            else:
                layer = heads[f"tower_{t}_{i}"]
                kernel, bias = layer["kernel"], layer["bias"]
            a = relu(a @ kernel + bias)
        if alike and len(set(outputs)) == 1:
            kernel, bias = heads["output"]["kernel"][t], heads["output"]["bias"][t]
        else:
            kernel, bias = heads[f"output_{t}"]["kernel"], heads[f"output_{t}"]["bias"]
        assert kernel.shape[-1] == width
        columns.extend(a @ kernel + bias)
    return np.array(columns)


@pytest.mark.parametrize(
    ("trunk", "towers", "outputs"),
    [
        ((64, 32, 16), ((32,), (32,)), (3, 2)),
        ((6,), ((4, 3), (4, 3)), (1, 1)),
        ((6,), ((4,), (5, 3), ()), (1, 1, 1)),
        ((), ((), ()), (2, 2)),
        ((4,), ((3,),), (2,)),
    ],
)
def test_forward(drawn, close, trunk, towers, outputs):
    model = SharedBottom(trunk=trunk, towers=towers, outputs=outputs)
    case = drawn(model)
    literal = [one_row(case.params64, row, trunk, towers, outputs) for row in case.x64]
    close(case.apply(), literal)


def test_activations_and_flat_towers(drawn, close):
    model = SharedBottom(
        trunk=(4,), towers=(3,), activation="tanh", output_activation="sigmoid", outputs=(1, 2)
    )
    case = drawn(model)
    p = case.params64
    h = np.tanh(case.x64 @ p["trunk_0"]["kernel"] + p["trunk_0"]["bias"])
    columns = []
    for t in range(2):
        tower, output = p["heads"]["tower_0"], p["heads"][f"output_{t}"]
        a = np.tanh(h @ tower["kernel"][t] + tower["bias"][t])
        columns.append(1 / (1 + np.exp(-(a @ output["kernel"] + output["bias"]))))
    close(case.apply(), np.concatenate(columns, axis=1))


def test_agrees_with_hard_sharing_before_any_duplication(drawn, close):
    hard = HardSharing(shared=(6,), nodes=4, towers=(3,), outputs=(2, 2), capacity=4)
    case = drawn(hard)
    params = case.params
    soft = SharedBottom(
        trunk=(6, 4), towers=(3,), outputs=(2, 2), activation="sigmoid", output_activation="sigmoid"
    )
    heads = {"tower_0": params["tower_0"], "output": params["output"]}
    moved = {"trunk_0": params["shared_0"], "trunk_1": params["bank"], "heads": heads}
    close(jax.jit(soft.apply)({"params": moved}, case.x), case.apply())


@pytest.mark.slow
def test_reference_case_learns_and_predicts_a_single_row():
    # 10-64-32-16 ReLU, towers 16-32-3 and 16-32-2, batches of 32 shuffled, Adam 1e-3, 10 epochs.
    x_key, key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (320, 10))
    y = jnp.stack([x[:, :4].sum(1), x[:, 2:6].sum(1), x[:, 1], x[:, 0] - x[:, 3], x[:, 5]], axis=1)
    model = SharedBottom(trunk=(64, 32, 16), towers=(32,), outputs=(3, 2))
    run = fit(
        model,
        Splits(train=Rows(x, y)),
        key=key,
        epochs=10,
        batch_size=32,
        shuffle=True,
        learning_rate=1e-3,
    )
    assert run.history.train.shape == (10, 2)
    assert (run.history.train[-1] < 0.8 * run.history.train[0]).all()
    every = split_outputs(model.apply({"params": run.params}, x), model.outputs)
    single = split_outputs(model.apply({"params": run.params}, x[4:5]), model.outputs)
    assert [task.shape for task in single] == [(1, 3), (1, 2)]
    for one, rows in zip(single, every, strict=True):
        np.testing.assert_allclose(one[0], rows[4], rtol=1e-5, atol=1e-6)


def test_split_outputs_says_what_does_not_fit():
    with pytest.raises(ValueError, match=r"outputs: expected 3 columns .* got shape \(2, 4\)"):
        split_outputs(jnp.zeros((2, 4)), (2, 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"towers": ((3,), (2,), (1,))}, "towers: expected sizes for all tasks or a row"),
        ({"towers": ((3,), (0,))}, r"towers\[1\]: expected whole sizes"),
        ({"trunk": (4, 2.5)}, "trunk: expected whole sizes of at least 1"),
        ({"trunk": 4}, "trunk: expected whole sizes of at least 1, got 4"),
        ({"outputs": ()}, "outputs: expected one or more whole sizes"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(ValueError, match=message):
        SharedBottom(**fields)
