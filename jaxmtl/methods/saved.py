"""What readers of saved models check: that the arrays are those that the rest asks for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

if TYPE_CHECKING:
    from jaxmtl.methods.method import Model


def described(model: "Model") -> dict[str, Any]:
    """A model but for its arrays, as JSON keeps it: what ``model_of`` is given again.

    Args:
        model: of any kind.

    Returns:
        Its kind and its spec.

    Raises:
        ValueError: a model that no file can hold.

    Example:
        >>> from jaxmtl.methods import ConstantModel
        >>> described(ConstantModel(outputs=np.ones(2)))["kind"]
        'constant'
    """
    return {"kind": model.kind, "spec": model.spec()}


def check_fields(what: str, saved: Any, names: set[str]) -> Mapping[str, Any]:
    """A JSON object with just these fields.

    Args:
        what: it is, for the error.
        saved: from a file.
        names: of its fields.

    Returns:
        The object.

    Raises:
        ValueError: it is something else, or has other fields.

    Example:
        >>> check_fields("model", {"kind": "mean"}, {"kind", "spec"})
        Traceback (most recent call last):
            ...
        ValueError: model: expected the fields kind, spec, got kind
    """
    if not isinstance(saved, Mapping):
        raise ValueError(f"{what}: expected fields, got {type(saved).__name__}")
    if set(saved) != names:
        got = ", ".join(sorted(map(str, saved))[:20]) or "none"
        raise ValueError(f"{what}: expected the fields {', '.join(sorted(names))}, got {got}")
    return saved


def check_arrays(
    arrays: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[tuple[int, ...], np.dtype]],
    *,
    finite: bool = True,
) -> None:
    """Raises unless there are just these arrays, of these shapes and types.

    Args:
        arrays: from a file.
        expected: shape and type by name.
        finite: whether NaN and infinity are refused.

    Raises:
        ValueError: an array that is missing, too many, of another shape or type, or not finite.

    Example:
        >>> check_arrays({"a": np.zeros(3)}, {"a": ((2,), np.dtype(float))})
        Traceback (most recent call last):
            ...
        ValueError: array 'a': expected float64 of shape (2,), got float64 of shape (3,)
    """
    for name in arrays:
        if name not in expected:
            raise ValueError(f"array {name!r}: expected no such array, got one")
    for name, (shape, dtype) in expected.items():
        if name not in arrays:
            raise ValueError(f"array {name!r}: expected one, got none")
        got = arrays[name]
        if got.shape != shape or got.dtype != dtype:
            raise ValueError(
                f"array {name!r}: expected {dtype} of shape {shape}, got {got.dtype} of shape "
                f"{got.shape}"
            )
        if finite and dtype.kind == "f" and not np.isfinite(got).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(got))[0])
            raise ValueError(f"array {name!r}: expected finite numbers, got {got[place]}")


def check_below(name: str, places: Int[np.ndarray, " some"], most: int, least: int = 0) -> None:
    """Raises unless all places are in a range.

    Args:
        name: of the array.
        places: in it.
        most: number that is too large.
        least: smallest number.

    Raises:
        ValueError: a place out of range.

    Example:
        >>> check_below("roots", np.array([0, 7]), 3)
        Traceback (most recent call last):
            ...
        ValueError: array 'roots': expected numbers from 0 to 2, got 0 to 7
    """
    if len(places) and not (least <= places.min() and places.max() < most):
        raise ValueError(
            f"array {name!r}: expected numbers from {least} to {most - 1}, got {places.min()} to "
            f"{places.max()}"
        )


def with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays below a prefix, without it.

    Example:
        >>> list(with_prefix({"a/b": np.zeros(1), "c": np.zeros(1)}, "a/"))
        ['b']
    """
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
