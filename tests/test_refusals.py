"""What the modules beside the packages refuse."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
import pytest
from refused import check_refused

from jaxmtl._modes import check_factory, check_optimizer, take_step
from jaxmtl._options.declare import Options, declared
from jaxmtl._options.read import check_names
from jaxmtl._options.text import parse_sizes
from jaxmtl._validate import check_static
from jaxmtl.data.options import ReadingOptions


def step_with(optimizer, value=None):
    params = jnp.ones(2)
    take_step(optimizer, params, optimizer.init(params), params, value=value)


def needing(*names):
    """An optimizer whose update cannot do without arguments of these names."""

    def update(updates, state, params=None, *, value_fn, **extra):
        raise AssertionError("never called")

    def update_with_more(updates, state, params=None, *, curvature, **extra):
        raise AssertionError("never called")

    chosen = update if names == ("value_fn",) else update_with_more
    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), chosen)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Undeclared(Options):
    nodes: int = 3


CALLS = {
    "no optimizer": lambda: check_optimizer(3),
    "an optimizer not called": lambda: check_optimizer(optax.adam),
    "an optimizer for a factory": lambda: check_factory(optax.adam(0.1)),
    "a number for a factory": lambda: check_factory(0.1),
    "a line search without the function": lambda: step_with(needing("value_fn"), jnp.ones(())),
    "sharpness without the function": lambda: step_with(
        optax.contrib.sam(optax.adam(0.1), optax.sgd(0.1), opaque_mode=True), jnp.ones(())
    ),
    "an optimizer that needs what nobody gives": lambda: step_with(needing("curvature")),
    "sizes in words": lambda: parse_sizes("--nodes", "eight"),
    "a size of none": lambda: parse_sizes("--nodes", "8,0"),
    "a traced setting": lambda: jax.jit(lambda k: check_static("k", k))(1),
    "an option without a declaration": lambda: declared(Undeclared),
    "an option that there is not": lambda: check_names(["decimel"], ReadingOptions),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case):
    check_refused(CALLS[case])
