"""Training with aggregators and loss methods, against loops that write out every step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from same_runs import assert_identical
from some_cases import some

import jaxmtl.aggregation as ag
from jaxmtl import HardSharing, Phase, Rows, Splits, fit, fit_adaptive, sweep
from jaxmtl.losses import mean_over_known, squared_error
from jaxmtl.models import AITM, MMoE, SharedBottom, SoftSharing
from jaxmtl.training.as_network import as_network
from jaxmtl.training.fit import advance
from jaxmtl.training.phased.epoch import epoch
from jaxmtl.training.phased.phases import phase_table
from jaxmtl.training.phased.state import Config, init_state

pytestmark = pytest.mark.few_optimizations
PHASES = (Phase(3, warmup=2, threshold=3, learning_rate=0.05), Phase(2, learning_rate=0.05))


@pytest.fixture(scope="module")
def data():
    x = jax.random.uniform(jax.random.key(1), (30, 4))
    y = jnp.stack([x[:, 0] * x[:, 1], 1 - x[:, 0] ** 2], axis=1)
    return Splits(train=Rows(x, y), test=Rows(x, y))


def close(ours, theirs, atol=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=atol), ours, theirs)


@functools.cache
def start(model, features=4):
    return jax.jit(model.init)(jax.random.key(5), jnp.zeros((1, features)))["params"]


def task_losses(model, params, batch):
    x, y = batch
    return squared_error(model.apply({"params": params}, x), y).mean(axis=0)


def written_out(model, data, make_step, *, epochs=2, batch_size=5):
    """An epoch after another, batch by batch, in file order."""
    init, step = make_step(lambda params, batch: task_losses(model, params, batch))
    params = start(model)
    rows = data.train
    first = rows.x[:1], rows.y[:1]
    state, step = init(params, first, jax.random.key(1)), jax.jit(step)
    for _ in range(epochs):
        for at in range(0, len(rows.x), batch_size):
            part = slice(at, at + batch_size)
            params, state, _ = step(params, state, (rows.x[part], rows.y[part]))
    return params


def trained(model, data, aggregator, *, epochs=2, batch_size=5, **options):
    return fit(
        model,
        data,
        key=jax.random.key(0),
        params=start(model),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=0.05,
        aggregator=aggregator,
        **options,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["upgrad", "moco", "recon", "graddrop"])
def test_aggregators_see_what_tasks_share_and_heads_get_their_own(data, name):
    model = MMoE(num_experts=2, experts=[3], outputs=[1, 1])
    own = ("gate", "heads")
    shared = {layer: layer not in own for layer in start(model)}
    aggregator = {"graddrop": ag.graddrop(leak=1.0)}.get(name) or ag.make(name, 2)
    run = trained(model, data, aggregator)
    literal = written_out(
        model,
        data,
        lambda loss_fn: ag.aggregated_step(
            loss_fn, ag.with_heads(aggregator, shared, "plain"), optax.adam(0.05)
        ),
    )
    close(run.params, literal)


@pytest.mark.parametrize("name", some(["uncertainty", "famo", "stch"], "famo"))
def test_loss_methods_weigh_every_gradient(data, name):
    model = SharedBottom(trunk=[4], towers=[], outputs=[1, 1])
    literal = written_out(
        model,
        data,
        lambda loss_fn: ag.scalarized_step(loss_fn, ag.make_scalarizer(name, 2), optax.adam(0.05)),
    )
    run = trained(model, data, name)
    close(run.params, literal)
    assert np.isnan(run.history.combination.conflict_rate).all()


def test_auto_lambda_judges_its_step_on_the_next_batch(data):
    model = SharedBottom(trunk=[4], towers=[], outputs=[1, 1])
    method = ag.auto_lambda(weight_rate=0.01)
    run = trained(model, data, method)
    init, step = ag.auto_lambda_step(
        lambda params, batch: task_losses(model, params, batch),
        optax.adam(0.05),
        look_ahead=0.05,
        weight_rate=0.01,
    )
    rows = [(data.train.x[at : at + 5], data.train.y[at : at + 5]) for at in range(0, 30, 5)]
    params, step = start(model), jax.jit(step)
    state, weights = init(params, rows[0]), []
    for number in range(12):
        batch, following = rows[number % 6], rows[(number + 1) % 6]
        params, state, info = step(params, state, batch, following)
        weights.append(info.weights)
    close(run.params, params)
    close(run.history.combination.weights[1], np.mean(weights[6:], axis=0))


MODELS = [
    *(HardSharing(), SoftSharing()),
    AITM(trunk=[4], towers=[3], calibration=0.3, outputs=[1, 1]),
]


@pytest.mark.slow
@pytest.mark.parametrize("aggregator", ["sum", "equal"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_sum_is_what_it_is_without(data, model, aggregator):
    close(trained(model, data, aggregator).params, trained(model, data, None).params)


@pytest.mark.slow
@pytest.mark.parametrize("aggregator", ["sum", "uncertainty", "cosmos"])
def test_conflict_is_counted_on_the_gradients_of_the_tasks(data, aggregator):
    """Whatever the weights, which may be tiny or below 0, the first sample counts the same."""
    one = Splits(train=jax.tree.map(lambda leaf: leaf[:1], data.train))
    options = {"params": start(HardSharing()), "phases": [Phase(1, threshold=9)]}
    plain = fit_adaptive(HardSharing(), one, **options)
    run = fit_adaptive(HardSharing(), one, aggregator=aggregator, **options)
    np.testing.assert_array_equal(run.history.conflicts, plain.history.conflicts)
    assert plain.history.conflicts.any()


@pytest.mark.slow
def test_adaptive_runs_split_alike_under_the_sum(data):
    options = {"params": start(HardSharing()), "phases": PHASES}
    plain = fit_adaptive(HardSharing(), data, **options)
    run = fit_adaptive(HardSharing(), data, aggregator="sum", **options)
    assert tuple(run.events) == tuple(plain.events)
    assert len(plain.events)
    close(run.params, plain.params)
    assert run.history.combination.weights.tolist() == [[1, 1]] * len(run.history)
    assert plain.history.combination is None


@pytest.mark.slow
@pytest.mark.parametrize("aggregator", ["moco", "rlw"])
def test_sweeps_equal_single_runs(data, aggregator):
    keys = jax.vmap(jax.random.key)(np.arange(3))
    runs = sweep(HardSharing(), data, keys=keys, phases=PHASES, aggregator=aggregator, shuffle=True)
    for seed in range(3):
        run = fit_adaptive(
            HardSharing(),
            data,
            key=jax.random.key(seed),
            phases=PHASES,
            aggregator=aggregator,
            shuffle=True,
        )
        assert tuple(runs[seed].events) == tuple(run.events)
        close(runs[seed].params, run.params, atol=1e-5)
        close(runs[seed].history.combination, run.history.combination, atol=1e-4)


# All that remember, draw or look ahead; one that does not has an empty state.
PARTICULAR = [
    *(name for name, row in ag.REGISTRY.items() if row.state or "key" in row.needs),
    *(name for name, row in ag.LOSS_METHODS.items() if row.state or "key" in row.needs),
    *("auto_lambda", "krum", "trimmed_mean", "nash_mtl"),
]


# With a state, with a key, of losses, ahead of the step.
KEPT = ("sdmgrad", "famo", "rlw", "auto_lambda")


@pytest.mark.parametrize("name", some(sorted(set(PARTICULAR)), *KEPT))
def test_every_method_trains_the_adaptive_network(name):
    """Traced only: the state of every method keeps its shapes and types through an epoch."""
    model = HardSharing(outputs=(1,) * 4)
    x = jnp.ones((6, 4))
    data = Splits(train=Rows(x, x))
    config = Config(num_tasks=4, counts=True, aggregator=name, transplant="copy", batch_size=2)
    table = phase_table(PHASES)

    def once(key):
        params = model.init(jax.random.key(0), x)["params"]
        state = init_state(as_network(model), config, params, table, key)
        return state, epoch(as_network(model), config, state, data, table)[0]

    before, after = jax.eval_shape(once, jax.random.key(0))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), before) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), after
    )


@pytest.mark.slow
def test_one_compilation_whatever_is_split(data):
    options = {"phases": PHASES, "aggregator": "pcgrad"}
    fit_adaptive(HardSharing(), data, key=jax.random.key(0), **options)
    before = advance._cache_size()
    for seed in range(1, 4):
        fit_adaptive(HardSharing(), data, key=jax.random.key(seed), **options)
    assert advance._cache_size() == before


def test_a_task_without_a_label_in_the_batch_is_left_out(data):
    known = np.ones((30, 2), bool)
    known[5:10, 1] = False
    rows = data.train._replace(known=known)
    model = SharedBottom(trunk=[4], towers=[], outputs=[1, 1])
    run = trained(model, Splits(train=rows), "imtl_g", epochs=1)
    aggregator = ag.with_heads(ag.imtl_g(), {"trunk_0": True, "heads": False}, "plain")

    def loss_fn(params, batch):
        x, y, known = batch
        return mean_over_known(squared_error(model.apply({"params": params}, x), y), known)

    init, step = ag.aggregated_step(loss_fn, aggregator, optax.adam(0.05))
    params, step = start(model), jax.jit(step)
    state = init(params, (rows.x[:5], rows.y[:5], known[:5]))
    for at in range(0, 30, 5):
        batch = (rows.x[at : at + 5], rows.y[at : at + 5], known[at : at + 5])
        params, state, _ = step(params, state, batch, present=batch[2].any(axis=0))
    close(run.params, params)


@pytest.mark.slow
def test_methods_start_anew_with_a_phase_or_go_on(data):
    options = {"params": start(HardSharing()), "aggregator": "gradnorm"}
    short = [Phase(2, learning_rate=0.05), Phase(1, learning_rate=0.05)]
    weights = {
        transplant: fit_adaptive(
            HardSharing(), data, phases=short, transplant=transplant, **options
        ).history.combination.weights
        for transplant in ("fresh", "copy")
    }
    np.testing.assert_allclose(weights["fresh"][:2], weights["copy"][:2], rtol=1e-5)
    drift = {name: abs(1 - found[2]).max() for name, found in weights.items()}
    assert drift["fresh"] < drift["copy"]


REMEMBERING = Config(num_tasks=2, counts=True, aggregator="excess_mtl", transplant="copy")


def test_a_copied_node_takes_over_what_a_method_remembers_of_it(data):
    model, config = HardSharing(), REMEMBERING
    table = phase_table([Phase(2, threshold=1, learning_rate=0.05), Phase(1)])
    state = init_state(as_network(model), config, start(model), table, jax.random.key(0))
    after, _ = advance(as_network(model), config, state, data, table, jnp.int32(1))
    event = jax.tree.map(lambda column: int(column[0].ravel()[0]), after.watch.events)
    assert event.copy == 3
    remembered = [
        leaf
        for path, leaf in jax.tree.leaves_with_path(after.combining)
        if "bank" in jax.tree_util.keystr(path)
    ]
    assert remembered
    for leaf in remembered:
        np.testing.assert_array_equal(leaf[..., event.copy], leaf[..., event.node])
        assert leaf[..., event.node].any()


def test_a_solver_that_did_not_get_there_is_counted(data):
    lazy = ag.from_rule(lambda gram, state, context: ag.Weighed(jnp.ones(2), state, False))
    run = trained(SharedBottom(trunk=[4], outputs=[1, 1]), data, lazy)
    assert run.history.combination.unconverged.tolist() == [6, 6]


@pytest.mark.parametrize(
    ("aggregator", "sentence"),
    [
        ("upgrade", "did you mean 'upgrad'"),
        (3, "expected a name such as 'upgrad'"),
        ("krum", "krum: expected at least 4 tasks"),
    ],
)
def test_bad_choices_are_named(data, aggregator, sentence):
    with pytest.raises(ValueError, match=sentence):
        trained(HardSharing(), data, aggregator)


@pytest.mark.slow
def test_divergence_names_step_and_task(data):
    y = np.array(data.train.y)
    y[12, 1] = np.inf
    rows = data.train._replace(y=y)
    run = trained(HardSharing(), Splits(train=rows), "upgrad", batch_size=1)
    assert run.divergence == (1, 1, 12, 1)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params))


@pytest.mark.slow
def test_checkpoints_tell_methods_and_their_options_apart(data, tmp_path):
    keys = jax.vmap(jax.random.key)(np.arange(2))
    options = {"keys": keys, "phases": [Phase(1)], "checkpoint": str(tmp_path / "saved")}
    sweep(HardSharing(), data, aggregator=ag.cagrad(c=0.4), **options)
    options["keys"] = jax.vmap(jax.random.key)(np.arange(2))
    again = sweep(HardSharing(), data, aggregator=ag.cagrad(c=0.4), resume=True, **options)
    assert len(again) == 2
    for other in (ag.cagrad(c=0.5), "cagrad", None):
        options["keys"] = jax.vmap(jax.random.key)(np.arange(2))
        with pytest.raises(ValueError, match="option aggregator"):
            sweep(HardSharing(), data, aggregator=other, resume=True, **options)


def plain(tree):
    """Leaves as NumPy has them; keys by their numbers."""

    def numbers(leaf):
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if key else leaf)

    return jax.tree.map(numbers, tree)


@pytest.mark.slow
def test_runs_and_loops_of_ones_own_go_on_from_a_checkpoint_of_orbax(data, tmp_path):
    from orbax.checkpoint import v1 as ocp

    network = as_network(HardSharing())
    table = phase_table([Phase(3, threshold=1000, learning_rate=0.05), Phase(1)])

    def run_on(state):
        return advance(network, REMEMBERING, state, data, table, jnp.int32(1))

    def losses(params, batch):
        return ((batch[0] @ params["w"] - batch[1]) ** 2).mean(axis=0)

    init, step = ag.aggregated_step(losses, ag.nash_mtl(2), optax.adam(0.05))
    step, batch, params = jax.jit(step), (data.train.x, data.train.y), {"w": jnp.ones((4, 2))}
    run, _ = run_on(
        init_state(network, REMEMBERING, start(HardSharing()), table, jax.random.key(0))
    )
    loop = step(params, init(params, batch), batch)[:2]
    saved = {"run": run, "loop": loop}

    ocp.save(tmp_path / "mine", saved)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), saved
    )
    found = ocp.load(tmp_path / "mine", shapes)
    assert_identical(plain(found), plain(saved))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: a.dtype == b.dtype, found, saved)))

    undisturbed, gone_on = run_on(run), run_on(found["run"])
    assert_identical(plain(gone_on), plain(undisturbed))
    assert int(gone_on[0].epoch) == 2
    undisturbed, gone_on = step(*loop, batch), step(*found["loop"], batch)
    assert_identical(plain(gone_on), plain(undisturbed))
    assert int(gone_on[1].number) == 2
