"""A decision is the same on one device and on two, of a seed alone, and without compiling."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from quick import QUICK

SCRIPT = """
import json

import jax

jax.config.update("jax_num_cpu_devices", 2)
import numpy as np

from jaxmtl import structure as js
from jaxmtl.data import Rows, Splits

rng = np.random.default_rng(0)
x = rng.normal(size=(34, 4)).astype(np.float32)
y = x[:, :2] ** 2
data = Splits(Rows(x[:24], y[:24]), Rows(x[24:], y[24:]))
candidates = [js.shared("ab", (4,)), js.shared("ab", (2,)), js.separate("ab", (3,))]
start = candidates[1]
keys = jax.random.split(jax.random.key(5), 3)
folds = np.array_split(np.arange(34), 3)


def decisions(keys, steps=12, **options):
    recipe = js.Recipe(steps=steps, batch_size=4, rate=0.1)
    at = steps // 3
    halved = js.halving(candidates, data, keys=keys, recipe=recipe, **options)
    looked = js.look_ahead(
        [start, js.everything(start)], data, keys=keys, at=at, steps=at, recipe=recipe, **options
    )
    crossed = js.cross_validated(
        candidates, Rows(x, y), folds, key=jax.random.key(7), recipe=recipe, **options
    )
    return {
        "halving": [halved.chosen.tolist(), np.nan_to_num(halved.held).tolist()],
        "look_ahead": [looked.chosen.tolist(), looked.gains.tolist()],
        "cross_validated": [[crossed.chosen, *crossed.of_folds.tolist()], crossed.held.tolist()],
    }


found = {number: decisions(keys, devices=jax.devices()[:number]) for number in (1, 2)}
found["alone"] = decisions(keys[1:2])
found["short"] = decisions(keys[:1], 4)
with jax.disable_jit():
    found["operation by operation"] = decisions(keys[:1], 4)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | QUICK | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    return json.loads(printed)


@pytest.mark.slow
@pytest.mark.parametrize("decision", ["halving", "look_ahead", "cross_validated"])
@pytest.mark.parametrize(
    ("one", "other"), [("1", "2"), ("1", "alone"), ("short", "operation by operation")]
)
def test_a_decision_is_the_same(found, decision, one, other):
    (chosen, numbers), (as_chosen, as_numbers) = (found[way][decision] for way in (one, other))
    if other == "alone" and decision != "cross_validated":  # the second seed
        chosen, numbers = chosen[1:2], numbers[1:2]
    assert chosen == as_chosen
    np.testing.assert_allclose(numbers, as_numbers, rtol=1e-4, atol=1e-6)
