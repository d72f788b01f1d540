"""``jaxmtl fit``: from a table to a run folder."""

import dataclasses
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmtl.cli import options
from jaxmtl.cli.cache import use_cache
from jaxmtl.cli.errors import DivergedError, in_one_sentence
from jaxmtl.cli.fit_table import fit_table_command, saved_options, table_settings
from jaxmtl.cli.options import with_options
from jaxmtl.cli.own import check_named, load_own
from jaxmtl.cli.paths import kept_path_of, path_of
from jaxmtl.cli.preset import STUDY, marked, method_of_structure, preset_of, refuse_of_tables
from jaxmtl.cli.reading import how_to_read
from jaxmtl.cli.rows import load_table, prepare_rows
from jaxmtl.cli.settings import Settings, check_used, settings_from_json
from jaxmtl.cli.signals import undone_when_interrupted
from jaxmtl.cli.unfinished import kept_beside, remove_unfinished
from jaxmtl.data.options import ColumnOptions, FoldOptions, ReadingOptions, ScalingOptions
from jaxmtl.methods.study.options import PairOptions, StudyOptions
from jaxmtl.prediction.options import TableOptions

if TYPE_CHECKING:
    from jaxmtl.cli.console import Console
    from jaxmtl.data import Dataset, Table
    from jaxmtl.report import Reading

OUT = "jaxmtl-run"
PAIR = "study"
SHOWN = {
    "test": "0.2 with --preset study; 0 for tables: no row is set aside",
    "structure": "auto; study with --preset study",
}
OF_A_COMPARISON = ("arms", "reference", "seeds", "time_limit")


@in_one_sentence
@with_options(
    ReadingOptions,
    ColumnOptions,
    FoldOptions,
    TableOptions,
    PairOptions,
    preset=Settings(),
    shown=SHOWN,
    mark=marked,
)
def fit(
    *,
    preset: options.Preset = None,
    method: options.MethodName = None,
    config: options.Config = None,
    out: options.Out = OUT,
    force: options.Force = False,
    quiet: options.Quiet = False,
    given: dict[str, Any],
    no_cache: options.NoCache = False,
) -> None:
    """Learn to predict columns of a table from the others, and write a run folder.

    Columns may be of any kind; what predicts held-out rows best is kept, and what it is good for is
    said. With --preset study, train the adaptive network on columns of numbers, and plain hard
    sharing beside it. With --method, train what that names instead. Without TABLE, a made-up
    air-quality workbook is written into the run folder, and the study's networks learn from it.

    Options marked "Study only." go with --preset study, "Tables only." with table and quick; the
    others go with all.
    """
    from jaxmtl.cli.console import Console
    from jaxmtl.methods.study.arms import fits

    out = path_of("--out", out)
    if "table" in given:
        given["table"] = kept_path_of("TABLE", given["table"])
    console = Console(quiet=quiet)
    load_own("--method", method)
    load_own("--aggregator", given.get("aggregator"))
    if (why := use_cache(wanted=not no_cache)) is not None:
        console.note(why)
    saved = {} if config is None else saved_options(config)
    asked, preset = preset, preset_of(preset, given, method, config=config, saved=saved)
    if preset != STUDY:
        settings, method = table_settings(given, saved, method, preset)
        _keep_table(settings.table, out)
        fit_table_command(settings, method, out, console, force=force)
        return
    method = method_of_structure(given.pop("structure", None), method)
    by_method = method if asked is None and config is None and "table" in given else None
    refuse_of_tables(given, by_method)
    if by_method is not None:
        console.note(f"--method {method}: trained as --preset {STUDY} trains")
    settings, before = Settings(), None
    if config is not None:
        settings, before = _repeated(config, given, console)
    if "aggregator" not in given:
        check_named(settings.aggregator, "--aggregator")
    if method is None:
        check_named(before, "--method")
    settings = settings.with_options(**given).complete()
    name, place = (before, f" of {config}") if method is None else (method, "")
    if name not in (None, PAIR):
        name = _method_name(name, place, given, settings)
    method = None if name == PAIR else name
    if method is None and settings.aggregator is not None:
        if (why := fits(settings.aggregator, len(settings.targets or ()))) is not None:
            raise ValueError(f"--aggregator: {why}")
    _fit(settings, method, out, console, force=force)


def _method_name(name: str, place: str, given: dict[str, Any], settings: Settings) -> str:
    """The full name of a method, if it goes with the options that were given."""
    from jaxmtl.aggregation.known import split_names
    from jaxmtl.comparison import check_arms
    from jaxmtl.methods import WITHOUT_STEPS
    from jaxmtl.methods.study.arms import GROUPS, JOINT

    if len(split_names(name)) != 1 or name in GROUPS:
        raise ValueError(f"--method: expected the name of one method, got {name!r}")
    try:
        tasks = len(settings.targets or ())
        (found,) = check_arms([name], name, tasks, settings.protocol())
    except ValueError as error:
        raise ValueError(f"--method: {str(error).removeprefix('arms: ')}") from error
    if "aggregator" in given and found not in WITHOUT_STEPS:
        whole = f"{found.partition(JOINT)[0]}{JOINT}{given['aggregator']}"
        raise ValueError(
            "--aggregator: with --method, it is part of the name; write --method "
            f"{shlex.quote(whole)}"
        )
    used = [ScalingOptions] if found in WITHOUT_STEPS else [StudyOptions]
    check_used(given, used, f"--method {name}{place}")
    return found


def _fit(
    settings: Settings, method: str | None, out: str, console: "Console", *, force: bool
) -> None:
    from jaxmtl.files.atomic import new_folder
    from jaxmtl.methods import WITHOUT_STEPS
    from jaxmtl.methods.study.memory import check_memory
    from jaxmtl.prediction.card import fingerprint
    from jaxmtl.prediction.folder import is_run_folder
    from jaxmtl.report import load_run, summarize

    _keep_table(settings.table, out)
    if method not in WITHOUT_STEPS:
        check_memory(
            shared=settings.shared,
            nodes=settings.nodes,
            towers=settings.towers,
            batch_size=settings.batch_size,
            features=len(settings.features or ()),
            tasks=len(settings.targets or ()),
        )
    with (
        undone_when_interrupted(),
        new_folder(out, force=force, replaceable=is_run_folder) as folder,
        kept_beside(out) as unfinished,
    ):
        table = load_table(settings, folder)
        dataset, notes = prepare_rows(settings, table, trains=method not in WITHOUT_STEPS)
        table = dataclasses.replace(table, notes=(*table.notes, *notes))
        for note in table.notes:
            console.note(note)
        saved = settings.to_json()
        if settings.table is not None:
            saved["table"] = os.path.abspath(settings.table)
            saved["table_sha256"] = fingerprint(settings.table)
        if method is None:
            _train_study(settings, folder, table, dataset, saved, console)
        else:
            saved["method"] = method
            _train_method(settings, method, (folder, unfinished), table, dataset, saved, console)
    remove_unfinished(out)
    run = load_run(out)
    console.say(summarize(run))
    console.say(f"\nwritten to {out}")
    diverged = [e["divergence"] for e in run.metrics["runs"].values() if "divergence" in e]
    if diverged:
        raise DivergedError(
            f"{diverged[0]['sentence']}; the last finite state is saved in {out}; lower the "
            "learning rate in --phases or scale the columns"
        )


def _train_study(
    settings: Settings,
    folder: Path,
    table: "Table",
    dataset: "Dataset",
    saved: dict[str, Any],
    console: "Console",
) -> None:
    """The adaptive network, and plain hard sharing beside it."""
    import optax

    from jaxmtl.methods.study.run_study import run_study
    from jaxmtl.models import HardSharing
    from jaxmtl.report.run.save import write_run

    model = HardSharing(
        shared=settings.shared,
        nodes=settings.nodes,
        towers=settings.towers,
        outputs=(1,) * len(dataset.targets),
        activation=settings.activation,
        output_activation=settings.output_activation,
    )
    runs = run_study(
        model,
        dataset.splits,
        seed=settings.seed,
        phases=settings.phases,
        hard_epochs=settings.hard_epochs or 1,
        optimizer=getattr(optax, settings.optimizer),
        batch_size=settings.batch_size,
        shuffle=settings.shuffle,
        rule=settings.rule,
        zeros=settings.zeros,
        transplant=settings.transplant,
        aggregator=settings.aggregator,
        watch=lambda name: console.training(name, dataset.targets),
    )
    write_run(
        folder,
        runs.adaptive,
        model=model,
        dataset=dataset,
        baseline=runs.hard,
        table=table,
        phases=settings.phases,
        shuffled=settings.shuffle,
        reading=_reading(settings),
        settings=saved,
    )


def _train_method(
    settings: Settings,
    method: str,
    folders: tuple[Path, Path],
    table: "Table",
    dataset: "Dataset",
    saved: dict[str, Any],
    console: "Console",
) -> None:
    """Any method, as ``compare`` trains it for the one seed; goes on with what was broken off."""
    import jax
    import numpy as np

    from jaxmtl.data import data_of
    from jaxmtl.methods import Work, find_method
    from jaxmtl.prediction.kept import Kept
    from jaxmtl.report.run.fitted import write_fitted_run

    folder, unfinished = folders
    data, folds = data_of([dataset])
    keys = jax.vmap(jax.random.key)(np.array([settings.seed], np.uint32))
    kept = Kept(unfinished, data, folds, seed=settings.seed, asked=saved)
    checkpoint = kept.checkpoint(STUDY)
    if any(checkpoint.rglob("*.npz")):
        console.note("it goes on where the same command was broken off")
    with console.sweeping() as on_progress:
        work = Work(checkpoint=checkpoint, resume=True, on_progress=on_progress)
        fitted = find_method(method, protocol=settings.protocol()).fit(data, folds, keys, work)
    for note in fitted.notes:
        console.note(note)
    write_fitted_run(
        folder,
        fitted,
        method=method,
        dataset=dataset,
        table=table,
        reading=_reading(settings),
        shuffled=settings.shuffle,
        settings=saved,
    )


def _reading(settings: Settings) -> "Reading":
    """How ``predict`` is to read tables."""
    from jaxmtl.report import Reading

    return Reading(settings.missing, **how_to_read(settings))


def _keep_table(table: str | None, out: str) -> None:
    if table is not None and Path(out).resolve() in Path(table).resolve().parents:
        raise ValueError(
            f"file {table}: it lies in the folder {out}, which is to be written anew; choose "
            "another folder with --out"
        )


def _repeated(
    config: str, given: dict[str, Any], console: "Console"
) -> tuple[Settings, str | None]:
    """Settings and method of an older run, or of a comparison; notes what is not as it was then."""
    from jaxmtl.prediction.card import fingerprint, versions
    from jaxmtl.prediction.run_json import read_json

    path = Path(path_of("--config", config))
    path = path / "config.json" if path.is_dir() else path
    saved = read_json(path)
    settings = saved.get("settings")
    if not isinstance(settings, dict):
        raise ValueError(
            f"file {path}: expected the settings of 'jaxmtl fit', got none; repeat the run as it "
            "was made"
        )
    settings = {name: v for name, v in settings.items() if name not in OF_A_COMPARISON}
    method = settings.pop("method", None)
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
        return settings_from_json(settings), method
    except ValueError as error:
        raise ValueError(f"file {path}, {error}") from error
