import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.models import ConvTrunk, CrossStitch


@pytest.mark.parametrize("per_node", [False, True])
@pytest.mark.parametrize("tasks", [1, 3])
def test_forward(drawn, close, tasks, per_node):
    outputs = tuple(t + 1 for t in range(tasks))
    model = CrossStitch(layers=(6, 4), per_node=per_node, outputs=outputs)
    case = drawn(model)
    p = case.params64
    rows = []
    for row in case.x64:
        h = [row] * tasks
        for i in range(2):
            layer, stitch = p[f"layer_{i}"], p[f"stitch_{i}"]["weight"]
            z = [np.maximum(h[t] @ layer["kernel"][t] + layer["bias"][t], 0) for t in range(tasks)]
            h = [sum(stitch[t, s] * z[s] for s in range(tasks)) for t in range(tasks)]
        heads = p["heads"]
        columns = []
        for t in range(tasks):
            out = heads["output"] if tasks == 1 else heads[f"output_{t}"]
            kernel, bias = out["kernel"], out["bias"]
            kernel, bias = (kernel[0], bias[0]) if tasks == 1 else (kernel, bias)
            columns.extend(h[t] @ kernel + bias)
        rows.append(columns)
    close(case.apply(), rows)


def test_stitches_start_as_convex_combinations():
    x = jnp.zeros((1, 5))
    model = CrossStitch(layers=(6, 4), same=0.7, outputs=(1, 1, 1, 1))
    stitches = model.apply(jax.jit(model.init)(jax.random.key(0), x), method="stitches")
    assert len(stitches) == 2
    for stitch in stitches:
        np.testing.assert_allclose(np.diag(stitch), 0.7)
        np.testing.assert_allclose(stitch.sum(axis=1), 1.0, rtol=1e-6)
        np.testing.assert_allclose(stitch[0, 1:], 0.1, rtol=1e-6)


def test_every_task_has_a_trunk_of_its_own(drawn, close):
    trunk = ConvTrunk(channels=(3,), sizes=(5,))
    model = CrossStitch(trunk=trunk, layers=(4,), outputs=(1, 1))
    case = drawn(model, shape=(3, 6, 6, 2))
    kernel = jax.jit(model.init)(jax.random.key(0), case.x)["params"]["trunk"]["conv_0"]["kernel"]
    assert kernel.shape == (2, 3, 3, 2, 3)
    assert np.abs(kernel[0] - kernel[1]).max() > 0.01  # drawn separately
    stitches = jax.jit(lambda p: model.apply({"params": p}, method="stitches"))(case.params)
    close(stitches[0], case.params64["stitch_trunk"]["weight"])
    close(stitches[1], case.params64["stitch_0"]["weight"])
    # Literal from the features that each task's own trunk makes.
    p, h, features = case.params64, [], jax.jit(trunk.apply)
    for t in range(2):
        own = {
            name: {k: v[t] for k, v in layer.items()}
            for name, layer in case.params["trunk"].items()
        }
        h.append(np.asarray(features({"params": own}, case.x), np.float64))
    a = p["stitch_trunk"]["weight"]
    h = [a[t, 0] * h[0] + a[t, 1] * h[1] for t in range(2)]
    layer, a = p["layer_0"], p["stitch_0"]["weight"]
    h = [np.maximum(h[t] @ layer["kernel"][t] + layer["bias"][t], 0) for t in range(2)]
    h = [a[t, 0] * h[0] + a[t, 1] * h[1] for t in range(2)]
    out = p["heads"]["output"]
    columns = [h[t] @ out["kernel"][t] + out["bias"][t] for t in range(2)]
    close(case.apply(), np.concatenate(columns, axis=1))


def test_bad_fields():
    with pytest.raises(ValueError, match="same: expected a weight between 0 and 1, got 1.5"):
        CrossStitch(same=1.5)
    with pytest.raises(ValueError, match="layers: expected one or more whole sizes"):
        CrossStitch(layers=())
