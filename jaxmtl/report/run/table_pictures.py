"""Pictures of a run on a table that follow from its metrics, as files and as parts of its page."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from jaxmtl.prediction.folder import SavedRun
from jaxmtl.report.page.inline_svg import inline_svg, sized
from jaxmtl.report.pictures.importance_picture import (
    draw_importance,
    group_names,
    importance_labels,
)
from jaxmtl.report.pictures.labels import Labels, make_labels
from jaxmtl.report.pictures.relations_picture import draw_relations
from jaxmtl.report.pictures.structure_picture import plot_structure
from jaxmtl.report.pictures.style import looks, save
from jaxmtl.structure import describe, from_json

IMPORTANCE, RELATIONS, STRUCTURE = "importance", "relations", "structure"


def draw_others(folder: Path, run: SavedRun) -> dict[str, str]:
    """Draws ``importance.png``, of three tasks or more ``relations.png``, and ``structure.png``.

    Args:
        folder: of the run, to write into.
        run: read from it.

    Returns:
        Elements of a page by name.
    """
    found: dict[str, str] = {}
    metrics, tasks = run.metrics, run.predictor.tasks
    if metrics.get("importance") is not None:
        labels = importance_labels(metrics, tasks)
        with looks(labels):
            drawn = draw_importance(metrics, tasks, labels)
            what = "What columns are worth to each target; the same as numbers below."
            names = [*group_names(metrics), *(task.name for task in tasks)]
            found[IMPORTANCE] = _written(drawn, folder, IMPORTANCE, what, labels, names)
    relations = metrics.get("relations")
    if relations is not None and len(relations["tasks"]) > 2:
        labels = make_labels((), relations["tasks"])
        with looks(labels):
            drawn = draw_relations(relations, labels)
            what = "Correlations of the targets, before and after the features."
            names = relations["tasks"]
            found[RELATIONS] = _written(drawn, folder, RELATIONS, what, labels, names)
    if (decided := metrics.get("structure")) is not None:
        structure = from_json(decided["structure"])
        labels = make_labels((), structure.tasks)
        drawn = plot_structure(structure)
        what = f"Which targets share a network. {describe(structure)}"
        with looks(labels):
            found[STRUCTURE] = _written(drawn, folder, STRUCTURE, what, labels, structure.tasks)
    return found


def _written(
    drawn: Figure, folder: Path, name: str, what: str, labels: Labels, names: Sequence[str]
) -> str:
    # A browser has fonts that matplotlib has not.
    shown = (*labels.features, *labels.tasks)
    replaced = dict(zip(shown, names, strict=True)) if labels.note else None
    picture = inline_svg(drawn, label=what, prefix=name, replaced=replaced)
    save(drawn, folder / f"{name}.png", labels)
    return sized(picture, drawn)
