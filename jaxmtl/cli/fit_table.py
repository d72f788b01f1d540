"""``jaxmtl fit --preset table``: from a table of any kind to a run folder."""

import dataclasses
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from jaxmtl._options import Option, check_all, check_names, check_value, declared
from jaxmtl.cli.devices import start_devices
from jaxmtl.cli.reading import how_to_read
from jaxmtl.cli.settings import Settings
from jaxmtl.cli.signals import undone_when_interrupted
from jaxmtl.cli.unfinished import kept_beside, remove_unfinished
from jaxmtl.data.options import ColumnOptions, Fraction, ReadingOptions, Seed
from jaxmtl.prediction.options import TABLE, WORDS, TableOptions

if TYPE_CHECKING:
    from jaxmtl.cli.console import Console
    from jaxmtl.prediction.fit_table import TableFit
    from jaxmtl.structure import Structure

# Options that differ from the defaults.
TABLE_PRESETS: dict[str, dict[str, Any]] = {
    TABLE: {},
    "quick": {"families": ("mean", "linear", "boosted"), "folds": 3},
}
# What gaps and scales come to is part of the coding here.
NOT_USED = ("missing", "missing_targets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableSettings(TableOptions, ColumnOptions, ReadingOptions):
    """Options of ``jaxmtl fit --preset table``.

    Example:
        >>> TableSettings(table="a.csv", targets=("O3",)).families
        ()
    """

    preset: Annotated[Literal["table", "quick"], Option(help="What is trained.")] = "table"
    table: Annotated[str | None, Option(help="Workbook or text table.", positional=True)] = None
    seed: Annotated[Seed, Option(help="Of folds, test rows and methods.")] = 0
    test: Annotated[Fraction, Option(help="Fraction to test on.")] = 0.0
    time: Annotated[str | None, Option(help="Column that says when a row was.")] = None

    def to_json(self) -> dict[str, Any]:
        """As lists, texts and numbers."""
        return dataclasses.asdict(self)


def saved_options(config: str) -> dict[str, Any]:
    """Settings of an older run as they were saved; none where there are none.

    Args:
        config: its folder, or its ``config.json``.

    Returns:
        Values by name.
    """
    from jaxmtl.prediction.run_json import read_json

    path = Path(config)
    saved = read_json(path / "config.json" if path.is_dir() else path).get("settings")
    return saved if isinstance(saved, dict) else {}


def table_settings(
    given: dict[str, Any], saved: dict[str, Any], method: str | None, preset: str
) -> tuple[TableSettings, str | None]:
    """Settings from the options that were given.

    Args:
        given: by name.
        saved: settings of the run that is repeated, as its ``config.json`` has them.
        method: the only family to train, as it was given.
        preset: "table" or "quick".

    Returns:
        The settings, checked, and the only family to train or None.

    Raises:
        ValueError: an option of another preset, or one out of range.
    """
    known = declared(TableSettings)
    for name in given:
        if name in NOT_USED or name not in known:
            flag = declared(Settings)[name].flag
            raise ValueError(f"{flag}: --preset {preset} has no such option; leave it out")
    saved = {name: v for name, v in saved.items() if name != "table_sha256"}
    before = saved.pop("method", None)
    check_names(saved, TableSettings)
    read = {name: check_value(known[name], value, saved=True) for name, value in saved.items()}
    values: dict[str, Any] = {"preset": preset, **TABLE_PRESETS[preset], **read, **given}
    settings = TableSettings(**values)
    for name, value, what in (
        ("TABLE", settings.table, "name the file to learn from"),
        ("--targets", settings.targets, "name the columns to predict, such as --targets a,b"),
    ):
        if not value:
            raise ValueError(f"{name}: expected with --preset {preset}, got none; {what}")
    check_all(settings)
    method = before if method is None else method
    if settings.structure != "auto":
        check_no_method(method)
    return settings, method


def fit_table_command(
    settings: TableSettings, method: str | None, out: str, console: "Console", *, force: bool
) -> None:
    """Learns from a table, writes the run folder and says what is in it.

    Args:
        settings: checked.
        method: the only family to train; None for those of the settings.
        out: folder to write.
        console: to say it on.
        force: whether an older run folder may be replaced.
    """
    began = time.perf_counter()
    start_devices()
    from jaxmtl.files.atomic import new_folder
    from jaxmtl.prediction.card import fingerprint
    from jaxmtl.prediction.folder import is_run_folder
    from jaxmtl.prediction.sample import SAMPLE
    from jaxmtl.report import load_run, summarize
    from jaxmtl.report.run.table import REPORT, write_table_folder

    assert settings.table is not None
    with (
        undone_when_interrupted(),
        new_folder(out, force=force, replaceable=is_run_folder) as folder,
        kept_beside(out) as unfinished,
    ):
        found, table = _learn(settings, method, unfinished, console, began)
        saved = settings.to_json() | {
            "table": os.path.abspath(settings.table),
            "table_sha256": fingerprint(settings.table),
        }
        if settings.structure not in WORDS:  # a file
            saved["structure"] = os.path.abspath(settings.structure)
        if method is not None:
            saved["method"] = method
        write_table_folder(folder, found, table, settings=saved, place=out)
    remove_unfinished(out)
    console.say(summarize(load_run(out)))
    place = shlex.quote(out)
    console.say(f"\nwritten to {out}: open {Path(out) / REPORT} in a browser")
    console.say(f"new rows: jaxmtl predict {place} NEW.xlsx -o OUT.xlsx")
    console.say(f"a column: jaxmtl inspect {place} --feature NAME  (over rows kept in {SAMPLE})")


def check_no_method(method: str | None) -> None:
    """Raises ValueError for a method beside ``--structure``.

    Example:
        >>> check_no_method(None)
    """
    if method is not None:
        raise ValueError(
            f"--structure: expected without --method {method}, which is one way of sharing; leave "
            "one of them out"
        )


def _structure(asked: str, targets: Sequence[str]) -> "str | Structure":
    """A word, or what the file says, in the order of the targets."""
    from jaxmtl.files import FileError
    from jaxmtl.prediction.structures import check_structure
    from jaxmtl.structure import read_structure

    if asked in WORDS:
        return asked
    structure = read_structure(asked)
    try:
        check_structure(structure, targets)
    except ValueError as error:
        raise FileError(f"file {asked}: {error}") from error
    return structure


def _learn(
    settings: TableSettings,
    method: str | None,
    unfinished: Path,
    console: "Console",
    began: float,
) -> "tuple[TableFit, Any]":
    from jaxmtl.data import infer_columns, read_cells
    from jaxmtl.data.reading.sheets import find_sheet
    from jaxmtl.methods import TABLE_FAMILIES, Work
    from jaxmtl.prediction.fit_table import LONGEST, Plan, fit_table
    from jaxmtl.prediction.predictor import Reading
    from jaxmtl.prediction.structures import AUTO

    path, targets = str(settings.table), settings.targets or ()
    if method is not None and method not in TABLE_FAMILIES:
        raise ValueError(
            f"--method: expected one of {', '.join(TABLE_FAMILIES)} with --preset table, got "
            f"{method!r}"
        )
    structure = _structure(settings.structure, targets)
    how = how_to_read(settings)
    expected = (*targets, *(settings.features or ()))
    table = read_cells(path, expected=expected, sheet=find_sheet(path, settings.sheet), **how)
    columns = infer_columns(
        table,
        targets=targets,
        features=settings.features,
        kinds=settings.column_kinds,
        ignore=settings.ignore,
        weights=settings.task_weights,
        group=settings.group,
        time=settings.time,
    )
    for note in (*table.notes, *columns.notes):
        console.note(note)
    named = settings.families not in ((), TABLE_PRESETS[settings.preset].get("families"))
    plan = Plan(
        families=settings.family_names if method is None else (method,),
        folds=settings.folds,
        test=settings.test,
        seed=settings.seed,
        longest=None if method is not None or named or structure != AUTO else LONGEST,
        seconds=settings.time_limit,
        confidence=settings.confidence,
        spent=time.perf_counter() - began,
        structure=structure,
    )
    with console.learning() as on_stage:
        found = fit_table(
            table,
            columns,
            plan,
            reading=Reading(**how),
            work=Work(checkpoint=unfinished),
            on_stage=on_stage,
        )
    for note in found.notes:
        console.note(note)
    return found, table
