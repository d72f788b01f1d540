"""Methods of one's own, named to a command by module and name."""

import functools
import importlib
import os
import re
import sys
from collections.abc import Collection
from typing import Any

from jaxmtl._words import did_you_mean, short

# A name begins where a word does: tried from every letter, a long text would take for ever.
OWN = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*):([A-Za-z_]\w*)")


def load_own(option: str, text: str | None) -> None:
    """Makes the methods known that a text names as ``module:name``.

    Args:
        option: in which the text was given, for the sentence of an error.
        text: names, perhaps others beside them, with options or without; or None. A module is
            looked for in the working folder first; in it, the name is that of an aggregator, of a
            loss method, or of a function without arguments that makes one.

    Raises:
        ValueError: there is no such module, or not that name in it, or it is no method.

    Example:
        >>> load_own("--aggregator", "upgrad")  # a name that is known
        >>> load_own("--aggregator", "math:pii")
        Traceback (most recent call last):
            ...
        ValueError: --aggregator: module 'math' has no 'pii' (did you mean 'pi'?)
    """
    from jaxmtl.aggregation import Aggregator, Scalarizer
    from jaxmtl.aggregation.registry import add

    for found in OWN.finditer(text or ""):
        module = _imported(option, found[1])
        if not hasattr(module, found[2]):
            near = did_you_mean(found[2], _public(module))
            raise ValueError(f"{option}: module {short(found[1])} has no {short(found[2])}{near}")
        value = getattr(module, found[2])
        made = isinstance(value, Aggregator | Scalarizer)
        try:
            add(found[0], functools.partial(_itself, value) if made else value, replace=True)
        except ValueError as error:
            raise ValueError(f"{option}: {str(error).removeprefix('register: ')}") from error


def check_named(text: str | None, again: str) -> None:
    """Refuses methods of modules that a saved run names, and the command does not.

    To import a module runs its code, which nobody may want of a folder that came from elsewhere.

    Args:
        text: names, from a file; or None.
        again: option that names the method.

    Raises:
        ValueError: a method of a module that was not loaded.

    Example:
        >>> check_named("upgrad", "--aggregator")
        >>> check_named("mine:rule", "--aggregator")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: --config: expected 'mine:rule', which ...
    """
    from jaxmtl.aggregation.known import known_names

    for found in OWN.finditer(text or ""):
        if found[0] not in known_names():
            raise ValueError(
                f"--config: expected {short(found[0])}, which the saved run was trained by, to be "
                f"named here, too, since its module is run: add {again} {found[0]}"
            )


def _itself(value: Any) -> Any:
    return value


def _imported(option: str, name: str) -> Any:
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ValueError(f"{option}: module {short(name)} needs {error.name!r}") from error
        raise ValueError(
            f"{option}: there is no module {short(name)} in the working folder or on Python's path"
        ) from error
    except Exception as error:
        what = " ".join(str(error).split())
        raise ValueError(
            f"{option}: module {short(name)} cannot be imported: {type(error).__name__}: {what}"
        ) from error
    finally:
        sys.path[:] = before


def _public(module: Any) -> Collection[str]:
    return [name for name in vars(module) if not name.startswith("_")]
