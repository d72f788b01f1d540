"""What does not go with the pointers, or is not known in time, is refused in words."""

import jax
import jax.numpy as jnp
import pytest
from refused import check_refused

from jaxmtl.sharing import compact, enlarge, open_banks, staged, view_losses

PARAMS = {"w": jnp.ones((4, 2)), "scale": jnp.ones(2)}
STATS = {"mean": jnp.ones(2)}
GROUPS = {"units": [("w", 1), ("scale", 0), ("mean", 0)]}


def opened(groups=GROUPS, others=(STATS,)):
    return open_banks(PARAMS, groups, num_tasks=2, others=others)


def traced(function):
    """A function of pointers, within a program."""
    return jax.jit(lambda pointers: function(pointers))(opened()[1])


def losses_of_three(params, h, batch):
    return jnp.stack([h.sum()] * 3)


CALLS = {
    "statistics of another size": lambda: enlarge({"mean": jnp.ones(3)}, opened()[1]),
    "compact within a program": lambda: traced(lambda pointers: compact(opened()[0], pointers)),
    "staged within a program": lambda: traced(
        lambda pointers: staged([("w", lambda params, x: x)], losses_of_three, pointers)
    ),
    "losses of other tasks": lambda: staged(
        [("w", lambda params, x: x @ params["w"])], losses_of_three, opened()[1]
    )(opened()[0], jnp.ones((3, 4))),
    "a part that is a number": lambda: opened({"units": [3]}),
    "slices along two axes": lambda: opened(
        {"rows": [("w", 0, (1, 0))], "columns": [("w", 1, (0, 0))]}, ()
    ),
    "no statistics": lambda: view_losses(lambda params, batch, stats: batch, has_stats=True)(
        opened()[0], 1.0, opened()[1]
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case):
    check_refused(CALLS[case])
