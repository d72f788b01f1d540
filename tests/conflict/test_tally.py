"""Evidence added up over training, against lists of what was seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl import aggregation as ag
from jaxmtl import conflict
from jaxmtl.report import plot_conflict

STEPS = 12
RATE = 0.3


def history(seed=0):
    """Gradients of three tasks at two layers, step by step, and labels of five rows."""
    rng = np.random.default_rng(seed)
    grads = {"a": rng.normal(size=(STEPS, 3, 4)), "b": rng.normal(size=(STEPS, 3, 2, 2))}
    return jax.tree.map(jnp.float32, grads), jnp.asarray(rng.random((STEPS, 5, 3)) < 0.5)


@jax.jit
def tallied(grads, known):
    first = jax.tree.map(lambda leaf: leaf[0], grads)
    tally = conflict.start_tally(jax.eval_shape(conflict.conflict_map, first))

    def step(tally, given):
        grads, known = given
        found = conflict.conflict_map(grads)
        return conflict.update_tally(tally, found, known=known, threshold=-0.1, rate=RATE), None

    return jax.lax.scan(step, tally, (grads, known))[0]


def literal(grads, known, layer, s, t):
    """Cosines and shares of the steps at which some row carries both labels."""
    seen = []
    for step in range(STEPS):
        if (known[step, :, s] & known[step, :, t]).any():
            a, b = (np.asarray(grads[layer][step, task], np.float64).ravel() for task in (s, t))
            seen.append((a @ b / np.linalg.norm(a) / np.linalg.norm(b), np.mean(a * b < 0)))
    return seen


def test_scores_are_those_of_the_list_of_what_was_seen():
    grads, known = history()
    tally = tallied(grads, known)
    for at, layer in enumerate(("a", "b")):
        for s, t in ((0, 1), (0, 2), (1, 2)):
            seen = literal(grads, np.asarray(known), layer, s, t)
            assert 0 < len(seen) < STEPS  # the mask matters
            weights = RATE * (1 - RATE) ** np.arange(len(seen))[::-1]
            mean = np.average(seen, axis=0, weights=weights)
            in_conflict = [cosine < -0.1 for cosine, _ in seen]
            runs = "".join("x" if x else " " for x in in_conflict)
            for kind, value in {
                "cosine": -mean[0],
                "opposite": mean[1],
                "below": sum(in_conflict),
                "rate": np.mean(in_conflict),
                "streak": len(runs) - len(runs.rstrip("x")),
                "longest": max(map(len, runs.split())) if "x" in runs else 0,
            }.items():
                np.testing.assert_allclose(tally.score(kind)[at, s, t], value, atol=2e-5)


def test_labels_are_counted_by_pair():
    grads, known = history()
    tally, marks = tallied(grads, known), np.asarray(known).reshape(-1, 3)
    for s, t in ((0, 1), (1, 2)):
        both, either = (marks[:, s] & marks[:, t]).sum(), (marks[:, s] | marks[:, t]).sum()
        assert tally.overlap[s, t].item() == pytest.approx(both / either)


def test_recon_counts_the_same_and_a_pair_without_labels_stays_unknown():
    grads, _ = history()
    known = jnp.ones((STEPS, 5, 3), bool)
    recon = ag.recon(threshold=-0.1)
    state = recon.init(jax.tree.map(lambda leaf: leaf[0], grads))
    for step in range(STEPS):
        _, state, _ = recon.update(jax.tree.map(lambda leaf, at=step: leaf[at], grads), state)
    tally = tallied(grads, known)
    np.testing.assert_array_equal(tally.of_layers("below"), state.scores)
    never = tallied(grads, known.at[:, :, 2].set(False))
    assert np.isnan(never.score("rate")[:, 2]).all()
    np.testing.assert_array_equal(never.of_layers("longest"), tally.score("longest")[:, 0, 1])
    assert never.overlap[0, 2] == 0
    assert never.overlap[0, 1] == 1


def test_one_program_for_all_seeds_and_scalars_by_name():
    pairs = [history(seed) for seed in range(2)]
    both = jax.vmap(tallied)(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *pairs))
    alone = tallied(*pairs[1])
    for name, value in alone.scalars("opposite").items():
        np.testing.assert_allclose(both.scalars("opposite")[name][1], value, rtol=1e-5)
    assert set(alone.scalars()) >= {"conflict/a", "conflict/b", "conflict/a/0/1"}


def test_types_are_promoted_by_nobody_but_us():
    grads, known = history()
    with jax.numpy_dtype_promotion("strict"):
        shapes = jax.eval_shape(lambda g, k: tallied.__wrapped__(g, k).scalars(), grads, known)
    assert {leaf.dtype for leaf in shapes.values()} == {jnp.dtype("float32")}


def test_what_does_not_fit_is_one_sentence():
    grads, known = history()
    found = conflict.conflict_map(jax.tree.map(lambda leaf: leaf[0], grads))
    tally = conflict.start_tally(found)
    with pytest.raises(ValueError, match=r"expected 3 tasks at the layers \['a', 'b'\], got 3 at"):
        conflict.update_tally(tally, conflict.conflict_map({"a": grads["a"][0]}))
    with pytest.raises(ValueError, match=r"known: expected shape \(rows, 3\), got \(5, 2\)"):
        conflict.update_tally(tally, found, known=known[0, :, :2])
    with pytest.raises(ValueError, match="kind: "):
        tally.score("angle")


def test_a_picture_has_a_row_a_layer_and_a_moment_a_column():
    grads, known = history()
    tally = tallied(grads, known)
    moments = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), tally)
    over_time = plot_conflict(moments, "cosine", steps=[5, 10, 15, 20])
    layers, pairs = over_time.axes[:2]
    assert [text.get_text() for text in layers.get_yticklabels()] == ["a", "b"]
    shown = layers.collections[0].get_array()
    np.testing.assert_allclose(shown, np.tile(tally.of_layers("cosine"), (4, 1)).T, rtol=1e-6)
    expected = np.nanmean(tally.score("cosine"), axis=0)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(np.asarray(pairs.images[0].get_array())[off], expected[off])
    with pytest.raises(ValueError, match="steps: expected 4 numbers"):
        plot_conflict(moments, steps=[1])
    with pytest.raises(ValueError, match="got 2 axes before the layers"):
        plot_conflict(jax.tree.map(lambda leaf: leaf[None], moments))


def test_a_map_is_drawn_as_the_tally_of_it():
    grads = {"a": jnp.array([[1.0, 2.0], [-1.0, 1.0]]), "b": jnp.array([[1.0], [2.0]])}
    found = conflict.conflict_map(grads)
    counted = conflict.update_tally(conflict.start_tally(found), found)
    shown = [
        plot_conflict(one, "cosine").axes[0].collections[0].get_array() for one in (found, counted)
    ]
    np.testing.assert_array_equal(*shown)
    labels = [plot_conflict(one).axes[-1].get_ylabel() for one in (found, counted)]
    assert labels == [
        "share in conflict",
        "share of updates in conflict",
    ]


def test_a_repr_names_the_pair_that_stands_out_and_bears_what_is_no_array():
    grads, known = history()
    last = jax.tree.map(lambda leaf: leaf[-1], grads)
    found = conflict.conflict_map(last, names=("u", "v", "w"))
    assert repr(found).startswith("ConflictMap(2 layers, 3 tasks; least cosine -")
    said = repr(found).partition(": ")[2]
    s, t = ("uvw".index(name) for name in said[:7].split(" and "))
    layer = "ab".index(said[-2])
    assert found.cosines[layer, s, t] == np.nanmin(np.asarray(found.cosines))
    tally = tallied(grads, known)
    assert repr(tally).startswith("Tally(2 layers, 3 tasks; largest share of updates in conflict ")
    stacked = jax.tree.map(lambda leaf: leaf[None], found)
    assert "3 tasks, axes (1,) in front; least" in repr(stacked)
    for nothing in (conflict.start_tally(found), jax.eval_shape(conflict.start_tally, found)):
        assert repr(nothing) == "Tally(2 layers, 3 tasks)"
    assert repr(jax.tree.map(lambda leaf: None, found)) == "ConflictMap(2 layers)"

    @jax.jit
    def inside(found):
        told.extend([repr(found), repr(tally)])
        return found

    told = []
    inside(found)
    assert told == ["ConflictMap(2 layers, 3 tasks)", repr(tally)]
