"""Training under constraints that need more than a network: multipliers, or losses of tasks."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxmtl._modes import own_transfers, take_step
from jaxmtl._typing import NetworkLike
from jaxmtl._validate import check_positive, is_concrete
from jaxmtl.constraints import AugmentedLagrangian, Violation, excess_of, measure_violation
from jaxmtl.constraints.violation import Equality
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.losses import Loss, squared_error
from jaxmtl.training.as_network import as_network
from jaxmtl.training.network import Network
from jaxmtl.training.phased.checks import (
    check_labels,
    checked_config,
    cleared,
    run_keys,
    start_values,
)
from jaxmtl.training.phased.run import without_labels
from jaxmtl.training.phased.state import Config, Optimizer, Options, pack
from jaxmtl.training.phased.step import Seen, look

Constraint = Callable[[Float[Array, "batch outputs"], Float[Array, " tasks"]], Array]


class Penalty(Protocol):
    """How constraints act on the loss: ``AugmentedLagrangian``, ``QuadraticPenalty``."""

    @property
    def equality(self) -> Equality:
        """Which constraints ask for 0 rather than <= 0."""
        ...

    def init(self, values: Array) -> Any:
        """State at the start; its leaves have the shape of the values."""
        ...

    def terms(self, values: Array, state: Any) -> Array:
        """What every value adds to the loss."""
        ...

    def update(self, values: Array, state: Any) -> Any:
        """The state after the loss was lowered."""
        ...


class ConstrainedHistory(NamedTuple):
    """One row an epoch, with the parameters at its end.

    Attributes:
        train: mean error of each task on the training rows; without penalties.
        validation: the same on the validation rows; None if there are none.
        test: the same on the test rows; None if there are none.
        violation: rate, mean and worst size on the training rows, fields (epochs, constraints).
        validation_violation: the same on the validation rows, or None.
        test_violation: the same on the test rows, or None.
        multiplier: mean multiplier of each constraint, after the update at the end of the epoch;
            None for a method without.
        penalty: mean penalty factor of each constraint, or None.
    """

    train: Float[Array, "epochs tasks"]
    validation: Float[Array, "epochs tasks"] | None
    test: Float[Array, "epochs tasks"] | None
    violation: Violation
    validation_violation: Violation | None
    test_violation: Violation | None
    multiplier: Float[Array, "epochs constraints"] | None
    penalty: Float[Array, "epochs constraints"] | None


class ConstrainedRun(NamedTuple):
    """A finished run.

    Attributes:
        params: ``model.apply({"params": params}, x)`` predicts.
        history: one row an epoch.
        state: of the method, at the end.
        diverged: whether an error, a parameter or the method's state was not finite at the end.
    """

    params: PyTree
    history: ConstrainedHistory
    state: PyTree
    diverged: Bool[Array, ""]


@own_transfers
def fit_constrained(
    model: NetworkLike,
    data: Splits,
    constraint: Constraint,
    *,
    method: Penalty | None = None,
    key: Key[Array, ""] | None = None,
    params: PyTree | None = None,
    epochs: int = 100,
    learning_rate: Float[Array, ""] | float = 1e-3,
    optimizer: Optimizer = optax.adam,
    batch_size: int | None = None,
    shuffle: bool = False,
    loss: Loss = squared_error,
    task_weights: Sequence[float] | Float[Array, " tasks"] | None = None,
    update_every: int = 1,
    tolerance: Float[Array, ""] | float = 0.0,
) -> ConstrainedRun:
    """Trains under constraints and records, epoch by epoch, how far they are violated.

    Lowers sum over tasks of weight * loss, plus what the method makes of the constraint's values:
    the sum of its terms or, where every sample has values of its own, the mean over samples. The
    method's state is updated after every ``update_every`` epochs, with the values at all training
    rows. All epochs are one compiled call. It is pure: ``jax.vmap`` runs it over keys, data, the
    learning rate, and the numbers in the method and the constraint.

    A network that is constrained by its own projections or penalties (``models.Constrained``)
    trains through ``fit``; here it gets its violation recorded, with the method
    ``QuadraticPenalty(strength=0.0)``.

    Args:
        model: see ``as_network``; without state, and drawing nothing. Static.
        data: rows of training, and of validation and test if any.
        constraint: from outputs (batch, outputs) and mean task losses (tasks,) to values that are
            to be <= 0 (or 0, as the method's ``equality`` says). Values (batch, constraints) hold
            sample by sample, and each training row gets multipliers of its own; values
            (constraints,) hold for the whole, and in mini-batches are estimated from the batch.
            ``OutputBound`` and ``EpsilonConstraint`` are such; a function is static.
        method: ``AugmentedLagrangian()`` if None.
        key: for the initial values and, with ``shuffle``, the order; a typed ``jax.random.key``.
        params: initial values instead of those drawn from the key.
        epochs: passes over the training rows. Static.
        learning_rate: of the optimizer.
        optimizer: factory from a learning rate to an optax optimizer; it is told the
            value, the gradient and the function that is lowered if it asks. Static.
        batch_size: samples of one update; None for all rows. Static.
        shuffle: a new order every epoch; else the order of the rows. Static.
        loss: from outputs and targets to (batch, tasks). Static.
        task_weights: one a task, traced; None for 1. An epsilon-constraint gives bounded tasks 0.
        update_every: epochs between updates of the method's state. Static.
        tolerance: an excess up to this counts as no violation in the recorded rate; in the
            constraint's unit, traced.

    Returns:
        The run.

    Raises:
        ValueError: an argument out of range, rows that do not fit the model, values that are not
            (batch, constraints) or (constraints,), or neither a key nor parameters.

    Example:
        >>> import jax
        >>> from jaxmtl.constraints import OutputBound
        >>> from jaxmtl.data import Rows, Splits
        >>> from jaxmtl.models import HardSharing
        >>> x = jax.random.uniform(jax.random.key(1), (32, 4))
        >>> data = Splits(train=Rows(x, x[:, :2]))
        >>> run = fit_constrained(
        ...     HardSharing(), data, OutputBound(1, lower=0.2), key=jax.random.key(0), epochs=5
        ... )
        >>> run.history.train.shape, run.history.violation.rate.shape, bool(run.diverged)
        ((5, 2), (5, 1), False)
    """
    given, data = data, cleared(data)
    rows = data.train.x.shape[0]
    size: int = rows if batch_size is None else min(batch_size, rows)
    check_positive("epochs", epochs)
    check_positive("update_every", update_every)
    check_positive("batch_size", size)
    network = as_network(model)
    drawn = params is None and not network.has_values
    init_key, order_key = run_keys(key, draws=drawn, shuffle=shuffle)
    params, state = start_values(network, init_key, data, params)
    options = Options(optimizer=optimizer, batch_size=size, shuffle=shuffle, loss=loss)
    config = checked_config(network, options, data, params, state, None)
    check_labels(network, config, params, state, given)
    if state is not None or config.draws:
        raise ValueError(
            "model: expected a network without running statistics and dropout, which "
            "fit_constrained does not carry; write its constraint as a penalty and use fit"
        )
    if jax.tree_util.all_leaves([constraint]):  # a plain function, not a pytree with numbers
        constraint = jax.tree_util.Partial(constraint)
    weights = jnp.ones(config.num_tasks) if task_weights is None else jnp.asarray(task_weights)
    if weights.shape != (config.num_tasks,):
        raise ValueError(
            f"task_weights: expected one a task, {config.num_tasks}, got shape {weights.shape}"
        )
    schedule = _Schedule(epochs, update_every)
    knobs = _Knobs(
        constraint,
        AugmentedLagrangian() if method is None else method,
        weights.astype(float),
        jnp.asarray(learning_rate, float),
        jnp.asarray(tolerance, float),
    )
    run = _train(network, config, schedule, params, data, knobs, order_key)
    if not is_concrete(run.history, data):
        return run
    return run._replace(history=without_labels(run.history, None, data)[0])


class _Knobs(NamedTuple):
    """What is traced and constant within a run."""

    constraint: Any
    method: Any
    weights: Float[Array, " tasks"]
    learning_rate: Float[Array, ""]
    tolerance: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class _Schedule:
    epochs: int
    update_every: int


def _values(knobs: _Knobs, seen: Seen) -> Array:
    values = knobs.constraint(seen.outputs, seen.errors)
    if values.ndim not in (1, 2) or values.ndim == 2 and len(values) != len(seen.outputs):
        raise ValueError(
            "constraint: expected values (constraints,) of the whole or (batch, constraints) of "
            f"each sample, with a batch of {len(seen.outputs)}, got shape {values.shape}"
        )
    return values


def _order(
    config: Config, rows: int, key: Key[Array, ""], epoch: Int[Array, ""]
) -> tuple[Int[Array, "steps batch"], Bool[Array, "steps batch"]]:
    """Row numbers of the batches of an epoch, and which count: the last batch is filled up."""
    steps = -(-rows // config.batch_size)
    places = jnp.arange(steps * config.batch_size)
    counted = places < rows
    places = jnp.where(counted, places, 0)
    if config.shuffle:
        places = jax.random.permutation(jax.random.fold_in(key, epoch), rows)[places]
    return places.reshape(steps, -1), counted.reshape(steps, -1)


@functools.partial(jax.jit, static_argnames=("network", "config", "schedule"))
def _train(
    network: Network,
    config: Config,
    schedule: _Schedule,
    params: PyTree,
    data: Splits,
    knobs: _Knobs,
    key: Key[Array, ""],
) -> ConstrainedRun:
    optimizer = config.optimizer(knobs.learning_rate)
    train, num_rows = data.train, data.train.x.shape[0]
    packed, unpack = pack(config.optimizer, params)

    def objective(packed: PyTree, state: PyTree, batch: Rows, index: Array, counts: Array) -> Array:
        seen = look(network, config, unpack(packed), None, None, batch, train=True)
        values = _values(knobs, seen)
        if values.ndim == 2:
            own = jax.tree.map(lambda leaf: leaf[index], state)
            terms = knobs.method.terms(values, own).sum(axis=-1)
            extra = jnp.where(counts, terms, 0).sum() / counts.sum()
        else:
            extra = knobs.method.terms(values, state).sum()
        return (knobs.weights * seen.errors).sum() + seen.penalty + extra

    def epoch(carry: Any, number: Array) -> tuple[Any, ConstrainedHistory]:
        packed, opt_state, state = carry

        def step(carry: tuple[PyTree, PyTree], batch: tuple[Array, Array]) -> Any:
            (packed, opt_state), (index, counts) = carry, batch
            rows = jax.tree.map(lambda leaf: leaf[index], train)
            if num_rows % config.batch_size:
                known = jnp.ones((len(index), config.num_tasks), jnp.bool)
                known = known if rows.known is None else rows.known
                rows = rows._replace(known=known & counts[:, None])

            def value_fn(packed: PyTree) -> Array:
                return objective(packed, state, rows, index, counts)

            value, grads = jax.value_and_grad(value_fn)(packed)
            moved = take_step(optimizer, grads, opt_state, packed, value=value, value_fn=value_fn)
            return moved, None

        batches = _order(config, num_rows, key, number)
        (packed, opt_state), _ = jax.lax.scan(step, (packed, opt_state), batches)

        def measured(rows: Rows | None) -> tuple[Any, Any, Any]:
            if rows is None:
                return None, None, None
            seen = look(network, config, unpack(packed), None, None, rows)
            values = _values(knobs, seen)
            return values, seen.errors, _violation(knobs, values)

        values, errors, violation = measured(train)
        _, validation_errors, validation_violation = measured(data.validation)
        _, test_errors, test_violation = measured(data.test)
        updated = knobs.method.update(values, state)
        due = (number + 1) % schedule.update_every == 0
        state = jax.tree.map(lambda new, old: jnp.where(due, new, old), updated, state)
        record = ConstrainedHistory(
            train=errors,
            validation=validation_errors,
            test=test_errors,
            violation=violation,
            validation_violation=validation_violation,
            test_violation=test_violation,
            multiplier=_mean(state, "multiplier"),
            penalty=_mean(state, "penalty"),
        )
        return (packed, opt_state, state), record

    shapes = jax.eval_shape(
        lambda p: _values(knobs, look(network, config, p, None, None, train)), params
    )
    state = knobs.method.init(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes))
    carry = (packed, optimizer.init(packed), state)
    carry, history = jax.lax.scan(epoch, carry, jnp.arange(schedule.epochs))
    params, state = unpack(carry[0]), carry[2]
    # The residual of a method starts at infinity.
    last = (params, history.train[-1], history.multiplier, history.penalty)
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(last)]).all()
    return ConstrainedRun(params, history, state, ~finite)


def _violation(knobs: _Knobs, values: Array) -> Violation:
    excess = jnp.atleast_2d(excess_of(values, knobs.method.equality))
    return measure_violation(excess, tolerance=knobs.tolerance)


def _mean(state: Any, name: str) -> Array | None:
    leaf = getattr(state, name, None)
    return None if leaf is None else jnp.atleast_2d(leaf).mean(axis=0)
