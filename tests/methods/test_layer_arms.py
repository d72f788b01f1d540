"""Arms that split whole shared layers: Recon, branching, differentiation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from same_runs import check_models

from jaxmtl import HardSharing, Phase
from jaxmtl.aggregation import sum as summed
from jaxmtl.comparison import Bench, Protocol, check_arms, find_arm
from jaxmtl.data import Data, Folds, Rows, SplitIndices, Splits
from jaxmtl.methods import ViewsModel, Work, find_method
from jaxmtl.methods.models import model_of
from jaxmtl.methods.study.layers import network_of_layers, split_layers
from jaxmtl.methods.study.parameter_differentiation import part_by_cosine, tallied
from jaxmtl.methods.views_model import view_layers
from jaxmtl.plain.models import KINDS
from jaxmtl.sharing import task_view
from jaxmtl.tasks import number_tasks
from jaxmtl.training.phased.checks import checked_config
from jaxmtl.training.phased.state import Options, Parted

pytestmark = pytest.mark.few_optimizations

X = np.random.default_rng(0).uniform(size=(40, 3)).astype(np.float32)
NAMES = ("recon@1", "branch@shared_0", "parameter_differentiation", "recon@2+sum")
PHASES = (Phase(3, learning_rate=0.02), Phase(3, learning_rate=0.02))
SEEDS = 2


@pytest.fixture(scope="module")
def bench():
    y = np.stack([X[:, 0] * X[:, 1], 1 - X[:, 0] ** 2, X[:, 2]], axis=-1)
    data = Data(x=X, y=y, known=np.ones((40, 3), bool), tasks=number_tasks(["u", "v", "w"]))
    rows = np.arange(40)
    fold = SplitIndices(rows[:20], rows[20:30], rows[30:])
    keys = jax.vmap(jax.random.key)(np.arange(SEEDS))
    protocol = Protocol(phases=PHASES, shared=(3,), nodes=2, batch_size=5)
    bench = Bench(protocol, data, Folds(parts=(fold,) * SEEDS), keys)
    bench.__dict__["updates"] = np.array([[12, 12]] * SEEDS)  # without an adaptive run
    return bench


@pytest.fixture(scope="module")
def fitted(bench):
    return functools.cache(lambda name: find_arm(name).run(bench))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_arm_keeps_the_models_whose_errors_it_reports(bench, fitted, name):
    check_models(bench, fitted(name), X)


@pytest.mark.slow
def test_what_is_split_is_counted_and_steps_are_those_of_both_runs(bench, fitted):
    layers = {"shared_0": 3 * 3 + 3, "bank": 3 * 2 + 2}
    alone = sum(layers.values()) + 3 * 3
    branch = fitted("branch@shared_0")
    assert branch.splits.tolist() == [2] * SEEDS
    assert branch.parameters.tolist() == [alone + 2 * layers["bank"]] * SEEDS
    assert branch.steps.tolist() == [24] * SEEDS
    recon = fitted("recon@1")
    for choice, parameters in zip(recon.chosen, recon.parameters, strict=True):
        assert parameters == alone + 2 * layers[choice["split"]]
    assert recon.steps.tolist() == [24 + 6] * SEEDS
    everything = fitted("recon@2+sum")
    assert {choice["split"] for choice in everything.chosen} == {"shared_0, bank"}
    assert everything.splits.tolist() == [4] * SEEDS
    grown = fitted("parameter_differentiation")
    assert grown.steps.tolist() == [24] * SEEDS
    assert (grown.splits <= 2).all()


@pytest.mark.slow
def test_recon_trains_anew_with_the_layers_that_it_found(bench, fitted):
    """It is the run from the initial values with these layers split, whatever was found how."""
    recon = fitted("recon@1")
    found = [
        [choice["split"] == layer for layer in ("shared_0", "bank")] for choice in recon.chosen
    ]
    network, banks, pointers = network_of_layers(bench)
    banks, pointers = split_layers(banks, pointers, jnp.array(found))
    table = bench.same_schedule
    runs = bench.run("again", network, table, params=banks, head_index=pointers)
    np.testing.assert_array_equal(bench.fitted(network, runs).scores, recon.scores)


def model():
    one = HardSharing(shared=(3,), nodes=2, outputs=(1, 1, 1), capacity=2)
    network = view_layers(one, ["shared_0", "bank"], features=3)
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(network.init, jax.random.key(0), X[:1])[0]
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)
    pointers = network.start().replace("bank", jnp.array([[0], [2], [0]], jnp.int32))
    return ViewsModel(network=network, params=params, pointers=pointers)


def test_a_split_keeps_outputs_and_differs_from_seed_to_seed():
    ours = model()
    network, start = ours.network, ours.network.start()
    banks, pointers = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), (ours.params, start))
    apart = jnp.array([[True, False], [False, True]])
    banks, pointers = split_layers(banks, pointers, apart)
    assert pointers["shared_0"][..., 0].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert pointers["bank"][..., 0].tolist() == [[0, 0, 0], [0, 1, 2]]
    params, index = jax.tree.map(lambda leaf: leaf[1], (banks, pointers))

    @jax.jit
    def both(params, index):
        wanted = network.network.apply(task_view(params, index, 0), None, X).outputs
        return wanted, network.apply(params, None, X, pointers=index).outputs

    np.testing.assert_allclose(*both(params, index), rtol=1e-6)
    marks = network.shared(params, index)
    assert np.asarray(marks["shared_0"]["kernel"])[:, 0, 0].tolist() == [True, False, False]
    assert not np.asarray(marks["bank"]["bias"]).any()
    assert not np.asarray(marks["output"]["kernel"]).any()


def test_a_model_is_read_again_without_copies_that_nobody_reads():
    ours = model()
    spec, arrays = ours.spec(), ours.arrays()
    assert arrays["params/bank/kernel"].shape == (2, 3, 2)
    assert arrays["pointers/bank"].tolist() == [0, 1, 0]
    again = model_of("views", spec, arrays, features=3, outputs=3)
    np.testing.assert_array_equal(again.predict(X), ours.predict(X))
    jax.tree.map(np.testing.assert_array_equal, again.arrays(), arrays)
    np.testing.assert_allclose(KINDS["views"](spec, arrays, X), ours.predict(X), rtol=1e-5)
    small = np.int32([0, 1, 1])
    for wrong, words in (
        ({"pointers/bank": np.int32([0, 2, 0])}, "'pointers/bank': expected numbers from 0 to 1"),
        ({"pointers/bank": small[:2]}, r"expected int32 of shape \(3,\)"),
        ({"params/bank/bias": arrays["params/bank/bias"][:1]}, "expected 2 copies of the layer"),
        ({"params/output/bias": arrays["params/output/bias"][:2]}, r"of shape \(3, 1\)"),
        ({"params/more": small}, "'params/more': expected no such array"),
    ):
        with pytest.raises(ValueError, match=words):
            model_of("views", spec, arrays | wrong, features=3, outputs=3)
    for wrong in (["bank", "bank"], [], "bank", [1]):
        with pytest.raises(ValueError, match="layers: expected different names"):
            model_of("views", spec | {"layers": wrong}, arrays, features=3, outputs=3)


def test_the_layer_and_the_readers_that_disagree_most_part():
    """Three tasks agree at one layer; at the other, the last two pull against the first."""
    ours = model()
    pointers = ours.network.start()
    aggregator = tallied(summed())
    rows = jax.tree.map(lambda leaf: jnp.ones((3, *leaf.shape)), ours.params)
    away = jnp.array([1.0, -0.2, -1.0])  # the second is nearer to the third
    tilt = {
        "kernel": away[:, None, None, None] * rows["bank"]["kernel"],
        "bias": rows["bank"]["bias"],
    }
    rows = rows | {"bank": tilt}
    _, state, _ = jax.jit(aggregator.update)(rows, aggregator.init(rows))
    flat, unravel = ravel_pytree(ours.params)  # as elementwise optimizers see them
    moments = optax.TraceState(trace=2 * flat)
    part = jax.jit(part_by_cosine)
    after = part(Parted(ours.params, pointers, moments), state)
    moved = unravel(after.opt_state.trace)["bank"]["kernel"]
    np.testing.assert_array_equal(moved[1], 2 * ours.params["bank"]["kernel"][0])
    np.testing.assert_array_equal(moved[2], 2 * ours.params["bank"]["kernel"][2])
    assert after.pointers["shared_0"].tolist() == [[0], [0], [0]]
    assert after.pointers["bank"].tolist() == [[0], [1], [1]]
    np.testing.assert_array_equal(after.params["bank"]["bias"][1], ours.params["bank"]["bias"][0])
    again = part(after, state)  # the readers of each copy agree
    assert again.pointers["bank"].tolist() == [[0], [1], [1]]


@pytest.mark.parametrize(
    ("name", "shared", "words"),
    [
        ("recon@3", (4,), "recon@3 does not go with this network: expected at most 2 layers, "
         "which are shared_0, bank, got 3"),
        ("recon@1", (), "expected several shared layers, got one, 'bank'; add some"),
        ("recon@x", (4,), "'recon@x': expected a number of layers from 1, as in recon@1, got 'x'"),
        ("recon@0", (4,), "expected a number of layers from 1"),
        ("recon@", (4,), "'recon@': expected recon@K, got no k"),
        ("branch@conv", (4, 4), "expected the layer shared_0 or shared_1, got 'conv'"),
        ("branch@bank", (4,), "expected a layer with shared ones above it, shared_0, got the last"),
        ("branch", (4,), "'branch': expected branch@LAYER, got no layer"),
        ("branch@bank", (), "expected several shared layers, got one"),
        ("parameter_differentiation", (), "expected several shared layers"),
    ],
)  # fmt: skip
def test_names_that_do_not_go_with_the_network(name, shared, words):
    protocol = Protocol(shared=shared)
    with pytest.raises(ValueError, match=words):
        check_arms([name], "hard_sharing", 2, protocol)


def test_pointers_are_those_of_the_network():
    ours = model()
    other = view_layers(HardSharing(shared=(3,), nodes=2, outputs=(1,) * 3), ["bank"], features=3)
    rows = Rows(X, np.zeros((40, 3), np.float32))
    with pytest.raises(ValueError, match="groups of a view_network, got pointers into 'bank'"):
        checked_config(ours.network, Options(), Splits(rows), ours.params, None, other.start())


def test_an_arm_by_itself_says_what_does_not_go(bench):
    method = find_method("recon@9", bench=bench)
    with pytest.raises(ValueError, match="recon@9: expected at most 2 layers"):
        method.fit(bench.data, bench.folds, bench.keys, Work())


def test_what_else_they_want():
    protocol = Protocol(phases=PHASES[:1])
    with pytest.raises(ValueError, match="expected a schedule of several phases"):
        check_arms(["parameter_differentiation"], "hard_sharing", 2, protocol)
    with pytest.raises(ValueError, match="does not go with these targets: expected at least 2"):
        check_arms(["recon@1"], "hard_sharing", 1, Protocol())
    found = check_arms(["recon@1", "all", "branch@shared_0+upgrad"], "hard_sharing", 2, protocol)
    assert {"recon@1", "branch@shared_0+upgrad", "mmoe"} < set(found)
    assert "parameter_differentiation" not in found
    assert find_arm("recon").name == "restarts+recon"  # the aggregator of that name
