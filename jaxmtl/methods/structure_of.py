"""Which tasks share which layers in a model that was trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmtl.methods.method import Model
from jaxmtl.methods.mixture import MixtureModel
from jaxmtl.methods.network_model import NetworkModel
from jaxmtl.methods.table_networks import TableNetworkModel
from jaxmtl.methods.views_model import ViewsModel
from jaxmtl.structure import Layer, Structure, separate, structure_of
from jaxmtl.structure.found import layer_of_index, structure_of_pointers


def structure_of_model(model: Model, tasks: tuple[str, ...]) -> Structure | None:
    """Which tasks share which hidden layers.

    Args:
        model: of any kind; of a mixture, the first network in it.
        tasks: their names.

    Returns:
        The structure, without layers that belong to a task from the start; None for what shares in
        another way, such as by gates, and for what is no network.

    Example:
        >>> import jax
        >>> from jaxmtl.models import HardSharing
        >>> network = HardSharing()
        >>> params = network.init(jax.random.key(0), np.zeros((1, 4)))["params"]
        >>> model = NetworkModel(network=network, params=params,
        ...                      head_index=np.array([[0, 1, 2], [0, 3, 2]]))
        >>> structure_of_model(model, ("PM2.5", "O3")).columns
        (4, 4)
    """
    if isinstance(model, MixtureModel):
        found = (structure_of_model(one, tasks) for one in model.models)
        return next((one for one in found if one is not None), None)
    if isinstance(model, TableNetworkModel):
        network: Any = model.network.network
        return structure_of(network.sharing, tasks, network.hidden)
    if isinstance(model, ViewsModel):
        one: Any = model.network.network.source
        copies = {name: np.asarray(c)[:, 0] for name, c in model.pointers.columns.items()}
        if not hasattr(one, "nodes") or len(copies) != len(one.shared) + 1:
            return None  # of a network of one's own, or of some layers only
        return structure_of_pointers(copies, (*one.shared, one.nodes), tasks)
    if isinstance(model, NetworkModel):
        return _of_network(model, tasks)
    return None


def structure_of_models(models: Sequence[Model], tasks: tuple[str, ...]) -> Structure | None:
    """The structure of the first of some models that has one.

    Args:
        models: as of the folds of a run.
        tasks: their names.

    Returns:
        It; None where none has.
    """
    found = (structure_of_model(model, tasks) for model in models)
    return next((one for one in found if one is not None), None)


def _of_network(model: NetworkModel, tasks: tuple[str, ...]) -> Structure | None:
    network: Any = model.network
    kind = type(network).__name__
    if kind == "IndependentNetworks":
        return separate(tasks, (*network.shared, network.nodes))
    if kind != "HardSharing" or model.head_index is None:
        return None
    below = tuple(Layer(width, (tasks,)) for width in network.shared)
    return Structure(tasks, (*below, layer_of_index(np.asarray(model.head_index), tasks)))
