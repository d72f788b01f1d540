"""The rows of the study's presets: read, divided and scaled as the settings say."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jaxmtl.cli.reading import how_to_read
from jaxmtl.cli.settings import Settings

if TYPE_CHECKING:
    from jaxmtl.data import Dataset, Table

BUILT_IN = "air_quality.xlsx"


def load_table(settings: Settings, folder: Path) -> "Table":
    """Reads the table, or writes the built-in one into a folder and reads that.

    Args:
        settings: complete.
        folder: where the built-in workbook is written.

    Returns:
        The columns in use.

    Raises:
        TableError: see ``jaxmtl.data.read_table``.
    """
    from jaxmtl.data import TableError, write_air_quality

    if settings.table is not None:
        return _read(settings, settings.table)
    path = os.fspath(write_air_quality(folder / BUILT_IN))
    # The folder has another name once it is complete, and none if something is wrong.
    shown = f"{BUILT_IN} (built-in data)"
    try:
        table = _read(settings, path)
    except TableError as error:
        raise TableError(str(error).replace(path, shown)) from error
    notes = tuple(note.replace(path, shown) for note in table.notes)
    return dataclasses.replace(table, source=table.source.replace(path, shown), notes=notes)


def prepare_rows(
    settings: Settings, table: "Table", *, trains: bool = True, remarks: bool = True
) -> "tuple[Dataset, tuple[str, ...]]":
    """Splits and scales the rows.

    Args:
        settings: complete; the seed is that of a random split.
        table: see ``load_table``.
        trains: whether a network is trained on them.
        remarks: whether to look at what they hold, which is alike for all seeds of a comparison.

    Returns:
        Scaled rows, and what the user should know about them.

    Raises:
        TableError: rows or options that do not go together.
    """
    from jaxmtl.data.chronology import describe_order, rising_column
    from jaxmtl.data.divide import divide, prepare_noted
    from jaxmtl.data.remarks import (
        one_task_dominates,
        order_matters,
        rows_outside,
        usable_rows,
    )

    targets = settings.missing_targets or settings.missing
    table, notes = usable_rows(table, settings.missing, targets)
    indices = divide(
        table,
        settings.split or "random",
        seed=settings.seed,
        test=settings.test,
        validation=settings.validation,
        gap=settings.gap,
        column=settings.split_column,
        time=settings.time,
    )
    if settings.split == "chronological":
        notes += (describe_order(table, indices, settings.time or rising_column(table)),)
    dataset, said = prepare_noted(
        table,
        indices,
        missing_features=settings.missing,
        missing_targets=targets,
        scaling=settings.scaling,
        scale_on=settings.scale_on,
    )
    found = [rows_outside(table, dataset)] if remarks else []
    if trains and remarks:
        how = {"batch_size": settings.batch_size, "shuffle": settings.shuffle}
        found += [one_task_dominates(dataset), order_matters(dataset, **how)]
    return dataset, (*notes, *said, *(remark for remark in found if remark is not None))


def _read(settings: Settings, path: str) -> "Table":
    from jaxmtl.data import read_table
    from jaxmtl.data.reading.sheets import find_sheet

    return read_table(
        path,
        features=settings.features or (),
        targets=settings.targets or (),
        sheet=find_sheet(path, settings.sheet),
        keep=[name for name in (settings.split_column, settings.time) if name is not None],
        keep_dates=settings.split == "chronological" and settings.time is None,
        **how_to_read(settings),
    )
