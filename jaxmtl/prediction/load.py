"""A run folder for scripts: data frames in, data frames out."""

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Float

from jaxmtl.data import CellTable, Coding, table_of_cells
from jaxmtl.plain.cells import missing_by_column
from jaxmtl.prediction.dependence import partial_dependence
from jaxmtl.prediction.drift import compare_columns, distributions_of
from jaxmtl.prediction.folder import SavedRun, load_run
from jaxmtl.prediction.predicted_columns import interval_columns, level_of, predicted_columns
from jaxmtl.prediction.predictor import ByFold, Predictor
from jaxmtl.prediction.sample import read_sample, some_rows

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
            TypeError: no data frame.
            ValueError: a column is not there or there twice, or a cell is not of its kind.
        """
        import pandas as pd

        predictor = self.run.predictor
        _check_frame(frame, predictor)
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
        _check_frame(frame, predictor)
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

    def dependence(self, column: str, frame: "pd.DataFrame | None" = None) -> "pd.DataFrame":
        """How predictions change with a column: see ``partial_dependence``.

        Args:
            column: that the run predicts from.
            frame: rows over which predictions are averaged; None for those that the run keeps.

        Returns:
            A row a value; "part" (of a date), "value", and for each target such as "PM2.5" also
            "PM2.5 low" and "PM2.5 high", of classes "level probability of good" and so on.

        Raises:
            ValueError: there is no such column, or it has one value only.
            FileError: the run keeps no rows.
        """
        import pandas as pd

        predictor = self.run.predictor
        if frame is None:
            x = read_sample(self.run.folder, len(_coding_of(predictor).features))
        else:
            x = some_rows(self._coded(frame))
        parts = []
        for curve in partial_dependence(predictor, x, column):
            columns: dict[str, Any] = {"part": curve.part, "value": list(curve.labels)}
            if curve.is_number and not curve.part:
                columns["value"] = curve.values
            for i, name in enumerate(curve.names):
                columns |= {name: curve.mean[:, i]}
                columns |= {f"{name} low": curve.low[:, i], f"{name} high": curve.high[:, i]}
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    @property
    def where_wrong(self) -> "pd.DataFrame":
        """Errors by what is predicted, over time and by category; a row a part.

        Returns:
            Columns "target", "by" ("prediction", or the name of a column), "part" (of predictions
            the mean), "rows", "typical", "low", "high", "times", "bias", "bias low", "bias high":
            see ``jaxmtl.prediction.where_wrong``.

        Raises:
            AttributeError: a run that does not hold it.
        """
        import pandas as pd

        found = self._where_wrong()
        lines: list[dict[str, Any]] = []
        for division in found["divisions"]:
            for target, own in division["tasks"].items():
                tenths = division["kind"] == "prediction"
                labels = own["predicted"] if tenths else division["labels"]
                by = "prediction" if tenths else division["column"]
                for i, label in enumerate(labels):
                    numbers = {key.replace("_", " "): own[key][i] for key in own}
                    lines.append({"target": target, "by": by, "part": label} | numbers)
        for target, own in found["levels"].items():
            for level in own["worst"]:
                numbers = {key: level[key] for key in ("rows", "typical", "low", "high", "times")}
                place = {"target": target, "by": level["column"], "part": level["level"]}
                lines.append(place | numbers | {"bias": level["bias"]})
        return pd.DataFrame(lines)

    @property
    def worst_rows(self) -> "pd.DataFrame":
        """The rows with the largest errors, by their number in the sheet.

        Returns:
            What names a row, "target", "observed", "predicted"; and "times off", in typical errors
            of the column, or "probability", that was given to the true class.

        Raises:
            AttributeError: a run that does not hold it.
        """
        import pandas as pd

        worst = self._where_wrong()["worst"]
        lines = [
            dict(zip(worst["named"], row["named"], strict=True))
            | {"target": row["task"], "observed": row["observed"], "predicted": row["predicted"]}
            | {"times off" if kind == "numbers" else "probability": row["size"]}
            for kind in ("numbers", "classes")
            for row in worst[kind]
        ]
        rows = [row["row"] for kind in ("numbers", "classes") for row in worst[kind]]
        return pd.DataFrame(lines, index=pd.Index(rows, name="row"))

    def drift(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """How far rows to predict are from those that were learned from, the farthest column first.

        Args:
            frame: with the columns that the run predicts from.

        Returns:
            By column "distance", the share of rows that lie elsewhere at least, and "p", how likely
            that is where nothing has changed: see ``jaxmtl.prediction.drift``.

        Raises:
            TableError: a column is not there, or a cell is not of its kind.
            AttributeError: a run that does not hold how its columns were distributed.
        """
        import pandas as pd

        learned = distributions_of(self.run.config)
        if not learned:
            raise AttributeError(f"run {self.run.folder}: it does not hold what it learned from")
        found = compare_columns(learned, self._table_of(frame))
        return pd.DataFrame(
            {"distance": [one.distance for one in found], "p": [one.p for one in found]},
            index=pd.Index([one.column for one in found], name="column"),
        )

    def _where_wrong(self) -> Mapping[str, Any]:
        found = self.run.metrics.get("where_wrong")
        if found is None:
            raise AttributeError(f"run {self.run.folder}: it does not hold where it is wrong")
        return found

    def _numbers(self, frame: "pd.DataFrame") -> Float[np.ndarray, "rows features"]:
        """Numbers of a frame, NaN where they are missing or stand for that in the run."""
        values = frame.to_numpy(np.float64, na_value=np.nan, copy=True)
        codes = missing_by_column(self.run.reading.missing_values, list(frame.columns))
        for j, name in enumerate(frame.columns):
            own = codes.of_column.get(name, codes.everywhere)
            values[np.isin(values[:, j], list(own.numbers)), j] = np.nan
        return values

    def _by_fold(self, frame: "pd.DataFrame") -> ByFold:
        return self.run.predictor.outputs_by_fold(self._coded(frame))

    def _coded(self, frame: "pd.DataFrame") -> np.ndarray:
        return _coding_of(self.run.predictor).encode(self._table_of(frame)).x

    def _table_of(self, frame: "pd.DataFrame") -> CellTable:
        _check_frame(frame, self.run.predictor)
        inputs = getattr(self.run.predictor.coding, "inputs", ())
        used = {name: frame[name] for name in inputs if name in frame.columns}
        return table_of_cells(
            cast("dict[str, Any]", used),
            missing_values=self.run.reading.missing_values,
            of_run=True,
        )


def _coding_of(predictor: Predictor) -> Coding:
    if not isinstance(predictor.coding, Coding):
        raise ValueError(
            "run: expected one on a table of columns of any kind, got one of columns of numbers"
        )
    return predictor.coding


def _check_frame(frame: Any, predictor: Predictor) -> None:
    coding = predictor.coding
    names = coding.inputs if isinstance(coding, Coding) else coding.features
    if not hasattr(frame, "columns"):
        raise TypeError(
            f"frame: expected a pandas data frame with the columns {', '.join(names)[:200]}, got "
            f"{type(frame).__name__}"
        )
    twice = frame.columns[frame.columns.duplicated()]
    double = next((name for name in names if name in twice), None)
    if double is not None:
        raise ValueError(f"frame: column {double!r} is there more than once; rename all but one")


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
