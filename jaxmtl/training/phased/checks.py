"""Checks at the start of a run, before anything is computed."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxmtl._typing import BankNetwork, Network
from jaxmtl._validate import is_concrete
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication import HeadIndex, bank_capacity, can_align, check_head_index
from jaxmtl.losses import Loss, sliced, squared_error
from jaxmtl.training.phased.combining import check_combining
from jaxmtl.training.phased.state import Config, Optimizer, packs_flat


def run_keys(key: Any, params: Any, shuffle: bool) -> tuple[Any, Any]:
    """The keys of the initial values and of the order, from the one key of a run."""
    if key is None:
        if params is None or shuffle:
            need = "shuffle=True" if params is not None else "drawing initial values"
            raise ValueError(f"key: expected a jax.random.key for {need}, got None")
        return None, jax.random.key(0)
    typed = hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed or key.shape != ():
        raise ValueError(f"key: expected one typed key, made by jax.random.key(seed), got {key!r}")
    init_key, order_key = jax.random.split(key)
    return init_key, order_key


def start_parameters(model: Network, key: Any, data: Splits, params: PyTree | None) -> PyTree:
    """The initial values: those given, bare or under ``"params"``, or drawn from the key."""
    if params is None:
        params = _draw(model, key, data.train.x[:1])
    elif isinstance(params, Mapping) and set(params) == {"params"}:
        params = params["params"]
    return jax.tree.map(jnp.asarray, params)


@functools.partial(jax.jit, static_argnames="model")
def _draw(model: Network, key: Any, x: Array) -> PyTree:
    return model.init(key, x)["params"]


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
    model: Network,
    choices: dict[str, Any],
    data: Splits,
    params: PyTree,
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
    widths = tuple(getattr(model, "outputs", ()))
    loss = choices["loss"]
    if loss is squared_error and any(width != 1 for width in widths):
        loss = _squared_error_of(widths)
    outputs, losses = _shapes.eval_shape(model, loss, params, data.train.x, data.train.y)
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
    if choices.get("aggregator") is not None:
        check_combining(choices["aggregator"])
    config = Config(**(choices | {"loss": loss, "num_tasks": num_tasks}))
    aligned = config.aggregator is None and _can_align(model, config.optimizer, params, head_index)
    keep_best = config.keep_best and data.validation is not None
    return dataclasses.replace(config, aligned=aligned, keep_best=keep_best)


def _can_align(
    model: Network, optimizer: Optimizer, params: PyTree, head_index: HeadIndex | None
) -> bool:
    """Whether the columns of the bank may be renumbered within an epoch, which saves time."""
    if not getattr(model, "reads_aligned", False) or not packs_flat(optimizer, params):
        return False
    bank = cast(BankNetwork, model)
    if head_index is None:
        return jax.eval_shape(bank.initial_head_index).size == bank.num_columns
    return is_concrete(head_index) and can_align(head_index, bank.num_columns)


@functools.partial(jax.jit, static_argnames=("model", "loss"))
def _shapes(model: Network, loss: Loss, params: PyTree, x: Array, y: Array) -> tuple[Array, Array]:
    """Outputs and losses, of which only the shapes are asked; under ``jit`` they are remembered."""
    outputs = model.apply({"params": params}, x)
    return outputs, loss(outputs, y)


@functools.cache
def _squared_error_of(outputs: tuple[int, ...]) -> Loss:
    return sliced(squared_error, outputs)
