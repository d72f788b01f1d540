import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl import mean_over_known, sliced, squared_error


def test_squared_error_and_its_shape_check():
    outputs, targets = jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 5.0]])
    assert squared_error(outputs, targets).tolist() == [[1.0, 9.0]]
    with pytest.raises(ValueError, match=r"targets: expected the shape .*\(1, 2\), got \(2,\)"):
        squared_error(outputs, targets[0])


def test_unknown_labels_have_no_influence_on_value_or_gradient():
    known = jnp.array([[True, False], [True, False], [False, True]])
    losses = jnp.arange(6.0).reshape(3, 2)
    assert mean_over_known(losses, known).tolist() == [1.0, 5.0]
    assert mean_over_known(losses, jnp.zeros((3, 2), bool)).tolist() == [0.0, 0.0]
    slope = jax.jacrev(lambda v: mean_over_known(v, known))(losses)
    expected = np.zeros((2, 3, 2))
    expected[0, :2, 0], expected[1, 2, 1] = 0.5, 1.0
    np.testing.assert_array_equal(slope, expected)


def test_sliced_takes_one_loss_a_task():
    absolute = lambda a, b: jnp.abs(a - b)[:, 0]  # noqa: E731
    loss = sliced((squared_error, absolute), outputs=(2, 1))
    outputs, targets = jnp.array([[1.0, 3.0, -2.0]]), jnp.zeros((1, 3))
    assert loss(outputs, targets).tolist() == [[5.0, 2.0]]
    with pytest.raises(ValueError, match="expected 3 output and 3 target columns, got 2 and 3"):
        loss(outputs[:, :2], targets)
    with pytest.raises(ValueError, match="one target width a task, got 1, 2 and 2"):
        sliced((squared_error,), outputs=(1, 1))
