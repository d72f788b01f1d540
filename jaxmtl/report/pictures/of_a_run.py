"""All pictures of a run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Preprocessing
from jaxmtl.methods.method import Trace
from jaxmtl.models import HardSharing
from jaxmtl.prediction.records import ADAPTIVE
from jaxmtl.report.pictures.conflict_rates import draw_conflicts
from jaxmtl.report.pictures.error_curves import draw_errors
from jaxmtl.report.pictures.labels import make_labels
from jaxmtl.report.pictures.network_drawing import draw_network
from jaxmtl.report.pictures.scatter import draw_predictions
from jaxmtl.report.pictures.style import looks, save
from jaxmtl.tasks import number_tasks
from jaxmtl.training import Run


def draw_pictures(
    folder: Path,
    runs: Mapping[str, Run],
    model: HardSharing,
    coding: Preprocessing,
    split: str,
    observed: Float[np.ndarray, "rows tasks"],
    predicted: Mapping[str, Float[np.ndarray, "rows tasks"]],
    beside: Mapping[str, Float[np.ndarray, "rows tasks"]] | None = None,
) -> None:
    """Draws ``errors.png``, ``conflicts.png``, ``network.png`` and ``predictions.png``.

    Args:
        folder: to write into.
        runs: by name, "adaptive" first.
        model: that was trained.
        coding: names of the columns.
        split: of the rows that errors and predictions are shown of.
        observed: of these rows, in original units, NaN where not known.
        predicted: the same by the name of the run.
        beside: the same by the name of the yardstick that errors are shown beside.
    """
    bank = (model, runs[ADAPTIVE])
    draw_fitted(folder, runs, bank, coding, split, observed, predicted, beside)


def draw_fitted(
    folder: Path,
    runs: Mapping[str, Run | Trace],
    bank: tuple[HardSharing, Run] | None,
    coding: Preprocessing,
    split: str,
    observed: Float[np.ndarray, "rows tasks"],
    predicted: Mapping[str, Float[np.ndarray, "rows tasks"]],
    beside: Mapping[str, Float[np.ndarray, "rows tasks"]] | None = None,
) -> None:
    """Draws ``predictions.png``, and the other pictures of whatever there is.

    Args:
        folder: to write into.
        runs: with a history, by name; that which the picture is about first.
        bank: a network with a bank, and its run, which counted conflicts; None for others.
        coding: names of the columns.
        split: of the rows that errors and predictions are shown of.
        observed: of these rows, in original units, NaN where not known.
        predicted: the same by the name of the run.
        beside: the same by the name of the yardstick that errors are shown beside.
    """
    tasks = number_tasks(coding.targets)
    labels = make_labels(coding.features, coding.targets)
    with looks(labels):
        figures = {}
        if runs:
            known = all(getattr(run.history, split) is not None for run in runs.values())
            figures["errors"] = draw_errors(
                runs,
                labels,
                split if known else "train",
                tasks,
                levels=_levels(observed, beside or {}, coding) if known else {},
                scaled=coding.scales_targets,
            )
        if bank is not None:
            figures["conflicts"] = draw_conflicts(bank[1], labels)
            figures["network"] = draw_network(*bank, labels)
        figures["predictions"] = draw_predictions(
            observed, predicted, labels, split, tasks, beside or {}
        )
        for name, figure in figures.items():
            save(figure, folder / f"{name}.png", labels)


def _levels(
    observed: Float[np.ndarray, "rows tasks"],
    beside: Mapping[str, Float[np.ndarray, "rows tasks"]],
    coding: Preprocessing,
) -> dict[str, Float[np.ndarray, " tasks"]]:
    """Mean squared errors of the yardsticks as training measures its own."""
    scale = np.asarray(coding.target_scaler.scale)
    known = np.isfinite(observed)
    count = known.sum(axis=0)
    levels = {}
    for name, values in beside.items():
        total = (np.where(known, values - observed, 0.0) ** 2).sum(axis=0)
        usable = (count > 0) & (scale != 0)
        levels[name] = np.where(
            usable, total / np.maximum(count, 1) / np.where(usable, scale, 1) ** 2, np.nan
        )
    return levels
