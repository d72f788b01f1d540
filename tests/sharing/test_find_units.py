"""Groups found by names, shapes and classes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from sharing.networks import NETS

from jaxmtl.sharing import Part, find_units, open_banks


def axes(parts):
    return {part.path: (part.axis, part.width) for part in parts}


def test_layers_of_flax_linen():
    net = NETS["linen"](3)
    assert list(net.groups) == ["Conv_0", "Conv_1", "Dense_0"]
    assert axes(net.groups["Conv_0"]) == {
        "Conv_0/kernel": (3, 1),
        "Conv_0/bias": (0, 1),
        "BatchNorm_0/scale": (0, 1),
        "BatchNorm_0/bias": (0, 1),
        "BatchNorm_0/mean": (0, 1),
        "BatchNorm_0/var": (0, 1),
    }
    assert axes(net.groups["Conv_1"])["Conv_1/kernel"] == (3, 1)  # depthwise


def test_attention_of_flax_nnx():
    net = NETS["nnx"](2)
    assert list(net.groups) == ["attention", "embed", "heads"]
    assert axes(net.groups["attention"]) == {
        "attention/query/kernel/value": (1, 1),
        "attention/query/bias/value": (0, 1),
        "attention/key/kernel/value": (1, 1),
        "attention/key/bias/value": (0, 1),
        "attention/value/kernel/value": (1, 1),
        "attention/value/bias/value": (0, 1),
        "attention/out/kernel/value": (0, 1),
    }
    assert "norm/mean/value" in axes(net.groups["embed"])
    assert "attention/out/bias/value" in find_units(net.params).left_out
    whole = find_units(net.params, net.stats, unit="layer")
    assert not whole.left_out
    assert Part("attention/out/bias/value") in whole.groups["attention"]


def test_modules_of_equinox_by_their_class():
    net = NETS["equinox"](2)
    assert axes(net.groups["conv"])["conv/bias"] == (0, 1)
    assert "norm/weight" in axes(net.groups["conv"])
    assert axes(net.groups["attention"]) == {
        "attention/query_proj/weight": (0, 2),
        "attention/key_proj/weight": (0, 2),
        "attention/value_proj/weight": (0, 2),
        "attention/output_proj/weight": (1, 2),
    }
    layers = eqx.filter_vmap(lambda key: eqx.nn.Linear(2, 3, key=key))
    stacked = eqx.filter_eval_shape(layers, jax.random.split(jax.random.key(0), 4))
    assert "stacked={'blocks': 0}" in find_units({"blocks": stacked}).left_out["blocks/weight"]
    found = find_units({"blocks": stacked}, stacked={"blocks": 0}).groups
    assert Part("blocks/weight", 1, (0, 3)) in found["blocks[3]"]
    table = {"table": eqx.nn.Embedding(5, 3, weight=jnp.ones((5, 3)))}
    assert axes(find_units(table).groups["table"]) == {"table/weight": (1, 1)}


def dense(*shape):
    return {"kernel": jnp.ones(shape), "bias": jnp.ones((*shape[:-2], shape[-1]))}


def norm(size):
    return {"scale": jnp.ones(size), "bias": jnp.ones(size)}


def test_a_norm_goes_with_the_layer_before_it_or_alone():
    params = {
        "layers_0": dense(2, 3), "layers_1": norm(3), "layers_3": dense(3, 4), "layers_4": norm(3),
        "block": {"conv": dense(2, 5), "norm": norm(5)},
        "parted": {"a": dense(2, 3), "b": dense(2, 3), "norm": norm(3)},
    }  # fmt: skip
    groups = find_units(params).groups
    assert set(groups) == {
        "layers_0", "layers_3", "layers_4", "block/conv", "parted/a", "parted/b", "parted/norm"
    }  # fmt: skip
    assert "layers_1/scale" in axes(groups["layers_0"])
    assert "block/norm/bias" in axes(groups["block/conv"])
    opened = open_banks(params, groups, num_tasks=2)[1]
    assert opened.group("block/conv").units == 5


def test_stacked_layers_want_their_axis():
    params = {"blocks": {"up": dense(4, 2, 3), "norm": norm((4, 3))}, "out": dense(3, 2)}
    groups, left_out = find_units(params)
    assert list(groups) == ["out"]
    assert "stacked={'blocks/up': 0}" in left_out["blocks/up/kernel"]
    assert "stacked={'blocks/norm': 0}" in left_out["blocks/norm/scale"]
    groups, left_out = find_units(params, stacked={"blocks": 0})
    assert not left_out
    assert Part("blocks/up/kernel", 2, (0, 3)) in groups["blocks/up[3]"]
    assert Part("blocks/norm/bias", 1, (0, 3)) in groups["blocks/up[3]"]
    banks, pointers = open_banks(params, groups, num_tasks=3, capacity=5)
    assert banks["blocks"]["up"]["kernel"].shape == (4, 2, 5)
    assert len(pointers.groups) == 5
    whole, left_out = find_units(params, unit="layer", stacked={"blocks": 0})
    assert Part("blocks/up/bias", None, (0, 1)) in whole["blocks/up[1]"]
    assert open_banks(params, whole, num_tasks=3)[0]["blocks"]["up"]["bias"].shape == (3, 4, 3)


def test_what_cannot_be_told_is_left_out_in_words():
    kernel = jnp.ones((3, 4))
    params = {
        "tied": {"kernel": kernel}, "again": {"kernel": kernel}, "own": {"w": jnp.ones(3)},
        "short": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(5)},
        "maybe": {"kernel": jnp.ones((2, 3, 4))},
    }  # fmt: skip
    groups, left_out = find_units(params)
    assert not groups
    assert left_out["tied/kernel"].startswith("one array with 'again/kernel'")
    assert "write its group by hand" in left_out["own/w"]
    assert left_out["short/bias"].startswith("leaves of [4, 5] units in one layer")
    assert "stacked for scan" in left_out["maybe/kernel"]
    assert not find_units(params, select="own").left_out.keys() & {"tied/kernel", "maybe/kernel"}
    with pytest.raises(ValueError, match="expected 'trunk' to name parameters"):
        find_units(params, select="trunk")
    with pytest.raises(ValueError, match="unit: expected one of 'node', 'layer'"):
        find_units(params, unit="channel")
    ensemble = jax.eval_shape(lambda: jnp.ones((4, 2, 3)))
    assert find_units({"conv": {"kernel": ensemble}}).groups["conv"] == (Part("conv/kernel", 2),)
