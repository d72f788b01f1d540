"""Forward passes of the networks that a run can be predicted with without JAX.

They are written a second time here, in NumPy: ``jaxmtl.models`` has what is trained.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .links import level_numbers

_FURTHEST = 3.0  # to which numbers are bent; see TableNet
_FLOATS = (None, "float32", "float64")  # types in which a network may compute here

Params = Mapping[str, np.ndarray]  # by their paths


def table_net(fields: Mapping[str, Any], arrays: Params, x: np.ndarray) -> np.ndarray:
    """Outputs of ``jaxmtl.models.TableNet``.

    Args:
        fields: of the network.
        arrays: parameters below "params/", and "head_index" where there is a bank.
        x: (rows, features), coded.

    Returns:
        (rows, outputs): numbers, and logits of classes.
    """
    named = [*fields["numbers"], *fields["levels"], *fields["codes"]]
    activation = ACTIVATIONS[fields["activation"]]
    sharing = fields["sharing"]
    in_groups = not isinstance(sharing, str) and max(sharing) > 0
    # Which trunk each task reads.
    reads: Any = sharing if in_groups else range(len(fields["outputs"]))
    if in_groups or sharing == "separate":
        trunk = _below(arrays, "params/trunk/")
        parts = [
            _table_trunk(fields, {name: leaf[t] for name, leaf in trunk.items()}, x, bool(named))
            for t in range(max(reads) + 1)
        ]
        h = np.stack(parts, axis=1)
    else:
        h = _table_trunk(fields, _below(arrays, "params/trunk/"), x, bool(named))
    if sharing == "bank":
        first = np.arange(fields["hidden"][-1])
        index = arrays.get("head_index", np.tile(first, (len(fields["outputs"]), 1)))
        h = activation(_bank(arrays, h, index))
    kernel, bias = arrays["params/output/kernel"], arrays["params/output/bias"]
    if h.ndim == 3:  # (rows, tasks or trunks, nodes): every output reads its own task's
        task = [t for t, size in zip(reads, fields["outputs"], strict=True) for _ in range(size)]
        z = np.einsum("bwi,iw->bw", h[:, task], kernel)
    else:
        z = h @ kernel
    z = z / math.sqrt(len(kernel)) + bias
    if fields["line"]:
        read = x[:, [*fields["numbers"], *fields["levels"]]] if named else x
        z = z + read @ arrays["params/line/slopes"] + arrays["params/line/intercept"]
        for column in fields["codes"]:
            table = arrays[f"params/line/levels_{column}"]
            z = z + table[level_numbers(x[:, column], len(table))]
    return z


def _table_trunk(
    fields: Mapping[str, Any], params: Params, x: np.ndarray, named: bool
) -> np.ndarray:
    parts = []
    if fields["numbers"] or not named:
        values = x[:, fields["numbers"]] if named else x
        values = values / np.sqrt(1 + (values / _FURTHEST) ** 2)
        parts.append(values)
        if fields["embedding"] == "periodic":
            turns = values[..., None] * params["waves/frequency"]
            waves = np.cos(2 * math.pi * turns + params["waves/phase"])
            mixed = np.einsum("bnf,nfw->bnw", waves, params["waves/mixture"])
            parts.append((mixed + params["waves/offset"]).reshape(len(x), -1))
    if fields["levels"]:
        parts.append(x[:, fields["levels"]])
    for column in fields["codes"]:
        table = params[f"code_{column}"]
        parts.append(table[level_numbers(x[:, column], len(table))])
    h = np.concatenate(parts, axis=-1) * params["scale"]
    hidden = fields["hidden"][:-1] if fields["sharing"] == "bank" else fields["hidden"]
    for number in range(len(hidden)):
        h = _table_layer(_below(params, f"layer_{number}/"), h, ACTIVATIONS[fields["activation"]])
    return h


def _table_layer(
    params: Params, x: np.ndarray, activation: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    kernel = params["kernel"]
    if "inner" in params:  # every task multiplies inputs and outputs by numbers of its own
        x = (x if x.ndim == 3 else x[:, None]) * params["inner"]
    z = x @ kernel / math.sqrt(len(kernel))
    if "outer" in params:
        z = z * params["outer"]
    z = z + params["bias"]
    return z + params["share"] * (activation(z) - z)


def hard_sharing(fields: Mapping[str, Any], arrays: Params, x: np.ndarray) -> np.ndarray:
    """Outputs of ``jaxmtl.models.HardSharing``.

    Args:
        fields: of the network.
        arrays: parameters below "params/", and "head_index".
        x: (rows, features), coded.

    Returns:
        (rows, outputs).
    """
    if fields["dtype"] is not None:
        x = x.astype(fields["dtype"])
        arrays = {
            name: leaf.astype(fields["dtype"]) if leaf.dtype.kind == "f" else leaf
            for name, leaf in arrays.items()
        }
    activation = ACTIVATIONS[fields["activation"]]
    for number in range(len(fields["shared"])):
        x = activation(_dense(_below(arrays, f"params/shared_{number}/"), x, "bi,io->bo"))
    h = activation(_bank(arrays, x, arrays["head_index"]))
    for number in range(len(fields["towers"])):
        h = activation(_dense(_below(arrays, f"params/tower_{number}/"), h, "bni,nio->bno"))
    if "params/output/kernel" in arrays:
        y = _dense(_below(arrays, "params/output/"), h, "bni,nio->bno").reshape(len(h), -1)
    else:
        rows = [
            _dense(_below(arrays, f"params/output_{t}/"), h[:, t], "bi,io->bo")
            for t in range(len(fields["outputs"]))
        ]
        y = np.concatenate(rows, axis=-1)
    return ACTIVATIONS[fields["output_activation"] or "identity"](y)


def _bank(arrays: Params, a: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Pre-activations of the nodes that each task reads: (rows, tasks, nodes)."""
    columns = arrays["params/bank/kernel"][:, index]
    return np.einsum("bi,itj->btj", a, columns) + arrays["params/bank/bias"][index]


def _dense(params: Params, x: np.ndarray, spec: str) -> np.ndarray:
    return np.einsum(spec, x, params["kernel"]) + params["bias"]


def _below(params: Params, prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): leaf for name, leaf in params.items() if name.startswith(prefix)
    }


def _mish(x: np.ndarray) -> np.ndarray:
    grown = np.exp(np.minimum(x, 20))
    grown = grown * (grown + 2)
    return x * (grown / (grown + 2))


def _elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: np.ndarray) -> np.ndarray:
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mish": _mish,
    "selu": _selu,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "gelu": _gelu,
    "elu": _elu,
    "silu": lambda x: x * _sigmoid(x),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "identity": lambda x: x,
}
NETWORKS = {"TableNet": table_net, "HardSharing": hard_sharing}


def needs_jax(described: Mapping[str, Any]) -> str | None:
    """Why a network cannot be computed here; None where it can.

    Args:
        described: its name and fields, as they are saved.

    Example:
        >>> needs_jax({"network": "MMoE", "fields": {}})
        'MMoE'
    """
    name, fields = described["network"], described["fields"]
    if name not in NETWORKS:
        return str(name)
    dtype = fields.get("dtype")
    return None if dtype in _FLOATS else f"{name} in {dtype}"
