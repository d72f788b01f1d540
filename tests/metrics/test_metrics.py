"""Every metric against scikit-learn, whole, masked, jitted and vmapped."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk
from some_cases import some

from jaxmtl import metrics

ROWS, TASKS = 60, 3


def draw(kind, seed=0, rows=ROWS):
    """Predictions and labels (rows, tasks) with many ties, and a mask that leaves out a third."""
    rng = np.random.default_rng(seed)
    known = rng.random((rows, TASKS)) < 0.67
    if kind == "numbers":
        y = rng.normal(size=(rows, TASKS)).astype(np.float32)
        return (y + 0.5 * rng.normal(size=y.shape)).astype(np.float32), y, known
    if kind == "scores":
        y = rng.integers(0, 2, (rows, TASKS))
        return (rng.integers(0, 8, y.shape) / 8 + 0.25 * y).astype(np.float32), y, known
    classes = 2 if kind == "binary" else 4
    y = rng.integers(0, classes, (rows, TASKS))
    return np.where(rng.random(y.shape) < 0.6, y, rng.integers(0, classes, y.shape)), y, known


def averaged(metric, oracle, average, classes):
    options = {"average": average, "zero_division": 0}
    return (
        functools.partial(metric, num_classes=classes, average=average),
        lambda p, y: oracle(y, p, **options),
    )


METHODS = {
    "accuracy": ("classes", metrics.accuracy, lambda p, y: sk.accuracy_score(y, p)),
    "rmse": ("numbers", metrics.rmse, lambda p, y: sk.root_mean_squared_error(y, p)),
    "mae": ("numbers", metrics.mae, lambda p, y: sk.mean_absolute_error(y, p)),
    "r2": ("numbers", metrics.r2_score, lambda p, y: sk.r2_score(y, p)),
    "ap": ("scores", metrics.average_precision, lambda p, y: sk.average_precision_score(y, p)),
    "auc": ("scores", metrics.roc_auc, lambda p, y: sk.roc_auc_score(y, p)),
}
for metric, oracle in (
    (metrics.precision, sk.precision_score),
    (metrics.recall, sk.recall_score),
    (metrics.f1_score, sk.f1_score),
):
    for average, kind, classes in (
        ("binary", "binary", 2),
        ("macro", "classes", 4),
        ("micro", "classes", 4),
    ):
        name = f"{metric.__name__}-{average}"
        METHODS[name] = (kind, *averaged(metric, oracle, average, classes))


@pytest.mark.parametrize("name", METHODS)
def test_equals_scikit_learn_per_task_with_and_without_a_mask(name):
    kind, metric, oracle = METHODS[name]
    predicted, labels, known = draw(kind)
    whole = [oracle(predicted[:, t], labels[:, t]) for t in range(TASKS)]
    np.testing.assert_allclose(metric(predicted, labels), whole, rtol=1e-5)
    some = [oracle(predicted[k, t], labels[k, t]) for t, k in enumerate(known.T)]
    np.testing.assert_allclose(metric(predicted, labels, known), some, rtol=1e-5)


@pytest.mark.parametrize("name", some(METHODS, "accuracy", "r2", "auc", "f1_score-macro"))
def test_eager_is_jit_vmap_is_loop_and_it_traces_once(name):
    kind, metric, _ = METHODS[name]
    draws = [draw(kind, seed) for seed in (1, 2)]
    traces = []

    @jax.jit
    def jitted(*arguments):
        traces.append(None)
        return metric(*arguments)

    stacked = jax.jit(jax.vmap(metric))(*map(np.stack, zip(*draws, strict=True)))
    for arguments, row in zip(draws, stacked, strict=True):
        eager = metric(*arguments)
        np.testing.assert_allclose(jitted(*arguments), eager, rtol=1e-6)
        np.testing.assert_allclose(row, eager, rtol=1e-6)
    assert len(traces) == 1


@pytest.mark.parametrize("name", METHODS)
def test_what_stands_where_a_label_is_unknown_does_not_matter(name):
    kind, metric, _ = METHODS[name]
    predicted, labels, known = draw(kind)
    junk, no_label = {"numbers": (np.nan, np.nan), "scores": (np.nan, -1)}.get(kind, (99, 98))
    changed = np.where(known, predicted, junk), np.where(known, labels, no_label)
    changed = [a.astype(b.dtype) for a, b in zip(changed, (predicted, labels), strict=True)]
    np.testing.assert_array_equal(metric(*changed, known), metric(predicted, labels, known))


@pytest.mark.parametrize("name", METHODS)
def test_no_known_row_is_nan_and_shapes_that_differ_are_refused(name):
    kind, metric, _ = METHODS[name]
    predicted, labels, known = draw(kind)
    assert np.isnan(metric(predicted, labels, np.zeros_like(known))).all()
    with pytest.raises(ValueError, match=r"expected the shape of the labels.*\(60, 2\)"):
        metric(predicted[:, :2], labels)
    with pytest.raises(ValueError, match="known: expected the shape of the labels"):
        metric(predicted, labels, known[:, :2])


@pytest.mark.parametrize("average", ["macro", "micro"])
@pytest.mark.parametrize("seed", range(3))
def test_classes_that_do_not_occur_are_left_out_as_in_scikit_learn(average, seed):
    rng = np.random.default_rng(seed)
    predicted, labels = rng.integers(0, 3, (2, 5))
    for metric, oracle in (
        (metrics.precision, sk.precision_score),
        (metrics.recall, sk.recall_score),
        (metrics.f1_score, sk.f1_score),
    ):
        np.testing.assert_allclose(
            metric(predicted, labels, num_classes=7, average=average),
            oracle(labels, predicted, average=average, zero_division=0),
            rtol=1e-6,
        )


def test_binary_metrics_are_zero_where_nothing_is_predicted_or_there():
    none, some = jnp.zeros(4, int), jnp.array([0, 1, 0, 1])
    assert float(metrics.precision(none, some)) == 0
    assert float(metrics.recall(some, none)) == 0
    assert float(metrics.f1_score(none, none)) == 0
    with pytest.raises(ValueError, match="num_classes: expected 2 with average='binary'"):
        metrics.f1_score(none, none, num_classes=3)
    with pytest.raises(ValueError, match="average: expected one of .* got 'weighted'"):
        metrics.recall(none, none, average="weighted")


def test_ranking_without_positives_or_with_nan_scores():
    average_precision, roc_auc = jax.jit(metrics.average_precision), jax.jit(metrics.roc_auc)
    scores, labels = np.array([0.2, 0.7, 0.1], np.float32), np.zeros(3, int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sk.average_precision_score(labels, scores) == 0
    assert float(average_precision(scores, labels)) == 0
    assert np.isnan(roc_auc(scores, labels))
    assert np.isnan(roc_auc(scores, 1 - labels))
    broken = np.array([0.2, np.nan, 0.1], np.float32)
    assert np.isnan(average_precision(broken, np.array([1, 0, 1])))
    infinite = np.array([np.inf, -np.inf, 0.0], np.float32)
    assert float(roc_auc(infinite, np.array([1, 0, 0]))) == 1
    equal = np.zeros(4, np.float32)
    assert float(average_precision(equal, np.array([1, 0, 0, 0]))) == 0.25


def test_mean_average_precision_of_classes_and_of_several_labels():
    rng = np.random.default_rng(3)
    labels, known = rng.integers(0, 4, 50), rng.random(50) < 0.7
    scores = (rng.integers(0, 9, (50, 4)) + 3 * np.eye(4)[labels]).astype(np.float32)
    expected = sk.average_precision_score(np.eye(4)[labels], scores, average="macro")
    np.testing.assert_allclose(metrics.mean_average_precision(scores, labels), expected, rtol=1e-5)
    expected = sk.average_precision_score(np.eye(4)[labels[known]], scores[known], average="macro")
    np.testing.assert_allclose(
        metrics.mean_average_precision(scores, labels, known), expected, rtol=1e-5
    )
    several = rng.random((50, 4)) < 0.4
    expected = sk.average_precision_score(several, scores, average="macro")
    np.testing.assert_allclose(metrics.mean_average_precision(scores, several), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="scores: expected shape"):
        metrics.mean_average_precision(scores, several[:, :3])


def test_log_loss_of_classes_and_of_one_class():
    rng = np.random.default_rng(4)
    labels, known = rng.integers(0, 3, 40), rng.random(40) < 0.7
    p = rng.dirichlet(np.ones(3), 40).astype(np.float32)
    p[:2] = np.eye(3)[[0, 1]]
    numbers = range(3)
    np.testing.assert_allclose(
        metrics.log_loss(p, labels), sk.log_loss(labels, p, labels=numbers), rtol=1e-5
    )
    np.testing.assert_allclose(
        jax.jit(metrics.log_loss)(p, np.where(known, labels, -1), known),
        sk.log_loss(labels[known], p[known], labels=numbers),
        rtol=1e-5,
    )
    one, yes = p[:, 0], (labels == 0).astype(int)
    np.testing.assert_allclose(
        metrics.log_loss(one, yes), sk.log_loss(yes, one, labels=[0, 1]), rtol=1e-5
    )
    assert np.isnan(metrics.log_loss(p, np.full(40, 3)))
    with pytest.raises(ValueError, match="probabilities: expected shape"):
        metrics.log_loss(p, labels[:3])


def test_r2_of_a_constant_target_and_of_one_row():
    flat = np.ones(5, np.float32)
    for predicted in (flat, 2 * flat):
        np.testing.assert_array_equal(
            metrics.r2_score(predicted, flat), sk.r2_score(flat, predicted)
        )
    assert np.isnan(metrics.r2_score(flat, flat, np.arange(5) < 1))


def test_half_precision_counts_beyond_2048():
    outputs = jnp.ones(5000, jnp.bfloat16)
    assert float(metrics.mae(outputs, jnp.zeros_like(outputs))) == 1


def test_delta_m_by_hand_and_with_flags():
    values, baseline = np.array([0.8, 30.0, -0.5]), np.array([0.5, 20.0, -0.25])
    flags = (True, False, True)
    expected = 100 * np.mean([-0.3 / 0.5, 10 / 20, 0.25 / 0.25])
    np.testing.assert_allclose(metrics.delta_m(values, baseline, flags), expected, rtol=1e-5)
    np.testing.assert_allclose(
        jax.jit(lambda v: metrics.delta_m(v, baseline, flags))(np.stack([values, baseline])),
        [expected, 0],
        rtol=1e-5,
        atol=1e-6,
    )
    with pytest.raises(ValueError, match="higher_is_better: expected True, False or 3"):
        metrics.delta_m(values, baseline, (True, False))
    with pytest.raises(ValueError, match="baseline: expected"):
        metrics.delta_m(values, baseline[:2])


def test_mean_rank_shares_ranks_as_scipy_does():
    values = np.random.default_rng(5).integers(0, 4, (6, 5)).astype(np.float32)
    flags = (True, False, False, True, False)
    signed = values * np.where(flags, -1, 1)
    expected = np.mean([scipy.stats.rankdata(column) for column in signed.T], axis=0)
    np.testing.assert_allclose(metrics.mean_rank(values, flags), expected, rtol=1e-6)
    values[0, 0] = np.nan
    assert np.isnan(metrics.mean_rank(values)).all()
    with pytest.raises(ValueError, match="values: expected shape"):
        metrics.mean_rank(values[0])
