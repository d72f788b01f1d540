"""JSON files: one object each, written as a whole, read with bounds on size and depth."""

import json
import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmtl.files.atomic import new_file
from jaxmtl.files.errors import FileError, MissingFileError, why

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 100

# A text that the file breaks off is one too, so that nothing is ever looked at twice.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_HALF_LETTER = re.compile(rb"\\u[dD][89a-fA-F]")  # of a pair, which UTF-8 has no bytes for
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1
_CHUNK = 2**20


def write_json_file(
    path: str | os.PathLike[str], value: Mapping[str, Any], *, force: bool = False
) -> None:
    """Writes an object as JSON that people can read.

    Args:
        path: of the file, which is there only once it is complete.
        value: of JSON values; no NaN or infinite number, for which JSON has no name.
        force: an existing file may be replaced.

    Raises:
        FileError: a value that JSON does not know, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json_file(Path(folder, "a.json"), {"town": "Zürich"})
        ...     read_json_file(Path(folder, "a.json"))
        {'town': 'Zürich'}
    """
    try:
        content = f"{json_text(dict(value), indent=2)}\n".encode()
    except ValueError as error:
        raise FileError(f"file {path}: {error}") from error
    with new_file(path, force=force) as draft:
        draft.write_bytes(content)


def read_json_file(
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    what: str = "a JSON file",
) -> dict[str, Any]:
    """Reads an object from a JSON file.

    Size and depth are checked before anything is parsed, and what is no JSON though Python takes
    it (NaN, numbers beyond the largest, halves of letters) is refused.

    Args:
        path: of the file.
        max_bytes: that the file may have.
        max_depth: of lists and objects within each other.
        what: the kind of file that is expected, for the sentence of an error.

    Returns:
        The object.

    Raises:
        MissingFileError: no such file.
        FileError: the file does not open, is no JSON object, or goes beyond the bounds.

    Example:
        >>> read_json_file("a.json")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.MissingFileError: file a.json: there is no such file; check the path
    """
    content = _content(path, max_bytes, what)
    try:
        found = parse_json(content, max_depth=max_depth)
        if not isinstance(found, dict):
            raise ValueError(f"{type(found).__name__} instead of an object")
    except ValueError as error:
        raise FileError(
            f"file {path}: expected {what}, got a damaged or other file ({str(error)[:200]}); copy "
            "it again or write it anew"
        ) from error
    return found


def parse_json(content: str | bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Reads JSON that may come from anywhere.

    Args:
        content: of a file, or a text in it.
        max_depth: of lists and objects within each other.

    Returns:
        What it says.

    Raises:
        ValueError: it is no JSON, though perhaps Python takes it, or it is nested too deeply.

    Example:
        >>> parse_json('{"a": NaN}')
        Traceback (most recent call last):
            ...
        ValueError: NaN where a number should be
    """
    try:
        content = content.encode() if isinstance(content, str) else content
        if _depth(content) > max_depth:
            raise ValueError(f"more than {max_depth} lists and objects within each other")
        found = json.loads(content.decode(), parse_constant=_no_number, parse_float=_finite)
        if _HALF_LETTER.search(content):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("lists and objects too deep within each other") from error
    return found


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON.

    Args:
        value: of JSON values; no NaN or infinite number, for which JSON has no name.
        indent: blanks for each level; None for one line.

    Returns:
        The text.

    Raises:
        ValueError: a value that JSON does not know.

    Example:
        >>> json_text({"town": "Zürich"})
        '{"town": "Zürich"}'
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"expected values that JSON knows, got others ({error}); turn them into numbers, "
            "texts, lists or None"
        ) from error
    return text


def as_read_again(value: Any) -> Any:
    """What comes back of a value that is written as JSON.

    Args:
        value: of JSON values.

    Returns:
        The same with lists for tuples and texts for the keys of objects.

    Example:
        >>> as_read_again({1: (2, 3)})
        {'1': [2, 3]}
    """
    return json.loads(json_text(value))


def _content(path: str | os.PathLike[str], max_bytes: int, what: str) -> bytes:
    try:
        state = Path(path).stat()
        if not stat.S_ISREG(state.st_mode):  # a pipe would keep us waiting
            kind = "folder" if stat.S_ISDIR(state.st_mode) else "device"
            raise FileError(f"file {path}: expected {what}, got a {kind}; check the path")
        with open(path, "rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise MissingFileError(f"file {path}: there is no such file; check the path") from error
    except OSError as error:
        raise FileError(
            f"file {path}: cannot be read ({why(error)}); check the path and its permissions"
        ) from error
    if len(content) > max_bytes:
        raise FileError(
            f"file {path}: expected at most {max_bytes} bytes, got more; check where it comes from"
        )
    return content


def _depth(content: bytes) -> int:
    """The most lists and objects within each other, whether or not they are closed."""
    plain = np.frombuffer(_TEXT.sub(b"", content), np.uint8)
    level = deepest = 0
    for start in range(0, len(plain), _CHUNK):
        levels = level + np.cumsum(_STEP[plain[start : start + _CHUNK]], dtype=np.int64)
        level, deepest = int(levels[-1]), max(deepest, int(levels.max()))
    return deepest


def _no_number(name: str) -> float:
    raise ValueError(f"{name} where a number should be")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} where a number should be")
    return number
