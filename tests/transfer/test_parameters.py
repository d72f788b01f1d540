"""Trunks carried from network to network, once and to and fro."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmtl
from jaxmtl import Rows, Splits
from jaxmtl.transfer import cycle, transfer_parameters


def networks():
    source = jaxmtl.HardSharing(shared=(5, 4), nodes=3, outputs=(1, 1))
    target = jaxmtl.HardSharing(shared=(5, 4), nodes=3, outputs=(2,), capacity=6)
    x = jnp.zeros((1, 4))
    return (
        source.init(jax.random.key(0), x)["params"],
        target.init(jax.random.key(1), x)["params"],
    )


def test_selected_leaves_are_the_sources_and_the_others_the_targets():
    source, target = networks()
    carried = transfer_parameters(source, target, ("shared_*", "bank/kernel"))
    for layer in ("shared_0", "shared_1"):
        for name in ("kernel", "bias"):
            np.testing.assert_array_equal(carried[layer][name], source[layer][name])
    np.testing.assert_array_equal(carried["bank"]["kernel"], source["bank"]["kernel"])
    np.testing.assert_array_equal(carried["bank"]["bias"], target["bank"]["bias"])
    np.testing.assert_array_equal(carried["output"]["kernel"], target["output"]["kernel"])
    assert jax.tree.structure(carried) == jax.tree.structure(target)


def test_the_target_keeps_its_dtype_and_a_subtree_serves_as_a_source():
    source, target = networks()
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), target)
    carried = transfer_parameters({"inner": source}["inner"], half, "shared_0")
    expected = source["shared_0"]["kernel"].astype(jnp.bfloat16)
    assert carried["shared_0"]["kernel"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(carried["shared_0"]["kernel"], expected)


def test_it_jits_and_vmaps_over_stacked_networks():
    source, target = networks()

    def carry(source, target):
        return transfer_parameters(source, target, "shared_*")

    expected = carry(source, target)
    double = [jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), p) for p in (source, target)]
    stacked = jax.jit(jax.vmap(carry))(*double)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b), stacked, expected)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1], 2 * b), stacked, expected)


@pytest.mark.parametrize(
    ("change", "select", "message"),
    [
        (None, "trunk", r"'trunk' to name parameters of the target, got no match; .*'bank/bias'"),
        (None, "output", r"'output/bias': expected the target's shape \(1, 2\), got \(2, 1\)"),
        (None, (), "select: expected at least one path"),
        (
            lambda s, t: (s, t | {"extra": {"kernel": jnp.ones(2)}}),
            "extra",
            "'extra/kernel': expected this parameter of the target in the source too",
        ),
        (
            lambda s, t: (s | {"shared_9": {"kernel": jnp.ones(2)}}, t),
            "shared_*",
            "'shared_9/kernel': expected this parameter of the source in the target too",
        ),
    ],
)
def test_what_does_not_match_is_one_sentence_with_the_path(change, select, message):
    source, target = networks()
    if change is not None:
        source, target = change(source, target)
    with pytest.raises(ValueError, match=message):
        transfer_parameters(source, target, select)


def test_a_cycle_of_one_round_is_training_carrying_and_training():
    source, target = networks()
    x = jax.random.uniform(jax.random.key(2), (20, 4))
    legs = {
        "source": (jaxmtl.HardSharing(shared=(5, 4)), Splits(Rows(x, x[:, :2]))),
        "target": (
            jaxmtl.HardSharing(shared=(5, 4), outputs=(2,), capacity=6),
            Splits(Rows(x, x[:, 2:])),
        ),
    }

    def trainer(name):
        model, data = legs[name]

        def train(params, number):
            run = jaxmtl.fit(model, data, params=params, epochs=2 + number, batch_size=5)
            return run.params, run

        return train

    select = ("shared_*", "bank")
    first = cycle(trainer("source"), trainer("target"), source, target, select=select, rounds=1)
    trained, _ = trainer("source")(source, 0)
    expected, _ = trainer("target")(transfer_parameters(trained, target, select), 0)
    jax.tree.map(np.testing.assert_array_equal, first.source, trained)
    jax.tree.map(np.testing.assert_array_equal, first.target, expected)

    two = cycle(trainer("source"), trainer("target"), source, target, select=select, rounds=2)
    back, _ = trainer("source")(transfer_parameters(expected, trained, select), 1)
    jax.tree.map(np.testing.assert_array_equal, two.source, back)
    assert [len(run.history) for run in two.target_records] == [2, 3]
    with pytest.raises(ValueError, match="rounds: expected a number > 0"):
        cycle(trainer("source"), trainer("target"), source, target, select=select, rounds=0)
