"""The study's tables on simulated data: adaptive against plain hard sharing.

    python experiments/simulated.py
    python experiments/simulated.py --kinds normal --seeds 50

Every seed draws its own data, y = minmax(x W1 W2 + noise): uniform (3000 rows), normal (1000) and
exponential (3000), with five inputs and two targets.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import paired

import jaxmtl
from jaxmtl import data as jdata

KINDS = {
    "uniform": jdata.simulate_uniform,
    "normal": jdata.simulate_normal,
    "exponential": jdata.simulate_exponential,
}
TARGETS = ("y1", "y2")


def dataset(kind: str, seed: int) -> jdata.Dataset:
    """Rows of one seed, split at random and scaled on the training rows."""
    x, y = (np.asarray(leaf, float) for leaf in KINDS[kind](jax.random.key(1000 + seed)))
    table = jdata.Table(
        features=tuple(f"x{i + 1}" for i in range(x.shape[1])),
        targets=TARGETS,
        x=x,
        y=y,
        rows=np.arange(len(x)) + 2,
        source=f"simulated {kind} data",
        kept={},
    )
    return jdata.prepare(table, jdata.random_split(len(x), seed=seed, test=0.2))


def main(arguments: Sequence[str] | None = None) -> None:
    jaxmtl.inline_small_loops()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/simulated"))
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error(f"--seeds: expected at least 2, got {options.seeds}")
    for kind in options.kinds:
        pairs = paired.run_pairs(lambda seed, kind=kind: dataset(kind, seed), options.seeds)
        print(f"{kind}: test error (scaled mean squared error), {options.seeds} seeds")
        rows = paired.table(pairs, TARGETS, resplit=False)
        paired.save(options.out, kind, pairs, rows)


if __name__ == "__main__":
    main()
