"""From settings to trained networks."""

import dataclasses
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

from jaxmtl.cli.console import Console
from jaxmtl.cli.settings import Settings
from jaxmtl.data import (
    Dataset,
    SplitIndices,
    Table,
    TableError,
    chronological_split,
    column_split,
    prepare,
    random_split,
    read_table,
    write_air_quality,
)
from jaxmtl.models import HardSharing
from jaxmtl.training import Run, fit, fit_adaptive

BUILT_IN = "air_quality.xlsx"


class Trained(NamedTuple):
    """Both runs and what they were trained on.

    Attributes:
        model: the network.
        run: that split itself.
        hard: plain hard sharing from the same start.
        dataset: scaled rows.
        table: as read.
    """

    model: HardSharing
    run: Run
    hard: Run
    dataset: Dataset
    table: Table


def load_table(settings: Settings, folder: Path) -> Table:
    """Reads the table, or writes the built-in one into a folder and reads that.

    Args:
        settings: complete.
        folder: where the built-in workbook is written.

    Returns:
        The columns in use.

    Raises:
        TableError: see ``jaxmtl.data.read_table``.
    """
    if settings.table is not None:
        return _read(settings, settings.table)
    path = os.fspath(write_air_quality(folder / BUILT_IN))
    # The folder has another name once it is complete, and none if something is wrong.
    shown = f"{BUILT_IN} (built-in data)"
    try:
        table = _read(settings, path)
    except TableError as error:
        raise TableError(str(error).replace(path, shown)) from error
    return dataclasses.replace(table, source=table.source.replace(path, shown))


def _read(settings: Settings, path: str) -> Table:
    return read_table(
        path,
        features=settings.features or (),
        targets=settings.targets or (),
        sheet=find_sheet(path, settings.sheet),
        missing_values=settings.missing_values,
        keep=() if settings.split_column is None else (settings.split_column,),
    )


def find_sheet(path: str | os.PathLike[str], sheet: str | None) -> str | int:
    """The sheet that the text of an option means: a name, or else a number from 0.

    Args:
        path: of the workbook.
        sheet: text of the option; None for the first sheet.

    Returns:
        What ``read_table`` takes.

    Example:
        >>> find_sheet("air.csv", None), find_sheet("air.csv", "2021")
        (0, 2021)
    """
    if sheet is None:
        return 0
    if not sheet.isdecimal():
        return sheet
    try:
        from openpyxl import load_workbook

        book = load_workbook(path, read_only=True)
        names = [name.strip() for name in book.sheetnames]
        book.close()
    except Exception:  # whatever is wrong with the file, read_table has the sentence for it
        names = []
    return sheet if sheet.strip() in names else int(sheet)


def train(settings: Settings, table: Table, console: Console) -> Trained:
    """Trains the adaptive run, and plain hard sharing from the same start.

    Args:
        settings: complete.
        table: see ``load_table``.
        console: told of the progress.

    Returns:
        Both runs; either may have diverged.

    Raises:
        ValueError: rows or options that do not go together.
    """
    dataset, notes = prepare_rows(settings, table)
    for note in notes:
        console.note(note)
    model = HardSharing(
        shared=settings.shared,
        nodes=settings.nodes,
        towers=settings.towers,
        outputs=(1,) * len(dataset.targets),
        activation=settings.activation,
        output_activation=settings.output_activation,
    )
    # One key each, but from the same seed: both runs start from the same values.
    shared: dict[str, Any] = {
        "optimizer": getattr(optax, settings.optimizer),
        "batch_size": settings.batch_size,
        "shuffle": settings.shuffle,
        "aggregator": settings.aggregator,
    }
    with console.training("adaptive", dataset.targets) as on_progress:
        run = fit_adaptive(
            model,
            dataset.splits,
            phases=settings.phases,
            rule=settings.rule,
            zeros=settings.zeros,
            transplant=settings.transplant,
            on_progress=on_progress,
            key=jax.random.key(settings.seed),
            **shared,
        )
    with console.training("hard sharing", dataset.targets) as on_progress:
        hard = fit(
            model,
            dataset.splits,
            epochs=settings.hard_epochs or 1,
            learning_rate=settings.phases[0].learning_rate,
            on_progress=on_progress,
            key=jax.random.key(settings.seed),
            **shared,
        )
    return Trained(model, run, hard, dataset, table)


def prepare_rows(settings: Settings, table: Table) -> tuple[Dataset, list[str]]:
    """Splits and scales the rows.

    Args:
        settings: complete; the seed is that of a random split.
        table: see ``load_table``.

    Returns:
        Scaled rows, and what the user should know about them.

    Raises:
        TableError: rows or options that do not go together.
    """
    indices = _split(settings, table)
    # -W error must not turn a note into a failure, nor a note be lost.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        dataset = prepare(
            table,
            indices,
            missing_features=settings.missing,
            missing_targets=settings.missing_targets or settings.missing,
            scaling=settings.scaling,
            scale_on=settings.scale_on,
        )
    return dataset, [str(warning.message) for warning in caught]


def _split(settings: Settings, table: Table) -> SplitIndices:
    num_rows, column = len(table.rows), settings.split_column
    if column is not None:
        place = f"{table.source}, column {column!r}"
        return column_split(table.kept[column], place=place, rows=table.rows)
    fractions = {"test": settings.test, "validation": settings.validation, "source": table.source}
    if settings.split == "chronological":
        return chronological_split(num_rows, gap=settings.gap, **fractions)
    return random_split(num_rows, seed=settings.seed, **fractions)
