"""Arms of one's own: a network, or what combines the gradients of the tasks, by a given name."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmtl.aggregation import Aggregator
from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.arms import find_arm, fits_tasks
from jaxmtl.methods.study.bench import Bench
from jaxmtl.methods.study.restarts import RESTARTS
from jaxmtl.training import as_network
from jaxmtl.training.network import Network
from jaxmtl.training.phased.combining import Combiner, check_combining


def own_arm(name: str, value: Any, num_tasks: int) -> Arm:
    """An arm out of what a user gave.

    Args:
        name: that the user gave.
        value: an ``Arm``, or the name of one; a network, as for ``as_network``; an aggregator or
            loss method, which stands on hard sharing with the adaptive run's schedule; or a pair of
            an arm or network and such a method.
        num_tasks: number of targets.

    Returns:
        The arm, which goes by the given name.

    Raises:
        ValueError: something else, or a method that needs more tasks.

    Example:
        >>> from jaxmtl import aggregation as ag
        >>> own_arm("mine", ag.cagrad(c=0.2), 2).name
        'mine'
    """
    if isinstance(value, Combiner):
        value = (RESTARTS, value)
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Combiner | str)):
        arm = _base(name, value)
        return arm._replace(name=name, run=lambda bench: arm.run(bench.called(name)))
    first, method = value
    check_combining(method)
    if isinstance(method, Aggregator):
        why = fits_tasks(lambda _name, _tasks: method, name, num_tasks)
        if why is not None:
            raise ValueError(f"arms: {name!r} does not go with these targets: {why}")
    base = _base(name, first)
    return base._replace(
        name=name,
        description=f"{base.description}; task gradients combined by a method of one's own",
        run=lambda bench: base.run(bench.combined_by(method).called(name)),
    )


def _base(name: str, value: Any) -> Arm:
    """What is trained, without a method to combine gradients."""
    if isinstance(value, Arm):
        return value
    if isinstance(value, str):
        return find_arm(value)
    try:
        network = as_network(value)
    except ValueError as error:
        raise ValueError(f"arms: {name!r}: {error}") from error
    kind = getattr(value, "__name__", type(value).__name__)
    return Arm(name, f"the network {kind}, given by hand", lambda bench: _run(bench, name, network))


def _run(bench: Bench, name: str, network: Network) -> Fitted:
    if network.has_values and len(bench.keys) > 1:
        raise ValueError(
            f"arms: {name!r} brings its initial values, so that all seeds would start alike; give "
            "a function from a key to the model instead, such as lambda key: Net(nnx.Rngs(key))"
        )
    x = jax.ShapeDtypeStruct((2, *bench.data.x.shape[1:]), jnp.float32)

    def outputs_of(x: jax.Array) -> jax.Array:
        return network.apply(*network.init(jax.random.key(0), x), x).outputs

    try:
        outputs = jax.eval_shape(outputs_of, x)
    except (TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise ValueError(f"arms: {name!r} does not take {x.shape[1]} features: {said}") from error
    if outputs.shape != (2, bench.num_tasks):
        raise ValueError(
            f"arms: expected {name!r} to have one output for each of {bench.num_tasks} targets, "
            f"got outputs of shape {outputs.shape} for 2 rows"
        )
    return bench.fitted(network, bench.run(name, network, bench.same_schedule))
