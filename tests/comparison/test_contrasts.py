import numpy as np
import pandas as pd
import pytest

from jaxmtl.comparison import (
    contrasts,
    holm,
    nadeau_bengio,
    paired_bootstrap,
    verdict,
    wilcoxon,
)

COLUMNS = (
    "arm reference quantity difference difference_low difference_high percent percent_low "
    "percent_high p_wilcoxon p_nadeau_bengio nb_low nb_high p_holm verdict seeds"
).split()
LEVEL = {"hard": 1.0, "adaptive": 0.93, "random": 0.99, "ridge": 1.2, "mean": 4.0}
LINES = ("ridge", "mean")


def make(num_seeds=12, tasks=("a", "b"), arms=tuple(LEVEL), seed=0):
    rng = np.random.default_rng(seed)
    common = rng.gamma(20, size=(num_seeds, 1)) * (1 + np.arange(len(tasks)))
    rows = [
        {"arm": arm, "kind": "line" if arm in LINES else "arm", "seed": s, "task": task, "error": e}
        for arm in arms
        for (s, t), e in np.ndenumerate(LEVEL[arm] * common * rng.uniform(0.96, 1.04, common.shape))
        for task in [tasks[t]]
    ]
    return pd.DataFrame(rows)


def errors(frame, arm, task=None):
    rows = frame[frame["arm"] == arm]
    if task is None:
        return rows.groupby("seed")["error"].mean().to_numpy()
    return rows[rows["task"] == task].sort_values("seed")["error"].to_numpy()


def of(found, arm, quantity="overall"):
    [place] = np.flatnonzero((found["arm"] == arm) & (found["quantity"] == quantity))
    return found.iloc[place]


@pytest.mark.parametrize("share", [None, 0.25])
def test_the_frame_holds_what_the_statistics_give(share):
    frame = make()
    found = contrasts(frame, "hard", test_share=share)
    assert found.columns.tolist() == COLUMNS
    assert found["arm"].unique().tolist() == ["adaptive", "random", "ridge", "mean"]
    assert found["quantity"].tolist() == ["overall", "a", "b"] * 4
    assert (found["reference"] == "hard").all()
    assert (found["seeds"] == 12).all()
    for _, row in found.iterrows():
        task = None if row["quantity"] == "overall" else row["quantity"]
        pair = errors(frame, row["arm"], task), errors(frame, "hard", task)
        values = row[COLUMNS[3:9]].to_numpy(float)
        np.testing.assert_allclose(values, paired_bootstrap(*pair)[:6], rtol=1e-9)
        np.testing.assert_allclose(row["p_wilcoxon"], wilcoxon(*pair).p)
        corrected = row[["p_nadeau_bengio", "nb_low", "nb_high"]].to_numpy(float)
        if share is None:
            assert np.isnan(corrected).all()
        else:
            interval, p = nadeau_bengio(*pair, share)
            expected = p, interval.percent_low, interval.percent_high
            np.testing.assert_allclose(corrected, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("share", "names"),
    [
        (None, ("p_wilcoxon", "percent_low", "percent_high")),
        (0.25, ("p_nadeau_bengio", "nb_low", "nb_high")),
    ],
)
def test_contestants_lines_and_single_tasks_are_families_of_their_own(share, names):
    found = contrasts(make(), "hard", test_share=share)
    line, overall = found["arm"].isin(LINES), found["quantity"] == "overall"
    for family in (~line & overall, ~line & ~overall, line & overall, line & ~overall):
        rows = found[family]
        np.testing.assert_allclose(rows["p_holm"], holm(rows[names[0]].to_numpy()))
    low, high = (found[name].to_numpy() for name in names[1:])
    expected = verdict(found["p_holm"].to_numpy(), low, high)
    assert found["verdict"].tolist() == expected.tolist()
    assert of(found, "adaptive")["verdict"] == "better"
    assert of(found, "mean")["verdict"] == "worse"


def test_lines_do_not_make_the_test_of_contestants_stricter():
    frame = make()
    with_lines = contrasts(frame, "hard")
    without = contrasts(frame[frame["kind"] == "arm"], "hard")
    pd.testing.assert_frame_equal(with_lines.iloc[: len(without)], without)


def test_rows_and_seeds_may_come_in_any_order():
    frame = make()
    shuffled = frame.sample(frac=1, random_state=1).assign(seed=lambda f: 99 - 7 * f["seed"])
    one, other = (
        contrasts(f, "hard", test_share=0.25).sort_values(["arm", "quantity"], ignore_index=True)
        for f in (frame, shuffled)
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_diverged_and_missing_runs_are_left_out_pair_by_pair():
    frame = make()
    lost = (frame["arm"] == "adaptive") & (frame["seed"] == 3) & (frame["task"] == "a")
    frame.loc[lost, "error"] = np.nan
    gone = (frame["arm"] == "hard") & (frame["seed"] == 5)
    found = contrasts(frame[~gone], "hard", test_share=0.25)
    assert of(found, "random")["seeds"] == 11
    assert of(found, "adaptive")["seeds"] == of(found, "adaptive", "a")["seeds"] == 10
    assert of(found, "adaptive", "b")["seeds"] == 11
    kept = frame[~frame["seed"].isin([3, 5])]
    expected = of(contrasts(kept, "hard", test_share=0.25), "adaptive")
    names = [name for name in COLUMNS[3:] if name not in ("p_holm", "verdict")]
    np.testing.assert_allclose(
        of(found, "adaptive")[names].to_numpy(float), expected[names].to_numpy(float)
    )


def test_an_arm_that_always_diverged_has_a_row_without_numbers():
    frame = make()
    frame.loc[frame["arm"] == "adaptive", "error"] = np.nan
    row = of(contrasts(frame, "hard", test_share=0.25), "adaptive")
    assert row[COLUMNS[3:14]].isna().all()
    assert (row["verdict"], row["seeds"]) == ("not distinguishable", 0)


@pytest.mark.parametrize("share", [None, 0.25])
def test_one_seed_gives_differences_and_no_verdict(share):
    found = contrasts(make(num_seeds=1), "hard", test_share=share)
    assert found["percent"].notna().all()
    assert found[["percent_low", "nb_low", "difference_high"]].isna().all(axis=None)
    assert (found["verdict"] == "not distinguishable").all()


def test_an_arm_with_the_errors_of_the_reference():
    frame = make(arms=("hard", "random"))
    twin = frame[frame["arm"] == "hard"].assign(arm="twin")
    row = of(contrasts(pd.concat([frame, twin]), "hard", test_share=0.25), "twin")
    ends = row[["difference", "difference_low", "percent_high", "nb_low", "nb_high"]]
    assert (ends == 0).all()
    assert row["p_wilcoxon"] == row["p_nadeau_bengio"] == 1


def test_the_reference_alone_has_no_contrasts():
    found = contrasts(make(arms=("hard",)), "hard", test_share=0.25)
    assert found.columns.tolist() == COLUMNS
    assert len(found) == 0


def test_missing_values_of_pandas_are_missing():
    frame = make(arms=("hard", "random"))
    with_na = frame.astype({"error": "Float64"})
    with_na.loc[0, "error"] = pd.NA
    assert of(contrasts(with_na, "hard"), "random")["seeds"] == 11


def test_bad_input():
    frame = make()
    with pytest.raises(
        ValueError, match="reference: expected one of 'hard', 'adaptive', .* got 'soft'"
    ):
        contrasts(frame, "soft")
    with pytest.raises(ValueError, match="expected the columns arm, .* none of the name 'kind'"):
        contrasts(frame.drop(columns="kind"), "hard")
    with pytest.raises(ValueError, match="several for arm 'hard', seed 0, task 'a'"):
        contrasts(pd.concat([frame, frame.iloc[:1]]), "hard")
    with pytest.raises(ValueError, match="got no rows"):
        contrasts(frame.iloc[:0], "hard")
    with pytest.raises(ValueError, match="'arm' or 'line', got 'dot' for 'hard'"):
        contrasts(frame.replace({"kind": {"arm": "dot"}}), "hard")
    with pytest.raises(ValueError, match="one kind an arm, got both for 'hard'"):
        contrasts(frame.assign(kind=["line", *frame["kind"][1:]]), "hard")
    with pytest.raises(ValueError, match="test_share"):
        contrasts(frame, "hard", test_share=-1.0)
