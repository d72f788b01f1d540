"""Parameters in a file without pickle: an ``.npz`` whose entries are the paths of the leaves."""

import io
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl._paths import leaf_path, named_leaves

_PLAIN = "biufc"  # kinds of dtype that the .npy format knows


def save_parameters(path: str | os.PathLike[str], params: PyTree) -> None:
    """Writes nested dictionaries of arrays to a file that ``numpy.load`` opens too.

    The entry of ``params["trunk"]["kernel"]`` is ``trunk/kernel``. A dtype that NumPy has no name
    for is stored as its bits and named in the entry: ``trunk/kernel:bfloat16``. Equal parameters
    give equal bytes, and a file of that name is replaced only once the new one is complete.

    Args:
        path: of the file, taken as it is.
        params: nested dictionaries whose leaves are arrays, concrete.

    Raises:
        ValueError: a leaf that is no array of numbers, or a name that would not come back; the
            sentence names the leaf.

    Example:
        >>> import pathlib, tempfile
        >>> import jax.numpy as jnp
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "params.npz"
        ...     save_parameters(file, {"trunk": {"kernel": jnp.ones(2, jnp.bfloat16)}})
        ...     load_parameters(file)["trunk"]["kernel"]
        array([1, 1], dtype=bfloat16)
    """
    entries = {_entry(place, leaf): _array(leaf_path(place), leaf) for place, leaf in _flat(params)}
    path = Path(path)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, array in entries.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def load_parameters(path: str | os.PathLike[str], like: PyTree | None = None) -> PyTree:
    """Reads what ``save_parameters`` wrote. Never unpickles anything.

    Args:
        path: of the file.
        like: parameters (or their shapes, from ``jax.eval_shape``) of the same names, shapes and
            dtypes; None to take the file as it is.

    Returns:
        Nested dictionaries of NumPy arrays, bit for bit as they were saved; with ``like``, in its
        structure.

    Raises:
        ValueError: not such a file, or a leaf that is missing, too many or of another shape or
            dtype than in ``like``; the sentence names the leaf.
        FileNotFoundError: no such file.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "params.npz"
        ...     save_parameters(file, {"bias": np.zeros(2)})
        ...     load_parameters(file, like={"bias": np.ones(2)})
        {'bias': array([0., 0.])}
    """
    path = Path(path)
    leaves: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    leaf, array = _decoded(name, file.read())
                leaves[leaf] = array
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(
            f"{path}: expected a file written by save_parameters, got something else ({error})"
        ) from error
    if like is not None:
        return _in_structure(leaves, like, path)
    params: dict[str, Any] = {}
    for name, array in leaves.items():
        *folders, last = name.split("/")
        inside = params
        for folder in folders:
            inside = inside.setdefault(folder, {})
            if not isinstance(inside, dict):
                raise ValueError(f"{path}: {name!r}: expected a leaf, got one inside another")
        inside[last] = array
    return params


def _flat(params: PyTree) -> list[tuple[tuple[Any, ...], Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(params, is_leaf=lambda x: x is None)[0]
    for place, _ in leaves:
        for key in place:
            name = getattr(key, "key", None)
            if not isinstance(name, str) or not name or any(c in name for c in "/:\\\0"):
                raise ValueError(
                    f"{leaf_path(place)!r}: expected dictionaries whose keys are names without "
                    f"'/', ':' and '\\', got {key}"
                )
    if not leaves or not leaves[0][0]:
        raise ValueError(f"params: expected a dictionary of arrays, got {type(params).__name__}")
    return leaves


def _entry(place: tuple[Any, ...], leaf: Any) -> str:
    name = leaf_path(place)
    dtype = getattr(leaf, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "V" and jnp.issubdtype(dtype, jnp.number):
        return f"{name}:{dtype.name}"
    return name


def _array(name: str, leaf: Any) -> np.ndarray:
    dtype = getattr(leaf, "dtype", None)
    number = isinstance(dtype, np.dtype) and (
        dtype.kind in _PLAIN or jnp.issubdtype(dtype, jnp.number)
    )
    if not number:
        raise ValueError(
            f"{name!r}: expected an array of numbers, got "
            f"{type(leaf).__name__}{'' if dtype is None else f' of dtype {dtype}'}"
        )
    array = np.asarray(leaf, order="C")
    return array if array.dtype.kind in _PLAIN else array.view(f"u{array.dtype.itemsize}")


def _decoded(entry: str, content: bytes) -> tuple[str, np.ndarray]:
    """The leaf's path and array of an entry of the archive."""
    name, _, dtype = entry.removesuffix(".npy").partition(":")
    try:
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        return name, array.view(jnp.dtype(dtype)) if dtype else array
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name!r}: expected an array of numbers, got {error}") from error


def _in_structure(leaves: dict[str, np.ndarray], like: PyTree, path: Path) -> PyTree:
    wanted = named_leaves(like)
    for name, leaf in wanted.items():
        if name not in leaves:
            raise ValueError(f"{name!r}: expected this parameter in {path}, got none")
        shape, dtype = tuple(leaf.shape), np.dtype(leaf.dtype)
        got = leaves[name]
        if (got.shape, got.dtype) != (shape, dtype):
            raise ValueError(
                f"{name!r}: expected {dtype} of shape {shape}, "
                f"got {got.dtype} of shape {got.shape} in {path}"
            )
    for name in leaves:
        if name not in wanted:
            raise ValueError(f"{name!r}: expected no such parameter, got one in {path}")
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in wanted])
