"""Maps of conflict against loops over entries, and what they may not be asked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl import aggregation as ag
from jaxmtl import conflict, task_gradients

RNG = np.random.default_rng(0)
GRADS = {
    "conv": {"kernel": RNG.normal(size=(3, 2, 2, 1, 4)), "bias": RNG.normal(size=(3, 4))},
    "top": {"kernel": np.round(RNG.normal(size=(3, 4, 2)))},  # with zeros
}
GRADS = jax.tree.map(lambda leaf: leaf.astype(np.float32), GRADS)
LABELS = {"conv": {"kernel": "k", "bias": "b"}, "top": "k"}


def literal(rows):
    """Norms, cosines and shares of opposite signs of a list of vectors, entry by entry."""
    rows = [np.asarray(row, np.float64).ravel() for row in rows]
    norms = [np.sqrt(sum(x * x for x in row)) for row in rows]
    cosines, opposite = np.full((2, len(rows), len(rows)), np.nan)
    for s, a in enumerate(rows):
        for t, b in enumerate(rows):
            if norms[s] and norms[t]:
                cosines[s, t] = sum(a * b) / norms[s] / norms[t]
            pairs = [(x, y) for x, y in zip(a, b, strict=True) if x and y]
            if pairs:
                opposite[s, t] = np.mean([x * y < 0 for x, y in pairs])
    return norms, cosines, opposite


def assert_layer(found, at, rows):
    norms, cosines, opposite = literal(rows)
    np.testing.assert_allclose(found.norms[at], norms, rtol=1e-5)
    np.testing.assert_allclose(found.cosines[at], cosines, atol=1e-5)
    np.testing.assert_allclose(found.opposite[at], opposite, atol=1e-6)


def compiled(call, *args):
    """One program: operation by operation it takes longer."""
    return jax.jit(call)(*args)


def rows_of(*leaves):
    return [np.concatenate([leaf[t].ravel() for leaf in leaves]) for t in range(3)]


@pytest.mark.parametrize(
    ("prefix", "layers", "parts"),
    [
        (1, ("conv", "top"), [("bias", "kernel"), ("top",)]),
        (None, ("conv/bias", "conv/kernel", "top/kernel"), [("bias",), ("kernel",), ("top",)]),
        (0, ("all",), [("bias", "kernel", "top")]),
        (
            {"conv": {"kernel": "k", "bias": "b"}, "top": "k"},
            ("b", "k"),
            [("bias",), ("kernel", "top")],
        ),
    ],
    ids=["layers", "leaves", "network", "labels"],
)
def test_a_map_is_what_a_loop_over_entries_finds(prefix, layers, parts):
    named = {**GRADS["conv"], "top": GRADS["top"]["kernel"]}
    found = compiled(lambda grads: conflict.conflict_map(grads, prefix), GRADS)
    assert found.layers == layers
    for at, part in enumerate(parts):
        assert_layer(found, at, rows_of(*(named[name] for name in part)))


def test_units_are_columns_channels_and_their_biases():
    found, inputs = compiled(
        lambda grads: (
            conflict.unit_map(grads, {"conv/kernel": -1, "conv/bias": 0}),
            conflict.unit_map(grads, {"top/kernel": 0}),
        ),
        GRADS,
    )
    assert found.layers == ("0", "1", "2", "3")
    for unit in range(4):
        rows = rows_of(
            GRADS["conv"]["kernel"][..., unit : unit + 1], GRADS["conv"]["bias"][:, unit:][:, :1]
        )
        assert_layer(found, unit, rows)
    assert_layer(inputs, 3, [GRADS["top"]["kernel"][t, 3] for t in range(3)])


def test_who_does_not_read_or_is_not_present_says_nothing():
    reads = np.array([[True, True], [True, False], [False, True]])
    found = compiled(lambda g: conflict.unit_map(g, {"top/kernel": 1}, readers=reads), GRADS)
    assert np.isnan(found.cosines[0, :, 2]).all()
    assert np.isfinite(found.cosines[0, 0, 1])
    assert np.isnan(found.norms[1, 1])
    assert np.isfinite(found.cosines[1, 0, 2])

    @jax.jit
    def with_rate(grads, present=None):
        found = conflict.conflict_map(grads, present=present)
        return found, found.conflict_rate()

    absent, rate = with_rate(GRADS, np.array([True, False, True]))
    kept, rate_kept = with_rate(jax.tree.map(lambda leaf: leaf[::2], GRADS))
    np.testing.assert_allclose(absent.cosines[:, ::2, ::2], kept.cosines, rtol=1e-6)
    np.testing.assert_array_equal(rate, rate_kept)
    assert (np.diagonal(kept.cosines, axis1=1, axis2=2) == 1).all()
    _, alone = with_rate(GRADS, np.array([True, False, False]))
    assert np.isnan(alone).all()


def test_size_changes_no_cosine_and_nan_is_seen():
    mapped = jax.jit(conflict.conflict_map)
    plain = mapped(GRADS)
    for scale in (1e-30, 1e30):
        scaled = mapped(jax.tree.map(lambda leaf, s=scale: leaf * s, GRADS))
        np.testing.assert_allclose(scaled.cosines, plain.cosines, atol=1e-6)
        np.testing.assert_allclose(scaled.norms, plain.norms * scale, rtol=1e-5)
    broken = {**GRADS, "top": {"kernel": GRADS["top"]["kernel"].copy()}}
    broken["top"]["kernel"][1, 0, 0] = np.nan
    found = mapped(broken)
    assert np.isnan(found.cosines[1, 1]).all()
    assert np.isfinite(found.cosines[1, 0, 2])
    np.testing.assert_array_equal(found.cosines[0], plain.cosines[0])


def test_pairs_in_conflict_are_those_of_recon():
    for threshold in (0.0, -0.2):
        rate = conflict.conflict_map(GRADS).conflict_rate(threshold)
        scores = list(ag.conflict_scores(GRADS, threshold=threshold).values())
        np.testing.assert_allclose(rate * 3, scores, atol=1e-6)


def test_maps_go_through_vmap_and_scan_and_name_their_numbers():
    def loss_fn(params, batch):
        return ((jnp.tanh(batch[0] @ params["trunk"]) @ params["top"] - batch[1]) ** 2).mean(axis=0)

    keys = jax.random.split(jax.random.key(0), 4)
    params = {
        "trunk": jax.random.normal(keys[0], (2, 3, 4)),
        "top": jax.random.normal(keys[1], (2, 4, 2)),
    }
    batch = jax.random.normal(keys[2], (8, 3)), jax.random.normal(keys[3], (8, 2))

    def look(params):
        return conflict.conflict_map(task_gradients(loss_fn)(params, batch)[1], names=("a", "b"))

    found = jax.jit(jax.vmap(look))(params)
    assert found.cosines.shape == (2, 2, 2, 2)
    scalars = found.scalars()
    assert set(scalars) == {
        *(f"norm/{layer}/{task}" for layer in ("top", "trunk") for task in "ab"),
        *(f"{field}/{layer}/a/b" for field in ("cosine", "opposite") for layer in ("top", "trunk")),
    }
    one = compiled(look, jax.tree.map(lambda leaf: leaf[1], params))
    np.testing.assert_allclose(scalars["cosine/trunk/a/b"][1], one.cosines[1, 0, 1], rtol=1e-5)
    assert np.isfinite(one.norm_ratios).all()
    assert (one.norm_ratios <= 1).all()


ONES = np.ones((2, 3))
WRONG = [
    ([{"a": ONES, "b": np.ones((3, 3))}], {}, r"\['b'\].*expected 2 tasks"),
    ([{"a": np.ones((2, 3), int)}], {}, "floating type"),
    ([GRADS, {"conv": 0}], {}, "prefix: expected a prefix"),
    ([GRADS], {"names": ("a", "b")}, "names: expected one for each of 3"),
]
WRONG_UNITS = [
    ({}, None, "axes: expected the path"),
    ({"convolution/kernel": 0}, None, "got 'convolution/kernel'.*'conv/bias'"),
    ({"conv/bias": 1}, None, r"axes\['conv/bias'\]: expected an axis .*\(4,\), got 1"),
    ({"conv/bias": 0, "top/kernel": 1}, None, "expected 4 units, as in 'conv/bias', got 2"),
    ({"conv/bias": 0}, np.ones((3, 5), bool), r"3 tasks.* 4 units, got shape \(3, 5\)"),
]


@pytest.mark.parametrize(("args", "given", "sentence"), WRONG)
def test_what_is_no_map_is_one_sentence(args, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        conflict.conflict_map(*args, **given)


@pytest.mark.parametrize(("axes", "readers", "sentence"), WRONG_UNITS)
def test_what_are_no_units_is_one_sentence(axes, readers, sentence):
    with pytest.raises(ValueError, match=sentence):
        conflict.unit_map(GRADS, axes, readers=readers)


def test_a_pair_that_moves_no_number_together_is_in_no_conflict_and_in_no_mean():
    heads = jnp.array([[[1.0, 0.0], [2.0, 0.0]], [[0.0, 3.0], [0.0, 1.0]]])  # a column a task
    found = conflict.conflict_map({"trunk": jnp.array([[1.0], [-1.0]]), "heads": heads})
    at = found.layers.index("heads")
    assert np.isnan(found.cosines[at, 0, 1])
    assert found.products[at, 0, 1] == 0
    tally = conflict.update_tally(conflict.start_tally(found), found)
    assert np.isnan(tally.of_layers()[at])
    assert tally.of_layers()[1 - at] == 1
