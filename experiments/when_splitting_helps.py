"""When does splitting shared nodes help, and when is it only capacity or schedule?

    python experiments/when_splitting_helps.py
    python experiments/when_splitting_helps.py --rows 300 --seeds 30 --angles 0 30 60 90

Two simulated tasks (``dial_tasks.py``) whose functions stand at an angle to each other, whose noise
is correlated, and of which few or many rows are known. Controls: identical tasks (0 degrees; with
correlation 1 the targets are the same numbers), unrelated ones (90), sign-flipped ones (180). Every
seed draws functions, rows and initial values of its own; all arms of ``jaxmtl.compare`` see the
same. Errors are against the noiseless functions, whose variance is 1.

What it found with the default settings, over three correlations of noise and ten seeds:

- Which node is duplicated does not matter: a random one at the same times does as well everywhere
  (differences of 0 to 3 %, all intervals cover 0). Identical tasks split too, twice a run.
- Against the same schedule without a split, splitting helps only where the tasks differ and rows
  are many (-5 % at 45 and -8 % at 90 degrees, 3000 rows). It costs 3 to 8 % where the tasks are the
  same, or the same with the sign flipped: a head can flip a sign, so these want to share.
- That help is capacity: with 3000 rows the adaptive network has errors 21 to 26 % larger than hard
  sharing with as many nodes. Trained a quarter longer (--epochs 40 --seeds 12), 21 to 22 % at 0 and
  45 degrees, and no difference at 90 and 180. With 300 rows the two are not distinguishable.
- With 300 rows it is 6 to 13 % better than plain hard sharing, but so are restarts without a split:
  that is the schedule. With 3000 rows no difference is certain, and what there is hangs on how long
  both are trained.
- Sharing at all is worth more: against separate networks 21 to 29 % at 0 and 180 degrees, nothing
  certain at 45 and 90. It pays most where the noise is not aligned with what the tasks share.
"""

import argparse
import functools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import pandas as pd
from dial_picture import draw
from dial_tasks import Condition, dataset

import jaxmtl
from jaxmtl import Phase
from jaxmtl.comparison import DEFAULT_ARMS, Protocol, compare, contrasts

Frame = Any  # of pandas, whose annotations are no help here
REFERENCE = "hard_sharing"
# What the adaptive arm is held against: what is left out of it in each.
CONTROLS = {
    "hard_sharing": "plain",
    "restarts": "its schedule",
    "equal_nodes": "its number of nodes",
    "random_node": "another node",
    "independent": "no sharing",
}
UPDATES_AN_EPOCH = 3000  # an epoch of --epochs has so many, whatever the number of rows
KEYS = ["rows", "angle", "correlation"]


def protocol(rows: int, epochs: int) -> Protocol:
    """The study's thresholds; about as many updates for few rows as for many."""
    unit = max(1, round(epochs * UPDATES_AN_EPOCH / rows))
    short = max(1, unit // 2)
    phases = (
        Phase(unit, warmup=unit * 2 // 5, threshold=10),
        Phase(short, warmup=short // 2, threshold=8),
        Phase(short, warmup=short // 2, threshold=8),
        Phase(unit + short, learning_rate=1e-3),
    )
    return Protocol(shared=(8,), nodes=4, phases=phases)


def conditions(
    rows: int, angles: Sequence[float], correlations: Sequence[float]
) -> list[Condition]:
    """The dial's positions, and identical tasks with identical noise."""
    every = [Condition(rows, angle, rho) for rho in correlations for angle in angles]
    return [*every, Condition(rows, 0.0, 1.0)]


def run(
    every: Sequence[Condition], seeds: int, arms: Sequence[str], epochs: int
) -> tuple[Frame, float]:
    """One comparison of all conditions with one number of rows, which share their programs.

    Returns the frame of ``Comparison.per_seed`` with the condition of each row, errors in units of
    the functions' variance, and the seconds that it took.
    """
    plan = protocol(every[0].rows, epochs)
    members = [(condition, seed) for condition in every for seed in range(seeds)]
    # Functions and rows of a seed are the same under all conditions; all else is drawn anew.
    found = compare(
        [dataset(condition, seed) for condition, seed in members],
        arms=arms,
        reference=REFERENCE,
        protocol=plan,
        lines=False,
        resplit=False,
    )
    frame: Frame = found.per_seed
    placed = [members[number] for number in frame["seed"]]
    for name in KEYS:
        frame[name] = [getattr(condition, name) for condition, _ in placed]
    return frame.assign(seed=[seed for _, seed in placed], error=frame["value"] ** 2), found.seconds


def against(frame: Frame, reference: str, by: Sequence[str]) -> Frame:
    """Overall contrasts within every group, means over whatever else differs, seed by seed."""
    found = []
    for key, group in frame.groupby(list(by)):
        pooled = group.groupby(["arm", "kind", "seed", "task"], as_index=False)["error"].mean()
        part: Frame = contrasts(pooled, reference)
        part = part[part["quantity"] == "overall"].drop(columns=["quantity"])
        means = group.groupby("arm")[["error", "splits", "parameters", "steps"]].mean()
        part = part.join(means, on="arm")
        part["reference_error"] = means["error"][reference]
        for place, (name, value) in enumerate(zip(by, key, strict=True)):
            part.insert(place, name, value)
        found.append(part)
    table: Frame = pd.concat(found, ignore_index=True)
    # that correction is for seeds that split one table anew
    return table.drop(columns=["p_nadeau_bengio", "nb_low", "nb_high"])


def interval(row: Any) -> str:
    return f"{row.percent:+.0f} ({row.percent_low:+.0f} to {row.percent_high:+.0f})"


def show_conditions(table: Frame, arms: Sequence[str]) -> None:
    """Error of every arm relative to hard sharing, per cent; a star where 0 is not covered."""
    print(f"\nError relative to {REFERENCE}, %; * where the 95 % interval leaves out 0")
    print(f"{'rows':>5}{'angle':>7}{'noise':>7}" + "".join(f"{arm:>16}" for arm in arms))
    for key, group in table.groupby(KEYS):
        rows = {row.arm: row for row in group.itertuples()}
        cells = ""
        for arm in arms:
            row: Any = rows[arm]
            sure = row.percent_low > 0 or row.percent_high < 0
            cells += f"{row.percent:>+15.0f}{'*' if sure else ' '}"
        print(f"{key[0]:>5}{key[1]:>7.0f}{key[2]:>+7.1f}{cells}")


def show_adaptive(frame: Frame, controls: Sequence[str]) -> None:
    """The adaptive arm against what it must beat, over all correlations of the noise."""
    print("\nAdaptive against the others, %, over all correlations of noise (95 % interval)")
    print(f"{'rows':>5}{'angle':>7}{'splits':>8}{'error':>8}", end="")
    print("".join(f"{name:>20}" for name in controls))
    tables = []
    for control in controls:
        two = frame[frame["arm"].isin(["adaptive", control]) & (frame["correlation"] < 1)]
        table = against(two, control, ["rows", "angle"])
        tables.append(table[table["arm"] == "adaptive"])
    for rows in zip(*(table.itertuples() for table in tables), strict=True):
        first: Any = rows[0]
        print(f"{first.rows:>5}{first.angle:>7.0f}{first.splits:>8.1f}{first.error:>8.4f}", end="")
        print("".join(f"{interval(row):>20}" for row in rows))


def main(argv: Sequence[str] | None = None) -> None:
    jaxmtl.inline_small_loops()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--angles", type=float, nargs="+", default=[0, 45, 90, 180])
    parser.add_argument("--correlations", type=float, nargs="+", default=[-0.6, 0, 0.6])
    parser.add_argument("--arms", nargs="+", choices=DEFAULT_ARMS, default=list(DEFAULT_ARMS))
    parser.add_argument("--seeds", type=int, default=10, help="of every condition")
    parser.add_argument("--epochs", type=float, default=32, help="of the first phase, 3000 rows")
    parser.add_argument("--devices", type=int, default=os.cpu_count(), help="of the CPU")
    parser.add_argument("--out", type=Path, default=Path("runs/when_splitting_helps"))
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error(f"--seeds: expected at least 2, got {options.seeds}")
    if min(options.rows) < 40:
        parser.error(f"--rows: expected at least 40, got {min(options.rows)}")
    if options.devices:
        jax.config.update("jax_num_cpu_devices", options.devices)

    began = time.perf_counter()
    dialled = functools.partial(
        conditions, angles=options.angles, correlations=options.correlations
    )
    frames = []
    for rows in options.rows:
        frame, seconds = run(dialled(rows), options.seeds, options.arms, options.epochs)
        frames.append(frame)
        print(
            f"{rows} rows: {len(dialled(rows))} conditions, {options.seeds} seeds, {seconds:.0f} s"
        )
    frame: Frame = pd.concat(frames, ignore_index=True)
    table = against(frame, REFERENCE, KEYS)
    arms = [arm for arm in options.arms if arm != REFERENCE]
    show_conditions(table, arms)
    if "adaptive" in options.arms:
        show_adaptive(frame, [arm for arm in CONTROLS if arm in {*options.arms, REFERENCE}])
    options.out.mkdir(parents=True, exist_ok=True)
    frame.drop(columns=["kind"]).to_csv(options.out / "per_seed.csv", index=False)
    table.to_csv(options.out / "conditions.csv", index=False)
    draw(table[table["correlation"] < 1], arms, options.out / "when_splitting_helps.png")
    print(f"\n{time.perf_counter() - began:.0f} s; wrote {options.out}")


if __name__ == "__main__":
    main()
