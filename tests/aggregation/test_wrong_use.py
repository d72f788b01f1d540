"""What every engine says of wrong use: one sentence with what it expected and what to write."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmtl
import jaxmtl.aggregation as ag
from jaxmtl.gradients import task_gramian

PARAMS, X = {"w": jnp.array([1.0, 2.0])}, jnp.ones((4, 2))
SGD = optax.sgd(0.1)
MESH = jax.make_mesh((1,), ("data",))


def good(params, x):
    return ((params["w"][None] - x) ** 2).mean(axis=0)


def three(params, x):
    return jnp.concatenate([good(params, x), params["w"][:1]])


class Engine(NamedTuple):
    """How a step is made, and the names of a method for it and of one with another state."""

    make: object
    method: object
    other: object
    factory: object
    kind: str = "aggregator"


def at_features(loss_fn, method, optimizer):
    """Trunk and heads of the same parameters; further arguments are the trunk's."""

    def trunk(params, x, *args):
        return params["w"][None] * x

    if "stats" in getattr(loss_fn, "__code__", good.__code__).co_varnames:
        return ag.feature_step(
            ag.SplitLoss(lambda p, x, stats: x, lambda p, z, x: good(p, z)),
            *(method, optimizer, "plain"),
        )
    split = ag.SplitLoss(trunk, lambda params, z, x: loss_fn(params, z))
    return ag.feature_step(split, method, optimizer, "plain")


def across_devices(crossing):
    return lambda f, method, optimizer: ag.data_parallel_step(
        f, method, optimizer, MESH, crossing=crossing
    )


def ahead(loss_fn, method, optimizer):
    return ag.auto_lambda_step(loss_fn, optimizer, look_ahead=0.1, weight_optimizer=method)


AGGREGATORS = ag.gradnorm(), ag.nash_mtl(), ag.pcgrad
ENGINES = {
    "rows": Engine(ag.aggregated_step, *AGGREGATORS),
    "gram": Engine(ag.gramian_step, *AGGREGATORS),
    "features": Engine(at_features, *AGGREGATORS),
    "columns over devices": Engine(across_devices("columns"), *AGGREGATORS),
    "rows over devices": Engine(across_devices("rows"), *AGGREGATORS),
    "losses": Engine(ag.scalarized_step, ag.uncertainty(), ag.famo(), ag.gls, "scalarizer"),
    "look-ahead": Engine(ahead, None, SGD, optax.sgd, "weight_optimizer"),
}
LOSSES = {
    "scalar": (lambda p, x: good(p, x).sum(), r"got shape \(\): leave out the sum over tasks"),
    "list": (lambda p, x: list(good(p, x)), "got a list: jnp.stack it"),
    "tuple": (lambda p, x: tuple(good(p, x)), "got a tuple: jnp.stack it"),
    "nothing": (lambda p, x: None, "got None: return the losses"),
    "samples": (lambda p, x: (p["w"][None] - x) ** 2, r"got shape \(4, 2\): take their mean"),
    "tasks and rows": (lambda p, x: (p["w"][None] - x).T, r"got shape \(2, 4\): take their mean"),
    "one column": (lambda p, x: good(p, x)[:, None], r"got shape \(2, 1\): take losses\[:, 0\]"),
    "whole numbers": (
        lambda p, x: good(p, x) > 0,
        "losses, got bool, along which there is no grad",
    ),
    "no task": (lambda p, x: good(p, x)[:0], "got an empty vector"),
    "arguments": (lambda p, x, stats: good(p, x), r"arguments \(p, x, stats\), got 2 of them: "),
    "no function": (3, "loss_fn: expected a function of parameters and batch, got int"),
}


def params_for(name, params=PARAMS):
    return (params, params) if name == "features" else params


def taken(name, made, state, loss_args=()):
    batches = (X, X) if name == "look-ahead" else (X,)
    return jax.eval_shape(made.step, params_for(name), state, *batches, *loss_args)


@pytest.mark.parametrize("name", ENGINES)
def test_a_loss_that_is_no_vector(name):
    engine = ENGINES[name]
    for what, (loss_fn, text) in LOSSES.items():
        if name == "features" and what == "no function":
            continue
        with pytest.raises(ValueError, match=text):
            engine.make(loss_fn, engine.method, SGD).init(params_for(name), X)


@pytest.mark.parametrize("name", ENGINES)
def test_parameters_that_are_none(name):
    engine = ENGINES[name]
    for leaf, text in (
        (3, "floating array, got int: train"),
        (good, "n array, got function: keep"),
    ):
        params = params_for(name, PARAMS | {"n": leaf})
        with pytest.raises(ValueError, match=r"\['n'\]: expected a ?" + text):
            engine.make(good, engine.method, SGD).init(params, X)


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_no_method_or_no_optimizer(name):
    engine, called = ENGINES[name], ENGINES[name].factory.__name__
    with pytest.raises(ValueError, match=rf"{engine.kind}: .* got the function {called}: call it"):
        engine.make(good, engine.factory, SGD)
    for method in (3, "pcgard"):
        with pytest.raises(
            ValueError, match=f"{engine.kind}: .*(got int|got str|no method .pcgard.)"
        ):
            engine.make(good, method, SGD)
    for optimizer, text in (
        (optax.adam, "got the function adam: call it, adam"),
        (0.1, "got float: pass optax.adam"),
        ("adam", "got str: pass optax.adam"),
        (ag.mgda, "got the function mgda"),
    ):
        with pytest.raises(ValueError, match=f"optimizer: expected one of optax.*, {text}"):
            engine.make(good, engine.method, optimizer)
    if name == "losses":
        with pytest.raises(ValueError, match="scalarizer: expected a loss method, .* got Aggregat"):
            engine.make(good, ag.mgda(), SGD)


@pytest.mark.parametrize("name", ENGINES)
def test_a_state_of_something_else(name):
    engine = ENGINES[name]
    made = engine.make(good, engine.method, SGD)
    state = made.init(params_for(name), X)
    assert taken(name, made, state)[2].losses.shape == (2,)
    with pytest.raises(ValueError, match=r"state: expected the \w+State that init\(params, b"):
        taken(name, made, SGD.init(PARAMS))
    other = engine.make(good, engine.other, SGD).init(params_for(name), X)
    with pytest.raises(ValueError, match=r"state: .* got that of another, .*: start from init"):
        taken(name, made, other)
    more = engine.make(three, engine.method, SGD).init(params_for(name), X)
    with pytest.raises(ValueError, match=r"expected shape \(2,.* for 2 tasks, got \(3,"):
        taken(name, made, more)


@pytest.mark.parametrize("name", ENGINES)
def test_batches_and_arguments_that_are_missing(name):
    engine = ENGINES[name]
    made = engine.make(LOSSES["arguments"][0], engine.method, SGD)
    state = made.init(params_for(name), X, 1.0)
    assert taken(name, made, state, (1.0,))[2].losses.shape == (2,)
    with pytest.raises(ValueError, match=r"expected arguments \(p, x, stats\), got 2 of them: "):
        taken(name, made, state)
    with pytest.raises(ValueError, match=r"expected arguments \(p, x, stats\), got 4 of them: "):
        taken(name, made, state, (1.0, 2.0))
    if name == "look-ahead":
        with pytest.raises(ValueError, match="validation_batch: expected a second batch, on which"):
            made.step(PARAMS, state, X)
    else:
        with pytest.raises(TypeError, match="'batch'"):
            made.step(params_for(name), state)


@pytest.mark.parametrize(
    "make", [jaxmtl.task_gradients, jaxmtl.sample_task_gradients, task_gramian]
)
def test_gradients_say_the_same(make):
    for loss_fn, text in LOSSES.values():
        with pytest.raises(ValueError, match=text.replace("4", "[14]").replace("their mean", "")):
            make(loss_fn)(PARAMS, X)
    for leaf in (3, good):
        with pytest.raises(ValueError, match=r"params\['n'\]: expected"):
            make(good)(PARAMS | {"n": leaf}, X)


@pytest.mark.parametrize("method", [ag.gradnorm(), ag.upgrad()], ids=["with a state", "without"])
def test_the_optax_adapter_knows_its_number_of_tasks(method):
    optimizer = ag.as_optax(method, 2)
    rows = {"w": jnp.ones((3, 2))}
    with pytest.raises(ValueError, match=r"expected the gradients of num_tasks=2 .* those of 3"):
        optimizer.update(rows, optimizer.init(PARAMS), PARAMS, losses=jnp.ones(3))


def test_the_optax_adapter_wants_a_method():
    with pytest.raises(ValueError, match="aggregator: .* got the function mgda: call it, mgda"):
        ag.as_optax(ag.mgda, 2)


def test_an_update_of_ones_own_without_info() -> None:
    def update(grads: Any, state: Any, **_: Any) -> Any:
        return grads.sum(axis=0), state, None

    unchecked: Any = update
    with pytest.raises(ValueError, match=r"expected update to return .* got NoneType"):
        ag.as_optax(ag.Aggregator(lambda _: (), unchecked), num_tasks=2).init(jnp.ones(2))


def test_gradients_of_foreign_code_in_float64() -> None:
    grads = np.array([[1.0, 0.0], [0.0, 1.0]])  # NumPy's own type; a warning would be an error
    aggregator = ag.upgrad()
    combined, _, _ = aggregator.update(grads, aggregator.init(grads))
    np.testing.assert_allclose(combined, [0.5, 0.5], rtol=1e-6)
