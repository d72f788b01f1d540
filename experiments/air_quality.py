"""The study's table on air quality: adaptive against plain hard sharing, PM2.5 and ozone.

    python experiments/air_quality.py
    python experiments/air_quality.py history.xlsx --seeds 30 --split chronological

Without a workbook it uses the built-in generated one. PM2.5 is a part of PM10, which as an input
nearly gives it away: --without-pm10 leaves it out. Neighbouring days are alike, which flatters a
random split: --split chronological tests on the last fifth of the days, a week after the others.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import paired

import jaxmtl
from jaxmtl import data as jdata

TARGETS = ["PM2.5", "O3_8h"]


def main(arguments: Sequence[str] | None = None) -> None:
    jaxmtl.inline_small_loops()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("workbook", nargs="?", type=Path, help="default: the generated one")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--split", choices=["random", "chronological"], default="random")
    parser.add_argument("--without-pm10", action="store_true")
    parser.add_argument("--scale-on", choices=["train", "all"], default="train")
    parser.add_argument("--missing-values", default="", help="such as 0,-999; rows are dropped")
    parser.add_argument("--out", type=Path, default=Path("runs/air_quality"))
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error(f"--seeds: expected at least 2, got {options.seeds}")

    features = ["SO2", "CO", "NO2"] + ([] if options.without_pm10 else ["PM10"])
    missing = tuple(value for value in options.missing_values.split(",") if value)
    with tempfile.TemporaryDirectory() as folder:
        path = options.workbook or jdata.write_air_quality(Path(folder) / "air_quality.xlsx")
        table = jdata.read_table(path, features=features, targets=TARGETS, missing_values=missing)

    def dataset_of(seed: int) -> jdata.Dataset:
        if options.split == "random":
            indices = jdata.random_split(len(table.x), seed=seed, test=0.2)
        else:
            indices = jdata.chronological_split(len(table.x), test=0.2, gap=7)
        policy = "drop" if missing else "error"
        return jdata.prepare(
            table,
            indices,
            missing_features=policy,
            missing_targets=policy,
            scale_on=options.scale_on,
        )

    pairs = paired.run_pairs(dataset_of, options.seeds)
    print(f"{table.source}: test error (scaled mean squared error), {options.seeds} seeds")
    rows = paired.table(pairs, TARGETS, resplit=options.split == "random")
    paired.save(options.out, "air_quality", pairs, rows)


if __name__ == "__main__":
    main()
