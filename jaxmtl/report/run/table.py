"""The folder of a run on a table of any kind, with its pictures and its page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmtl.data import CellTable
from jaxmtl.prediction.fit_table import TableFit
from jaxmtl.prediction.folder import load_run
from jaxmtl.prediction.table_run import write_table_run
from jaxmtl.tasks import output_widths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxmtl.report.pictures.labels import Labels

REPORT = "report.html"
MANY = 1500  # dots, beyond which a picture in a page holds them as pixels
MOST_PANELS = 24  # targets that are drawn; each takes half a second


def write_table_folder(
    folder: Path,
    found: TableFit,
    table: CellTable,
    *,
    settings: Mapping[str, Any] | None = None,
    place: str | None = None,
) -> None:
    """Writes all files of a run: see ``write_table_run``, its pictures and ``report.html``.

    Args:
        folder: that exists.
        found: what was learned.
        table: from which.
        settings: whatever repeats the run.
        place: where the folder will be found, for the commands in the page; None: where it is.

    Raises:
        ValueError: a model that cannot be saved.
    """
    write_table_run(folder, found, table, settings=settings)
    # matplotlib takes half a second to load.
    from jaxmtl.report.page.inline_svg import inline_svg, sized
    from jaxmtl.report.page.table_page import table_page
    from jaxmtl.report.pictures.labels import make_labels
    from jaxmtl.report.pictures.style import looks, save
    from jaxmtl.report.pictures.where_wrong import MOST_TASKS, draw_where_wrong
    from jaxmtl.report.run.table_pictures import draw_others

    targets = found.columns.targets[:MOST_PANELS]
    labels = make_labels((), targets)  # no feature is named in it
    # A browser has fonts that matplotlib has not.
    replaced = dict(zip(labels.tasks, targets, strict=True)) if labels.note else None
    with looks(labels):
        drawn = _draw(found, labels)
        words = f"Predicted against observed values of {', '.join(targets)}."
        picture = inline_svg(drawn, label=words, prefix="predictions", replaced=replaced)
        picture = sized(picture, drawn)
        save(drawn, folder / "predictions.png", labels)
        run = load_run(folder)
        wrong = draw_where_wrong(run.metrics["where_wrong"], found.data.tasks, labels)
        words = "Errors by what is predicted and over time, and probabilities of classes."
        where_wrong = inline_svg(wrong, label=words, prefix="wrong", replaced=replaced)
        where_wrong = sized(where_wrong, wrong)
    where = str(folder) if place is None else place
    others = draw_others(folder, run)
    more = where_wrong, min(len(targets), MOST_TASKS)
    page = table_page(run, picture, place=where, drawn=len(targets), wrong=more, others=others)
    (folder / REPORT).write_text(page, encoding="utf-8", newline="\n")


def _draw(found: TableFit, labels: "Labels") -> "Figure":
    from jaxmtl.report.pictures.scatter import draw_predictions

    data, shown, tasks = found.data, found.shown, found.data.tasks[:MOST_PANELS]
    observed = np.where(data.known[shown], data.y[shown], np.nan)[:, : len(tasks)]
    held = found.held[:, : sum(output_widths(tasks))]
    split = "test" if len(shown) < len(data.x) else "held-out"
    drawn = draw_predictions(observed, {"this model": held}, labels, split, tasks)
    if len(shown) > MANY:
        for ax in drawn.axes:
            for dots in ax.collections:
                dots.set_rasterized(True)
    return drawn
