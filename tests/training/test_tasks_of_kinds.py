"""A number and classes learned by one network, through the library alone."""

import jax
import numpy as np
import pytest

import jaxmtl
from jaxmtl.data import Rows, Splits
from jaxmtl.losses import loss_of, predictions_of
from jaxmtl.metrics import constant_prediction, score
from jaxmtl.tasks import Task, output_widths
from jaxmtl.training.in_chunks import predictor

pytestmark = pytest.mark.few_optimizations

TASKS = (Task(name="dose"), Task(name="level", kind="classes", classes=("low", "mid", "high")))
ROWS, TRAIN = 260, 200


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (ROWS, 3))
    level = np.digitize(x[:, 1] + 0.5 * x[:, 2], [-0.4, 0.4])
    y = np.column_stack([x[:, 0] - x[:, 1], level]).astype(np.float32)
    known = rng.uniform(size=y.shape) < 0.8
    # Whatever stands for what is not known.
    return x.astype(np.float32), np.where(known, y, [[np.nan, -1.0]]).astype(np.float32), known


@pytest.mark.slow
def test_a_number_and_classes_are_learned_together(rows):
    x, y, known = rows
    parts = [Rows(x[part], y[part], known[part]) for part in (slice(TRAIN), slice(TRAIN, None))]
    linear = {"outputs": output_widths(TASKS), "output_activation": None}
    model = jaxmtl.HardSharing(shared=(12,), nodes=8, activation="tanh", **linear)
    run = jaxmtl.fit(
        model,
        Splits(train=parts[0], test=parts[1]),
        key=jax.random.key(0),
        epochs=20,
        learning_rate=0.01,
        batch_size=10,
        loss=loss_of(TASKS),
    )
    outputs = predictor(model, run.params, run.head_index)(parts[1].x)
    predicted = predictions_of(TASKS, outputs)
    constant = constant_prediction(TASKS, parts[0].y, parts[0].known)
    found = score(TASKS, predicted, parts[1].y, parts[1].known, constant=constant)
    assert (found.relative < 0.5).all(), found
    assert found.by_task[1]["accuracy"] > 0.8
    # The history holds what the scores measure: the loss of each task on the known rows.
    mse, log_loss = found.by_task[0]["mse"], found.by_task[1]["log loss"]
    np.testing.assert_allclose(run.history.test[-1], [mse, log_loss], rtol=1e-4)
