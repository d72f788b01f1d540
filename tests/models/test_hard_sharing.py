import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn_parameters
from scipy import stats
from some_cases import some

from jaxmtl import HardSharing, IndependentNetworks, initial_head_index
from jaxmtl.models.initializers import INITIALIZERS

X = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)

NUMPY = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    None: lambda z: z,
}


def forward(params, x, index, activation, output_activation, widths):
    """Literal float64 forward pass, one task and one layer at a time."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    act = NUMPY[activation]
    a, i = np.asarray(x, np.float64), 0
    while f"shared_{i}" in p:
        a = act(a @ p[f"shared_{i}"]["kernel"] + p[f"shared_{i}"]["bias"])
        i += 1
    rows = []
    for t, width in enumerate(widths):
        h = act(a @ p["bank"]["kernel"][:, index[t]] + p["bank"]["bias"][index[t]])
        i = 0
        while f"tower_{i}" in p:
            h = act(h @ p[f"tower_{i}"]["kernel"][t] + p[f"tower_{i}"]["bias"][t])
            i += 1
        if "output" in p:
            layer = {name: leaf[t] for name, leaf in p["output"].items()}
        else:
            layer = p[f"output_{t}"]
        y = NUMPY[output_activation](h @ layer["kernel"] + layer["bias"])
        assert y.shape[1] == width
        rows.append(y)
    return np.concatenate(rows, axis=1)


SHAPES = [
    *(((4,), (), (1, 1)), ((), (5,), (1, 1, 1))),
    *(((6, 5), (4, 3), (2, 2)), ((3,), (4,), (1, 3, 2))),
]
FORWARD = list(itertools.product(["sigmoid", "relu", "tanh"], SHAPES))


# Every activation and every shape at least once.
@pytest.mark.parametrize("case", some(FORWARD, FORWARD[0], FORWARD[5], FORWARD[10], FORWARD[3]))
def test_equals_a_literal_forward_pass(case):
    activation, (shared, towers, outputs) = case
    model = HardSharing(
        shared=shared,
        nodes=3,
        towers=towers,
        outputs=outputs,
        activation=activation,
        output_activation=None,
    )
    params = drawn_parameters(model, X)["params"]  # spare columns too
    tasks = len(outputs)
    index = np.stack(
        [np.random.default_rng(t).permutation(model.num_columns)[:3] for t in range(tasks)]
    )
    expected = forward(params, X, index, activation, None, outputs)
    predict = jax.jit(lambda x: model.apply({"params": params}, x, jnp.asarray(index)))
    np.testing.assert_allclose(predict(X), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(predict(X[:1]), expected[:1], rtol=2e-5, atol=1e-6)


def test_without_a_head_index_every_task_reads_every_node():
    model = HardSharing()
    variables = model.init(jax.random.key(0), X)
    np.testing.assert_array_equal(
        model.apply(variables, X), model.apply(variables, X, initial_head_index(2, 3))
    )


@pytest.mark.slow
def test_torch_linear_draws_weights_and_biases_from_the_uniform_of_the_fan_in():
    model = HardSharing(shared=(50,), nodes=60, towers=(70,), outputs=(1,) * 5)
    params = model.init(jax.random.key(1), jnp.ones((1, 40)))["params"]
    draws = {
        ("shared_0", 40): params["shared_0"],
        ("bank", 50): jax.tree.map(lambda leaf: leaf[..., :60], params["bank"]),
        ("tower_0", 60): params["tower_0"],
        ("output", 70): params["output"],
    }
    for (_, fan_in), layer in draws.items():
        bound = fan_in**-0.5
        for leaf in layer.values():
            values = np.asarray(leaf).ravel()
            assert abs(values).max() <= bound
            if values.size > 50:
                assert stats.kstest(values, "uniform", (-bound, 2 * bound)).pvalue > 1e-3
    spare = jax.tree.map(lambda leaf: leaf[..., 60:], params["bank"])
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(spare))
    towers = np.asarray(params["tower_0"]["kernel"])
    assert len(np.unique(towers.reshape(5, -1)[:, 0])) == 5  # every task draws its own


def test_the_capacity_changes_no_draw():
    small, large = HardSharing(capacity=3), HardSharing(capacity=20)
    a, b = (m.init(jax.random.key(2), X)["params"] for m in (small, large))
    np.testing.assert_array_equal(a["bank"]["kernel"], b["bank"]["kernel"][:, :3])
    np.testing.assert_array_equal(a["output"]["kernel"], b["output"]["kernel"])


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_every_named_initializer_works(initializer):
    model = HardSharing(initializer=initializer)
    params = model.init(jax.random.key(0), X)["params"]
    assert np.asarray(params["bank"]["kernel"][:, :3]).all()
    if initializer != "torch_linear":
        assert not np.asarray(params["bank"]["bias"]).any()


@pytest.mark.slow
def test_dtypes_of_computation_and_parameters():
    model = HardSharing(dtype=jnp.bfloat16, param_dtype=jnp.float32, towers=(4,))
    variables = model.init(jax.random.key(0), X)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert model.apply(variables, X).dtype == jnp.bfloat16
    half = HardSharing(param_dtype=jnp.bfloat16)
    variables = half.init(jax.random.key(0), X)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("bfloat16")}
    assert HardSharing().apply(variables, X.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_which_inputs_of_the_bank_are_positive():
    assert HardSharing().positive_bank_inputs
    assert HardSharing(activation="softplus").positive_bank_inputs
    assert not HardSharing(activation="relu").positive_bank_inputs
    assert not HardSharing(shared=()).positive_bank_inputs


def test_independent_networks_are_networks_of_one_task_side_by_side():
    model = IndependentNetworks(outputs=(1, 2), towers=(3,))
    variables = model.init(jax.random.key(0), X)
    found = model.apply(variables, X)
    assert found.shape == (7, 3)
    for t, columns in enumerate((slice(0, 1), slice(1, 3))):
        alone = HardSharing(outputs=(model.outputs[t],), towers=(3,))
        params = variables["params"][f"task_{t}"]
        np.testing.assert_allclose(alone.apply({"params": params}, X), found[:, columns], rtol=1e-6)


def test_bad_fields_are_one_sentence():
    with pytest.raises(ValueError, match=r"outputs: expected sizes of at least 1, got \(\)"):
        HardSharing(outputs=())
    with pytest.raises(ValueError, match=r"shared: expected sizes of at least 1, got \(4, 0\)"):
        HardSharing(shared=[4, 0])
    with pytest.raises(ValueError, match="activation: expected one of 'sigmoid', .* got 'sigmod'"):
        HardSharing(activation="sigmod").init(jax.random.key(0), X)
    with pytest.raises(ValueError, match="initializer: expected one of 'torch_linear'"):
        HardSharing(initializer="torch").init(jax.random.key(0), X)
    with pytest.raises(ValueError, match="capacity: expected at least the 3 nodes"):
        HardSharing(capacity=2).init(jax.random.key(0), X)
    assert hash(HardSharing(shared=[4])) == hash(HardSharing(shared=(4,)))
