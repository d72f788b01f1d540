"""What may happen to the files of a run: every place of their JSON changed, arrays exchanged."""

import copy
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

# What a value may become: another type, no number, another sign, too many, too deep.
OTHERS: tuple[Any, ...] = (None, True, -1, 1e300, float("nan"), "x", [], {}, [["x"]], {"x": {}})


def saved(arrays: dict[str, np.ndarray]) -> bytes:
    """What ``numpy.savez`` writes, without writing again what is unchanged."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            if id(array) not in _written:
                entry = io.BytesIO()
                np.save(entry, array, allow_pickle=True)
                _written[id(array)] = array, entry.getvalue()
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _written[id(array)][1])
    return file.getvalue()


# By identity, with the array itself, so that no other takes its place.
_written: dict[int, tuple[np.ndarray, bytes]] = {}


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """All places of a JSON value, from the outside in."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from places(part, (*path, number))


def damaged(value: Any) -> Iterator[tuple[str, Any]]:
    """A JSON value without each of its keys, with more, and with other things at each place."""
    for number, path in enumerate(places(value)):
        turns = (OTHERS[(number + step) % len(OTHERS)] for step in (0, 3))
        for change in ("missing", "more", *turns):
            changed = copy.deepcopy(value)
            place = changed
            for key in path[:-1]:
                place = place[key]
            if change == "missing":
                del place[path[-1]]
            elif change == "more":
                if not isinstance(place[path[-1]], dict):
                    continue
                place[path[-1]]["one more"] = 1
            else:
                place[path[-1]] = change
            yield f"{path}: {change}", changed
