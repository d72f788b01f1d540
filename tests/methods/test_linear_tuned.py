"""Tuned weights of a sum: each point is the run with these weights, and the best one is kept."""

import jax
import numpy as np
import pytest

from jaxmtl import Phase
from jaxmtl.comparison import ARMS, Bench, Protocol
from jaxmtl.data import Data, Folds, SplitIndices
from jaxmtl.methods.study import linear_tuned
from jaxmtl.methods.study.arms import find_arm
from jaxmtl.tasks import number_tasks

pytestmark = pytest.mark.few_optimizations


def make_bench(tasks=2, *, validation=True):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(60, 3)).astype(np.float32)
    y = np.stack([x[:, 0] * x[:, 1], 1 - x[:, 0] ** 2, x[:, 2]], axis=-1)[:, :tasks]
    names = ["u", "v", "w"][:tasks]
    data = Data(x=x, y=y, known=np.ones(y.shape, bool), tasks=number_tasks(names))
    thirds = np.arange(60).reshape(3, 20)
    parts = [(thirds[0], thirds[1], thirds[2]), (thirds[2], thirds[0], thirds[1])]
    if not validation:
        parts = [(train, held[:0], test) for train, held, test in parts]
    folds = Folds(parts=tuple(SplitIndices(*part) for part in parts))
    phases = (Phase(3, warmup=1, threshold=2), Phase(2))
    return Bench(Protocol(phases=phases), data, folds, jax.vmap(jax.random.key)(np.arange(2)))


@pytest.fixture(scope="module")
def bench():
    return make_bench()


def test_the_point_kept_is_the_best_run_on_validation_rows(bench, monkeypatch):
    design = np.array([[1.0, 1.0], [1.9, 0.1]])
    monkeypatch.setattr(linear_tuned, "weight_design", lambda num_tasks: design)
    found = ARMS["linear@tuned"].run(bench)
    single = [
        find_arm(f"restarts+linear(weights=[{w[0]}, {w[1]}])").run(bench) for w in design.tolist()
    ]
    for seed in range(2):
        reached = []
        for run in single:
            epoch = run.chosen[seed]["epoch"]
            reached.append(run.traces[seed].history.validation[epoch - 1])
        best = int(np.argmin((np.stack(reached) / reached[0]).mean(axis=1)))
        assert found.chosen[seed] == {**single[best].chosen[seed], "weights": design[best].tolist()}
        np.testing.assert_allclose(found.scores[seed], single[best].scores[seed], rtol=1e-5)
        x = bench.data.x
        ours, theirs = (fit.models[seed].predict(x) for fit in (found, single[best]))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(found.steps, sum(run.steps for run in single))


def test_weights_sum_as_those_of_a_sum_and_equal_ones_are_tried():
    for tasks, points in ((2, 11), (3, 24), (40, 24)):
        design = linear_tuned.weight_design(tasks)
        assert design.shape == (points, tasks)
        np.testing.assert_allclose(design.sum(axis=1), tasks)
        assert (np.abs(design - 1).max(axis=1) < 1e-12).sum() == 1
        assert (design > 0).all()


def test_what_diverged_is_not_taken():
    design = linear_tuned.weight_design(2)[4:7]
    reached = np.array([[[0.1, 0.1], [1.0, 1.0], [0.9, 0.9]]])
    assert linear_tuned._least(reached, np.array([[True, False, False]]), design) == [2]
    reached[0, 2] = np.nan
    assert linear_tuned._least(reached, np.zeros((1, 3), bool), design) == [0]


def test_it_asks_for_validation_rows():
    with pytest.raises(ValueError, match="expected validation rows to choose weights by, got none"):
        ARMS["linear@tuned"].run(make_bench(validation=False))
