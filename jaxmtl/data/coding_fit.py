"""How columns are coded: decided once, from the rows that may be learned from, without a target."""

from collections import Counter
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from jaxmtl import plain
from jaxmtl._validate import check_choice
from jaxmtl.data.coding import Coding, labelled_rows
from jaxmtl.data.columns import Column, Columns
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.data.typed import dates_of, levels_of

NumberScaling = Literal["robust", "quantile"]
MOST_LEVELS = 32  # that are a column each; above, a category is a code
MOST_CODES = 1000  # levels of a code; the rarest beyond are taken for ones not met before


def fit_coding(
    table: CellTable,
    columns: Columns,
    rows: Int[np.ndarray, " rows"] | None = None,
    *,
    scaling: NumberScaling = "robust",
) -> Coding:
    """Decides how columns are coded, from the rows that may be learned from.

    Numbers are moved by their median and divided by the distance of the quartiles (where that is 0,
    by half the range), and not bent, so that a line stays one (``TableNet`` bends them for itself);
    or mapped by their quantiles to a normal distribution. A gap is 0, and a mark beside it where
    there were any. A category is a column of 0 and 1 a level, or the number of its level where
    there are more than 32; one of levels in an order has their ranks, from -1 to 1, beside these. A
    date is a year with its fraction, waves of season and hour, and a weekday.

    Args:
        table: with the columns.
        columns: from ``infer_columns``.
        rows: places of the rows to look at; None for all with a known target.
        scaling: of numbers, "robust" or "quantile".

    Returns:
        The coding. A column that holds one value in these rows is coded as 0.

    Raises:
        TableError: a cell is not of the kind of its column.

    Example:
        >>> from jaxmtl.data import infer_columns, table_of_cells
        >>> table = table_of_cells({"CO": [1, 2, 3, 4, 5], "O3": [1, 2, 3, 4, 5]})
        >>> coding = fit_coding(table, infer_columns(table, targets=["O3"]))
        >>> [f"{value:.2f}" for value in coding.encode(table).x[:, 0]]
        ['-1.00', '-0.50', '0.00', '0.50', '1.00']

    References:
        Holzmueller, Grinsztajn and Steinwart (2024), Better by Default: Strong Pre-Tuned MLPs and
        Boosted Trees on Tabular Data, section 3.
    """
    check_choice("scaling", scaling, ("robust", "quantile"))
    rows = labelled_rows(table, columns) if rows is None else np.asarray(rows)
    fitted = []
    for column in columns.columns:
        coded: dict[str, Any] = {"name": column.name, "kind": column.kind}
        if column.kind == "category":
            levels = levels_of(table, column.name)
            fitted.append(coded | _fit_levels(column, [levels[i] for i in rows.tolist()]))
        elif column.kind == "date":
            dates, order = dates_of(table, column.name, column.order, stamps=True)
            fitted.append(coded | _fit_dates(column, dates.seconds[rows]) | {"order": order})
        else:
            fitted.append(coded | _fit_numbers(table.numbers(column.name)[rows], scaling))
    return Coding(columns=tuple(fitted), tasks=columns.tasks)


def _fit_levels(column: Column, levels: list[str | None]) -> dict[str, Any]:
    if column.ordered:
        return {"missing": None in levels, "levels": list(column.levels), "coded": "ranks"}
    counts = Counter(level for level in levels if level is not None)
    frequent = sorted(counts, key=lambda level: (-counts[level], level))[:MOST_CODES]
    return {
        "missing": len(levels) > counts.total(),
        "levels": sorted(frequent),
        "coded": "levels" if len(frequent) <= MOST_LEVELS else "code",
    }


def _fit_numbers(x: Float[np.ndarray, " rows"], scaling: NumberScaling) -> dict[str, Any]:
    known = x[~np.isnan(x)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    center, scale = _robust(known)
    grid = _quantiles(known) if scaling == "quantile" and high > low else None
    return {
        "missing": len(known) < len(x),
        "low": low,
        "high": high,
        "center": center,
        "scale": scale,
        "grid": grid,
    }


def _fit_dates(column: Column, seconds: Float[np.ndarray, " rows"]) -> dict[str, Any]:
    known = seconds[~np.isnan(seconds)]
    fitted = _fit_numbers(seconds, "robust") | {"parts": list(column.parts)}
    del fitted["grid"]
    years = plain.date_features(known)["year"][:, 0]
    return fitted | dict(zip(("center", "scale"), _robust(years), strict=True))


def _robust(known: Float[np.ndarray, " known"]) -> tuple[float, float]:
    """The median, and what differences from it are multiplied by; 0 for a constant."""
    if not len(known):
        return 0.0, 0.0
    # Of halves: a difference of numbers that float64 holds may be one that it does not.
    low, lower, center, upper, high = np.quantile(known / 2, (0, 0.25, 0.5, 0.75, 1)).tolist()
    half = upper - lower if upper > lower else (high - low) / 2
    scale = 0.5 / half if half > 0 else 0.0
    return center * 2, scale if np.isfinite(scale) else 0.0


def _quantiles(known: Float[np.ndarray, " known"]) -> list[list[float]]:
    """Quantiles, and where a normal distribution has them; equal ones are met in the middle."""
    number = min(max(min(len(known) // 30, 1000), 10), len(known))
    shares = np.linspace(0, 1, number)
    values = 2 * np.quantile(known / 2, shares)
    clipped = np.clip(shares, 0.5 / len(known), 1 - 0.5 / len(known))
    scores = np.array([NormalDist().inv_cdf(share) for share in clipped.tolist()])
    grid, place = np.unique(values, return_inverse=True)
    means = np.bincount(place, scores) / np.bincount(place)
    return [grid.tolist(), means.tolist()]
