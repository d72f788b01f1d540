import itertools
import math

import numpy as np
import pytest

from jaxmtl.comparison import (
    bootstrap_mean,
    holm,
    nadeau_bengio,
    paired_bootstrap,
    verdict,
    wilcoxon,
)

# Darwin's cross- and self-fertilised maize (1876), differences in eighths of an inch.
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def signed_rank_p(differences):
    """Two-sided p by all flips of the signs of the differences that are not 0."""
    kept = [d for d in differences if d != 0]
    sizes = [abs(d) for d in kept]
    ranks = [sum(s < size for s in sizes) + (sizes.count(size) + 1) / 2 for size in sizes]
    seen = sum(rank for rank, d in zip(ranks, kept, strict=True) if d > 0)
    sums = [
        sum(rank for rank, up in zip(ranks, flips, strict=True) if up)
        for flips in itertools.product((False, True), repeat=len(kept))
    ]
    lower = sum(s <= seen for s in sums) / len(sums)
    upper = sum(s >= seen for s in sums) / len(sums)
    return min(1.0, 2 * min(lower, upper))


def errors(seed, shape=12):
    rng = np.random.default_rng(seed)
    common = rng.gamma(5, size=shape)
    return common * rng.uniform(0.7, 1.1, shape), common * rng.uniform(0.9, 1.1, shape)


@pytest.mark.parametrize(
    "differences",
    [
        [1.5, -0.5, 2.5, 3.5, 4.5, 5.5],
        [1.5, 0.5, 2.5, 3.5, 4.5, 5.5],
        [-1, -2, -3, 4, -5, -6],
        [1, 1, -1, 2, 2, 3],  # ties
        [0, 1, -2, 3, 4, 0],  # zeros
        [0, 0, 2, 2, -2, 5],  # both
    ],
)
def test_wilcoxon_is_the_share_of_sign_flips(differences):
    found = wilcoxon(np.array(differences, float), np.zeros(6))
    assert found.p == pytest.approx(signed_rank_p(differences), rel=1e-12)
    assert found.pairs == 6


def test_wilcoxon_of_published_data():
    assert wilcoxon(np.array(DARWIN, float), np.zeros(15)).p == pytest.approx(0.04126, abs=5e-6)


def test_wilcoxon_where_there_is_nothing_to_rank():
    same = np.array([0.1, 0.2, 0.3])
    assert wilcoxon(same, same).p == 1
    assert wilcoxon(same[:1], np.zeros(1)).p == 1
    assert np.isnan(wilcoxon(np.array([np.nan]), np.ones(1)).p)
    assert np.isnan(wilcoxon(np.zeros(0), np.zeros(0)).p)
    assert wilcoxon(same * (1 + 1e-15), same).p == 1  # rounding is no difference


def test_holm_of_a_textbook_family():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.6, 0.9])), 1.0)
    np.testing.assert_allclose(holm(np.array([0.2])), [0.2])
    assert holm(np.zeros(0)).shape == (0,)


def test_holm_keeps_nan_out_and_goes_with_the_order():
    p = np.array([0.03, np.nan, 0.001, 0.2, 0.03])
    adjusted = holm(p)
    np.testing.assert_allclose(adjusted, [0.09, np.nan, 0.004, 0.2, 0.09])
    order = np.array([4, 2, 0, 1, 3])
    np.testing.assert_array_equal(holm(p[order]), adjusted[order])
    assert (holm(np.sort(p)[:4])[1:] >= holm(np.sort(p)[:4])[:-1]).all()


def test_nadeau_bengio_by_hand():
    # d = -0.1, -0.2, -0.1, -0.2: mean -0.15, variance 0.01 / 3; 1 / 4 + 20 / 80 = 1 / 2.
    reference = np.array([1.0, 1.2, 0.9, 1.1])
    interval, p = nadeau_bengio(reference - [0.1, 0.2, 0.1, 0.2], reference, 20 / 80)
    error = math.sqrt(0.01 / 3 / 2)
    t = 0.15 / error
    # Student's distribution with 3 degrees of freedom, in closed form.
    above = 0.5 - (t / math.sqrt(3) / (1 + t * t / 3) + math.atan(t / math.sqrt(3))) / math.pi
    assert p == pytest.approx(2 * above, rel=1e-9)
    assert interval.difference == pytest.approx(-0.15)
    assert interval.difference_low == pytest.approx(-0.15 - 3.182446305 * error, rel=1e-9)
    assert interval.difference_high == pytest.approx(-0.15 + 3.182446305 * error, rel=1e-9)
    assert interval.percent == pytest.approx(-100 * 0.15 / 1.05)


def test_without_overlap_it_is_the_paired_t_test():
    # Student (1908): additional sleep under two drugs, t = 4.0621, p = 0.00283.
    one = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    other = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    assert nadeau_bengio(one, other, 0.0).p == pytest.approx(0.00283, abs=5e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_ends_of_the_corrected_ratio_are_just_not_rejected(seed):
    arm, reference = errors(seed, 10)
    found = nadeau_bengio(arm, reference, 0.25).interval
    for percent in (found.percent_low, found.percent_high):
        at_the_end = nadeau_bengio(arm, reference * (1 + percent / 100), 0.25)
        assert at_the_end.p == pytest.approx(0.05, rel=1e-6)
    assert found.percent_low < found.percent < found.percent_high


@pytest.mark.parametrize("seed", range(20))
def test_the_corrected_interval_holds_0_where_p_is_above_5_percent(seed):
    arm, reference = errors(seed, 8)
    interval, p = nadeau_bengio(arm, reference, 0.25)
    assert (interval.percent_low <= 0 <= interval.percent_high) == (p >= 0.05)


def test_bootstrap_is_that_of_all_resamples():
    arm, reference = errors(3, 5)
    found = paired_bootstrap(arm, reference, resamples=200_000)
    picks = np.array(list(itertools.product(range(5), repeat=5)))
    mine, base = arm[picks].mean(axis=1), reference[picks].mean(axis=1)
    z = -math.sqrt(5 / 4) * 2.776445105
    tail = 0.5 * math.erfc(-z / math.sqrt(2))
    for ends, all_of_them, value in (
        (found[1:3], mine - base, arm.mean() - reference.mean()),
        (found[4:6], 100 * (mine / base - 1), 100 * (arm.mean() / reference.mean() - 1)),
    ):
        expected = np.quantile(all_of_them, [tail, 1 - tail])
        # There are only 126 different resamples: the quantile may be a neighbouring one.
        np.testing.assert_allclose(ends, expected, atol=0.03 * np.ptp(all_of_them))
        assert ends[0] < value < ends[1]
    assert found.percent == pytest.approx(100 * (arm.sum() / reference.sum() - 1))


def test_normal_differences_get_students_interval():
    # Evenly spaced normal quantiles: the bootstrap of a mean is then normal to good accuracy.
    from statistics import NormalDist

    values = np.array([NormalDist(10, 2).inv_cdf((i + 0.5) / 30) for i in range(30)])
    found = bootstrap_mean(values, resamples=100_000)
    half = 2.045229642 * values.std(ddof=1) / math.sqrt(30)
    np.testing.assert_allclose([found.low, found.high], [10 - half, 10 + half], atol=0.02)
    assert found.seeds == 30


def everything(arm, reference):
    boot = paired_bootstrap(arm, reference, resamples=1000)
    interval, p = nadeau_bengio(arm, reference, 0.25)
    return [np.asarray(x) for x in (*boot, *interval, p, *wilcoxon(arm, reference))]


def test_the_order_of_seeds_is_nothing_to_any_of_them():
    arm, reference = errors(0)
    order = np.random.default_rng(1).permutation(12)
    for one, other in zip(
        everything(arm, reference), everything(arm[order], reference[order]), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_exchanging_the_arms_turns_the_sign():
    arm, reference = errors(0)
    one, p, _ = nadeau_bengio(arm, reference, 0.25), *wilcoxon(arm, reference)
    other, q, _ = nadeau_bengio(reference, arm, 0.25), *wilcoxon(reference, arm)
    assert (p, one.p) == pytest.approx((q, other.p))
    assert one.interval.difference_low == pytest.approx(-other.interval.difference_high)
    # Fieller's ratios are each other's inverse.
    low, high = (1 + end / 100 for end in one.interval[4:6])
    assert other.interval[4] == pytest.approx(100 * (1 / high - 1))
    assert other.interval[5] == pytest.approx(100 * (1 / low - 1))


def test_units_do_not_matter_to_percentages_and_p():
    arm, reference = errors(2)
    one, other = everything(arm, reference), everything(1e-6 * arm, 1e-6 * reference)
    for place in (3, 4, 5, 10, 11, 12, 14, 15):
        np.testing.assert_allclose(one[place], other[place], rtol=1e-9)


def test_columns_are_taken_one_by_one_and_gaps_pair_by_pair():
    arm, reference = errors(0, (12, 3, 2))
    arm[2, 0, 0], reference[5, 0, 0], arm[3, 1, 1] = np.nan, np.inf, np.nan
    together = everything(arm, reference)
    assert together[6].tolist() == [[10, 12], [12, 11], [12, 12]]
    for column in itertools.product(range(3), range(2)):
        mine, base = arm[:, *column], reference[:, *column]
        known = np.isfinite(mine) & np.isfinite(base)
        alone = everything(mine[known], base[known])
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one[column], other, rtol=1e-10)


def test_equal_seeds_give_equal_intervals():
    arm, reference = errors(0)
    one, again, other = (paired_bootstrap(arm, reference, seed=s) for s in (0, 0, 1))
    assert one == again
    assert one.percent_low != other.percent_low
    np.testing.assert_allclose(one[4:6], other[4:6], atol=0.03 * (one[5] - one[4]))


@pytest.mark.parametrize("num_pairs", [0, 1])
def test_without_two_pairs_there_is_no_interval(num_pairs):
    arm, reference = np.full(3, np.nan), np.ones(3)
    arm[:num_pairs] = 0.5
    boot = paired_bootstrap(arm, reference)
    interval, p = nadeau_bengio(arm, reference, 0.25)
    for found in (boot, interval):
        expected = (-0.5, -50.0) if num_pairs else (np.nan, np.nan)
        np.testing.assert_array_equal((found.difference, found.percent), expected)
        assert np.isnan([*found[1:3], *found[4:6]]).all()
        assert found.pairs == num_pairs
    assert np.isnan(p)


def test_the_bootstrap_needs_five_pairs():
    arm, reference = errors(0)
    assert np.isnan(paired_bootstrap(arm[:4], reference[:4]).percent_low)
    assert np.isfinite(paired_bootstrap(arm[:5], reference[:5]).percent_low)


def test_seeds_that_change_nothing_say_nothing():
    ones = np.ones(6)
    for arm, p, end in ((ones, 1.0, 0.0), (1.1 * ones, np.nan, np.nan)):
        boot = paired_bootstrap(arm, ones)
        corrected = nadeau_bengio(arm, ones, 0.25)
        np.testing.assert_array_equal(corrected.p, p)
        for found in (boot, corrected.interval):
            np.testing.assert_array_equal([*found[1:3], *found[4:6]], 4 * [end])
    assert bootstrap_mean(0 * ones)[:3] == (0, 0, 0)
    np.testing.assert_array_equal(bootstrap_mean(ones)[:3], (1, np.nan, np.nan))


def test_the_same_percentage_in_every_seed_is_its_own_interval():
    _, reference = errors(0)
    for found in (
        paired_bootstrap(0.9 * reference, reference),
        nadeau_bengio(0.9 * reference, reference, 0.25).interval,
    ):
        np.testing.assert_allclose(found[3:6], -10, rtol=1e-9)


def test_no_percentage_of_nothing():
    arm, zeros = errors(0)[0], np.zeros(12)
    for found in (paired_bootstrap(arm, zeros), nadeau_bengio(arm, zeros, 0.25).interval):
        assert np.isnan(found[3:6]).all()
        assert found.difference_low > 0


def test_no_corrected_percentage_of_an_error_that_is_not_told_from_0():
    reference = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1.0])
    found = nadeau_bengio(1.1 * reference + 1e-4, reference, 0.25).interval
    assert np.isfinite(found[:4]).all()
    assert np.isnan(found[4:6]).all()


def test_the_verdict_wants_both():
    p = np.array([0.04, 0.04, 0.05, 0.04, np.nan, 0.0, 0.0])
    low = np.array([-2, 1, -2, -2, -2, np.nan, 0])
    high = np.array([-1, 2, -1, 1, -1, np.nan, 1])
    unclear = "not distinguishable"
    assert verdict(p, low, high).tolist() == ["better", "worse", *[unclear] * 5]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: wilcoxon(np.ones(3), np.ones(4)), r"equal shapes, got \(3,\) and \(4,\)"),
        (lambda: wilcoxon(np.float64(3), np.float64(4)), "one value a seed"),
        (lambda: paired_bootstrap(np.ones(3), np.ones(3), resamples=10), "at least 1000, got 10"),
        (lambda: bootstrap_mean(np.ones(3), level=95), "between 0 and 1, got 95"),
        (lambda: nadeau_bengio(np.ones(3), np.ones(3), -0.1), "test_share: expected .* got -0.1"),
        (lambda: nadeau_bengio(np.ones(3), np.ones(3), np.nan), "test_share: expected .* got nan"),
        (lambda: holm(np.array([0.5, 1.5])), "from 0 to 1"),
        (lambda: holm(np.ones((2, 2))), "one axis"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
