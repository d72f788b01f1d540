"""What a command says while it works: a bar on a terminal, plain lines elsewhere, or nothing."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from jaxmtl._words import about
from jaxmtl.cli.errors import printable, say, tell
from jaxmtl.cli.whole_time import WholeTime
from jaxmtl.training import Progress, SweepProgress

if TYPE_CHECKING:
    from jaxmtl.prediction.fit_table import Stage

SECONDS_BETWEEN_LINES = 2.0
SECONDS_BETWEEN_STAGES = 10.0


class Console:
    """Progress and notes go to stderr, results to stdout; ``quiet`` silences both.

    Example:
        >>> with Console(quiet=True).training("adaptive", ["PM2.5"]) as on_progress:
        ...     pass
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Says nothing yet."""
        self.quiet = quiet

    def say(self, text: str) -> None:
        """Writes a result."""
        if not self.quiet:
            say(text)

    def note(self, text: str) -> None:
        """Writes what the user should know, although nothing is wrong."""
        if not self.quiet:
            tell(f"note: {text}")

    @contextlib.contextmanager
    def learning(self) -> "Iterator[Callable[[Stage], None] | None]":
        """Shows the progress of what learns from a table.

        Yields:
            What ``fit_table`` takes as ``on_stage``.
        """
        if self.quiet:
            yield None
        elif sys.stderr.isatty():
            with _stage_bar() as on_stage:
                yield on_stage
        else:
            yield _stage_lines()

    @contextlib.contextmanager
    def training(
        self, name: str, tasks: Sequence[str]
    ) -> Iterator[Callable[[Progress], None] | None]:
        """Shows the progress of one run.

        Args:
            name: of the run.
            tasks: names of the tasks.

        Yields:
            What ``fit`` takes as ``on_progress``.
        """
        if self.quiet:
            yield None
        elif sys.stderr.isatty():
            with _bar(name, tasks) as on_progress:
                yield on_progress
        else:
            yield _lines(name, tasks)

    @contextlib.contextmanager
    def sweeping(
        self, whole: WholeTime | None = None
    ) -> Iterator[Callable[[str, SweepProgress], None] | None]:
        """Shows the progress of the arms of a comparison.

        Args:
            whole: for the time that all of them take; None where there is but one.

        Yields:
            What ``compare`` takes as ``on_progress``.
        """
        if self.quiet:
            yield None
        elif sys.stderr.isatty():
            with _arm_bars() as on_progress:
                yield self._of_all(on_progress, whole)
        else:
            yield self._of_all(_arm_lines(), whole)

    def _of_all(
        self, on_progress: Callable[[str, SweepProgress], None], whole: WholeTime | None
    ) -> Callable[[str, SweepProgress], None]:
        """Progress whose time left is that of all arms."""
        if whole is None:
            return on_progress

        def of_all(arm: str, progress: SweepProgress) -> None:
            left = whole.left(arm, progress)
            if (said := whole.estimate()) is not None:
                self.note(said)
            on_progress(arm, progress._replace(seconds_left=left))

        return of_all


def describe(progress: Progress, tasks: Sequence[str], *, short: bool = False) -> str:
    """Phase, epoch and training errors in one line.

    Args:
        progress: of a run.
        tasks: names of the tasks.
        short: for beside a bar.

    Returns:
        The line.

    Example:
        >>> import numpy as np
        >>> describe(Progress(1, 4, 80, 200, 80, 650, np.array([0.01234])), ["PM2.5"])
        'phase 1/4, epoch 80/200, training error PM2.5 0.01234'
    """
    errors = [f"{task} {e:.4g}" for task, e in zip(tasks, progress.train, strict=True)]
    phase = f"phase {progress.phase}/{progress.num_phases}"
    epoch = f"epoch {progress.epoch}/{progress.num_epochs}"
    if short:
        return "  ".join([f"{phase} {epoch}", *errors])
    return f"{phase}, {epoch}, training error {', '.join(errors)}"


@contextlib.contextmanager
def _bar(name: str, tasks: Sequence[str]) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console as RichConsole
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=14),
        TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
    )
    with RichProgress(*columns, console=RichConsole(stderr=True)) as bars:
        bar = bars.add_task(f"{name:<12}", total=None, state="compiling")

        def on_progress(progress: Progress) -> None:
            state = escape(printable(describe(progress, tasks, short=True)))
            bars.update(bar, total=progress.total, completed=progress.done, state=state)

        yield on_progress
        total = bars.tasks[0].total
        bars.update(bar, completed=total if total is not None else 1)


def _lines(name: str, tasks: Sequence[str]) -> Callable[[Progress], None]:
    phase, when = 0, -SECONDS_BETWEEN_LINES

    def on_progress(progress: Progress) -> None:
        nonlocal phase, when
        now = time.monotonic()
        last = progress.done == progress.total
        if progress.phase != phase or last or now - when >= SECONDS_BETWEEN_LINES:
            tell(f"{name}: {describe(progress, tasks)}")
            phase, when = progress.phase, now

    return on_progress


def describe_sweep(progress: SweepProgress) -> str:
    """How many seeds are through, and the time left.

    Args:
        progress: of a sweep.

    Returns:
        The line.

    Example:
        >>> describe_sweep(SweepProgress(30, 2, 500, 1000, 61.0))
        '2/30 seeds through, 50 % of the epochs, 1:01 left'
        >>> describe_sweep(SweepProgress(30, 0, 0, 0, float("nan")))  # of what makes no steps
        '0/30 seeds through'
    """
    if not progress.total:
        return f"{progress.finished}/{progress.members} seeds through"
    share = 100 * progress.done // max(progress.total, 1)
    left = ""
    if progress.seconds_left == progress.seconds_left and progress.seconds_left > 0:
        left = f", {int(progress.seconds_left) // 60}:{int(progress.seconds_left) % 60:02d} left"
    epochs = f"{share} % of the epochs{left}"
    if progress.members == 1:
        return epochs
    return f"{progress.finished}/{progress.members} seeds through, {epochs}"


@contextlib.contextmanager
def _arm_bars() -> Iterator[Callable[[str, SweepProgress], None]]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, TaskID, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[state]}"),
    )
    with RichProgress(*columns, console=RichConsole(stderr=True)) as bars:
        known: dict[str, TaskID] = {}

        def on_progress(arm: str, progress: SweepProgress) -> None:
            if arm not in known:
                known[arm] = bars.add_task(f"{arm:<16}", total=None, state="compiling")
            state = describe_sweep(progress)
            done, total = progress.done, progress.total
            if not total:  # it makes no steps: it works, or is through
                done = total = progress.members if progress.finished else None
            bars.update(known[arm], total=total, completed=done, state=state)

        yield on_progress


def _arm_lines() -> Callable[[str, SweepProgress], None]:
    arm, when = "", -SECONDS_BETWEEN_LINES

    def on_progress(name: str, progress: SweepProgress) -> None:
        nonlocal arm, when
        now = time.monotonic()
        last = progress.finished == progress.members
        begins = not progress.total and not last
        if begins or (last and name != arm) or now - when >= SECONDS_BETWEEN_LINES:
            tell(f"{name}: {describe_sweep(progress)}")
            arm, when = name, now

    return on_progress


def describe_stage(stage: "Stage") -> str:
    """What is learned, and about how long the whole takes.

    Args:
        stage: where it stands.

    Returns:
        The line.

    Example:
        >>> from jaxmtl.prediction.fit_table import Stage
        >>> describe_stage(Stage("boosted", 3, 5, 0.5, 40.0))
        'learning, 4 of 5: boosted trees, 50 % (about 40 s left in all)'
    """
    from jaxmtl.prediction.families import LAST
    from jaxmtl.prediction.family_words import said

    share = f", {stage.share:.0%}".replace("%", " %") if stage.share else ""
    left = f" (about {about(stage.seconds_left)} left in all)" if stage.seconds_left > 1 else ""
    what = "mixing them, and writing" if stage.name == LAST else said(stage.name)
    return f"learning, {stage.number + 1} of {stage.total}: {what}{share}{left}"


@contextlib.contextmanager
def _stage_bar() -> "Iterator[Callable[[Stage], None]]":
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(bar_width=20), TextColumn("{task.description}"))
    with RichProgress(*columns, console=RichConsole(stderr=True), transient=True) as bars:
        bar, began = bars.add_task("learning", total=1.0), time.monotonic()

        def on_stage(stage: "Stage") -> None:
            spent = time.monotonic() - began
            share = spent / max(spent + stage.seconds_left, 1e-9)
            bars.update(bar, completed=share, description=describe_stage(stage))

        yield on_stage


def _stage_lines() -> "Callable[[Stage], None]":
    number, when = -1, -SECONDS_BETWEEN_STAGES

    def on_stage(stage: "Stage") -> None:
        nonlocal number, when
        now = time.monotonic()
        if stage.number != number or now - when >= SECONDS_BETWEEN_STAGES:
            tell(describe_stage(stage))
            number, when = stage.number, now

    return on_stage
