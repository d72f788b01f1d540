"""The snapshot of the best epoch: the one that the errors name, and nothing else changes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from same_runs import assert_identical
from some_cases import some

from jaxmtl import HardSharing, Phase, Rows, Splits, fit, sweep
from jaxmtl.training.driver import members
from jaxmtl.training.phased.best import first_best, is_less, keep_better

rng = np.random.default_rng(0)
X = rng.uniform(size=(30, 4)).astype(np.float32)
Y = rng.uniform(size=(30, 3)).astype(np.float32)
MODEL = HardSharing(outputs=(1, 1, 1))
DATA = Splits(Rows(X[:18], Y[:18]), Rows(X[18:24], Y[18:24]), Rows(X[24:], Y[24:]))
# The first phase ends where it splits; the last one is too fast to get better all the time.
PHASES = (Phase(5, 2, 3), Phase(4, 1, 4), Phase(9, learning_rate=0.2))


def selected(validation, ran):
    """What a comparison selects: place of the least mean in float64, of the epochs that ran."""
    if np.isnan(validation).all(axis=-1).any():
        validation = np.where(np.isnan(validation).all(axis=-1, keepdims=True), np.inf, validation)
    mean = np.nanmean(np.asarray(validation, float), axis=-1)
    return int(np.argmin(np.where(ran & np.isfinite(mean), mean, np.inf)))


@jax.jit
def kept_along(errors, ran):
    """Number of the epoch that is kept after all of them."""

    def epoch(best, row):
        return keep_better(best, best.passed, None, None, *row), None

    start = first_best(jnp.int32(0), None, None, errors.shape[-1])
    return jax.lax.scan(epoch, start, (errors, ran))[0].epoch


def near_ties(rng, epochs, tasks):
    """Errors that differ from epoch to epoch in few last bits, and repeat."""
    size = 10.0 ** rng.uniform(-4, 1, size=tasks)
    errors = np.tile(size.astype(np.float32), (epochs, 1))
    steps = rng.integers(-2, 3, size=errors.shape).astype(np.int32)
    errors = (errors.view(np.int32) + steps).view(np.float32)
    return errors[rng.integers(0, epochs, size=epochs)]


@pytest.mark.few_optimizations
@pytest.mark.parametrize("tasks", some([1, 2, 3, 4, 5], 3))
def test_the_epoch_is_that_of_the_least_mean_in_float64(tasks):
    rng = np.random.default_rng(tasks)
    places = set()
    for trial in range(200):
        errors = near_ties(rng, 12, tasks)
        if trial % 4 == 1:
            errors[:] = errors[0, rng.permuted(np.tile(np.arange(tasks), (12, 1)), axis=1)]
        if trial % 4 == 2:  # the same tasks everywhere, or some here and there
            errors[:, rng.uniform(size=tasks) < 0.4] = np.nan
        if trial % 4 == 3:
            errors[rng.uniform(size=errors.shape) < 0.3] = np.nan
            errors[rng.uniform(size=errors.shape) < 0.1] = np.inf
        ran = np.arange(12) < rng.integers(1, 13)
        place = selected(errors, ran)
        places.add(place)
        assert kept_along(errors, ran) == place + 1
    assert len(places) > 5


@pytest.mark.few_optimizations
def test_no_digit_is_lost_over_six_decades():
    # In float32 the small error would not change the sum.
    big, small = np.float32(1.7), np.float32(3e-8)
    less = np.nextafter(small, np.float32(0))
    errors = np.array([[big, small, big], [big, less, big]])
    assert errors[0].sum() == errors[1].sum()
    assert is_less(errors[1], errors[0])
    assert not is_less(errors[0], errors[1])


def keys(number):
    return jax.random.split(jax.random.key(3), number)


@pytest.fixture(scope="module")
def runs():
    return sweep(MODEL, DATA, keys=keys(6), phases=PHASES, keep_best=True)


@pytest.mark.slow
@pytest.mark.few_optimizations
def test_all_other_numbers_stay(runs):
    without = sweep(MODEL, DATA, keys=keys(6), phases=PHASES)
    assert without.best is None
    assert_identical(dataclasses.replace(runs, best=None), without)
    assert any(len(run.events) for run in without)


@pytest.mark.slow
@pytest.mark.few_optimizations
def test_it_is_the_network_that_was_measured(runs):
    places = []
    for run, member in zip(runs, range(6), strict=True):
        records = jax.tree.map(lambda leaf, i=member: leaf[i], runs.records)
        place = selected(records.validation, records.ran)
        assert run.best.epoch == place + 1
        assert run.best.passed == len(run.history)
        np.testing.assert_array_equal(run.best.errors, records.validation[place])
        for rows, errors in ((DATA.validation, "validation"), (DATA.test, "test")):
            y = MODEL.apply({"params": run.best.params}, rows.x, run.best.head_index)
            measured = ((y - rows.y) ** 2).mean(axis=0)
            np.testing.assert_allclose(measured, getattr(records, errors)[place], rtol=1e-6)
        places.append((place, len(run.history) - 1))
    assert len({place for place, _ in places}) > 2
    assert any(place < last for place, last in places)


@pytest.mark.slow
@pytest.mark.few_optimizations
def test_a_single_run_keeps_it_too_and_resumed_sweeps_do(runs, tmp_path, monkeypatch):
    options = {"phases": PHASES, "keep_best": True, "checkpoint": tmp_path}
    monkeypatch.setattr(members, "SECONDS_BETWEEN_SAVES", 0.0)

    def stop(progress):
        if progress.done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(MODEL, DATA, keys=keys(6), on_progress=stop, **options)
    assert_identical(sweep(MODEL, DATA, keys=keys(6), resume=True, **options), runs)
    run = fit(MODEL, DATA, key=keys(1)[0], epochs=4, learning_rate=0.2, keep_best=True)
    place = selected(run.history.validation, np.ones(4, bool))
    assert run.best.epoch == place + 1


@pytest.mark.slow
@pytest.mark.few_optimizations
def test_without_validation_rows_there_is_none():
    data = Splits(DATA.train, test=DATA.test)
    assert fit(MODEL, data, key=keys(1)[0], epochs=1, keep_best=True).best is None


@pytest.mark.slow
@pytest.mark.few_optimizations
def test_an_epoch_that_diverged_is_not_kept():
    model = HardSharing(activation="relu", output_activation=None, outputs=(1, 1, 1))
    phases = [Phase(3), Phase(2, learning_rate=1e38)]
    runs = sweep(model, DATA, keys=keys(2), phases=phases, keep_best=True)
    assert runs.diverged.all()
    assert all(best.epoch <= 3 and best.passed == 3 for best in (run.best for run in runs))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(runs.best.params))
