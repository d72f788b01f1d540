"""Which seeds and methods of a comparison fit a limit of time."""

import math
from collections.abc import Callable, Mapping, Sequence

from jaxmtl._words import about
from jaxmtl.methods.method import OnProgress
from jaxmtl.training import SweepProgress

Clock = Callable[[], float]

LEAST = 3  # seeds: with fewer there is no spread to speak of
SOME = 10  # seeds that are kept, if they can be, where methods are left out all the same
SETTLED = 0.02  # of the limit that a method has to run before its pace is known
OR_DONE = 0.1  # of its work
SLACK = 0.05  # of the limit
PATIENCE = 0.15  # of the limit, beyond which it is said that the least took longer
RESTARTS = 2
QUICK = 0.02  # of the limit: what takes less is never left out
OF_OTHERS = 0.25  # of the limit, that methods without steps can keep from the networks


class BrokenOffError(Exception):
    """What is at work is broken off, as it does not fit the time.

    Example:
        >>> issubclass(BrokenOffError, Exception)
        True
    """


class TimeLimit:
    """Cuts seeds, then methods, such that a comparison ends in time.

    The first network tells by its pace what all take: if that is too much, it is broken off and
    started anew with fewer seeds. Later methods are left out where they do not fit, or broken off
    where they turn out slower than those before them. The least is always done: three seeds of the
    first methods.

    Example:
        >>> now = iter([0.0, 1.0, 11.0])
        >>> limit = TimeLimit(60.0, seeds=30, networks=["adaptive", "mmoe"], others={},
        ...     must=["mmoe"], began=0.0, clock=lambda: next(now))
        >>> limit.start("adaptive")
        >>> limit.watch("adaptive", SweepProgress(30, 0, 10, 1000, float("nan")))
        >>> try:
        ...     limit.watch("adaptive", SweepProgress(30, 0, 110, 1000, 89.0))
        ... except BrokenOffError:
        ...     print(limit.seeds)
        7
    """

    def __init__(
        self,
        seconds: float,
        *,
        seeds: int,
        networks: Sequence[str],
        others: Mapping[str, float],
        must: Sequence[str],
        on_progress: OnProgress | None = None,
        began: float,
        clock: Clock,
    ) -> None:
        """Starts.

        Args:
            seconds: that all may take.
            seeds: that were asked for.
            networks: methods that report progress, in the order in which they are trained; the
                first one tells the pace.
            others: methods without steps, and the seconds that each takes a seed.
            must: methods that are never left out.
            on_progress: told of all progress, with the time left of all methods.
            began: when the time began, by the clock.
            clock: seconds.
        """
        self.seeds = self._asked = seeds
        self._clock, self._on_progress, self._seconds = clock, on_progress, seconds
        self._began = began
        self._end = self._began + seconds
        self._left_for = list(networks)  # not through yet
        self._others, self._must = dict(others), set(must)
        self._least = min(LEAST, seeds)
        self._laying = self._left_for[0] if networks else None
        self._at: str | None = None
        self._since = self._compiled = 0.0
        self._first: dict[str, tuple[float, int]] = {}
        self._done: list[float] = []  # seconds of networks that are through
        self._measured: list[tuple[int, float]] = []  # seconds without compiling, by seeds
        self._cut: dict[str, float] = {}  # methods left out, and about what they take
        if self._laying is None:
            free = self._end - clock()
            each = sum(cost for name, cost in self._others.items() if name in self._must)
            if each * seeds > free:
                self.seeds = min(max(int(free / each), self._least), seeds)

    def start(self, name: str) -> None:
        """A method begins, for the first time or anew."""
        self._at, self._since, self._first = name, self._clock(), {}

    def end(self) -> None:
        """The method that was started is through."""
        if self._at in self._left_for:
            self._done.append(self._clock() - self._since)
            self._left_for.remove(self._at)
        self._laying = None if self._at == self._laying else self._laying
        self._at = None

    def order(self, names: Sequence[str]) -> list[str]:
        """Names in the order in which methods are worth their time.

        Args:
            names: of methods, in the order in which they were asked for.

        Returns:
            Those that are never left out, those that take hardly any time, and the rest.
        """

        def place(name: str) -> int:
            if name in self._must:
                return 0
            return 1 if self._is_quick(name) else 2

        return sorted(names, key=place)

    def fits(self, name: str) -> bool:
        """Whether there is time for a method; one for which there is none is noted."""
        cost = self._cost(name)
        if name in self._must or self._is_quick(name):
            return True
        if self._clock() + cost <= self._end + SLACK * self._seconds:
            return True
        self.leave_out(name, cost)
        return False

    def leave_out(self, name: str, cost: float | None = None) -> None:
        """Notes a method as left out.

        Args:
            name: of the method.
            cost: seconds that it takes; None: as it was last estimated.
        """
        self._cut[name] = self._cut.get(name, 0.0) if cost is None else cost
        if name in self._left_for:
            self._left_for.remove(name)

    def watch(self, name: str, progress: SweepProgress) -> None:
        """Passes on progress, and breaks off what does not fit.

        Args:
            name: of what is at work; the method's, or "method/part".
            progress: of it.

        Raises:
            BrokenOffError: ``seeds`` has become fewer, or the method is to be left out.
        """
        now, method = self._clock(), self._at or name.partition("/")[0]
        if not self._first:
            self._compiled = now - self._since
        then, before = self._first.setdefault(name, (now, progress.done))
        ran, made = now - then, progress.done - before
        settled = ran >= SETTLED * self._seconds or made >= OR_DONE * progress.total
        known = made > 0 and settled
        left = ran * (progress.total - progress.done) / made if made > 0 else math.nan
        if self._on_progress is not None:
            rest = len([one for one in self._left_for if one != method])
            cost = self._cost(method) if self._done else self._compiled + ran + left
            whole = min(left + rest * cost + self._reserve(self.seeds), max(self._end - now, 0.0))
            self._on_progress(name, progress._replace(seconds_left=whole if left == left else left))
        if not known or progress.done >= progress.total:
            return
        latest = self._end + SLACK * self._seconds
        if self._laying == method:
            if len(self._measured) < RESTARTS:
                self._cut_seeds(now, ran + left, left, latest)
        elif method not in self._must and now + left > latest:
            self.leave_out(method, now - self._since + left)
            raise BrokenOffError(method)

    def notes(self) -> tuple[str, ...]:
        """What was cut, and whether the least took longer than the limit; in sentences."""
        parts = []
        if self.seeds < self._asked:
            parts.append(f"{_seeds(self.seeds)} instead of {self._asked}")
        if self._cut:
            parts.append(f"left out: {self._left_out()}")
        found = [f"for the time ({_exact(self._seconds)}): {'; '.join(parts)}"] if parts else []
        spent = self._clock() - self._began
        if spent > (1 + PATIENCE) * self._seconds:
            found.append(
                f"it took about {about(spent)}, longer than {_exact(self._seconds)}: "
                f"{_seeds(self.seeds)} of the first methods is the least that is trained"
            )
        return tuple(found)

    def _left_out(self) -> str:
        said = {name: about(cost) for name, cost in self._cut.items()}
        if len(set(said.values())) == 1:
            each = " each" if len(said) > 1 else ""
            return f"{', '.join(said)} (about {next(iter(said.values()))}{each})"
        return ", ".join(f"{name} (about {time})" for name, time in said.items())

    def _cost(self, name: str) -> float:
        """Seconds that a method takes, by those before it."""
        if name in self._others:
            return self._others[name] * self.seeds
        return sum(self._done) / len(self._done) if self._done else 0.0

    def _is_quick(self, name: str) -> bool:
        return self._others.get(name, math.inf) * self.seeds <= QUICK * self._seconds

    def _reserve(self, seeds: int) -> float:
        """Seconds of methods without steps, as far as networks make way for them."""
        return min(seeds * sum(self._others.values()), OF_OTHERS * self._seconds)

    def _cut_seeds(self, now: float, run: float, left: float, latest: float) -> None:
        """Breaks off the first network where all of them do not fit with as many seeds."""
        number = len(self._left_for)
        rest = (number - 1) * (self._compiled + run) + self._reserve(self.seeds)
        if now + left + rest <= latest or self.seeds <= self._least:
            return
        measured = [*self._measured, (self.seeds, run)]

        def each(seeds: int) -> float:
            return self._compiled + _at_this_pace(measured, seeds)

        def fitting(seeds: int) -> int:
            """How many methods there is time for."""
            first = left if seeds == self.seeds else each(seeds)
            free = self._end - now - self._reserve(seeds) - first
            return min(1 + math.floor(free / max(each(seeds), 1e-9)), number) if free >= 0 else 0

        needed = 1 + len(self._must.intersection(self._left_for) - {self._laying})
        floor = self._least
        if fitting(floor) < number and fitting(min(SOME, self.seeds)) >= needed:
            floor = min(SOME, self.seeds)
        wanted = fitting(floor)
        seeds = next(k for k in range(self.seeds, floor - 1, -1) if fitting(k) >= wanted)
        if wanted < needed:
            seeds = floor
            if left + (needed - 1) * each(self.seeds) <= needed * each(seeds):
                return  # starting over would save nothing
        if seeds == self.seeds:
            return
        self.seeds, self._measured = seeds, measured
        raise BrokenOffError(self._at)


def _at_this_pace(measured: Sequence[tuple[int, float]], seeds: int) -> float:
    """Seconds for a number of seeds: in proportion, or along the line through two measurements."""
    (before, then), (last, now) = (0, 0.0), measured[-1]
    if len(measured) > 1:
        before, then = measured[-2]
    slope = max((now - then) / (last - before), 0.0)
    return max(now + slope * (seeds - last), 0.0)


def _seeds(number: int) -> str:
    return f"{number} seed{'s' * (number != 1)}"


def _exact(seconds: float) -> str:
    """A limit as it was given, where it has no more digits than a sentence bears."""
    unit = 60 if seconds < 3600 else 600
    return about(seconds) if seconds >= 120 and seconds % unit == 0 else f"{seconds:.4g} s"
