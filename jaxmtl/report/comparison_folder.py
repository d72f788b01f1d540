"""A comparison as a folder: tables, pictures, and a page to read."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from jaxmtl.comparison import Comparison
from jaxmtl.files.atomic import check_folder, new_file
from jaxmtl.files.json_file import write_json_file
from jaxmtl.files.names import folder_name
from jaxmtl.prediction.card import machine, versions
from jaxmtl.prediction.records import write_csv
from jaxmtl.report.page.about_comparison import AboutComparison
from jaxmtl.report.page.comparison_page import write_comparison_page
from jaxmtl.report.pictures.comparison_pictures import write_comparison_pictures

COMPARISON = "comparison.json"
TABLES = ("leaderboard", "per_seed", "contrasts")


def write_comparison(
    folder: Path,
    comparison: Comparison,
    *,
    table: str = "",
    rows: Mapping[str, int] = MappingProxyType({}),
    features: tuple[str, ...] = (),
    split: str = "",
    protocol: str = "",
    command: str = "",
    settings: Mapping[str, Any] = MappingProxyType({}),
    pages: Mapping[str, str] = MappingProxyType({}),
    use: str = "",
) -> list[Path]:
    """Writes tables, pictures, ``report.html`` and, last of all, ``comparison.json``.

    Args:
        folder: is there; files of these names are replaced, each in one step.
        comparison: what was found.
        table: where the rows come from; as with the rest, empty leaves it out.
        rows: number of rows by split.
        features: names of columns.
        split: how the rows were divided, in words.
        protocol: what was common to all arms, in words.
        command: that repeats it.
        settings: JSON values.
        pages: by other measures, see ``AboutComparison``.
        use: the command that trains what is to be used.

    Returns:
        The files.
    """
    written = []
    for name in TABLES:
        frame: pd.DataFrame = getattr(comparison, name)
        if name == "contrasts" and len(comparison.controls):
            frame = pd.concat([frame, comparison.controls], ignore_index=True)
        written.append(_written(folder / f"{name}.csv", frame))
    if comparison.equal_time is not None:
        written.append(_written(folder / "equal_time.csv", comparison.equal_time.arms))
    frames = {name: getattr(comparison, name) for name in TABLES}
    written += write_comparison_pictures(folder, reference=comparison.reference, **frames)
    selection = (
        "the epoch with the smallest mean validation error of each run"
        if comparison.selected
        else "the last epoch of each run (there are no validation rows)"
    )
    if comparison.measure:
        selection = ""  # each run knows itself
    about = AboutComparison(
        table=table,
        rows=dict(rows),
        features=features,
        tasks=comparison.tasks,
        split=split,
        seeds=comparison.seeds,
        arms=dict(comparison.descriptions),
        reference=comparison.reference,
        selection=selection,
        protocol=protocol,
        versions=versions(),
        command=command,
        seconds=comparison.seconds,
        notes=comparison.notes,
        machine=", ".join(f"{name} {value}" for name, value in machine().items()),
        pages=dict(pages),
        answer=comparison.answer,
        use=use,
    )
    written.append(
        write_comparison_page(
            folder / "report.html",
            sentences=comparison.sentences[len(comparison.answer) :],
            about=about,
            equal_time=comparison.equal_time,
            force=True,
            **frames,
        )
    )
    record = {
        "format": "jaxmtl comparison 1",
        "settings": dict(settings),
        "reference": comparison.reference,
        "seeds": list(comparison.seeds),
        "notes": list(comparison.notes),
        "recommended": comparison.recommended,
        "conclusion": comparison.conclusion,
        "test_share": comparison.test_share,
        "seconds": comparison.seconds,
        "versions": versions(),
        "machine": machine(),
    }
    write_json_file(folder / COMPARISON, _plain(record), force=True)
    return [*written, folder / COMPARISON]


def _written(path: Path, frame: pd.DataFrame) -> Path:
    with new_file(path, force=True) as file:
        cells: Any = frame.astype(object).where(frame.notna(), None)
        write_csv(file, [str(name) for name in frame.columns], cells.to_numpy())
    return path


def save_comparison(
    folder: str | os.PathLike[str], comparison: Comparison, *, force: bool = False
) -> Path:
    """Saves what was compared as a folder: a page to read, pictures, and tables.

    ``report.html`` opens from disk; ``per_seed.csv``, ``leaderboard.csv`` and ``contrasts.csv``
    have its numbers. Comparisons by other measures of the same runs have folders of their own,
    and every page leads to the others.

    Args:
        folder: of any name.
        comparison: from ``jaxmtl.compare`` or ``jaxmtl.compare_runs``.
        force: an older folder of a comparison may be replaced.

    Returns:
        The page.

    Raises:
        RunFolderError: the folder is there already, or cannot be written.

    Example:
        >>> import tempfile
        >>> import jaxmtl
        >>> found = jaxmtl.compare_runs({"a": [0.3, 0.2, 0.4], "b": [0.2, 0.1, 0.2]})
        >>> with tempfile.TemporaryDirectory() as place:
        ...     page = save_comparison(Path(place, "out"), found)
        ...     sorted(path.name for path in page.parent.iterdir())[2:4]
        ['differences.png', 'leaderboard.csv']
    """
    place = check_folder(folder, force=force, replaceable=lambda old: (old / COMPARISON).exists())
    inside = {measure: f"{folder_name(measure)}/" for measure in comparison.others}
    where = {comparison.measure: ""} | inside
    for measure, one in {comparison.measure: comparison, **comparison.others}.items():
        own = place / where[measure]
        own.mkdir(parents=True, exist_ok=True)
        back = "../" if where[measure] else ""
        pages = {name: f"{back}{at}report.html" for name, at in where.items() if name != measure}
        write_comparison(own, one, pages=pages)
    return place / "report.html"


def _plain(value: Any) -> Any:
    """A value that JSON knows: NaN and infinite numbers are null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
