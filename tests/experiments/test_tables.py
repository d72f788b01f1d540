"""The scripts behind the tables, at a small size: their files, and what the numbers must obey."""

import functools
import json
import os
import re

import jax
import numpy as np
import pytest

from jaxmtl.data import simulate_normal, write_air_quality

from .load import load


@pytest.fixture(autouse=True)
def environment_as_before(monkeypatch):
    """Some scripts set a flag of the compiler for the process that they run in."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


def assert_paired(path, targets, seeds):
    """A file of ``paired.save``: the table follows from the errors of the seeds."""
    report = json.loads(path.read_text(encoding="utf-8"))
    errors = {arm: np.array(report["seeds"][arm]) for arm in ("hard", "adaptive")}
    assert errors["hard"].shape == errors["adaptive"].shape == (seeds, len(targets))
    assert all((error > 0).all() for error in errors.values())
    assert all(0 <= splits <= 3 for splits in report["seeds"]["splits"])
    assert [row["task"] for row in report["table"]] == [*targets, "mean"]
    for i, row in enumerate(report["table"]):
        pick = slice(i, i + 1) if i < len(targets) else slice(None)
        hard, adaptive = (errors[arm][:, pick].mean(axis=1) for arm in ("hard", "adaptive"))
        np.testing.assert_allclose(row["hard"], hard.mean())
        np.testing.assert_allclose(row["adaptive"], adaptive.mean())
        np.testing.assert_allclose(row["ratio"], (adaptive / hard).mean())
        np.testing.assert_allclose(row["difference"], (adaptive - hard).mean())
        assert row["low"] <= row["difference"] <= row["high"]
    return report["table"]


@pytest.mark.slow
def test_air_quality(tmp_path, capsys):
    book = write_air_quality(tmp_path / "history.xlsx", days=60)
    out = tmp_path / "out"
    load("air_quality").main([str(book), "--seeds", "2", "--without-pm10", "--out", str(out)])
    assert_paired(out / "air_quality.json", ("PM2.5", "O3_8h"), 2)
    printed = capsys.readouterr().out
    assert "history.xlsx" in printed
    assert f"wrote {out / 'air_quality.json'}" in printed


def test_splits_of_one_table_widen_the_interval():
    paired = load("paired")
    difference = np.array([0.1, 0.3, 0.2, 0.4])
    mean, low, high = paired.paired_interval(difference)
    # Student's t with 3 degrees of freedom: 3.182
    np.testing.assert_allclose(high - mean, 3.182 * difference.std(ddof=1) / 2, rtol=1e-3)
    np.testing.assert_allclose(mean - low, high - mean)
    wide = paired.paired_interval(difference, test_share=0.25)
    np.testing.assert_allclose((wide[2] - wide[0]) / (high - mean), 2**0.5)


@pytest.mark.slow
def test_simulated(tmp_path, monkeypatch, capsys):
    simulated = load("simulated")
    few = functools.partial(simulate_normal, num_rows=60)
    monkeypatch.setattr(simulated, "KINDS", {"normal": few})
    simulated.main(["--kinds", "normal", "--seeds", "2", "--out", str(tmp_path)])
    rows = assert_paired(tmp_path / "normal.json", ("y1", "y2"), 2)
    printed = capsys.readouterr().out
    for row in rows:
        assert re.search(rf"^{row['task']} .* {row['ratio']:.3f} ", printed, re.MULTILINE)


@pytest.mark.slow
def test_architectures(tmp_path, monkeypatch, capsys):
    script = load("architectures")
    chosen = ["Separate networks", "Hard sharing (bank)", "MMoE"]
    places = [list(script.ARCHITECTURES).index(name) for name in chosen]
    for name in ("COLOURS", "MARKERS"):
        monkeypatch.setattr(script, name, [getattr(script, name)[i] for i in places])
    some = {name: script.ARCHITECTURES[name] for name in chosen}
    monkeypatch.setattr(script, "ARCHITECTURES", some)
    script.main(["--rows", "60", "--seeds", "2", "--epochs", "2", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "normal.json").read_text(encoding="utf-8"))
    assert [row["architecture"] for row in rows] == chosen
    assert rows[0]["ratio"] == [1, 1, 1]  # that of separate networks to themselves
    separate = np.array(rows[0]["errors"]).mean(axis=1)
    for row in rows:
        errors = np.array(row["errors"])
        assert errors.shape == (2, 2)
        ratio = np.exp(np.log(errors.mean(axis=1) / separate).mean())
        np.testing.assert_allclose(row["ratio"][0], ratio)
        assert row["ratio"][1] <= ratio <= row["ratio"][2]
    # Five inputs, 16 and 16 nodes and an output, a network a task.
    assert rows[0]["parameters"] == 2 * (5 * 16 + 16 + 16 * 16 + 16 + 16 + 1)
    assert (tmp_path / "normal.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert all(f"\n{name}" in printed for name in chosen)


def test_architectures_have_a_look_each():
    script = load("architectures")
    looks = list(zip(script.COLOURS, script.MARKERS, strict=True))
    assert len(set(looks)) == len(looks) == len(script.ARCHITECTURES)


@pytest.mark.slow
def test_constraints(tmp_path, monkeypatch, capsys):
    script = load("constraints")
    errors = np.array([[0.25, 0.5], [0.75, 0.5]])
    monkeypatch.setattr(script, "compare_sharing", lambda *_: {"l2 0.1": errors})
    with jax.debug_key_reuse(False):  # all methods start alike, keys included
        script.main(["--seeds", "2", "--epochs", "3", "--rows", "32", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    number = r"(\d+\.\d+)"
    rows = re.findall(
        rf"^  (\S.*?) +{number} ± {number} +{number} ± {number} +{number} % +{number} %"
        rf" +{number} ± {number} +{number}$",
        printed,
        re.MULTILINE,
    )
    table = {name: np.array(values, float) for name, *values in rows}
    assert len(table) == 9
    for name, (*_, train, test, size, _, worst) in table.items():
        assert 0 <= size <= worst
        if name.startswith("hard"):  # a projection is exact, trained or not
            assert (train, test, size, worst) == (0, 0, 0, 0)
    assert table["none"][5] > 0
    bounds = re.findall(r"^ +0\.\d\d +\S+ +\S+ +\S+ +\| +0\.\d\d +\S+ +\S+$", printed, re.MULTILINE)
    assert len(bounds) == 7
    assert "\n  lambda 10   task 1 " in printed
    assert "\n  l2 0.1            task 1 0.500 ± 0.354   task 2 0.500 ± 0.000\n" in printed
    assert (tmp_path / "constraints.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_tie_without_strength_is_no_tie(monkeypatch):
    script = load("constraints")
    monkeypatch.setattr(script, "TIED", (("l2", (0.0,)),))
    with jax.debug_key_reuse(False):
        errors = script.compare_sharing(2, 2)
    assert list(errors) == ["none", "l2 0", "hard sharing"]
    assert all(error.shape == (2, 2) for error in errors.values())
    np.testing.assert_allclose(errors["l2 0"], errors["none"], rtol=1e-5)
    assert not np.allclose(errors["hard sharing"], errors["none"], rtol=1e-3)
