"""How long families of models take on a table, and how a given time is divided among them.

Seconds are those of one core that has nothing else to do, measured once; as soon as families are
through, the pace of this machine takes their place. They need not be better than by a factor.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jaxmtl._words import about
from jaxmtl.data import Data, Folds
from jaxmtl.methods.boosted import ROWS_FOR_THREADS
from jaxmtl.methods.extra_trees import work_of
from jaxmtl.methods.of_each_task import MOST_ROWS_OF_TREES
from jaxmtl.prediction.family_words import said
from jaxmtl.training.tabular.schedule import epochs_for

RESERVED = 4.0, 0.08  # seconds, and a share of all, for mixing and for what is written
DOUBT = 5.0  # seconds for which the pace is held to be as expected, beside what has been seen
PACES = 0.25, 4.0  # beyond which what is expected of a family is wrong, and not the machine's pace
COMPILING = {"residual": 2.0, "separate": 16.0}  # the first of these is the program of "network"
FEWEST_EPOCHS = 15  # of a network that is cut
FOR_THE_TIME = "for the time"  # end of the note of a network that is cut
BRIEF = 1.0  # seconds: what takes no longer is never left out


class Cost(NamedTuple):
    """What a family takes.

    Attributes:
        whole: seconds, if nothing is cut.
        least: seconds that it takes whatever is cut.
    """

    whole: float
    least: float


def cost_of(name: str, data: Data, folds: Folds) -> Cost:
    """About how long a family takes.

    Args:
        name: of ``TABLE_FAMILIES``.
        data: to learn from.
        folds: of it.

    Returns:
        Seconds; twice or half as many are to be expected.

    Example:
        >>> import numpy as np
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.tasks import number_tasks
        >>> data = Data(x=np.zeros((50, 2)), y=np.zeros((50, 1)), known=np.ones((50, 1), bool),
        ...             tasks=number_tasks(["CO"]))
        >>> none = np.zeros(0, int)
        >>> folds = Folds(parts=(SplitIndices(np.arange(40), none, np.arange(40, 50)),))
        >>> cost_of("linear", data, folds).whole < 1 < cost_of("network", data, folds).least
        True
    """
    rows = max(max((len(fold.train) for fold in folds), default=1), 1)
    features, tasks, parts = data.x.shape[1], len(data.tasks), len(folds)
    drawn = min(rows, MOST_ROWS_OF_TREES)
    if name == "mean":
        seconds = 0.1
    elif name == "linear":
        seconds = parts * (0.05 + 1e-7 * rows * features * (tasks + features / 100))
    elif name == "extra_trees":
        seconds = parts * 0.3 + 8e-9 * work_of(data, folds)
    elif name == "boosted":
        cores = 1 if rows < ROWS_FOR_THREADS else 2
        seconds = parts * tasks * 200 * (4e-3 + 1.5e-8 * drawn * features / cores)
    else:
        return _of_a_network(name, data, rows, tasks, parts)
    return Cost(seconds, seconds)


def _of_a_network(name: str, data: Data, rows: int, tasks: int, parts: int) -> Cost:
    """Compiling, and passes over the rows through three layers of 128."""
    compiling = COMPILING.get(name, 13.0)
    numbers = sum(part.role == "number" for part in data.parts) if data.parts else data.x.shape[1]
    a_row = 1.2e-5 * (33_000 + 512 * numbers) / 38_000
    a_pass = parts * rows * a_row * (max(tasks * 0.55, 1.0) if name == "separate" else 1.0)
    epochs = epochs_for(rows)
    least = min(FEWEST_EPOCHS, epochs)
    return Cost(compiling + epochs * a_pass, compiling + least * a_pass)


class TimePlan:
    """Divides a time among families, and says how much of the work is left.

    Example:
        >>> now = iter([0.0, 0.0, 0.0, 0.0, 19.0, 19.0])
        >>> costs = {"linear": Cost(1.0, 1.0), "boosted": Cost(4.0, 4.0), "network": Cost(60, 10)}
        >>> plan = TimePlan(costs, 30.0, clock=lambda: next(now))
        >>> plan.kept(), plan.share("linear")
        (['linear', 'boosted', 'network'], None)
        >>> plan.done("linear")  # the machine is slow
        >>> plan.kept()
        []
    """

    def __init__(
        self,
        costs: Mapping[str, Cost],
        seconds: float | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Starts.

        Args:
            costs: of the families, in the order in which they are trained.
            seconds: that all may take; None for as long as it needs.
            clock: seconds.
        """
        self._costs, self._waiting, self._clock = dict(costs), list(costs), clock
        self._expected = self._spent = 0.0  # of what is through
        self._began = clock()
        self._end = math.inf
        if seconds is not None:
            self._end = self._began + seconds - RESERVED[0] - RESERVED[1] * seconds

    def kept(self) -> list[str]:
        """Those that are still to come and fit into the time, as many as possible.

        Those that take a moment only fit into any time.
        """
        left, found = self._end - self._clock(), []
        for name in sorted(self._waiting, key=lambda one: self._costs[one].least):
            needed = self.needs(name, least=True)
            left -= needed
            if left >= 0 or needed <= BRIEF:
                found.append(name)
        return [name for name in self._waiting if name in found]

    def needs(self, name: str, *, least: bool = False) -> float:
        """Seconds that a family takes at the pace seen so far.

        Args:
            name: of the family.
            least: what it takes whatever is cut.
        """
        cost = self._costs[name]
        return (cost.least if least else cost.whole) * self._pace

    def share(self, name: str) -> float | None:
        """Seconds that a family may take; None for as long as it needs.

        Args:
            name: of it.
        """
        if self._end == math.inf:
            return None
        kept = dict.fromkeys([*self.kept(), name])
        least = sum(self.needs(one, least=True) for one in kept)
        more = {one: self.needs(one) - self.needs(one, least=True) for one in kept}
        spare, wanted = self._end - self._clock() - least, sum(more.values())
        if spare >= wanted or not more[name]:
            return None
        return self.needs(name, least=True) + max(spare, 0.0) * more[name] / wanted

    def add(self, name: str, cost: Cost) -> None:
        """Puts a family at the end of the list.

        Args:
            name: of it.
            cost: what it takes.
        """
        self._costs[name] = cost
        self._waiting.append(name)

    def leave_out(self, name: str) -> None:
        """Takes a family off the list.

        Args:
            name: of it.
        """
        self._waiting.remove(name)

    def done(self, name: str) -> None:
        """Counts a family as through.

        Args:
            name: of it.
        """
        self._waiting.remove(name)
        now = self._clock()
        self._expected += self._costs[name].whole
        self._spent += now - self._began
        self._began = now

    def later(self, name: str) -> float:
        """Seconds that those behind a family take, as far as is known.

        Args:
            name: of the one at work.
        """
        others = self._waiting[self._waiting.index(name) + 1 :]
        left = sum(self.needs(one) for one in others)
        return min(left, max(self._end - self._clock(), 0.0))

    @property
    def rest(self) -> float:
        """Seconds for mixing and for what is written, by what families have taken so far."""
        return RESERVED[0] + RESERVED[1] * self._spent

    @property
    def _pace(self) -> float:
        least, most = PACES
        return min(max((self._spent + DOUBT) / (self._expected + DOUBT), least), most)


def left_out_note(seconds: float, needed: Sequence[tuple[str, float]]) -> str:
    """What a time limit has cost.

    Args:
        seconds: of the limit.
        needed: names of the families that were left out, and how long each would have taken.

    Returns:
        A sentence.

    Example:
        >>> left_out_note(20, [("boosted", 31.0), ("mean", 400.0)])
        'left out for want of time (20 s): boosted trees (about 31 s), the mean (about 7 min)'
    """
    return f"left out for want of time ({about(seconds)}): {_each(needed)}"


def too_long_note(needed: Sequence[tuple[str, float]]) -> str:
    """What was left out although nobody has set a limit.

    Args:
        needed: names of the families, and how long each would have taken.

    Returns:
        A sentence.

    Example:
        >>> too_long_note([("boosted", 1700.0)])
        ... # doctest: +NORMALIZE_WHITESPACE
        'left out, as it would take long: boosted trees (about 28 min); it is trained if --families
        names it (boosted), or with a --time-limit that leaves room for it'
    """
    it, is_, them = ("it", "is", "it") if len(needed) == 1 else ("they", "are", "them")
    names = ",".join(name for name, _ in needed)
    return (
        f"left out, as {it} would take long: {_each(needed)}; {it} {is_} trained if --families "
        f"names {them} ({names}), or with a --time-limit that leaves room for {them}"
    )


def is_of_time(note: str) -> bool:
    """Whether a note of a run says what the time has cost."""
    return note.startswith("left out") or note.endswith(FOR_THE_TIME)


def of_time(notes: Sequence[str]) -> list[str]:
    """What the time has cost, as sentences that stand beside the verdict.

    Args:
        notes: of a run.

    Returns:
        Sentences.

    Example:
        >>> cut = "residual: 32 passes over the rows instead of 73, for the time"
        >>> of_time(["8 rows are the same", cut])
        ['Networks and line: 32 passes over the rows instead of 73, for the time.']
    """
    found = []
    for note in filter(is_of_time, notes):
        name, colon, rest = note.partition(": ")
        words = f"{said(name)}{colon}{rest}"
        found.append(f"{words[0].upper()}{words[1:]}.")
    return found


def _each(needed: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{said(name)} (about {about(time)})" for name, time in needed)


def without_the_longest(
    costs: Mapping[str, Cost], longest: float | None
) -> tuple[list[str], tuple[str, ...]]:
    """Families that do not take too long; the first one is always among them.

    Args:
        costs: by name of the family.
        longest: seconds that one may take; None for as long as it needs.

    Returns:
        Their names, and what is to be said of the others.
    """
    if longest is None:
        return list(costs), ()
    long = {name: cost.whole for name, cost in costs.items() if cost.whole > longest}
    long.pop(next(iter(costs)), None)
    said_of = (too_long_note(list(long.items())),) if long else ()
    return [name for name in costs if name not in long], said_of
