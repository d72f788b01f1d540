"""Parameters in a file without pickle: an ``.npz`` whose entries are the paths of the leaves."""

import os
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxmtl._paths import leaf_path, named_leaves
from jaxmtl.files.arrays import read_arrays, write_arrays
from jaxmtl.files.errors import FileError


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
    arrays = {leaf_path(place): leaf for place, leaf in _flat(params)}
    write_arrays(path, arrays)


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
    leaves = read_arrays(path, what="a file written by save_parameters")
    if like is not None:
        return _in_structure(leaves, like, path)
    params: dict[str, Any] = {}
    for name, array in leaves.items():
        *folders, last = name.split("/")
        inside = params
        for folder in folders:
            inside = inside.setdefault(folder, {})
            if not isinstance(inside, dict):
                break
        if not isinstance(inside, dict) or last in inside:
            raise FileError(
                f"{path}: {name!r}: expected a leaf beside others, got one inside another; write "
                "one of the two under another name"
            )
        inside[last] = array
    return params


def _flat(params: PyTree) -> list[tuple[tuple[Any, ...], Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(params, is_leaf=lambda x: x is None)[0]
    for place, _ in leaves:
        for key in place:
            name = getattr(key, "key", None)
            if not isinstance(name, str) or not name or any(c in name for c in "/:\\\0"):
                raise FileError(
                    f"{leaf_path(place)!r}: expected dictionaries whose keys are names without "
                    f"'/', ':' and '\\', got {key}"
                )
    if not leaves or not leaves[0][0]:
        raise FileError(f"params: expected a dictionary of arrays, got {type(params).__name__}")
    return leaves


def _in_structure(
    leaves: dict[str, np.ndarray], like: PyTree, path: str | os.PathLike[str]
) -> PyTree:
    wanted = named_leaves(like)
    for name, leaf in wanted.items():
        if name not in leaves:
            raise FileError(f"{name!r}: expected this parameter in {path}, got none")
        shape, dtype = tuple(leaf.shape), np.dtype(leaf.dtype)
        got = leaves[name]
        if (got.shape, got.dtype) != (shape, dtype):
            raise FileError(
                f"{name!r}: expected {dtype} of shape {shape}, "
                f"got {got.dtype} of shape {got.shape} in {path}"
            )
    for name in leaves:
        if name not in wanted:
            raise FileError(f"{name!r}: expected no such parameter, got one in {path}")
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in wanted])
