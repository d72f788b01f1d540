"""Scores of tasks of all kinds, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sk

from jaxmtl.metrics import (
    Measure,
    constant_prediction,
    main_measure,
    measure_named,
    measures_of,
    score,
    values_of_losses,
)
from jaxmtl.tasks import Task, number_tasks

CO = Task(name="CO", unit="mg/m³")
LEVEL = Task(name="level", kind="classes", classes=("good", "fair", "poor"))
RAIN = Task(name="rain", kind="classes", classes=(0, 1))
TASKS = (LEVEL, CO, RAIN, Task(name="O3"))
ROWS = 200


class Case:
    def __init__(self, masked):
        rng = np.random.default_rng(3)
        self.y = np.column_stack([
            rng.choice(3, ROWS, p=[0.6, 0.3, 0.1]), rng.gamma(3, size=ROWS),
            rng.integers(0, 2, ROWS), rng.normal(50, 9, ROWS),
        ])  # fmt: skip
        self.p = {0: rng.dirichlet([2, 1, 1], ROWS), 2: rng.dirichlet([1, 1], ROWS)}
        self.numbers = self.y[:, [1, 3]] + rng.normal(size=(ROWS, 2))
        self.predicted = np.column_stack(
            [self.p[0], self.numbers[:, 0], self.p[2], self.numbers[:, 1]]
        )
        self.known = None
        if masked:
            self.known = rng.uniform(size=self.y.shape) < 0.7
            self.y = np.where(self.known, self.y, np.nan)

    def of(self, task):
        """Known targets of a task, and what was predicted of them."""
        rows = slice(None) if self.known is None else self.known[:, task]
        predicted = self.p[task] if task in self.p else self.numbers[:, task // 2]
        return self.y[rows, task], predicted[rows]


@pytest.fixture(scope="module", params=[False, True], ids=["complete", "masked"])
def case(request):
    return Case(request.param)


def test_measures_are_those_of_scikit_learn(case):
    found = score(TASKS, case.predicted, case.y, case.known)
    for t, task in enumerate(TASKS):
        y, predicted = case.of(t)
        if task.kind == "number":
            expected = {
                "rmse": sk.root_mean_squared_error(y, predicted),
                "mae": sk.mean_absolute_error(y, predicted),
                "r2": sk.r2_score(y, predicted),
                "mse": sk.mean_squared_error(y, predicted),
            }
        else:
            truth = np.eye(task.width)[y.astype(int)]
            labels, hard = np.arange(task.width), predicted.argmax(axis=1)
            expected = {
                "log loss": sk.log_loss(y, predicted, labels=labels),
                "accuracy": sk.accuracy_score(y, hard),
                "balanced accuracy": sk.balanced_accuracy_score(y, hard),
                # Mean over rows and classes of the squared error, times the classes.
                "brier": task.width * sk.mean_squared_error(truth, predicted),
            }
        assert list(found.by_task[t]) == list(expected)
        for name, value in expected.items():
            assert found.by_task[t][name] == pytest.approx(value, rel=1e-12), (task.name, name)
    assert found.main.tolist() == [
        found.by_task[t][main_measure(task).name] for t, task in enumerate(TASKS)
    ]
    assert np.isnan(found.of("rmse")).tolist() == [True, False, True, False]
    assert np.isnan(found.relative).all()  # no constant
    assert np.isnan(found.mean_relative)


def test_relative_errors_are_those_against_scikit_learns_dummies(case):
    from sklearn.dummy import DummyClassifier, DummyRegressor

    constant = constant_prediction(TASKS, case.y, case.known)
    found = score(TASKS, case.predicted, case.y, case.known, constant=constant)
    expected = []
    for t, task in enumerate(TASKS):
        y, predicted = case.of(t)
        x = np.zeros((len(y), 1))
        if task.kind == "number":
            dummy = DummyRegressor().fit(x, y).predict(x)
            expected.append(sk.mean_squared_error(y, predicted) / sk.mean_squared_error(y, dummy))
        else:
            dummy = DummyClassifier(strategy="prior").fit(x, y).predict_proba(x)
            expected.append(sk.log_loss(y, predicted) / sk.log_loss(y, dummy))
    np.testing.assert_allclose(found.relative, expected, rtol=1e-12)
    assert found.mean_relative == pytest.approx(np.mean(expected))
    alike = score(TASKS, np.tile(constant, (ROWS, 1)), case.y, case.known, constant=constant)
    np.testing.assert_allclose(alike.relative, 1, rtol=1e-12)


def test_a_class_of_probability_0_is_clipped_as_in_scikit_learn():
    p = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = score([RAIN], p, np.zeros((2, 1)), constant=np.array([0.0, 1.0]))
    expected = sk.log_loss([0, 0], p, labels=[0, 1])
    assert found.main[0] == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(18.02, abs=0.01)
    assert found.relative[0] == pytest.approx(0.5)


def test_tasks_without_a_relative_error_are_left_out_of_the_mean():
    tasks = number_tasks(["known", "unknown", "constant"])
    y = np.array([[1.0, 0.0, 5.0], [3.0, 0.0, 5.0]])
    known = np.array([[True, False, True]] * 2)
    constant = constant_prediction(tasks, y, known)
    np.testing.assert_array_equal(constant, [2, np.nan, 5])
    found = score(tasks, y + [0.5, 0, 1], y, known, constant=constant)
    np.testing.assert_array_equal(found.relative, [0.25, np.nan, np.nan])
    assert found.mean_relative == 0.25
    assert np.isnan(list(found.by_task[1].values())).all()


def test_targets_that_do_not_vary_have_the_r2_of_scikit_learn():
    tasks, y = number_tasks("ab"), np.full((3, 2), 4.0)
    found = score(tasks, y + [0, 1], y)
    assert found.of("r2").tolist() == [sk.r2_score(y[:, i], y[:, i] + i) for i in (0, 1)]
    assert np.isnan(score(tasks, y[:1], y[:1]).of("r2")).all()


def test_r2_is_against_the_constant_that_was_learned_where_there_is_one():
    """Later rows may lie elsewhere: what is told by R² and by the line of the mean is the same."""
    tasks = [Task(name="CO"), Task(name="calls", kind="count")]
    y = np.array([[10.0, 4], [12, 6], [14, 9]])
    predicted, learned = y + [[1.0, 1]], np.array([3.0, 2.0])
    found = score(tasks, predicted, y, constant=learned)
    expected = 1 - 3 / ((y - learned) ** 2).sum(axis=0)
    np.testing.assert_allclose(found.of("r2"), expected)
    np.testing.assert_allclose(1 - found.relative[0], expected[0])
    mean = np.broadcast_to(learned, y.shape)
    np.testing.assert_allclose(score(tasks, mean, y, constant=learned).of("r2"), 0)
    by_row = learned + np.arange(3)[:, None]
    expected = 1 - 3 / ((y - by_row) ** 2).sum(axis=0)
    np.testing.assert_allclose(score(tasks, predicted, y, constant=by_row).of("r2"), expected)
    unknown = score(tasks, predicted, y, constant=np.full(2, np.nan)).of("r2")
    np.testing.assert_allclose(unknown, score(tasks, predicted, y).of("r2"))


def test_what_diverged_is_told_as_such_and_warns_of_nothing():
    y = np.array([[0.0, 1.0], [1.0, 0.0]])
    predicted = np.array([[np.inf, 0.5, 0.5], [1.0, np.nan, np.nan]])
    found = score([CO, RAIN], predicted, y, constant=constant_prediction([CO, RAIN], y))
    assert found.by_task[0]["rmse"] == np.inf
    assert np.isnan(list(found.by_task[1].values())).all()
    assert found.relative[0] == np.inf
    assert np.isnan(found.relative[1])


def test_sums_of_several_numbers_have_the_bits_of_one_array():
    rng = np.random.default_rng(1)
    y, predicted = rng.normal(size=(2, 1169, 3))
    expected = np.sqrt(((predicted - y) ** 2).sum(axis=0) / 1169)
    np.testing.assert_array_equal(score(number_tasks("abc"), predicted, y).of("rmse"), expected)


def test_main_measures_follow_from_the_loss_to_the_bit():
    rng = np.random.default_rng(1)
    losses = rng.uniform(size=(5, 2)).astype(np.float32)
    scales = rng.uniform(1, 300, size=(5, 2))
    found = values_of_losses(number_tasks("ab"), losses, scales)
    np.testing.assert_array_equal(found, np.sqrt(losses) * scales)
    mixed = values_of_losses([CO, RAIN], losses, scales)
    np.testing.assert_array_equal(mixed[:, 0], found[:, 0])
    np.testing.assert_array_equal(mixed[:, 1], losses[:, 1])


def test_measures_are_named_for_a_reader():
    rmse = main_measure(CO)
    assert (rmse.name, rmse.label, rmse.lower_is_better) == ("rmse", "RMSE", True)
    assert rmse.title_of(CO) == "RMSE (mg/m³)"
    assert rmse.title_of(Task(name="x")) == "RMSE (original units)"
    assert measure_named("mse").title_of(CO) == "MSE ((mg/m³)²)"
    assert measure_named("mse").title_of(Task(name="O3", unit="ppb")) == "MSE (ppb²)"
    assert measure_named("mse").title_of(Task(name="O3 (8h)"), "") == "MSE"
    assert measure_named("r2").title_of(CO) == "R²"
    assert main_measure(LEVEL).title_of(LEVEL) == "log loss"
    every: list[Measure] = [*measures_of(CO), *measures_of(LEVEL)]
    assert len({measure.name for measure in every}) == len(every)
    for task in (CO, LEVEL):
        assert main_measure(task).lower_is_better
        assert main_measure(task).of_loss is not None
    with pytest.raises(ValueError, match="measure: expected one of 'rmse', .* got 'auc'"):
        measure_named("auc")


@pytest.mark.parametrize("label", [-1, 2, 0.5, np.nan])
def test_targets_that_name_no_class_are_refused_unless_they_are_not_known(label):
    y = np.array([[0.0], [label]])
    p = np.array([[0.5, 0.5]] * 2)
    message = "task 'rain': expected class numbers from 0 to 1, got .* in row 1"
    with pytest.raises(ValueError, match=message):
        score([RAIN], p, y)
    with pytest.raises(ValueError, match=message):
        constant_prediction([RAIN], y)
    known = np.array([[True], [False]])
    assert constant_prediction([RAIN], y, known).tolist() == [1, 0]
    assert score([RAIN], p, y, known).main[0] == pytest.approx(np.log(2))


@pytest.mark.parametrize("p", [[[2.0, -1.0]], [[0.5, 0.6]], [[3.0, 1.0]]])
def test_logits_are_refused(p):
    with pytest.raises(ValueError, match="task 'rain': expected probabilities of its 2 classes"):
        score([RAIN], p, np.zeros((1, 1)))


def test_counts_and_ordered_classes_have_measures_of_their_own():
    rng = np.random.default_rng(2)
    dogs = Task(name="dogs", kind="count")
    rank = Task(name="rank", kind="ordered", classes=("low", "middle", "high"))
    y = np.column_stack([rng.poisson(2, 80), rng.integers(0, 3, 80)]).astype(float)
    p = rng.dirichlet([1, 1, 1], 80)
    expected = rng.gamma(2, size=80)
    known = rng.uniform(size=y.shape) < 0.8
    constant = constant_prediction([dogs, rank], y, known)
    assert constant[0] == pytest.approx(y[known[:, 0], 0].mean())
    found = score([dogs, rank], np.column_stack([expected, p]), y, known, constant=constant)
    rows = known[:, 0]
    counted = y[rows, 0]
    deviance = sk.mean_poisson_deviance(counted, expected[rows])
    assert found.by_task[0]["deviance"] == pytest.approx(deviance)
    assert found.by_task[0]["rmse"] == pytest.approx(
        sk.root_mean_squared_error(counted, expected[rows])
    )
    base = sk.mean_poisson_deviance(counted, np.full(len(counted), constant[0]))
    assert found.relative[0] == pytest.approx(deviance / base)
    rows = known[:, 1]
    labels = y[rows, 1].astype(int)
    hard = (p.cumsum(axis=1) >= 0.5).argmax(axis=1)[rows]
    assert found.by_task[1] == pytest.approx(
        {
            "log loss": sk.log_loss(labels, p[rows]),
            "level error": np.abs(hard - labels).mean(),
            "kappa": sk.cohen_kappa_score(labels, hard, weights="quadratic"),
            "accuracy": sk.accuracy_score(labels, hard),
            "balanced accuracy": sk.balanced_accuracy_score(labels, hard),
            "brier": 3 * sk.mean_squared_error(np.eye(3)[labels], p[rows]),
        }
    )
    for task, one in zip((dogs, rank), found.by_task, strict=True):
        assert [measure.name for measure in measures_of(task)] == list(one)
        assert main_measure(task).lower_is_better
        assert main_measure(task).of_loss is not None
    assert values_of_losses([dogs], np.array([0.5]), np.array([4.0])).tolist() == [2.0]


def test_expected_counts_of_0_are_no_infinite_error():
    dogs = Task(name="dogs", kind="count")
    found = score([dogs], np.array([[0.0], [-3.0]]), np.array([[1.0], [0.0]]))
    assert found.by_task[0]["deviance"] == pytest.approx(np.log(1000) - 1 + 0.001)
    with pytest.raises(ValueError, match="expected counts of at least 0, got -1 in row 0"):
        score([dogs], np.zeros((1, 1)), np.array([[-1.0]]))


def test_bad_shapes():
    y = np.zeros((4, 2))
    with pytest.raises(ValueError, match="tasks: expected at least one"):
        score([], np.zeros((4, 0)), np.zeros((4, 0)))
    with pytest.raises(ValueError, match=r"y: expected \(rows, 1 tasks\)"):
        score([CO], np.zeros((4, 1)), y)
    with pytest.raises(ValueError, match="and known of the same shape"):
        score(number_tasks("ab"), y, y, np.ones((4, 1), bool))
    with pytest.raises(ValueError, match=r"predicted: expected shape \(rows, 3\)"):
        score([CO, RAIN], y, y)
    with pytest.raises(ValueError, match="predicted: expected 4 rows, those of y, got 3"):
        score(number_tasks("ab"), y[:3], y)
    with pytest.raises(ValueError, match=r"constant: expected shape \(rows, 2\)"):
        score(number_tasks("ab"), y, y, constant=np.zeros(3))
