"""How often something is said of tables where there is nothing to say, and where there is.

    python experiments/benchmarks/false_notes.py --tables 200

Drift: of rows from where the model learned, which share of the tables gets a note; and of rows of
which one column of numbers has moved by half a standard deviation or by a quarter. Tables have
bells, zeros with gaps, whole numbers, two levels and forty.
Where it is wrong: errors that are alike everywhere, or larger by three fifths in one of twenty
levels; with bells or long tails, and with sizes like those of the rows before.
"""

import argparse
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jaxmtl.data import Column, Columns, table_of_cells
from jaxmtl.data.kinds import ColumnKind
from jaxmtl.prediction.drift import drift_note, learned_columns
from jaxmtl.statistics.batch_means import Batches
from jaxmtl.tasks import Task

LEARNED, PREDICTED, COLUMNS = (60, 300, 3000), (20, 50, 200, 2000), (5, 30)
SHIFTS = (0.0, 0.25, 0.5)  # standard deviations
LEVELS, ROWS = 20, (20, 60, 200)
LARGER = 1.6
Draw = Callable[[np.random.Generator, tuple[int, int]], Float[np.ndarray, "levels rows"]]


def column(rng: np.random.Generator, number: int, rows: int, shift: float) -> list:
    """Cells of one of five kinds."""
    kind = number % 5
    if kind == 0:
        return (rng.normal(size=rows) + shift * (number == 0)).tolist()
    if kind == 1:
        zeros = np.where(rng.uniform(size=rows) < 0.7, 0, rng.exponential(size=rows))
        return np.where(rng.uniform(size=rows) < 0.2, np.nan, zeros).tolist()
    if kind == 2:
        return rng.poisson(2, rows).tolist()
    levels = 1 / np.arange(1, 3 if kind == 3 else 41)
    return [f"l{i}" for i in rng.choice(len(levels), rows, p=levels / levels.sum())]


def share_noted(learned: int, predicted: int, columns: int, shift: float, tables: int) -> float:
    """Share of tables of which a drift is noted."""
    kinds: list[ColumnKind] = [
        "category" if number % 5 > 2 else "number" for number in range(columns)
    ]
    what = Columns(
        columns=tuple(Column(name=f"x{i}", kind=kind) for i, kind in enumerate(kinds)),
        tasks=(Task(name="y"),),
    )
    noted = 0
    for seed in range(tables):
        rng = np.random.default_rng([seed, learned, predicted, columns])
        before, now = (
            table_of_cells({f"x{i}": column(rng, i, rows, moved) for i in range(columns)})
            for rows, moved in ((learned, 0.0), (predicted, shift))
        )
        noted += drift_note(learned_columns(before, what, np.arange(learned)), now) is not None
    return noted / tables


def bells(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=shape)


def long_tails(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_t(3, size=shape)


def like_before(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    size = rng.normal(size=shape)
    for i in range(1, shape[1]):
        size[:, i] = 0.8 * size[:, i - 1] + 0.6 * size[:, i]
    return rng.normal(size=shape) * np.exp(size / 2)


def share_found(draw: Draw, rows: int, larger: float, tables: int) -> tuple[float, float]:
    """Share of tables in which the first level is found worse than all, and any other is."""
    first, others = 0, 0
    batches = Batches(np.repeat(np.arange(LEVELS), rows), LEVELS)
    for seed in range(tables):
        off = np.abs(draw(np.random.default_rng([seed, rows]), (LEVELS, rows)))
        off[0] *= larger
        low, _ = batches.means(off.ravel()).ends(LEVELS, positive=True)
        worse = low > off.mean()
        first += bool(worse[0])
        others += bool(worse[1:].any())
    return first / tables, others / tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=200)
    tables = parser.parse_args().tables
    print("Drift: tables with a note, %, where one column has moved by so many deviations")
    print("learned  predicted  columns" + "".join(f"{shift:>8}" for shift in SHIFTS))
    for learned in LEARNED:
        for predicted in PREDICTED:
            for columns in COLUMNS:
                shares = [share_noted(learned, predicted, columns, s, tables) for s in SHIFTS]
                cells = "".join(f"{100 * share:8.1f}" for share in shares)
                print(f"{learned:7}{predicted:11}{columns:9}{cells}", flush=True)
    print("\nWhere it is wrong: tables in which a level is found, %")
    print("errors       rows of a level   none is worse   one is   another than that one")
    for draw in (bells, long_tails, like_before):
        for rows in ROWS:
            alike = max(share_found(draw, rows, 1.0, tables))
            found, others = share_found(draw, rows, LARGER, tables)
            cells = f"{100 * alike:16.1f}{100 * found:9.1f}{100 * others:25.1f}"
            print(f"{draw.__name__:12}{rows:16}{cells}", flush=True)


if __name__ == "__main__":
    main()
