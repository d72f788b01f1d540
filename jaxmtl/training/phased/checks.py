"""Checks at the start of a run, before anything is computed."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxmtl._validate import is_concrete
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication import HeadIndex, bank_capacity, can_align, check_head_index
from jaxmtl.losses import Loss, sliced, squared_error
from jaxmtl.training.network import Bank, Network
from jaxmtl.training.phased.state import Config, Optimizer, Options, packs_flat


def run_keys(key: Any, *, draws: bool, shuffle: bool) -> tuple[Any, Any]:
    """The keys of the initial values, where they are drawn, and of the order."""
    if key is None:
        if draws or shuffle:
            need = "drawing initial values" if draws else "shuffle=True"
            raise ValueError(f"key: expected a jax.random.key for {need}, got None")
        return None, jax.random.key(0)
    typed = hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed or key.shape != ():
        raise ValueError(f"key: expected one typed key, made by jax.random.key(seed), got {key!r}")
    init_key, order_key = jax.random.split(key)
    return init_key, order_key


def start_values(
    network: Network, key: Any, data: Splits, values: PyTree | None
) -> tuple[PyTree, PyTree]:
    """Parameters and state of the start: those given, or drawn from the key.

    Args:
        network: static.
        key: traced; None where the values are given.
        data: of the run.
        values: parameters, or for flax.linen a dictionary of all variables; None to draw them.

    Returns:
        The parameters, and the state of the network or None.
    """
    x = data.train.x[:1]
    if values is None:
        values, state = _draw(network, key, x)
    else:
        values, state = network.read(values)
        if state is None:
            state = first_state_of(network, x)
    return jax.tree.map(jnp.asarray, values), jax.tree.map(jnp.asarray, state)


def first_state_of(network: Network, x: Array) -> PyTree:
    """The state that goes with parameters which were given alone; None for most networks."""
    if network.has_values:
        return network.init(jax.random.key(0), x)[1]
    if _drawn.eval_shape(network, jax.random.key(0), x)[1] is None:
        return None
    return _drawn(network, jax.random.key(0), x)[1]


def _draw(network: Network, key: Any, x: Array) -> tuple[PyTree, PyTree]:
    # Equal networks share what is compiled, but not the values that they bring.
    return network.init(key, x) if network.has_values else _drawn(network, key, x)


@functools.partial(jax.jit, static_argnames="network")
def _drawn(network: Network, key: Any, x: Array) -> tuple[PyTree, PyTree]:
    return network.init(key, x)


def cleared(data: Splits) -> Splits:
    """The rows as JAX arrays, with 0 for NaN where a target is unknown.

    A loss is masked after it was computed, and 0 * NaN would reach the gradient.
    """
    return jax.tree.map(_cleared, data, is_leaf=lambda node: isinstance(node, Rows))


def _cleared(rows: Rows) -> Rows:
    rows = jax.tree.map(jnp.asarray, rows)
    if rows.known is None:
        return rows
    some = ~rows.known.all(axis=1)
    hole = jnp.isnan(rows.y) & jnp.expand_dims(some, range(1, rows.y.ndim))
    return rows._replace(y=jnp.where(hole, 0, rows.y))


def checked_config(
    network: Network,
    options: Options,
    data: Splits,
    params: PyTree,
    state: PyTree,
    head_index: HeadIndex | None,
) -> Config:
    """Checks shapes once, without computing anything, and fixes the static choices."""
    if head_index is not None:
        check_head_index(head_index, bank_capacity(params))
    for name, rows in data._asdict().items():
        if rows is None:
            continue
        if rows.x.ndim < 2 or rows.y.ndim < 2 or len(rows.x) != len(rows.y) or not len(rows.x):
            raise ValueError(
                f"data.{name}: expected x (rows, features) and y (rows, outputs) with at least "
                f"one row, got {rows.x.shape} and {rows.y.shape}"
            )
    widths, loss = network.widths or (), options.loss
    if loss is squared_error and any(width != 1 for width in widths):
        if data.train.y.shape[1:] == (len(widths),):
            raise ValueError(
                f"loss: expected {sum(widths)} target columns for the squared errors of outputs "
                f"{tuple(widths)}, got one a task; for classes by their numbers, give "
                "loss=jaxmtl.losses.loss_of(tasks)"
            )
        loss = _squared_error_of(widths)
    outputs, losses, draws = _traced(network, loss, params, state, data.train)
    num_tasks = len(widths) or losses.shape[-1]
    if losses.shape != (len(data.train.x), num_tasks):
        raise ValueError(
            f"loss: expected losses of shape (batch, tasks) = ({len(data.train.x)}, {num_tasks}), "
            f"got {losses.shape} from outputs {outputs.shape} and targets {data.train.y.shape}"
        )
    for name, rows in data._asdict().items():
        if rows is not None and rows.known is not None:
            if rows.known.shape != (len(rows.x), num_tasks):
                raise ValueError(
                    f"data.{name}.known: expected shape {(len(rows.x), num_tasks)}, "
                    f"got {rows.known.shape}"
                )
    chosen: dict[str, Any] = {
        field.name: getattr(options, field.name) for field in dataclasses.fields(Options)
    }
    chosen["loss"] = loss
    config = Config(**chosen, num_tasks=num_tasks, draws=draws)
    aligned = options.aggregator is None and _can_align(
        network.bank, options.optimizer, params, head_index
    )
    keep_best = options.keep_best and data.validation is not None
    return dataclasses.replace(config, aligned=aligned, keep_best=keep_best)


def check_key(config: Config, key: Any) -> None:
    """Raises ValueError where the network draws, and there is no key to draw with."""
    if config.draws and key is None:
        raise ValueError(
            "key: expected a jax.random.key for a network that draws in training, got None"
        )


def _can_align(
    bank: Bank | None, optimizer: Optimizer, params: PyTree, head_index: HeadIndex | None
) -> bool:
    """Whether the columns of the bank may be renumbered within an epoch, which saves time."""
    if bank is None or not bank.reads_aligned or not packs_flat(optimizer, params):
        return False
    if head_index is None:
        return jax.eval_shape(bank.initial_pointers).size == bank.num_columns
    return is_concrete(head_index) and can_align(head_index, bank.num_columns)


def _traced(
    network: Network, loss: Loss, params: PyTree, state: PyTree, rows: Rows
) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct, bool]:
    """Shapes of outputs and losses, and whether the forward pass of training looks at its key."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    given = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype),
        (params, state, rows.x, rows.y),
    )
    traced = _forward.trace(network, loss, key, *given)
    jaxpr = traced.jaxpr.jaxpr
    own = jaxpr.invars[0]
    draws = any(atom is own for equation in jaxpr.eqns for atom in equation.invars)
    return *traced.out_info, draws


@functools.partial(jax.jit, static_argnames=("network", "loss"))
def _forward(
    network: Network, loss: Loss, key: Any, params: PyTree, state: PyTree, x: Array, y: Array
) -> tuple[Array, Array]:
    """Outputs and losses; it is only traced, and traces are remembered."""
    outputs = network.apply(params, state, x, key=key, train=True).outputs
    return outputs, loss(outputs, y)


@functools.cache
def _squared_error_of(outputs: tuple[int, ...]) -> Loss:
    return sliced(squared_error, outputs)
