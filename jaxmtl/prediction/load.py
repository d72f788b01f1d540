"""A run folder for scripts: data frames in, data frames out."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Coding, table_of_cells
from jaxmtl.plain.cells import missing_by_column
from jaxmtl.prediction.folder import SavedRun, load_run
from jaxmtl.prediction.predicted_columns import interval_columns, level_of, predicted_columns
from jaxmtl.prediction.predictor import ByFold, Predictor

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class LoadedRun:
    """What a run predicts, for data frames with the columns of its table.

    Attributes:
        run: its folder as it was read: ``run.config``, ``run.metrics``, ``run.predictor``.

    Example:
        >>> load("no such folder")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.RunFolderError: folder no such folder: there is no such folder; ...
    """

    run: SavedRun

    def predict(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Predictions in the units of the table, and probabilities of classes.

        Args:
            frame: with the columns that the run predicts from. What stood for a missing value in
                the run's table does so here.

        Returns:
            One row for each of its rows, with its index; a column a target, and for classes
            "level probability of good" and so on.

        Raises:
            TableError: a column is not there, or a cell is not of its kind.
        """
        import pandas as pd

        predictor = self.run.predictor
        if not isinstance(predictor.coding, Coding):
            names = list(predictor.coding.features)
            missing = [name for name in names if name not in frame.columns]
            if missing:
                raise ValueError(
                    f"frame: expected the columns {', '.join(names)}, got no {missing[0]!r}"
                )
            values = predictor.predict(self._numbers(cast("pd.DataFrame", frame[names])))
            return pd.DataFrame(values, columns=list(predictor.coding.targets), index=frame.index)
        found = self._by_fold(frame)
        columns = predicted_columns(predictor.coding.tasks, predictor.words(found.mean), found.mean)
        return pd.DataFrame(columns, index=frame.index)

    def intervals(
        self,
        frame: "pd.DataFrame",
        confidence_level: float | None = None,
        *,
        joint: bool = False,
    ) -> "pd.DataFrame":
        """Between what the targets lie, and which classes they may be of.

        Args:
            frame: with the columns that the run predicts from.
            confidence_level: share of new rows that are held; None for that of the run.
            joint: whether all targets of a row are to be held together.

        Returns:
            Columns such as "PM2.5 lower 90 %", "PM2.5 upper 90 %" and "level one of 90 %".

        Raises:
            ValueError: a run of the study, which has none.
        """
        import pandas as pd

        predictor = self.run.predictor
        found = self._by_fold(frame) if isinstance(predictor.coding, Coding) else _NOTHING
        level = level_of(self.run.metrics) if confidence_level is None else confidence_level
        bounds = predictor.bounds(found, confidence_level=level, joint=joint)
        columns = {
            name: cells
            for task in predictor.tasks
            for name, cells in interval_columns(task, bounds, level).items()
        }
        return pd.DataFrame(columns, index=frame.index)

    @property
    def importance(self) -> "pd.DataFrame":
        """What is added to the error if columns are unknown; a row a group of them.

        Returns:
            A column a target; "PM2.5 low" and "PM2.5 high" are the ends of its 95 % interval.

        Raises:
            AttributeError: a run that does not hold it.
        """
        import pandas as pd

        saved = self.run.metrics.get("importance")
        if saved is None:
            raise AttributeError(f"run {self.run.folder}: it does not hold what columns are worth")
        index = [", ".join(group) for group in saved["groups"]]
        columns: dict[str, Any] = {}
        for name, worth in saved["tasks"].items():
            columns |= {name: worth["added"]}
            columns |= {f"{name} {end}": worth[end] for end in ("low", "high")}
        return pd.DataFrame(columns, index=index, dtype=float)

    def _numbers(self, frame: "pd.DataFrame") -> Float[np.ndarray, "rows features"]:
        """Numbers of a frame, NaN where they are missing or stand for that in the run."""
        values = frame.to_numpy(np.float64, na_value=np.nan, copy=True)
        codes = missing_by_column(self.run.reading.missing_values, list(frame.columns))
        for j, name in enumerate(frame.columns):
            own = codes.of_column.get(name, codes.everywhere)
            values[np.isin(values[:, j], list(own.numbers)), j] = np.nan
        return values

    def _by_fold(self, frame: "pd.DataFrame") -> ByFold:
        predictor: Predictor = self.run.predictor
        coding = predictor.coding
        assert isinstance(coding, Coding)
        used = {name: frame[name] for name in coding.inputs if name in frame.columns}
        table = table_of_cells(
            cast("dict[str, Any]", used),
            missing_values=predictor.reading.missing_values,
            of_run=True,
        )
        return predictor.outputs_by_fold(coding.encode(table).x)


_NOTHING = ByFold(np.zeros((1, 0, 1)), np.zeros((1, 0, 1)))


def load(folder: str | os.PathLike[str]) -> LoadedRun:
    """Reads a run folder that ``jaxmtl fit`` has written.

    Args:
        folder: its path.

    Returns:
        What predicts.

    Raises:
        FileError: the folder is not there, is none of a run, or is damaged.

    Example:
        >>> load("no such folder")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.RunFolderError: folder no such folder: there is no such folder; ...
    """
    return LoadedRun(load_run(folder))
