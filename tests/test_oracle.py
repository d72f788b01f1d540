"""The references themselves: against finite differences, optax and published numbers."""

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from . import oracle, oracle_backprop

Params = dict[str, dict[str, np.ndarray]]


def start(
    seed: int,
    *,
    inputs: int = 3,
    shared: tuple[int, ...] = (4,),
    nodes: int = 3,
    towers: tuple[int, ...] = (),
    tasks: int = 2,
    scale: float = 0.8,
) -> Params:
    rng = np.random.default_rng(seed)

    def uniform(*shape: int) -> np.ndarray:
        return rng.uniform(-scale, scale, shape)

    sizes = (inputs, *shared)
    params = {
        f"shared_{n}": {"kernel": uniform(a, b), "bias": uniform(b)}
        for n, (a, b) in enumerate(itertools.pairwise(sizes))
    }
    capacity = tasks * nodes
    params["bank"] = {"kernel": uniform(sizes[-1], capacity), "bias": uniform(capacity)}
    sizes = (nodes, *towers, 1)
    for n, (a, b) in enumerate(itertools.pairwise(sizes)):
        name = "output" if n == len(towers) else f"tower_{n}"
        params[name] = {"kernel": uniform(tasks, a, b), "bias": uniform(tasks, b)}
    return params


def rows(seed: int, num: int, inputs: int = 3, tasks: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, (num, inputs)), rng.uniform(0, 1, (num, tasks))


def bank_form(params: Params, head_index: np.ndarray, x: np.ndarray, act, out) -> np.ndarray:
    """Outputs from the library's own picture of the network: a bank, and a gather a task."""
    for n in range(sum(name.startswith("shared_") for name in params)):
        x = act(x @ params[f"shared_{n}"]["kernel"] + params[f"shared_{n}"]["bias"])
    bank = act(x @ params["bank"]["kernel"] + params["bank"]["bias"])
    outputs = []
    for task, index in enumerate(head_index):
        value = bank[:, index]
        for n in range(sum(name.startswith("tower_") for name in params)):
            layer = params[f"tower_{n}"]
            value = act(value @ layer["kernel"][task] + layer["bias"][task])
        value = value @ params["output"]["kernel"][task] + params["output"]["bias"][task]
        outputs.append(out(value)[:, 0])
    return np.stack(outputs, axis=1)


def finite_differences(loss, params: Params, step: float = 1e-6) -> Params:
    """Central differences of loss(params) -> (tasks,), with a leading task axis."""
    grads: Params = {}
    for name, layer in params.items():
        grads[name] = {}
        for part, leaf in layer.items():
            slots = []
            for place in np.ndindex(leaf.shape):
                kept = leaf[place]
                leaf[place] = kept + step
                above = loss(params)
                leaf[place] = kept - step
                slots.append((above - loss(params)) / (2 * step))
                leaf[place] = kept
            grads[name][part] = np.stack(slots, axis=1).reshape(-1, *leaf.shape)
    return grads


def assert_same(got: Any, expected: Any, **tolerance: Any) -> None:
    assert got.keys() == expected.keys()
    for name in expected:
        for part in expected[name]:
            np.testing.assert_allclose(got[name][part], expected[name][part], **tolerance)


@pytest.mark.parametrize("activation", list(oracle.ACTIVATIONS))
@pytest.mark.parametrize(
    ("shape", "head_index", "output"),
    [
        ({}, None, "sigmoid"),
        ({"shared": (), "towers": (2,)}, None, "identity"),
        (
            {"shared": (4, 2), "towers": (3, 2), "tasks": 3},
            [[3, 4, 2], [0, 4, 2], [0, 1, 5]],
            "sigmoid",
        ),
    ],
)
def test_gradients_are_finite_differences(activation, shape, head_index, output):
    params = start(1, **shape)
    tasks = shape.get("tasks", 2)
    index = np.asarray(head_index if head_index is not None else [[0, 1, 2]] * tasks)
    x, y = rows(2, 1, tasks=tasks)
    act, out = oracle.ACTIVATIONS[activation][0], oracle.ACTIVATIONS[output][0]

    def loss(p: Params) -> np.ndarray:
        return (bank_form(p, index, x, act, out)[0] - y[0]) ** 2

    errors, found = oracle.task_gradients(params, index, x[0], y[0], activation, output)
    np.testing.assert_allclose(errors, loss(params), rtol=1e-12)
    assert_same(found, finite_differences(loss, params), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        oracle.predict(params, index, x, activation, output),
        bank_form(params, index, x, act, out),
        rtol=1e-12,
    )


def test_backprop_of_one_linear_hidden_layer():
    params = start(3, shared=(), tasks=3)
    x, y = rows(4, 5, tasks=3)
    found = oracle_backprop.sample_task_gradients(params, x, y)
    for row in range(len(x)):

        def loss(p: Params, row: int = row) -> np.ndarray:
            return (oracle_backprop.forward(p, x[row])[1] - y[row]) ** 2

        one = {n: {k: leaf[row] for k, leaf in layer.items()} for n, layer in found.items()}
        assert_same(one, finite_differences(loss, params), rtol=1e-6, atol=1e-8)
        literal = oracle.task_gradients(params, None, x[row], y[row], "identity", "sigmoid")[1]
        assert_same(one, literal, rtol=1e-12)

    def mean_loss(p: Params) -> np.ndarray:
        return ((oracle_backprop.forward(p, x)[1] - y) ** 2).sum(axis=1).mean(keepdims=True)

    mean = oracle_backprop.mean_gradients(params, x, y)
    expected = finite_differences(mean_loss, params)
    assert_same(
        mean,
        {n: {k: leaf[0] for k, leaf in layer.items()} for n, layer in expected.items()},
        rtol=1e-6,
        atol=1e-8,
    )
    signs = found["bank"]["kernel"] >= 0
    counts = np.zeros(params["bank"]["kernel"].shape, int)
    for row, i, k in np.ndindex(len(x), *counts.shape):
        counts[i, k] += len(set(signs[row, :, i, k].tolist())) > 1
    np.testing.assert_array_equal(oracle_backprop.count_conflicts(params, x, y), counts)


def test_adam_is_that_of_optax():
    rng = np.random.default_rng(0)
    value = rng.normal(size=5).astype(np.float32)
    mine = oracle.Param(value)
    # the last entries are small enough to show where eps is added
    grads = (rng.normal(size=(30, 5)) * [1, 1e-2, 1e-4, 1e-7, 1e-8]).astype(np.float32)
    adam = optax.adam(1e-2)
    theirs, state = jnp.asarray(value), adam.init(jnp.asarray(value))
    for step, grad in enumerate(grads, start=1):
        mine.grad = grad.astype(np.float64)
        oracle.adam_step([mine], step, 1e-2)
        update, state = adam.update(jnp.asarray(grad), state, theirs)
        theirs = optax.apply_updates(theirs, update)
    np.testing.assert_allclose(mine.value - value, np.asarray(theirs) - value, rtol=3e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("gradients", "nonnegative", "strict"),
    [
        ((1.0, 2.0), False, False),
        ((-1.0, -2.0), False, False),
        ((1.0, -2.0), True, True),
        ((0.0, -2.0), True, False),
        ((-0.0, -2.0), True, False),
        ((0.0, 2.0), False, False),
        ((0.0, 0.0), False, False),
        ((1e-200, -1e-200), True, True),
        ((1.0, 0.0, -1.0), True, True),
        ((0.0, 0.0, -1.0), True, False),
        ((-1.0,), False, False),
    ],
)
def test_rules(gradients, nonnegative, strict):
    for order in itertools.permutations(gradients):
        assert oracle.in_conflict(order, "nonnegative") is nonnegative
        assert oracle.in_conflict(order, "strict") is strict


def test_streaks():
    def walk(rule: str, zeros: str) -> list[int]:
        streak, seen = 0, []
        for gradients in [(1, -1), (-1, 1), (0, 0), (-0.0, 0), (0, -1), (1,), (), (2, -1), (1, 1)]:
            streak = oracle.next_streak(streak, gradients, rule, zeros)
            seen.append(streak)
        return seen

    assert walk("nonnegative", "reset") == [1, 2, 0, 0, 1, 1, 1, 2, 0]
    assert walk("nonnegative", "hold") == [1, 2, 2, 2, 3, 3, 3, 4, 0]
    assert walk("strict", "reset") == [1, 2, 0, 0, 0, 0, 0, 1, 0]
    assert walk("strict", "hold") == [1, 2, 2, 2, 0, 0, 0, 1, 0]


def test_groups_that_part():
    assert oracle.moving_tasks({0: 1.0, 1: -1.0}) == (0,)
    assert oracle.moving_tasks({1: -1.0, 2: 0.0, 3: -2.0}) == (1, 3)
    assert oracle.moving_tasks({0: 1.0, 1: -1.0, 2: 0.0}) == (0, 2)
    assert oracle.moving_tasks({1: 1.0, 2: -1.0}) == (1,)  # task 0 unknown
    assert oracle.moving_tasks({0: 0.0, 1: 0.0, 2: 0.0}) == (0,)


PUBLISHED = [
    # activation, step, updates, outputs and loss before the last update, weights after it
    (
        *("sigmoid", 1, 1, (0.4769, 0.5287), 0.209710),
        (0.2084, -0.4126, 0.5051, 0.5924, 0.0654, -0.5839, -0.3305, 0.7262),
    ),
    (
        *("sigmoid", 10, 1, (0.4769, 0.5287), 0.209710),
        (0.2842, -0.5261, 0.5505, 0.5244, -0.2463, -1.3387, -0.6049, 0.0616),
    ),
    (
        *("sigmoid", 1, 10, (0.4109, 0.3647), 0.110823),
        (0.3273, -0.4547, 0.5764, 0.5672, -0.1985, -1.2127, -0.5561, 0.1883),
    ),
    (
        *("sigmoid", 10, 10, (0.2363, 0.0734), 0.010307),
        (0.9458, -0.2734, 0.9475, 0.6759, -0.8954, -2.9388, -1.1210, -1.2041),
    ),
    (
        *("relu", 1, 11, (0.1807, 0.0), 0.003663),
        (0.3877, -0.4000, 0.6126, 0.6000, 0.5074, -0.5000, -0.3000, 0.8000),
    ),
]


@pytest.mark.parametrize(("activation", "step", "updates", "outputs", "loss", "after"), PUBLISHED)
def test_published_steps(activation, step, updates, outputs, loss, after):
    w = np.array([0.2, -0.4, 0.5, 0.6, 0.1, -0.5, -0.3, 0.8])
    params = {
        "bank": {"kernel": w[:4].reshape(2, 2), "bias": np.zeros(2)},
        "output": {"kernel": w[4:].reshape(2, 2).T[:, :, None], "bias": np.zeros((2, 1))},
    }
    x, y = np.array([[0.5, 0.3]]), np.array([[0.23, -0.07]])
    before = np.zeros(2)
    for _ in range(updates):
        before = oracle.predict(params, None, x, activation, activation)[0]
        params = oracle.run(
            params,
            [(x, y)],
            [{"epochs": 1, "learning_rate": step / 2}],  # theirs is half the squared error
            activation=activation,
            output_activation=activation,
            optimizer="sgd",
        )["params"]
        for layer in params.values():  # theirs has no biases
            layer["bias"][:] = 0.0
    np.testing.assert_allclose(before, outputs, atol=6e-5)
    np.testing.assert_allclose(0.5 * np.sum((before - y[0]) ** 2), loss, atol=6e-7)
    got = [*params["bank"]["kernel"].ravel(), *params["output"]["kernel"][:, :, 0].T.ravel()]
    np.testing.assert_allclose(got, after, atol=6e-5)


def test_splits_keep_predictions_and_part_gradients():
    params = start(5, tasks=3)
    x, _ = rows(6, 4, tasks=3)
    net = oracle.build(params, [[0, 1, 2]] * 3)
    before = oracle.predict(params, None, x)
    for column, tasks, number in [(1, (0, 2), 3), (3, (0,), 4), (0, (0,), 5)]:
        assert oracle.split(net, column, tasks) == number
        np.testing.assert_array_equal(oracle.predict(*oracle.layout(net, params), x), before)
    assert oracle.layout(net, params)[1].tolist() == [[5, 4, 2], [0, 1, 2], [0, 3, 2]]


def opposed(seed: int, num: int) -> tuple[np.ndarray, np.ndarray]:
    x, _ = rows(seed, num)
    y = 0.2 + 0.6 * x[:, 0]
    return x, np.stack([y, 1 - y], axis=1)


def test_a_run_fires_splits_and_goes_on():
    params = start(7)
    phases = [
        {"epochs": 4, "warmup": 2, "threshold": 3},
        {"epochs": 2, "warmup": 1, "threshold": 10**6},
        {"epochs": 3, "threshold": 2},
        {"epochs": 1, "learning_rate": 1e-3},
    ]
    result = oracle.run(params, (opposed(8, 12), None, opposed(9, 5)), phases)
    history, events = result["history"], result["events"]
    assert [e["phase"] for e in events] == [1, 3]
    assert all(e["tasks"] == (0,) for e in events)
    assert [e["copy"] for e in events] == [3, 4]
    assert events[0]["epoch"] == 2  # not before the warm-up is over
    assert events[1]["streak"] == 2
    last = [history["samples"][history["phase"] == p][-1] for p in (1, 2, 3, 4)]
    assert last == [events[0]["sample"] + 1, 12, events[1]["sample"] + 1, 12]
    assert history["validation"] is None
    assert history["test"].shape == history["train"].shape == (len(history["epoch"]), 2)
    outputs = oracle.predict(result["params"], result["head_index"], opposed(9, 5)[0])
    np.testing.assert_allclose(
        history["test"][-1], np.mean((outputs - opposed(9, 5)[1]) ** 2, axis=0), rtol=1e-12
    )
    assert np.all(history["conflicts"] <= history["samples"][:, None])
    # a node with one reader is never in conflict
    for event in events:
        later = history["phase"] > event["phase"]
        assert not history["conflicts"][later][:, [event["node"], event["copy"]]].any()


def test_a_batch_is_one_step_at_the_mean():
    params, (x, y) = start(10), rows(11, 5)
    known = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 1]], bool)
    result = oracle.run(
        params,
        [(x, np.where(known, y, 99.0), known)],
        [{"epochs": 1, "learning_rate": 0.1}],
        optimizer="sgd",
        batch_size=3,
    )
    for batch in (slice(0, 3), slice(3, 5)):

        def loss(p: Params, batch: slice = batch) -> np.ndarray:
            errors = np.where(known[batch], (oracle.predict(p, None, x[batch]) - y[batch]) ** 2, 0)
            return (errors.sum(axis=0) / known[batch].sum(axis=0)).sum(keepdims=True)

        grads = finite_differences(loss, params)
        params = {
            n: {k: leaf - 0.1 * grads[n][k][0] for k, leaf in layer.items()}
            for n, layer in params.items()
        }
    params["bank"]["kernel"][:, 3:] = 0.0  # columns that nobody reads
    params["bank"]["bias"][3:] = 0.0
    assert_same(result["params"], params, rtol=1e-7, atol=1e-9)
    errors = (oracle.predict(params, None, x) - y) ** 2
    expected = [errors[known[:, t], t].mean() for t in range(2)]
    np.testing.assert_allclose(result["history"]["train"][0], expected, rtol=1e-6)


def test_batches_carry_streaks_and_use_the_whole_batch():
    params, data = start(12), opposed(13, 12)
    frozen = {"epochs": 1, "threshold": 4, "learning_rate": 0.0}
    one = oracle.run(params, [data], [frozen])
    many = oracle.run(params, [data], [frozen], batch_size=5)
    assert one["events"] == many["events"]
    assert len(one["events"]) == 1
    sample = one["events"][0]["sample"]
    assert one["history"]["samples"].tolist() == [sample + 1]
    assert many["history"]["samples"].tolist() == [min(-(-(sample + 1) // 5) * 5, 12)]


def test_transplant_copy_keeps_the_optimizer():
    params, data = start(14), opposed(15, 8)
    whole = oracle.run(params, [data], [{"epochs": 4}])
    kept = oracle.run(params, [data], [{"epochs": 2}] * 2, transplant="copy")
    fresh = oracle.run(params, [data], [{"epochs": 2}] * 2)
    assert_same(kept["params"], whole["params"], rtol=0, atol=0)
    assert not np.allclose(fresh["history"]["train"][-1], whole["history"]["train"][-1], rtol=1e-6)
