"""Rates of verdicts and coverage where the truth is known: 400 comparisons each."""

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

COMPARISONS = 400
RESAMPLES = 2000
ROWS, TEST = 100, 20  # of the table that seeds split anew
SHARE = TEST / (ROWS - TEST)
UNCLEAR = "not distinguishable"


def lognormal(rng, shape, sd):
    """Skewed noise of mean 1."""
    return np.exp(rng.normal(0, sd, shape) - sd**2 / 2)


def errors_of_seeds(rng, num_seeds, change, noise, comparisons=COMPARISONS):
    """A strong effect of the seed, common to both arms, and skewed noise of each."""
    shape = num_seeds, comparisons
    common = lognormal(rng, shape, 0.5)
    if noise == "exponential against normal":
        arm = common + 0.2 * rng.exponential(1, shape)
        return (1 + change) * arm, common + 0.2 * rng.normal(1, 0.5, shape)
    mine, other = (0.2, 0.2) if noise == "equal" else (0.4, 0.1)
    arm = common * lognormal(rng, shape, mine)
    return (1 + change) * arm, common * lognormal(rng, shape, other)


NOISES = ("equal", "one heavy tail", "exponential against normal")


def errors_of_splits(rng, num_seeds, slopes):
    """Test errors of least squares on one feature each, over random splits of one table.

    y = sum of slope times feature + skewed noise of variance 1. With equal slopes no method is
    better, but in any one table one of them is, and all splits of that table show it.
    """
    found = np.empty((len(slopes), num_seeds, COMPARISONS))
    for table in range(COMPARISONS):
        x = rng.normal(size=(ROWS, len(slopes)))
        y = x @ slopes + rng.standard_exponential(ROWS) - 1
        tests = rng.permuted(np.tile(np.arange(ROWS), (num_seeds, 1)), axis=1)[:, :TEST]
        xt, yt = x[tests], y[tests][..., None]
        xy = x.T @ y - (xt * yt).sum(axis=1)
        slope = xy / ((x**2).sum(axis=0) - (xt**2).sum(axis=1))
        found[:, :, table] = ((yt - xt * slope[:, None]) ** 2).mean(axis=1).T
    return found


def plain_verdicts(arm, reference):
    boot = paired_bootstrap(arm, reference, resamples=RESAMPLES)
    return verdict(wilcoxon(arm, reference).p, boot.percent_low, boot.percent_high)


# Of many times 400 comparisons the rates are 4.4, 5.5, 6.2 % with 10 seeds and 3.7, 5.0, 5.1 % with
# 30: where it comes near to 7 %, more than 400 are needed to see that it is below.
@pytest.mark.parametrize(
    ("num_seeds", "noise", "times"),
    [
        (10, NOISES[0], 1),
        pytest.param(10, NOISES[1], 5, marks=pytest.mark.slow),
        pytest.param(30, NOISES[1], 5, marks=pytest.mark.slow),
        pytest.param(30, NOISES[2], 5, marks=pytest.mark.slow),
    ],
)
def test_no_difference_is_seldom_called_one(num_seeds, noise, times):
    rng = np.random.default_rng(1)
    arm, reference = errors_of_seeds(rng, num_seeds, 0.0, noise, times * COMPARISONS)
    assert (plain_verdicts(arm, reference) != UNCLEAR).mean() <= 0.07


@pytest.mark.parametrize("noise", NOISES)
def test_intervals_cover_a_known_difference(noise):
    arm, reference = errors_of_seeds(np.random.default_rng(2), 30, -0.1, noise)
    found = paired_bootstrap(arm, reference, resamples=RESAMPLES)
    truth = -0.12 if noise == NOISES[2] else -0.1
    covered = (found.difference_low <= truth) & (truth <= found.difference_high)
    assert covered.mean() >= 0.92
    assert ((found.percent_low <= -10) & (-10 <= found.percent_high)).mean() >= 0.92


def test_splits_of_one_table_are_no_new_data():
    arm, reference = errors_of_splits(np.random.default_rng(3), 30, [1.0, 1.0])
    interval, p = nadeau_bengio(arm, reference, SHARE)
    corrected = verdict(p, interval.percent_low, interval.percent_high)
    assert (corrected != UNCLEAR).mean() <= 0.07
    # The plain test takes the luck of one table for a difference of the methods.
    assert (wilcoxon(arm, reference).p < 0.05).mean() > 0.4
    assert (plain_verdicts(arm, reference) != UNCLEAR).mean() > 0.4


def test_corrected_intervals_cover_a_known_difference():
    slopes = [0.6, 1.0]
    arm, reference = errors_of_splits(np.random.default_rng(4), 30, slopes)
    # Expected error with n normal training rows: (1 + square of the other slope) (1 + 1 / (n - 2)).
    truth = ((1 + 1.0**2) - (1 + 0.6**2)) * (1 + 1 / (ROWS - TEST - 2))
    percent = 100 * ((1 + 1.0**2) / (1 + 0.6**2) - 1)
    found = nadeau_bengio(arm, reference, SHARE).interval
    covered = (found.difference_low <= truth) & (truth <= found.difference_high)
    assert covered.mean() >= 0.92
    assert ((found.percent_low <= percent) & (percent <= found.percent_high)).mean() >= 0.92
    plain = paired_bootstrap(arm, reference, resamples=RESAMPLES)
    assert ((plain.percent_low <= percent) & (percent <= plain.percent_high)).mean() < 0.7


def test_of_a_family_without_differences_seldom_one_arm_is_called_better_or_worse():
    errors = errors_of_splits(np.random.default_rng(5), 15, [1.0] * 5)
    arms, reference = errors[1:].swapaxes(0, 1), errors[:1].swapaxes(0, 1)
    interval, p = nadeau_bengio(arms, np.broadcast_to(reference, arms.shape), SHARE)
    adjusted = np.apply_along_axis(holm, 0, p)
    found = verdict(adjusted, interval.percent_low, interval.percent_high) != UNCLEAR
    assert found.any(axis=0).mean() <= 0.07
    unadjusted = verdict(p, interval.percent_low, interval.percent_high) != UNCLEAR
    assert unadjusted.any(axis=0).mean() > found.any(axis=0).mean()


def test_the_frame_has_the_verdicts_of_the_simulation():
    errors = errors_of_splits(np.random.default_rng(5), 15, [1.0] * 3)
    interval, p = nadeau_bengio(errors[1:].swapaxes(0, 1), np.stack([errors[0]] * 2, axis=1), SHARE)
    for table in np.argsort(p.min(axis=0))[[0, 20, 200]]:
        frame = pd.DataFrame(
            [
                {"arm": f"x{arm}", "kind": "arm", "seed": seed, "task": "y", "error": error}
                for (arm, seed), error in np.ndenumerate(errors[:, :, table])
            ]
        )
        found = contrasts(frame, "x0", test_share=SHARE, resamples=1000)
        overall = found[found["quantity"] == "overall"]
        adjusted = holm(p[:, table])
        expected = verdict(
            adjusted, interval.percent_low[:, table], interval.percent_high[:, table]
        )
        np.testing.assert_allclose(overall["p_holm"], adjusted)
        assert overall["verdict"].tolist() == expected.tolist()
