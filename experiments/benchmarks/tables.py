"""Errors on tables with several targets, against what an analyst would otherwise use.

    python experiments/benchmarks/tables.py --splits 3 --out tables.json
    python experiments/benchmarks/tables.py --sets linnerud wine --contestants ridge jaxmtl
    python experiments/benchmarks/tables.py --contestants ridge jaxmtl realmlp tabm  # .[bench]

Of each table, the mean over targets of the RMSE over that of the mean, the mean of some random
splits of 80 to 20; and the ratio to the best of ridge, boosted trees and extra trees on that table,
chosen with hindsight. The contestants are functions from training rows and test features to
predictions of the test rows: one more is a line in CONTESTANTS. ``--jobs`` runs several at once,
each on its share of the cores; what is done so far stands in ``--out``.
"""

import argparse
import functools
import itertools
import json
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

# Threads that wait for each other sleep: awake they would take the cores of the runs beside them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from table_sets import SETS, TableSet, split, workbook

from jaxmtl.data import infer_columns, table_of_cells
from jaxmtl.methods import FAMILY_GROUPS, TABLE_FAMILIES
from jaxmtl.prediction.fit_table import Plan, fit_table

Contestant = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
NETWORKS = FAMILY_GROUPS["networks"]
HINDSIGHT = ("ridge", "hist_gradient_boosting", "extra_trees")


def mean(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    return np.repeat(y.mean(axis=0)[None], len(x_test), axis=0)


def ridge(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import RidgeCV

    return _each(lambda: RidgeCV(np.logspace(-3, 5, 25)), x, y, x_test)


def hist_gradient_boosting(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return _each(lambda: HistGradientBoostingRegressor(random_state=0), x, y, x_test)


def extra_trees(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(300, random_state=0).fit(x, y).predict(x_test)


def random_forest(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(300, random_state=0).fit(x, y).predict(x_test)


def mlp(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model: Any = MLPRegressor(hidden_layer_sizes=(128, 128), max_iter=500, random_state=0)
        # Of one target it wants, and gives, one axis.
        found = model.fit(x, y if y.shape[1] > 1 else y[:, 0]).predict(x_test)
    return np.reshape(found, (len(x_test), y.shape[1]))


def jaxmtl(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, names: tuple[str, ...] = tuple(TABLE_FAMILIES)
) -> np.ndarray:
    """What ``jaxmtl fit --preset table`` trains."""
    targets = [f"target {k}" for k in range(y.shape[1])]

    def cells(x: np.ndarray) -> dict[str, list[float]]:
        return {f"feature {j}": column.tolist() for j, column in enumerate(x.T)}

    own = dict(zip(targets, y.T.tolist(), strict=True))
    table = table_of_cells(cells(x) | own)
    found = fit_table(table, infer_columns(table, targets=targets), Plan(families=names))
    return found.predictor.predict(table_of_cells(cells(x_test)))


def without_networks(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    return jaxmtl(x, y, x_test, tuple(n for n in TABLE_FAMILIES if n not in NETWORKS))


def networks(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    return jaxmtl(x, y, x_test, NETWORKS)


def realmlp(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """RealMLP as tuned by its authors, a target each, the mean of five networks."""
    from pytabkit import RealMLP_TD_Regressor

    return _each(lambda: RealMLP_TD_Regressor(n_cv=5, random_state=0), x, y, x_test)


def tabm(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """TabM with the defaults of its authors, a target each, the mean of five runs."""
    from pytabkit import TabM_D_Regressor

    return _each(lambda: TabM_D_Regressor(n_cv=5, random_state=0), x, y, x_test)


CONTESTANTS: dict[str, Contestant] = {
    "mean": mean,
    "ridge": ridge,
    "hist_gradient_boosting": hist_gradient_boosting,
    "extra_trees": extra_trees,
    "random_forest": random_forest,
    "mlp": mlp,
    "networks": networks,
    "without_networks": without_networks,
    "jaxmtl": jaxmtl,
}
# These need pytabkit and PyTorch, the extra ``bench``.
WITH_TORCH: dict[str, Contestant] = {"realmlp": realmlp, "tabm": tabm}


def _each(model: Callable[[], Any], x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    return np.stack([model().fit(x, column).predict(x_test) for column in y.T], axis=1)


def relative_error(contestant: Contestant, table: TableSet, seed: int) -> tuple[float, float]:
    """Mean over targets of RMSE over that of the mean, and seconds; features and targets scaled."""
    train, test = split(len(table.x), seed)
    x, y = _scaled(table.x, train), _scaled(table.y, train)
    began = time.perf_counter()
    predicted = contestant(x[train], y[train], x[test])
    seconds = time.perf_counter() - began
    error = np.sqrt(((predicted - y[test]) ** 2).mean(axis=0))
    base = np.sqrt(((y[train].mean(axis=0) - y[test]) ** 2).mean(axis=0))
    return float((error / base)[base > 0].mean()), seconds


def _scaled(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    spread = values[train].std(axis=0)
    return (values - values[train].mean(axis=0)) / np.where(spread > 0, spread, 1)


class Run(NamedTuple):
    """One contestant on one split of one table."""

    table: str
    contestant: str
    seed: int


def one(run: Run, tables: Mapping[str, Callable[[], TableSet]]) -> tuple[float, float]:
    """Error and seconds of a run."""
    return relative_error((CONTESTANTS | WITH_TORCH)[run.contestant], tables[run.table](), run.seed)


def side_by_side(
    runs: Sequence[Run], tables: Mapping[str, Callable[[], TableSet]], jobs: int
) -> Iterator[tuple[Run, tuple[float, float]]]:
    """Each run with its error and seconds, as they are done."""
    if jobs == 1:
        yield from ((run, one(run, tables)) for run in runs)
        return
    # Processes that begin anew: a fork of one in which JAX has threads may hang.
    context = multiprocessing.get_context("spawn")
    turn = context.Value("i", 0)
    with ProcessPoolExecutor(jobs, context, _own_cores, (turn, jobs)) as pool:
        asked = {pool.submit(one, run, tables): run for run in runs}
        yield from ((asked[done], done.result()) for done in as_completed(asked))


def _own_cores(turn: Any, jobs: int) -> None:
    with turn.get_lock():
        mine, turn.value = turn.value, turn.value + 1
    cores = sorted(os.sched_getaffinity(0))
    each = max(len(cores) // jobs, 1)
    os.sched_setaffinity(0, [cores[(mine * each + k) % len(cores)] for k in range(each)])


Found = dict[str, dict[str, dict[str, float]]]


def measure(
    tables: Mapping[str, Callable[[], TableSet]],
    names: Sequence[str],
    splits: int,
    jobs: int = 1,
    out: Path | None = None,
) -> Found:
    """Error and seconds by table and contestant, the mean of the splits."""
    # The splits last: were this broken off, all tables would have some.
    runs = [Run(t, c, s) for s, t, c in itertools.product(range(splits), tables, names)]
    seen: dict[Run, tuple[float, float]] = {}
    for run, result in side_by_side(runs, tables, jobs):
        seen[run] = result
        print(f"{run.table:16}{run.contestant:24}split {run.seed}  {result[0]:.3f}", flush=True)
        if out is not None:
            kept = json.dumps(_means(seen, tables, names), indent=1)
            out.write_text(kept + "\n", encoding="utf-8")
    return _means(seen, tables, names)


def _means(
    seen: Mapping[Run, tuple[float, float]], tables: Sequence[str] | Mapping, names: Sequence[str]
) -> Found:
    found: Found = {}
    for table, name in itertools.product(tables, names):
        own = [result for run, result in seen.items() if run[:2] == (table, name)]
        if own:
            error, seconds = np.mean(own, axis=0)
            value = {"error": float(error), "seconds": float(seconds), "splits": float(len(own))}
            found.setdefault(table, {})[name] = value
    return found


def show(found: Found, tables: Mapping[str, Callable[[], TableSet]], names: Sequence[str]) -> None:
    """The table of errors, and of ratios with hindsight."""
    head = "".join(f"{name[:12]:>13}" for name in names)
    print(f"\n{'':16}{'rows':>6}{'columns':>8}{'targets':>8}  {head}")
    for name, own in found.items():
        table = tables[name]()
        shape = f"{len(table.x):6d}{table.x.shape[1]:8d}{table.y.shape[1]:8d}"
        print(f"{name:16}{shape}  " + "".join(f"{own[n]['error']:13.3f}" for n in names))
    print(f"\nratio to the best of {', '.join(HINDSIGHT)}, by hindsight")
    for name, values in ratios(found).items():
        seconds = np.mean([own[name]["seconds"] for own in found.values()])
        print(f"  {name:24}mean {np.mean(values):.3f}  worst {max(values):.3f}  {seconds:.1f} s")


def ratios(found: Found) -> dict[str, list[float]]:
    """Of each contestant its error on every table over the least of the three, with hindsight."""
    by_name: dict[str, list[float]] = {}
    for own in found.values():
        best = min((own[name]["error"] for name in HINDSIGHT if name in own), default=np.nan)
        for name, value in own.items():
            by_name.setdefault(name, []).append(value["error"] / best)
    return by_name


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--workbooks", nargs="*", type=Path, default=[], help="daily values of air")
    parser.add_argument(
        "--contestants",
        nargs="+",
        choices=list(CONTESTANTS | WITH_TORCH),
        default=list(CONTESTANTS),
    )
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="processes, each on its share of cores")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    for name in ("splits", "jobs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: expected at least 1, got {getattr(options, name)}")
    tables = {name: SETS[name] for name in options.sets}
    for path in options.workbooks:
        tables[path.stem[:15]] = functools.partial(workbook, path)
    chosen = options.contestants
    found = measure(tables, chosen, options.splits, options.jobs, options.out)
    show(found, tables, chosen)


if __name__ == "__main__":
    main()
