"""Which seeds and methods of a comparison fit a limit of time."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jaxmtl._words import about
from jaxmtl.methods.method import OnProgress
from jaxmtl.training import SweepProgress

Clock = Callable[[], float]
_CostOf = Callable[[str, int], float]  # seconds of a method for a number of seeds

LEAST = 3  # seeds: with fewer there is no spread to speak of
SETTLED = 0.02  # of the limit that a method has to run before its pace is known
OR_DONE = 0.1  # of its work
SLACK = 0.05  # of the limit
PATIENCE = 0.15  # of the limit, beyond which it is said that the least took longer
RESTARTS = 2
MOMENT = 1.0  # seconds: what takes no longer is never left out
QUICK = 0.02  # of the limit: nor is what takes less of it


class BrokenOffError(Exception):
    """What is at work is broken off, as it does not fit the time.

    Example:
        >>> issubclass(BrokenOffError, Exception)
        True
    """


class TimeLimit:
    """Cuts seeds, then methods, such that a comparison ends in time.

    The first network tells by its pace what all take: if that is too much, it is broken off and
    started anew with fewer seeds. Where later methods turn out slower, seeds are cut once more, of
    what is through as well. Only what does not fit with three seeds is left out, the dearest first;
    the reference and one more method are trained whatever they take.

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
        self._latest = self._end + SLACK * seconds
        self._waiting = [*networks, *others]  # not through yet
        self._others, self._must = dict(others), set(must)
        self._least = min(LEAST, seeds)
        self._laying = networks[0] if networks else None
        self._at: str | None = None
        self._since = self._compiled = 0.0
        self._first: dict[str, tuple[float, int]] = {}
        self._done: list[_Spent] = []  # by networks that are through
        self._measured: list[tuple[int, float]] = []  # seconds without compiling, by seeds
        self._cut: dict[str, float] = {}  # methods left out, and about what they take
        if self._laying is None:
            self._cut_seeds(self._end - clock(), self._cost)

    def start(self, name: str) -> None:
        """A method begins, for the first time or anew."""
        self._at, self._since, self._first = name, self._clock(), {}

    def end(self) -> None:
        """The method that was started is through."""
        if self._at in self._waiting:
            if self._at not in self._others:
                spent = self._clock() - self._since
                self._done.append(_Spent(min(self._compiled, spent), spent, self.seeds))
            self._waiting.remove(self._at)
        self._laying = None if self._at == self._laying else self._laying
        self._at = None

    def order(self, names: Sequence[str]) -> list[str]:
        """Names in the order in which methods are worth their time.

        Args:
            names: of methods, in the order in which they were asked for.

        Returns:
            Those that are never left out, those that take hardly any time, and the rest, the
            dearest last.
        """

        def place(name: str) -> tuple[int, float]:
            if name in self._must:
                return 0, 0.0
            return (1, 0.0) if self._is_quick(name) else (2, self._cost(name, self.seeds))

        return sorted(names, key=place)

    def fits(self, name: str) -> bool:
        """Whether there is time for a method; one for which there is none is noted.

        ``seeds`` may have become fewer, so that there is.
        """
        if name in self._cut:
            return False
        if name not in self._waiting or name in self._must or self._is_quick(name):
            return True
        now = self._clock()
        if len(self._fitting(self.seeds, self._latest - now, self._cost)) < len(self._waiting):
            self._cut_seeds(self._end - now, self._cost)
        cost = self._cost(name, self.seeds)
        if now + cost <= self._latest:
            return True
        self.leave_out(name, cost)
        return False

    def leave_out(self, name: str, cost: float) -> None:
        """Notes a method as left out.

        Args:
            name: of the method.
            cost: seconds that it takes.
        """
        self._cut[name] = cost
        if name in self._waiting:
            self._waiting.remove(name)

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
            rest = sum(self._cost(one, self.seeds) for one in self._waiting if one != method)
            if not self._done:
                networks = [one for one in self._waiting if one not in self._others]
                rest += max(len(networks) - 1, 0) * (self._compiled + ran + left)
            whole = min(left + rest, max(self._end - now, 0.0))
            self._on_progress(name, progress._replace(seconds_left=whole if left == left else left))
        if not known or progress.done >= progress.total:
            return
        if self._laying == method:
            if len(self._measured) < RESTARTS:
                self._adjust(now, method, ran + left, left)
        elif now + left > self._latest and method in self._waiting:
            self._adjust(now, method, ran + left, left)
            if method not in self._must:
                self.leave_out(method, now - self._since + left)
                raise BrokenOffError(method)

    def notes(self) -> tuple[str, ...]:
        """What was cut, and whether the least took longer than the limit; without full stops."""
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

    def _cost(self, name: str, seeds: int) -> float:
        """Seconds that a method takes, by those before it."""
        if name in self._others:
            return self._others[name] * seeds
        each = [one.compiled + one.run * seeds / one.seeds for one in self._done]
        return sum(each) / len(each) if each else 0.0

    def _is_quick(self, name: str) -> bool:
        cost = self._others.get(name, math.inf) * self.seeds
        return cost <= max(MOMENT, QUICK * self._seconds)

    def _fitting(self, seeds: int, free: float, cost: _CostOf) -> set[str]:
        """Methods that are not through and for which there is time, the cheapest first."""

        def place(name: str) -> tuple[bool, float]:  # what is trained whatever it takes, first
            return name not in self._must and name != self._laying, cost(name, seeds)

        found = set()
        for name in sorted(self._waiting, key=place):
            free -= cost(name, seeds)
            if free >= 0:
                found.add(name)
        return found

    def _cut_seeds(self, free: float, cost: _CostOf) -> None:
        """As many seeds as there can be without fewer methods than the fewest seeds allow."""
        wanted = len(self._fitting(self._least, free, cost))
        if wanted < sum(name in self._must for name in self._waiting):
            self.seeds = self._least  # these are trained all the same
            return
        every = range(self.seeds, self._least - 1, -1)
        self.seeds = next(k for k in every if len(self._fitting(k, free, cost)) >= wanted)

    def _adjust(self, now: float, method: str, run: float, left: float) -> None:
        """Breaks off what is at work where not all fit with as many seeds.

        Raises:
            BrokenOffError: ``seeds`` has become fewer.
        """
        before, compiled, laying = self.seeds, self._compiled, self._laying == method
        measured = [*self._measured, (before, run)]

        def anew(seeds: int) -> float:
            pace = _at_this_pace(measured, seeds) if laying else run * seeds / before
            return compiled + pace

        def cost(name: str, seeds: int) -> float:
            if name == method and seeds == before:
                return left
            own = name == method or (laying and name not in self._others)
            return anew(seeds) if own else self._cost(name, seeds)

        free, kept = self._end - now, self._must | {self._laying}
        if len(self._fitting(before, self._latest - now, cost)) == len(self._waiting):
            return
        if method not in kept and method not in self._fitting(self._least, free, cost):
            return
        self._cut_seeds(free, cost)
        rest = {name for name in self._waiting if name in kept} | {method}
        spent = [sum(cost(name, seeds) for name in rest) for seeds in (before, self.seeds)]
        if self.seeds == before or (self.seeds == self._least and spent[0] <= spent[1]):
            self.seeds = before  # starting over would save nothing
            return
        if laying:
            self._measured = measured
        raise BrokenOffError(method)


class _Spent(NamedTuple):
    """What a method took, for how many seeds."""

    compiled: float
    whole: float
    seeds: int

    @property
    def run(self) -> float:
        return self.whole - self.compiled


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
