"""The one place that finds out what a model can do."""

import inspect
from typing import Any

from jaxmtl.training.network import Network


def as_network(model: Any) -> Network:
    """The network of a model of any library.

    - **flax.linen**: parameters are the collection ``params``; the others, such as ``batch_stats``,
      are state. An argument ``train`` or ``deterministic`` of ``__call__`` is set, and dropout gets
      its key. A class with ``has_penalties = True`` sows what it adds to the loss in
      ``"penalties"``; ``shared_parameters(params, head_index)`` says which parameters several tasks
      reach, and ``outputs`` how wide each task's outputs are.
    - **flax.nnx**: every ``nnx.Param`` is a parameter, all other variables but those of random
      numbers are state. It trains in the mode that it comes in, and is evaluated after ``eval()``.
    - **Equinox**: floating-point arrays are parameters. The model is called for one row, by
      ``jax.vmap`` with ``axis_name="batch"``, with ``key=`` if it takes one; a model with state is
      given as the pair that ``equinox.nn.make_with_state`` returns.
    - **Two functions** ``(init, apply)``: ``init(key, x) -> params``, ``apply(params, x) ->
      outputs``; or, with state, ``init(key, x) -> (params, state)``, ``apply(params, state, x) ->
      (outputs, state)`` with the second argument named ``state``. ``apply`` gets ``key=`` and
      ``train=`` if it has arguments of these names. Make them once: other functions are compiled
      anew.
    - A ``Network`` is returned as it is.

    A flax.nnx or Equinox model brings its initial values along. **A function of a key** that makes
    one, ``lambda key: Net(nnx.Rngs(key))``, gives every key its own: with it a sweep or a
    comparison draws those of each member. Make it once, too.

    Args:
        model: static.

    Returns:
        The network.

    Raises:
        ValueError: something else, or a model that cannot be hashed.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl import HardSharing
        >>> as_network(HardSharing()).bank.num_columns
        6
        >>> def init(key, x):
        ...     return jax.random.normal(key, (x.shape[1], 2))
        >>> def apply(params, x, train):
        ...     return x @ params + train
        >>> network = as_network((init, apply))
        >>> params, state = network.init(jax.random.key(0), jnp.zeros((1, 3)))
        >>> network.apply(params, state, jnp.zeros((1, 3)), train=True).outputs.tolist()
        [[1.0, 1.0]]
    """
    network = _found(model)
    try:
        hash(network)
    except TypeError as error:
        raise ValueError(
            f"model: expected one that can be hashed, got {type(model).__name__} ({error}); give "
            "its fields tuples and functions, not lists, dictionaries or arrays"
        ) from error
    return network


def _found(model: Any) -> Network:
    if isinstance(model, Network):
        return model
    first: Any = model[0] if isinstance(model, tuple) and len(model) == 2 else model
    libraries = {".".join(base.__module__.split(".")[:2]) for base in type(first).__mro__}
    # Whoever has a model of a library has imported it.
    if "flax.nnx" in libraries and first is model:
        from jaxmtl.training.kinds.nnx import nnx_network

        return nnx_network(first)
    if any(name.startswith("equinox.") for name in libraries):
        from jaxmtl.training.kinds.equinox import equinox_network

        return equinox_network(*(model if first is not model else (model, None)))
    if first is not model and all(callable(part) for part in model):
        from jaxmtl.training.kinds.functions import FunctionNetwork

        return FunctionNetwork(*model)
    if not isinstance(model, type) and hasattr(model, "init") and hasattr(model, "apply"):
        from jaxmtl.training.kinds.linen import LinenNetwork

        return LinenNetwork(model)
    if inspect.isfunction(model) and len(inspect.signature(model).parameters) == 1:
        from jaxmtl.training.kinds.made import made_network

        return made_network(model, as_network)
    got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
    raise ValueError(
        "model: expected a flax.linen, flax.nnx or Equinox module or two functions (init, apply), "
        f"got {got}; write init(key, x) -> params and apply(params, x) -> outputs"
    )
