"""Which structure is worth it? Decided on held-out rows, against what would have been best.

    python experiments/which_structure.py
    python experiments/which_structure.py --seeds 20        # the tables of 20 paired seeds

Problems of which the answer is known or can be found out (``structure_problems.py``), in five
parts, of which ``experiments/README.md`` says what came out:

- Changes half-way (all layers apart, the last apart, twice as wide) and structures from the start,
  against one shared network that goes on unchanged: test errors, below 1 is better.
- Policies at about equal cost: always the same structure, halving, look-ahead, and two restarts of
  one structure averaged. Regret: test error over that of the single candidate that is the best of
  each problem on average, less 1.
- False accepts and power of look-ahead ("all layers apart") over the angle between two tasks.
- 139 tasks in six groups, with few rows: are groups by correlation of held-out predictions found,
  and do they pay? And do they for 16 columns of real tables?
"""

import argparse
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from structure_pictures import draw_looks, draw_regret
from structure_problems import (
    Problem,
    air,
    clusters,
    dial,
    measurements,
    other_features,
    pixels,
)

from jaxmtl.conflict import start_correlations, update_correlations
from jaxmtl.structure import (
    Recipe,
    Structure,
    at_random,
    bank,
    by_groups,
    everything,
    groups_by,
    grow,
    halving,
    look_ahead,
    separate,
    shared,
    train_structures,
)

WIDTHS, ACTIVATION = (8, 6), "tanh"
# Of look-ahead, beside that: the study's, whose capacity two tasks compete for.
NETWORKS = {"4-3 sigmoid": ((4, 3), "sigmoid"), "8-6 tanh": (WIDTHS, ACTIVATION)}
PARTS = ["tables", "looks", "many", "real"]
LARGE_TASKS = (30, 28, 25, 22, 19, 15)  # 139 in all
ANGLES = (0, 30, 60, 90, 180)


def problems(rows: int) -> list[Problem]:
    """Those of both tables."""
    few = max(rows // 10, 40)
    return [
        *(dial(angle, rows) for angle in (0, 60, 90, 180)),
        *(dial(angle, few) for angle in (0, 90)),
        dial(90, rows, 0.6),
        other_features(rows),
        dial(90, rows, unit=10.0),
        clusters([2] * 8, rows),
        air(rows),
    ]


def keys(seeds: int, first: int = 0) -> Any:
    """Keys of training; the rows of a seed are the problem's."""
    return jax.vmap(jax.random.key)(np.arange(first, first + seeds))


def options_of(seeds: int, recipe: Recipe, first: int = 0) -> dict[str, Any]:
    """What all decisions are given."""
    every = {"recipe": recipe, "stacked": True, "activation": ACTIVATION}
    return {"keys": keys(seeds, first), **every}


def starts(tasks: Sequence[str]) -> dict[str, Structure]:
    """Structures from the start, the reference first."""
    wide = {times: tuple(times * width for width in WIDTHS) for times in (1, 2, 4)}
    return {
        "shared": shared(tasks, WIDTHS),
        "shared x2": shared(tasks, wide[2]),
        "shared x4": shared(tasks, wide[4]),
        "separate": separate(tasks, WIDTHS),
        "separate x2": separate(tasks, wide[2]),
    }


def changes(tasks: Sequence[str]) -> dict[str, Structure]:
    """What a shared network may become half-way, the unchanged one first."""
    start = shared(tasks, WIDTHS)
    return {
        "go on": start,
        "all apart": everything(start),
        "last apart": bank(start),
        "grow x2": grow(start),
    }


def relative(errors: np.ndarray) -> list[float]:
    """Means over seeds, over that of the first."""
    means = errors.mean(axis=0)
    return (means / means[0]).tolist()


def tables(every: Sequence[Problem], seeds: int, recipe: Recipe) -> dict[str, Any]:
    """Both tables, and the regret of every policy."""
    found = {}
    for problem in every:
        began = time.perf_counter()
        data = problem.splits(range(seeds))
        common = options_of(seeds, recipe)
        some, others = changes(problem.tasks), starts(problem.tasks)
        forked = train_structures(
            [*some.values()], data, forked_at=recipe.steps // 2, mode="fresh", **common
        )
        started = train_structures([*others.values()], data, **common)
        found[problem.name] = {
            "seeds": seeds,
            "changes": dict(zip(some, relative(forked.tested), strict=True)),
            "starts": dict(zip(others, relative(started.tested), strict=True)),
            "regret": regrets(problem, data, started, common),
            "error": float(started.tested[:, 0].mean()),
            "seconds": time.perf_counter() - began,
        }
        print(_line(problem.name, found[problem.name]), flush=True)
    return found


def regrets(
    problem: Problem, data: Any, started: Any, common: Mapping[str, Any]
) -> dict[str, list[float]]:
    """Of every policy, the regret of every seed."""
    names = [*starts(problem.tasks)]
    candidates = ["shared x2", "shared x4", "separate x2"]
    structures = [starts(problem.tasks)[name] for name in candidates]
    of_candidates = started.tested[:, [names.index(name) for name in candidates]]
    seeds = np.arange(len(of_candidates))
    # The numbers of the best on average: which seed was lucky is no policy's business.
    best = of_candidates.mean(axis=0).min()
    policies = {name: started.tested[:, names.index(name)] for name in names}
    halved = halving(structures, data, **common)
    policies["halving"] = of_candidates[seeds, halved.chosen]
    steps = common["recipe"].steps
    start = starts(problem.tasks)["shared"]
    looked = look_ahead(
        [start, everything(start), grow(start)],
        data,
        at=steps // 4,
        steps=max(steps // 10, 1),
        mode="fresh",
        **common,
    )
    policies["look-ahead"] = tested(looked, data, common["recipe"])
    again = train_structures(structures, data, **{**common, "keys": keys(len(seeds), first=1000)})
    for number, name in enumerate(candidates):
        both = (started.outputs[:, names.index(name)] + again.outputs[:, number]) / 2
        policies[f"two of {name}"] = errors_of(both, data)
    return {name: (errors / best - 1).tolist() for name, errors in policies.items()}


def errors_of(outputs: np.ndarray, data: Any) -> np.ndarray:
    """Test error of every seed, each task in units of its own."""
    y = np.asarray(data.test.y)
    return (((outputs - y) ** 2).mean(axis=1) / (y**2).mean(axis=1)).mean(axis=-1)


def tested(looked: Any, data: Any, recipe: Recipe) -> np.ndarray:
    """Test error of what look-ahead went on with."""
    placed = jax.tree.map(lambda leaf: leaf[looked.chosen], looked.placed)
    outputs = jax.jit(jax.vmap(looked.trunk.apply))(looked.params, placed, data.test.x)
    return errors_of(np.asarray(outputs), data)


def looks(
    angles: Sequence[float], rows: Sequence[int], seeds: int, recipe: Recipe, zs: Sequence[float]
) -> list[dict[str, Any]]:
    """Shares of runs in which look-ahead parts all layers."""
    found = []
    for network, number, angle in itertools.product(NETWORKS, rows, angles):
        widths, activation = NETWORKS[network]
        problem = dial(angle, number)
        start = shared(problem.tasks, widths)
        looked = look_ahead(
            [start, everything(start)],
            problem.splits(range(seeds)),
            at=recipe.steps // 4,
            steps=max(recipe.steps // 10, 1),
            finish=False,
            **{**options_of(seeds, recipe), "activation": activation},
        )
        gain, error = looked.gains[:, 1], looked.errors[:, 1]
        accepted = {f"{z:g}": float((gain > z * error).mean()) for z in zs}
        what = {"network": network, "angle": angle, "rows": number, "seeds": seeds}
        found.append(what | {"accepted": accepted})
        print(f"{network}, n = {number}, {angle:g} degrees: accepted {accepted}", flush=True)
    return found


def many_tasks(
    problem: Problem, groups: int, seeds: int, recipe: Recipe, true: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Do groups pay, and are those found that there are, by task?"""
    start = shared(problem.tasks, (12,))
    found: dict[str, list[Any]] = {"right": [], "errors": []}
    names = ["shared", "groups", "groups at random", "separate", "shared x4"]
    for seed in range(seeds):
        data = problem.splits([seed])
        assert data.test is not None
        common = options_of(1, recipe, first=seed)
        # A program of its own: wide as it is, it would widen the copies of all others.
        wide = train_structures([grow(start, 4)], data._replace(test=None), **common)
        seen = start_correlations((1,) * len(problem.tasks))
        relation = np.abs(update_correlations(seen, wide.outputs[0, 0]).score())
        guessed = groups_by(relation, problem.tasks, groups)
        if true is not None:
            found["right"].append(pairs_right(guessed, true))
        parted = by_groups(start, guessed)
        structures = [
            start,
            parted,
            at_random(parted, np.random.default_rng(seed)),
            everything(start),
        ]
        trained = train_structures(structures, data, **common)
        placed = jax.tree.map(lambda leaf: leaf[0], wide.placed)
        params = jax.tree.map(lambda leaf: leaf[0, 0], wide.params)
        outputs = wide.trunk.apply(params, placed, data.test.x[0])
        last = errors_of(np.asarray(outputs)[None], data)
        found["errors"].append([*trained.tested[0].tolist(), *last.tolist()])
    means = relative(np.array(found["errors"]))
    result = {"name": problem.name, "seeds": seeds, "right": found["right"]}
    result["starts"] = dict(zip(names, means, strict=True))
    right = ["pairs right", np.round(found["right"], 3).tolist()] if found["right"] else []
    print(_line(problem.name, result), *right)
    return result


def pairs_right(groups: Sequence[Sequence[str]], true: Mapping[str, str]) -> float:
    """Share of the pairs of tasks that are together, or apart, as they should be."""
    label = {task: number for number, group in enumerate(groups) for task in group}
    tasks = [*true]
    pairs = [(a, b) for place, a in enumerate(tasks) for b in tasks[:place]]
    return float(np.mean([(label[a] == label[b]) == (true[a] == true[b]) for a, b in pairs]))


def _line(name: str, found: Mapping[str, Any]) -> str:
    parts = [f"{name:22}"]
    for table in ("changes", "starts"):
        values = found.get(table, {})
        parts += [f"{column} {value:.2f}" for column, value in [*values.items()][1:]]
    regret = {policy: np.mean(values) for policy, values in found.get("regret", {}).items()}
    parts += [
        f"regret of {policy} {regret[policy]:+.1%}"
        for policy in ("halving", "look-ahead")
        if regret
    ]
    return " | ".join(parts)


def show_regret(found: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and worst regret of every policy over the problems."""
    policies = [*next(iter(found.values()))["regret"]]
    table = {}
    print(f"\n{'policy':22}{'mean regret':>12}{'worst':>9}")
    for policy in policies:
        means = {name: float(np.mean(one["regret"][policy])) for name, one in found.items()}
        worst = max(means, key=lambda name: means[name])
        table[policy] = {"mean": float(np.mean([*means.values()])), "worst": means[worst]}
        print(f"{policy:22}{table[policy]['mean']:>+12.1%}{means[worst]:>+9.1%}  ({worst})")
    return table


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=8, help="of both tables")
    parser.add_argument("--look-seeds", type=int, default=100, help="of look-ahead, each angle")
    parser.add_argument("--rows", type=int, default=3000, help="training rows of most problems")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=0.03)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=None)
    parser.add_argument("--quick", action="store_true", help="a few steps of everything")
    parser.add_argument("--out", type=Path, default=Path("runs/which_structure"))
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error(f"--seeds: expected at least 2, got {options.seeds}")
    if options.quick:
        options.seeds, options.look_seeds, options.rows, options.steps = 2, 2, 40, 12
    parts = options.only or PARTS
    recipe = Recipe(steps=options.steps, rate=options.rate, batch_size=options.batch)
    options.out.mkdir(parents=True, exist_ok=True)
    began, found = time.perf_counter(), {}
    if "tables" in parts:
        every = problems(options.rows)
        found["tables"] = tables(every[:2] if options.quick else every, options.seeds, recipe)
        found["regret"] = show_regret(found["tables"])
        draw_regret(found["tables"], options.out / "which_structure_regret.png")
    if "looks" in parts:
        rows = (
            [options.rows]
            if options.quick
            else [options.rows // 10, options.rows // 3, options.rows]
        )
        angles = ANGLES[::4] if options.quick else ANGLES
        found["looks"] = looks(angles, rows, options.look_seeds, recipe, (1.0, 2.0))
        draw_looks(found["looks"], options.out / "which_structure_looks.png")
    if "many" in parts:
        groups, seeds = (2, 2) if options.quick else LARGE_TASKS, min(options.seeds, 3)
        name = f"{sum(groups)} tasks in {len(groups)} groups"
        simulated = clusters(groups, options.rows // 10 + 40, name=name)
        true = {task: task.split()[0] for task in simulated.tasks}
        found["many"] = many_tasks(simulated, len(groups), seeds, recipe, true)
    if "real" in parts:
        found["real"] = [
            many_tasks(problem, 4, min(options.seeds, 5), recipe)
            for problem in (measurements(), pixels())
        ]
    (options.out / "found.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"\n{time.perf_counter() - began:.0f} s; wrote {options.out}")


if __name__ == "__main__":
    main()
