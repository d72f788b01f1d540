"""Shapes of settings, batches and Gram matrices that do not go together are refused in words."""

import jax
import jax.numpy as jnp
import pytest
from refused import check_refused

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.data_parallel import _check_batch

GRADS = {"w": jnp.ones((2, 3))}


def update(aggregator):
    aggregator.update(GRADS, aggregator.init(GRADS), key=jax.random.key(0))


CALLS = {
    "a Gram matrix that is not square": lambda: ag.upgrad().weights(jnp.ones((2, 3))),
    "leaks of other tasks": lambda: update(ag.graddrop(leak=(0.1, 0.2, 0.3))),
    "cosines of other tasks": lambda: update(ag.pcd(tau=(0.1, 0.2, 0.3))),
    "preferences of other tasks": lambda: update(ag.preferred(ag.upgrad(), (0.1, 0.2, 0.3))),
    "rows that do not divide": lambda: _check_batch({"x": jnp.ones((3, 1))}, 2, None),
    "a mask without counts": lambda: _check_batch({"known": jnp.ones((4, 1), bool)}, 2, None),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case):
    check_refused(CALLS[case])
