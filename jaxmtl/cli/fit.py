"""``jaxmtl fit``: from a table to a run folder."""

import os
from pathlib import Path
from typing import Any

from jaxmtl.cli import options
from jaxmtl.cli.cache import use_cache
from jaxmtl.cli.errors import DivergedError, in_one_sentence
from jaxmtl.cli.options import with_options
from jaxmtl.cli.settings import Settings, settings_from_json
from jaxmtl.data.options import FoldOptions, ReadingOptions
from jaxmtl.methods.study.options import PairOptions

PRESETS = {"study": Settings()}
OUT = "jaxmtl-run"


@in_one_sentence
@with_options(ReadingOptions, FoldOptions, PairOptions, preset=PRESETS["study"])
def fit(
    *,
    preset: options.Preset = "study",
    config: options.Config = None,
    out: options.Out = OUT,
    force: options.Force = False,
    quiet: options.Quiet = False,
    given: dict[str, Any],
    no_cache: options.NoCache = False,
) -> None:
    """Train the adaptive network, and plain hard sharing beside it, and write a run folder.

    Without TABLE, a made-up air-quality workbook is written into the run folder and used.
    """
    if preset not in PRESETS:
        raise ValueError(f"--preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
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
    from jaxmtl.cli.console import Console
    from jaxmtl.cli.training import load_table, train
    from jaxmtl.files.atomic import new_folder
    from jaxmtl.prediction.card import fingerprint
    from jaxmtl.prediction.folder import is_run_folder
    from jaxmtl.report import Reading, load_run, summarize
    from jaxmtl.report.run.outcome import Outcome, write_run

    console = Console(quiet=quiet)
    if (why := use_cache(wanted=cache)) is not None:
        console.note(why)
    settings = preset if config is None else _repeated(config, given, console)
    settings = settings.with_options(**given).complete()
    _keep_table(settings.table, out)
    with new_folder(out, force=force, replaceable=is_run_folder) as folder:
        table = load_table(settings, folder)
        trained = train(settings, table, console)
        saved = settings.to_json()
        if settings.table is not None:
            saved["table"] = os.path.abspath(settings.table)
            saved["table_sha256"] = fingerprint(settings.table)
        outcome = Outcome(
            run=trained.run,
            model=trained.model,
            dataset=trained.dataset,
            baseline=trained.hard,
            table=table,
            phases=settings.phases,
            shuffled=settings.shuffle,
            reading=Reading(settings.missing, settings.missing_values),
            settings=saved,
        )
        write_run(folder, outcome)
    run = load_run(out)
    console.say(summarize(run))
    console.say(f"\nwritten to {out}")
    diverged = [e["divergence"] for e in run.metrics["runs"].values() if "divergence" in e]
    if diverged:
        raise DivergedError(
            f"{diverged[0]['sentence']}; the last finite state is saved in {out}; lower the "
            "learning rate in --phases or scale the columns"
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
    from jaxmtl.prediction.folder import read_json

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
