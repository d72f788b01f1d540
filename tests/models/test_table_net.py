"""The network for tables: initial values from the rows, and the ways in which tasks share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from some_cases import some

from jaxmtl.duplication import duplicate_node, initial_head_index
from jaxmtl.models import TableNet

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32) * 5
X[:, 3] = np.arange(60) % 5 - 1.0  # a code, one of them below all levels


@functools.cache
def made(sharing, **fields):
    network = TableNet(
        outputs=(1, 2), numbers=(0, 1), levels=(2,), codes=(3,), sizes=(4,), hidden=(6, 5),
        sharing=sharing, **fields,
    )  # fmt: skip
    params = jax.jit(network.init)(jax.random.key(1), X)["params"]
    drawn = jax.random.normal(jax.random.key(2), params["output"]["kernel"].shape)
    return network, {**params, "output": {**params["output"], "kernel": drawn}}


@functools.partial(jax.jit, static_argnums=0)
def applied(network, params, x):
    return network.apply({"params": params}, x)


def outputs(network, params, x=X):
    return np.asarray(applied(network, params, x))


def test_rank_one_starts_as_the_shared_network():
    shared, params = made("shared")
    network, own = made("rank_one")
    names = {jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(own)}
    assert sum("inner" in name or "outer" in name for name in names) == 4
    for layer in ("layer_0", "layer_1"):
        inner = {name: params["trunk"][layer][name] for name in ("kernel", "share")}
        bias = jnp.stack([params["trunk"][layer]["bias"]] * 2)
        own["trunk"][layer] |= inner | {"bias": bias}
    for name in ("waves", "scale", "code_3"):
        own["trunk"][name] = params["trunk"][name]
    own["output"] = params["output"]
    np.testing.assert_allclose(outputs(network, own), outputs(shared, params), rtol=1e-5, atol=1e-6)


@functools.cache
def of_three(sharing):
    network = TableNet(outputs=(1, 2, 1), hidden=(6, 5), sharing=sharing)
    return network, jax.jit(network.init)(jax.random.key(1), X)["params"]


@pytest.mark.parametrize(("groups", "way"), [((0, 0, 0), "shared"), ((0, 1, 2), "separate")])
def test_groups_of_all_or_of_one_are_the_ways_that_there_are(groups, way):
    own, expected = of_three(groups)[1], of_three(way)[1]
    jax.tree.map(np.testing.assert_array_equal, own, expected)
    drawn = jax.tree.map(lambda leaf: leaf + 0.3, own)
    found = [outputs(of_three(sharing)[0], drawn) for sharing in (groups, way)]
    np.testing.assert_array_equal(*found)


def test_tasks_of_a_group_read_one_trunk_which_computes_as_a_shared_one():
    network, params = of_three((0, 1, 0))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(params["trunk"])} == {2}
    drawn = jax.random.normal(jax.random.key(2), params["output"]["kernel"].shape)
    params = {**params, "output": {**params["output"], "kernel": drawn}}
    found, one = outputs(network, params), of_three("shared")[0]
    for columns, group in (((0, 3), 0), ((1, 2), 1)):
        trunk = jax.tree.map(lambda leaf, group=group: leaf[group], params["trunk"])
        alone = outputs(one, {**params, "trunk": trunk})
        np.testing.assert_allclose(
            found[:, columns], alone[:, columns], rtol=1e-5, atol=1e-5 * alone.std()
        )


@pytest.mark.parametrize(
    "sharing", some(["shared", "separate", "rank_one", "bank", (0, 1)], "rank_one")
)
def test_shared_are_the_parameters_that_several_tasks_have_a_slope_in(sharing):
    network, params = made(sharing)
    if sharing == "rank_one":  # no slope of one task may be 0 by chance
        params = jax.tree.map(lambda leaf: leaf + 0.01, params)

    @jax.jit
    @jax.jacrev
    def slopes(params):
        squares = network.apply({"params": params}, jnp.asarray(X)) ** 2
        return jnp.stack([squares[:, :1].sum(), squares[:, 1:].sum()])

    both = jax.tree.map(lambda leaf: (np.asarray(leaf) != 0).all(axis=0), slopes(params))
    said = network.shared_parameters(params)
    for (path, shared), slopes in zip(
        jax.tree_util.tree_leaves_with_path(said), jax.tree.leaves(both), strict=True
    ):
        shared = np.broadcast_to(shared, slopes.shape)
        assert not (slopes & ~shared).any(), path
        assert not shared.any() or slopes.any(), path


def test_nodes_have_a_spread_of_one_and_numbers_are_bent():
    network, params = made("shared")
    far = X.copy()
    far[:, 0] = 1e15
    near = far.copy()
    near[:, 0] = 1e9
    away, almost = (outputs(network, params, x) for x in (far, near))
    np.testing.assert_allclose(away, almost, atol=1e-5)
    h = X[:, :2] / np.sqrt(1 + (X[:, :2] / 3) ** 2)
    p = jax.tree.map(np.asarray, params["trunk"]["waves"])
    waves = np.cos(2 * np.pi * h[:, :, None] * p["frequency"] + p["phase"])
    mixed = np.einsum("bnf,nfw->bnw", waves, p["mixture"]) + p["offset"]
    code = np.where(X[:, 3] < 0, 3, X[:, 3]).astype(int)
    rows = [h, mixed.reshape(60, 6), X[:, 2:3], np.asarray(params["trunk"]["code_3"])[code]]
    z = np.concatenate(rows, axis=1) @ np.asarray(params["trunk"]["layer_0"]["kernel"])
    z = z / np.sqrt(17)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-4)


def test_a_node_of_the_bank_is_duplicated_without_a_change():
    network, params = made("bank")
    index = initial_head_index(2, 5)
    apply = jax.jit(lambda params, x, index: network.apply({"params": params}, x, index))
    own = apply(params, X, index)
    doubled, after = jax.jit(duplicate_node)(params, index, 2, np.array([False, True]))
    assert (after != index).sum() == 1
    again = apply(doubled, X, after)
    np.testing.assert_array_equal(own, again)


def test_dropout_is_drawn_in_training_only():
    network, params = made("shared")
    network = network.clone(dropout=0.5)
    keys = {"dropout": jax.random.key(0)}
    apply = jax.jit(functools.partial(network.apply, train=True))
    trained = apply({"params": params}, jnp.asarray(X), rngs=keys)
    assert (np.asarray(trained) != outputs(network, params)).mean() > 0.9


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sharing": "some"}, "sharing: expected"),
        ({"sharing": (0, 2)}, "sharing: expected the number of the group of each of 2 tasks"),
        ({"sharing": (0, 0, 1)}, "sharing: expected the number of the group of each of 2 tasks"),
        ({"codes": (1,)}, "sizes: expected one for each of 1 codes, got 0"),
        ({"dropout": 1.0}, "dropout: expected at least 0 and below 1"),
        ({"hidden": ()}, "hidden: expected 1 sizes"),
    ],
)
def test_fields_that_are_none(fields, said):
    with pytest.raises(ValueError, match=said):
        TableNet(**fields)
