"""What holds for every architecture, checked over a registry of all of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from some_cases import some

from jaxmtl import Rows, Splits, fit
from jaxmtl.constraints import Box
from jaxmtl.models import (
    AITM,
    CGC,
    MTAN,
    PLE,
    Constrained,
    ConvTrunk,
    CrossStitch,
    DSelectK,
    HardSharing,
    IndependentNetworks,
    MMoE,
    OMoE,
    SharedBottom,
    SoftSharing,
    split_outputs,
)

WIDTHS = (2, 1, 2)
SMALL: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "hard_sharing": (HardSharing, {"shared": [4], "nodes": 3, "output_activation": None}),
    "independent": (IndependentNetworks, {"shared": [4], "nodes": 3, "output_activation": None}),
    "shared_bottom": (SharedBottom, {"trunk": [6], "towers": [4]}),
    "uneven_towers": (SharedBottom, {"trunk": [6], "towers": [[4], [], [3, 4]]}),
    "omoe": (OMoE, {"num_experts": 3, "experts": [6]}),
    "mmoe": (MMoE, {"num_experts": 3, "experts": [6], "towers": [4]}),
    "cgc": (CGC, {"own_experts": 1, "shared_experts": 2, "experts": [6]}),
    "ple": (PLE, {"own_experts": 1, "shared_experts": 1, "experts": [[6], [4]]}),
    "cross_stitch": (CrossStitch, {"layers": [6]}),
    "mtan": (MTAN, {"layers": [6, 4]}),
    "dselect_k": (DSelectK, {"num_experts": 3, "experts": [6]}),
    "dselect_k_example": (DSelectK, {"num_experts": 4, "experts": [6], "per_example": True}),
    "aitm": (AITM, {"trunk": [6], "towers": [4], "activation": "tanh"}),
}
DENSE_ONLY = ("hard_sharing", "independent")
WITH_GATES = {
    "omoe": 3,
    "mmoe": 3,
    "cgc": 3,
    "ple": 2,
    "dselect_k": 3,
    "dselect_k_example": 4,
}
NAMES = tuple(SMALL)
every_architecture = pytest.mark.parametrize("name", NAMES)
# A bank, and experts; towers of several lengths and selectors have tests of their own.
KINDS = ("hard_sharing", "mmoe")
each_kind = pytest.mark.parametrize("name", some(NAMES, *KINDS))


def build(name: str, outputs=WIDTHS, **fields: Any) -> Any:
    cls, small = SMALL[name]
    return cls(outputs=list(outputs), **(small | fields))


def inputs(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def draw(model: Any, x: jax.Array, seed: int = 0) -> Any:
    """Parameters of the right shapes, drawn in NumPy, which compiles nothing."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.4 * rng.normal(size=leaf.shape), leaf.dtype), shapes
    )


def call(model: Any, method: str | None = None) -> Any:
    return lambda params, x: model.apply({"params": params}, x, method=method)


@functools.cache
def compiled(name: str) -> Any:
    return jax.jit(call(build(name)))


@each_kind
def test_widths_stand_side_by_side_for_any_number_of_tasks(name):
    for outputs in [(1,), (1, 1), (3, 2), (1, 2, 3, 4)]:
        fields = {"towers": [4]} if name == "uneven_towers" else {}
        model = build(name, outputs, **fields)
        x = inputs(7, 5)
        shapes = jax.eval_shape(model.init, jax.random.key(0), x)
        assert jax.eval_shape(model.apply, shapes, x).shape == (7, sum(outputs))


@each_kind
def test_eager_equals_jit(name):
    model, x = build(name), inputs(7, 5)
    params = draw(model, x)
    np.testing.assert_allclose(
        call(model)(params, x), compiled(name)(params, x), rtol=1e-5, atol=1e-6
    )


@each_kind
def test_a_single_row_is_predicted_as_in_its_batch(name):
    model, x = build(name), inputs(7, 5)
    params = draw(model, x)
    every, one = compiled(name)(params, x), compiled(name)(params, x[2:3])
    assert one.shape == (1, sum(WIDTHS))
    np.testing.assert_allclose(one[0], every[2], rtol=1e-5, atol=1e-6)


@each_kind
def test_vmap_over_seeds_equals_a_loop(name):
    model, x = build(name), inputs(7, 5)
    keys = jax.random.split(jax.random.key(0), 2)
    shapes = jax.eval_shape(jax.vmap(model.init, in_axes=(0, None)), keys, x)
    assert set(shapes) == {"params"}
    seeds = [draw(model, x, seed) for seed in range(2)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *seeds)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes["params"])
    many = jax.jit(jax.vmap(call(model), in_axes=(0, None)))(params, x)
    for rows, one in zip(many, seeds, strict=True):
        np.testing.assert_allclose(rows, compiled(name)(one, x), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_vmap_of_init_draws_what_a_loop_draws():
    model, x = build("mmoe"), inputs(1, 5)  # to compile every architecture's takes too long
    keys = jax.random.split(jax.random.key(0), 2)
    many = jax.jit(jax.vmap(model.init, in_axes=(0, None)))(keys, x)
    alone = jax.jit(model.init)(keys[1], x)
    jax.tree.map(lambda m, one: np.testing.assert_allclose(m[1], one, rtol=1e-6), many, alone)


@functools.cache
def trained(name: str) -> tuple[Any, int, int, int]:
    """A run, and how often an activation was traced: forward, first fit, second fit."""
    calls = []

    def counting(z: jax.Array) -> jax.Array:
        calls.append(1)
        return jnp.tanh(z)

    def traces(make: Any) -> tuple[Any, int]:
        calls.clear()
        return make(), len(calls)

    x = inputs(24, 5)
    y = 0.5 * jnp.stack([x[:, 0], x[:, 1], x[:, 0] + x[:, 2], x[:, 3], -x[:, 1]], axis=1)
    data = Splits(train=Rows(x, y))
    params = draw(build(name), x)

    def train(epochs: int, scale: float) -> Any:
        model = build(name, activation=counting)  # a new object, equal to the one before
        start = jax.tree.map(lambda leaf: leaf * scale, params)
        return fit(model, data, params=start, epochs=epochs, batch_size=8, learning_rate=1e-2)

    model = build(name, activation=counting)
    _, forward = traces(lambda: jax.eval_shape(call(model), params, x))
    run, first = traces(lambda: train(epochs=40, scale=1.0))
    _, second = traces(lambda: train(epochs=2, scale=0.9))
    return run, forward, first, second


# The others are trained as arms of a comparison.
every_kind_of_layer = pytest.mark.parametrize(
    "name",
    some(
        ["hard_sharing", "uneven_towers", "ple", "mtan", "dselect_k_example", "aitm"],
        "uneven_towers",
    ),
)


@every_kind_of_layer
def test_trains_through_the_common_loop(name):
    run, *_ = trained(name)
    assert run.divergence is None
    assert run.history.train.shape == (40, len(WIDTHS))
    assert run.history.train[-1].sum() < 0.6 * run.history.train[0].sum()


def a_step_down(model, params, x):
    """Squared outputs before a step against their slope and after it."""

    def loss(params):
        return (model.apply({"params": params}, x) ** 2).mean()

    before, slopes = jax.value_and_grad(loss)(params)
    return before, loss(jax.tree.map(lambda p, g: p - 0.01 * g, params, slopes))


# Those that no other test of the default run trains.
@pytest.mark.parametrize("name", some(NAMES, "independent", "ple", "cross_stitch", "mtan", "aitm"))
def test_a_step_against_the_slope_leads_down(name):
    model, x = build(name), inputs(7, 5)
    step = jax.jit(functools.partial(a_step_down, model))
    before, after = step(draw(model, x), x)
    assert 0 < after < before


@every_kind_of_layer
def test_a_second_run_of_another_length_traces_nothing_again(name):
    _, forward, first, second = trained(name)
    assert first > forward > 0
    assert second == 0


@every_architecture
def test_hashable_whatever_it_was_given(name):
    model = build(name)
    assert model == build(name)
    assert hash(model) == hash(build(name))
    assert model != build(name, (1, 1, 1))
    assert isinstance(model.outputs, tuple)


@each_kind
def test_computes_in_bfloat16_with_float32_parameters(name):
    model, x = build(name, dtype=jnp.bfloat16), inputs(7, 5)
    params = draw(model, x)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    half = jax.jit(call(model))(params, x)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        half.astype(jnp.float32), compiled(name)(params, x), rtol=0.05, atol=0.08
    )
    narrow = build(name, param_dtype=jnp.bfloat16)
    shapes = jax.eval_shape(narrow.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DENSE_ONLY])
def test_bad_input_is_one_sentence(name):
    model = build(name)
    with pytest.raises(ValueError, match=r"x: expected shape \(batch, features\), got \(5,\); x\["):
        jax.eval_shape(model.init, jax.random.key(0), inputs(5))
    with pytest.raises(ValueError, match=r"got \(2, 8, 8, 1\); images need a trunk"):
        jax.eval_shape(model.init, jax.random.key(0), inputs(2, 8, 8, 1))
    with pytest.raises(ValueError, match="outputs: expected one or more whole sizes"):
        build(name, ())
    with pytest.raises(ValueError, match="activation: expected one of"):
        jax.eval_shape(build(name, activation="rely").init, jax.random.key(0), inputs(2, 5))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DENSE_ONLY])
def test_takes_images_through_a_convolutional_trunk(name):
    model = build(name, trunk=ConvTrunk(channels=[3], sizes=[6]))
    assert hash(model) == hash(build(name, trunk=ConvTrunk(channels=[3], sizes=[6])))
    images = inputs(4, 6, 6, 2)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    assert jax.eval_shape(model.apply, variables, images).shape == (4, sum(WIDTHS))
    assert "conv_0" in variables["params"]["trunk"]


@pytest.mark.parametrize("name", some(WITH_GATES, "mmoe", "dselect_k", "dselect_k_example"))
def test_gates_are_weights_over_experts(name):
    model, x, experts = build(name), inputs(7, 5), WITH_GATES[name]
    params = draw(model, x)
    gates = np.asarray(jax.jit(call(model, "gates"))(params, x))
    assert gates.shape == (7, len(WIDTHS), experts)
    assert (gates >= 0).all()
    if name == "dselect_k":  # of 3 experts: a selector may keep some weight for the number 3
        assert (gates.sum(axis=-1) <= 1 + 1e-6).all()
    else:
        np.testing.assert_allclose(gates.sum(axis=-1), 1.0, rtol=1e-5)


def reach(model, x, **index):
    """How many tasks reach each parameter, by gradients at several places."""

    @jax.jit
    def reached(params, x):
        def sums(params):
            # Squares, as outputs that sum to one would cancel.
            parts = split_outputs(model.apply({"params": params}, x, **index), model.outputs)
            return jnp.stack([(part**2).sum() for part in parts])

        return jax.tree.map(lambda leaf: leaf != 0, jax.jacrev(sums)(params))

    places = [reached(draw(model, x, seed), x) for seed in range(4)]
    return jax.tree.map(lambda *leaves: np.any(leaves, axis=0).sum(axis=0), *places)


def assert_marked(marks, reached):
    """A parameter that none reaches, behind a unit that is off, may be either."""
    jax.tree.map(
        lambda mark, n: np.testing.assert_array_equal(mark[n > 0], n[n > 0] > 1), marks, reached
    )
    assert any(n.any() for n in jax.tree.leaves(reached))


@pytest.mark.parametrize("name", some(NAMES, "cross_stitch"))
def test_says_which_parameters_several_tasks_reach(name):
    model, x = build(name), inputs(9, 5)
    params = draw(model, x)
    marks = model.shared_parameters(params)
    assert jax.tree.structure(marks) == jax.tree.structure(params)
    assert_marked(marks, reach(model, x))


DEEPER = [
    PLE(own_experts=2, shared_experts=1, experts=[[4], [4], [4], [4]], outputs=[1, 1]),
    CrossStitch(trunk=[5], layers=[4, 4], per_node=True, outputs=[1, 1, 1]),
    MMoE(trunk=[5], num_experts=2, experts=[4], outputs=[1, 1]),
    AITM(trunk=[4], towers=[4, 3], activation="tanh", outputs=[1, 1]),
    SoftSharing(hidden=[4], outputs=[1, 1]),
    Constrained(SharedBottom(trunk=[4], towers=[], outputs=[1, 1]), hard=[Box(-9, 9), None]),
]


@pytest.mark.parametrize("model", some(DEEPER, DEEPER[5]), ids=lambda m: type(m).__name__)
def test_deeper_ones_say_it_too(model):
    x = inputs(9, 5)
    marks = model.shared_parameters(draw(model, x))
    assert_marked(marks, reach(model, x))


@pytest.mark.slow
def test_a_split_node_is_no_longer_shared():
    model, x = build("hard_sharing"), inputs(9, 5)
    index = jnp.array([[3, 1, 2], [0, 1, 4], [0, 1, 5]])
    marks = model.shared_parameters(draw(model, x), index)
    assert_marked(marks, reach(model, x, head_index=index))
    assert marks["bank"]["bias"].tolist() == [True, True] + [False] * 7
