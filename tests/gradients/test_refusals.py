"""What no engine differentiates is refused in words."""

import jax.numpy as jnp
import pytest
from refused import check_refused

from jaxmtl.gradients import SplitLoss
from jaxmtl.gradients.loss import check_arguments, gives_aux, loss_vector, split_aux
from jaxmtl.gradients.stacked import num_tasks
from jaxmtl.gradients.tasks import check_parameters


def of_params_and_batch(params, batch):
    return params * batch


def a_module_with_statistics():
    nnx = pytest.importorskip("flax.nnx")
    return nnx.BatchNorm(2, rngs=nnx.Rngs(0))


CALLS = {
    "a loss by name that is no number": lambda: loss_vector({"a": jnp.ones(2), "b": 1.0}),
    "no losses by name": lambda: loss_vector({}),
    "no losses": lambda: loss_vector(None),
    "a list of losses": lambda: loss_vector([1.0, 2.0]),
    "a matrix of losses": lambda: loss_vector(jnp.ones((2, 3))),
    "an empty vector": lambda: loss_vector(jnp.ones(0)),
    "whole numbers": lambda: loss_vector(jnp.arange(2)),
    "no function": lambda: check_arguments(3.0, (), {}),
    "an argument too many": lambda: check_arguments(of_params_and_batch, (1,), {}),
    "no pair": lambda: split_aux(jnp.ones(2), True, "loss_fn", "losses"),
    "three parts": lambda: split_aux((1, 2, 3), True, "loss_fn", "losses"),
    "aux asked for beside a split loss": lambda: gives_aux(SplitLoss(min, max), True),
    "no gradients": lambda: num_tasks({}),
    "a gradient without tasks": lambda: num_tasks({"w": jnp.float32(1)}),
    "gradients of whole numbers": lambda: num_tasks({"w": jnp.arange(2)}),
    "gradients of other tasks": lambda: num_tasks({"a": jnp.ones(2), "b": jnp.ones(3)}),
    "a name among parameters": lambda: check_parameters({"w": jnp.ones(2), "act": "relu"}),
    "a counter among parameters": lambda: check_parameters({"w": jnp.ones(2), "n": jnp.arange(2)}),
    "a Python number among parameters": lambda: check_parameters({"w": 1}),
    "statistics of nnx": lambda: check_parameters(a_module_with_statistics()),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case):
    check_refused(CALLS[case])
