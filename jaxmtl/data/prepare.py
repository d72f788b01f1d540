"""From a table and its splits to scaled rows that a network can be trained on."""

import functools
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from jaxmtl._validate import check_choice
from jaxmtl.data._errors import TableError
from jaxmtl.data.feature_range import range_of
from jaxmtl.data.infer_tasks import check_squares
from jaxmtl.data.preprocessing import Preprocessing, to_dtype
from jaxmtl.data.reading.tables import Table
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.data.scaling import Scaler, ScalingKind, fit_scaler
from jaxmtl.data.splits import SplitIndices

MissingFeatures = Literal["error", "drop", "mean"]
MissingTargets = Literal["error", "drop", "mean", "mask"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(Preprocessing):
    """Scaled rows, together with the preprocessing that was fitted for them.

    Attributes:
        splits: scaled rows of each split, in the order of the file.
        rows: row numbers of the sheet for each split, in the same order.
        source: where the rows were read: "file x.xlsx, sheet 'Sheet1'".

    Example:
        >>> table = Table(features=("CO",), targets=("PM2.5",), x=np.array([[0.0], [1.0], [3.0]]),
        ...               y=np.array([[10.0], [30.0], [20.0]]), rows=np.array([2, 3, 4]),
        ...               source="file a.csv", kept={})
        >>> dataset = prepare(table, SplitIndices(np.array([0, 1]), np.array([], int),
        ...                                       np.array([2])))
        >>> dataset.splits.train.y.tolist(), dataset.rows.test.tolist()
        ([[0.0], [1.0]], [4])
        >>> dataset.decode(dataset.splits.test.y).tolist()
        [[20.0]]
    """

    splits: Splits
    rows: SplitIndices
    source: str


def prepare(
    table: Table,
    indices: SplitIndices,
    *,
    missing_features: MissingFeatures = "error",
    missing_targets: MissingTargets = "error",
    scaling: ScalingKind = "minmax",
    scale_on: Literal["train", "all"] = "train",
    dtype: Any = np.float32,
) -> Dataset:
    """Treats missing values and scales every column.

    Means and scales are fitted on known values of the training rows only. "mean" replaces a
    missing target in test rows too, where it is then reported on as if it had been observed;
    "mask" does not.

    Args:
        table: what `read_table` returned, with at least one target.
        indices: rows of each split, counted from 0.
        missing_features: "error", "drop" the row, or replace by the "mean".
        missing_targets: the same, or "mask": the row counts only for the tasks whose target is
            known. A row without any known target is dropped then.
        scaling: "minmax", "standard" or "none"; see `fit_scaler`.
        scale_on: fit scales on the rows of "train", or of "all" splits. The study did the latter,
            which tells the network the range of the test rows.
        dtype: floating type of the scaled arrays.

    Returns:
        The data set. ``known`` of its rows is None unless targets are masked.

    Raises:
        TableError: a value is missing, a split has no row left, or a column has no known value.

    Example:
        >>> table = Table(features=("CO",), targets=("SO2", "O3"), x=np.array([[0.0], [4.0]]),
        ...               y=np.array([[1.0, np.nan], [2.0, 5.0]]), rows=np.array([2, 3]),
        ...               source="file a.csv", kept={})
        >>> none = np.array([], int)
        >>> data = prepare(table, SplitIndices(np.array([0, 1]), none, none),
        ...                missing_targets="mask", scaling="none")
        >>> data.splits.train.known.tolist()
        [[True, False], [True, True]]
    """
    check_choice("missing_features", missing_features, ("error", "drop", "mean"))
    check_choice("missing_targets", missing_targets, ("error", "drop", "mean", "mask"))
    check_choice("scale_on", scale_on, ("train", "all"))
    dtype = np.dtype(dtype)
    if not table.targets:
        raise TableError(f"{table.source}: expected at least one target column, got none; name one")
    indices = SplitIndices(*(np.asarray(part, dtype=int) for part in indices))
    _check_indices(table, indices)

    missing_x, missing_y = np.isnan(table.x), np.isnan(table.y)
    every = np.sort(np.concatenate(indices))
    if missing_features == "error":
        _refuse_missing(table, table.features, missing_x, every, "'drop' or 'mean'")
    if missing_targets == "error":
        _refuse_missing(table, table.targets, missing_y, every, "'drop', 'mean' or 'mask'")
    dropped = np.zeros(len(table.rows), dtype=bool)
    if missing_features == "drop":
        dropped |= missing_x.any(axis=1)
    if missing_targets == "drop":
        dropped |= missing_y.any(axis=1)
    if missing_targets == "mask":
        dropped |= missing_y.all(axis=1)
    parts = _drop(table, indices, dropped)

    fitted = parts.train if scale_on == "train" else np.concatenate(parts)
    _check_known(table, missing_x[parts.train], missing_y[parts.train])
    for j, name in enumerate(table.targets):
        check_squares(table.y[:, j], functools.partial(table.place, name))
    over = "the training rows" if scale_on == "train" else "all rows"
    feature_scaler = _fit(table, table.features, table.x[fitted], scaling, over)
    target_scaler = _fit(table, table.targets, table.y[fitted], scaling, over)

    x, y, fill = table.x, table.y, None
    if missing_features == "mean":
        fill = np.nanmean(x[parts.train], axis=0)
        x = np.where(missing_x, fill, x)
    if missing_targets == "mean":
        y = np.where(missing_y, np.nanmean(y[parts.train], axis=0), y)
    masked = missing_targets == "mask" and bool(missing_y[np.concatenate(parts)].any())
    scaled_x = to_dtype(feature_scaler.transform(x), dtype)
    scaled_y = to_dtype(target_scaler.transform(y), dtype)
    if masked:
        scaled_y[missing_y] = 0
    _check_range(table, table.features, scaled_x, x, parts)
    _check_range(table, table.targets, scaled_y, y, parts)

    def take(part: np.ndarray) -> Rows:
        return Rows(scaled_x[part], scaled_y[part], ~missing_y[part] if masked else None)

    return Dataset(
        splits=Splits(
            train=take(parts.train),
            validation=take(parts.validation) if len(parts.validation) else None,
            test=take(parts.test) if len(parts.test) else None,
        ),
        features=table.features,
        targets=table.targets,
        feature_scaler=feature_scaler,
        target_scaler=target_scaler,
        fill=fill,
        dtype=dtype,
        feature_range=range_of(table.x[parts.train]),
        rows=SplitIndices(*(table.rows[part] for part in parts)),
        source=table.source,
    )


def _check_indices(table: Table, indices: SplitIndices) -> None:
    every = np.concatenate(indices)
    if len(every) and (every.min() < 0 or every.max() >= len(table.rows)):
        raise TableError(
            f"{table.source}: expected row numbers from 0 to {len(table.rows) - 1} in the splits, "
            f"got {every.min()} to {every.max()}; split this table's number of rows"
        )
    numbers, counts = np.unique(every, return_counts=True)
    if (counts > 1).any():
        row = table.rows[numbers[counts > 1][0]]
        raise TableError(f"{table.source}, row {row}: in more than one split; put it into one")
    if not len(indices.train):
        raise TableError(
            f"{table.source}: expected at least one row to train on, got none; add one"
        )


def _refuse_missing(
    table: Table,
    names: tuple[str, ...],
    missing: Bool[np.ndarray, "rows columns"],
    every: Int[np.ndarray, " used"],
    options: str,
) -> None:
    places = np.argwhere(missing[every])
    if not len(places):
        return
    row, column = places[0]
    kind = "features" if names is table.features else "targets"
    flag = "--missing" if kind == "features" else "--missing-targets"
    number = "the only missing value" if len(places) == 1 else f"the first of {len(places)} missing"
    raise TableError(
        f"{table.place(names[column], int(every[row]))}: {number} among the {kind}; fill it in, or "
        f"treat missing {kind} by {options} (in a command {flag} drop)"
    )


def _drop(table: Table, indices: SplitIndices, dropped: Bool[np.ndarray, " rows"]) -> SplitIndices:
    parts = []
    for name, part in zip(indices._fields, indices, strict=True):
        kept = part[~dropped[part]]
        if len(part) and not len(kept):
            raise TableError(
                f"{table.source}: expected at least one complete row for the {name} split, got "
                f"none of {len(part)} rows from row {table.rows[part].min()} on; fill in missing "
                "values or choose a larger split"
            )
        parts.append(kept)
    return SplitIndices(*parts)


def _check_known(
    table: Table,
    missing_x: Bool[np.ndarray, "train features"],
    missing_y: Bool[np.ndarray, "train targets"],
) -> None:
    never = np.concatenate([missing_x, missing_y], axis=1).all(axis=0)
    if never.any():
        name = (*table.features, *table.targets)[int(np.argmax(never))]
        raise TableError(
            f"{table.source}, column {name!r}: expected a known value in the training rows, got "
            f"none in {len(missing_x)} rows; fill in values or leave the column out"
        )


def _fit(
    table: Table, names: tuple[str, ...], values: np.ndarray, scaling: ScalingKind, over: str
) -> Scaler:
    """Fits a scaler, and warns of columns that tell nothing."""
    try:
        scaler = fit_scaler(values, scaling)
    except ValueError as error:
        raise TableError(f"{table.source}, columns {', '.join(names)}: {error}") from error
    for j in np.flatnonzero(np.asarray(scaler.scale) == 0):
        warnings.warn(
            f"{table.source}, column {names[j]!r}: constant, all known values in {over} "
            f"are {scaler.offset[j]}, so that it is scaled to 0; leave the column out",
            UserWarning,
            stacklevel=3,
        )
    return scaler


def _check_range(
    table: Table,
    names: tuple[str, ...],
    scaled: np.ndarray,
    original: np.ndarray,
    parts: SplitIndices,
) -> None:
    every = np.sort(np.concatenate(parts))
    places = np.argwhere(~np.isfinite(scaled[every]))
    if len(places):
        row, column = int(every[places[0][0]]), places[0][1]
        raise TableError(
            f"{table.place(names[column], row)}: expected a value that fits into {scaled.dtype} "
            f"once scaled, got {original[row, column]}; correct it or scale the columns"
        )
