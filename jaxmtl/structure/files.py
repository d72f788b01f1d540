"""Structures as JSON, whose errors name the file, the line and what is wrong there."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from jaxmtl._words import did_you_mean, short
from jaxmtl.files.errors import FileError
from jaxmtl.files.json_file import read_json_file, write_json_file
from jaxmtl.structure.plain import Layer, Path, Structure, StructureError, check_tree

_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def to_json(structure: Structure) -> dict[str, Any]:
    """A structure as JSON values.

    Args:
        structure: any.

    Returns:
        An object that ``from_json`` reads again.

    Example:
        >>> from jaxmtl.structure import shared
        >>> to_json(shared(("a", "b"), (8,)))
        {'tasks': ['a', 'b'], 'layers': [{'width': 8, 'groups': [['a', 'b']]}]}
    """
    layers = []
    for layer in structure.layers:
        found: dict[str, Any] = {"width": layer.width, "groups": _lists(layer.groups)}
        if layer.nodes:
            found["nodes"] = {str(node): _lists(groups) for node, groups in layer.nodes}
        layers.append(found)
    return {"tasks": list(structure.tasks), "layers": layers}


def from_json(value: Mapping[str, Any]) -> Structure:
    """A structure from JSON values.

    Args:
        value: as ``to_json`` gives it.

    Returns:
        The structure.

    Raises:
        StructureError: what is no structure; the sentence names the layer, the node or the task.

    Example:
        >>> from_json({"tasks": ["a"], "layers": [{"width": 8, "groups": [["b"]]}]})
        Traceback (most recent call last):
            ...
        jaxmtl.structure.plain.StructureError: layer 1: expected tasks that there are, got 'b'
    """
    _check_names(value, ("tasks", "layers"), (), "a structure", ())
    tasks, layers = value["tasks"], value["layers"]
    if not isinstance(tasks, list) or not tasks or not all(isinstance(t, str) for t in tasks):
        raise StructureError(("tasks",), f"tasks: expected a list of names, got {short(tasks)}")
    if not isinstance(layers, list) or not layers:
        raise StructureError(("layers",), f"layers: expected a list of layers, got {short(layers)}")
    found = tuple(_layer(layer, place) for place, layer in enumerate(layers))
    return Structure(tuple(tasks), found)


def write_structure(
    path: str | os.PathLike[str], structure: Structure, *, force: bool = False
) -> None:
    """Writes a structure as a JSON file.

    Args:
        path: of the file.
        structure: any.
        force: an existing file may be replaced.

    Raises:
        FileError: nothing can be written there.

    Example:
        >>> import pathlib, tempfile
        >>> from jaxmtl.structure import shared
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_structure(pathlib.Path(folder, "s.json"), shared(("a", "b"), (8,)))
        ...     read_structure(pathlib.Path(folder, "s.json")).widths
        (8,)
    """
    write_json_file(path, to_json(structure), force=force)


def read_structure(path: str | os.PathLike[str], *, tree: bool = False) -> Structure:
    """Reads a structure from a JSON file.

    Args:
        path: of the file.
        tree: whether tasks that were apart may not come together again, see ``check_tree``.

    Returns:
        The structure.

    Raises:
        FileError: no file, no JSON or no structure; the sentence names the file, and where the
            structure is wrong, the line, the layer and the task.

    Example:
        >>> read_structure("no.json")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.MissingFileError: file no.json: there is no such file; check the path
    """
    value = read_json_file(path, what="a structure")
    try:
        structure = from_json(value)
        if tree:
            check_tree(structure)
    except StructureError as error:
        with open(path, encoding="utf-8") as file:
            line = line_of(file.read(), error.path)
        raise FileError(f"file {path}, line {line}: {error}") from error
    return structure


def line_of(text: str, path: Path) -> int:
    """The line, counted from 1, on which a part of a JSON text begins.

    Args:
        text: that is JSON.
        path: names and numbers that lead to the part; of one that is not there, the deepest that
            is.

    Returns:
        The line.

    Example:
        >>> line_of('{"a": [\\n1,\\n{"b": 2}]}', ("a", 1, "b"))
        3
    """
    place = _blanks(text, 0)
    for step in path:
        entries = _entries(text, place)
        if step not in entries:
            break
        place = entries[step]
    return text.count("\n", 0, place) + 1


def _entries(text: str, place: int) -> dict[str | int, int]:
    """Where the entries of a list or of an object begin."""
    found: dict[str | int, int] = {}
    if text[place] not in "[{":
        return found
    named, place = text[place] == "{", _blanks(text, place + 1)
    while text[place] not in "]}":
        step: str | int = len(found)
        if named:
            step, place = _DECODER.raw_decode(text, place)
            place = _blanks(text, _blanks(text, place) + 1)  # behind the colon
        found[step] = place
        place = _blanks(text, _DECODER.raw_decode(text, place)[1])
        place = _blanks(text, place + 1) if text[place] == "," else place
    return found


def _blanks(text: str, place: int) -> int:
    match = _BLANKS.match(text, place)
    return place if match is None else match.end()


def _layer(value: Any, place: int) -> Layer:
    path, where = ("layers", place), f"layer {place + 1}"
    if not isinstance(value, dict):
        raise StructureError(path, f"{where}: expected an object, got {short(value)}")
    _check_names(value, ("width", "groups"), ("nodes",), where, path)
    nodes = value.get("nodes", {})
    if not isinstance(nodes, dict):
        raise StructureError(
            (*path, "nodes"), f"{where}: expected nodes by their numbers, got {short(nodes)}"
        )
    parted = []
    for name, groups in nodes.items():
        own = (*path, "nodes", name)
        if not (name.isascii() and name.isdigit()):
            raise StructureError(own, f"{where}: expected numbers of nodes, got {short(name)}")
        parted.append((int(name), _groups(groups, own, f"{where}, node {name}")))
    groups = _groups(value["groups"], (*path, "groups"), where)
    return Layer(value["width"], groups, tuple(parted))


def _groups(value: Any, path: Path, where: str) -> Any:
    good = isinstance(value, list) and all(
        isinstance(group, list) and all(isinstance(task, str) for task in group) for group in value
    )
    if not good:
        raise StructureError(
            path, f"{where}: expected groups as lists of names, got {short(value)}"
        )
    return tuple(tuple(group) for group in value)


def _check_names(
    value: Mapping[str, Any],
    needed: tuple[str, ...],
    more: tuple[str, ...],
    where: str,
    path: Path,
) -> None:
    for name in needed:
        if name not in value:
            raise StructureError(path, f"{where}: expected {name!r}, got none")
    for name in value:
        if name not in needed + more:
            hint = did_you_mean(name, needed + more)
            raise StructureError(
                (*path, name), f"{where}: expected {', '.join(needed + more)}, got {name!r}{hint}"
            )


def _lists(groups: Any) -> list[list[str]]:
    return [list(group) for group in groups]
