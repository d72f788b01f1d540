"""How much better one prediction of a table's rows is than another, with an interval."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmtl.data import CellTable, Columns, Data, groups_of, time_of
from jaxmtl.methods.of_each_task import mean_losses, some_rows
from jaxmtl.statistics import paired_bootstrap

BLOCKS = 100  # of rows, that intervals resample at most


class Gain(NamedTuple):
    """Loss of what was kept over that of a family, less 1, in %, with an interval of 95 %.

    Attributes:
        over: name of the family.
        percent: below 0 where what was kept is better; one number a task.
        low: lower end of the interval, NaN where there are too few rows for one.
        high: upper end.

    Example:
        >>> Gain("linear", np.array([-3.0]), np.array([-5.0]), np.array([-1.0])).over
        'linear'
    """

    over: str
    percent: Float[np.ndarray, " tasks"]
    low: Float[np.ndarray, " tasks"]
    high: Float[np.ndarray, " tasks"]


def blocks_of(
    table: CellTable, columns: Columns, rows: Int[np.ndarray, " shown"], seed: int
) -> Int[np.ndarray, " shown"]:
    """What is resampled instead of rows: whole groups, neighbours in time, or rows at random.

    Args:
        table: with all its rows.
        columns: of which ``group`` and ``time`` count.
        rows: of the table, whose predictions are compared.
        seed: of the draw.

    Returns:
        The number of each row's block.
    """
    if columns.group is not None:
        return np.unique(groups_of(table, columns)[rows], return_inverse=True)[1] % BLOCKS
    if columns.time is not None:
        moments = time_of(table, columns)[rows]
        return np.argsort(np.argsort(moments, kind="stable")) * BLOCKS // len(rows)
    return np.random.default_rng(seed).permutation(len(rows)) % BLOCKS


def gain_over(
    name: str,
    own: Float[np.ndarray, "shown outputs"],
    other: Float[np.ndarray, "shown outputs"],
    data: Data,
    shown: Int[np.ndarray, " shown"],
    block: Int[np.ndarray, " shown"],
) -> Gain:
    """Compares two predictions of the same rows, a task at a time.

    Args:
        name: of what predicted ``other``.
        own: predictions.
        other: predictions to compare them with.
        data: with what is true.
        shown: numbers of the predicted rows in it.
        block: of each of them, from ``blocks_of``.

    Returns:
        The difference of the losses, from a paired bootstrap over the blocks.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> y = np.arange(20.0)[:, None]
        >>> data = Data(x=y, y=y, known=np.ones((20, 1), bool), tasks=number_tasks(["CO"]))
        >>> found = gain_over("linear", y + 1, y + 2, data, np.arange(20), np.arange(20))
        >>> found.over, found.percent.tolist()
        ('linear', [-75.0])
    """
    found = paired_bootstrap(*(_by_block(one, data, shown, block) for one in (own, other)))
    return Gain(name, found.percent, found.percent_low, found.percent_high)


def overall_gain(
    name: str,
    own: Float[np.ndarray, "shown outputs"],
    other: Float[np.ndarray, "shown outputs"],
    constant: Float[np.ndarray, " outputs"],
    data: Data,
    shown: Int[np.ndarray, " shown"],
    block: Int[np.ndarray, " shown"],
) -> Gain:
    """The same over all tasks: the mean of their losses, each over that of a constant prediction.

    Args: as of ``gain_over``, and the constant prediction.

    Returns:
        One number and its interval.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> y = np.stack([np.arange(20.0), 1000 * np.arange(20.0)], axis=1)
        >>> data = Data(x=y, y=y, known=np.ones((20, 2), bool), tasks=number_tasks("ab"))
        >>> own, other = y + np.array([1, 2000]), y + np.array([2, 2000])
        >>> rows, constant = np.arange(20), y.mean(axis=0)
        >>> overall_gain("linear", own, other, constant, data, rows, rows).percent.round(6).tolist()
        [-37.5]
    """
    whole = mean_losses(np.repeat(constant[None], len(shown), axis=0), some_rows(data, shown))
    scale = np.where(np.isfinite(whole) & (whole > 0), whole, np.nan)
    means = []
    for predicted in (own, other):
        share = _by_block(predicted, data, shown, block) / scale
        known = np.isfinite(share)
        total = np.where(known, share, 0).sum(axis=1)
        number = known.sum(axis=1)
        means.append(np.where(number > 0, total / np.maximum(number, 1), np.nan)[:, None])
    found = paired_bootstrap(*means)
    return Gain(name, found.percent, found.percent_low, found.percent_high)


def _by_block(
    predicted: np.ndarray, data: Data, shown: np.ndarray, block: np.ndarray
) -> Float[np.ndarray, "blocks tasks"]:
    """Mean losses of the rows of every block."""
    return np.stack(
        [
            mean_losses(predicted[block == one], some_rows(data, shown[block == one]))
            for one in np.unique(block)
        ]
    )
