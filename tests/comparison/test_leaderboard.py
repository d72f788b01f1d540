import numpy as np
import pandas as pd
import pytest

from jaxmtl.comparison import bootstrap_mean, contrasts, leaderboard

# error by arm, seed and task
ERRORS = {
    "independent": [[1.0, 4.0], [2.0, 5.0], [1.5, 3.0]],
    "hard": [[0.5, 5.0], [1.0, 5.0], [1.5, 6.0]],
    "adaptive": [[0.8, 3.0], [1.0, 4.0], [1.2, 2.4]],
    "ridge": [[2.0, 4.0], [2.0, 6.0], [3.0, 3.0]],
    "mean": [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0]],
}
LINES = ("ridge", "mean")


def make(errors=None):
    rows = []
    for arm, of_arm in (ERRORS if errors is None else errors).items():
        line = arm in LINES
        for (seed, task), error in np.ndenumerate(np.array(of_arm)):
            rows.append(
                {
                    "arm": arm,
                    "kind": "line" if line else "arm",
                    "seed": seed,
                    "task": ("PM2.5", "O3")[task],
                    "error": error,
                    "measure": "rmse",
                    "value": 10 * np.sqrt(error),
                    "parameters": None if line else 40 + seed,
                    "splits": seed if arm == "adaptive" else 0,
                    "seconds": (1.0, 9.0, 2.0)[seed],
                    "diverged": bool(np.isnan(of_arm[seed]).any()),
                }
            )
    return pd.DataFrame(rows).astype({"parameters": "Int64"})


def of(board, arm):
    return board.set_index("arm").loc[arm]


def test_columns_and_order():
    board = leaderboard(make())
    assert board.columns.tolist() == [
        *("arm", "kind", "PM2.5 rmse", "PM2.5 error", "O3 rmse", "O3 error"),
        *("error", "error_low", "error_high", "delta_m", "worst_task", "mean_rank"),
        *("parameters", "splits", "seconds", "seeds", "diverged"),
    ]
    assert board["arm"].tolist() == ["adaptive", "independent", "hard", "ridge", "mean"]
    assert board["kind"].tolist() == ["arm"] * 3 + ["line"] * 2


def test_means_by_hand():
    row = of(leaderboard(make()), "adaptive")
    assert row["PM2.5 error"] == pytest.approx(1.0)
    assert row["O3 error"] == pytest.approx(9.4 / 3)
    assert row["error"] == pytest.approx(12.4 / 6)
    assert row["PM2.5 rmse"] == pytest.approx(10 * (0.8**0.5 + 1 + 1.2**0.5) / 3)
    assert (row["parameters"], row["splits"], row["seconds"]) == (41, 1, 2)
    assert (row["seeds"], row["diverged"]) == (3, 0)
    assert np.isnan(of(leaderboard(make()), "ridge")["parameters"])


def test_change_against_independent_networks_by_hand():
    # adaptive: -20 -25 | -50 -20 | -20 -20; hard: -50 25 | -50 0 | 0 100.
    board = leaderboard(make())
    assert of(board, "adaptive")["delta_m"] == pytest.approx((-22.5 - 35 - 20) / 3)
    assert of(board, "adaptive")["worst_task"] == pytest.approx((-20 - 20 - 20) / 3)
    assert of(board, "hard")["delta_m"] == pytest.approx((-12.5 - 25 + 50) / 3)
    assert of(board, "hard")["worst_task"] == pytest.approx((25 + 0 + 100) / 3)
    assert (of(board, "independent")[["delta_m", "worst_task"]] == 0).all()
    assert of(board, "mean")["delta_m"] > 100
    other = leaderboard(make(), independent="hard")
    assert of(other, "hard")["delta_m"] == 0
    without = leaderboard(make(), independent="nobody")
    assert without[["delta_m", "worst_task"]].isna().all(axis=None)


def test_ranks_by_hand():
    # independent, hard, adaptive: on PM2.5 3 1 2 | 3 1.5 1.5 | 2.5 2.5 1,
    # on O3 2 3 1 | 2.5 2.5 1 | 2 3 1.
    board = leaderboard(make())
    assert of(board, "independent")["mean_rank"] == pytest.approx(15 / 6)
    assert of(board, "hard")["mean_rank"] == pytest.approx(13.5 / 6)
    assert of(board, "adaptive")["mean_rank"] == pytest.approx(7.5 / 6)
    assert np.isnan(of(board, "ridge")["mean_rank"])


def test_the_interval_is_that_of_the_mean_over_seeds():
    rng = np.random.default_rng(0)
    errors = {"hard": rng.gamma(5, size=(3, 2)), "adaptive": rng.gamma(5, size=(3, 2))}
    assert leaderboard(make(errors))["error_low"].isna().all()
    many = make({"hard": errors["hard"]})
    many = pd.concat([many.assign(seed=many["seed"] + 3 * i) for i in range(3)])
    many["error"] *= rng.uniform(0.9, 1.1, len(many))
    row = of(leaderboard(many, seed=4), "hard")
    overall = many.groupby("seed")["error"].mean().to_numpy()
    expected = bootstrap_mean(overall, seed=4)
    np.testing.assert_allclose(
        row[["error", "error_low", "error_high"]].astype(float), expected[:3]
    )


def test_diverged_runs_are_counted_left_out_of_means_and_ranked_last():
    errors = ERRORS | {"hard": [[0.5, 5.0], [np.nan, np.nan], [1.5, 6.0]]}
    board = leaderboard(make(errors))
    row = of(board, "hard")
    assert (row["seeds"], row["diverged"]) == (3, 1)
    assert row["error"] == pytest.approx((2.75 + 3.75) / 2)
    assert row["delta_m"] == pytest.approx((-12.5 + 50) / 2)
    # Seed 1: hard last in both tasks.
    assert row["mean_rank"] == pytest.approx((1 + 3 + 2.5 + 3 + 3 + 3) / 6)
    assert np.isfinite(of(board, "adaptive")["mean_rank"])


def test_an_arm_that_always_diverged_is_the_last_contestant():
    board = leaderboard(make(ERRORS | {"adaptive": np.full((3, 2), np.nan)}))
    assert board["arm"].tolist() == ["independent", "hard", "adaptive", "ridge", "mean"]
    row = of(board, "adaptive")
    assert row[["error", "error_low", "delta_m", "worst_task", "PM2.5 error"]].isna().all()
    assert row["mean_rank"] == 3


def test_ranks_are_over_the_seeds_that_all_contestants_ran():
    frame = make()
    board = leaderboard(frame[(frame["arm"] != "hard") | (frame["seed"] != 0)])
    assert of(board, "adaptive")["mean_rank"] == pytest.approx((1.5 + 1 + 1 + 1) / 4)
    assert of(board, "hard")["seeds"] == 2


def test_the_order_of_rows_does_not_matter():
    frame = make()
    board = leaderboard(frame.sample(frac=1, random_state=3))[leaderboard(frame).columns]
    pd.testing.assert_frame_equal(leaderboard(frame), board)


def test_an_independent_network_without_error():
    board = leaderboard(make(ERRORS | {"independent": np.zeros((3, 2))}))
    assert board["delta_m"].isna().all()


def mixed():
    """O3 is measured by its log loss, and twice as far from its constant as PM2.5."""
    frame = make()
    is_class = frame["task"] == "O3"
    return frame.assign(
        measure=np.where(is_class, "log loss", "rmse"),
        value=np.where(is_class, frame["error"], frame["value"]),
        relative=frame["error"] / np.where(is_class, 20, 10),
    )


def test_only_relative_errors_are_averaged_over_kinds():
    frame = mixed()
    board = leaderboard(frame)
    assert board.columns.tolist()[2:6] == ["PM2.5 rmse", "PM2.5 error", "O3 log loss", "O3 error"]
    row = of(board, "adaptive")
    assert row["O3 log loss"] == pytest.approx(9.4 / 3)
    assert row["O3 error"] == pytest.approx(9.4 / 3 / 20)
    assert row["error"] == pytest.approx((3 / 10 + 9.4 / 20) / 6)
    found = contrasts(frame, "hard").set_index(["arm", "quantity"])
    relative = frame.pivot_table(index="arm", columns="task", values="relative")
    difference = relative.loc["adaptive"] - relative.loc["hard"]
    assert found.loc[("adaptive", "O3"), "difference"] == pytest.approx(difference["O3"])
    assert found.loc[("adaptive", "overall"), "difference"] == pytest.approx(difference.mean())
    # What is a ratio or a rank of one task does not change with its scale.
    for column in ("delta_m", "mean_rank"):
        np.testing.assert_allclose(
            of(board, "adaptive")[column], of(leaderboard(make()), "adaptive")[column]
        )


def test_relative_errors_of_tasks_of_one_kind_are_not_asked_for():
    frame = make()
    with_relative = frame.assign(relative=1.0)
    pd.testing.assert_frame_equal(leaderboard(with_relative), leaderboard(frame))


def test_bad_input():
    frame = make()
    with pytest.raises(ValueError, match="none of the name 'value', 'seconds'"):
        leaderboard(frame.drop(columns=["value", "seconds"]))
    with pytest.raises(ValueError, match="got several for arm"):
        leaderboard(pd.concat([frame, frame]))
    with pytest.raises(ValueError, match="measured by log loss and rmse, whose mean .* 'relative'"):
        leaderboard(mixed().drop(columns=["relative"]))
    twice = frame.assign(measure=["rmse", *["log loss"] * (len(frame) - 1)])
    with pytest.raises(ValueError, match="expected one measure a task, got 'rmse' and 'log loss'"):
        leaderboard(twice)
