"""Task gradients at points that the tasks' sharpness moves the parameters to."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from jaxmtl._modes import take_step
from jaxmtl._pytree import Prefix, cloned_keys, leaf_groups
from jaxmtl._validate import check_positive, check_static, check_within
from jaxmtl.aggregation.checks import check_kind, check_parts, check_state
from jaxmtl.aggregation.contract import Aggregator
from jaxmtl.aggregation.info import StepInfo, info_of, read_value, value_for
from jaxmtl.aggregation.keys import step_keys
from jaxmtl.aggregation.known import AnyMethod, as_aggregator
from jaxmtl.aggregation.one_pass import rows_like
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.step import AggregatedStep, StepState, init_of
from jaxmtl.gradients import LossFn
from jaxmtl.gradients.loss import gives_aux, parts_of, value_of


def sharpness_step(
    loss_fn: LossFn,
    aggregator: AnyMethod,
    optimizer: optax.GradientTransformation,
    *,
    rho: Real = 0.003,
    beta: Real = 0.1,
    prefix: Prefix = 1,
    has_aux: bool = False,
) -> AggregatedStep:
    """Makes one step that combines task gradients taken where each task's loss rises steepest.

    Of every task t the parameters are moved to params + e_t, and its gradient is taken there. The
    direction of e_t mixes that of the mean loss, g, with an estimate of the task's own that costs
    no backward pass: g^_t = (dL_t along z) z for one random z ~ N(0, I). Layer by layer, e_t = (1 -
    beta) g + beta |g| g^_t / |g^_t|, then scaled to the length rho over all layers. T + 1 backward
    passes and one forward derivative.

    Args:
        loss_fn: as for ``aggregated_step``; it must have forward derivatives. Its aux is that of
            the parameters as they are.
        aggregator: combines the gradients found; see ``aggregated_step``.
        optimizer: any optax optimizer that goes along the direction it is given.
        rho: length of the perturbation, above 0; may be traced.
        beta: share of the task's own direction, in [0, 1]; may be traced.
        prefix: what a layer is, see ``leaf_groups``. Static.
        has_aux: whether the loss gives a pair (losses, aux). Static.

    Returns:
        ``init`` and ``step`` as those of ``aggregated_step``, without ``order`` and
        ``extra_batches``. They want a key, for z. ``info.losses`` are those of the parameters as
        they are.

    Raises:
        ValueError: a number out of range, no key; see also ``aggregated_step``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxmtl.aggregation as ag
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), ((w + x) ** 2).sum()])
        >>> init, step = sharpness_step(loss_fn, ag.mean(), optax.sgd(0.25), rho=1e-6)
        >>> params, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0])
        >>> state = init(params, batch, key=jax.random.key(0))
        >>> [round(x, 3) for x in jax.jit(step)(params, state, batch)[0].tolist()]
        [0.5, 0.5]

    References:
        Ban, Hao et al. (2025), SAMO: a lightweight sharpness-aware approach for multi-task
        optimization with joint global-local perturbation, ICCV, algorithm 1. There heads move by
        rho over the norm of their own gradient; here all parameters move by one e_t, in which a
        head's layer has the same length.
    """
    aggregator = as_aggregator(aggregator)
    check_parts("aggregator", aggregator, Aggregator, optimizer)
    check_positive("rho", rho)
    check_within("beta", beta, 0, 1)
    check_static("prefix", prefix)
    has_aux = gives_aux(loss_fn, has_aux)
    parts = parts_of(loss_fn, has_aux)

    def losses_of(*given: Any, **keyed: Any) -> Array:
        return parts(*given, **keyed)[0]

    init = init_of(
        loss_fn,
        losses_of,
        optimizer,
        lambda params, losses: aggregator.init(rows_like(params, losses.shape[0])),
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
        if keys.method is None:
            raise ValueError(
                "sharpness_step: expected a jax.random.key, got None: pass init(params, batch, "
                "key=...) or step(..., key=...)"
            )
        of_z, of_method = jax.random.split(keys.method)

        def losses_at(params: PyTree) -> tuple[Array, Any]:
            # Drawn the same at every point.
            return parts(params, batch, *args, **cloned_keys(keys.loss))

        z = _normal(of_z, params)
        (losses, slopes, beside), pullback = _forth_and_back(losses_at, params, z)
        tasks = losses.shape[0]
        check_state(state.aggregator, lambda: aggregator.init(rows_like(params, tasks)), tasks)
        there = jnp.ones(tasks, bool) if present is None else jnp.asarray(present)
        share = jnp.where(there, 1 / jnp.maximum(there.sum(dtype=losses.dtype), 1), 0)
        mean = pullback(share.astype(losses.dtype))
        mix = in_type(beta, losses.dtype)

        def gradient(given: tuple[Array, Array]) -> PyTree:
            slope, row = given
            moved = _perturbed(params, mean, z, slope, in_type(rho, losses.dtype), mix, prefix)
            return jax.vjp(lambda p: losses_at(p)[0], moved)[1](row)[0]

        rows = jax.lax.map(gradient, (slopes, jnp.eye(tasks, dtype=losses.dtype)))
        grads, inner, found = aggregator.update(
            rows, state.aggregator, losses=losses, params=params, key=of_method, present=present
        )
        names = read_value(value_of(losses, beside, has_aux), has_aux)[1]
        info = info_of(losses, found, weighted=False, aux=beside.aux, names=names)
        value = value_for(info, present, value)
        after, optimizer_state = take_step(optimizer, grads, state.optimizer, params, value=value)
        return after, StepState(inner, optimizer_state, state.key, state.number + 1), info

    return AggregatedStep(init, step)


def _normal(key: Array, params: PyTree) -> PyTree:
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        jax.random.normal(k, jnp.shape(leaf), jnp.result_type(leaf))
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


def _forth_and_back(losses_at: Any, params: PyTree, z: PyTree) -> tuple[Any, Any]:
    """Losses, their derivatives along z and what is beside, and the way back."""
    losses, forth, beside = jax.linearize(losses_at, params, has_aux=True)
    back = jax.linear_transpose(forth, params)
    return (losses, forth(z), beside), lambda weights: back(weights)[0]


def _perturbed(
    params: PyTree,
    mean: PyTree,
    z: PyTree,
    slope: Array,
    rho: Array,
    beta: Array,
    prefix: Prefix,
) -> PyTree:
    """The parameters plus e_t."""
    leaves, structure = jax.tree.flatten(mean)
    drawn = jax.tree.leaves(z)
    own: list[Any] = [None] * len(leaves)
    for group in leaf_groups(mean, prefix).values():
        length = _norm([leaves[at] for at in group])
        size = _norm([slope * drawn[at] for at in group])
        factor = beta * length * slope / jnp.where(size > 0, size, 1)
        for at in group:
            own[at] = (1 - beta) * leaves[at] + factor * drawn[at]
    total = _norm(own)
    scale = rho / jnp.where(total > 0, total, 1)
    moved = jax.tree.unflatten(structure, own)
    return jax.tree.map(lambda p, e: (p + scale * e).astype(jnp.result_type(p)), params, moved)


def _norm(leaves: Any) -> Float[Array, ""]:
    dtypes = (jnp.promote_types(leaf.dtype, jnp.float32) for leaf in leaves)
    squares = [(leaf.astype(d) ** 2).sum() for leaf, d in zip(leaves, dtypes, strict=True)]
    return jnp.sqrt(jnp.stack(squares).sum())
