"""``jaxmtl fit``: from a table to a run folder."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxmtl.cli.errors import DivergedError, in_one_sentence
from jaxmtl.cli.parse import FORM, parse_names, parse_phases, parse_sizes
from jaxmtl.cli.settings import CHOICES, OPTIMIZERS, Settings, settings_from_json

PRESETS = {"study": Settings()}
OUT = "jaxmtl-run"
STUDY = PRESETS["study"]


def _one_of(name: str) -> str:
    return "|".join(CHOICES[name])


@in_one_sentence
def fit(
    table: Annotated[
        str | None,
        typer.Argument(help="Workbook (.xlsx) or text table (.csv).", show_default="built-in data"),
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="Columns to predict from: A,B.", metavar="NAMES")
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Columns to predict, one task each: C,D.", metavar="NAMES")
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(help="Name or number (from 0).", show_default="the first")
    ] = None,
    preset: Annotated[str, typer.Option(help="Defaults of all options: study.")] = "study",
    config: Annotated[
        str | None,
        typer.Option(help="Repeat the run of this folder or config.json.", metavar="RUN"),
    ] = None,
    out: Annotated[str, typer.Option(help="Folder to write.")] = OUT,
    force: Annotated[bool, typer.Option("--force", help="Replace an older run folder.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Of split, initial values and order.", show_default=str(STUDY.seed)),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            help="Missing features.", metavar=_one_of("missing"), show_default=STUDY.missing
        ),
    ] = None,
    missing_targets: Annotated[
        str | None,
        typer.Option(
            help="Missing targets.", metavar=_one_of("missing_targets"), show_default="as --missing"
        ),
    ] = None,
    missing_values: Annotated[
        str | None,
        typer.Option(help="What stands for a missing value: 0,-999.", metavar="VALUES"),
    ] = None,
    scaling: Annotated[
        str | None,
        typer.Option(
            metavar=_one_of("scaling"), show_default=STUDY.scaling, help="Of all columns."
        ),
    ] = None,
    scale_on: Annotated[
        str | None,
        typer.Option(
            help="Rows that scales are fitted on.",
            metavar=_one_of("scale_on"),
            show_default=STUDY.scale_on,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="How rows are divided.", metavar=_one_of("split"), show_default="random"),
    ] = None,
    test: Annotated[
        float | None, typer.Option(help="Fraction to test on.", show_default=str(STUDY.test))
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="Fraction to validate on.", show_default="0")
    ] = None,
    gap: Annotated[
        int | None,
        typer.Option(
            help="Rows left out between parts of a chronological split.", show_default="0"
        ),
    ] = None,
    split_column: Annotated[
        str | None, typer.Option(help="Column with train, validation or test.", metavar="NAME")
    ] = None,
    shared: Annotated[
        str | None,
        typer.Option(
            help="Sizes of shared layers below the bank.", metavar="SIZES", show_default="4"
        ),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(help="Nodes of the bank.", show_default=str(STUDY.nodes))
    ] = None,
    towers: Annotated[
        str | None,
        typer.Option(help="Sizes of each task's own layers.", metavar="SIZES", show_default="none"),
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Of hidden layers.", show_default=STUDY.activation)
    ] = None,
    output_activation: Annotated[
        str | None,
        typer.Option(help="Of outputs.", show_default="sigmoid if scaled to 0..1, else identity"),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(help=f"One of {', '.join(OPTIMIZERS)}.", show_default=STUDY.optimizer),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows of one update.", show_default="1")
    ] = None,
    shuffle: Annotated[
        bool | None,
        typer.Option("--shuffle/--no-shuffle", help="A new order every epoch.", show_default="no"),
    ] = None,
    phases: Annotated[
        str | None,
        typer.Option(
            help=f"Schedule, each phase as {FORM}.",
            metavar="PHASES",
            show_default="200,80,10,0.005;50,50,8;100,51,8;300,,,0.001",
        ),
    ] = None,
    hard_epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of plain hard sharing, to compare with.",
            show_default="480; with --phases, those of all phases",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="Signs in conflict.", metavar=_one_of("rule"), show_default=STUDY.rule),
    ] = None,
    zeros: Annotated[
        str | None,
        typer.Option(
            help="What exact zeros do to a streak.",
            metavar=_one_of("zeros"),
            show_default=STUDY.zeros,
        ),
    ] = None,
    transplant: Annotated[
        str | None,
        typer.Option(
            help="Optimizer state across phases.",
            metavar=_one_of("transplant"),
            show_default=STUDY.transplant,
        ),
    ] = None,
) -> None:
    """Train the adaptive network, and plain hard sharing beside it, and write a run folder.

    Without TABLE, a made-up air-quality workbook is written into the run folder and used.
    """
    if preset not in PRESETS:
        raise ValueError(f"--preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
    given: dict[str, Any] = {
        "table": table,
        "features": None if features is None else parse_names(features),
        "targets": None if targets is None else parse_names(targets),
        "sheet": sheet,
        "seed": seed,
        "missing": missing,
        "missing_targets": missing_targets,
        "missing_values": None if missing_values is None else parse_names(missing_values),
        "scaling": scaling,
        "scale_on": scale_on,
        "split": split,
        "test": test,
        "validation": validation,
        "gap": gap,
        "split_column": split_column,
        "shared": None if shared is None else parse_sizes("--shared", shared),
        "nodes": nodes,
        "towers": None if towers is None else parse_sizes("--towers", towers),
        "activation": activation,
        "output_activation": output_activation,
        "optimizer": optimizer,
        "batch_size": batch_size,
        "shuffle": shuffle,
        "phases": None if phases is None else parse_phases(phases),
        "hard_epochs": hard_epochs,
        "rule": rule,
        "zeros": zeros,
        "transplant": transplant,
    }
    given = {name: value for name, value in given.items() if value is not None}
    _fit(PRESETS[preset], given, config, out, force=force, quiet=quiet)


def _fit(
    preset: Settings,
    given: dict[str, Any],
    config: str | None,
    out: str,
    *,
    force: bool,
    quiet: bool,
) -> None:
    # These load pandas and flax, which --help should not wait for.
    from jaxmtl.cli.console import Console
    from jaxmtl.cli.training import load_table, train
    from jaxmtl.report import Reading, load_run, summarize
    from jaxmtl.report.atomic import new_folder
    from jaxmtl.report.folder import is_run_folder
    from jaxmtl.report.manifest import fingerprint
    from jaxmtl.report.outcome import Outcome, write_run

    console = Console(quiet=quiet)
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
    from jaxmtl.report.folder import read_json
    from jaxmtl.report.manifest import fingerprint, versions

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
