"""From one structure to another while training goes on: parameters and optimizer state at once."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxmtl.duplication.transplant import Transplant
from jaxmtl.structure.recipe import Recipe, State
from jaxmtl.structure.trunk import Placed, Trunk


def move(
    trunk: Trunk,
    recipe: Recipe,
    state: State,
    before: Placed,
    after: Placed,
    fresh: PyTree,
    *,
    mode: Transplant = "copy",
) -> State:
    """Makes a network of one structure one of another.

    A copy whose readers read one copy before is that copy, to the bit: to split changes no output.
    A copy whose readers come from several is their mean: to merge does. Slots that are new get
    fresh weights into them and weights of 0 out of them: to grow changes no output either.

    Args:
        trunk: static.
        recipe: static.
        state: before, traced.
        before: the structure that it has, traced.
        after: the structure that it gets, traced.
        fresh: initial values, of which new slots get theirs. Traced.
        mode: ``"copy"`` moves what the optimizer keeps, too, of which new slots have none;
            ``"fresh"`` starts it anew. Static.

    Returns:
        The state after.

    Example:
        >>> from jaxmtl.structure import separate, shared
        >>> from jaxmtl.structure.recipe import begin
        >>> from jaxmtl.structure.trunk import place
        >>> trunk, both = place([shared("ab", (4,)), separate("ab", (6,))], features=3)
        >>> before, after = (jax.tree.map(lambda leaf: leaf[i], both) for i in (0, 1))
        >>> state = begin(trunk, Recipe(), jax.random.key(0), before)
        >>> fresh = trunk.init(jax.random.key(1), after)
        >>> moved = move(trunk, Recipe(), state, before, after, fresh)
        >>> x = jax.random.normal(jax.random.key(2), (5, 3))
        >>> pair = trunk.apply(state.params, before, x), trunk.apply(moved.params, after, x)
        >>> bool((pair[0] == pair[1]).all())
        True
    """
    changes: dict[str, Any] = {}
    grown = {name: after.used[name] & ~before.used[name] for name in trunk.layers}
    for name, copies in zip(trunk.layers, trunk.copies, strict=True):
        sources = _sources(before, after, name, copies)
        changes[name] = dict.fromkeys(("kernel", "bias"), lambda leaf, s=sources: _moved(leaf, s))
    changes["output"] = dict.fromkeys(("kernel", "bias"), lambda leaf: leaf)
    params = jax.tree.map(lambda change, leaf: change(leaf), changes, state.params)
    into: Array | None = None
    for name in trunk.layers:
        own, new, columns = params[name], fresh[name], grown[name]
        kernel = own["kernel"]
        if into is not None:
            kernel = jnp.where(into[None, :, None], 0, kernel)
        params[name] = {
            "kernel": jnp.where(columns[None, None], new["kernel"], kernel),
            "bias": jnp.where(columns[None], new["bias"], own["bias"]),
        }
        into = columns
    last = params["output"]
    if into is not None:
        last = last | {"kernel": jnp.where(into[:, None], 0, last["kernel"])}
    params["output"] = last
    optimizer = recipe.optimizer(1.0)
    if mode == "fresh":
        return State(params, optimizer.init(params))
    opt_state = optax.tree.map_params(
        optimizer, lambda leaf, change: change(leaf), state.opt_state, changes
    )
    return State(params, opt_state)


def _sources(
    before: Placed, after: Placed, name: str, copies: int
) -> Float[Array, "slots copies copies"]:
    """For every slot and copy afterwards, the shares of the copies that it is made of."""
    old, new = (jax.nn.one_hot(placed.copies[name], copies) for placed in (before, after))
    both = jnp.einsum("twj,twk->wjk", new, old, precision="highest")
    return both / jnp.maximum(new.sum(axis=0), 1)[..., None]


def _moved(leaf: Float[Array, "copies ..."], sources: Array) -> Array:
    """A kernel (copies, inputs, slots) or a bias (copies, slots); shares of 1 are exact."""
    if sources.shape[0] == 1:
        return jnp.einsum("jk,k...->j...", sources[0], leaf, precision="highest")
    return jnp.einsum("wjk,k...w->j...w", sources, leaf, precision="highest")
