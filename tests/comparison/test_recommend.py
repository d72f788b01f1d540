"""The sentence that names an arm: the best, unless a cheaper one does as well."""

import numpy as np
import pandas as pd
import pytest

from jaxmtl.comparison import leaderboard
from jaxmtl.comparison.recommend import equal_cost, recommend, worth_of_sharing

SEEDS = 30


def frames(**arms):
    """Of every arm its error as a multiple of a common one, its spread, and its runs."""
    rng = np.random.default_rng(0)
    common = rng.gamma(50, size=SEEDS) / 50
    rows = []
    for arm, (by, spread, runs) in arms.items():
        errors = common * by * (1 + spread * rng.normal(size=SEEDS))
        rows += [
            {"arm": arm, "kind": "arm", "seed": seed, "task": "a", "error": error,
             "measure": "rmse", "value": error, "parameters": 9, "splits": 0, "seconds": 0.1,
             "runs": runs, "diverged": False}
            for seed, error in enumerate(errors)
        ]  # fmt: skip
    per_seed = pd.DataFrame(rows)
    return per_seed, leaderboard(per_seed)


def said_of(per_seed, board):
    return " ".join(recommend(per_seed, board).sentences)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (
            {"hard_sharing": (1, 0.01, 1.0), "ensemble@4:restarts": (0.9, 0.01, 4.0)},
            "Use ensemble@4:restarts. How sure: its error is 1",
        ),
        (
            {"hard_sharing": (1, 0.01, 1.0), "halving": (0.995, 0.001, 2.0)},
            "Use hard sharing. How sure: halving has the least error, but",
        ),
        (
            {"hard_sharing": (1, 0.0, 1.0), "halving": (0.995, 0.0001, 2.0)},
            "but by too little to be worth its cost (difference -0.5 %, -0.5 to -0.5). Cost: as "
            "much as training a network once (halving: twice).",
        ),
        (
            {"hard_sharing": (1, 0.1, 1.0), "halving": (0.999, 0.1, 1.75)},
            "but that may be chance (difference",
        ),
        (
            {"mmoe": (1.0, 0.01, 1.0), "independent": (0.9, 0.01, 1.0), "cgc": (1.2, 0.01, 1.0)},
            "below that of mmoe, the next best.",
        ),
        (
            {"mmoe": (1.0, 0.1, 1.0), "independent": (0.999, 0.1, 1.0), "cgc": (1.0, 0.1, 1.0)},
            "it has the least error, but its distance from cgc and 1 more may be chance",
        ),
    ],
)
def test_it_names_the_best_unless_less_does_as_well(arms, said):
    per_seed, board = frames(**arms)
    assert said in said_of(per_seed, board)


def test_a_reference_line_that_beats_all_is_named_first():
    per_seed, _ = frames(mmoe=(1, 0.01, 1.0), cgc=(1.1, 0.01, 1.0), ridge=(0.5, 0.01, 0.0))
    kind = per_seed["kind"].mask(per_seed["arm"] == "ridge", "line")
    per_seed = per_seed.assign(kind=kind)
    found = recommend(per_seed, leaderboard(per_seed))
    assert found.arm == "ridge"
    use, sure, cost = found.sentences
    assert use == "Use ridge."
    assert sure.startswith("How sure: its error is 50")
    assert sure.endswith("below that of mmoe, the best of the methods asked for.")
    assert cost == "Cost: no network is trained (mmoe: once)."


def test_a_reference_line_of_the_least_error_is_named_where_no_arm_can_be_told_from_it():
    per_seed, _ = frames(mmoe=(1, 0.1, 1.0), cgc=(1.1, 0.1, 1.0), ridge=(0.99, 0.1, 0.0))
    kind = per_seed["kind"].mask(per_seed["arm"] == "ridge", "line")
    per_seed = per_seed.assign(kind=kind)
    board = leaderboard(per_seed).set_index("arm")["error"]
    assert board["ridge"] < board["mmoe"]
    found = said_of(per_seed, leaderboard(per_seed))
    assert found.startswith("Use ridge. How sure: it has the least error, but its distance from ")
    assert "mmoe, the best of the methods asked for, may be chance (difference -" in found


def test_one_seed_tells_nothing_and_one_arm_is_no_choice():
    per_seed, _ = frames(hard_sharing=(1, 0.1, 1.0), halving=(0.9, 0.1, 2.0))
    one = per_seed[per_seed["seed"] == 0]
    assert "too few seeds were run to tell it" in said_of(one, leaderboard(one))
    alone = per_seed[per_seed["arm"] == "halving"]
    assert recommend(alone, leaderboard(alone)) == ("", ())


def test_arms_of_one_cost_are_compared_with_each_other():
    per_seed, board = frames(
        hard_sharing=(1.0, 0.01, 1.0),
        independent=(1.1, 0.01, 1.0),
        halving=(0.9, 0.01, 1.75),
        ensemble=(0.8, 0.01, 2.0),
        large=(0.7, 0.01, 4.0),
    )
    (sentence,) = equal_cost(per_seed, board)
    assert sentence.startswith("At the same cost of about 1.9 runs, ensemble beats halving by 1")


def test_an_arm_of_which_all_runs_diverged_is_left_out():
    per_seed, _ = frames(hard_sharing=(1, 0.01, 1.0), mmoe=(0.9, 0.01, 1.0), cgc=(1, 0.01, 1.0))
    lost = per_seed["arm"] == "cgc"
    per_seed = per_seed.assign(
        error=per_seed["error"].mask(lost), diverged=per_seed["diverged"] | lost
    )
    found = recommend(per_seed, leaderboard(per_seed))
    assert found.arm == "mmoe"
    assert found.sentences[1].startswith("How sure: its error is")


def test_whether_sharing_was_worth_it_is_said():
    shared, apart = (1, 0.01, 1.0), (1.2, 0.01, 1.0)
    per_seed, _ = frames(hard_sharing=shared, independent=apart)
    (said,) = worth_of_sharing(per_seed)
    assert said.startswith("Sharing: one network for all targets (hard sharing) has an error 16.")
    assert said.endswith(" below that of one each (independent).")
    per_seed, _ = frames(hard_sharing=apart, independent=shared)
    assert " above that of one each (independent)." in worth_of_sharing(per_seed)[0]
    per_seed, _ = frames(hard_sharing=shared, independent=(1.0001, 0.2, 1.0))
    assert worth_of_sharing(per_seed)[0].startswith("Sharing: no difference is shown (difference ")
    few = per_seed[per_seed["seed"] < 2]
    assert worth_of_sharing(few)[0].startswith("Sharing: too few seeds were run to tell one netw")
    assert worth_of_sharing(frames(hard_sharing=shared)[0]) == ()
