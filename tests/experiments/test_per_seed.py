"""The benchmark over seeds measures what it says, on a run of a few epochs."""

import json

import numpy as np
import pytest

from .load import FOLDER, load


@pytest.fixture
def bench(monkeypatch):
    """The script finds its neighbours as it does when it is run."""
    monkeypatch.syspath_prepend(str(FOLDER / "benchmarks"))
    return load("benchmarks/per_seed")


def test_shortened_phases_keep_their_shape(bench):
    assert bench.phases(1)[0] == {
        "epochs": 200,
        "warmup": 80,
        "threshold": 10,
        "learning_rate": 5e-3,
    }
    assert [phase["epochs"] for phase in bench.phases(8)] == [25, 6, 12, 37]
    assert [phase["epochs"] for phase in bench.phases(10**6)] == [1, 1, 1, 1]


@pytest.mark.slow
def test_times_and_picture(bench, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    points = [bench.Sweep(2, 1, 50)]
    results = bench.measure(points, rounds=1, numba_seeds=0)
    (row,) = results["curve"]
    # 4 + 1 + 2 + 6 epochs of 925 rows at most
    assert 0 < row["samples_a_seed"] <= 13 * 925
    np.testing.assert_allclose(row["us"], 1e6 * row["seconds"] / (2 * row["samples_a_seed"]))
    results["numba"] = {"us": 0.2, "all_us": [0.2]}
    bench.show(results)
    assert "0.2000" in capsys.readouterr().out
    bench.draw(results, "core", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000
    json.dumps(results)
