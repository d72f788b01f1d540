"""A text table of air, with gaps and a column of every kind, as files hold them."""

import csv

import numpy as np

NAMES = ["--targets", "O3,level", "--families", "mean,linear"]


def write(path, rows, *, targets=True, seed=0):
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(rows):
        city, co = "ABC"[i % 3], rng.uniform(0, 2)
        o3 = 20 + 30 * co + 10 * (city == "B") + rng.normal()
        gap = "" if i % 11 == 5 else f"{co:.3f}"
        line = [f"2021-{1 + i % 12:02d}-{1 + i % 28:02d}", city, gap]
        lines.append(line + ([f"{o3:.2f}", "high" if o3 > 55 else "low"] if targets else []))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["day", "city", "CO"] + ["O3", "level"] * targets, *lines])
    return path
