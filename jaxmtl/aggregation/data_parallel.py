"""A batch spread over devices: what has to cross between them for one aggregation."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PyTree

from jaxmtl._modes import take_step
from jaxmtl._validate import check_choice
from jaxmtl.aggregation.checks import check_kind, check_state
from jaxmtl.aggregation.contract import Aggregator
from jaxmtl.aggregation.engines import flat_rows, required_rule, unflatten, weigh
from jaxmtl.aggregation.heads import head_weights
from jaxmtl.aggregation.info import info_of, read_value, value_for
from jaxmtl.aggregation.keys import step_keys
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.rows import along_tasks, gram_matrix, keep_present, weighted_sum
from jaxmtl.aggregation.step import AggregatedStep, StepState, aggregated_step
from jaxmtl.gradients import LossFn, task_gradients
from jaxmtl.gradients.loss import gives_aux, in_form_of, loss_vector, split_aux

Crossing = Literal["columns", "rows", "gram"]
Counts = Callable[[PyTree], Array]


def data_parallel_step(
    loss_fn: LossFn,
    aggregator: AnyMethod,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    axis_name: str = "data",
    crossing: Crossing = "columns",
    counts: Counts | None = None,
    present_from_counts: bool = False,
    has_aux: bool = False,
) -> AggregatedStep:
    """Makes one step whose batch is spread over the devices of a mesh.

    With the task gradients J_d of device d's rows, those of the batch are J = mean_d J_d. What
    crosses between D devices, for m tasks and n parameters:

    - ``"columns"``: J is summed in pieces, each device getting n / D columns of the sum. From there
      on only the m x m products of the pieces cross, and n / D columns of the result. Equal to the
      step on one device; each holds m n / D numbers of J. For methods on the Gram matrix, and for
      ``with_heads`` of one: of the heads their combined gradient crosses, once.
    - ``"rows"``: J is summed whole on every device, m n numbers. Equal, for any method.
    - ``"gram"``: no task gradient crosses; only mean_d J_d J_d^T, m x m, and the one weighted
      gradient. That matrix is not J J^T, which has the products between devices, too: it exceeds it
      by the covariance of the J_d over devices, which falls with the number of rows on each. The
      result is J^T w with weights w of that matrix.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the vector of task losses, means over rows, so
            that the mean over devices is that over the batch. Means over known labels are not: a
            task that is labelled on one device of two would count half. Give ``counts`` for them.
            It may take and give more, see ``aggregated_step``; its arguments are the same on all
            devices, its key is folded with the number of the device. It may take means over the
            axis, as a BatchNorm does that is to see the whole batch (``axis_name=`` of flax).
        aggregator: see above.
        optimizer: any optax optimizer.
        mesh: of devices.
        axis_name: of the mesh, over which leaves of the batch are split along their first axis;
            scalars and keys are the same on all devices.
        crossing: see above, static.
        counts: ``counts(batch)`` gives the number of labels over which each task's loss is a mean,
            (tasks,), such as ``lambda batch: batch[2].sum(axis=0)`` for a mask; the sums of losses
            and of counts over devices then give the mean over the batch. Masks that are no booleans
            and targets of NaN cannot be told from data, so that nobody asks for counts then.
            Static.
        present_from_counts: whether a task without a label on any device is absent from the step,
            as ``present`` would say; else it is there with a loss and a gradient of 0. Static.
        has_aux: whether the loss gives a pair (losses, aux). The floating leaves of aux are
            averaged over devices, as running statistics of equal parts of a batch may be; others,
            such as counters, must be the same on all. Static.

    Returns:
        ``init`` and ``step`` as those of ``aggregated_step``, without ``extra_batches``;
        parameters and states are the same on all devices, the batch is as a whole.

    Raises:
        ValueError: an unknown crossing, or a method that needs more than the Gram matrix with other
            than ``"rows"``; at the step, rows that do not divide by the devices, or a boolean leaf
            (a mask) in a batch without ``counts``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).mean(), ((w + x) ** 2).mean()])
        >>> mesh = jax.make_mesh((1,), ("data",))
        >>> init, step = data_parallel_step(loss_fn, ag.upgrad(), optax.sgd(0.25), mesh)
        >>> params, batch = jnp.array(1.0), jnp.array([1.0, 0.5, 1.0, 0.5])
        >>> jax.jit(step)(params, init(params, batch), batch)[0].item()
        0.5
    """
    check_choice("crossing", crossing, ("columns", "rows", "gram"))
    aggregator = as_aggregator(aggregator)
    inner = local_step(
        *(loss_fn, aggregator, optimizer, axis_name, crossing),
        counts=counts,
        present_from_counts=present_from_counts,
        has_aux=has_aux,
    )
    # Automatic axes take arguments from wherever they are; explicit ones want them placed.
    mesh = Mesh(mesh.devices, mesh.axis_names)

    def step(params: PyTree, state: Any, batch: PyTree, *args: PyTree, **given: Any) -> Any:
        given = {name: value for name, value in given.items() if value is not None}
        _check_batch(batch, mesh.shape[axis_name], counts)

        def on_device(params: PyTree, state: Any, batch: PyTree, args: Any, given: Any) -> Any:
            return inner.step(params, state, batch, *args, **given)

        def spec_of(leaf: Any) -> P:
            return P(axis_name) if jnp.ndim(leaf) else P()

        # Unchecked: else gradients of what all devices share are summed over them unasked.
        spread = jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(P(), P(), jax.tree.map(spec_of, batch), P(), P()),
            out_specs=P(),
            check_vma=False,
        )
        return spread(params, state, batch, args, given)

    return AggregatedStep(inner.init, step)


def local_step(
    loss_fn: LossFn,
    aggregator: Aggregator,
    optimizer: optax.GradientTransformation,
    axis_name: str,
    crossing: Crossing,
    counts: Counts | None = None,
    present_from_counts: bool = False,
    has_aux: bool = False,
) -> AggregatedStep:
    """One device's part of the step, for the body of a ``shard_map`` (or a ``vmap``) of one's own.

    Args:
        loss_fn: see ``data_parallel_step``, as the other arguments.
        aggregator: see there.
        optimizer: see there.
        axis_name: see there.
        crossing: see there.
        counts: see there.
        present_from_counts: see there.
        has_aux: see there.

    Returns:
        ``init``, to be called outside, and ``step``, to be called inside.
    """
    if present_from_counts and counts is None:
        raise ValueError("present_from_counts: expected counts=... beside it, got None")
    has_aux = gives_aux(loss_fn, has_aux)

    def for_shapes(loss_fn: LossFn, has_aux: bool = False) -> Callable[..., Any]:
        local = task_gradients(loss_fn, has_aux=has_aux)

        def of_one(*given: PyTree, **keyed: Any) -> Any:
            # An axis of this name has to be there for losses that take means over devices.
            one = jax.vmap(lambda _: local(*given, **keyed), axis_name=axis_name)(jnp.zeros(1))
            return jax.tree.map(lambda leaf: leaf[0], one)

        return of_one

    outside = aggregated_step(loss_fn, aggregator, optimizer, has_aux=has_aux, gradients=for_shapes)
    gradients_fn = _local_gradients(loss_fn, axis_name, counts, has_aux)

    def told_present(step: Callable[..., Any]) -> Callable[..., Any]:
        if not present_from_counts:
            return step

        def told(*given: Any, present: Any = None, **others: Any) -> Any:
            assert counts is not None
            labelled = jax.lax.psum(counts(given[2]), axis_name) > 0
            present = labelled if present is None else labelled & present
            return step(*given, present=present, **others)

        return told

    if crossing == "rows":

        def summed(loss_fn: LossFn, has_aux: bool = False) -> Callable[..., Any]:
            del loss_fn  # that of above

            def mean(*given: PyTree, **keyed: Any) -> Any:
                (losses, aux), rows = gradients_fn(*given, **keyed)
                losses, rows = jax.lax.pmean((losses, rows), axis_name)
                return (losses, aux) if has_aux else losses, rows

            return mean

        inner = aggregated_step(loss_fn, aggregator, optimizer, has_aux=has_aux, gradients=summed)
        return AggregatedStep(outside.init, told_present(inner.step))

    apart = aggregator.apart
    inside = aggregator if apart is None else apart.aggregator
    choice = "plain" if apart is None else apart.head_gradients
    rule = required_rule(f"crossing {crossing!r}", inside)

    def by_columns(task_grads: PyTree, params: PyTree, weigh_fn: Callable[[Array], Any]) -> Any:
        devices = jax.lax.axis_size(axis_name)
        rows = flat_rows(task_grads)
        columns = rows.shape[1]
        rows = jnp.pad(rows, ((0, 0), (0, -columns % devices)))
        piece = jax.lax.psum_scatter(rows, axis_name, scatter_dimension=1, tiled=True) / devices
        weights, state, info = weigh_fn(jax.lax.psum(gram_matrix(piece), axis_name))
        combined = jax.lax.all_gather(weighted_sum(weights, piece), axis_name, tiled=True)
        return unflatten(combined[:columns], params), state, info

    def by_gram(task_grads: PyTree, params: PyTree, weigh_fn: Callable[[Array], Any]) -> Any:
        weights, state, info = weigh_fn(jax.lax.pmean(gram_matrix(task_grads), axis_name))
        return jax.lax.pmean(weighted_sum(weights, task_grads), axis_name), state, info

    crossed = by_columns if crossing == "columns" else by_gram

    def combine(
        task_grads: PyTree, params: PyTree, weigh_fn: Callable[[Array], Any], own_fn: Any
    ) -> Any:
        if apart is None:
            return crossed(task_grads, params, weigh_fn)
        # Of the heads only the one sum crosses.
        (rows, of_heads), (ours, _) = apart.split(task_grads), apart.split(params)
        combined, state, info = crossed(rows, ours, weigh_fn)
        own = weighted_sum(own_fn(info.weights), of_heads)
        return apart.join(params, combined, jax.lax.pmean(own, axis_name)), state, info

    def step(
        params: PyTree,
        state: Any,
        batch: PyTree,
        *args: PyTree,
        key: Any = None,
        present: Any = None,
        value: Any = None,
        order: Any = None,
    ) -> Any:
        check_kind(state, StepState)
        keys = step_keys(loss_fn, args, state, key)
        (losses, aux), task_grads = gradients_fn(params, batch, *args, **keys.loss)
        losses, names, _ = read_value(jax.lax.pmean(losses, axis_name), False)
        check_state(state.aggregator, lambda: aggregator.init(task_grads), losses.shape[0])
        given = {"losses": losses, "key": keys.method, "present": present, "order": order}
        grads, inner, found = combine(
            keep_present(task_grads, present),
            params,
            lambda gram: weigh(rule, gram, state.aggregator, **given),
            lambda weights: head_weights(choice, weights, losses, present),
        )
        info = info_of(losses, found, weighted=aggregator.weighted, aux=aux, names=names)
        value = value_for(info, present, value)
        after, optimizer_state = take_step(optimizer, grads, state.optimizer, params, value=value)
        following = state._replace(
            aggregator=inner, optimizer=optimizer_state, number=state.number + 1
        )
        return after, following, info

    return AggregatedStep(outside.init, told_present(step))


def _local_gradients(
    loss_fn: LossFn, axis_name: str, counts: Counts | None, has_aux: bool
) -> Callable[..., Any]:
    """Losses and gradients of a device whose means over devices are those over the batch.

    Aux comes with the losses, the mean over devices where it is floating.
    """

    def share_of(batch: PyTree, dtype: Any, number_of: Counts) -> tuple[Array, Array]:
        number = number_of(batch).astype(dtype)
        mean = jax.lax.pmean(number, axis_name)
        known = number > 0
        return jnp.where(known, number / jnp.where(known, mean, 1), 0), known

    @functools.wraps(loss_fn)
    def shared(params: PyTree, batch: PyTree, *args: PyTree, **keyed: Any) -> Any:
        found = loss_fn(params, batch, *args, **keyed)
        if counts is None:
            return found
        losses, aux = split_aux(found, has_aux, "loss_fn", "losses")
        vector = loss_vector(losses)
        # Before they are passed back: means over devices, as a BatchNorm over them takes, lead
        # from the parameters of every device to the losses of all.
        share, known = share_of(batch, vector.dtype, counts)
        losses = in_form_of(losses, jnp.where(known, share * vector, 0))
        return (losses, aux) if has_aux else losses

    local = task_gradients(shared, has_aux=has_aux)

    def mean_of(leaf: Any) -> Any:
        floating = jnp.issubdtype(getattr(leaf, "dtype", type(leaf)), jnp.inexact)
        return jax.lax.pmean(leaf, axis_name) if floating else leaf

    def gradients(params: PyTree, batch: PyTree, *args: PyTree, **keyed: Any) -> Any:
        at = jax.lax.axis_index(axis_name) if keyed else 0
        keyed = {name: jax.random.fold_in(key, at) for name, key in keyed.items()}
        value, rows = local(params, batch, *args, **keyed)
        losses, aux = value if has_aux else (value, None)
        if counts is not None:
            # A loss over no label may be NaN, and so may its slopes; they count for nothing.
            known = counts(batch) > 0
            rows = jax.tree.map(
                lambda leaf: jnp.where(along_tasks(known, leaf) | jnp.isfinite(leaf), leaf, 0), rows
            )
        return (losses, jax.tree.map(mean_of, aux)), rows

    return gradients


def _check_batch(batch: PyTree, devices: int, counts: Counts | None) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        name, shape = jax.tree_util.keystr(path), jnp.shape(leaf)
        if shape and shape[0] % devices:
            raise ValueError(
                f"batch{name}: expected rows that divide by {devices} devices, got shape {shape}"
            )
        if counts is None and getattr(leaf, "dtype", None) == jnp.bool_:
            raise ValueError(
                f"batch{name}: expected counts=... beside a mask, since a mean over the known "
                "labels of each device is none over those of the batch; counts=lambda batch: "
                "jnp.full(tasks, rows) if it masks nothing"
            )
