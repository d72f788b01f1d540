"""``jaxmtl compare``: arms against each other over many seeds, as a folder with a report."""

import contextlib
import dataclasses
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmtl.cli import options
from jaxmtl.cli.arms import arm_names, list_all_arms
from jaxmtl.cli.cache import use_cache
from jaxmtl.cli.devices import start_devices
from jaxmtl.cli.errors import in_one_sentence
from jaxmtl.cli.options import with_options
from jaxmtl.cli.own import load_own
from jaxmtl.cli.paths import kept_path_of, path_of
from jaxmtl.cli.settings import Settings
from jaxmtl.cli.signals import NOTHING_WRITTEN, undone_when_interrupted, when_interrupted
from jaxmtl.data.options import FoldOptions, ReadingOptions
from jaxmtl.methods.study.options import StudyOptions

if TYPE_CHECKING:
    from jaxmtl.cli.console import Console
    from jaxmtl.comparison import Comparison
    from jaxmtl.data import Dataset, Table
    from jaxmtl.files.working import WorkingFolder

OUT = "jaxmtl-comparison"
CHECKPOINT = "checkpoint"
AROUND = 10.0  # seconds that a comparison takes beside training, within its time limit
# Epochs are selected on rows of their own.
PRESET = Settings(validation=0.2)


@in_one_sentence
@with_options(ReadingOptions, FoldOptions, StudyOptions, preset=PRESET)
def compare(
    *,
    arms: options.Arms = None,
    list_arms: options.ListArms = False,
    reference: options.Reference = "hard_sharing",
    seeds: options.Seeds = 30,
    time_limit: options.TimeLimit = None,
    out: options.Out = OUT,
    force: options.Force = False,
    resume: options.Resume = False,
    quiet: options.Quiet = False,
    given: dict[str, Any],
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
    began = time.perf_counter()
    if list_arms:
        list_all_arms()
        return
    out = path_of("--out", out)
    if "table" in given:
        given["table"] = kept_path_of("TABLE", given["table"])
    settings = PRESET.with_options(**given).complete()
    if settings.seed + seeds > 2**32:
        raise ValueError(
            f"--seeds: expected at most {2**32 - settings.seed} with --seed {settings.seed}, got "
            f"{seeds}"
        )
    if time_limit is not None and (resume or num_processes > 1):
        beside = "--resume" if resume else "--num-processes"
        raise ValueError(
            f"--time-limit: it does not go with {beside}, as what fits a time hangs on the machine "
            "and its load; leave out one of them"
        )
    start_devices(
        devices, coordinator=coordinator, num_processes=num_processes, process_id=process_id
    )

    from jaxmtl.cli.compared import answer_text, numbers_text
    from jaxmtl.cli.console import Console
    from jaxmtl.methods.study.memory import check_memory

    first = process_id == 0
    console = Console(quiet=quiet or not first)
    if (why := use_cache(wanted=not no_cache)) is not None:
        console.note(why)
    load_own("--arms", arms)
    load_own("--reference", reference)
    names, reference = arm_names(arms, reference, len(settings.targets or ()), settings.protocol())
    asked = settings.to_json() | {"arms": names, "reference": reference, "seeds": seeds}
    asked["time_limit"] = time_limit
    if settings.table is not None:
        asked["table"] = os.path.abspath(settings.table)
    check_memory(
        shared=settings.shared,
        nodes=settings.nodes,
        towers=settings.towers,
        batch_size=settings.batch_size,
        features=len(settings.features or ()),
        tasks=len(settings.targets or ()),
        at_once=min(chunk or 1, seeds),
    )
    folder = Path(out)
    working = _working_folder(folder)
    if working.is_complete(asked, resume=resume):
        console.say(f"the comparison in {out} is complete; there is nothing to resume")
        return
    before = None if resume else working.stamp()
    if resume and first:
        when_interrupted(lambda: _left(working, before))
    # One process of several writes the folder.
    nothing = contextlib.nullcontext()
    with (
        undone_when_interrupted(),
        working.opened(asked, force=force, resume=resume) if first else nothing,
    ):
        if first:
            when_interrupted(lambda: _left(working, before))
        # What loading took, and drawing at the end takes, counts as spent.
        spent = min(AROUND, 0.15 * (time_limit or 0))
        how = {"chunk": chunk, "resume": resume, "seconds": time_limit, "began": began - spent}
        found = _compare(settings, names, reference, seeds, folder, devices, console, how)
        if not first:
            return
        use = _use(found.comparison, out)
        _write(folder, found, settings, asked, use)
    console.say(answer_text(found.comparison, use))
    console.say(f"\n{numbers_text(found.comparison)}")
    console.say(
        f"\nwritten to {out}: open {folder / 'report.html'} in a browser; it says what the columns "
        "are and how differences were tested"
    )
    if settings.table is not None:
        console.say(
            "for predictions of new rows: jaxmtl fit TABLE --targets ..., which mixes methods, "
            "learns from columns of any kind, and judges sharing for each target with its own "
            "networks: it may find otherwise than these"
        )


def _left(working: "WorkingFolder", before: str | None) -> str:
    """What an interrupted comparison leaves behind, in words, where there was one before."""
    if working.is_through():
        if working.stamp() == before:  # which was to be replaced
            return NOTHING_WRITTEN
        return f"the comparison is written to {working.path}"
    if working.is_begun():
        return "the same command goes on with it with --resume"
    return NOTHING_WRITTEN


@dataclasses.dataclass(frozen=True)
class Compared:
    """A comparison and what it was made on."""

    comparison: "Comparison"
    table: "Table"
    first: "Dataset"


def _compare(
    settings: Settings,
    arms: list[str],
    reference: str,
    seeds: int,
    folder: Path,
    devices: int | None,
    console: "Console",
    how: dict[str, Any],
) -> Compared:
    import jax

    from jaxmtl.cli.rows import load_table, prepare_rows
    from jaxmtl.cli.whole_time import WholeTime
    from jaxmtl.comparison import compare
    from jaxmtl.methods import BASELINES, WITHOUT_STEPS

    table = load_table(settings, folder)
    _check_rows(table, seeds)
    numbers = tuple(range(settings.seed, settings.seed + seeds))
    datasets, notes = [], list(table.notes)
    trains = not set(arms) <= set(WITHOUT_STEPS)
    for number in numbers:
        seeded = dataclasses.replace(settings, seed=number)
        dataset, said = prepare_rows(seeded, table, trains=trains, remarks=not datasets)
        datasets.append(dataset)
        notes += said
    for note in dict.fromkeys(notes):
        console.note(note)
    # The adaptive run comes first: it lays down the schedule of all others.
    trained = dict.fromkeys(["adaptive", *(arm for arm in arms if arm not in WITHOUT_STEPS)])
    others = dict.fromkeys([*(arm for arm in arms if arm in WITHOUT_STEPS), *BASELINES])
    limited = how["seconds"] is not None  # then it knows itself how long all takes
    whole = None if limited else WholeTime(list(trained), seeds, without_steps=list(others))
    with console.sweeping(whole) as on_progress:
        comparison = compare(
            datasets,
            arms=arms,
            reference=reference,
            seeds=numbers,
            protocol=settings.protocol(),
            devices=None if devices is None else jax.local_devices()[:devices],
            checkpoint=None if limited else os.fspath(folder / CHECKPOINT),
            on_progress=on_progress,
            **how,
        )
    for note in comparison.notes:
        console.note(note)
    board: Any = comparison.leaderboard.to_dict("records")
    for row in board:
        if row["diverged"]:
            count = f"{row['diverged']} of {row['seeds']} seeds"
            console.note(f"{row['arm']}: {count} diverged and are left out")
    return Compared(comparison, table, datasets[0])


def _check_rows(table: "Table", seeds: int) -> None:
    """Raises ValueError for more seeds than there is memory for: each divides the rows anew."""
    from jaxmtl.training.driver.placement import total_memory

    a_seed = 8 * (table.x.size + table.y.size) + 2**12
    if seeds * a_seed > (there := total_memory()):
        raise ValueError(
            f"--seeds: expected at most {there // a_seed}, whose rows fit into the memory of this "
            f"machine, got {seeds}"
        )


def _write(
    folder: Path, found: Compared, settings: Settings, asked: dict[str, Any], use: str
) -> None:
    from jaxmtl.prediction.card import fingerprint
    from jaxmtl.report.comparison_folder import write_comparison

    if settings.table is not None:
        asked = asked | {"table_sha256": fingerprint(settings.table)}
    rows = {
        name: len(part.x) for name, part in found.first.splits._asdict().items() if part is not None
    }
    anew = "; every seed divides the rows anew" if found.comparison.test_share is not None else ""
    layers = [*settings.shared, settings.nodes]
    phases = "; ".join(
        f"{p.epochs} epochs at {p.learning_rate:g}"
        + ("" if p.threshold is None else f", from epoch {p.warmup} a streak of {p.threshold}")
        for p in settings.phases
    )
    shown = shlex.join(["jaxmtl", *sys.argv[1:]]).encode(errors="backslashreplace")
    write_comparison(
        folder,
        found.comparison,
        table=found.table.source,
        rows=rows,
        features=found.table.features,
        split=f"{settings.split}{anew}",
        protocol=(
            f"shared layers {', '.join(map(str, layers))} ({settings.activation}), towers "
            f"{', '.join(map(str, settings.towers)) or 'of one layer'}, {settings.optimizer}, "
            f"{settings.batch_size} a step; schedule: {phases}"
        ),
        command=shown.decode() if sys.argv[1:] else "",
        settings=asked,
        use=use,
    )


def _use(comparison: "Comparison", out: str) -> str:
    """The command that trains what is to be used; empty if all runs diverged."""
    board: Any = comparison.leaderboard
    known = board[board["error"].notna()]
    if not len(known):
        return ""
    best = comparison.recommended or str(known.loc[known["error"].idxmin()]["arm"])
    return shlex.join(["jaxmtl", "fit", "--config", out, "--method", best, "--out", "DIR"])


def _working_folder(folder: Path) -> "WorkingFolder":
    from jaxmtl.cli.rows import BUILT_IN
    from jaxmtl.files.working import WorkingFolder
    from jaxmtl.prediction.run_json import FORMAT
    from jaxmtl.report.comparison_folder import COMPARISON

    return WorkingFolder(
        path=folder,
        kind="comparison",
        complete=COMPARISON,
        checkpoint=CHECKPOINT,
        inputs=(BUILT_IN,),
        version=FORMAT,
    )
