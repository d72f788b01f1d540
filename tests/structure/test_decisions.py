"""Structures as members of one program, and the decisions between them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmtl.data import Rows, Splits
from jaxmtl.losses import sliced, softmax_cross_entropy, squared_error
from jaxmtl.sharing import count_parameters, task_view
from jaxmtl.structure import (
    Layer,
    Recipe,
    Structure,
    cross_validated,
    everything,
    grouped,
    grow,
    halving,
    look_ahead,
    place,
    separate,
    shared,
    train_structures,
)
from jaxmtl.structure.move import move
from jaxmtl.structure.recipe import State, advance, batches, begin, held_out

ABC = ("a", "b", "c")
NODE = Structure(ABC, (Layer(4, (ABC,)), Layer(3, (ABC,), nodes=((1, (("a", "c"), ("b",))),))))
STRUCTURES = [shared(ABC, (4, 3)), separate(ABC, (4, 3)), grouped(ABC, (5, 2), ["ac", "b"]), NODE]
RECIPE = Recipe(steps=12, batch_size=4, rate=0.05)
CANDIDATES = [shared("ab", (4,)), shared("ab", (2,)), separate("ab", (3,))]


# One program each: op by op they are a hundred small ones.
begin = jax.jit(begin, static_argnums=(0, 1))
advance = jax.jit(advance, static_argnums=(0, 1))


def member(placed, number):
    return jax.tree.map(lambda leaf: leaf[number], placed)


def rows(seed, number, tasks=3, missing=False):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(number, 4)).astype(np.float32)
    y = np.tanh(x[:, :tasks]) + 0.1 * rng.normal(size=(number, tasks)).astype(np.float32)
    return Rows(x, y.astype(np.float32), rng.random(y.shape) < 0.7 if missing else None)


@pytest.fixture(scope="module")
def data():
    return Splits(rows(0, 24, 2), rows(1, 10, 2))


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(5), 3)


@pytest.fixture(scope="module")
def halved(data, keys):
    return halving(CANDIDATES, data, keys=keys, recipe=RECIPE)


@pytest.fixture(scope="module")
def trunk_and_placed():
    return place(STRUCTURES, features=4)


@pytest.mark.parametrize("number", range(4))
def test_the_network_is_that_of_the_views_of_its_banks(number, trunk_and_placed):
    trunk, placed = trunk_and_placed
    own = member(placed, number)
    params = begin(trunk, RECIPE, jax.random.key(number), own).params
    x = rows(0, 6).x
    outputs = trunk.apply(params, own, x)
    banks, pointers = trunk.banks(params, own)
    for task in range(3):
        view, h = task_view(banks, pointers, task), x
        for layer, width in zip(trunk.layers, STRUCTURES[number].widths, strict=True):
            kernel, bias = view[layer]["kernel"], view[layer]["bias"]
            h = jax.nn.sigmoid(h @ kernel[: h.shape[1], :width] + bias[None, :width])
        last = view["output"]
        expected = h @ last["kernel"][: h.shape[1], task] + last["bias"][task]
        np.testing.assert_allclose(outputs[:, task], expected, atol=1e-6)


def test_columns_in_use_are_those_of_the_structure(trunk_and_placed):
    trunk, placed = trunk_and_placed
    for number in (0, 1, 3):  # of the widths of the program, so that all slots are in use
        own = member(placed, number)
        trunk_alone, alone = place([STRUCTURES[number]], features=4)
        state = begin(trunk_alone, RECIPE, jax.random.key(0), member(alone, 0))
        banks = trunk_alone.banks(state.params, own)
        assert count_parameters(*banks) == STRUCTURES[number].count_parameters(4)
    assert trunk.copies == (3, 3)


def test_other_members_change_nothing_of_one(trunk_and_placed):
    """Initial values and training are those of a program of its own."""
    trunk, placed = trunk_and_placed
    alone, own = place([STRUCTURES[2]], features=4)
    train, order = rows(0, 12), batches(jax.random.key(1), 12, 4, 0, 5)
    outputs = []
    for network, which in ((trunk, member(placed, 2)), (alone, member(own, 0))):
        state = begin(network, RECIPE, jax.random.key(3), which)
        state = advance(network, RECIPE, state, which, train, order, jnp.full(5, 0.1))
        outputs.append(network.apply(state.params, which, train.x))
    np.testing.assert_allclose(*outputs, atol=1e-6)


@pytest.mark.parametrize("number", [1, 3])
def test_a_split_changes_no_output_and_copies_the_moments(number, trunk_and_placed):
    trunk, placed = trunk_and_placed
    before, after = member(placed, 0), member(placed, number)
    state = begin(trunk, RECIPE, jax.random.key(0), before)
    order = batches(jax.random.key(1), 24, 4, 0, 3)
    state = advance(trunk, RECIPE, state, before, rows(0, 24), order, jnp.full(3, 0.1))
    fresh = begin(trunk, RECIPE, jax.random.key(9), after).params
    moved = move(trunk, RECIPE, state, before, after, fresh)
    x = rows(2, 50).x
    pair = trunk.apply(state.params, before, x), trunk.apply(moved.params, after, x)
    np.testing.assert_array_equal(*pair)
    adam = optax.tree.get(moved.opt_state, "mu")["layer_1"]["kernel"]
    was = optax.tree.get(state.opt_state, "mu")["layer_1"]["kernel"]
    np.testing.assert_array_equal(adam[1, :, 1], was[0, :, 1])
    assert np.abs(was[0]).max() > 0
    # And joined again, they are what they were, up to the rounding of a mean of equal numbers.
    back = move(trunk, RECIPE, moved, after, before, fresh)
    np.testing.assert_allclose(trunk.apply(back.params, before, x), pair[0], rtol=1e-5, atol=1e-6)


def test_to_grow_changes_no_output_but_the_gradient():
    structures = [shared(ABC, (3, 2)), grow(shared(ABC, (3, 2)))]
    trunk, placed = place(structures, features=4)
    before, after = member(placed, 0), member(placed, 1)
    state = begin(trunk, RECIPE, jax.random.key(0), before)
    fresh = begin(trunk, RECIPE, jax.random.key(9), after).params
    moved = move(trunk, RECIPE, state, before, after, fresh, mode="fresh")
    train = rows(2, 50)
    pair = trunk.apply(state.params, before, train.x), trunk.apply(moved.params, after, train.x)
    np.testing.assert_array_equal(*pair)
    order = batches(jax.random.key(1), 50, 4, 0, 2)
    later = advance(trunk, RECIPE, moved, after, train, order, jnp.full(2, 0.1))
    assert np.abs(later.params["output"]["kernel"][2:]).min() > 0


def test_batches_of_a_step_do_not_depend_on_where_a_call_begins():
    key = jax.random.key(0)
    whole = batches(key, 10, 4, 0, 9)
    np.testing.assert_array_equal(batches(key, 10, 4, 5, 4), whole[5:])
    for epoch in range(4):  # two batches an epoch, of rows that differ
        assert len(np.unique(whole[2 * epoch : 2 * epoch + 2])) == 8
    assert batches(key, 3, 8, 0, 2).shape == (2, 3)


def test_halving_keeps_what_training_to_the_end_would_give(halved, data, keys):
    """The one that is left has been trained as it would have been alone."""
    every = train_structures(CANDIDATES, data, keys=keys, recipe=RECIPE)
    for seed, chosen in enumerate(halved.chosen):
        found = halved.held[seed]
        assert np.isfinite(found).sum(axis=1).tolist() == [3, 2, 1]
        assert found[0, chosen] < np.nanmax(found[0])
        assert found[1, chosen] == np.nanmin(found[1])
        np.testing.assert_allclose(found[2, chosen], every.held[seed, chosen], rtol=1e-5)
    assert halved.cost == 1.75
    placed = jax.tree.map(lambda leaf: leaf[halved.chosen], halved.placed)
    outputs = jax.vmap(halved.trunk.apply, (0, 0, None))(halved.params, placed, data.validation.x)
    expected = every.outputs[np.arange(3), halved.chosen]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_second_run_compiles_nothing(halved, data, keys):
    """A rung is one program, whatever the rows and the keys are."""
    compiled, turned = [], keys[::-1]

    def note(event, *_, **__):
        if "backend_compile" in event:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    again = halving(CANDIDATES, data, keys=keys, recipe=RECIPE)
    np.testing.assert_array_equal(again.held, halved.held)
    halving(CANDIDATES, Splits(rows(7, 24, 2), rows(8, 10, 2)), keys=turned, recipe=RECIPE)
    assert compiled == []
    jax.jit(lambda x: x + 3)(jnp.ones(17))  # which is seen
    assert compiled


@pytest.mark.slow  # other shapes, so programs of its own
def test_a_seed_alone_decides_as_among_others(halved, data, keys):
    alone = halving(CANDIDATES, data, keys=jax.random.clone(keys)[1:2], recipe=RECIPE)
    assert alone.chosen[0] == halved.chosen[1]
    np.testing.assert_allclose(alone.held[0], halved.held[1], rtol=1e-5)


def test_the_order_of_the_candidates_decides_nothing(halved, data, keys):
    turned = halving(CANDIDATES[::-1], data, keys=keys, recipe=RECIPE)
    np.testing.assert_array_equal(2 - turned.chosen, halved.chosen)


@pytest.mark.parametrize("rungs", [((0.5, 1), (0.25, 1)), ((0.5, 2),), ((0.5, 0),), ((1.0, 1),)])
def test_rungs_that_do_not_fall_are_refused(rungs, data, keys):
    with pytest.raises(ValueError, match="rungs: expected"):
        halving(CANDIDATES, data, keys=keys, rungs=rungs)


def test_structures_of_other_tasks_are_refused(data, keys):
    with pytest.raises(ValueError, match=r"got \('a', 'c'\) and 1 in number 1"):
        halving([shared("ab", (4,)), shared("ac", (4,))], data, keys=keys)
    with pytest.raises(ValueError, match="expected validation rows"):
        halving(CANDIDATES, data._replace(validation=None), keys=keys)
    with pytest.raises(ValueError, match="rows of 3 seeds"):
        halving(CANDIDATES, data, keys=keys, stacked=True)


@pytest.fixture(scope="module")
def opposed():
    """Two tasks that one node cannot serve, and two that are one; two seeds of rows each."""
    found = {}
    for name in ("apart", "one"):
        parts = []
        for number in (200, 100):
            rng = np.random.default_rng(number)
            x = rng.normal(size=(2, number, 4)).astype(np.float32)
            y = np.tanh(3 * x[..., [0, 1 if name == "apart" else 0]])
            parts.append(Rows(x, (y + 0.3 * rng.normal(size=y.shape)).astype(np.float32)))
        found[name] = Splits(*parts)
    return found


def test_looking_ahead_takes_what_helps_and_leaves_what_does_not(opposed):
    start = shared("ab", (1,))
    options = {
        "keys": jax.random.split(jax.random.key(0), 2),
        "recipe": Recipe(steps=400, rate=0.1),
        "at": 150,
        "steps": 100,
        "stacked": True,
    }
    apart = look_ahead([start, everything(start)], opposed["apart"], **options)
    one = look_ahead([start, everything(start)], opposed["one"], **options)
    assert apart.chosen.tolist() == [1, 1]
    assert (apart.gains[:, 1] > apart.errors[:, 1]).all()
    assert one.chosen.tolist() == [0, 0]
    np.testing.assert_array_equal(apart.gains[:, 0], 0)
    assert apart.cost == 1.5
    forced = train_structures(
        [start, everything(start)],
        opposed["apart"],
        keys=options["keys"],
        recipe=options["recipe"],
        forked_at=150,
        stacked=True,
    )
    np.testing.assert_allclose(forced.held[:, 1], apart.held, rtol=1e-4)
    assert (forced.held[:, 1] < 0.8 * forced.held[:, 0]).all()


def test_growth_needs_a_fresh_optimizer(data, keys):
    start = shared("ab", (2,))
    with pytest.raises(ValueError, match='mode: expected "fresh" beside structure number 1'):
        look_ahead([start, grow(start)], data, keys=keys, at=2, recipe=RECIPE)
    with pytest.raises(ValueError, match="at: expected a step before the last of 12, got 12"):
        look_ahead([start, everything(start)], data, keys=keys, at=12, recipe=RECIPE)
    with pytest.raises(ValueError, match="expected the one to begin with"):
        look_ahead([start], data, keys=keys, at=2, recipe=RECIPE)


def test_missing_labels_and_classes_beside_numbers():
    """A row without a label has no say, whatever stands there; units make no difference."""
    loss = sliced((squared_error, softmax_cross_entropy), (1, 3), (1, 1))
    trunk, placed = place([shared("ab", (3,))], 4, (1, 3))
    own, train = member(placed, 0), rows(0, 20, 2, missing=True)
    y = np.stack([train.y[:, 0], np.arange(20) % 3], axis=1)
    params = begin(trunk, RECIPE, jax.random.key(0), own).params

    def error(y):
        return held_out(
            trunk, Recipe(loss=loss), params, own, Rows(train.x, y, jnp.asarray(train.known))
        )

    found = error(y)
    np.testing.assert_array_equal(found, error(np.where(train.known, y, 1)))
    np.testing.assert_array_equal(np.asarray(found)[~train.known.any(axis=1)], 0)
    outputs = trunk.apply(params, own, train.x)
    losses = np.asarray(loss(outputs, jnp.asarray(y)))
    nothing = np.asarray(loss(jnp.zeros_like(outputs), jnp.asarray(y)))
    shares = [
        losses[train.known[:, t], t].mean() / nothing[train.known[:, t], t].mean() for t in (0, 1)
    ]
    np.testing.assert_allclose(found.mean(), np.mean(shares), rtol=1e-5)
    order = batches(jax.random.key(0), 20, 4, 0, 3)
    state = advance(
        trunk,
        Recipe(loss=loss),
        State(params, optax.adam(1.0).init(params)),
        own,
        Rows(train.x, y, jnp.asarray(train.known)),
        order,
        jnp.full(3, 0.01),
    )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


@pytest.mark.slow  # other shapes, so programs of its own
def test_folds_of_unequal_size_decide_together():
    found = cross_validated(
        CANDIDATES,
        rows(0, 23, 2, missing=True),
        np.array_split(np.arange(23), 3),
        key=jax.random.key(0),
        recipe=RECIPE,
    )
    assert found.held.shape == (3, 3)
    assert found.chosen == np.argmin(found.held.mean(axis=0))
    others = [np.argmin(np.delete(found.held, fold, axis=0).mean(axis=0)) for fold in range(3)]
    assert found.of_folds.tolist() == others
    with pytest.raises(ValueError, match="folds: expected at least two"):
        cross_validated(CANDIDATES, rows(0, 9, 2), [np.arange(9)], key=jax.random.key(0))
