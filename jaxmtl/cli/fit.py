"""``jaxmtl fit``: from a table to a run folder."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmtl.cli import options
from jaxmtl.cli.cache import use_cache
from jaxmtl.cli.errors import DivergedError, in_one_sentence
from jaxmtl.cli.settings import Settings, settings_from_json

if TYPE_CHECKING:
    from jaxmtl.data import Dataset, Table

PRESETS = {"study": Settings()}
OUT = "jaxmtl-run"
BUILT_IN = "air_quality.xlsx"


@in_one_sentence
def fit(
    table: options.Table = None,
    features: options.Features = None,
    targets: options.Targets = None,
    sheet: options.Sheet = None,
    preset: options.Preset = "study",
    config: options.Config = None,
    out: options.Out = OUT,
    force: options.Force = False,
    quiet: options.Quiet = False,
    seed: options.Seed = None,
    missing: options.Missing = None,
    missing_targets: options.MissingTargets = None,
    missing_values: options.MissingValues = None,
    scaling: options.Scaling = None,
    scale_on: options.ScaleOn = None,
    split: options.Split = None,
    test: options.Test = None,
    validation: options.Validation = None,
    gap: options.Gap = None,
    split_column: options.SplitColumn = None,
    shared: options.Shared = None,
    nodes: options.Nodes = None,
    towers: options.Towers = None,
    activation: options.Activation = None,
    output_activation: options.OutputActivation = None,
    optimizer: options.Optimizer = None,
    batch_size: options.BatchSize = None,
    shuffle: options.Shuffle = None,
    phases: options.Phases = None,
    hard_epochs: options.HardEpochs = None,
    rule: options.Rule = None,
    zeros: options.Zeros = None,
    transplant: options.Transplant = None,
    aggregator: options.Aggregator = None,
    no_cache: options.NoCache = False,
) -> None:
    """Train the adaptive network, and plain hard sharing beside it, and write a run folder.

    Without TABLE, a made-up air-quality workbook is written into the run folder and used.
    """
    if preset not in PRESETS:
        raise ValueError(f"--preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
    given = options.given_options(locals())
    _fit(PRESETS[preset], given, config, out, force=force, quiet=quiet, cache=not no_cache)


def _fit(
    preset: Settings,
    given: dict[str, Any],
    config: str | None,
    out: str,
    *,
    force: bool,
    quiet: bool,
    cache: bool,
) -> None:
    # These load pandas and flax, which --help should not wait for.
    import optax

    from jaxmtl.cli.console import Console
    from jaxmtl.files.atomic import new_folder
    from jaxmtl.methods.study.run_study import run_study
    from jaxmtl.models import HardSharing
    from jaxmtl.prediction.card import fingerprint
    from jaxmtl.prediction.folder import is_run_folder
    from jaxmtl.report import Reading, load_run, summarize
    from jaxmtl.report.run.save import write_run

    console = Console(quiet=quiet)
    if (why := use_cache(wanted=cache)) is not None:
        console.note(why)
    settings = preset if config is None else _repeated(config, given, console)
    settings = settings.with_options(**given).complete()
    _keep_table(settings.table, out)
    with new_folder(out, force=force, replaceable=is_run_folder) as folder:
        table = load_table(settings, folder)
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
        choice: Any = settings
        runs = run_study(
            model,
            dataset.splits,
            seed=settings.seed,
            phases=settings.phases,
            hard_epochs=settings.hard_epochs or 1,
            optimizer=getattr(optax, settings.optimizer),
            batch_size=settings.batch_size,
            shuffle=settings.shuffle,
            rule=choice.rule,
            zeros=choice.zeros,
            transplant=choice.transplant,
            aggregator=settings.aggregator,
            watch=lambda name: console.training(name, dataset.targets),
        )
        saved = settings.to_json()
        if settings.table is not None:
            saved["table"] = os.path.abspath(settings.table)
            saved["table_sha256"] = fingerprint(settings.table)
        write_run(
            folder,
            runs.adaptive,
            model=model,
            dataset=dataset,
            baseline=runs.hard,
            table=table,
            phases=settings.phases,
            shuffled=settings.shuffle,
            reading=Reading(settings.missing, settings.missing_values),
            settings=saved,
        )
    run = load_run(out)
    console.say(summarize(run))
    console.say(f"\nwritten to {out}")
    diverged = [e["divergence"] for e in run.metrics["runs"].values() if "divergence" in e]
    if diverged:
        raise DivergedError(
            f"{diverged[0]['sentence']}; the last finite state is saved in {out}; lower the "
            "learning rate in --phases or scale the columns"
        )


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
    return dataclasses.replace(table, source=table.source.replace(path, shown))


def prepare_rows(settings: Settings, table: "Table") -> "tuple[Dataset, tuple[str, ...]]":
    """Splits and scales the rows.

    Args:
        settings: complete; the seed is that of a random split.
        table: see ``load_table``.

    Returns:
        Scaled rows, and what the user should know about them.

    Raises:
        TableError: rows or options that do not go together.
    """
    from jaxmtl.data.divide import divide, prepare_noted

    choice: Any = settings
    indices = divide(
        table,
        choice.split,
        seed=settings.seed,
        test=settings.test,
        validation=settings.validation,
        gap=settings.gap,
        column=settings.split_column,
    )
    return prepare_noted(
        table,
        indices,
        missing_features=settings.missing,
        missing_targets=settings.missing_targets,
        scaling=settings.scaling,
        scale_on=settings.scale_on,
    )


def _read(settings: Settings, path: str) -> "Table":
    from jaxmtl.data import read_table
    from jaxmtl.data.reading.sheets import find_sheet

    return read_table(
        path,
        features=settings.features or (),
        targets=settings.targets or (),
        sheet=find_sheet(path, settings.sheet),
        missing_values=settings.missing_values,
        keep=() if settings.split_column is None else (settings.split_column,),
    )


def _keep_table(table: str | None, out: str) -> None:
    if table is not None and Path(out).resolve() in Path(table).resolve().parents:
        raise ValueError(
            f"file {table}: it lies in the folder {out}, which is to be written anew; choose "
            "another folder with --out"
        )


def _repeated(config: str, given: dict[str, Any], console: Any) -> Settings:
    """The settings of an older run; notes what is not as it was then."""
    from jaxmtl.prediction.card import fingerprint, versions
    from jaxmtl.prediction.run_json import read_json

    path = Path(config)
    path = path / "config.json" if path.is_dir() else path
    saved = read_json(path)
    settings = saved.get("settings")
    if not isinstance(settings, dict):
        raise ValueError(
            f"file {path}: expected the settings of 'jaxmtl fit', got none; repeat the run as it "
            "was made"
        )
    settings = dict(settings)
    digest, table = settings.pop("table_sha256", None), settings.get("table")
    if "table" not in given and digest and table and os.path.isfile(table):
        if fingerprint(table) != digest:
            console.note(f"file {table} has changed since the run of {path}")
    then, now = saved.get("versions") or {}, versions()
    changed = [
        f"{name} {then[name]} (now {now.get(name)})" for name in then if then[name] != now.get(name)
    ]
    if changed:
        console.note(f"{path} was made with {', '.join(changed)}: results may differ")
    try:
        return settings_from_json(settings)
    except ValueError as error:
        raise ValueError(f"file {path}, {error}") from error
