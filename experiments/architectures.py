"""Every architecture through the same training loop, on simulated related tasks.

    python experiments/architectures.py
    python experiments/architectures.py --kind exponential --seeds 10 --epochs 200

Every seed draws its own data: five inputs, four hidden causes and two targets made of them, scaled
to unit variance on the training rows. All architectures of a seed see the same rows, and errors are
compared with those of separate networks on that seed. A test error of 0.01 is one per cent of the
variance; nothing is chosen by it, as all runs have the same number of epochs.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

import jaxmtl
from jaxmtl import data as jdata
from jaxmtl import models

KINDS = {
    "uniform": jdata.simulate_uniform,
    "normal": jdata.simulate_normal,
    "exponential": jdata.simulate_exponential,
}
TARGETS = ("y1", "y2")
DENSE = {"activation": "relu", "output_activation": None}
ARCHITECTURES: dict[str, Any] = {
    "Separate networks": models.IndependentNetworks(shared=(16,), nodes=16, **DENSE),
    "Hard sharing (bank)": models.HardSharing(shared=(16,), nodes=16, **DENSE),
    "Shared bottom": models.SharedBottom(trunk=(16, 16), towers=(8,)),
    "OMoE": models.OMoE(num_experts=4, experts=(16,), towers=(8,)),
    "MMoE": models.MMoE(num_experts=4, experts=(16,), towers=(8,)),
    "DSelect-k": models.DSelectK(num_experts=4, selected=2, experts=(16,), towers=(8,)),
    "CGC": models.CGC(own_experts=1, shared_experts=2, experts=(16,), towers=(8,)),
    "PLE": models.PLE(own_experts=1, shared_experts=2, experts=((16,), (16,)), towers=(8,)),
    "Cross-stitch": models.CrossStitch(layers=(16, 16)),
    "MTAN": models.MTAN(layers=(16,), attention=8),
    "AITM": models.AITM(trunk=(16,), towers=(16,)),
}
BASELINE = "Separate networks"
# Okabe and Ito (2008), told apart with any kind of colour vision; a family shares its colour.
COLOURS = ["#000000", "#0072B2", "#0072B2", *["#E69F00"] * 3, *["#009E73"] * 2]
COLOURS += ["#D55E00", "#D55E00", "#CC79A7"]
MARKERS = ["o", "o", "s", "o", "s", "^", "o", "s", "o", "s", "o"]


def dataset(kind: str, rows: int, seed: int) -> jdata.Dataset:
    """Rows of one seed, half of them to train on."""
    x, y = KINDS[kind](jax.random.key(1000 + seed), num_rows=rows)
    table = jdata.Table(
        features=tuple(f"x{i + 1}" for i in range(x.shape[1])),
        targets=TARGETS,
        x=np.asarray(x, float),
        y=np.asarray(y, float),
        rows=np.arange(rows) + 2,
        source=f"simulated {kind} data",
        kept={},
    )
    indices = jdata.random_split(rows, seed=seed, test=0.5)
    return jdata.prepare(table, indices, scaling="standard")


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and its 95 % interval (Student's t)."""
    mean = float(values.mean())
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return mean, float(mean - half), float(mean + half)


def compare(options: argparse.Namespace) -> tuple[list[dict[str, Any]], np.ndarray]:
    """One row of the table for each architecture, and the gates of MMoE on the first seed."""
    sets = [dataset(options.kind, options.rows, seed) for seed in range(options.seeds)]
    rows: list[dict[str, Any]] = []
    gates = np.zeros(0)
    for name, model in ARCHITECTURES.items():
        errors, seconds = [], []
        run = None
        for seed, prepared in enumerate(sets):
            began = time.perf_counter()
            run = jaxmtl.fit(
                model,
                prepared.splits,
                key=jax.random.key(seed),
                epochs=options.epochs,
                batch_size=options.batch,
                learning_rate=options.rate,
                shuffle=True,
            )
            seconds.append(time.perf_counter() - began)
            if run.divergence is not None or run.history.test is None:
                raise SystemExit(f"{name}, seed {seed}: {run.divergence}")
            errors.append(run.history.test[-1])
            if name == "MMoE" and seed == 0 and prepared.splits.test is not None:
                x = prepared.splits.test.x
                gates = np.asarray(model.apply({"params": run.params}, x, method="gates"))
        assert run is not None
        rows.append(
            {
                "architecture": name,
                "errors": np.array(errors, float),
                "parameters": jaxmtl.count_parameters(run.params, run.head_index),
                "first_seconds": seconds[0],
                "seconds": float(np.median(seconds[1:])),
            }
        )
    base = next(row["errors"] for row in rows if row["architecture"] == BASELINE)
    for row in rows:
        logs = np.log(row["errors"].mean(axis=1) / base.mean(axis=1))
        row["ratio"] = tuple(float(np.exp(value)) for value in interval(logs))
    return rows, gates


def print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'architecture':20}{'y1':>9}{'y2':>9}{'to separate':>13}  {'95 % interval':16}"
        f"{'parameters':>10}{'s a run':>9}{'s first':>9}"
    )
    for row in rows:
        (first, second), (ratio, low, high) = row["errors"].mean(axis=0), row["ratio"]
        print(
            f"{row['architecture']:20}{first:9.4f}{second:9.4f}{ratio:13.2f}  "
            f"{f'{low:.2f} to {high:.2f}':16}{row['parameters']:10d}"
            f"{row['seconds']:9.2f}{row['first_seconds']:9.2f}"
        )


def draw_ratios(axes: Axes, rows: list[dict[str, Any]], seeds: int) -> None:
    for row, colour, marker in zip(rows, COLOURS, MARKERS, strict=True):
        ratio, low, high = row["ratio"]
        axes.errorbar(
            row["parameters"],
            ratio,
            yerr=[[ratio - low], [high - ratio]],
            fmt=marker,
            color=colour,
            markersize=6,
            capsize=3,
            linewidth=1.2,
            label=row["architecture"],
        )
    axes.axhline(1.0, color="#B8B8B8", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    ticks = [300, 500, 1000, 2000]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yscale("log")
    levels = [
        t
        for t in (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 2.0, 4.0)
        if in_range(t, axes.get_ylim())
    ]
    axes.set_yticks(levels, [f"{level:g}" for level in levels])
    axes.set_yticks([], minor=True)
    axes.set_xlabel("parameters (number, log scale)")
    axes.set_ylabel("test error / that of separate networks (log scale)")
    axes.set_title(f"Error against size: mean and 95 % interval of {seeds} seeds", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def in_range(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def draw_gates(axes: Axes, gates: np.ndarray) -> None:
    parts = axes.boxplot(
        [gates[:, t, e] for t in range(gates.shape[1]) for e in range(gates.shape[2])],
        positions=[
            e + 1 + (t - 0.5) * 0.36 for t in range(gates.shape[1]) for e in range(gates.shape[2])
        ],
        widths=0.3,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": "black"},
    )
    for i, box in enumerate(parts["boxes"]):
        box.set_facecolor("#0072B2" if i < gates.shape[2] else "#E69F00")
    axes.set_xticks(range(1, gates.shape[2] + 1), [str(e + 1) for e in range(gates.shape[2])])
    axes.set_ylim(0, 1)
    axes.set_xlabel("expert (number)")
    axes.set_ylabel("weight in the gate (0 to 1)")
    axes.set_title("Gates of MMoE on the test rows of seed 0", fontsize=10)
    axes.legend(parts["boxes"][:: gates.shape[2]], TARGETS, title="task", frameon=False, fontsize=8)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kind", choices=list(KINDS), default="normal")
    parser.add_argument("--rows", type=int, default=400, help="half of them to train on")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=5e-3, help="learning rate of Adam")
    parser.add_argument("--out", type=Path, default=Path("runs/architectures"))
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error(f"--seeds: expected at least 2, got {options.seeds}")
    rows, gates = compare(options)
    print(f"{options.kind}: test error (share of the variance), mean of {options.seeds} seeds")
    print_table(rows)

    options.out.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    draw_ratios(left, rows, options.seeds)
    draw_gates(right, gates)
    picture = options.out / f"{options.kind}.png"
    figure.savefig(picture, dpi=160)
    report = options.out / f"{options.kind}.json"
    plain = [row | {"errors": row["errors"].tolist()} for row in rows]
    report.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {picture} and {report}")


if __name__ == "__main__":
    main()
