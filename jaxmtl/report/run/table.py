"""The folder of a run on a table of any kind, with its pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmtl.data import CellTable
from jaxmtl.prediction.fit_table import TableFit
from jaxmtl.prediction.table_run import write_table_run


def write_table_folder(
    folder: Path,
    found: TableFit,
    table: CellTable,
    *,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes all files of a run: see ``write_table_run``, and ``predictions.png``.

    Args:
        folder: that exists.
        found: what was learned.
        table: from which.
        settings: whatever repeats the run.

    Raises:
        ValueError: a model that cannot be saved.
    """
    write_table_run(folder, found, table, settings=settings)
    # matplotlib takes half a second to load.
    from jaxmtl.report.pictures.labels import make_labels
    from jaxmtl.report.pictures.scatter import draw_predictions
    from jaxmtl.report.pictures.style import looks, save

    columns, data = found.columns, found.data
    labels = make_labels((), columns.targets)  # no feature is named in it
    observed = np.where(data.known[found.shown], data.y[found.shown], np.nan)
    split = "test" if len(found.shown) < len(data.x) else "held-out"
    with looks(labels):
        figure = draw_predictions(observed, {"this model": found.held}, labels, split, data.tasks)
        save(figure, folder / "predictions.png", labels)
