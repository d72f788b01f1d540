"""The dial between two simulated tasks, and the script that turns it."""

import numpy as np
import pytest

from .load import FOLDER, load

dial_tasks = load("dial_tasks")


@pytest.fixture
def script(monkeypatch):
    """The script finds its neighbours as it does when it is run."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(FOLDER))
    return load("when_splitting_helps")


@pytest.mark.parametrize("seed", range(3))
def test_random_functions_are_orthonormal(seed):
    rng = np.random.default_rng(seed)
    functions = dial_tasks.random_functions(rng)
    x = dial_tasks.draw_inputs(rng, 100_000)
    values = np.stack([f(x) for f in functions], axis=1)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(values.T @ values / len(x), np.eye(2), atol=0.05)


def original(condition, seed):
    """Targets in their own units: training and validation rows, then test rows."""
    data = dial_tasks.dataset(condition, seed)
    train, validation, test = (data.decode(rows.y) for rows in data.splits)
    return np.concatenate([train, validation]), test


@pytest.mark.parametrize("angle", [0, 60, 90, 180])
def test_the_angle_is_the_correlation_of_what_is_tested(angle):
    pairs = [original(dial_tasks.Condition(40, angle, 0.0), seed)[1] for seed in range(8)]
    found = np.mean([(y[:, 0] * y[:, 1]).mean() for y in pairs])
    np.testing.assert_allclose(found, np.cos(np.deg2rad(angle)), atol=0.08)


@pytest.mark.parametrize("rho", [-0.6, 0.6, 1.0])
def test_the_noise_is_correlated_and_all_else_is_the_same(rho):
    noisy, test = original(dial_tasks.Condition(4000, 45, rho), 0)
    clean, same = original(dial_tasks.Condition(4000, 45, rho, noise=0.0), 0)
    np.testing.assert_allclose(test, same, atol=1e-5)
    noise = noisy - clean
    np.testing.assert_allclose(noise.std(axis=0), 0.5, rtol=0.05)
    np.testing.assert_allclose(np.corrcoef(noise.T)[0, 1], rho, atol=0.05)


def test_identical_tasks_with_identical_noise_are_one():
    noisy, test = original(dial_tasks.Condition(40, 0, 1.0), 3)
    np.testing.assert_allclose(noisy[:, 0], noisy[:, 1], atol=1e-6)
    np.testing.assert_allclose(test[:, 0], test[:, 1], atol=1e-6)


@pytest.mark.slow
def test_the_script_compares_under_every_condition(script, tmp_path, capsys):
    every = script.conditions(40, [0, 90], [0.0])
    frame, _ = script.run(every, seeds=2, arms=["adaptive"], epochs=0.06)
    assert len(frame) == 3 * 2 * 2 * 2  # conditions, arms, seeds, tasks
    assert np.isfinite(frame["error"]).all()
    table = script.against(frame, "hard_sharing", script.KEYS)
    assert len(table) == 3
    row = table[(table["arm"] == "adaptive") & (table["angle"] == 90)].iloc[0]
    here = frame[(frame["angle"] == 90) & (frame["correlation"] == 0)]
    means = here.groupby("arm")["error"].mean()
    expected = 100 * (means["adaptive"] / means["hard_sharing"] - 1)
    np.testing.assert_allclose(row["percent"], expected, rtol=1e-6)
    script.show_conditions(table, ["adaptive"])
    script.show_adaptive(frame, ["hard_sharing"])
    assert "angle" in capsys.readouterr().out
    script.draw(table[table["correlation"] < 1], ["adaptive"], tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_as_many_updates_for_few_rows_as_for_many(script):
    few, many = script.protocol(300, 40), script.protocol(3000, 40)
    for one, other in zip(few.phases, many.phases, strict=True):
        assert (one.epochs, one.warmup) == (10 * other.epochs, 10 * other.warmup)
