"""``jaxmtl compare``: arms against each other over many seeds, as a folder with a report."""

import contextlib
import dataclasses
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmtl.cli import options
from jaxmtl.cli.cache import use_cache
from jaxmtl.cli.errors import in_one_sentence
from jaxmtl.cli.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from jaxmtl.cli.console import Console
    from jaxmtl.comparison import Comparison
    from jaxmtl.data import Dataset, Table

OUT = "jaxmtl-comparison"
CHECKPOINT, SETTINGS = "checkpoint", "config.json"
# Epochs are selected on rows of their own.
PRESET = Settings(validation=0.2)


@in_one_sentence
def compare(
    table: options.Table = None,
    features: options.Features = None,
    targets: options.Targets = None,
    sheet: options.Sheet = None,
    arms: options.Arms = None,
    list_arms: options.ListArms = False,
    reference: options.Reference = "hard_sharing",
    seeds: options.Seeds = 30,
    seed: options.Seed = None,
    out: options.Out = OUT,
    force: options.Force = False,
    resume: options.Resume = False,
    quiet: options.Quiet = False,
    missing: options.Missing = None,
    missing_targets: options.MissingTargets = None,
    missing_values: options.MissingValues = None,
    scaling: options.Scaling = None,
    scale_on: options.ScaleOn = None,
    split: options.Split = None,
    test: options.Test = None,
    validation: options.ValidationOfComparison = None,
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
    rule: options.Rule = None,
    zeros: options.Zeros = None,
    transplant: options.Transplant = None,
    devices: options.Devices = None,
    chunk: options.Chunk = None,
    coordinator: options.Coordinator = None,
    num_processes: options.NumProcesses = 1,
    process_id: options.ProcessId = 0,
    no_cache: options.NoCache = False,
) -> None:
    """Train several methods on many seeds and say, with error bars, which is better.

    Every seed divides the rows anew, and all methods of a seed get the same rows, start and number
    of steps. Without TABLE, made-up air-quality data are used. An interrupted comparison goes on
    with --resume.
    """
    if list_arms:
        _list_arms()
        return
    given = options.given_options(locals())
    settings = PRESET.with_options(**given).complete()
    for name, value, least in (("--seeds", seeds, 1), ("--num-processes", num_processes, 1)):
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")
    if settings.seed + seeds > 2**32:
        raise ValueError(f"--seeds: expected --seed + --seeds below 2**32, got {seeds}")
    _start_devices(devices, coordinator, num_processes, process_id)

    from jaxmtl.cli.console import Console

    first = process_id == 0
    console = Console(quiet=quiet or not first)
    if (why := use_cache(wanted=not no_cache)) is not None:
        console.note(why)
    names, reference = _arm_names(arms, reference, len(settings.targets or ()))
    asked = settings.to_json() | {"arms": names, "reference": reference, "seeds": seeds}
    if settings.table is not None:
        asked["table"] = os.path.abspath(settings.table)
    folder = Path(out)
    if _already_there(folder, asked, resume=resume):
        console.say(f"the comparison in {out} is complete; there is nothing to resume")
        return
    with _working_folder(folder, asked, force=force, resume=resume, first=first):
        found = _compare(
            settings, names, reference, seeds, folder, devices, chunk, console, resume=resume
        )
        if not first:
            return
        _write(folder, found, settings, asked)
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    console.say(_summary(found.comparison))
    console.say(f"\nwritten to {out}: open {folder / 'report.html'} in a browser")


@dataclasses.dataclass(frozen=True)
class Found:
    """A comparison and what it was made on."""

    comparison: "Comparison"
    table: "Table"
    datasets: "list[Dataset]"
    seeds: tuple[int, ...]


def _compare(
    settings: Settings,
    arms: list[str],
    reference: str,
    seeds: int,
    folder: Path,
    devices: int | None,
    chunk: int | None,
    console: "Console",
    *,
    resume: bool,
) -> Found:
    import jax
    import optax

    from jaxmtl.cli.fit import load_table, prepare_rows
    from jaxmtl.comparison import Protocol, compare

    table = load_table(settings, folder)
    numbers = tuple(range(settings.seed, settings.seed + seeds))
    datasets, notes = [], []
    for number in numbers:
        dataset, said = prepare_rows(dataclasses.replace(settings, seed=number), table)
        datasets.append(dataset)
        notes += said
    for note in dict.fromkeys(notes):
        console.note(note)
    choice: Any = settings
    protocol = Protocol(
        shared=settings.shared,
        nodes=settings.nodes,
        towers=settings.towers,
        activation=settings.activation,
        output_activation=settings.output_activation,
        phases=settings.phases,
        optimizer=getattr(optax, settings.optimizer),
        batch_size=settings.batch_size,
        shuffle=settings.shuffle,
        rule=choice.rule,
        zeros=choice.zeros,
        transplant=choice.transplant,
    )
    with console.sweeping() as on_progress:
        comparison = compare(
            datasets,
            arms=arms,
            reference=reference,
            seeds=numbers,
            protocol=protocol,
            devices=None if devices is None else jax.local_devices()[:devices],
            chunk=chunk,
            checkpoint=os.fspath(folder / CHECKPOINT),
            resume=resume,
            on_progress=on_progress,
        )
    board: Any = comparison.leaderboard.to_dict("records")
    for row in board:
        if row["diverged"]:
            count = f"{row['diverged']} of {row['seeds']} seeds"
            console.note(f"{row['arm']}: {count} diverged and are left out")
    return Found(comparison, table, datasets, numbers)


def _write(folder: Path, found: Found, settings: Settings, asked: dict[str, Any]) -> None:
    from jaxmtl.prediction.card import fingerprint
    from jaxmtl.report.comparison_folder import write_comparison

    if settings.table is not None:
        asked = asked | {"table_sha256": fingerprint(settings.table)}
    first = found.datasets[0]
    rows = {name: len(part.x) for name, part in first.splits._asdict().items() if part is not None}
    anew = "; every seed divides the rows anew" if found.comparison.test_share is not None else ""
    layers = [*settings.shared, settings.nodes]
    phases = "; ".join(
        f"{p.epochs} epochs at {p.learning_rate:g}"
        + ("" if p.threshold is None else f", from epoch {p.warmup} a streak of {p.threshold}")
        for p in settings.phases
    )
    write_comparison(
        folder,
        found.comparison,
        table=found.table.source,
        rows=rows,
        features=found.table.features,
        targets=found.table.targets,
        split=f"{settings.split}{anew}",
        seeds=found.seeds,
        protocol=(
            f"shared layers {', '.join(map(str, layers))} ({settings.activation}), towers "
            f"{', '.join(map(str, settings.towers)) or 'of one layer'}, {settings.optimizer}, "
            f"{settings.batch_size} a step; schedule: {phases}"
        ),
        command=" ".join(["jaxmtl", *sys.argv[1:]]) if sys.argv[1:] else "",
        settings=asked,
    )


def _summary(comparison: "Comparison") -> str:
    board: pd.DataFrame = comparison.leaderboard
    columns = [name for name in board if name.endswith(" rmse")]
    named = ["arm", *columns, "error", "delta_m", "mean_rank", "parameters", "splits"]
    shown: Any = board[named]
    text = shown.to_string(
        index=False,
        na_rep="",
        formatters={"parameters": lambda v: "" if v != v else f"{v:.0f}"},
        float_format="{:.4g}".format,
    )
    return f"{text}\n\n{comparison.conclusion}"


def _list_arms() -> None:
    from jaxmtl.comparison import ARMS, DEFAULT_ARMS
    from jaxmtl.training.phased.combining import AGGREGATORS, WEIGHTINGS

    for name, arm in ARMS.items():
        print(f"{name:16}{'*' if name in DEFAULT_ARMS else ' '} {arm.description}")
    print("\n* compared unless --arms says otherwise; --arms all compares all of these\n")
    for group, methods in (("aggregators", AGGREGATORS), ("losses", WEIGHTINGS)):
        print(f"--arms {group}:")
        print(textwrap.fill(", ".join(methods), 96, initial_indent="  ", subsequent_indent="  "))
    print(
        "\nThese combine task gradients: on any arm (--arms mmoe+upgrad) or, by themselves "
        "(--arms\nupgrad), on hard sharing with the adaptive run's schedule (restarts)."
    )


def _arm_names(text: str | None, reference: str, num_tasks: int) -> tuple[list[str], str]:
    """Full names of the arms and of the reference."""
    from jaxmtl.comparison import DEFAULT_ARMS, check_arms

    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if text is not None and not names:
        raise ValueError("--arms: expected names separated by commas, got none")
    found = check_arms(names or DEFAULT_ARMS, reference, num_tasks)
    return found, check_arms([], reference, num_tasks)[0]


def _start_devices(
    devices: int | None, coordinator: str | None, num_processes: int, process_id: int
) -> None:
    """Fixes how many devices a CPU counts as, and joins the other processes; before JAX starts."""
    import jax

    if devices is not None and devices < 1:
        raise ValueError(f"--devices: expected at least 1, got {devices}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # JAX has started already where a program calls this from within.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices or cores or 1)
    if num_processes == 1:
        return
    if coordinator is None or not 0 <= process_id < num_processes:
        raise ValueError(
            "--num-processes: expected --coordinator HOST:PORT and a --process-id from 0 to "
            f"{num_processes - 1} with it, got {coordinator} and {process_id}"
        )
    jax.distributed.initialize(coordinator, num_processes, process_id)


def _already_there(folder: Path, asked: dict[str, Any], *, resume: bool) -> bool:
    """Whether a comparison to be resumed is complete; one of other options is refused."""
    from jaxmtl.prediction.run_json import read_json
    from jaxmtl.report.comparison_folder import COMPARISON

    if not resume:
        return False
    if not (folder / SETTINGS).exists():
        raise ValueError(
            f"folder {folder}: expected a comparison to resume, found none; start it without "
            "--resume"
        )
    saved = read_json(folder / SETTINGS).get("settings") or {}
    differences = [
        f"{name} was {saved.get(name)} and is {value}"
        for name, value in asked.items()
        if saved.get(name) != _as_json(value)
    ]
    if differences:
        raise ValueError(
            f"folder {folder}: it holds a comparison with other options ({'; '.join(differences)});"
            " repeat those, or choose another folder with --out"
        )
    return (folder / COMPARISON).exists()


def _as_json(value: Any) -> Any:
    import json

    return json.loads(json.dumps(value))


@contextlib.contextmanager
def _working_folder(
    folder: Path, asked: dict[str, Any], *, force: bool, resume: bool, first: bool
) -> Iterator[None]:
    """Makes the folder, or empties it of an older comparison, and keeps others from writing it."""
    import json

    from jaxmtl.files.atomic import check_folder, new_file
    from jaxmtl.prediction.run_json import FORMAT
    from jaxmtl.training.driver.store import locked

    if not first:
        yield
        return
    if not resume and not force and (folder / CHECKPOINT).is_dir():
        raise ValueError(
            f"folder {folder}: it holds an interrupted comparison; go on with it with --resume, or "
            "replace it with --force"
        )
    if not resume:
        check_folder(folder, force=force, replaceable=lambda path: (path / SETTINGS).is_file())
    with locked(folder):
        if not resume:
            for path in folder.iterdir():
                if path.name != "lock":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        with new_file(folder / SETTINGS, force=True) as path:
            record = {"format": FORMAT, "settings": asked}
            text = json.dumps(record, indent=2, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")
        yield
    (folder / "lock").unlink(missing_ok=True)
