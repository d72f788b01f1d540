"""The 2-2-2 network: published figures, chain rule and autodiff, the mistake, dead ReLUs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .load import load

backprop = load("backprop")

# activation, step size, updates: outputs and loss before the last update, weights after it
PUBLISHED = {
    ("sigmoid", 1.0, 1): (
        (0.4769, 0.5287, 0.209710),
        (0.2084, -0.4126, 0.5051, 0.5924, 0.0654, -0.5839, -0.3305, 0.7262),
    ),
    ("sigmoid", 10.0, 1): (
        (0.4769, 0.5287, 0.209710),
        (0.2842, -0.5261, 0.5505, 0.5244, -0.2463, -1.3387, -0.6049, 0.0616),
    ),
    ("sigmoid", 1.0, 10): (
        (0.4109, 0.3647, 0.110823),
        (0.3273, -0.4547, 0.5764, 0.5672, -0.1985, -1.2127, -0.5561, 0.1883),
    ),
    ("sigmoid", 10.0, 10): (
        (0.2363, 0.0734, 0.010307),
        (0.9458, -0.2734, 0.9475, 0.6759, -0.8954, -2.9388, -1.1210, -1.2041),
    ),
    ("relu", 1.0, 11): (
        (0.1807, 0, 0.003663),
        (0.3877, -0.4000, 0.6126, 0.6000, 0.5074, -0.5000, -0.3000, 0.8000),
    ),
}
STARTS = np.random.default_rng(0).uniform(-1, 1, (6, 8))
EVERY = list(itertools.product(backprop.ACTIVATIONS, backprop.LOSSES))


def test_the_script_prints_every_published_run():
    assert set(backprop.PUBLISHED) == set(PUBLISHED)


@pytest.mark.parametrize("case", PUBLISHED)
def test_published_figures_by_hand(case):
    activation, step_size, updates = case
    (o1, o2, loss), weights = PUBLISHED[case]
    last, w = backprop.descend_by_hand(backprop.GIVEN, step_size, updates, activation)
    assert [round(o, 4) for o in last.outputs] == [o1, o2]
    assert round(last.loss, 6) == loss
    assert [round(v, 4) for v in w] == list(weights)


@pytest.mark.parametrize("case", PUBLISHED)
def test_published_figures_by_autodiff(case):
    activation, step_size, updates = case
    (o1, o2, loss), weights = PUBLISHED[case]
    values, path = backprop.descend(
        jnp.asarray(backprop.GIVEN), jnp.asarray(step_size), updates, activation
    )
    outputs = getattr(jax.nn, activation)(backprop.pre_activations(path[-2], activation)[2:])
    assert [round(float(o), 4) for o in outputs] == [o1, o2]
    assert round(float(values[-2]), 6) == loss
    assert [round(float(v), 4) for v in path[-1]] == list(weights)


def test_first_published_gradients():
    gradient = backprop.by_hand(backprop.GIVEN).gradient
    assert [round(g, 2) for g in gradient] == [-0.01, 0.01, -0.01, 0.01, 0.03, 0.08, 0.03, 0.07]


@pytest.mark.parametrize(("activation", "loss"), EVERY)
def test_the_chain_rule_is_autodiff(activation, loss):
    for w in (backprop.GIVEN, *STARTS):
        hand = backprop.by_hand(w, activation, loss)
        value, gradient = jax.value_and_grad(backprop.loss_fn)(jnp.asarray(w), activation, loss)
        np.testing.assert_allclose(hand.loss, value, rtol=1e-6)
        np.testing.assert_allclose(hand.gradient, gradient, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(("activation", "loss"), EVERY)
def test_the_chain_rule_is_the_slope_of_the_loss(activation, loss):
    """Central differences in double precision, for any targets, distribution or not."""
    for w, y in itertools.product((backprop.GIVEN, *STARTS), (None, (0.23, -0.07))):
        hand = backprop.by_hand(w, activation, loss, y=y)
        step = 1e-6
        slopes = [
            (
                backprop.by_hand(w + step * unit, activation, loss, y=y).loss
                - backprop.by_hand(w - step * unit, activation, loss, y=y).loss
            )
            / (2 * step)
            for unit in np.eye(8)
        ]
        np.testing.assert_allclose(hand.gradient, slopes, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("step_size", backprop.STEP_SIZES)
@pytest.mark.parametrize("loss", backprop.LOSSES)
def test_both_ways_of_training_agree(loss, step_size):
    starts = jnp.asarray(STARTS[:2])
    values, path = backprop.descend(starts, jnp.asarray(step_size), 1000, "sigmoid", loss)
    for start, losses, weights in zip(STARTS[:2], values, path, strict=True):
        last, w = backprop.descend_by_hand(start, step_size, 1000, "sigmoid", loss)
        np.testing.assert_allclose(losses[-2], last.loss, rtol=1e-4)
        np.testing.assert_allclose(weights[-1], w, rtol=1e-3, atol=1e-4)


def test_the_mean_squared_error_of_two_outputs_is_half_the_sum():
    for w in (backprop.GIVEN, *STARTS):
        half, mean = (backprop.loss_fn(jnp.asarray(w), "relu", s) for s in backprop.LOSSES[:2])
        np.testing.assert_allclose(half, mean, rtol=1e-6)


def test_a_negative_target_leaves_cross_entropy_without_a_minimum():
    """Scaling up the weights to o1 lowers the loss for ever, below 0 and beyond."""
    losses = []
    for scale in (1, 1e3, 1e4):
        w = backprop.GIVEN * np.array([1, 1, 1, 1, scale, 1, 1, 1])
        losses.append(backprop.by_hand(w, "relu", "cross-entropy", y=backprop.Y).loss)
    assert losses[0] > 0 > losses[1] > losses[2]


def test_the_classic_mistake():
    w = backprop.GIVEN
    right = backprop.by_hand(w)
    wrong = backprop.by_hand(w, mistaken=True)
    d, (h1, h2), (x1, x2) = right.gradient, right.hidden, backprop.X
    expected = [
        (d[4] + d[5]) * h1 * (1 - h1) * x1,
        (d[6] + d[7]) * h2 * (1 - h2) * x1,
        (d[4] + d[5]) * h1 * (1 - h1) * x2,
        (d[6] + d[7]) * h2 * (1 - h2) * x2,
    ]
    np.testing.assert_allclose(wrong.gradient[:4], expected, rtol=1e-12)
    np.testing.assert_array_equal(wrong.gradient[4:], d[4:])
    assert np.sign(wrong.gradient[0]) != np.sign(d[0])  # uphill
    _, path = backprop.descend(jnp.asarray(w), jnp.asarray(1.0), 1, mistaken=True)
    np.testing.assert_allclose(w - path[-1], wrong.gradient, rtol=1e-4, atol=1e-6)


def test_dead_relus_learn_nothing():
    w = jnp.asarray(backprop.GIVEN)
    assert backprop.dead(w).tolist() == [False, True, False, True]  # h2 and o2
    gradient = backprop.by_hand(backprop.GIVEN, "relu").gradient
    assert np.flatnonzero(gradient).tolist() == [0, 2, 4]  # h1 and o1 alone
    _, path = backprop.descend(w, jnp.asarray(1.0), 1000, "relu")
    np.testing.assert_array_equal(
        path[-1][jnp.array([1, 3, 5, 6, 7])], w[jnp.array([1, 3, 5, 6, 7])]
    )
    assert backprop.dead(path).shape == (1001, 4)


@pytest.mark.slow
def test_the_script_writes_its_pictures(tmp_path, capsys):
    backprop.main(["--out", str(tmp_path / "new"), "--updates", "20", "--starts", "10"])
    text = capsys.readouterr().out
    pictures = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert pictures == ["dead_relus.png", "losses.png", "mistake.png"]
    for picture in pictures:
        assert str(tmp_path / "new" / picture) in text
    assert "0.209710" in text
