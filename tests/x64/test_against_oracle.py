"""Whole runs against the literal reference: the same start, rows and order."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from drawn import drawn_parameters
from some_cases import some

from jaxmtl import HardSharing, Phase, Rows, Splits, fit, fit_adaptive

PHASES = (Phase(6, 2, 5), Phase(4, 1, 4), Phase(4, 2, 4), Phase(3, learning_rate=1e-3))


def problem(tasks, rows=60, *, signed=False, known=None, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(rows, 4))
    if signed:  # inputs of both signs and exact zeros
        x = rng.normal(size=(rows, 4)) * (rng.random((rows, 4)) > 0.15)
    y = rng.uniform(size=(rows, tasks))
    mask = None if known is None else rng.random((rows, tasks)) < known
    train = Rows(x, y if mask is None else np.where(mask, y, 0), mask)
    test = Rows(rng.uniform(size=(20, 4)), rng.uniform(size=(20, tasks)))
    return Splits(train=train, validation=Rows(test.x[:9], test.y[:9]), test=test)


CASES = {
    "study": {},
    "three_tasks_deep": {"tasks": 3, "shared": (5, 4)},
    "four_tasks_towers": {"tasks": 4, "towers": (3,)},
    "five_tasks_batches": {"tasks": 5, "batch_size": 16},
    "tanh": {"activation": "tanh"},
    "relu": {"activation": "relu", "output_activation": "identity"},
    "relu_first_layer": {"activation": "relu", "shared": ()},
    "relu_three_tasks_strict_hold": {
        "activation": "relu",
        "tasks": 3,
        "rule": "strict",
        "zeros": "hold",
    },
    "batches_relu": {"batch_size": 7, "activation": "relu", "tasks": 3},
    "copy": {"transplant": "copy", "tasks": 3},
    "sgd": {"optimizer": "sgd", "output_activation": "identity"},
    "unknown_labels_batches": {
        "known": 0.7,
        "batch_size": 9,
        "tasks": 3,
        "zeros": "hold",
        "activation": "relu",
    },
    "unknown_labels": {"known": 0.5, "tasks": 4},
    "few_labels": {"known": 0.4, "tasks": 4},
    "shuffled_batches": {"shuffle": True, "batch_size": 8, "tasks": 3},
}


# Of nodes, a row at a time; of weights, in batches, with labels that are missing.
KEPT = ("study", "unknown_labels_batches")


@pytest.mark.parametrize("name", some(CASES, *KEPT))
def test_equals_the_reference(name):
    case = dict(CASES[name])
    tasks, seed = case.pop("tasks", 2), case.pop("seed", 0)
    activation = case.pop("activation", "sigmoid")
    output_activation = case.pop("output_activation", "sigmoid")
    optimizer = case.pop("optimizer", "adam")
    shared, towers = case.pop("shared", (4,)), case.pop("towers", ())
    shuffle = case.pop("shuffle", False)
    data = problem(tasks, signed=activation != "sigmoid", known=case.pop("known", None), seed=seed)
    model = HardSharing(
        shared=shared,
        towers=towers,
        outputs=(1,) * tasks,
        activation=activation,
        output_activation=output_activation,
        param_dtype=jnp.float64,
    )
    params = drawn_parameters(model, data.train.x[:1], seed)["params"]
    phases = tuple(
        Phase(p.epochs, p.warmup, p.threshold, 0.02 if p.threshold else 0.005) for p in PHASES
    )
    run = fit_adaptive(
        model,
        data,
        params=params,
        key=jax.random.key(5),
        phases=phases,
        optimizer=getattr(optax, optimizer),
        shuffle=shuffle,
        **case,
    )
    order_key = jax.random.split(jax.random.key(5))[1]

    def order(phase, epoch):
        key = jax.random.fold_in(jax.random.fold_in(order_key, phase - 1), epoch - 1)
        return jax.random.permutation(key, len(data.train.x))

    expected = oracle.run(
        jax.tree.map(np.asarray, params),
        data,
        [vars(p) for p in phases],
        activation=activation,
        output_activation=output_activation,
        optimizer=optimizer,
        order=order if shuffle else None,
        **case,
    )
    assert [event._asdict() for event in run.events] == [
        {key: tuple(value) if key == "tasks" else int(value) for key, value in event.items()}
        for event in expected["events"]
    ]
    assert len(run.events)  # the agreement would be empty if nothing ever fired
    history = expected["history"]
    for field in ("phase", "epoch", "samples", "conflicts"):
        np.testing.assert_array_equal(getattr(run.history, field), history[field], err_msg=field)
    for field in ("train", "validation", "test"):
        np.testing.assert_allclose(getattr(run.history, field), history[field], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(run.head_index, expected["head_index"])
    used = np.unique(run.head_index)
    for path, leaf in jax.tree_util.tree_leaves_with_path(run.params):
        found, reference = np.asarray(leaf), expected["params"]
        for entry in path:
            reference = reference[entry.key]
        if path[0].key == "bank":
            found, reference = found[..., used], reference[..., used]
        np.testing.assert_allclose(found, reference, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_plain_hard_sharing_equals_the_reference():
    data = problem(2)
    model = HardSharing(param_dtype=jnp.float64)
    params = drawn_parameters(model, data.train.x[:1], 1)["params"]
    run = fit(model, data, params=params, epochs=5)
    expected = oracle.run(jax.tree.map(np.asarray, params), data, [{"epochs": 5}])
    assert len(run.events) == 0
    np.testing.assert_allclose(run.history.test, expected["history"]["test"], atol=1e-12)


@pytest.mark.slow
def test_float32_stays_close_to_float64():
    data = problem(2)
    double = HardSharing(param_dtype=jnp.float64)
    params = drawn_parameters(double, data.train.x[:1], 1)["params"]
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    data32 = jax.tree.map(lambda leaf: leaf.astype(np.float32), data)
    a = fit(double, data, params=params, epochs=3).history.train
    b = fit(HardSharing(), data32, params=single, epochs=3).history.train
    assert b.dtype == np.float32
    np.testing.assert_allclose(a, b, rtol=1e-4)


@pytest.mark.slow
def test_with_all_optimizations_of_the_compiler_too():
    few = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()
    try:
        test_equals_the_reference("study")
    finally:
        jax.config.update("jax_disable_most_optimizations", few)
        jax.clear_caches()
