"""When to save, how much to run at once, and how long it will still take."""

import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Int, PyTree

from jaxmtl.training.driver.program import RUNNING, SweepProgress
from jaxmtl.training.driver.store import Store

OnProgress = Callable[[SweepProgress], None]


class Saving:
    """Saves now and then, such that it takes a small share of the time.

    Example:
        >>> Saving(None, least=4.0, share=0.05).tick(0, {}, at_once=True)
    """

    def __init__(self, store: Store | None, *, least: float, share: float) -> None:
        """Starts.

        Args:
            store: None to save nothing.
            least: seconds between saves.
            share: of the time, at most.
        """
        self._store, self._least, self._share = store, least, share
        self._saved = time.perf_counter()
        self._cost = 0.0

    def tick(self, step: int, tree: PyTree, *, at_once: bool = False) -> None:
        """Saves if it is time to, or ``at_once``."""
        now = time.perf_counter()
        due = max(self._least, self._cost / self._share)
        if self._store is None or not (at_once or now - self._saved >= due):
            return
        self._store.save(step, tree)
        self._saved = time.perf_counter()
        self._cost = self._saved - now


class Reporting:
    """Says how far a sweep is.

    Example:
        >>> said = []
        >>> reporting = Reporting(said.append, np.array([4, 6]))
        >>> reporting.tick(np.array([4, 2]), np.array([1, 0]))
        >>> said[0].done, said[0].total, said[0].finished
        (6, 10, 1)
    """

    def __init__(self, on_progress: OnProgress | None, totals: Int[np.ndarray, " members"]) -> None:
        """Starts.

        Args:
            on_progress: None to say nothing.
            totals: epochs of each member, at most.
        """
        self._on_progress, self._totals = on_progress, totals
        self._first: tuple[float, int] | None = None

    def tick(self, done: Int[np.ndarray, " members"], status: Int[np.ndarray, " members"]) -> None:
        """Reports; members that no longer run count as through."""
        if self._on_progress is None:
            return
        now, through = time.perf_counter(), status != RUNNING
        so_far = int(np.where(through, self._totals, done).sum())
        total = int(self._totals.sum())
        # Until the first report most of the time went into compiling.
        began, before = self._first = self._first or (now, so_far)
        left = float("nan")
        if so_far != before:
            left = (total - so_far) * (now - began) / (so_far - before)
        self._on_progress(SweepProgress(len(status), int(through.sum()), so_far, total, left))


class Pace:
    """How many epochs to run in one call.

    Example:
        >>> pace = Pace(32, seconds=0.5)
        >>> pace.limit, pace.next(20.0), pace.next(0.1), pace.next(0.1)
        (1, 2, 4, 8)
    """

    def __init__(self, length: int, *, seconds: float) -> None:
        """Starts with one epoch.

        Args:
            length: epochs of one call at most.
            seconds: that a call should take.
        """
        self.limit, self._length, self._seconds = 1, length, seconds

    def next(self, spent: float) -> int:
        """The number for the next call, after one that took some seconds."""
        # The first call compiles; later ones are made as long as a progress bar can bear.
        if self.limit > 1 or spent < self._seconds:
            fits = 2 * self.limit * self._seconds / max(spent, 1e-6)
            self.limit = min(int(np.clip(fits, 1, 2 * self.limit)), self._length)
        else:
            self.limit = 2
        return self.limit
