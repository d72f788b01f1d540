"""Values as JSON tells them from their likes: the same text in every process, never an address."""

import dataclasses
import enum
import functools
import hashlib
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmtl._validate import is_concrete
from jaxmtl.aggregation import Aggregator, AutoLambda, Scalarizer
from jaxmtl.files.json_file import json_text
from jaxmtl.training.driver.store import digest

FLAX_FIELDS = ("parent", "name")
# What these do follows from their version, or from the name of what is theirs.
VERSIONED = {"equinox", "flax", "jax", "jaxlib", "jaxmtl", "jaxtyping", "numpy", "optax"}
LONGEST = 256  # numbers of an array that are written out
PLAIN = (bool, int, float, str, type(None))
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values that tell functions, optimizers and methods from their likes, in any process.

    A function of a library is its name; one of the user's is its name, its code, and what it closes
    over, calls and reads of its module.

    Args:
        values: anything by name.

    Returns:
        Texts, numbers and lists by the same names.

    Example:
        >>> describe({"rate": 0.1, "of": len})
        {'rate': 0.1, 'of': 'builtins.len'}
    """
    return {name: described(value) for name, value in values.items()}


def describe_model(model: Any) -> dict[str, Any]:
    """The attributes of a flax network; one of another kind says what it is by ``repr``.

    Args:
        model: the ``source`` of a network.

    Returns:
        JSON values by names that an error message can use.

    Example:
        >>> from jaxmtl.models import MMoE
        >>> describe_model(MMoE(num_experts=3))["model num_experts"]
        3
    """
    kind: dict[str, Any] = {"model": type(model).__qualname__}
    if code := _of_class(type(model), ()):
        kind["model code"] = code
    if not dataclasses.is_dataclass(model):
        return kind | {"model as written": _ADDRESS.sub("", " ".join(repr(model).split()))}
    return kind | describe({f"model {name}": value for name, value in _fields(model)})


def fingerprint(value: Any) -> str:
    """A short text that tells a value from its likes, in any process.

    Args:
        value: anything.

    Returns:
        Twelve hexadecimal digits.

    Example:
        >>> fingerprint({"rate": 0.1}) == fingerprint({"rate": 0.1}) != fingerprint({"rate": 0.2})
        True
    """
    return _sha(json_text({"value": described(value)}))


def described(value: Any, within: tuple[int, ...] = ()) -> Any:
    """A value as JSON keeps it.

    Args:
        value: anything.
        within: identities of what it is part of, so that circles end.

    Returns:
        Texts, numbers, lists and dictionaries.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # such as a bound that binds nothing: JSON has no number for it
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, PLAIN):
        return value
    if id(value) in within:
        return f"{type(value).__qualname__} again"
    within = (*within, id(value))
    each = functools.partial(described, within=within)
    if isinstance(value, Aggregator | Scalarizer | AutoLambda):
        text = str([each(part) for part in vars(value).values()])
        return f"{type(value).__name__} {_sha(text)}"
    if isinstance(value, functools.partial):
        values = [each(value.args), *map(each, sorted(value.keywords.items()))]
        return f"{each(value.func)} with {values}"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _array(value, each)
    if isinstance(value, Mapping):
        return {str(name): each(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [each(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(str(each(part)) for part in value)
    if isinstance(value, np.dtype):
        return str(value)
    if callable(value):
        return _callable(value, within)
    if dataclasses.is_dataclass(value):
        code = _of_class(type(value), within)
        fields = {name: each(part) for name, part in _fields(value)}
        return {"code": code} | fields if code else fields
    return _object(value, within)


def _array(value: Any, each: Callable[[Any], Any]) -> Any:
    if not is_concrete(value):
        return f"{value.dtype}{list(value.shape)}"
    typed = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    if not typed and value.size <= LONGEST:
        return each(np.asarray(value).tolist())
    return f"{value.dtype}{list(value.shape)} {digest(value)[:12]}"


def _callable(value: Any, within: tuple[int, ...]) -> str:
    """Its name, and what tells it from others of that name."""
    owner: Any = value if hasattr(value, "__qualname__") else type(value)
    name = _name(owner)
    parts: list[Any] = []
    if isinstance(value, MethodType):
        parts.append(value.__self__)
    elif isinstance(value, type):
        parts += [code] if (code := _of_class(value, within)) else []
    elif dataclasses.is_dataclass(value):
        parts += [part for _, part in _fields(value)]
    elif owner is not value:
        parts.append(_object(value, within))
    # What a function closes over, or a callable object holds, tells it from its likes.
    function = _function(value)
    cells = getattr(value, "__closure__", None) or getattr(function, "__closure__", None) or ()
    parts += [cell.cell_contents for cell in cells if _is_filled(cell)]
    inner = [str(described(part, within)) for part in parts if part is not value]
    if function is not None and not _is_versioned(function.__module__):
        inner += [_code(function, within)]
    holds = isinstance(owner, type) and dataclasses.is_dataclass(owner)
    if holds and (code := _of_class(owner, within)):
        inner += [code]
    return f"{name}({', '.join(inner)})" if inner else name


def _object(value: Any, within: tuple[int, ...]) -> str:
    """Its class, and what it holds of plain values: deeper down may be anything."""
    kind = type(value)
    name = _name(kind)
    held = {
        key: described(part, within)
        for key, part in sorted(getattr(value, "__dict__", {}).items())
        if isinstance(part, (*PLAIN, jax.Array, np.ndarray))
    }
    if not held and kind.__repr__ is not object.__repr__ and _is_versioned(kind.__module__):
        return f"{name} {_ADDRESS.sub('', repr(value))}"
    if code := _of_class(kind, within):
        name += f"({code})"
    return f"{name} {held}" if held else name


def _name(of: Any) -> str:
    """With the module of a library: a user's script may be run, or imported by any name."""
    return f"{of.__module__}.{of.__qualname__}" if _is_versioned(of.__module__) else of.__qualname__


def _fields(value: Any) -> Iterable[tuple[str, Any]]:
    names = [field.name for field in dataclasses.fields(value)]
    flax = any(base.__module__.startswith("flax.linen") for base in type(value).__mro__)
    return [(name, getattr(value, name)) for name in names if not flax or name not in FLAX_FIELDS]


def _function(value: Any) -> FunctionType | None:
    """The Python function within a method, or what ``jax.jit`` and its like made of one."""
    value = inspect.unwrap(getattr(value, "__func__", value))
    return value if isinstance(value, FunctionType) else None


def _is_versioned(module: str | None) -> bool:
    root = (module or "").partition(".")[0]
    return root in VERSIONED or root in sys.stdlib_module_names


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _of_class(kind: type, within: tuple[int, ...]) -> str:
    """A fingerprint of the methods that a user's class has; empty for classes of libraries."""
    found = []
    for base in kind.__mro__:
        if _is_versioned(base.__module__):
            continue
        for name, member in sorted(vars(base).items()):
            function = _function(getattr(member, "fget", None) or member)
            if function is not None and not _is_versioned(function.__module__):
                found.append(f"{name} {_code(function, within)}")
    return _sha("\n".join(found)) if found else ""


def _code(function: FunctionType, within: tuple[int, ...]) -> str:
    """A fingerprint of what a function does, with what it calls and reads of its module."""
    if id(function.__code__) in within:
        return "again"
    within = (*within, id(function.__code__))
    parts = [_text_of(function.__code__)]
    parts.append(str(described(function.__defaults__, within)))
    parts.append(str(described(function.__kwdefaults__, within)))
    for name in sorted(_names(function.__code__)):
        value = function.__globals__.get(name)
        if isinstance(value, (tuple, *PLAIN)) and value is not None:
            parts.append(f"{name} {described(value, within)}")
        elif isinstance(value, FunctionType) and not _is_versioned(value.__module__):
            parts.append(f"{name} {described(value, within)}")
    return _sha("\n".join(parts))


def _text_of(code: CodeType) -> str:
    constants = [
        _text_of(part)
        if isinstance(part, CodeType)
        else str(sorted(map(repr, part)))
        if isinstance(part, frozenset)
        else repr(part)
        for part in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _names(code: CodeType) -> set[str]:
    inner = [_names(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*inner)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
