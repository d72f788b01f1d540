"""What should be known of rows before anything is trained on them."""

import dataclasses

import numpy as np
from jaxtyping import Float

from jaxmtl.data.feature_range import describe_outside
from jaxmtl.data.prepare import Dataset, MissingFeatures, MissingTargets
from jaxmtl.data.reading.tables import Table

ALIKE = 0.3  # correlation from row to row from which on an order matters
MOST_SHARE = 0.9  # of the summed error, that one task may have
FAR = 0.1  # widths of the range of the training rows that a test row may lie outside
UPDATES_AN_EPOCH = 10  # fewer see all kinds of rows in each, whatever their order


def usable_rows(
    table: Table, missing_features: MissingFeatures, missing_targets: MissingTargets
) -> tuple[Table, tuple[str, ...]]:
    """Leaves out the rows that no split can use, so that every split divides the same number.

    Args:
        table: as it was read.
        missing_features: see ``prepare``.
        missing_targets: see ``prepare``.

    Returns:
        The table without rows that ``prepare`` would drop, and a note if there are any.

    Example:
        >>> y = np.array([[1.0, np.nan], [np.nan, np.nan], [2.0, 5.0]])
        >>> table = Table(features=("CO",), targets=("SO2", "O3"), x=np.zeros((3, 1)), y=y,
        ...               rows=np.array([2, 3, 4]), source="file a.csv", kept={})
        >>> left, notes = usable_rows(table, "error", "mask")
        >>> left.rows.tolist(), notes
        ([2, 4], ('file a.csv: 1 of 3 rows has no known target and is left out',))
    """
    no_target = np.isnan(table.y)
    lost = {"mask": no_target.all(axis=1), "drop": no_target.any(axis=1)}.get(missing_targets)
    lost = np.zeros(len(table.rows), bool) if lost is None or not table.targets else lost
    gaps = np.isnan(table.x).any(axis=1) if missing_features == "drop" else np.zeros_like(lost)
    gone = np.asarray(lost | gaps)
    if not gone.any() or gone.all():  # of none that is left, whoever divides them tells more
        return table, ()
    why = [
        said
        for mask, said in (
            (lost, "no known target" if missing_targets == "mask" else "a missing target"),
            (gaps, "a missing feature"),
        )
        if mask.any()
    ]
    has, verb = ("has", "is") if gone.sum() == 1 else ("have", "are")
    note = (
        f"{table.source}: {gone.sum()} of {len(gone)} rows {has} {' or '.join(why)} and {verb} "
        "left out"
    )
    stay = ~gone
    return dataclasses.replace(
        table,
        x=table.x[stay],
        y=table.y[stay],
        rows=table.rows[stay],
        kept={name: cells[stay] for name, cells in table.kept.items()},
        left_out=np.sort(np.concatenate([table.left_out, table.rows[gone]])),
    ), (note,)


def rows_outside(table: Table, dataset: Dataset) -> str | None:
    """How many test rows lie far outside what is trained on.

    Args:
        table: that the data set was prepared from.
        dataset: with the range of its training rows.

    Returns:
        A sentence without a full stop; None where there is nothing to say.

    Example:
        >>> from jaxmtl.data import SplitIndices, prepare
        >>> x = np.array([[0.0], [1.0], [9.0]])
        >>> table = Table(features=("CO",), targets=("O3",), x=x, y=x, rows=np.array([2, 3, 4]),
        ...               source="file a.csv", kept={})
        >>> parts = SplitIndices(np.arange(2), np.array([], int), np.array([2]))
        >>> rows_outside(table, prepare(table, parts)).split(": ")[1]
        'CO in 1 row (as far as 9, trained on 0 to 1)'
    """
    if dataset.feature_range is None or not len(dataset.rows.test):
        return None
    x = table.x[np.searchsorted(table.rows, dataset.rows.test)]
    return describe_outside(dataset.feature_range, dataset.features, x, rows="test rows", least=FAR)


def one_task_dominates(dataset: Dataset) -> str | None:
    """Whether errors in the units of the table let one task decide what is learned.

    Args:
        dataset: that a network of several tasks is to be trained on.

    Returns:
        A sentence without a full stop; None where targets are scaled, or of like sizes.

    Example:
        >>> from jaxmtl.data import SplitIndices, prepare
        >>> y = np.array([[1.0, 5e4], [2.0, 9e4], [3.0, 1e4]])
        >>> table = Table(features=("CO",), targets=("SO2", "O3"), x=np.zeros((3, 1)), y=y,
        ...               rows=np.array([2, 3, 4]), source="file a.csv", kept={})
        >>> none = np.array([], int)
        >>> data = prepare(table, SplitIndices(np.arange(3), none, none), scaling="none")
        >>> one_task_dominates(data)
        ... # doctest: +NORMALIZE_WHITESPACE
        'targets are not scaled, and O3 makes up 100 % of their summed variance (1.067e+09, the
        others 0.6667): the network learns little but O3; scale targets with --scaling minmax or
        standard'
    """
    if dataset.scales_targets or len(dataset.targets) < 2:
        return None
    rows = dataset.splits.train
    y = np.asarray(rows.y, dtype=np.float64)
    if rows.known is not None:
        y = np.where(np.asarray(rows.known), y, np.nan)
    spread = np.nanvar(y, axis=0)
    total, most = float(spread.sum()), int(np.argmax(spread))
    if not total or spread[most] / total < MOST_SHARE:
        return None
    name, others = dataset.targets[most], total - spread[most]
    return (
        f"targets are not scaled, and {name} makes up {100 * spread[most] / total:.4g} % of their "
        f"summed variance ({spread[most]:.4g}, the others {others:.4g}): the network learns little "
        f"but {name}; scale targets with --scaling minmax or standard"
    )


def order_matters(dataset: Dataset, *, batch_size: int, shuffle: bool) -> str | None:
    """Whether rows that are like their neighbours are trained on in their order.

    Args:
        dataset: that a network is to be trained on.
        batch_size: rows of an update.
        shuffle: whether every epoch has an order of its own.

    Returns:
        A sentence without a full stop; None where rows are shuffled, or neighbours not alike.

    Example:
        >>> from jaxmtl.data import SplitIndices, prepare
        >>> x = np.arange(60.0)[:, None]
        >>> table = Table(features=("day",), targets=("O3",), x=x, y=x, rows=np.arange(60) + 2,
        ...               source="file a.csv", kept={})
        >>> none = np.array([], int)
        >>> data = prepare(table, SplitIndices(np.arange(60), none, none))
        >>> order_matters(data, batch_size=1, shuffle=True) is None
        True
        >>> order_matters(data, batch_size=1, shuffle=False)
        ... # doctest: +NORMALIZE_WHITESPACE
        'neighbouring rows are alike (O3: correlation 0.95 from row to row) and are trained on in
        their order, 1 an update, so that the network leans to the last ones; --shuffle gives every
        epoch an order of its own'
    """
    rows = dataset.splits.train
    if shuffle or len(rows.x) < UPDATES_AN_EPOCH * batch_size:
        return None
    known = None if rows.known is None else np.asarray(rows.known)
    for names, values, there in (
        (dataset.targets, rows.y, known),
        (dataset.features, rows.x, None),
    ):
        found = _from_row_to_row(np.asarray(values, dtype=np.float64), there)
        best = int(np.argmax(found))
        if found[best] > max(ALIKE, 4 / np.sqrt(len(rows.x))):
            return (
                f"neighbouring rows are alike ({names[best]}: correlation {found[best]:.2f} from "
                f"row to row) and are trained on in their order, {batch_size} an update, so that "
                "the network leans to the last ones; --shuffle gives every epoch an order of its "
                "own"
            )
    return None


def _from_row_to_row(
    values: Float[np.ndarray, "rows columns"], known: np.ndarray | None
) -> Float[np.ndarray, " columns"]:
    """Correlation of every column with itself one row later; 0 where it is constant."""
    there = np.ones(values.shape, bool) if known is None else known
    count = np.maximum(there.sum(axis=0), 1)
    off = np.where(there, values - np.where(there, values, 0).sum(axis=0) / count, 0.0)
    spread = (off**2).sum(axis=0)
    return (off[1:] * off[:-1]).sum(axis=0) / np.where(spread > 0, spread, np.inf)
