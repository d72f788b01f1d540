"""Checks at the start of a run, before anything is computed."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxmtl._modes import check_factory
from jaxmtl._paths import listed
from jaxmtl._validate import is_concrete
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication import HeadIndex, bank_capacity, can_align, check_head_index
from jaxmtl.gradients.tasks import check_parameters
from jaxmtl.losses import Loss, sliced, squared_error
from jaxmtl.losses.regression import bare_squared_error
from jaxmtl.sharing import Pointers
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
        check_parameters(values)
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
    return jax.tree.map(jnp.asarray, filled(data))


def filled(data: Splits) -> Splits:
    """The same rows, in the arrays of the host if they are there; maybe with an axis of members."""
    return jax.tree.map(_filled, data, is_leaf=lambda node: isinstance(node, Rows))


def _filled(rows: Rows) -> Rows:
    if rows.known is None or not jnp.issubdtype(rows.y.dtype, jnp.inexact):
        return rows
    numpy: Any = np if isinstance(rows.y, np.ndarray) and is_concrete(rows.known) else jnp
    some = ~numpy.asarray(rows.known).all(axis=-1)
    hole = numpy.isnan(rows.y) & numpy.expand_dims(some, tuple(range(some.ndim, rows.y.ndim)))
    return rows._replace(y=numpy.where(hole, 0, rows.y).astype(rows.y.dtype))


def check_labels(
    network: Network, config: Config, params: PyTree, state: PyTree, data: Splits
) -> None:
    """Refuses labels that are NaN, though the mask calls them known.

    With another label of the row unknown, such a NaN would become a 0 to be learned. Which tasks
    see which columns only the loss knows: it is asked, on rows with NaN alone.

    Args:
        network: static.
        config: static.
        params: of one run.
        state: of the network.
        data: as the user gave it, of one run or with a leading axis of members.

    Raises:
        ValueError: at such a label, which it names.
    """
    for name, rows in data._asdict().items():
        if rows is None or rows.known is None or not is_concrete(rows):
            continue
        known, y = np.asarray(rows.known), np.asarray(rows.y)
        if not np.issubdtype(y.dtype, np.inexact):
            continue
        places = known.shape[:-1]
        known = known.reshape(-1, known.shape[-1])
        y = y.reshape(-1, *y.shape[len(places) :])
        nan = np.isnan(y)
        holes = nan.reshape(len(y), -1).any(axis=1) & known.any(axis=1)
        if not holes.any():
            continue
        known, y, nan = known[holes], y[holes], nan[holes]
        x = np.zeros((1, *np.shape(rows.x)[len(places) :]), np.asarray(rows.x).dtype)
        outputs, _, _ = _traced(network, config.loss, params, state, Rows(x, y[:1]))
        zeros = jnp.zeros((len(y), *outputs.shape[1:]), outputs.dtype)
        with jax.debug_nans(False):
            seen, anyway = (
                np.isnan(config.loss(zeros, jnp.asarray(given)))
                for given in (y, np.where(nan, 0, y))
            )
        bad = np.argwhere(seen & ~anyway & known)
        if len(bad):
            place: Any = np.unravel_index(np.flatnonzero(holes)[bad[0, 0]], places)
            member = f"member {place[0]}, " if len(place) > 1 else ""
            raise ValueError(
                f"data.{name}: expected a number wherever known is True, got NaN at "
                f"{member}row {place[-1]}, task {bad[0, 1]}: mark it as unknown"
            )


def checked_config(
    network: Network,
    options: Options,
    data: Splits,
    params: PyTree,
    state: PyTree,
    head_index: HeadIndex | Pointers | None,
) -> Config:
    """Checks shapes once, without computing anything, and fixes the static choices."""
    check_factory(options.optimizer)
    if isinstance(head_index, Pointers):
        if getattr(network, "groups", None) != head_index.groups:
            raise ValueError(
                "head_index: expected pointers into the groups of a view_network, got pointers "
                f"into {listed([group.name for group in head_index.groups])} for "
                f"{type(network.source).__name__}"
            )
    elif head_index is not None:
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
    if loss is squared_error:  # unknown targets are cleared: it needs no guard
        wide = any(width != 1 for width in widths)
        if wide and data.train.y.shape[1:] == (len(widths),):
            raise ValueError(
                f"loss: expected {sum(widths)} target columns for the squared errors of outputs "
                f"{tuple(widths)}, got one a task; for classes by their numbers, give "
                "loss=jaxmtl.losses.loss_of(tasks)"
            )
        loss = _squared_error_of(widths) if wide else bare_squared_error
    outputs, losses, draws = _traced(network, loss, params, state, data.train)
    shape = getattr(losses, "shape", f"a {type(losses).__name__}")
    num_tasks: Any = len(widths) or (shape[-1] if isinstance(shape, tuple) and shape else "tasks")
    if shape != (len(data.train.x), num_tasks):
        raise ValueError(
            f"loss: expected losses of shape (batch, tasks) = ({len(data.train.x)}, {num_tasks}), "
            f"got {shape} from outputs {outputs.shape} and targets {data.train.y.shape}"
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


def _can_align(bank: Bank | None, optimizer: Optimizer, params: PyTree, head_index: Any) -> bool:
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
    applied = network.apply(params, state, x, key=key, train=True)
    before, after = (jax.tree.map(jax.typeof, one) for one in (state, applied.state))
    if _of_leaves(before) != _of_leaves(after):
        raise ValueError(
            "model: expected a state after the forward pass like that before, "
            f"{str(before)[:200]}, got {str(after)[:200]}; keep its structure, shapes and types"
        )
    return applied.outputs, loss(applied.outputs, y)


def _of_leaves(tree: PyTree) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


@functools.cache
def _squared_error_of(outputs: tuple[int, ...]) -> Loss:
    return sliced(bare_squared_error, outputs)
