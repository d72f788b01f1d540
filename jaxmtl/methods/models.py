"""Every kind of model that a file can hold, and how it is read again."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from jaxmtl._words import short
from jaxmtl.methods.constant import ConstantModel, constant_model_of
from jaxmtl.methods.forest import ForestModel, forest_model_of
from jaxmtl.methods.linear import LinearModel, linear_model_of
from jaxmtl.methods.method import Model
from jaxmtl.methods.mixture import MixtureModel, mixture_model_of
from jaxmtl.methods.network_model import NetworkModel, network_model_of
from jaxmtl.methods.table_networks import TableNetworkModel, table_network_of
from jaxmtl.methods.trees import TreesModel, trees_model_of
from jaxmtl.methods.views_model import ViewsModel, views_model_of


class Reader(Protocol):
    """Reads a model of one kind; every damage is a ValueError of one sentence."""

    def __call__(
        self,
        spec: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        /,
        *,
        features: int,
        outputs: int,
    ) -> Model:
        """The model with these inputs and outputs."""
        ...


READERS: dict[str, Reader] = {
    NetworkModel.kind: network_model_of,
    ConstantModel.kind: constant_model_of,
    LinearModel.kind: linear_model_of,
    TreesModel.kind: trees_model_of,
    ForestModel.kind: forest_model_of,
    TableNetworkModel.kind: table_network_of,
    ViewsModel.kind: views_model_of,
}


def _mixture(
    spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, features: int, outputs: int
) -> Model:
    return mixture_model_of(spec, arrays, model_of, features=features, outputs=outputs)


READERS[MixtureModel.kind] = _mixture


def model_of(
    kind: Any,
    spec: Any,
    arrays: Mapping[str, np.ndarray],
    *,
    features: int,
    outputs: int,
) -> Model:
    """The model whose ``kind``, ``spec`` and ``arrays`` these are.

    Args:
        kind: from a file.
        spec: from a file.
        arrays: from a file.
        features: inputs that the model must take.
        outputs: that it must have.

    Returns:
        The model, which predicts what the one that was saved does.

    Raises:
        ValueError: a kind that there is not, or a spec and arrays that do not go together.

    Example:
        >>> model_of("oracle", {}, {}, features=1, outputs=1)
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: model: expected one of the kinds ..., got 'oracle'
    """
    if not isinstance(kind, str) or kind not in READERS:
        raise ValueError(
            f"model: expected one of the kinds {', '.join(READERS)}, got {short(kind)}"
        )
    if not isinstance(spec, Mapping):
        raise ValueError(f"model of kind {kind}: expected fields, got {type(spec).__name__}")
    return READERS[kind](spec, arrays, features=features, outputs=outputs)
