"""From a loss method and an optax optimizer to one training step with one backward pass."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from jaxmtl._modes import take_step
from jaxmtl._pytree import cloned_keys
from jaxmtl.aggregation.checks import check_kind, check_parts, check_state
from jaxmtl.aggregation.info import StepInfo, value_for
from jaxmtl.aggregation.keys import step_keys
from jaxmtl.aggregation.known import as_scalarizer
from jaxmtl.aggregation.losses.contract import Scalarizer
from jaxmtl.aggregation.step import AggregatedStep, StepState, init_of
from jaxmtl.gradients import LossFn
from jaxmtl.gradients.loss import gives_aux, loss_names, parts_of

ScalarizedInfo = StepInfo  # its name where loss methods had an info of their own


def scalarized_step(
    loss_fn: LossFn,
    scalarizer: Scalarizer | str,
    optimizer: optax.GradientTransformation,
    *,
    second_forward: bool = True,
    has_aux: bool = False,
) -> AggregatedStep:
    """Makes one step of losses, one weighted backward pass and the optimizer.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the task losses, and may take and give more; see
            ``aggregated_step``. With tasks missing from a batch the losses themselves may be NaN,
            their slopes in the parameters may not; those of ``mean_over_known`` are 0 (for targets
            of NaN see there).
        scalarizer: makes one loss of them; a loss method or its name, ``"stch(mu=0.1)"``.
        optimizer: any optax optimizer. Those that want more than gradients get ``value``, that of
            ``info.loss``, and ``grad``; a line search (``optax.lbfgs()``) also ``value_fn``, the
            loss as a function of the parameters on this batch, with this step's key and the state
            that the method has before it, and ``optax.contrib.sam`` its gradient. A search compares
            with ``info.loss``: give ``step`` no other value then.
        second_forward: for methods that observe losses after the update (FAMO): whether to compute
            them on the same batch, as the paper does, or to let those of the next batch stand in
            for them, which costs nothing and is the same if all batches are. The second pass draws
            what the first did; its aux is dropped. Static.
        has_aux: whether the loss gives a pair (losses, aux). Static.

    Returns:
        ``init`` and ``step`` as those of ``aggregated_step``, without ``order`` and
        ``extra_batches``; ``step`` may be jitted, scanned and mapped over seeds.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + x) ** 2).sum()])
        >>> init, step = scalarized_step(loss_fn, ag.equal(), optax.sgd(0.125))
        >>> params, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0])
        >>> params, state, info = jax.jit(step)(params, init(params, batch), batch)
        >>> params.tolist(), info.losses.tolist(), info.loss.item()
        ([0.5, 0.5], [1.0, 5.0], 6.0)
    """
    scalarizer = as_scalarizer(scalarizer)
    check_parts("scalarizer", scalarizer, Scalarizer, optimizer)
    parts = parts_of(loss_fn, gives_aux(loss_fn, has_aux))

    def losses_of(*given: Any, **keyed: Any) -> Array:
        return parts(*given, **keyed)[0]

    init = init_of(
        loss_fn,
        losses_of,
        optimizer,
        lambda _, losses: scalarizer.init(
            losses.shape[0], jnp.promote_types(losses.dtype, jnp.float32)
        ),
    )

    def step(
        params: PyTree,
        state: StepState,
        batch: PyTree,
        *args: PyTree,
        key: Key[Array, ""] | None = None,
        present: Bool[Array, " tasks"] | None = None,
        value: Float[Array, ""] | None = None,
    ) -> tuple[PyTree, StepState, StepInfo]:
        check_kind(state, StepState)
        keys = step_keys(loss_fn, args, state, key)
        losses, pullback, beside = jax.vjp(
            lambda p: parts(p, batch, *args, **keys.loss), params, has_aux=True
        )
        inner: Any = state.aggregator
        number, dtype = losses.shape[0], jnp.promote_types(losses.dtype, jnp.float32)
        check_state(inner, lambda: scalarizer.init(number, dtype), number)
        if scalarizer.observe is not None and not second_forward:
            inner = scalarizer.observe(losses, inner, present=present)

        def losses_at(params: PyTree) -> Array:
            return parts(params, batch, *args, **cloned_keys(keys.loss))[0]

        def value_fn(params: PyTree, inner: Any = inner) -> Array:
            again = None if keys.method is None else jax.random.clone(keys.method)
            return scalarizer.scalarize(losses_at(params), inner, key=again, present=present)[0]

        loss, inner, weights = scalarizer.scalarize(losses, inner, key=keys.method, present=present)
        (grads,) = pullback(weights.astype(losses.dtype))
        info = StepInfo(
            losses=losses,
            weights=weights,
            aggregation=None,
            loss=loss,
            aux=beside.aux,
            names=loss_names(beside.named),
        )
        value = value_for(info, present, value)
        following, optimizer_state = take_step(
            optimizer, grads, state.optimizer, params, value=value, value_fn=value_fn
        )
        if scalarizer.observe is not None and second_forward:
            inner = scalarizer.observe(losses_at(following), inner, present=present)
        return following, StepState(inner, optimizer_state, state.key, state.number + 1), info

    return AggregatedStep(init, step)
