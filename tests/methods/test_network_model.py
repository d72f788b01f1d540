"""Every network of the package is saved and read again; whatever is wrong is one sentence."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from some_cases import some

from jaxmtl import models
from jaxmtl.constraints import Box
from jaxmtl.methods.models import model_of
from jaxmtl.methods.network_model import NetworkModel
from jaxmtl.methods.network_spec import describe_network, network_classes
from jaxmtl.methods.saved import described
from jaxmtl.models.layers import ACTIVATIONS as ACTIVATION_NAMES
from jaxmtl.models.layers import activation_fn
from jaxmtl.plain.models import network_that_needs_jax, outputs_of_model, saved_model
from jaxmtl.plain.network import ACTIVATIONS
from jaxmtl.training import as_network

FIELDS = {
    "HardSharing": {"shared": [4], "towers": [2], "outputs": (2, 1)},
    "IndependentNetworks": {"shared": [4], "outputs": (2, 1)},
    "SharedBottom": {"trunk": [6], "towers": [[4], [3, 4]], "outputs": (2, 1)},
    "OMoE": {"num_experts": 2, "experts": [3], "outputs": (2, 1)},
    "MMoE": {"num_experts": 2, "experts": [3], "dtype": jnp.float32, "outputs": (2, 1)},
    "CGC": {"own_experts": 1, "shared_experts": 2, "experts": [3], "outputs": (2, 1)},
    "PLE": {"own_experts": 1, "experts": [[3], [2]], "outputs": (2, 1)},
    "CrossStitch": {"layers": [3], "same": 1, "per_node": True, "outputs": (2, 1)},
    "MTAN": {"layers": [3, 2], "attention": 2, "outputs": (2, 1)},
    "DSelectK": {"num_experts": 3, "experts": [3], "outputs": (2, 1)},
    "AITM": {"trunk": [3], "towers": [2], "activation": "tanh", "outputs": (2, 1)},
    "SoftSharing": {"hidden": [3, 2], "strength": [0.1, 0.2], "outputs": (2, 1)},
    "TableNet": {
        "numbers": [0, 1],
        "levels": [2],
        "codes": [3],
        "sizes": [4],
        "hidden": [3],
        "outputs": (2, 1),
    },
}
WIDTHS = {"features": 5, "outputs": 3}


def drawn(network) -> NetworkModel:
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 5)))["params"]
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    bank = as_network(network).bank
    index = None if bank is None else bank.initial_pointers()
    return NetworkModel(network=network, params=params, head_index=index)


@pytest.fixture(scope="module")
def mmoe():
    return drawn(models.MMoE(**FIELDS["MMoE"]))


def test_a_bank_of_a_network_for_tables_is_saved_without_its_spare_columns():
    network = models.TableNet(**{**FIELDS["TableNet"], "sharing": "bank"})
    model = drawn(network)
    again = model_of("network", model.compacted().spec(), model.compacted().arrays(), **WIDTHS)
    assert (again.network.num_columns, network.num_columns) == (3, 6)
    x = np.ones((4, 5), np.float32)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_no_network_is_forgotten():
    assert set(network_classes()) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_what_is_read_is_what_was_saved(name):
    model = drawn(getattr(models, name)(**FIELDS[name])).compacted()
    again = model_of("network", model.spec(), model.arrays(), **WIDTHS)
    assert isinstance(again, NetworkModel)
    assert again.network == model.network  # equal networks and parameters predict the same
    same = jax.tree.map(lambda a, b: bool((a == b).all()), model.params, again.params)
    assert all(jax.tree.leaves(same))
    assert again.spec() == model.spec()


@pytest.mark.parametrize("name", some(FIELDS, "HardSharing", "MMoE", "TableNet"))
def test_fields_of_other_types_are_refused(name):
    model = drawn(getattr(models, name)(**FIELDS[name]))
    spec, arrays, sentences = model.spec(), model.arrays(), []
    for field in spec["fields"]:
        for other in ({}, [["x"]], "x", -1, 10**9, 1e300, [10**9], [[[1]]], [1] * 9):
            changed = copy.deepcopy(spec)
            changed["fields"][field] = other
            try:
                again = model_of("network", changed, arrays, **WIDTHS)
            except ValueError as error:
                sentences.append(str(error))
            else:  # what changes no shape is another network, but a sound one
                assert again.spec()["fields"][field] == other
        del changed["fields"][field]
        with pytest.raises(ValueError, match="expected the fields"):
            model_of("network", changed, arrays, **WIDTHS)
    assert len(sentences) > 5 * len(spec["fields"])
    assert not any("\n" in sentence for sentence in sentences)


@pytest.mark.parametrize("kind", ["oak", None, 3, [], {}])
def test_unknown_kinds_are_refused(mmoe, kind):
    with pytest.raises(ValueError, match="expected one of the kinds"):
        model_of(kind, mmoe.spec(), mmoe.arrays(), **WIDTHS)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"network": "Constrained"}, "expected one of AITM"),
        ({"network": ["MMoE"]}, "expected one of AITM"),
        ({"network": "CGC"}, "expected the fields"),
        ({"fields": None}, "expected fields, got NoneType"),
        ({"more": 1}, "expected the fields fields, network, got"),
    ],
)
def test_other_specs_are_refused(mmoe, spec, said):
    with pytest.raises(ValueError, match=said):
        model_of("network", mmoe.spec() | spec, mmoe.arrays(), **WIDTHS)


def test_other_numbers_of_inputs_and_outputs_are_refused(mmoe):
    with pytest.raises(ValueError, match="expected 4 outputs, got 3"):
        model_of("network", mmoe.spec(), mmoe.arrays(), features=5, outputs=4)
    with pytest.raises(ValueError, match=r"expected float32 of shape \(.*6.*\), got float32"):
        model_of("network", mmoe.spec(), mmoe.arrays(), features=6, outputs=3)


def test_bank_is_saved_without_spare_columns():
    model = drawn(models.HardSharing(outputs=(2, 1), shared=[4], nodes=3))
    index = jnp.array([[0, 5, 2], [0, 1, 2]])
    split = NetworkModel(network=model.network, params=model.params, head_index=index)
    assert split.spec()["fields"]["capacity"] == 4
    arrays = split.arrays()
    assert arrays["head_index"].tolist() == [[0, 3, 2], [0, 1, 2]]
    again = model_of("network", split.spec(), arrays, **WIDTHS)
    x = np.ones((2, 5), np.float32)
    np.testing.assert_allclose(again.predict(x), split.predict(x), rtol=1e-6)
    for wrong in ([[0, 4, 2], [0, 1, 2]], [[0, 0, 2], [0, 1, 2]]):
        bad = arrays | {"head_index": np.array(wrong, np.int32)}
        with pytest.raises(ValueError, match="head_index: expected"):
            model_of("network", split.spec(), bad, **WIDTHS)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (models.Constrained(models.HardSharing(), hard=(None, Box(lower=0.5))), "got Constrained"),
        (models.SharedBottom(trunk=models.ConvTrunk()), "got the network ConvTrunk"),
        (models.MMoE(activation=jnp.tanh), "activation: expected a name, which can be saved"),
        (models.MMoE(initializer=jax.nn.initializers.ones), "initializer: expected a name"),
        (object(), "expected one that can be saved .*, got object"),
    ],
)
def test_networks_that_no_file_can_hold_are_refused(network, said):
    with pytest.raises(ValueError, match=said):
        NetworkModel(network=network, params={}).spec()


PLAIN = {
    "shared": ("TableNet", {"line": True}),
    "all numbers": (
        "TableNet",
        {"numbers": [], "levels": [], "codes": [], "sizes": [], "line": True, "hidden": [3, 4]},
    ),
    "separate": ("TableNet", {"sharing": "separate", "embedding": "none", "activation": "relu"}),
    "groups": ("TableNet", {"sharing": [0, 1, 0], "outputs": [1, 2, 1], "hidden": [3]}),
    "one group": ("TableNet", {"sharing": [0, 0, 0], "outputs": [1, 2, 1], "hidden": [3]}),
    "rank_one": ("TableNet", {"sharing": "rank_one", "activation": "selu", "hidden": [3, 4]}),
    "bank": ("TableNet", {"sharing": "bank", "hidden": [3, 2]}),
    "bank and line": ("TableNet", {"sharing": "bank", "hidden": [3, 2], "line": True}),
    "hard sharing": ("HardSharing", {}),
    "equal widths": ("HardSharing", {"outputs": [1, 1, 1], "towers": [], "dtype": jnp.float32}),
}


@pytest.mark.parametrize("name", PLAIN)
def test_without_jax_it_predicts_the_same(name):
    network, fields = PLAIN[name]
    model = drawn(getattr(models, network)(**{**FIELDS[network], **fields}))
    x = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    x[:, 3] = [0, 1, 2, 3, 4, -1, np.nan, 2, 1]  # of a code
    if "dtype" in fields or network == "HardSharing" or name == "all numbers":
        x = np.nan_to_num(x)
    expected = model.predict(x)
    found = outputs_of_model(saved_model(described(model), model.arrays()), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.std())


@pytest.mark.parametrize("name", ["mish", *ACTIVATION_NAMES])
def test_activations_without_jax_are_those_with_it(name):
    z = np.array([-90, -3, -0.5, 0, 0.5, 3, 90], np.float32)
    expected = jax.nn.mish(z) if name == "mish" else activation_fn(name)(jnp.asarray(z))
    found = ACTIVATIONS[name](z)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_which_networks_need_jax():
    names = [name for name in FIELDS if network_that_needs_jax([saved_as(name)]) is None]
    assert names == ["HardSharing", "TableNet"]
    half = saved_as("HardSharing")
    half["spec"]["fields"]["dtype"] = "bfloat16"
    inside = {
        "kind": "mixture",
        "spec": {"models": [{"kind": "table network", "spec": {"network": half["spec"]}}]},
    }
    assert network_that_needs_jax([saved_as("TableNet"), inside]) == "HardSharing in bfloat16"


def saved_as(name):
    network = getattr(models, name)(**FIELDS[name])
    return {"kind": "network", "spec": describe_network(network)}
