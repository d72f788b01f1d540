"""Which tasks of a table share a network: what each way of deciding is worth on rows not seen.

    python experiments/benchmarks/table_structures.py --splits 2
    python experiments/benchmarks/table_structures.py --sets wine in_groups --splits 1

All families of ``jaxmtl fit`` are trained once, and networks in groups of targets beside them; the
groups are those of the correlation, without its sign, of what a network for all predicts of rows
that it has not seen, two of them where none are clear. Of these the test error of what is mixed is
worked out, were it

- ``without groups``: mixed of all families but the groups;
- ``auto``: with groups where they are clear, as ``jaxmtl fit`` does;
- ``with groups``: mixed of all families, whether groups are clear or not;
- ``no networks apart``: of all but the networks one by one, and those in groups;
- ``one way``: of the trees, the line and the one way of sharing that is best on held-out rows;
- ``halving``: the same, but chosen after a quarter of the passes, in which all ways were trained.

Errors are RMSE over that of the mean, the mean of targets and splits; seconds those of learning.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from table_sets import SETS, TableSet, split

from jaxmtl.data import data_of_table, fit_coding, folds_of_table, infer_columns, table_of_cells
from jaxmtl.methods import TABLE_FAMILIES, Fitted, Work, held_out
from jaxmtl.methods.table_networks import TableNetworks
from jaxmtl.prediction.fit_table import folds_for
from jaxmtl.prediction.relations import relations_of
from jaxmtl.prediction.structures import clear_groups
from jaxmtl.statistics.selection import greedy
from jaxmtl.structure import groups_by
from jaxmtl.training.tabular.schedule import epochs_for

SHORT = 4  # of so many parts of the passes, halving has trained all ways in the first
WAYS = ("network", "separate", "groups")
DEFAULT = tuple(TABLE_FAMILIES)


def in_groups(rows: int = 600, seed: int = 7) -> TableSet:
    """Six targets of ten features in two groups: in a group nearly alike, between them nothing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 10))
    first = np.sin(2 * x[:, 0] + x[:, 1] * x[:, 2])
    second = np.tanh(2 * x[:, 3] - x[:, 4]) * x[:, 5]
    y = np.stack([sign * f for f in (first, second) for sign in (1, -1, 0.5)], axis=1)
    return TableSet(x, y + 0.3 * y.std(axis=0) * rng.normal(size=y.shape))


TABLES: Mapping[str, Any] = {
    **{n: SETS[n] for n in ("wine", "diabetes", "breast_cancer", "friedman_120", "dial_0")},
    "in_groups": in_groups,
    "in_groups_100": partial(in_groups, 100, 8),
}


def one(table: TableSet, seed: int) -> dict[str, tuple[float, float]]:
    """Error and seconds of every policy, on one split."""
    train, test = split(len(table.x), seed)
    targets = [f"t{k}" for k in range(table.y.shape[1])]
    cells = {f"x{j}": column.tolist() for j, column in enumerate(table.x[train].T)}
    own = dict(zip(targets, table.y[train].T.tolist(), strict=True))
    made = table_of_cells(cells | own)
    columns = infer_columns(made, targets=targets)
    coding = fit_coding(made, columns)
    rows = data_of_table(made, columns, coding)
    data = rows.data
    folds = folds_of_table(made, columns, rows, folds_for(len(data.x)), seed=0)
    keys = jax.random.split(jax.random.key(0), len(folds))
    fitted: dict[str, Fitted] = {}
    seconds: dict[str, float] = {}

    def fit(name: str, method: Any) -> None:
        began = time.perf_counter()
        fitted[name] = method.fit(data, folds, jax.random.clone(keys), Work())
        seconds[name] = time.perf_counter() - began

    for name, method in TABLE_FAMILIES.items():
        fit(name, method)
    seen = np.concatenate([fold.test for fold in folds])
    fold = np.concatenate([np.full(len(part.test), k) for k, part in enumerate(folds)])
    y, known = data.y[seen], data.known[seen]

    def held(name: str) -> np.ndarray:
        return np.concatenate(held_out(fitted[name], data, folds))

    block = np.arange(len(seen)) % 100
    found: Any = relations_of(data.tasks, held("network"), y, known, block)
    clear = clear_groups(found.predictions, targets)
    groups = clear or groups_by(np.abs(found.predictions), tuple(targets), 2)
    number = {task: k for k, group in enumerate(groups) for task in group}
    sharing = tuple(number[task] for task in targets)
    print("  groups:", sharing, "clear" if clear else "not clear", flush=True)
    hidden = (96, 96, 96)
    fit("groups", TableNetworks(name="groups", sharing=sharing, hidden=hidden))
    passes = epochs_for(min(len(one.train) for one in folds)) // SHORT
    ways: dict[str, tuple[Any, int]] = {
        "network": ("shared", 128), "separate": ("separate", 64), "groups": (sharing, 96)
    }  # fmt: skip
    for name, (way, size) in ways.items():
        layers = (size,) * 3
        short = TableNetworks(name=name, sharing=way, hidden=layers, epochs=passes)
        fit(f"{name}, short", short)
    spread = table.y[train].std(axis=0)

    def relative(predicted: np.ndarray) -> float:
        return float((np.sqrt(((predicted - y) ** 2).mean(axis=0)) / spread).mean())

    errors = {name: relative(held(name)) for name in fitted}
    new = table_of_cells({f"x{j}": c.tolist() for j, c in enumerate(table.x[test].T)})
    x_new = coding.encode(new).x
    truth = table.y[test]
    base = np.sqrt(((table.y[train].mean(axis=0) - truth) ** 2).mean(axis=0))

    def tested(names: Sequence[str]) -> float:
        mixture = greedy([held(n) for n in names], y, known, data.tasks, fold)
        bags = [
            np.mean([model.predict(x_new) for model in fitted[n].models], axis=0) for n in names
        ]
        mixed = np.einsum("fnt,ft->nt", np.stack(bags), mixture.weights)
        return float((np.sqrt(((mixed - truth) ** 2).mean(axis=0)) / base).mean())

    plain = [name for name in DEFAULT if name not in WAYS]
    best = min(WAYS, key=lambda name: errors[name])
    halved = min(WAYS, key=lambda name: errors[f"{name}, short"])
    print("  held out:", {n: round(e, 4) for n, e in errors.items()}, "kept", best, halved)
    policies = {
        "without groups": DEFAULT,
        "auto": (*DEFAULT, "groups") if clear else DEFAULT,
        "with groups": (*DEFAULT, "groups"),
        "no networks apart": tuple(n for n in DEFAULT if n != "separate"),
        "one way": (*plain, best),
        "halving": (*plain, halved),
    }
    short = sum(seconds[f"{name}, short"] for name in WAYS)
    found = {}
    for name, names in policies.items():
        trained = set(names) | (set(WAYS) if name == "one way" else set())
        took = sum(seconds[n] for n in trained) + (short if name == "halving" else 0.0)
        found[name] = (tested(names), took)
    for name in WAYS:
        found[f"{name} alone"] = (tested((name,)), seconds[name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sets", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, list[dict[str, tuple[float, float]]]] = {}
    for seed in range(options.splits):
        for name in options.sets:
            print(f"{name}, split {seed}", flush=True)
            found.setdefault(name, []).append(one(TABLES[name](), seed))
            print("  " + json.dumps(found[name][-1]), flush=True)
            if options.out is not None:
                options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)


def show(found: Mapping[str, list[dict[str, tuple[float, float]]]]) -> None:
    """Errors by table and policy, and what each is in all, against that without groups."""
    names = list(next(iter(found.values()))[0])
    print(f"\n{'':16}" + "".join(f"{name[:17]:>19}" for name in names))
    ratios, seconds = [], []
    for table, runs in found.items():
        mean = np.mean([[run[name] for name in names] for run in runs], axis=0)
        print(f"{table:16}" + "".join(f"{error:12.3f} {took:4.0f} s" for error, took in mean))
        ratios.append(mean[:, 0] / mean[0, 0])
        seconds.append(mean[:, 1])
    total, took = np.mean(ratios, axis=0), np.mean(seconds, axis=0)
    both = zip(total, took, strict=True)
    print(f"{'over the first':16}" + "".join(f"{ratio:12.3f} {s:4.0f} s" for ratio, s in both))


if __name__ == "__main__":
    main()
