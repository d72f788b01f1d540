"""The study's smaller networks are settings of the machinery: against the literal reference."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from some_cases import some

import jaxmtl
from jaxmtl import Phase, Rows, Splits

from .. import oracle
from .load import load

small = load("small_networks")
RELU = {"activation": "relu", "output_activation": "relu", "optimizer": "sgd"}


def problem(seed: int, rows: int = 40) -> tuple[Splits, Any]:
    """Scaled rows with zeros among the inputs, and a start at which all nodes are alive."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(rows + 10, 4)).astype(np.float32)
    x[rng.uniform(size=x.shape) < 0.1] = 0.0
    y = np.stack([0.8 * x[:, 0] + 0.2 * x[:, 1], 0.9 - 0.7 * x[:, 0] * x[:, 2]], axis=1)
    y = y.astype(np.float32)
    params = small.network().init(jax.random.key(seed), x[:1])["params"]
    params = jax.tree.map(jnp.abs, params)
    signs = jnp.array([[1.0, 0.5, 1.0], [1.0, 1.0, -0.5]])[:, :, None]
    params["output"]["kernel"] *= signs
    return Splits(Rows(x[:rows], y[:rows]), test=Rows(x[rows:], y[rows:])), params


def assert_same_run(run: Any, literal: dict[str, Any]) -> None:
    history = literal["history"]
    for name in ("phase", "epoch", "samples"):
        np.testing.assert_array_equal(getattr(run.history, name), history[name])
    for name in ("train", "test"):
        np.testing.assert_allclose(getattr(run.history, name), history[name], rtol=1e-4)
    np.testing.assert_array_equal(run.head_index, literal["head_index"])
    mine, theirs = (jaxmtl.compact(p, run.head_index)[0] for p in (run.params, literal["params"]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), mine, theirs)


def parts(data: Splits) -> list[Any]:
    return [data.train[:2], None, data.test[:2]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_plain_network(seed):
    data, params = problem(seed)
    run = jaxmtl.fit(
        small.network(),
        data,
        params=params,
        epochs=6,
        learning_rate=2.0 / 40,
        optimizer=optax.sgd,
    )
    phases = [{"epochs": 6, "learning_rate": 2.0 / 40}]
    assert_same_run(run, oracle.run(params, parts(data), phases, **RELU))
    assert len(run.events) == 0


@pytest.mark.parametrize(
    ("seed", "rows", "warmup", "threshold"),
    [
        (1, 40, 0, 7),
        pytest.param(2, 43, 3, 6, marks=pytest.mark.slow),
        pytest.param(3, 40, 2, 10**6, marks=pytest.mark.slow),
    ],
)
def test_the_adaptive_network(seed, rows, warmup, threshold):
    """Batches of a tenth of the rows, four or five: a streak of the threshold spans some."""
    data, params = problem(seed, rows)
    batch_size = small.tenth(data.train)
    rate = small.step_size(2.0, data.train, batch_size)
    assert (batch_size, rate) == (-(-rows // 10), pytest.approx(2.0 * batch_size / rows))
    run = jaxmtl.fit_adaptive(
        small.network(),
        data,
        params=params,
        phases=(Phase(8, warmup, threshold, learning_rate=rate), Phase(4, learning_rate=rate)),
        optimizer=optax.sgd,
        batch_size=batch_size,
    )
    phases = [
        {"epochs": 8, "warmup": warmup, "threshold": threshold, "learning_rate": rate},
        {"epochs": 4, "learning_rate": rate},
    ]
    literal = oracle.run(params, parts(data), phases, batch_size=batch_size, **RELU)
    assert_same_run(run, literal)
    np.testing.assert_array_equal(run.history.conflicts, literal["history"]["conflicts"])
    assert [event._asdict() for event in run.events] == literal["events"]
    assert len(run.events) == (threshold < 10**6)
    if len(run.events):
        event = run.events[0]
        assert event.streak >= threshold > batch_size  # no batch alone could have done it
        assert event.epoch >= max(warmup, 1)
        heads = np.asarray(run.head_index)
        assert heads[1].tolist() == [0, 1, 2]  # the originals
        assert sorted(heads[0]) == sorted({0, 1, 2, 3} - {event.node})  # the copy and the others


@pytest.mark.parametrize("seed", some(range(3), 0))
def test_conflict_counts_per_weight(seed):
    data, params = problem(seed)
    x, y = data.train[:2]
    kernels = [
        oracle.task_gradients(params, None, *row, "relu", "relu")[1]["bank"]["kernel"]
        for row in zip(x, y, strict=True)
    ]
    size = small.tenth(data.train)
    batches = [np.mean(kernels[n : n + size], axis=0) for n in range(0, len(x), size)]
    for each, found in (
        (kernels, small.conflicts_by_sample(params, data.train)),
        (batches, small.conflicts_by_batch(params, data.train)),
    ):
        counts = np.zeros((4, 3), int)
        for kernel in each:
            for i, k in np.ndindex(4, 3):
                counts[i, k] += oracle.in_conflict(kernel[:, i, k].tolist(), "nonnegative")
        np.testing.assert_array_equal(found, counts)
        assert counts.any()
    # inputs that are 0 make the weights of a node differ
    by_sample = small.conflicts_by_sample(params, data.train)
    assert (by_sample != by_sample[:1]).any()


@pytest.mark.slow
def test_duplication_changes_no_prediction_and_training_goes_on():
    data, _ = problem(0)
    settings = small.Settings(epochs=12, warmup=3, threshold=5, shuffle=False)
    seed, result = next(
        (seed, result)
        for seed in range(20)
        if (result := small.train_adaptive(data, jax.random.key(seed), settings)).event
        and small.alive(data, result.last)
    )
    event, x = result.event, data.test.x
    before = small.predict(data, result.params, result.head_index, x)
    after = small.predict(data, result.search.params, result.search.head_index, x)
    np.testing.assert_array_equal(before, after)
    assert len(small.curve(result)) == settings.epochs

    # The network before it, without the machinery of duplication: whole epochs, then some rows.
    batch_size = small.tenth(data.train)
    rate = small.step_size(settings.rate, data.train, batch_size)
    options = {"learning_rate": rate, "optimizer": optax.sgd, "batch_size": batch_size}
    model = small.network()
    whole = jaxmtl.fit(model, data, key=jax.random.key(seed), epochs=event.epoch - 1, **options)
    used = int(result.search.history.samples[-1])
    assert event.sample < used <= len(data.train.x)
    some = Splits(Rows(data.train.x[:used], data.train.y[:used]))
    last = jaxmtl.fit(model, some, params=whole.params, epochs=1, **options)
    np.testing.assert_allclose(
        small.predict(data, last.params, None, x), before, rtol=1e-5, atol=1e-6
    )

    # Searching and training on is one run of two phases.
    phases = (
        Phase(settings.epochs, settings.warmup, settings.threshold, learning_rate=rate),
        Phase(settings.epochs - len(result.search.history), learning_rate=rate),
    )
    run = jaxmtl.fit_adaptive(
        model,
        data,
        key=jax.random.key(seed),
        phases=phases,
        optimizer=optax.sgd,
        batch_size=batch_size,
    )
    assert tuple(run.events) == (event,)
    np.testing.assert_allclose(run.history.test, small.curve(result), rtol=1e-5)
    assert not np.array_equal(run.params["bank"]["kernel"], result.search.params["bank"]["kernel"])


@pytest.mark.slow
def test_the_script_runs(tmp_path, capsys):
    arguments = "--starts 5 --epochs 12 --warmup 2 --threshold 3".split()
    small.main(["--out", str(tmp_path), *arguments])
    text = capsys.readouterr().out
    assert "equal to the bit" in text
    assert "adaptive - plain batches" in text
    assert str(tmp_path / "small_networks.png") in text
    assert (tmp_path / "small_networks.png").stat().st_size > 10_000
