import numpy as np
import pandas as pd
import pytest

from jaxmtl.comparison import contrasts, leaderboard, sentence
from jaxmtl.comparison import describe as sentences
from jaxmtl.tasks import Task, number_tasks

NAN = float("nan")
UNCLEAR = "equal nodes could not be distinguished from hard sharing"
ROW = {
    "arm": "equal_nodes",
    "reference": "hard_sharing",
    "quantity": "overall",
    "difference": 0.0,
    "percent": -0.3,
    "percent_low": -1.6,
    "percent_high": 1.1,
    "p_nadeau_bengio": NAN,
    "nb_low": NAN,
    "nb_high": NAN,
    "verdict": "not distinguishable",
    "seeds": 30,
}
BETTER = {"percent": -2.1, "percent_low": -3.9, "percent_high": -0.4, "verdict": "better"}
WORSE = {"percent": 412.3, "percent_low": 399.6, "percent_high": 425.1, "verdict": "worse"}


def describe(*args, **options):
    """The sentences as one text."""
    return " ".join(sentences(*args, **options))


def frame_of(rows):
    return pd.DataFrame([ROW | row for row in rows])


def board_of(**arms):
    columns = ["arm", "kind", "error", "seeds", "diverged"]
    return pd.DataFrame([(arm, *values) for arm, values in arms.items()], columns=columns)


BOARD = board_of(
    adaptive=("arm", 0.98, 30, 0),
    hard_sharing=("arm", 1.0, 30, 0),
    equal_nodes=("arm", 0.997, 30, 0),
    restarts=("arm", 1.01, 30, 0),
    ridge=("line", 1.2, 30, 0),
    mean=("line", 5.0, 30, 0),
)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, f"{UNCLEAR} (difference -0.3 %, -1.6 to 1.1)"),
        (BETTER, "equal nodes beat hard sharing by 2.1 % (0.4 to 3.9)"),
        (WORSE, "equal nodes did worse than hard sharing by 412 % (400 to 425)"),
        (
            BETTER | {"percent_high": -0.004},
            "equal nodes beat hard sharing by 2.1 % (0.004 to 3.9)",
        ),
        (
            BETTER | {"p_nadeau_bengio": 0.01, "nb_low": -5.0, "nb_high": -0.26},
            "equal nodes beat hard sharing by 2.1 % (0.3 to 5.0)",
        ),
        (
            {"percent": 0.0, "percent_low": 0.0, "percent_high": 0.0},
            "equal nodes gave exactly the errors of hard sharing",
        ),
        (
            {"percent_low": NAN, "percent_high": NAN},
            f"{UNCLEAR} (difference -0.3 %, no interval)",
        ),
        (
            {"percent": NAN, "percent_low": NAN, "percent_high": NAN, "seeds": 0},
            f"{UNCLEAR} (no seed in which both ran through)",
        ),
    ],
)
def test_one_contrast(change, text):
    assert sentence(ROW | change) == text
    assert sentence(pd.Series(ROW | change)) == text


def test_names_of_the_caller():
    labels = {"equal_nodes": "hard sharing with equal nodes"}
    text = sentence(ROW | BETTER, labels)
    assert text == "hard sharing with equal nodes beat hard sharing by 2.1 % (0.4 to 3.9)"


def test_headline_has_all_contestants_best_first():
    rows = [
        {},
        {"arm": "restarts"} | BETTER,
        {"arm": "adaptive"} | BETTER | {"percent": -3.0},
    ]
    text = describe(frame_of(rows), BOARD)
    assert text.startswith(
        "Over 30 seeds, adaptive beat hard sharing by 3.0 % (0.4 to 3.9) and restarts by 2.1 % "
        f"(0.4 to 3.9); {UNCLEAR} (difference -0.3 %, -1.6 to 1.1). "
        "Percentages are of the test error of hard sharing; in brackets, 95 % "
        "intervals. Not distinguishable does not mean equal: the intervals leave room for "
        "differences of up to 1.6 %. With 3 comparisons each has to pass a stricter test"
    )
    assert "\n" not in text
    assert "nan" not in text


def test_resplit_tables_and_other_data():
    corrected = {"p_nadeau_bengio": 0.5, "nb_low": -3.0, "nb_high": 2.0}
    text = describe(frame_of([corrected]), BOARD)
    assert "split one table anew" in text
    assert "(difference -0.3 %, -3.0 to 2.0)" in text
    text = describe(frame_of([{}]), BOARD)
    assert "split one table anew" not in text
    assert "whether other data would give the same answer they do not say" in text
    assert "Holm" not in text  # one comparison


def test_an_interval_without_0_that_the_stricter_test_does_not_pass():
    rows = [{"percent_high": -0.1}, {"arm": "restarts"}]
    found = describe(frame_of(rows), BOARD)
    assert "leaves out 0 is then not enough" in found
    assert (
        "restarts could not be distinguished from hard sharing (difference -0.3 %, -1.6 to 1.1); "
        "equal nodes (difference -0.3 %, -1.6 to -0.1) has an interval that leaves out 0, but did "
        "not pass the test against hard sharing that allows for 2 comparisons."
    ) in found
    assert sentence(ROW | rows[0]).endswith("did not pass the test against hard sharing")


def test_a_mean_that_is_seven_times_as_bad_is_not_said_to_be_like_the_network():
    few = {"seeds": 3, "percent_low": NAN, "percent_high": NAN}
    rows = [few, {"arm": "mean", "percent": 581.0} | few, {"arm": "ridge", "percent": 12.0} | few]
    found = describe(frame_of(rows), BOARD.assign(seeds=3))
    assert "distinguished" not in found
    assert (
        "Of the reference lines, which are no contestants, ridge (difference 12.0 %) and mean "
        "(difference 581 %, 6.8 times the error) could not be tested against hard sharing: 3 runs "
        "are too few, it takes at least 7."
    ) in found


@pytest.mark.parametrize(
    ("seeds", "arms", "text"),
    [
        (1, 1, "Fewer than two seeds can be compared"),
        (5, 1, "With 5 seeds no difference, however large, could pass the test."),
        (6, 1, "6 seeds are few"),
        (8, 8, "no difference among 8 comparisons, however large, could pass the test."),
        (9, 8, "9 seeds are few"),
        (10, 8, ""),
    ],
)
def test_few_seeds(seeds, arms, text):
    names = [f"arm_{i}" for i in range(arms)]
    board = board_of(
        hard_sharing=("arm", 1.0, seeds, 0), **{n: ("arm", 1.0, seeds, 0) for n in names}
    )
    found = describe(frame_of([{"arm": n, "seeds": seeds} for n in names]), board)
    assert text in found
    assert ("distinguished from" in found) == ("too few" not in found)
    assert ("seeds are few" in found or "however large" in found) == (bool(text) and seeds > 1)


@pytest.mark.parametrize(("seeds", "arms"), [(5, 1), (6, 1), (8, 8), (9, 8)])
def test_the_fewest_seeds_that_can_pass_are_right(seeds, arms):
    rng = np.random.default_rng(0)
    rows = [
        {"arm": f"x{arm}", "kind": "arm", "seed": seed, "task": "a",
         "error": (1 if arm else 9) + rng.uniform(0, 0.1)}
        for arm in range(arms + 1) for seed in range(seeds)
    ]  # fmt: skip
    found = contrasts(pd.DataFrame(rows), "x0")["verdict"]
    assert (found == "better").all() == (2 * arms / 2**seeds < 0.05)


def test_diverged_runs_are_named():
    board = BOARD.assign(diverged=[3, 0, 1, 0, 0, 0])
    text = describe(frame_of([{"arm": "adaptive", "seeds": 27}, {"seeds": 29}]), board)
    assert "left out with their seed (3 of 30 of adaptive and 1 of 30 of equal nodes)" in text
    assert "diverged" not in describe(frame_of([{}]), BOARD)


def test_tuned_fixed_weights_beside_methods_that_weigh_tasks():
    arms = {"hard_sharing": 1.0, "restarts+mgda": 0.99, "mmoe+cagrad(c=0.4)": 1.1}
    rows = [{"arm": arm} for arm in (*arms, "linear@tuned") if arm != "hard_sharing"]
    rows += [row | {"quantity": task} for task in ("a", "b") for row in rows]
    for tuned, text in (
        (0.98, "No arm that weighs tasks anew at every step has a lower mean error than the fixed"),
        (0.995, "Of 2 arms that weigh tasks anew at every step, 1 has a lower mean error than the"),
    ):
        board = {arm: ("arm", error, 30, 0) for arm, error in arms.items()}
        found = describe(
            frame_of(rows), board_of(**board, **{"linear@tuned": ("arm", tuned, 30, 0)})
        )
        assert text in found
        assert "took 11 runs, and a step on the gradients of 2 tasks takes the forward and" in found
        assert "passes of 1.7 on their sum" in found


def test_reference_lines():
    rows = [{}, {"arm": "ridge"} | BETTER, {"arm": "mean"} | WORSE]
    text = describe(frame_of(rows), BOARD)
    assert text.endswith(
        "Of the reference lines, which are no contestants, ridge beat hard sharing by 2.1 % (0.4 "
        "to 3.9); mean did worse than hard sharing by 412 % (400 to 425). The best network here, "
        "adaptive, has a lower mean error than all reference lines: 18.3 % below ridge."
    )
    one = frame_of([{}, {"arm": "mean"} | WORSE])
    board = BOARD[BOARD["arm"] != "ridge"]
    assert describe(one, board).endswith("than the reference line: 80.4 % below mean.")
    # A line that takes part is no network.
    board = board_of(adaptive=("arm", 0.9, 9, 0), ridge=("arm", 1.0, 9, 0))
    found = describe(
        frame_of([{"arm": "mean", "reference": "adaptive"}]), pd.concat([board, BOARD[-1:]])
    )
    assert "The best network here, adaptive, has" in found
    board = BOARD.assign(error=[0.98, 1.0, NAN, 1.01, 0.97, 5.0])
    text = describe(frame_of(rows), board)
    assert text.endswith("No network here has a lower mean error than ridge.")
    text = describe(frame_of([{"arm": "ridge"}]), BOARD)
    assert text.startswith("Over 30 seeds, hard sharing was compared with reference lines only.")


def test_tasks_whose_verdict_differs():
    rows = [
        BETTER,
        {"quantity": "PM2.5"} | BETTER,
        {"quantity": "O3"} | WORSE,
        {"quantity": "overall"},  # a target of that name
    ]
    text = describe(frame_of(rows), BOARD)
    assert (
        "On single tasks the verdict differs: on O3 equal nodes did worse than hard sharing by 412 "
        "% (400 to 425). Percentages are of the test error of hard sharing (mean over the 3 tasks)"
    ) in text


def test_one_seed_from_end_to_end():
    rows = [
        {"arm": arm, "kind": "arm", "seed": 0, "task": "a", "error": error, "value": error,
         "measure": "rmse", "parameters": 1, "splits": 0, "seconds": 1.0, "diverged": False}
        for arm, error in (("hard", 1.0), ("adaptive", 0.9))
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    text = describe(contrasts(frame, "hard", test_share=0.25), leaderboard(frame))
    assert text == (
        "With one seed, adaptive (difference -10.0 %) could not be tested against hard: one run "
        "is too few. Percentages are of the test error of hard. Fewer than two seeds can be "
        "compared: no interval and no verdict is possible."
    )


def test_sentences_come_one_by_one():
    rows = [{"percent_low": -2.0, "arm": "adaptive"}, {"arm": "ridge"} | BETTER]
    board = BOARD.assign(error=[0.98, 1.0, NAN, 1.01, 0.97, 5.0])
    found = sentences(frame_of(rows), board)
    assert len(found) == 6
    assert all(said[0].isupper() and said.endswith(".") for said in found)
    assert found[-1] == "No network here has a lower mean error than ridge."


def test_errors_of_tasks_of_different_kinds_are_relative():
    tasks = [Task(name="PM2.5"), Task(name="level", kind="classes", classes=("good", "poor"))]
    rows = [{}, {"quantity": "PM2.5"}, {"quantity": "level"}]
    text = describe(frame_of(rows), BOARD, tasks=tasks)
    assert (
        "Percentages are of the test error of hard sharing (mean over the 2 tasks, each relative "
        "to the error of the best constant prediction); in brackets"
    ) in text
    alike = describe(frame_of(rows), BOARD, tasks=number_tasks(["PM2.5", "level"]))
    assert alike == describe(frame_of(rows), BOARD)
    assert "relative" not in alike


def test_bad_input():
    with pytest.raises(ValueError, match="expected an arm besides the reference"):
        describe(frame_of([{}]).iloc[:0], BOARD)
    with pytest.raises(ValueError, match="arm of the contrasts: expected one of .* got 'other'"):
        describe(frame_of([{"arm": "other"}]), BOARD)
    with pytest.raises(ValueError, match="reference of the contrasts: .* got 'other'"):
        describe(frame_of([{"reference": "other"}]), BOARD)
