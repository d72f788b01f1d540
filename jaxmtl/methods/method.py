"""What can be trained on rows of several tasks, and what it leaves behind."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmtl._typing import Device
from jaxmtl.data.folds import Data, Folds
from jaxmtl.training import Divergence, Events, History, SweepProgress

OnProgress = Callable[[str, SweepProgress], None]


class Model(Protocol):
    """Something trained that predicts; a plain value that a file can hold.

    Attributes:
        kind: names the class that reads it again.
    """

    kind: ClassVar[str]

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features: coded numbers, and probabilities of classes."""
        ...

    def spec(self) -> dict[str, Any]:
        """All but the arrays, as JSON keeps it."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by names of letters, digits, ``_``, ``/`` and ``.``."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """How training is to be done; it changes no result beyond rounding.

    Attributes:
        checkpoint: folder in which every part of the work has its own; None for none.
        resume: go on from the checkpoints there.
        devices: see ``jaxmtl.sweep``.
        chunk: see ``jaxmtl.sweep``.
        on_progress: called with the name of what is at work.

    Example:
        >>> Work(chunk=4).resume
        False
    """

    checkpoint: str | os.PathLike[str] | None = None
    resume: bool = False
    devices: Sequence[Device] | None = None
    chunk: int | None = None
    on_progress: OnProgress | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """How a network was trained: the record behind a model, which is no part of it.

    Attributes:
        history: one row an epoch.
        events: nodes that were duplicated.
        divergence: None for a run that went to its end.
    """

    history: History
    events: Events
    divergence: Divergence | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """What a method leaves behind: one model a fold, and what is known of it.

    Attributes:
        models: one a fold, at the epoch, penalty or number of trees that was chosen.
        held: a fold each: ``model.predict`` of the rows that it held out; of no rows where it held
            out none.
        scores: mean loss of every task on the rows held out (for a number, the squared error of the
            coded values), measured by the method itself; NaN where it diverged or there are none.
        chosen: a fold each: what was chosen for it, such as ``{"epoch": 12}``.
        parameters: numbers in use, a fold each; -1 where the word has no meaning.
        steps: gradient steps, a fold each; 0 for methods without.
        splits: nodes that were duplicated, a fold each.
        diverged: whether the training did, a fold each.
        traces: how networks were trained, a fold each; empty for other methods.
        notes: what the user should know.
    """

    models: tuple[Model, ...]
    held: tuple[Float[np.ndarray, "held outputs"], ...]
    scores: Float[np.ndarray, "folds tasks"]
    chosen: tuple[Mapping[str, Any], ...]
    parameters: Int[np.ndarray, " folds"]
    steps: Int[np.ndarray, " folds"]
    splits: Int[np.ndarray, " folds"]
    diverged: np.ndarray
    traces: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """A way to train on several tasks."""

    @property
    def name(self) -> str:
        """As ``--method`` and ``--arms`` take it."""
        ...

    @property
    def description(self) -> str:
        """One line for a report."""
        ...

    def fit(self, data: Data, folds: Folds, keys: Key[Array, " folds"], work: Work) -> Fitted:
        """Trains one model a fold.

        Args:
            data: all rows.
            folds: what each model may see.
            keys: one a fold, so that a fold can be repeated by itself.
            work: how it is to be done.

        Returns:
            The models, and what is known of them.

        Raises:
            ValueError: data that the method does not go with.
        """
        ...
