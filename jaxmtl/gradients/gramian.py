"""The Gram matrix of the task gradients without the gradients, and one weighted backward pass."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmtl._validate import check_choice
from jaxmtl.gradients.dense import Tapped, tap_dense_layers
from jaxmtl.gradients.features import SplitLoss
from jaxmtl.gradients.heads import pass_heads
from jaxmtl.gradients.loss import Beside, LossFn, gives_aux, parts_of, value_of
from jaxmtl.gradients.stacked import row_products, weighted_rows
from jaxmtl.gradients.tasks import check_chunk, check_parameters, map_chunks

Engine = Literal["auto", "layers", "rank_one"]


def task_gramian(
    loss_fn: LossFn,
    *,
    engine: Engine = "auto",
    chunk: int | None = None,
    has_aux: bool = False,
    counted: Callable[[PyTree], Sequence[bool]] | None = None,
) -> Callable[..., tuple[Any, Float[Array, "tasks tasks"], Callable[..., PyTree]]]:
    """Inner products of all pairs of task gradients, layer by layer, and the way back.

    G is the sum over the parameters' arrays of the products of the tasks' gradients of that array,
    which are dropped as soon as their product is taken (under ``jit``, whose scheduler sees to it).
    Of a dense layer with inputs X (rows, inputs) and tasks' gradients D_t (rows, outputs) at its
    outputs, the kernel's gradient is X'D_t, and the products are <D_s, X X' D_t>: it need not be
    formed. Rows are samples, times positions where there are any. Nor does the way back need
    another pass: the weighted sum of the kernel's gradients is X' sum_t w_t D_t, and what is not
    dense is small as a rule, so that its gradients are kept. Where it is not (convolutions,
    embeddings), there is one more backward pass.

    Dense layers are found in the program of the loss: a kernel counts if it is used once, as the
    two-dimensional operand of a product without batch axes, in the type it has. Everything else,
    convolutions, embeddings, normalisation, shared kernels, is taken by its gradients, exactly too.

    Args:
        loss_fn: ``loss_fn(params, batch)`` gives the losses, as for ``task_gradients``. Of a
            ``SplitLoss`` with a function a head, each head is passed back once, not once a task.
        engine: ``"auto"``: for each dense kernel whatever takes fewer multiplications: with m
            tasks, r rows, i inputs, o outputs, r^2 (i + m o) + m^2 r o by its factors against
            m r i o + m^2 i o by its gradients; few rows and large layers favour the factors.
            ``"layers"``: by gradients always. ``"rank_one"``: by factors wherever possible. Static.
        chunk: tasks whose backward passes run side by side, see ``task_gradients``.
        has_aux: whether the loss gives a pair (losses, aux); a ``SplitLoss`` says so itself.
            Static.
        counted: from the parameters to a flag a leaf, in the order of ``jax.tree.leaves``: whether
            its gradients are in the matrix; None for all. Static.

    Returns:
        A function of (params, batch) and whatever else the loss takes that returns the losses as
        the loss gave them, with ``has_aux`` the pair (losses, aux), the matrix (in float32 at
        least) and ``backward(weights)``, which returns the weighted sum of the task gradients at
        the cost of one backward pass at most. With ``counted`` it is ``backward(weights, own)``:
        leaves that do not count are summed with weights of their own, by a pass to them alone.

    Raises:
        ValueError: an unknown engine, a chunk below 1; the losses are neither a vector nor scalars
            by name.

    Example:
        >>> import jax.numpy as jnp
        >>> loss_fn = lambda w, x: ((x @ w) ** 2).mean(axis=0)
        >>> params, batch = jnp.array([[1.0, 2.0], [0.0, 1.0]]), jnp.array([[1.0, 2.0]])
        >>> losses, gram, backward = task_gramian(loss_fn)(params, batch)
        >>> losses.tolist(), gram.tolist()
        ([1.0, 16.0], [[20.0, 0.0], [0.0, 320.0]])
        >>> backward(jnp.array([1.0, 0.5])).tolist()
        [[2.0, 4.0], [4.0, 8.0]]
    """
    check_choice("engine", engine, ("auto", "layers", "rank_one"))
    check_chunk(chunk)
    has_aux = gives_aux(loss_fn, has_aux)
    if isinstance(loss_fn, SplitLoss) and not callable(loss_fn.heads) and counted is None:
        apart = trunk_gramian(loss_fn, engine=engine, chunk=chunk, heads=True)

        def of_both(params: PyTree, batch: PyTree, *args: Any, **kwargs: Any) -> Any:
            value, gram, backward = apart(params, batch, *args, **kwargs)
            return value, gram, lambda weights: backward(weights, weights)

        return of_both

    parts = parts_of(loss_fn, has_aux)

    def gramian(params: PyTree, batch: PyTree, *args: Any, **kwargs: Any) -> Any:
        check_parameters(params)
        leaves, structure = jax.tree.flatten(params)

        def of_leaves(*leaves: Array) -> tuple[Array, Beside]:
            return parts(jax.tree.unflatten(structure, leaves), batch, *args, **kwargs)

        tapped = tap_dense_layers(of_leaves, leaves)
        tasks = tapped.outputs[0].shape[0]
        flags = None if counted is None else list(counted(params))
        losses, beside, pull_back = _open(tapped, leaves, tasks, engine, chunk, flags)
        gram, backward = pull_back(jnp.eye(losses.size, dtype=losses.dtype))
        value = value_of(losses, beside, has_aux)
        return value, gram, lambda *w: jax.tree.unflatten(structure, backward(*w))

    return gramian


def trunk_gramian(
    split: SplitLoss, *, engine: Engine = "auto", chunk: int | None = None, heads: bool = False
) -> Callable[
    ..., tuple[Any, Float[Array, "tasks tasks"], Callable[[Array, Array], tuple[PyTree, PyTree]]]
]:
    """``task_gramian`` of the trunk's parameters, with a way back that scales heads by themselves.

    Each head is passed back once, not once a task, if the heads are functions of their own.

    Args:
        split: trunk and heads; parameters are the pair of theirs.
        engine: see ``task_gramian``. Static.
        chunk: see there. Static.
        heads: whether the matrix includes the heads' parameters. Static.

    Returns:
        A function of ((trunk params, head params), batch) and whatever else the trunk takes that
        returns the losses as the heads gave them, of a split with ``has_aux`` the pair (losses,
        aux), the matrix, and ``backward(weights, head_weights)``, which returns the weighted sums
        of the task gradients of trunk and heads (ones: every head its own).

    Raises:
        ValueError: as ``task_gramian``.

    Example:
        >>> import jax.numpy as jnp
        >>> split = SplitLoss(
        ...     trunk=lambda w, x: w * x,
        ...     heads=(lambda v, z, x: v[0] * z, lambda v, z, x: v[1] * z**2))
        >>> params = (jnp.array(2.0), jnp.array([1.0, 3.0]))
        >>> losses, gram, backward = trunk_gramian(split)(params, 5.0)
        >>> gram.tolist()
        [[25.0, 1500.0], [1500.0, 90000.0]]
        >>> [g.tolist() for g in backward(jnp.array([1.0, 0.5]), jnp.ones(2))]
        [155.0, [10.0, 100.0]]
    """
    check_choice("engine", engine, ("auto", "layers", "rank_one"))
    check_chunk(chunk)

    parts = parts_of(split, split.has_aux)

    def gramian(params: tuple[PyTree, PyTree], batch: PyTree, *args: Any, key: Any = None) -> Any:
        check_parameters(params)
        leaves, structure = jax.tree.flatten(params[0])

        def of_leaves(*leaves: Array) -> tuple[PyTree, PyTree]:
            return split.features(jax.tree.unflatten(structure, leaves), batch, *args, key=key)

        tapped = tap_dense_layers(of_leaves, leaves)
        losses, _ = jax.eval_shape(lambda p: parts(p, batch, *args, key=key), params)
        features, aux, pull_back = _open(tapped, leaves, losses.shape[0], engine, chunk)
        found = pass_heads(split.keyed_heads(key), params[1], features, batch)
        gram, backward = pull_back(found.rows)
        if heads:
            gram = gram + found.products(gram.dtype)

        def both(weights: Array, head_weights: Array) -> tuple[PyTree, PyTree]:
            of_trunk = jax.tree.unflatten(structure, backward(weights))
            return of_trunk, found.backward(head_weights)

        value = value_of(found.losses, Beside(found.named, aux), split.has_aux)
        return value, gram, both

    return gramian


def _open(
    tapped: Tapped,
    leaves: Sequence[Array],
    tasks: int,
    engine: Engine,
    chunk: int | None,
    flags: Sequence[bool] | None = None,
) -> tuple[PyTree, PyTree, Callable[[PyTree], Any]]:
    """What the function returns, what is beside it, and the way back of the tasks' gradients."""
    counted = {at for at in range(len(leaves)) if flags is None or flags[at]}
    chosen = {
        at
        for at, layer in tapped.layers.items()
        if at in counted
        and (engine == "rank_one" or (engine == "auto" and layer.by_factors(tasks)))
    }

    def opened(leaves: Sequence[Array], taps: dict[int, Array]) -> tuple[PyTree, Any]:
        (outputs, beside), inputs = tapped(leaves, taps)
        return outputs, (beside, inputs)

    outputs, pullback, (beside, inputs) = jax.vjp(
        opened,
        leaves,
        {at: tapped.layers[at].no_tap() for at in chosen},
        has_aux=True,
    )

    def needed(row: PyTree) -> tuple[dict[int, Array], dict[int, Array]]:
        of_leaves, of_taps = pullback(row)
        return {at: of_leaves[at] for at in sorted(counted - chosen)}, of_taps

    def pull_back(rows: PyTree) -> tuple[Array, Callable[..., list[Array]]]:
        by_gradient, by_factors = map_chunks(needed, rows, chunk)
        dtype = jnp.result_type(jnp.float32, *(leaf.dtype for leaf in leaves))
        gram = jnp.zeros((tasks, tasks), dtype)
        for each in by_gradient.values():
            gram = gram + row_products(each, each, dtype)
        for at, deltas in by_factors.items():
            gram = gram + _factor_products(tapped, at, inputs[at], deltas, dtype)

        # No more numbers than the result has are kept for it.
        size = sum(leaves[at].size for at in counted)
        keep = tasks * sum(leaves[at].size for at in by_gradient) <= size

        def passed_back(weights: Array) -> list[Array]:
            return pullback(jax.tree.map(lambda each: _weighted(weights, each), rows))[0]

        def backward(weights: Array, own: Array | None = None) -> list[Array]:
            if not keep:
                found = dict(enumerate(passed_back(weights)))
            else:
                found = {at: _weighted(weights, each) for at, each in by_gradient.items()}
                for at, deltas in by_factors.items():
                    delta = _weighted(weights, deltas)
                    found[at] = tapped.layers[at].kernel_gradient(inputs[at], delta)
            if len(counted) < len(leaves):
                assert own is not None
                apart = passed_back(own)
                found |= {at: g for at, g in enumerate(apart) if at not in counted}
            return [found[at] for at in range(len(leaves))]

        return gram, backward

    return outputs, beside, pull_back


def _weighted(weights: Array, rows: Array) -> Array:
    return weighted_rows(weights, rows, jnp.result_type(jnp.float32, weights.dtype, rows.dtype))


def _factor_products(
    tapped: Tapped, at: int, inputs: Array, deltas: Array, dtype: Any
) -> Float[Array, "tasks tasks"]:
    layer = tapped.layers[at]
    x = layer.input_rows(inputs).astype(dtype)
    d = jax.vmap(layer.output_rows)(deltas).astype(dtype)  # (tasks, rows, outputs)
    highest = jax.lax.Precision.HIGHEST
    rows = jnp.matmul(x, x.T, precision=highest)
    # A product a task: one for all tasks would be laid out with the tasks inside, twice.
    each = jnp.broadcast_to(rows, (d.shape[0], *rows.shape))
    return row_products(d, jnp.matmul(each, d, precision=highest), dtype)
