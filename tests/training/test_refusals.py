"""Checkpoints, members and networks that are not what is asked for are refused in words."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from refused import check_refused

from jaxmtl.files.arrays import read_arrays, write_arrays
from jaxmtl.models import SoftSharing
from jaxmtl.training.driver.store import Store
from jaxmtl.training.kinds.views import view_network
from jaxmtl.training.phased.runs import Runs
from jaxmtl.training.sweep import _start_all

TREE = {"x": np.arange(3.0)}


class Two:
    def __len__(self):
        return 2


def other_numbers(place):
    store = Store(place, {"options": 1}, resume=False)
    store.save(3, TREE)
    arrays = read_arrays(store._path(3))
    write_arrays(store._path(3), {**arrays, "0": arrays["0"] + 1})
    store.load(TREE)


CALLS = {
    "a checkpoint of other numbers": other_numbers,
    "a network with penalties": lambda place: view_network(SoftSharing(), {}, jnp.ones((1, 2))),
    "a network that does not say how many tasks": lambda place: view_network(
        nn.Dense(2), {}, jnp.ones((1, 2))
    ),
    "a member too many": lambda place: Runs.__getitem__(Two(), 2),
    "one start for many members": lambda place: _start_all(
        types.SimpleNamespace(has_values=True),
        jax.random.split(jax.random.key(0), 2),
        jnp.ones((1, 2)),
        None,
        stacked=False,
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case, tmp_path):
    check_refused(lambda: CALLS[case](tmp_path))
