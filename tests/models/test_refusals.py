"""Networks that are not what their fields say are refused in words."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from refused import check_refused

from jaxmtl.models import Constrained, TableNet


class Wider(nn.Module):
    """Gives an output more than it says."""

    outputs: tuple[int, ...] = (1, 1)

    @nn.compact
    def __call__(self, x):
        return jnp.concatenate([x, x], axis=-1)[:, :3]


def shapes_of(network):
    jax.eval_shape(network.init, jax.random.key(0), jnp.ones((1, 2)))


CALLS = {
    "more outputs than said": lambda: shapes_of(Constrained(Wider())),
    "a column that is not there": lambda: shapes_of(TableNet(numbers=(0, 5))),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case):
    check_refused(CALLS[case])
