"""Steps on products with the Gram matrix, which cost one pass back and one forth for any tasks."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from jaxmtl._modes import check_optimizer, take_step
from jaxmtl._validate import check_choice, check_positive
from jaxmtl.aggregation.checks import check_kind, check_state
from jaxmtl.aggregation.contract import Context, gram_context
from jaxmtl.aggregation.info import info_of, read_value, value_for
from jaxmtl.aggregation.keys import step_keys
from jaxmtl.aggregation.one_pass import untold
from jaxmtl.aggregation.parts import rejoin
from jaxmtl.aggregation.settings import Real, in_type
from jaxmtl.aggregation.solvers import project_simplex
from jaxmtl.aggregation.solvers.simplex import share_among
from jaxmtl.aggregation.solvers.trust import safe_root
from jaxmtl.aggregation.step import AggregatedStep, StepState, init_of
from jaxmtl.gradients import LossFn
from jaxmtl.gradients.loss import gives_aux, parts_of, value_of

Kind = Literal["min_norm", "towards_mean", "cagrad"]


class ProductState(NamedTuple):
    """Weights between steps.

    Attributes:
        weights: w on the simplex.
    """

    weights: Float[Array, " tasks"]


@dataclasses.dataclass(frozen=True)
class ProductMethod:
    """A gradient method whose weights take one step an update: see ``gram_product_step``.

    Attributes:
        kind: ``"min_norm"``: the least norm in the convex hull, as MGDA and MoDo;
            ``"towards_mean"``: SDMGrad, the weights of whose direction are pulled to equal ones by
            ``strength``; ``"cagrad"``: CAGrad with c of ``strength``. Static.
        rate: of the step on the weights.
        rho: pull of the weights to equal ones, as in MoDo.
        strength: lambda of SDMGrad, c of CAGrad; nothing else reads it.
        normalize: whether the slope is divided by its largest entry, so that the rate is in units
            of weights, whatever the size of the gradients. Static.

    Example:
        >>> ProductMethod().rate, ProductMethod("cagrad").strength
        (0.1, 0.4)
    """

    kind: Kind = "min_norm"
    rate: Real = 0.1
    rho: Real = 0.0
    strength: Real = 0.4
    normalize: bool = True

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        check_choice("kind", self.kind, ("min_norm", "towards_mean", "cagrad"))
        check_positive("rate", self.rate)
        check_positive("rho", self.rho, zero=True)
        check_positive("strength", self.strength, zero=True)


def gram_product_step(
    loss_fn: LossFn,
    method: ProductMethod,
    optimizer: optax.GradientTransformation,
    *,
    has_aux: bool = False,
) -> AggregatedStep:
    """Makes one step whose task weights move by the gradient of their own problem, without J.

    With d = J^T w, one backward pass, J d = G w is one forward derivative along d, exactly: for any
    number of tasks. Of the problem of MGDA, min w'G w / 2 on the simplex, that is the whole
    gradient. The update goes along d; then the weights take a projected step, which the next update
    starts from: w <- P(w - rate (G w + rho w)). So the weights that move the parameters are always
    those of the step before, solved by as many steps as there are updates, not anew each time.

    For SDMGrad, d = J^T (w + lambda p) / (1 + lambda), p equal weights. For CAGrad, d = g_0 + c
    |g_0| g_w / |g_w| with two backward passes, of p and of w; the slope of its dual problem g_w.g_0
    + c |g_0| |g_w| in w is J d, again.

    Args:
        loss_fn: as for ``aggregated_step``; it must have forward derivatives, which functions with
            a ``jax.custom_vjp`` of their own do not.
        method: which problem, and how fast.
        optimizer: any optax optimizer that goes along the direction it is given.
        has_aux: whether the loss gives a pair (losses, aux). Static.

    Returns:
        ``init`` and ``step`` as those of ``scalarized_step``. The state of the method is a
        ``ProductState``; absent tasks keep their part of the weights. ``info.aggregation`` has the
        weights of the direction, NaN for cosines and conflict rate, and as ``residual`` how far the
        weights before the step are from solving their problem: max over tasks of w'G w - (G w)_t,
        over w'G w, for ``"min_norm"``, NaN for others. ``converged`` is always True.

    Raises:
        ValueError: no method or optimizer; see also ``aggregated_step``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> loss_fn = lambda w, x: jnp.stack([((w - x) ** 2).sum(), 4 * ((w + x) ** 2).sum()])
        >>> init, step = gram_product_step(loss_fn, ProductMethod(rate=0.05), optax.sgd(0.01))
        >>> params, batch, step = jnp.array([0.5, 1.0]), jnp.array([1.0, 0.0]), jax.jit(step)
        >>> state = init(params, batch)
        >>> for _ in range(200):
        ...     params, state, info = step(params, state, batch)
        >>> bool(abs(params[1]) < 0.02)  # on the line between the two minima
        True

    References:
        The product is derived here; it is the exact form of the difference quotient (L(p) - L(p -
        eta d)) / eta of MARIGOLD (2026), arXiv 2603.07389. Chen et al. (2023), MoDo, for the step
        on the weights; Xiao et al. (2023), SDMGrad; Liu et al. (2021), CAGrad.
    """
    if not isinstance(method, ProductMethod):
        raise ValueError(f"method: expected a ProductMethod, got {type(method).__name__}")
    check_optimizer(optimizer)
    has_aux = gives_aux(loss_fn, has_aux)
    parts = parts_of(loss_fn, has_aux)

    def losses_of(*given: Any, **keyed: Any) -> Array:
        return parts(*given, **keyed)[0]

    init = init_of(
        loss_fn, losses_of, optimizer, lambda _, losses: _start(losses.shape[0], losses.dtype)
    )

    def step(
        params: PyTree,
        state: StepState,
        batch: PyTree,
        *args: PyTree,
        key: Key[Array, ""] | None = None,
        present: Bool[Array, " tasks"] | None = None,
        value: Float[Array, ""] | None = None,
    ) -> tuple[PyTree, StepState, Any]:
        check_kind(state, StepState)
        keys = step_keys(loss_fn, args, state, key)
        losses, forth, beside = jax.linearize(
            lambda p: parts(p, batch, *args, **keys.loss), params, has_aux=True
        )
        back = jax.linear_transpose(forth, params)
        tasks = losses.shape[0]
        check_state(state.aggregator, lambda: _start(tasks, losses.dtype), tasks)
        context, dtype = gram_context(tasks, present=present), state.aggregator.weights.dtype
        found = _move(
            method,
            state.aggregator,
            context,
            lambda w: back(w.astype(losses.dtype))[0],
            lambda d: jnp.where(context.present, forth(d).astype(dtype), 0),
        )
        direction, inner, told = found
        names = read_value(value_of(losses, beside, has_aux), has_aux)[1]
        info = info_of(losses, told, weighted=method.kind != "cagrad", aux=beside.aux, names=names)
        value = value_for(info, present, value)
        after, optimizer_state = take_step(
            optimizer, direction, state.optimizer, params, value=value
        )
        return after, StepState(inner, optimizer_state, state.key, state.number + 1), info

    return AggregatedStep(init, step)


def _start(tasks: int, dtype: Any) -> ProductState:
    dtype = jnp.promote_types(dtype, jnp.float32)
    return ProductState(jnp.full(tasks, 1 / tasks, dtype))


def _move(
    method: ProductMethod,
    state: ProductState,
    context: Context,
    back: Callable[[Array], PyTree],
    forth: Callable[[PyTree], Array],
) -> tuple[PyTree, ProductState, Any]:
    """The direction, the weights after their step, the info."""
    present, dtype = context.present, state.weights.dtype
    w = share_among(state.weights, present)
    equal = jnp.where(present, 1 / jnp.maximum(present.sum(dtype=dtype), 1), 0).astype(dtype)
    strength, residual = in_type(method.strength, dtype), jnp.array(jnp.nan, dtype)
    if method.kind == "cagrad":
        weights, direction = _cagrad(w, equal, strength, back)
    else:
        pull = strength if method.kind == "towards_mean" else jnp.zeros((), dtype)
        weights = (w + pull * equal) / (1 + pull)
        direction = back(weights)
    products = forth(direction)
    if method.kind == "min_norm":
        square = (w * products).sum()
        least = jnp.min(jnp.where(present, products, jnp.inf))
        residual = jnp.where(square > 0, (square - least) / jnp.where(square > 0, square, 1), 0)
    slope = products
    if method.normalize:
        size = jnp.max(jnp.abs(products))
        slope = products / jnp.where(size > 0, size, 1)
    slope = slope + in_type(method.rho, dtype) * w
    moved = project_simplex(w - in_type(method.rate, dtype) * slope, present)
    kept = rejoin(state.weights, moved, present)
    kept = jnp.where(jnp.isfinite(products).all(), kept, state.weights)
    return direction, ProductState(kept), untold(weights, jnp.array(True), residual)


def _cagrad(
    w: Array, equal: Array, c: Array, back: Callable[[Array], PyTree]
) -> tuple[Array, PyTree]:
    """Weights and direction of CAGrad: g_0 + c |g_0| g_w / |g_w|."""
    both = jax.vmap(back)(jnp.stack([equal, w]))
    squares = jax.tree.map(
        lambda leaf: (leaf.astype(w.dtype) ** 2).reshape(2, -1).sum(axis=1), both
    )
    norms = safe_root(jax.tree.reduce(jnp.add, squares))
    factor = c * norms[0] / jnp.where(norms[1] > 0, norms[1], 1)
    direction = jax.tree.map(
        lambda leaf: (leaf[0] + factor * leaf[1].astype(w.dtype)).astype(leaf.dtype), both
    )
    return equal + factor * w, direction
