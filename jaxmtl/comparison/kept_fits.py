"""What a comparison needs of a method that was fitted, in a file of its checkpoint."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Array, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.files.errors import FileError
from jaxmtl.files.json_file import read_json_file, write_json_file
from jaxmtl.methods.method import Fitted
from jaxmtl.training.driver.store import digest

NUMBERS = ("parameters", "splits", "steps", "diverged")


def mark_of(data: Data, folds: Folds, keys: Key[Array, " folds"] | None) -> str:
    """Tells the rows, folds and keys of a fit from others, in any process.

    Example:
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.tasks import number_tasks
        >>> data = Data(x=np.zeros((3, 2)), y=np.zeros((3, 1)), known=np.ones((3, 1), bool),
        ...             tasks=number_tasks(["CO"]))
        >>> one, other = (Folds(parts=(SplitIndices(*map(np.array, rows)),))
        ...               for rows in (([0], [1], [2]), ([0], [2], [1])))
        >>> mark_of(data, one, None) == mark_of(data, one, None) != mark_of(data, other, None)
        True
    """
    parts = [[np.asarray(rows) for rows in fold if rows is not None] for fold in folds]
    return digest([data.x, data.y, data.known, parts, keys])


def keep_fit(file: Path, fitted: Fitted, mark: str) -> None:
    """Writes scores and counts; models are not kept.

    Args:
        file: that is replaced.
        fitted: of a method.
        mark: of what it was fitted on, see ``mark_of``.
    """
    record: dict[str, Any] = {"mark": mark, "notes": [str(note) for note in fitted.notes]}
    record |= {name: np.asarray(getattr(fitted, name)).tolist() for name in NUMBERS}
    scores = np.asarray(fitted.scores)
    # JSON has no NaN: what is not finite is a text.
    rows = [[v if math.isfinite(v) else repr(v) for v in row] for row in scores.tolist()]
    record |= {"scores": rows, "dtype": str(scores.dtype)}
    record["chosen"] = [_plain(one) for one in fitted.chosen]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json_file(file, record, force=True)


def kept_fit(file: Path, mark: str) -> Fitted | None:
    """What was kept of a method, without its models.

    Args:
        file: of ``keep_fit``.
        mark: of what is to be fitted.

    Returns:
        It; None where there is no file, or one of other rows, folds or keys.

    Raises:
        FileError: a file of something else.
    """
    if not file.exists():
        return None
    record = read_json_file(file, what="the result of a method")
    if record.get("mark") != mark:
        return None
    try:
        numbers = cast("dict[str, Any]", {name: np.array(record[name]) for name in NUMBERS})
        return Fitted(
            models=(),
            scores=np.array(record["scores"], np.float64).astype(record["dtype"]),
            chosen=tuple(record["chosen"]),
            notes=tuple(record["notes"]),
            **numbers,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"file {file}: expected the result of a method, got something else; remove the file"
        ) from error


def _plain(chosen: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in chosen.items():
        value = value.item() if isinstance(value, np.generic) else value
        # What was chosen may be anything; a comparison reads the epoch, which is a number.
        whole = isinstance(value, bool | int | str) or value is None
        fine = whole or (isinstance(value, float) and math.isfinite(value))
        found[str(name)] = value if fine else repr(value)
    return found
