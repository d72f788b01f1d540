import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from some_cases import some

from jaxmtl import Rows, Splits, fit
from jaxmtl.models import AITM


def relu(z):
    return np.maximum(z, 0.0)


@pytest.mark.parametrize("outputs", some([(1,), (1, 1), (2, 1, 3)], (2, 1, 3)))
def test_forward(drawn, close, outputs):
    model = AITM(trunk=(6,), towers=(5, 4), outputs=outputs)
    case = drawn(model)
    p, rows, weights = case.params64, [], []
    for row in case.x64:
        shared = relu(row @ p["trunk_0"]["kernel"] + p["trunk_0"]["bias"])
        z, columns, row_weights = None, [], []
        for t in range(len(outputs)):
            q = shared
            for i in range(2):
                layer = p["tower_stack"][f"layer_{i}"]
                q = relu(q @ layer["kernel"][t] + layer["bias"][t])
            if t == 0:
                z = q
            else:
                chain = p["chain"]
                message = relu(z @ chain["message_kernel"][t - 1] + chain["message_bias"][t - 1])
                query, key, value = chain["attention"]
                scores = np.array([(u @ query) @ (u @ key) / np.sqrt(4) for u in (message, q)])
                w = np.exp(scores) / np.exp(scores).sum()
                z = w[0] * (message @ value) + w[1] * (q @ value)
                row_weights.append(w)
            out = p["heads"]["output" if len(outputs) in (1, 2) else f"output_{t}"]
            stacked = len(outputs) in (1, 2)
            kernel, bias = (v[t] if stacked else v for v in (out["kernel"], out["bias"]))
            columns.extend(z @ kernel + bias)
        rows.append(columns)
        weights.append(row_weights)
    close(case.apply(), rows)
    attention = case.apply("attention")
    assert attention.shape == (7, len(outputs) - 1, 2)
    close(attention, np.array(weights).reshape(attention.shape))


def test_errors_flow_back_along_the_chain_only(drawn):
    model = AITM(trunk=(), towers=(4,), outputs=(1, 1, 1))
    case = drawn(model)
    jacobian = jax.jit(jax.jacrev(lambda p: model.apply({"params": p}, case.x).sum(axis=0)))(
        case.params
    )
    towers = jacobian["tower_stack"]["layer_0"]["kernel"]  # (output, tower, inputs, size)
    touches = np.abs(towers).sum(axis=(2, 3)) > 0
    assert touches.tolist() == [[True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.slow
def test_calibration_is_in_the_loss_only_where_asked_for(drawn):
    assert not AITM().has_penalties
    model = AITM(calibration=0.6, output_activation="sigmoid", outputs=(1, 1, 1))
    assert model.has_penalties
    case = drawn(model, shape=(16, 5))
    outputs, sown = case.apply(mutable=["penalties"])
    o = np.asarray(outputs, np.float64)
    literal = 0.6 * np.mean([max(row[1] - row[0], 0) + max(row[2] - row[1], 0) for row in o])
    np.testing.assert_allclose(sown["penalties"]["calibration"][0], literal, rtol=1e-5)

    params, x, y = case.params, case.x, case.x[:, :3]

    @jax.jit
    @jax.grad
    def gradient(p):
        out = model.apply({"params": p}, x)
        excess = jnp.maximum(out[:, 1:] - out[:, :-1], 0).sum(axis=1).mean()
        return ((out - y) ** 2).mean(axis=0).sum() + 0.6 * excess

    run = fit(
        model,
        Splits(train=Rows(x, y)),
        params=params,
        epochs=1,
        batch_size=16,
        learning_rate=0.1,
        optimizer=optax.sgd,
    )
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient(params))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), run.params, expected
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"towers": ()}, "towers: expected one or more sizes, the same for all tasks"),
        ({"towers": ((4,), (3,))}, "towers: expected one or more sizes, the same for all tasks"),
        ({"calibration": -1.0}, "calibration: expected a number >= 0"),
        ({"calibration": 1.0, "outputs": (1, 2)}, "calibration: expected 0 unless every task"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(ValueError, match=message):
        AITM(**fields)
