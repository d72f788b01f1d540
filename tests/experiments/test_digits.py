"""The two scripts on digits, at a small size: their data, their tables, their files."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from .load import load

matplotlib.use("agg")


def keys_of(images):
    return {image.tobytes() for image in np.asarray(images).reshape(-1, 64)}


def test_no_image_is_learned_from_and_tested_on():
    tasks = load("transfer_digits").make_tasks(2)
    for seed in range(2):
        of = {
            name: (keys_of(task.pool[seed]), keys_of(task.test_x[seed]))
            for name, task in tasks.items()
        }
        for pool, _ in of.values():
            for _, test in of.values():
                assert not pool & test
        assert not of["source"][0] & of["parity"][0]
    assert tasks["digits 5-9"].pool.shape == (2, 5, 100, 8, 8, 1)
    assert tasks["parity"].pool.shape == (2, 2, 150, 8, 8, 1)
    assert not np.array_equal(tasks["source"].pool[0], tasks["source"].pool[1])


@pytest.mark.slow
def test_transfer_digits_writes_its_table_and_pictures(tmp_path, capsys):
    arguments = "--seeds 2 --updates 20 --source-updates 20 --rounds 2 --shots 5".split()
    arguments += [
        "--targets",
        "digits 5-9",
        "--methods",
        "from scratch",
        "gradual unfreezing",
        "--out",
        str(tmp_path),
    ]
    load("transfer_digits").main(arguments)
    table = pd.read_csv(tmp_path / "table.csv")
    assert len(table) == 2
    metrics = table[["accuracy", "precision", "recall", "F1", "mAP"]].to_numpy()
    assert ((metrics >= 0) & (metrics <= 1)).all()
    assert table["gain"].notna().sum() == 1
    printed = capsys.readouterr().out
    assert "The cycle" in printed
    for name in ("table.csv", "examples.png", "curves.png"):
        assert (tmp_path / name).stat().st_size > 0
        assert str(tmp_path / name) in printed


def test_pictures_show_both_digits_and_splits_share_no_original():
    two = load("two_digits")
    data = two.make_pictures(0, 40, 20, overlap=0)
    assert data.train.x.shape == (40, 8, 16, 1)
    halves = [keys_of(part[:, :, :8]) | keys_of(part[:, :, 8:]) for part in (data[0].x, data[2].x)]
    assert not halves[0] & halves[1]
    overlapped = two.make_pictures(0, 40, 20).train
    assert overlapped.x.shape == (40, 8, 12, 1)
    np.testing.assert_array_equal(overlapped.y, data.train.y)
    apart = data.train.x
    expected = np.maximum(apart[:, :, 4:8], apart[:, :, 8:12])
    np.testing.assert_array_equal(overlapped.x[:, :, 4:8], expected)


@pytest.mark.slow
def test_two_digits_writes_its_tables_and_pictures(tmp_path, capsys, monkeypatch):
    two = load("two_digits")
    monkeypatch.setattr(two, "chance_threshold", lambda *_: 4)
    arguments = "--seeds 1 --epochs 8 --rows 64 --test-rows 32 --methods".split()
    two.main([*arguments, "single task", "adaptive", "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "table.csv").set_index("method")
    assert table.loc["single task", "Δm%"] == 0
    assert 1 <= table.loc["adaptive", "splits"] <= two.SPLITS
    assert table["mean rank"].sum() == 3
    printed = capsys.readouterr().out
    for name in ("table.csv", "runs.csv", "pictures.png", "results.png"):
        assert (tmp_path / name).stat().st_size > 0
        assert str(tmp_path / name) in printed
