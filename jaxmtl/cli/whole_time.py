"""How long a comparison takes in all, from its first steps on."""

import time
from collections.abc import Callable, Sequence

from jaxmtl._words import about
from jaxmtl.training import SweepProgress

FEW_SEEDS = 5  # for which the time is told as well


class WholeTime:
    """The time left of all methods of a comparison, from the pace of those at work and done.

    Methods take about as long as each other: all make as many steps. Those without steps, such as
    reference lines, report no progress; their time is not in it, which is said.

    Example:
        >>> now = iter([0.0, 2.0, 4.0])
        >>> whole = WholeTime(["adaptive", "mmoe"], 30, clock=lambda: next(now))
        >>> whole.left("adaptive", SweepProgress(30, 0, 1, 100, float("nan")))
        nan
        >>> whole.left("adaptive", SweepProgress(30, 0, 50, 100, 2.0))
        8.0
        >>> whole.estimate()
        ... # doctest: +NORMALIZE_WHITESPACE
        '2 methods x 30 seeds: about 12 s, with --seeds 5 about 5 s; fewer --arms or --phases and a
        larger --batch-size make it shorter, too'
    """

    def __init__(
        self,
        names: Sequence[str],
        seeds: int,
        *,
        without_steps: Sequence[str] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Starts.

        Args:
            names: of the methods that report progress, in the order in which they are trained.
            seeds: of each.
            without_steps: names of methods that report none.
            clock: seconds.
        """
        self._names, self._seeds, self._clock = list(names), seeds, clock
        self._without_steps = list(without_steps)
        self._began = self._since = clock()
        self._done: list[float] = []  # seconds of methods that are through
        self._at: str | None = None
        self._compiled: float | None = None  # seconds until the first report
        self._total = float("nan")
        self._told = False

    def left(self, name: str, progress: SweepProgress) -> float:
        """Seconds until the last method is through; NaN until that is known.

        Args:
            name: of what is at work; the method's, or "method/part".
            progress: of it.
        """
        now, method = self._clock(), name.partition("/")[0]
        if not progress.total:  # it makes no steps: its time is that of none of the others
            if self._at is not None:
                self._done.append(now - self._since)
            self._at, self._since = None, now
            return progress.seconds_left
        if self._compiled is None:
            self._compiled = now - self._began
        if self._at is not None and method != self._at:
            self._done.append(now - self._since)
            self._since = now
        self._at = method
        place = self._names.index(method) if method in self._names else len(self._done)
        current = progress.seconds_left
        if progress.finished == progress.members:
            current = 0.0
        spent = now - self._since
        cost = sum(self._done) / len(self._done) if self._done else spent + current
        if current != current:  # it has only begun
            current = cost - spent if self._done else float("nan")
        elif "/" in name and self._done:  # other parts follow
            current = max(current, cost - spent)
        left = max(current, 0.0) + max(len(self._names) - 1 - place, 0) * cost
        if left == left:
            self._total = now - self._began + left
        return left

    def estimate(self) -> str | None:
        """What the whole takes and what would shorten it; once, as soon as it is known."""
        if self._told or self._total != self._total:
            return None
        self._told = True
        number = len(self._names)
        methods = f"{number} methods" if number > 1 else "1 method"
        seeds = f"{self._seeds} seed{'s' * (self._seeds > 1)}"
        few = ""
        if self._seeds > FEW_SEEDS:
            compiling = min((self._compiled or 0.0) * number, self._total)
            shorter = compiling + (self._total - compiling) * FEW_SEEDS / self._seeds
            few = f", with --seeds {FEW_SEEDS} about {about(shorter)}"
        rest = ""
        if self._without_steps:
            rest = f", and the time of {', '.join(self._without_steps)}, which make no steps"
        return (
            f"{methods} x {seeds}: about {about(self._total)}{few}{rest}; fewer --arms or --phases "
            "and a larger --batch-size make it shorter, too"
        )
