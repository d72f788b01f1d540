"""A decision is the same on one device and on two, in a process that has two."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import json

import jax

jax.config.update("jax_num_cpu_devices", 2)
import numpy as np

from jaxmtl.data import Rows, Splits
from jaxmtl.structure import Recipe, everything, halving, look_ahead, separate, shared

rng = np.random.default_rng(0)
x = rng.normal(size=(34, 4)).astype(np.float32)
data = Splits(Rows(x[:24], x[:24, :2] ** 2), Rows(x[24:], x[24:, :2] ** 2))
candidates = [shared("ab", (4,)), shared("ab", (2,)), separate("ab", (3,))]
options = {
    "keys": jax.random.split(jax.random.key(5), 3),
    "recipe": Recipe(steps=12, batch_size=4, rate=0.1),
}
found = {}
for number in (1, 2):
    devices = jax.devices()[:number]
    halved = halving(candidates, data, devices=devices, **options)
    start = candidates[1]
    looked = look_ahead(
        [start, everything(start)], data, at=4, steps=4, devices=devices, **options
    )
    found[number] = [
        halved.chosen.tolist(),
        np.nan_to_num(halved.held).tolist(),
        looked.chosen.tolist(),
        looked.gains.tolist(),
    ]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_devices_decide_as_one():
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    one, two = json.loads(printed).values()
    assert one[0] == two[0]
    assert one[2] == two[2]
    for place in (1, 3):
        np.testing.assert_allclose(one[place], two[place], rtol=1e-4, atol=1e-6)
