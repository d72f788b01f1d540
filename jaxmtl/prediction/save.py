"""A trained network in one .npz file that NumPy loads without pickle."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl.data import Preprocessing, Scaler
from jaxmtl.duplication import HeadIndex, bank_capacity, check_head_index, compact
from jaxmtl.files.errors import RunFolderError
from jaxmtl.models import HardSharing

FORMAT = 1
SIZES = ("shared", "towers", "outputs")
NAMES = ("activation", "output_activation", "initializer")


class Reading(NamedTuple):
    """How a table of rows to predict is to be read, as the run read its own.

    Attributes:
        missing_features: "error", "drop" (no prediction for such a row) or "mean".
        missing_values: numbers and texts that stand for a missing value.

    Example:
        >>> Reading(missing_values=("0",)).missing_features
        'error'
    """

    missing_features: str = "error"
    missing_values: tuple[str | float, ...] = ()


class SavedNetwork(NamedTuple):
    """What it takes to predict new rows.

    Attributes:
        model: its capacity is the number of columns in use.
        params: of ``model``.
        head_index: of ``model``.
        coding: scaling and filling of columns.
        hard: parameters and head index of the hard-sharing baseline; None if there is none.
        reading: how tables to predict are to be read.

    Example:
        >>> SavedNetwork._fields[:4]
        ('model', 'params', 'head_index', 'coding')
    """

    model: HardSharing
    params: PyTree
    head_index: HeadIndex
    coding: Preprocessing
    hard: tuple[PyTree, HeadIndex] | None
    reading: Reading = Reading()


def describe_network(model: HardSharing) -> dict[str, Any]:
    """The fields of a network as JSON keeps them.

    Args:
        model: activations and initializer by name.

    Returns:
        Arguments of ``HardSharing``.

    Raises:
        ValueError: a field is a function, which no file can hold.

    Example:
        >>> describe_network(HardSharing())["activation"]
        'sigmoid'
    """
    fields: dict[str, Any] = {name: list(getattr(model, name)) for name in SIZES}
    fields |= {"nodes": model.nodes, "param_dtype": jnp.dtype(model.param_dtype).name}
    fields["dtype"] = None if model.dtype is None else jnp.dtype(model.dtype).name
    for name in NAMES:
        value = getattr(model, name)
        if value is not None and not isinstance(value, str):
            raise ValueError(
                f"{name}: expected a name, which can be saved, got {value!r}; build the model with "
                "a name that jaxmtl.models knows"
            )
        fields[name] = value
    return fields


def save_network(path: str | os.PathLike[str], network: SavedNetwork) -> None:
    """Writes a network without its spare columns.

    Keys of the file: ``params/<layer>/<kernel or bias>``, ``head_index``, ``feature_offset``,
    ``feature_scale``, ``target_offset``, ``target_scale``, ``fill`` (if missing features are
    filled), ``hard/params/...`` and ``hard/head_index`` (the baseline), and ``spec``, a JSON text.

    Args:
        path: of the file.
        network: with any capacity.

    Raises:
        ValueError: see ``describe_network``.

    Example:
        >>> import jax, tempfile
        >>> model, scaler = HardSharing(), Scaler(np.zeros(4), np.ones(4))
        >>> params = model.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> coding = Preprocessing(
        ...     features=tuple("abcd"), targets=("y", "z"), feature_scaler=scaler,
        ...     target_scaler=Scaler(np.zeros(2), np.ones(2)))
        >>> network = SavedNetwork(model, params, model.initial_head_index(), coding, None)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_network(Path(folder, "model.npz"), network)
        ...     load_network(Path(folder, "model.npz")).params["bank"]["kernel"].shape
        (4, 3)
    """
    coding = network.coding
    spec = {
        "format": FORMAT,
        "network": describe_network(network.model),
        "features": list(coding.features),
        "targets": list(coding.targets),
        "dtype": coding.dtype.name,
        "reading": network.reading._asdict(),
    }
    arrays = {
        "spec": np.array(json.dumps(spec, ensure_ascii=False)),
        "feature_offset": coding.feature_scaler.offset,
        "feature_scale": coding.feature_scaler.scale,
        "target_offset": coding.target_scaler.offset,
        "target_scale": coding.target_scaler.scale,
        **_flatten("", *compact(network.params, network.head_index)),
    }
    if coding.fill is not None:
        arrays["fill"] = coding.fill
    if network.hard is not None:
        arrays |= _flatten("hard/", *compact(*network.hard))
    with Path(path).open("wb") as file:
        np.savez(file, allow_pickle=False, **{key: np.asarray(a) for key, a in arrays.items()})


def load_network(path: str | os.PathLike[str]) -> SavedNetwork:
    """Reads what ``save_network`` wrote.

    Args:
        path: of the file.

    Returns:
        The network, its capacity the number of columns in use.

    Raises:
        RunFolderError: the file is not there, is damaged, or is no model of this version.

    Example:
        >>> load_network("a.npz")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.RunFolderError: file a.npz: there is no such file; check the path
    """
    path = Path(path)
    try:
        # NumPy leaves a file open that it fails to read, unless someone else has opened it.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        spec = json.loads(str(arrays["spec"]))
        if spec["format"] != FORMAT:
            raise RunFolderError(
                f"file {path}: expected a model of format {FORMAT}, got format {spec['format']}; "
                "load it with the version of jaxmtl that wrote it"
            )
        return _network_of(spec, arrays)
    except FileNotFoundError as error:
        raise RunFolderError(f"file {path}: there is no such file; check the path") from error
    except RunFolderError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise RunFolderError(
            f"file {path}: expected a model written by jaxmtl, got a damaged or other file "
            f"({type(error).__name__}: {error}); copy it again or repeat the run"
        ) from error


def _network_of(spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> SavedNetwork:
    fields = dict(spec["network"])
    params, head_index = _unflatten("", arrays, fields["param_dtype"])
    hard = None
    if "hard/head_index" in arrays:
        hard = _unflatten("hard/", arrays, fields["param_dtype"])
    for name in ("dtype", "param_dtype"):
        fields[name] = None if fields[name] is None else jnp.dtype(fields[name])
    coding = Preprocessing(
        features=tuple(spec["features"]),
        targets=tuple(spec["targets"]),
        feature_scaler=Scaler(arrays["feature_offset"], arrays["feature_scale"]),
        target_scaler=Scaler(arrays["target_offset"], arrays["target_scale"]),
        fill=arrays.get("fill"),
        dtype=np.dtype(spec["dtype"]),
    )
    model = HardSharing(**fields, capacity=bank_capacity(params))
    reading = spec["reading"]
    reading = Reading(reading["missing_features"], tuple(reading["missing_values"]))
    return SavedNetwork(model, params, head_index, coding, hard, reading)


def _flatten(
    prefix: str, params: Mapping[str, Any], head_index: HeadIndex
) -> dict[str, np.ndarray]:
    arrays = {f"{prefix}head_index": np.asarray(head_index)}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, part in value.items():
                walk(f"{path}/{name}", part)
            return
        array = np.asarray(value)
        # NumPy's file format does not know bfloat16 and its like; float32 holds them exactly.
        arrays[path] = array.astype(np.float32) if array.dtype.kind == "V" else array

    walk(f"{prefix}params", params)
    return arrays


def _unflatten(
    prefix: str, arrays: Mapping[str, np.ndarray], dtype: str
) -> tuple[dict[str, Any], HeadIndex]:
    params: dict[str, Any] = {}
    start = f"{prefix}params/"
    for key, array in arrays.items():
        if key.startswith(start):
            *path, name = key[len(start) :].split("/")
            place = params
            for part in path:
                place = place.setdefault(part, {})
            place[name] = jnp.asarray(array, dtype=dtype)
    head_index = jnp.asarray(arrays[f"{prefix}head_index"])
    check_head_index(head_index, bank_capacity(params))
    return params, head_index
