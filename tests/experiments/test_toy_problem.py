"""Two tasks in the plane: the formulas, their slopes at the kinks, the front, who gets there."""

import csv
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmtl.aggregation as ag

from .load import load

toy = load("toy_problem")

# Losses before scaling, and their slopes, as published code gives them.
PUBLISHED = {
    (-8.5, 7.5): (6.552363, 7.900798),
    (9.0, 9.0): (7.943949, 6.691495),
    (-7.5, -0.5): (0.388808, -4.754484),
    (9.0, -1.0): (-8.831059, 2.814293),
    (1.0, 2.0): (5.415339, 5.111038),
}
SLOPES = {
    (-8.5, 7.5): ((-0.285399, 0.007249), (-0.073992, 0.008739)),
    (0.0, 0.0): ((0.0, 10.856381), (0.0, 10.856381)),
    (1.0, 2.0): ((0.125428, 1.475397), (-0.187034, 1.38279)),
}
RANDOM = np.random.default_rng(0).uniform(-10, 10, (12, 2))
KINK = [(x1, x2) for x1 in (-8.0, 0.5, 6.0) for x2 in (-1e-3, -1e-5, 1e-5, 1e-3)]
VALLEYS = [  # beside the lines where the logarithm is least
    (x1 + off, x2)
    for x2 in (0.5, 3.0)
    for x1 in (-7 + 2 * math.tanh(x2), 7 - 2 * math.tanh(x2))
    for off in (-0.05, 0.05)
]
SCALES = np.array([0.1, 1.0])


def oracle(x1, x2):
    """Both losses before scaling, a number at a time in double precision."""
    if x2 == 0:
        return np.zeros(2)
    if x2 > 0:
        first = max(abs(0.5 * (-x1 - 7) + math.tanh(x2)), 5e-6)
        second = max(abs(0.5 * (3 - x1) - math.tanh(x2) + 2), 5e-6)
        return math.tanh(x2 / 2) * np.array([math.log(first) + 6, math.log(second) + 6])
    bowls = [((c - x1) ** 2 + 0.1 * (x2 + 8) ** 2) / 10 - 20 for c in (7, -7)]
    return math.tanh(-x2 / 2) * np.array(bowls)


def differences(x, step):
    """Central differences, (losses, coordinates)."""
    x1, x2 = x
    along_1 = (oracle(x1 + step, x2) - oracle(x1 - step, x2)) / (2 * step)
    along_2 = (oracle(x1, x2 + step) - oracle(x1, x2 - step)) / (2 * step)
    return np.column_stack([along_1, along_2])


slopes = jax.jit(jax.vmap(lambda x: jax.jacobian(toy.toy_losses)(x)))


@pytest.mark.parametrize("point", PUBLISHED)
def test_published_losses(point):
    for xp in (jnp, np):
        found = toy.toy_losses(xp.array(point), xp)
        np.testing.assert_allclose(found / SCALES, PUBLISHED[point], rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(oracle(*point), PUBLISHED[point], atol=6e-7)


def test_losses_are_those_of_the_oracle():
    points = np.array([*RANDOM, *KINK, *VALLEYS])
    expected = np.array([oracle(*point) for point in points]) * SCALES
    np.testing.assert_allclose(toy.toy_losses(points.T, np).T, expected, rtol=1e-12, atol=1e-14)
    found = jax.vmap(toy.toy_losses)(jnp.asarray(points))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_slopes():
    found = slopes(jnp.array(list(SLOPES))) / SCALES[None, :, None]
    np.testing.assert_allclose(found, list(SLOPES.values()), rtol=1e-5, atol=2e-6)
    points = np.array([*RANDOM, *KINK, *VALLEYS])
    found = slopes(jnp.asarray(points))
    expected = [differences(point, 1e-6) * SCALES[:, None] for point in points]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_slopes_at_the_kinks_are_finite():
    """On the line x2 = 0 both halves pull; in a valley the floor is flat."""
    line = np.array([(x1, 0.0) for x1 in (-7.0, -1.0, 0.0, 7.0, 9.0)])
    found = slopes(jnp.asarray(line))
    halves = [
        (oracle(x1, 1e-7) - oracle(x1, -1e-7)) / 1e-7 * SCALES for x1, _ in line
    ]  # the sum of the slopes on either side, the left one with its sign turned
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[..., 1], halves, rtol=1e-4)
    np.testing.assert_allclose(found[..., 0], 0, atol=1e-6)
    deepest = jnp.array([(-7.0, 40.0), (-5.0, 40.0), (5.0, 40.0)])  # tanh is 1: u = 0 exactly
    assert np.isfinite(slopes(deepest)).all()
    bottom = toy.toy_losses(deepest[1])[0] / SCALES[0]
    np.testing.assert_allclose(bottom, math.log(5e-6) + 6, rtol=1e-5)
    np.testing.assert_allclose(slopes(deepest)[1, 0], 0, atol=1e-6)


@pytest.fixture(scope="module")
def front():
    return toy.pareto_front(71)


def test_the_front_is_where_weighted_sums_have_their_minimum(front):
    """Where x1 is known, only the slope in x2 is left, whose root is bracketed."""
    share = np.linspace(0, 1, 71)
    np.testing.assert_allclose(front.x[:, 0], 7 - 14 * share, atol=1e-5)

    def slope(x2, s):
        bowl = 19.6 * s * (1 - s) - 20 + (x2 + 8) ** 2 / 100
        return -0.5 / math.cosh(x2 / 2) ** 2 * bowl - math.tanh(x2 / 2) * (x2 + 8) / 50

    for s, x2 in zip(share, front.x[:, 1], strict=True):
        assert slope(x2 - 1e-4, s) < 0 < slope(x2 + 1e-4, s)
    np.testing.assert_allclose(front.x[35], (0, -8.3552), atol=2e-4)  # as published
    np.testing.assert_allclose(front.losses / SCALES, [oracle(*x) for x in front.x], rtol=1e-12)


def test_no_point_of_the_plane_is_better_than_one_of_the_front(front):
    points = np.random.default_rng(1).uniform(-15, 15, (20_000, 2))
    points = np.concatenate([points, np.array([*VALLEYS, *front.x])])
    losses = toy.toy_losses(points.T, np).T
    assert not (losses[:, None] < front.losses - 1e-7).all(axis=-1).any()


def test_distances_to_the_front(front):
    middle = (front.x[34] + front.x[35]) / 2
    edge = front.x[35] - front.x[34]
    normal = np.array([-edge[1], edge[0]]) / np.linalg.norm(edge)
    points = np.array([[middle, middle + 0.5 * normal], [front.x[0] + (3, 0), front.x[-1]]])
    found = toy.distances(points, front)
    np.testing.assert_allclose(found, [[0, 0.5], [3, 0]], atol=1e-3)


def test_every_method_is_there():
    assert {*toy.METHODS, *toy.MORE_TASKS} == {*ag.REGISTRY, *ag.LOSS_METHODS}
    assert {*toy.DRAWN} <= {*toy.METHODS}
    for name in toy.MORE_TASKS:
        with pytest.raises(ValueError, match="tasks"):
            descend((name,), 1, 1e-3)


def descend(methods, steps, learning_rate):
    starts = jnp.array(toy.STARTS)
    keys = jax.random.split(jax.random.key(0), len(starts))
    return toy.descend_all(methods, starts, keys, steps, learning_rate)


def test_the_sum_of_the_losses_under_adam():
    """Against Adam by hand, on differences of the oracle."""
    steps, rate = 1200, 1e-3
    path, last = descend(("sum",), steps, rate)["sum"]
    for number in (0, 3):  # starts from where 1200 steps meet no kink
        x, first, second = np.array(toy.STARTS[number]), np.zeros(2), np.zeros(2)
        way = []
        for t in range(1, steps + 1):
            way.append(x)
            slope = SCALES @ differences(x, 1e-6)
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            root = np.sqrt(second / (1 - 0.999**t))
            x = x - rate * first / (1 - 0.9**t) / (root + 1e-8)
        np.testing.assert_allclose(last[number], x, atol=1e-3)
        every = steps // toy.RECORDS
        np.testing.assert_allclose(path[:, number], way[::every], atol=1e-3)


@pytest.mark.slow
def test_who_reaches_the_front(front):
    """Bargaining from everywhere; the sum gets caught in the valley of the larger loss."""
    found = descend(("nash_mtl", "sum"), 3000, 1e-2)
    away = {
        name: toy.distances(np.asarray(last, np.float64), front)
        for name, (_, last) in found.items()
    }
    assert (away["nash_mtl"] < 0.05).all()
    assert away["sum"].argmax() == 2
    x1, x2 = np.asarray(found["sum"][1][2], np.float64)
    assert x2 > 0.5
    assert abs(0.5 * (3 - x1) - math.tanh(x2) + 2) < 0.2


@pytest.mark.slow
def test_every_method_gets_what_it_needs():
    """All in one program; to trace it is enough to see."""
    starts, keys = jnp.array(toy.STARTS), jax.random.split(jax.random.key(0), 5)
    found = jax.eval_shape(lambda *given: toy.descend_all(toy.METHODS, *given, 7), starts, keys)
    shapes = {name: (path.shape, last.shape) for name, (path, last) in found.items()}
    assert shapes == dict.fromkeys(toy.METHODS, ((7, 5, 2), (5, 2)))


@pytest.mark.slow
def test_methods_move_off_every_start(front, capsys):
    """Three steps of Adam go no further than the learning rate lets them."""
    methods = ("constant", "graddrop", "sdmgrad", "moco", "gradnorm", "linear", "rlw", "famo")
    outcomes = toy.run(methods, 3, 1, 0, front)
    starts = np.array(toy.STARTS)
    for name, outcome in outcomes.items():
        moved = np.abs(outcome.x[:, 0] - starts).max(axis=1)
        assert (moved > 5e-4).all(), name
        assert (moved < 3.5e-3).all(), name
        np.testing.assert_allclose(outcome.path[0], starts, rtol=1e-6)
        np.testing.assert_array_equal(outcome.path[-1], outcome.x[:, 0])
    toy.show(outcomes, 0.1)
    text = capsys.readouterr().out
    assert tuple(line.split()[0] for line in text.splitlines()[3:]) == methods


@pytest.mark.slow
def test_the_script_writes_a_row_a_run_and_the_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    options = ["--methods", "sum", "rlw", "--steps", "7", "--repeats", "2"]
    toy.main([*options, "--tolerance", "7.8", "--out", str(tmp_path / "new")])
    text = capsys.readouterr().out
    table, picture = (tmp_path / "new" / f"toy_problem.{kind}" for kind in ("csv", "png"))
    assert str(table) in text
    assert str(picture) in text
    assert picture.stat().st_size > 10_000
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["sum"] * 10 + ["rlw"] * 10
    for row in rows:
        start, end = (np.array([float(row[key]) for key in keys]) for keys in COORDINATES)
        assert 0 < np.abs(end - start).max() < 8e-3
        losses = [float(row["loss_1"]), float(row["loss_2"])]
        np.testing.assert_allclose(losses, oracle(*end) * SCALES, rtol=1e-3, atol=1e-4)
        assert row["reached"] == str(int(tuple(start) == (9, -1)))  # nearest to the front


COORDINATES = (("start_x1", "start_x2"), ("x1", "x2"))


def test_a_run_of_no_steps_is_refused(capsys):
    with pytest.raises(SystemExit):
        toy.main(["--steps", "0"])
    assert "--steps: expected at least 1, got 0" in capsys.readouterr().err
