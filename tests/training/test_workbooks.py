"""The study's protocol on real workbooks, where they are at hand."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmtl import HardSharing, fit, fit_adaptive
from jaxmtl.data import prepare, random_split, read_table

SHARED = Path(__file__).parents[3] / "shared" / "data"
FEATURES, TARGETS = ["SO2", "CO", "NO2", "PM10"], ["PM2.5", "O3_8h"]


def workbook(name):
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not at hand")
    return SHARED / name


@pytest.mark.slow
def test_nanjing_over_six_seeds():
    table = read_table(workbook("nanjing_2013_2017.xlsx"), features=FEATURES, targets=TARGETS)
    ratios = []
    for seed in range(6):
        data = prepare(table, random_split(len(table.x), seed=seed, test=0.2)).splits
        run = fit_adaptive(HardSharing(), data, key=jax.random.key(seed))
        plain = fit(HardSharing(), data, key=jax.random.key(seed), epochs=480)
        ratios.append(run.history.test[-1].mean() / plain.history.test[-1].mean())
        assert run.divergence is None
        assert 1 <= len(run.events) <= 3
        copies = [event.copy for event in run.events]
        assert copies == list(range(3, 3 + len(copies)))
        assert len({event.node for event in run.events}) == len(run.events)
        for event in run.events:
            assert event.tasks == (0,)
            assert event.streak >= (10 if event.phase == 1 else 8)
            assert event.epoch >= {1: 80, 2: 50, 3: 51}[event.phase]
    assert 0.90 <= np.mean(ratios) <= 1.02


@pytest.mark.slow
@pytest.mark.few_optimizations
def test_tianjin_with_missing_values_runs_to_the_end():
    table = read_table(
        workbook("tianjin_2014_2022.xlsx"),
        features=FEATURES,
        targets=TARGETS,
        missing_values=("0",),
    )
    indices = random_split(len(table.x), seed=0, test=0.2)
    data = prepare(table, indices, missing_features="drop", missing_targets="drop").splits
    run = fit_adaptive(HardSharing(), data, key=jax.random.key(0))
    assert run.divergence is None
    assert run.history.phase[-1] == 4
    masked = prepare(table, indices, missing_features="mean", missing_targets="mask").splits
    assert not np.asarray(masked.train.known).all()
    run = fit(HardSharing(), masked, key=jax.random.key(0), epochs=2)
    assert np.isfinite(run.history.test).all()
