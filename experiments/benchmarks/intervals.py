"""What intervals hold of new rows, over many simulated tables, and of workbooks.

    python experiments/benchmarks/intervals.py --tables 400
    python experiments/benchmarks/intervals.py --families linear boosted --workbooks a.xlsx b.xlsx

Tables have 60 to 1000 rows, five features and three targets that share half of their noise, which
is of one size or grows with the target's mean; the last target is also cut into three classes.
Every table has 1000 rows more, which nothing learns from. Printed are means over the tables of the
share of these rows that intervals of 90 % hold: of every target, of the tenth with the highest
predictions, of all targets at once; and of classes that the set holds, with its mean size.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from table_sets import AIR_TARGETS, TableSet, split, workbook

from jaxmtl.data import Coding, infer_columns, table_of_cells
from jaxmtl.prediction.fit_table import Plan, fit_table

ROWS = (60, 120, 300, 1000)
NEW = 1000
NOISES = ("constant", "growing")
LEVELS = ("low", "middle", "high")
SHOWN = ("each", "highest tenth", "all at once", "classes", "set size")


class Found(NamedTuple):
    """Shares of new rows that are held, in the order of SHOWN; NaN where there is none."""

    shares: Float[np.ndarray, " shown"]


def simulated(rows: int, noise: str, seed: int) -> TableSet:
    rng = np.random.default_rng([seed, rows, NOISES.index(noise)])
    x = rng.normal(size=(rows + NEW, 5))
    mean = x @ rng.normal(size=(5, 3)) + 0.3 * x[:, :1] ** 2
    drawn = rng.normal(size=mean.shape) + rng.normal(size=(len(mean), 1))
    scale = 0.6 * (1 if noise == "constant" else np.exp(0.5 * mean / mean.std(axis=0)))
    return TableSet(x, mean + scale * drawn / np.sqrt(2))


def held_of(
    sets: TableSet, train: np.ndarray, new: np.ndarray, families: Sequence[str], *, classes: bool
) -> Found:
    """What intervals from the training rows hold of the new ones."""
    names = [f"y{t}" for t in range(sets.y.shape[1])]
    columns: dict[str, Any] = {f"x{i}": column for i, column in enumerate(sets.x.T)}
    columns |= dict(zip(names, sets.y.T, strict=True))
    if classes:
        ends = np.quantile(sets.y[train, -1], (1 / 3, 2 / 3))
        columns["level"] = np.array(LEVELS)[np.digitize(sets.y[:, -1], ends)]
        names.append("level")

    def table(rows: np.ndarray) -> Any:
        return table_of_cells({name: column[rows].tolist() for name, column in columns.items()})

    made = table(train)
    plan = Plan(families=("mean", *families))
    predictor = fit_table(made, infer_columns(made, targets=names), plan).predictor
    coding = predictor.coding
    assert isinstance(coding, Coding)
    coded = coding.encode(table(new))
    y, known = coding.targets(table(new))
    by_fold = predictor.outputs_by_fold(coded.x)
    bounds = predictor.bounds(by_fold)
    joint = predictor.bounds(by_fold, joint=True)
    inside, together, highest = [], np.ones(len(y), bool), []
    in_set = size = np.nan
    for t, name in enumerate(names):
        if name == "level":
            sets_of = bounds.sets[name]
            in_set, size = sets_of[np.arange(len(y)), y[:, t].astype(int)].mean(), sets_of.sum(1)
            continue
        low, high = bounds.ends[name].T
        inside.append((low <= y[:, t]) & (y[:, t] <= high))
        at = by_fold.mean[:, t] >= np.quantile(by_fold.mean[:, t], 0.9)
        highest.append(inside[-1][at].mean())
    if classes:
        together &= joint.sets["level"][np.arange(len(y)), y[:, -1].astype(int)]
    for t, (low, high) in enumerate(joint.ends[name].T for name in names if name != "level"):
        together &= (low <= y[:, t]) & (y[:, t] <= high)
    assert known.all()
    shares = [np.mean(inside), np.mean(highest), together.mean(), in_set, np.mean(size)]
    return Found(np.array(shares, float))


def line(name: str, found: Sequence[Found]) -> str:
    means = np.mean([one.shares for one in found], axis=0)
    cells = [f"{100 * share:5.1f} %" for share in means[:-1]] + [f"{means[-1]:.2f}"]
    return f"{name:28}" + "".join(f"{cell:>16}" for cell in cells)


def main(tables: int, families: Sequence[str], workbooks: Sequence[Path], splits: int) -> None:
    print(" " * 28 + "".join(f"{name:>16}" for name in SHOWN))
    everything = []
    for noise, rows in itertools.product(NOISES, ROWS):
        found = []
        for seed in range(max(tables // (len(ROWS) * len(NOISES)), 1)):
            made = simulated(rows, noise, seed)
            at = np.arange(len(made.x))
            found.append(held_of(made, at[:rows], at[rows:], families, classes=True))
        everything += found
        print(line(f"{noise} noise, {rows} rows", found), flush=True)
    print(line(f"all {len(everything)} tables", everything))
    for path in workbooks:
        made = workbook(path)
        parts = [split(len(made.x), seed) for seed in range(splits)]
        found = [held_of(made, *part, families, classes=False) for part in parts]
        print(line(f"{path.stem[:12]}, {', '.join(AIR_TARGETS)}", found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=int, default=400)
    parser.add_argument("--families", nargs="+", default=["linear", "extra_trees"])
    parser.add_argument("--workbooks", nargs="*", type=Path, default=[])
    parser.add_argument("--splits", type=int, default=3)
    given = parser.parse_args()
    main(given.tables, given.families, given.workbooks, given.splits)
