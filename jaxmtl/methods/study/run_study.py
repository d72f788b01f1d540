"""The study's two runs: the adaptive network, and plain hard sharing from the same start."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import optax

from jaxmtl.conflict import Rule, Zeros
from jaxmtl.data import Splits
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.models import HardSharing
from jaxmtl.training import STUDY_PHASES, Phase, Run, fit, fit_adaptive
from jaxmtl.training.phased.run import Progress
from jaxmtl.training.phased.state import Optimizer

OnProgress = Callable[[Progress], None] | None
Watch = Callable[[str], contextlib.AbstractContextManager[OnProgress]]
EPOCHS_OF_HARD_SHARING = 480


class StudyRuns(NamedTuple):
    """Both runs; either may have diverged.

    Attributes:
        adaptive: the run that split itself.
        hard: plain hard sharing from the same initial values.

    Example:
        >>> StudyRuns._fields
        ('adaptive', 'hard')
    """

    adaptive: Run
    hard: Run


def run_study(
    model: HardSharing,
    data: Splits,
    *,
    seed: int,
    phases: Sequence[Phase] = STUDY_PHASES,
    hard_epochs: int = EPOCHS_OF_HARD_SHARING,
    optimizer: Optimizer = optax.adam,
    batch_size: int = 1,
    shuffle: bool = False,
    rule: Rule = "nonnegative",
    zeros: Zeros = "reset",
    transplant: Transplant = "fresh",
    aggregator: str | None = None,
    watch: Watch | None = None,
) -> StudyRuns:
    """Trains the adaptive run, and plain hard sharing from the same start.

    Args:
        model: static.
        data: scaled rows.
        seed: of the initial values and, if rows are shuffled, of their order.
        phases: the schedule of the adaptive run.
        hard_epochs: of plain hard sharing.
        optimizer: factory from a learning rate to an optax optimizer.
        batch_size: samples of one update.
        shuffle: a new order every epoch.
        rule: see ``fit_adaptive``.
        zeros: see ``fit_adaptive``.
        transplant: see ``fit_adaptive``.
        aggregator: what combines the gradients of the tasks; None for their sum.
        watch: from the name of a run to a context that gives its ``on_progress``.

    Returns:
        Both runs.

    Raises:
        ValueError: rows or options that do not go together.

    Example:
        >>> import numpy as np
        >>> from jaxmtl.data import Rows
        >>> rng = np.random.default_rng(0)
        >>> rows = Rows(rng.random((8, 4), np.float32), rng.random((8, 2), np.float32))
        >>> runs = run_study(
        ...     HardSharing(), Splits(rows), seed=0, phases=[Phase(epochs=1)], hard_epochs=2)
        >>> len(runs.adaptive.history), len(runs.hard.history)
        (1, 2)
    """
    watch = (lambda name: contextlib.nullcontext()) if watch is None else watch
    # One key each, but from the same seed: both runs start from the same values.
    shared: dict[str, Any] = {
        "optimizer": optimizer,
        "batch_size": batch_size,
        "shuffle": shuffle,
        "aggregator": aggregator,
    }
    with watch("adaptive") as on_progress:
        adaptive = fit_adaptive(
            model,
            data,
            phases=phases,
            rule=rule,
            zeros=zeros,
            transplant=transplant,
            on_progress=on_progress,
            key=jax.random.key(seed),
            **shared,
        )
    with watch("hard sharing") as on_progress:
        hard = fit(
            model,
            data,
            epochs=hard_epochs,
            learning_rate=phases[0].learning_rate,
            on_progress=on_progress,
            key=jax.random.key(seed),
            **shared,
        )
    return StudyRuns(adaptive, hard)
