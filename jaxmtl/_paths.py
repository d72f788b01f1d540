"""Names of leaves, such as ``trunk/conv_0/kernel``, and patterns that select them."""

import fnmatch
from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import PyTree

Select = str | Sequence[str]


def leaf_path(path: Sequence[Any]) -> str:
    """The path of a leaf as one string with slashes."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def named_leaves(params: PyTree) -> dict[str, Any]:
    """All leaves by their path, in the order of the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {leaf_path(path): leaf for path, leaf in leaves}


def patterns_of(select: Select) -> tuple[str, ...]:
    """The patterns as a tuple; at least one."""
    patterns = (select,) if isinstance(select, str) else tuple(select)
    if not patterns or not all(isinstance(p, str) and p.strip("/") for p in patterns):
        raise ValueError(
            "select: expected at least one path of parameters, such as 'trunk' or 'shared_*', "
            f"got {select!r}"
        )
    return patterns


def matches(path: str, pattern: str) -> bool:
    """Whether the pattern, part by part and with ``*`` as in a shell, is the path's beginning."""
    parts, wanted = path.split("/"), pattern.strip("/").split("/")
    return len(parts) >= len(wanted) and all(
        fnmatch.fnmatchcase(part, want) for part, want in zip(parts, wanted, strict=False)
    )


def check_matched(patterns: Sequence[str], paths: Sequence[str], whose: str) -> None:
    """Raises ValueError if a pattern selects no leaf: a slip of the pen would freeze nothing."""
    for pattern in patterns:
        if not any(matches(path, pattern) for path in paths):
            raise ValueError(
                f"select: expected {pattern!r} to name parameters of {whose}, "
                f"got no match; there are {listed(paths)}"
            )


def listed(paths: Sequence[str], most: int = 8) -> str:
    """The paths in quotes, shortened."""
    shown = ", ".join(repr(path) for path in paths[:most]) or "none"
    return shown + (f" and {len(paths) - most} more" if len(paths) > most else "")
