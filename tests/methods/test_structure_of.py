"""Which tasks share which layers, read from what was trained."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmtl.methods import LinearModel, NetworkModel, ViewsModel, mixed
from jaxmtl.methods.structure_of import structure_of_model, structure_of_models
from jaxmtl.methods.views_model import view_layers
from jaxmtl.models import HardSharing, IndependentNetworks, MMoE, TableNet
from jaxmtl.structure import Layer, Structure, bank, grouped, head_index_of, separate, shared
from jaxmtl.structure.found import layer_of_index
from jaxmtl.tasks import number_tasks

NAMES = ("a", "b", "c")


def model(network, **fields):
    params = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 4)))["params"]
    return NetworkModel(network=network, params=params, **fields)


def test_a_head_index_there_and_back():
    parted = Layer(3, (NAMES,), nodes=((1, (("a", "c"), ("b",))), (2, (("a",), ("b",), ("c",)))))
    for structure in (
        shared(NAMES, (4, 3)),
        bank(shared(NAMES, (4, 3))),
        Structure(NAMES, (Layer(4, (NAMES,)), parted)),
    ):
        index = head_index_of(structure)
        one = model(HardSharing(outputs=(1, 1, 1)), head_index=jnp.asarray(index))
        assert structure_of_model(one, NAMES) == structure
    halves = layer_of_index(np.array([[0, 1], [0, 2], [3, 4]]), NAMES)
    assert halves.groups == (("a", "b"), ("c",))
    assert dict(halves.nodes)[1] == (("a",), ("b",), ("c",))


def test_networks_of_each_task_copies_of_layers_and_what_shares_otherwise():
    each = model(IndependentNetworks(outputs=(1, 1, 1)))
    assert structure_of_model(each, NAMES) == separate(NAMES, (4, 3))
    network = view_layers(HardSharing(outputs=(1, 1, 1)), ["shared_0", "bank"], features=4)
    pointers = network.start().replace("bank", jnp.array([[0], [1], [0]], jnp.int32))
    params, _ = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 4)))
    copies = ViewsModel(network=network, params=params, pointers=pointers)
    found = structure_of_model(copies, NAMES)
    assert found.layers == (Layer(4, (NAMES,)), Layer(3, (("a", "c"), ("b",))))
    gates = model(MMoE(outputs=(1, 1, 1)))
    assert structure_of_model(gates, NAMES) is None
    line = LinearModel(slopes=np.zeros((4, 3)), intercept=np.zeros(3))
    both = mixed([line, each], np.ones((2, 3)), number_tasks(NAMES))
    assert structure_of_models([line, both], NAMES) == separate(NAMES, (4, 3))
    assert structure_of_models([line], NAMES) is None


def test_of_networks_for_tables():
    from jaxmtl.methods.table_networks import TableNetworkModel

    zero = np.zeros(3)
    network = TableNet(outputs=(1, 1, 1), hidden=(6,), sharing=(0, 1, 0))
    one = TableNetworkModel(
        network=model(network), links=(), offset=zero, scale=zero, low=zero, high=zero
    )
    assert structure_of_model(one, NAMES) == grouped(NAMES, (6,), ["ac", "b"])
