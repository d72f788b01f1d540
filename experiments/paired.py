"""What the study's tables share: adaptive against plain hard sharing, run by run, over seeds."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import stats

import jaxmtl
from jaxmtl.data import Dataset

PLAIN_EPOCHS = 480


def run_pairs(dataset_of: Callable[[int], Dataset], seeds: int) -> dict[str, np.ndarray]:
    """Trains both networks from the same start on the same rows, for every seed.

    Args:
        dataset_of: the rows of a seed, split and scaled.
        seeds: how many, from 0.

    Returns:
        ``adaptive`` and ``hard``, test errors (seeds, tasks), scaled mean squared errors;
        ``splits``, duplications of each seed; ``test_share``, test rows over training rows.
    """
    adaptive, hard, splits, share = [], [], [], []
    for seed in range(seeds):
        began = time.perf_counter()
        data = dataset_of(seed).splits
        assert data.test is not None
        model = jaxmtl.HardSharing(outputs=(1,) * data.train.y.shape[1])
        run = jaxmtl.fit_adaptive(model, data, key=jax.random.key(seed))
        plain = jaxmtl.fit(model, data, key=jax.random.key(seed), epochs=PLAIN_EPOCHS)
        for result in (run, plain):
            if result.divergence is not None:
                sys.exit(f"seed {seed}: {result.divergence}")
        assert run.history.test is not None
        assert plain.history.test is not None
        adaptive.append(run.history.test[-1])
        hard.append(plain.history.test[-1])
        splits.append(len(run.events))
        share.append(len(data.test.x) / len(data.train.x))
        ratio = adaptive[-1].mean() / hard[-1].mean()
        seconds = time.perf_counter() - began
        print(
            f"seed {seed}: {splits[-1]} duplications, adaptive/hard {ratio:.3f}, {seconds:.1f} s",
            file=sys.stderr,
        )
    return {
        "adaptive": np.array(adaptive, float),
        "hard": np.array(hard, float),
        "splits": np.array(splits),
        "test_share": np.array(share),
    }


def paired_interval(
    difference: np.ndarray, test_share: float | None = None
) -> tuple[float, float, float]:
    """Mean of paired differences with its 95 % interval (Student's t).

    Args:
        difference: one a seed.
        test_share: test over training rows, where the seeds split one table anew: their runs are
            not independent, and the variance is widened as Nadeau and Bengio (2003) correct it.
            None where every seed has data of its own.

    Returns:
        Mean, lower and upper end.
    """
    k = len(difference)
    factor = 1 / k + (test_share or 0.0)
    half = stats.t.ppf(0.975, k - 1) * np.sqrt(factor * difference.var(ddof=1))
    return difference.mean(), difference.mean() - half, difference.mean() + half


def table(pairs: dict[str, np.ndarray], targets: Sequence[str], *, resplit: bool) -> list[Any]:
    """Prints and returns one row a task and one for their mean."""
    share = float(pairs["test_share"].mean()) if resplit else None
    print(f"{'':12}{'hard':>10}{'adaptive':>10}{'ratio':>8}   difference, 95 % interval")
    rows = []
    for name, pick in [*((t, i) for i, t in enumerate(targets)), ("mean", None)]:
        a, h = (
            pairs[arm].mean(axis=1) if pick is None else pairs[arm][:, pick]
            for arm in ("adaptive", "hard")
        )
        mean, low, high = paired_interval(a - h, share)
        ratio = float((a / h).mean())
        print(
            f"{name:12}{h.mean():10.3g}{a.mean():10.3g}{ratio:8.3f}   "
            f"{mean:+.2g} ({low:+.2g} to {high:+.2g})"
        )
        rows.append([name, h.mean(), a.mean(), ratio, mean, low, high])
    return rows


def save(out: Path, name: str, pairs: dict[str, np.ndarray], rows: list[Any]) -> None:
    """Writes the errors of every seed and the table."""
    out.mkdir(parents=True, exist_ok=True)
    columns = ["task", "hard", "adaptive", "ratio", "difference", "low", "high"]
    report = {
        "table": [dict(zip(columns, row, strict=True)) for row in rows],
        "seeds": {key: value.tolist() for key, value in pairs.items()},
    }
    path = out / f"{name}.json"
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {path}")
