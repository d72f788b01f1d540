"""Names of arms, and arms with aggregators."""

import jax
import numpy as np
import pytest

from jaxmtl import Phase, Rows, Splits
from jaxmtl.aggregation import REGISTRY
from jaxmtl.comparison import ARMS, Bench, Protocol, check_arms, expand, find_arm
from jaxmtl.training.phased.combining import METHODS

pytestmark = pytest.mark.few_optimizations


@pytest.fixture(scope="module")
def bench():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2, 40, 3)).astype(np.float32)
    y = np.stack([x[..., 0] * x[..., 1], 1 - x[..., 0] ** 2], axis=-1)
    rows = Rows(x, y)
    phases = (Phase(2, warmup=1, threshold=2), Phase(1))
    keys = jax.vmap(jax.random.key)(np.arange(2))
    return Bench(Protocol(phases=phases), Splits(rows, rows, rows), keys)


def test_every_method_is_an_arm_on_every_arm():
    for method in METHODS:
        assert find_arm(method).name == f"restarts+{method}"
        for base in ARMS:
            arm = find_arm(f"{base}+{method}")
            assert arm.name == f"{base}+{method}"
            assert arm.description.startswith(ARMS[base].description)
            assert arm.description.endswith(f"combined by {method}")


def test_groups_leave_out_what_needs_more_tasks():
    two, five = expand(["aggregators"], 2), expand(["aggregators"], 5)
    assert set(five) - set(two) == {"restarts+krum", "restarts+trimmed_mean"}
    assert len(five) == len(REGISTRY)
    assert expand(["losses", "famo"], 2).count("restarts+famo") == 1
    assert expand(["all"], 2) == list(ARMS)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("upgrade", "did you mean 'upgrad'"),
        ("mmoe+upgrade", "did you mean 'upgrad'"),
        ("moe+upgrad", "did you mean"),
        ("upgrad+mmoe", "expected names out of"),
        ("mmoe+", "expected names out of"),
        ("krum", "restarts.krum does not go with these targets: krum: expected at least 4 tasks"),
    ],
)
def test_bad_names(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_arms([name], "hard_sharing", 2)


def test_the_sum_is_the_arm_itself(bench):
    plain, summed = ARMS["restarts"].run(bench), find_arm("sum").run(bench)
    np.testing.assert_allclose(summed.errors, plain.errors, rtol=1e-5)
    for field in ("epoch", "parameters", "splits", "steps"):
        np.testing.assert_array_equal(getattr(summed, field), getattr(plain, field))


def test_the_adaptive_arm_splits_by_its_own_times_and_others_by_the_plain_ones(bench):
    plain = bench.adaptive
    ours = find_arm("adaptive+sum").run(bench)
    np.testing.assert_allclose(ours.errors, ARMS["adaptive"].run(bench).errors, rtol=1e-5)
    again = find_arm("one_shot+nash_mtl").run(bench)
    assert bench.adaptive is plain
    assert again.splits.sum() > 0
    np.testing.assert_array_equal(again.steps, bench.updates.sum(axis=1))


def test_a_bench_with_a_method_names_its_runs(bench):
    asked = []
    named = Bench(bench.protocol, bench.data, bench.keys, lambda arm: asked.append(arm) or {})
    find_arm("mmoe+famo").run(named)
    assert asked == ["adaptive", "mmoe+famo"]
    assert named.method is None
