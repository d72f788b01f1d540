"""How well a network does, task by task, in scaled and in original units."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from jaxmtl._typing import Network
from jaxmtl.data import Preprocessing, Rows
from jaxmtl.duplication import HeadIndex, count_parameters
from jaxmtl.models import HardSharing, IndependentNetworks

CHUNK = 1024  # rows of one compiled call

Predict = Callable[[np.ndarray], np.ndarray]


class TaskErrors(NamedTuple):
    """Errors of each task over the rows whose target is known; NaN where there are none.

    Attributes:
        mse: mean squared error of the scaled values, which training minimises.
        rmse: root of the mean squared error in original units.
        mae: mean absolute error in original units.
    """

    mse: Float[np.ndarray, " tasks"]
    rmse: Float[np.ndarray, " tasks"]
    mae: Float[np.ndarray, " tasks"]


def predictor(model: Network, params: PyTree, head_index: HeadIndex | None = None) -> Predict:
    """A function from scaled features to scaled predictions.

    Rows are taken in chunks of one size, the last filled up, so that the prediction of a row does
    not depend on the rows around it, not even in its last bit.

    Args:
        model: static.
        params: trained parameters.
        head_index: None for networks without a bank.

    Returns:
        ``predict(x)`` for NumPy arrays (rows, features), giving (rows, outputs).

    Example:
        >>> model = HardSharing()
        >>> params = model.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> predictor(model, params, model.initial_head_index())(np.zeros((2000, 4))).shape
        (2000, 2)
    """
    index = () if head_index is None else (jnp.asarray(head_index),)

    def predict(x: np.ndarray) -> np.ndarray:
        missing = -len(x) % CHUNK if len(x) else CHUNK
        padded = np.concatenate([x, np.zeros((missing, x.shape[1]), x.dtype)])
        parts = [
            np.asarray(_apply(model, params, padded[i : i + CHUNK], *index))
            for i in range(0, len(padded), CHUNK)
        ]
        return np.concatenate(parts)[: len(x)]

    return predict


def task_errors(
    predicted: Float[np.ndarray, "rows tasks"], rows: Rows, coding: Preprocessing
) -> TaskErrors:
    """Errors of predictions.

    Args:
        predicted: scaled predictions.
        rows: scaled rows that were predicted.
        coding: the way back to original units.

    Returns:
        The errors of each task.

    Example:
        >>> from jaxmtl.data import Scaler
        >>> scaler = Scaler(np.array([10.0]), np.array([100.0]))
        >>> coding = Preprocessing(features=("CO",), targets=("PM2.5",), feature_scaler=scaler,
        ...                        target_scaler=scaler)
        >>> rows = Rows(x=np.zeros((2, 1)), y=np.array([[0.5], [0.25]]))
        >>> [e.tolist() for e in task_errors(np.array([[0.0], [0.75]]), rows, coding)]
        [[0.25], [50.0], [50.0]]
    """
    y = np.asarray(rows.y, dtype=np.float64)
    predicted = np.asarray(predicted, dtype=np.float64)
    known = np.ones(y.shape, bool) if rows.known is None else np.asarray(rows.known)
    # After a divergence, predictions may be anything; what is not finite is told as such.
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = predicted - y
        original = coding.decode(predicted) - coding.decode(y)
        return TaskErrors(
            mse=_mean_over_known(scaled**2, known),
            rmse=np.sqrt(_mean_over_known(original**2, known)),
            mae=_mean_over_known(np.abs(original), known),
        )


def ratio(
    adaptive: Float[np.ndarray, "*tasks"], hard: Float[np.ndarray, "*tasks"]
) -> Float[np.ndarray, "*tasks"]:
    """Adaptive errors over those of hard sharing; NaN where the latter are 0.

    Args:
        adaptive: errors.
        hard: errors of the same rows and unit.

    Returns:
        Below 1 where the adaptive run is the better one.

    Example:
        >>> ratio(np.array([1.0, 3.0]), np.array([2.0, 0.0])).tolist()
        [0.5, nan]
    """
    hard = np.asarray(hard)
    with np.errstate(invalid="ignore"):  # infinite over infinite, after a divergence
        return np.where(hard > 0, np.asarray(adaptive) / np.where(hard > 0, hard, 1), np.nan)


def parameter_counts(
    model: HardSharing, num_features: int, params: PyTree, head_index: HeadIndex
) -> dict[str, int]:
    """Numbers of parameters in use: of this network, without duplications, and without sharing.

    Args:
        model: a network with a bank, static.
        num_features: inputs of the network.
        params: trained parameters.
        head_index: after the run.

    Returns:
        Counts by the names "adaptive", "hard_sharing" and "independent_networks".

    Example:
        >>> model = HardSharing()
        >>> params = model.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> parameter_counts(model, 4, params, jnp.array([[3, 1, 2], [0, 1, 2]]))
        {'adaptive': 48, 'hard_sharing': 43, 'independent_networks': 78}
    """
    fields: dict[str, Any] = {
        name: getattr(model, name)
        for name in ("shared", "nodes", "towers", "outputs", "activation", "output_activation")
    } | {"initializer": model.initializer}

    alone: Any = IndependentNetworks(**fields)
    together: Any = HardSharing(capacity=model.nodes, **fields)
    return {
        "adaptive": count_parameters(params, head_index),
        "hard_sharing": _count(together, num_features),
        "independent_networks": _count(alone, num_features),
    }


@functools.partial(jax.jit, static_argnames="model")
def _apply(model: Network, params: PyTree, x: np.ndarray, *index: HeadIndex) -> jax.Array:
    return model.apply({"params": params}, x, *index)


@functools.cache
def _count(network: Network, num_features: int) -> int:
    x = jax.ShapeDtypeStruct((1, num_features), jnp.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x)["params"], x)
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


def _mean_over_known(
    values: Float[np.ndarray, "rows tasks"], known: np.ndarray
) -> Float[np.ndarray, " tasks"]:
    count = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
