"""What can be trained on rows of several tasks, and what it leaves behind."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmtl._typing import Device
from jaxmtl.data.folds import Data, Folds
from jaxmtl.training import Divergence, Events, History, SweepProgress

OnProgress = Callable[[str, SweepProgress], None]


class Model(Protocol):
    """Something trained that predicts; a plain value that a file can hold.

    Attributes:
        kind: names the class that reads it again.

    Example:
        >>> from jaxmtl.methods import LinearModel
        >>> model = LinearModel(slopes=np.array([[2.0]]), intercept=np.array([1.0]))
        >>> model.kind, model.predict(np.array([[3.0]])).tolist(), sorted(model.arrays())
        ('linear', [[7.0]], ['intercept', 'slopes'])
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
    """How training is to be done; but for ``seconds`` it changes no result beyond rounding.

    Attributes:
        checkpoint: folder in which every part of the work has its own; None for none.
        resume: go on from the checkpoints there.
        devices: see ``jaxmtl.sweep``.
        chunk: see ``jaxmtl.sweep``.
        on_progress: called with the name of what is at work.
        seconds: about how long a method for tables may take; None for as long as it needs. What is
            learned then hangs on the machine, and the notes say what was cut. Other methods take
            no account of it.

    Example:
        >>> Work(chunk=4).resume
        False
    """

    checkpoint: str | os.PathLike[str] | None = None
    resume: bool = False
    devices: Sequence[Device] | None = None
    chunk: int | None = None
    on_progress: OnProgress | None = None
    seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """How a network was trained: the record behind a model, which is no part of it.

    Attributes:
        history: one row an epoch.
        events: nodes that were duplicated.
        divergence: None for a run that went to its end.
        ends: epochs of the run with which its stages ended, but for the last: with the next one it
            went on as another network, or as the best of several.
        others: how the other networks were trained that the model is the mean of.
    """

    history: History
    events: Events
    divergence: Divergence | None
    ends: tuple[int, ...] = ()
    others: tuple["Trace", ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """What a method leaves behind: one model a fold, and what is known of it.

    Attributes:
        models: one a fold, at the epoch, penalty or number of trees that was chosen.
        scores: mean loss of every task on the rows held out, of those whose target is known (for a
            number, the squared error of the coded values); NaN where the training diverged or no
            row was held out.
        chosen: a fold each: what was chosen for it, such as ``{"epoch": 12}``.
        parameters: numbers in use at the end of the training, a fold each; -1 where the word has no
            meaning.
        splits: nodes that were duplicated by then, a fold each.
        steps: gradient steps, a fold each; 0 for methods without.
        diverged: whether the training did, a fold each.
        traces: how networks were trained, a fold each; empty for other methods.
        notes: what the user should know.
    """

    models: tuple[Model, ...]
    scores: Float[np.ndarray, "folds tasks"]
    chosen: tuple[Mapping[str, Any], ...]
    parameters: Int[np.ndarray, " folds"]
    splits: Int[np.ndarray, " folds"]
    steps: Int[np.ndarray, " folds"]
    diverged: Bool[np.ndarray, " folds"]
    traces: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = ()


def held_out(
    fitted: Fitted, data: Data, folds: Folds
) -> tuple[Float[np.ndarray, "held outputs"], ...]:
    """Predictions of the rows that each fold held out, by the model of that fold.

    Args:
        fitted: on these data and folds.
        data: all rows.
        folds: of the fitted models.

    Returns:
        A fold each; of no rows where it held out none.

    Example:
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.methods import find_method
        >>> from jaxmtl.tasks import number_tasks
        >>> x = np.arange(6.0)[:, None]
        >>> data = Data(x=x, y=2 * x, known=np.ones((6, 1), bool), tasks=number_tasks(["CO"]))
        >>> folds = Folds(parts=(SplitIndices(np.arange(4), np.array([], int), np.array([5])),))
        >>> held_out(find_method("mean").fit(data, folds, None, Work()), data, folds)[0].tolist()
        [[3.0]]
    """
    pairs = zip(fitted.models, folds, strict=True)
    return tuple(model.predict(data.x[fold.test]) for model, fold in pairs)


def first_folds(fitted: Fitted, number: int) -> Fitted:
    """What was fitted on the first folds.

    Args:
        fitted: on all of them.
        number: of folds.

    Returns:
        The same models, without the others.
    """
    names = [field.name for field in dataclasses.fields(Fitted) if field.name != "notes"]
    kept = {name: getattr(fitted, name)[:number] for name in names}
    return dataclasses.replace(fitted, **kept)


def join_folds(parts: Sequence[tuple[Int[np.ndarray, " some"], Fitted]], folds: int) -> Fitted:
    """What was fitted on some folds each, as one value in the order of the folds.

    Args:
        parts: places of the folds, and what was fitted on them; together every fold once.
        folds: their number.

    Returns:
        One value for all.
    """
    places = np.concatenate([places for places, _ in parts])
    if sorted(places) != list(range(folds)):
        raise ValueError(f"parts: expected every fold below {folds} once, got {places.tolist()}")
    back = np.argsort(places)

    def joined(name: str) -> Any:
        values = [getattr(part, name) for _, part in parts]
        if isinstance(values[0], np.ndarray):
            return np.concatenate(values)[back]
        every = [value for some in values for value in some]
        return tuple(every[place] for place in back) if len(every) == folds else ()

    fields = [field.name for field in dataclasses.fields(Fitted) if field.name != "notes"]
    notes = tuple(dict.fromkeys(note for _, part in parts for note in part.notes))
    return Fitted(**{name: joined(name) for name in fields}, notes=notes)


def checked_keys(
    name: str, keys: Key[Array, " folds"] | None, folds: Folds
) -> Key[Array, " folds"]:
    """The keys of a method that draws its initial values.

    Raises:
        ValueError: not one a fold.
    """
    if keys is None or keys.shape != (len(folds),):
        got = None if keys is None else f"shape {keys.shape}"
        raise ValueError(
            f"keys: expected one a fold for {name}, which draws its initial values, got "
            f"{got}; give it jax.random.split(jax.random.key(0), len(folds))"
        )
    return keys


class Method(Protocol):
    """A way to train on several tasks.

    Example:
        >>> from jaxmtl.data import SplitIndices
        >>> from jaxmtl.methods import find_method
        >>> from jaxmtl.tasks import number_tasks
        >>> x = np.arange(6.0)[:, None]
        >>> data = Data(x=x, y=2 * x, known=np.ones((6, 1), bool), tasks=number_tasks(["CO"]))
        >>> fold = SplitIndices(np.arange(4), np.array([], int), np.arange(4, 6))
        >>> found = find_method("mean").fit(data, Folds(parts=(fold,)), None, Work())
        >>> found.models[0].predict(x[:1]).tolist(), found.scores.tolist()
        ([[3.0]], [[37.0]])
    """

    @property
    def name(self) -> str:
        """As ``--method`` and ``--arms`` take it."""
        ...

    @property
    def description(self) -> str:
        """One line for a report."""
        ...

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """Trains one model a fold.

        Args:
            data: all rows.
            folds: what each model may see.
            keys: one a fold, so that a fold can be repeated by itself; None for methods that draw
                nothing.
            work: how it is to be done.

        Returns:
            The models, and what is known of them.

        Raises:
            ValueError: data that the method does not go with.
        """
        ...
