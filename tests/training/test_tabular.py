"""Training on tables: equal to a loop written by hand, fold by fold, in one program."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.data.folds import Data, Folds
from jaxmtl.data.splits import SplitIndices
from jaxmtl.losses import loss_of
from jaxmtl.methods import Work
from jaxmtl.methods.straight_line import StraightLine
from jaxmtl.methods.table_networks import TableNetworks
from jaxmtl.models import TableNet
from jaxmtl.models.table_net import _kept, _mish
from jaxmtl.tasks import number_tasks
from jaxmtl.training.as_network import as_network
from jaxmtl.training.tabular import Scaling, TableRows, train_table
from jaxmtl.training.tabular.epoch import Member, Options, advance_all, begin, epoch
from jaxmtl.training.tabular.schedule import batch_for, epochs_for, marks_of

pytestmark = pytest.mark.few_optimizations

RNG = np.random.default_rng(0)
ROWS, EPOCHS = 70, 6
X = RNG.normal(size=(ROWS, 3)).astype(np.float32)
Y = np.stack([X[:, 0] * X[:, 1], X[:, 2] + 5], axis=1).astype(np.float32)
KNOWN = RNG.random((ROWS, 2)) < 0.8
FOLDS = [np.arange(0, 66), np.arange(5, ROWS)]  # 66 and 65 rows: equally many updates
SCALING = Scaling(np.array([[0.0, 5.0], [0.1, 4.9]]), np.array([[1.0, 2.0], [1.1, 1.9]]))
TASKS = number_tasks(["a", "b"])
LOSS = loss_of(TASKS)
NETWORK = as_network(TableNet(outputs=(1, 1), hidden=(4, 4), dropout=0.0, line=True))


def fold_keys():
    return jax.random.split(jax.random.key(3), 2)


def train(network=NETWORK, folds=FOLDS, keys=None, scaling=SCALING, **options):
    keys = fold_keys() if keys is None else keys
    rows = TableRows(X, np.where(KNOWN, Y, np.float32(0)), KNOWN)
    given = {"loss": LOSS, "scaling": scaling, "rate": 0.05, "epochs": EPOCHS} | options
    return train_table(network, rows, folds, keys, **given)


@functools.cache
def trained():
    return train()


# Compiled once; operation by operation they take longer.
begun = jax.jit(NETWORK.init)


@jax.jit
@jax.grad
def slopes(params, x, y, known):
    off = (NETWORK.apply(params, None, x).outputs - y) ** 2
    return ((off * known).sum(axis=0) / known.sum(axis=0)).sum()


def by_hand(fold, key, offset, scale):
    """A fold of ``train``, one update after the other, Adam spelled out."""
    start, own = jax.random.split(key)
    drawn = np.resize(np.random.default_rng(0).permutation(fold), 1024)
    params, _ = begun(start, X[drawn])
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    tree = jax.tree.structure(params)
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(params)]
    mean, square = ([np.zeros_like(leaf) for leaf in leaves] for _ in range(2))
    size, updates, step, kept = 32, 2, 0, []

    for passed in range(EPOCHS):
        order_key, _ = jax.random.split(jax.random.fold_in(own, passed))
        drawn = np.asarray(jax.random.uniform(order_key, (66,)))[: len(fold)]
        order = fold[np.argsort(drawn)]
        for number in range(updates):
            rows = order[number * size : (number + 1) * size]
            y = ((Y[rows] - offset) / scale).astype(np.float32)
            single = jax.tree.unflatten(tree, [leaf.astype(np.float32) for leaf in leaves])
            known = KNOWN[rows].astype(np.float32)
            gradient = jax.tree.leaves(slopes(single, X[rows], y, known))
            share = (step + 0.5) / (EPOCHS * updates)
            rate = 0.05 * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * share))) / 2
            step += 1
            for i, (name, g) in enumerate(zip(names, gradient, strict=True)):
                g = np.asarray(g, np.float64)
                mean[i] = 0.9 * mean[i] + 0.1 * g
                square[i] = 0.95 * square[i] + 0.05 * g**2
                up = mean[i] / (1 - 0.9**step)
                up /= np.sqrt(square[i] / (1 - 0.95**step)) + 1e-8
                slow = any(word in name for word in ("bias", "share", "waves"))
                factor = 0 if "line" in name else 0.1 if slow else 6 if "'scale'" in name else 1
                decay = 0.02 if any(w in name for w in ("kernel", "mixture", "frequency")) else 0
                leaves[i] = leaves[i] - rate * (factor * up + decay * leaves[i])
        if passed + 1 in (1, 3, 6):
            kept.append(list(leaves))
    return dict(zip(names, zip(*kept, strict=True), strict=True))


def test_a_fold_is_the_loop_written_by_hand():
    found = trained()
    assert found.marks == (1, 3, 6)
    assert found.epochs.tolist() == [EPOCHS] * 2
    flat = jax.tree_util.tree_leaves_with_path(found.params)
    for k, fold in enumerate(FOLDS):
        expected = by_hand(fold, fold_keys()[k], SCALING.offset[k], SCALING.scale[k])
        for path, leaf in flat:
            hand = np.stack(expected[jax.tree_util.keystr(path)])
            np.testing.assert_allclose(leaf[k], hand, rtol=2e-3, atol=2e-4)


def test_a_fold_is_what_it_is_beside_any_other_and_nothing_is_compiled_twice():
    both = trained()
    before = advance_all._cache_size()
    again = train()
    other = train(
        folds=[np.arange(2, 68), FOLDS[1]],
        keys=jax.random.clone(jnp.stack([jax.random.key(9), fold_keys()[1]])),
    )
    assert advance_all._cache_size() == before
    for first, second in zip(*map(jax.tree.leaves, (both, again)), strict=True):
        np.testing.assert_array_equal(first, second)
    for first, beside in zip(*map(jax.tree.leaves, (both.params, other.params)), strict=True):
        np.testing.assert_array_equal(beside[1], first[1])
    assert (other.params["output"]["kernel"][0] != both.params["output"]["kernel"][0]).any()


@pytest.mark.slow
def test_a_fold_alone_is_what_it_is_beside_others():
    both = trained()
    alone = train(folds=FOLDS[1:], keys=fold_keys()[1:], scaling=Scaling(*(s[1:] for s in SCALING)))
    for first, one in zip(*map(jax.tree.leaves, (both, alone)), strict=True):
        if np.shape(one) != np.shape(first):
            np.testing.assert_allclose(one[0], first[1], rtol=2e-4, atol=2e-5)


def test_a_line_is_left_as_it_is_set():
    def start(params):
        return {**params, "line": jax.tree.map(lambda leaf: leaf + 0.5, params["line"])}

    found = train(start=start).params
    assert all((leaf == 0.5).all() for leaf in jax.tree.leaves(found["line"]))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(trained().params["line"]))


def test_a_network_on_a_line_starts_as_that_line():
    data = Data(x=X.astype(float), y=Y.astype(float), known=KNOWN, tasks=TASKS)
    folds = Folds(
        parts=tuple(
            SplitIndices(np.setdiff1d(np.arange(ROWS), np.arange(k, ROWS, 2)), np.zeros(0, int), t)
            for k, t in enumerate((np.arange(0, ROWS, 2), np.arange(1, ROWS, 2)))
        )
    )
    method = TableNetworks(line=True, plain=True, hidden=(4,), epochs=1)
    found = method.fit(data, folds, fold_keys(), Work())
    lines = StraightLine().fit(data, folds, None, Work())
    for model, line in zip(found.models, lines.models, strict=True):
        own = {name: a for name, a in model.arrays().items() if "line" in name}
        slopes, intercept = (next(a for n, a in own.items() if w in n) for w in ("slopes", "inter"))
        given = X @ slopes * model.scale + intercept * model.scale + model.offset
        np.testing.assert_allclose(given, line.predict(X), rtol=1e-4, atol=1e-4)


def test_dropout_drops_its_share_of_every_layer_and_keeps_the_mean():
    kept = _kept(jax.random.key(0), 500, (30, 7), 0.1)
    for factors, size in zip(kept, (30, 7), strict=True):
        assert factors.shape == (500, size)
        assert set(np.unique(factors)) == {np.float32(0), np.float32(256 / 230)}
        assert abs(float((factors == 0).mean()) - 26 / 256) < 0.015
    assert abs(float(np.corrcoef(kept[0][:, 0], kept[0][:, 1])[0, 1])) < 0.15


def test_mish_is_mish_with_its_slope():
    x = jnp.array([-200.0, -30.0, -2.0, 0.0, 1.0, 19.9, 20.1, 1e4])
    np.testing.assert_allclose(_mish(x), jax.nn.mish(x), rtol=1e-5, atol=1e-12)
    slopes = jax.vmap(jax.grad(_mish))(x)
    np.testing.assert_allclose(slopes, jax.vmap(jax.grad(jax.nn.mish))(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 20, 63, 64, 300, 5000, 10**6])
def test_there_is_a_batch_and_an_epoch_for_any_number_of_rows(rows):
    assert 1 <= batch_for(rows) <= rows
    assert marks_of(epochs_for(rows))[-1] == epochs_for(rows) >= 16


def test_in_little_time_there_are_few_epochs_and_in_enough_all():
    assert train(seconds=0.0, epochs=40).marks == marks_of(15)
    long = train(seconds=1e6)
    for first, second in zip(*map(jax.tree.leaves, (trained(), long)), strict=True):
        np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="no checkpoint beside it"):
        train(seconds=1.0, checkpoint="somewhere")


def test_an_epoch_lowers_for_gpu_and_tpu():
    options = Options(loss=LOSS, batch_size=32, updates=2)
    data = TableRows(X, np.where(KNOWN, Y, np.float32(0)), KNOWN)
    member = Member(
        rows=FOLDS[1].astype(np.int32),
        number=np.int32(65),
        offset=np.zeros(2, np.float32),
        scale=np.ones(2, np.float32),
        epochs=np.int32(3),
        marks=np.array([1, 2, 3], np.int32),
    )
    network = as_network(TableNet(outputs=(1, 1), hidden=(4,)))

    def one(key, data, member):
        start, own = jax.random.split(key)
        state = begin(network.init(start, data.x)[0], own, 3)
        return epoch(network, options, state, data, member)[1]

    exported = jax.export.export(jax.jit(one), platforms=["cuda", "tpu"])(
        jax.random.key(0), data, member
    )
    assert exported.platforms == ("cuda", "tpu")
