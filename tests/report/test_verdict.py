"""What is said first of a run: against the mean, a straight line, and whether a node was split."""

import json

import numpy as np
import pytest

from jaxmtl.data import SplitIndices, Table, prepare
from jaxmtl.prediction.yardsticks import yardsticks
from jaxmtl.report import load_run, summarize
from jaxmtl.report.words.verdict import NEVER_SPLIT, verdict

TASKS = ("CO", "O3")


def metrics_of(rows=10, **runs):
    """RMSE and R² by run, one a task."""
    errors = {
        name.replace("_", " "): {
            "test": {
                "rmse": dict(zip(TASKS, rmse, strict=True)),
                "r2": dict.fromkeys(TASKS, None if rmse[0] is None else 0.5),
            }
        }
        for name, rmse in runs.items()
    }
    return {"rows": {"train": 30, "validation": 0, "test": rows}, "errors": errors}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ((12, 30), "worse than predicting the mean for CO (RMSE 12 against 10, R² 0.5 against 0.5) "
                   "and O3 (RMSE 30 against 20, R² 0.5 against 0.5)"),
        ((10, 12), "no better than predicting the mean for CO and better than the mean and a "
                   "straight line for O3 (RMSE 12 against 15, R² 0.5 against 0.5)"),
        ((9, 15), "worse than a straight line for CO (RMSE 9 against 8, R² 0.5 against 0.5) and as "
                  "good as a straight line for O3"),
        ((None, 1), "without a finite error for CO"),
    ],
)  # fmt: skip
def test_one_plain_sentence(own, said):
    metrics = metrics_of(mmoe=own, mean=(10, 20), straight_line=(8, 15))
    (sentence,) = verdict(metrics, "mmoe", TASKS)
    assert sentence.startswith("On the 10 test rows mmoe is ")
    assert said in sentence
    assert sentence.endswith(".")


def test_of_the_mean_itself_and_of_rows_without_labels():
    metrics = metrics_of(mean=(10, 20), straight_line=(8, 15))
    (said,) = verdict(metrics, "mean", TASKS)
    assert said == "On the 10 test rows mean is no better than predicting the mean for CO and O3."
    unknown = metrics_of(rows=1, ridge=(None, 4), mean=(None, 5), straight_line=(None, 4))
    assert verdict(unknown, "ridge", TASKS) == [
        "On the row ridge is as good as a straight line for O3."
    ]


def test_a_ratio_of_two_schedules_is_called_one():
    pair = {"adaptive": (7, 7), "hard_sharing": (9, 9)}
    metrics = metrics_of(**pair, mean=(10, 20), straight_line=(8, 15))
    assert verdict(metrics, "adaptive", TASKS, splits=0)[1] == NEVER_SPLIT
    assert len(verdict(metrics, "adaptive", TASKS, splits=1)) == 1
    assert verdict(metrics_of(**pair), "adaptive", TASKS, splits=0) == [NEVER_SPLIT]
    assert verdict(metrics_of(**pair), "adaptive", TASKS, splits=2) == []


def test_yardsticks_see_the_training_rows_only():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    y = np.stack([x @ [1.0, 2.0], rng.normal(size=40)], axis=1)
    y[::3, 1] = np.nan
    parts = SplitIndices(np.arange(30), np.array([], int), np.arange(30, 40))

    def found(targets):
        table = Table(features=("a", "b"), targets=("c", "d"), x=x, y=targets,
                      rows=np.arange(40) + 2, source="file a.csv", kept={})  # fmt: skip
        data = prepare(table, parts, missing_targets="mask", scaling="none", dtype=np.float64)
        return yardsticks(data, {"test": data.splits.test})

    others = y.copy()
    others[30:] += 100
    first, second = found(y), found(others)
    for name in ("mean", "straight line"):
        np.testing.assert_array_equal(first[name]["test"], second[name]["test"])
    np.testing.assert_allclose(first["mean"]["test"], [np.nanmean(y[:30], axis=0)] * 10)
    np.testing.assert_allclose(first["straight line"]["test"][:, 0], y[30:, 0], atol=1e-3)


def test_a_folder_of_the_version_before_is_read_and_shown(made, save, tmp_path):
    folder = save(tmp_path / "run", made)
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    for name in ("mean", "straight line"):
        del metrics["errors"][name]
    for by_split in metrics["errors"].values():
        for errors in by_split.values():
            del errors["r2"]
    path.write_text(json.dumps(metrics), encoding="utf-8")
    said = summarize(load_run(folder))
    assert "adaptive  hard sharing  ratio\n" in said
    assert "R²" not in said
    assert "straight line" not in said
