"""The recipes for model libraries run, learn, and take the steps that a loop by hand takes."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import QUICK
from some_cases import some

from .load import load

LIBRARIES = {
    "linen_loop": "flax.linen",
    "nnx_loop": "flax.nnx",
    "nnx_optimizer": "flax.nnx",
    "equinox_loop": "equinox",
}


@pytest.mark.parametrize("recipe", some(LIBRARIES, "equinox_loop"))
def test_losses_of_both_tasks_fall_and_are_logged(recipe, tmp_path, monkeypatch, capsys):
    pytest.importorskip(LIBRARIES[recipe])
    script, path = load(f"recipes/{recipe}"), tmp_path / "log.csv"
    monkeypatch.setattr(sys, "argv", [recipe, "--steps", "100", "--csv", str(path)])
    load("recipes/pieces").run(script.main, script.__doc__)
    assert "other images:\n{'place': " in capsys.readouterr().out

    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(100))
    losses = np.array([[float(row[f"loss/{task}"]) for task in ("place", "shape")] for row in rows])
    assert (losses[-8:].mean(axis=0) < 0.8 * losses[:8].mean(axis=0)).all()
    assert all(0 <= float(row["conflict_rate"]) <= 1 for row in rows)
    assert recipe == "nnx_optimizer" or float(rows[-1]["weight/place"]) > 0


def numbers(tree):
    """Leaves as NumPy has them; keys by their numbers."""

    def of(leaf):
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if key else leaf)

    return jax.tree.map(of, tree)


@pytest.mark.slow
def test_a_resumed_run_is_the_undisturbed_one_to_the_bit(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    main = load("recipes/resume").main
    undisturbed, log = main(tmp_path / "whole", 5, every=10)
    half, before = main(tmp_path / "parts", 3, every=10)
    resumed, after = main(tmp_path / "parts", 5, every=10)
    assert [*before, *after] == log
    assert len(after) == 2
    assert jax.tree.structure(resumed) == jax.tree.structure(undisturbed)
    found, expected, early = (
        jax.tree.leaves(numbers(carried)) for carried in (resumed, undisturbed, half)
    )
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(early, expected, strict=True))


# Every engine does it on networks that compile sooner, in tests of its own.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "engines"),
    [
        pytest.param("linen", ["several"], id="several"),
        *(
            pytest.param(recipe, ["rows", "gram", "features", "losses", "devices"], id=recipe)
            for recipe in ("linen", "nnx", "equinox")
        ),
    ],
)
def test_fifty_steps_are_those_of_a_loop_written_by_hand(recipe, engines):
    pytest.importorskip(LIBRARIES[f"{recipe}_loop"])
    script = Path(__file__).with_name("recipe_steps.py")
    done = subprocess.run(
        [sys.executable, str(script), recipe, *engines],
        env=os.environ | QUICK | {"JAX_ENABLE_X64": "1", "JAX_NUM_CPU_DEVICES": "2"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == " ".join(engines) + " as by hand\n"


@pytest.mark.slow
@pytest.mark.parametrize("library", ["linen", "nnx"])
def test_a_split_in_the_middle_changes_no_output_and_costs_what_was_copied(library, capsys):
    pytest.importorskip(f"flax.{library}")
    same, layer, found = load("recipes/split_images").main(library, steps=20)
    assert same
    assert "lock" in layer
    # Copies of channels of 3 x 3 x 12 numbers, and scale and offset of their norm.
    more = found["split"]["parameters"] - found["shared"]["parameters"]
    assert more == 4 * (3 * 3 * 12 + 2)
    assert "to the bit: True" in capsys.readouterr().out


@pytest.mark.slow
def test_a_transformer_with_missing_labels_is_split_in_its_middle():
    pytest.importorskip("equinox")
    same, layer, found = load("recipes/split_transformer").main(steps=20)
    assert same
    assert layer.startswith("blocks")
    assert found["split"]["parameters"] > found["shared"]["parameters"]
    assert all(np.isfinite(list(values.values())).all() for values in found.values())
