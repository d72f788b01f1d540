"""What the recipes that split a network have in common: the loop, the choice, the cost."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PyTree

from jaxmtl.conflict import Tally, conflict_map, start_tally, update_tally
from jaxmtl.report import plot_conflict
from jaxmtl.sharing import (
    Shared,
    count_parameters,
    enlarge,
    find_units,
    open_banks,
    split,
    task_view,
    to_banks,
    unit_gradients,
    view_gradients,
)

EVERY = 10  # steps from one moment of the picture to the next


class Network(NamedTuple):
    """A network of any library.

    Attributes:
        params: any pytree.
        stats: running statistics; None without.
        loss_fn: ``loss_fn(params, batch)`` gives losses by task, with statistics
            ``loss_fn(params, batch, stats)`` the pair of these and the statistics after it.
        evaluate: ``evaluate(params, stats, x)`` gives outputs by task.
    """

    params: PyTree
    stats: PyTree
    loss_fn: Callable[..., Any]
    evaluate: Callable[..., dict[str, Array]]


class Trained(NamedTuple):
    """What a loop has made."""

    state: Shared
    tallies: list[Tally]
    grads: PyTree
    seconds: float


def opened(
    network: Network, tasks: int, heads: Sequence[str], copies: int, learning_rate: float
) -> tuple[Shared, optax.GradientTransformation, PyTree, dict[str, str]]:
    """Banks with room for some copies a layer, and the groups that every leaf is in."""
    groups, left_out = find_units(network.params, network.stats)
    groups = {name: parts for name, parts in groups.items() if name not in heads}
    others = [] if network.stats is None else [network.stats]
    _, pointers = open_banks(network.params, groups, 1, others=others)
    capacity = {group.name: group.units + copies for group in pointers.groups}
    banks, pointers = open_banks(network.params, groups, tasks, capacity=capacity, others=others)
    stats = None if network.stats is None else enlarge(network.stats, pointers)
    optimizer = optax.adam(learning_rate)
    state = Shared(banks, pointers, stats, optimizer.init(banks))
    return state, optimizer, layers_of(network.params, groups), left_out


def layers_of(params: PyTree, groups: dict[str, Any]) -> PyTree:
    """The group of units that every leaf is in: the layers of the map."""
    owner = {part.path: name for name, parts in groups.items() for part in parts}

    def label(path: Any, _: Array) -> str:
        return owner.get(jax.tree_util.keystr(path, simple=True, separator="/"), "not split")

    return jax.tree_util.tree_map_with_path(label, params)


def make_loop(
    network: Network,
    layers: PyTree,
    optimizer: optax.GradientTransformation,
    batch_of: Callable[[int], Any],
    names: Sequence[str],
    known_of: Callable[[Any], Bool[Array, "batch tasks"] | None] = lambda batch: None,
) -> Callable[..., Trained]:
    """A loop that counts conflict at every layer while it trains."""
    has_stats = network.stats is not None
    gradients = view_gradients(network.loss_fn, has_stats=has_stats)
    measure = partial(conflict_map, prefix=layers, names=names)

    @jax.jit
    def step(state: Shared, tally: Tally, batch: Any) -> Any:
        given = (state.stats,) if has_stats else ()
        found, grads = gradients(state.banks, batch, state.pointers, *given)
        stats = found[1] if has_stats else None
        tally = update_tally(tally, measure(grads), known=known_of(batch), rate=0.05)
        summed = jax.tree.map(lambda leaf: leaf.sum(axis=0), to_banks(grads, state.pointers))
        updates, opt_state = optimizer.update(summed, state.opt_state, state.banks)
        banks = optax.apply_updates(state.banks, updates)
        return Shared(banks, state.pointers, stats, opt_state), tally, grads

    def loop(state: Shared, tally: Tally | None, steps: range) -> Trained:
        if tally is None:
            rows = jax.tree.map(lambda p: jnp.stack([p] * len(names)), network.params)
            tally = start_tally(jax.eval_shape(measure, rows))
        tallies, grads, start = [], None, 0.0
        for number in steps:
            state, tally, grads = step(state, tally, batch_of(number))
            if number == steps[0]:  # compiled
                jax.block_until_ready(state)
                start = time.perf_counter()
            if (number + 1) % EVERY == 0:
                tallies.append(tally)
        jax.block_until_ready(state)
        return Trained(state, tallies, grads, (time.perf_counter() - start) / (len(steps) - 1))

    return loop


def parted(
    trained: Trained, inner: Callable[[str], bool], copies: int
) -> tuple[Shared, str, list[int]]:
    """Copies the units that pull two groups of tasks apart, in the layer with most conflict.

    The groups are the signs of the leading eigenvector of the mean cosines there.
    """
    state, tally = trained.state, trained.tallies[-1]
    scores = np.asarray(tally.of_layers("cosine"))
    layer = max(
        (at for at, name in enumerate(tally.layers) if inner(name)), key=lambda at: scores[at]
    )
    cosines = -np.nan_to_num(np.asarray(tally.score("cosine"), np.float64)[layer])
    signs = np.linalg.eigh(cosines - np.diag(np.diag(cosines)))[1][:, -1] >= 0
    moving = signs if signs.sum() <= len(signs) / 2 else ~signs
    if not moving.any():  # all agree: the one that does so least
        moving = np.arange(len(signs)) == cosines.sum(axis=1).argmin()
    name, tasks = tally.layers[layer], np.flatnonzero(moving).tolist()
    rows = np.asarray(unit_gradients(trained.grads, state.pointers, name))
    ours, others = rows[moving].sum(axis=0), rows[~moving].sum(axis=0)
    pull = (ours * others).sum(axis=1)  # below 0: a step for one group is a step back for the other
    for unit in np.argsort(pull)[:copies]:
        column = state.pointers[name][tasks[0], unit]
        state = split(
            *(state.banks, state.pointers, name, column, tasks),
            stats=state.stats,
            opt_state=state.opt_state,
        )
    return state, name, tasks


def outputs_of(
    network: Network, state: Shared, x: Float[Array, "rows ..."], names: Sequence[str]
) -> dict[str, Array]:
    """Every task from its own view."""

    @jax.jit
    def evaluate(state: Shared) -> dict[str, Array]:
        found = {}
        for task, name in enumerate(names):
            params = task_view(state.banks, state.pointers, task)
            stats = None if state.stats is None else task_view(state.stats, state.pointers, task)
            found[name] = network.evaluate(params, stats, x)[name]
        return found

    return evaluate(state._replace(opt_state=None))


def compared(
    network: Network,
    loop: Callable[..., Trained],
    state: Shared,
    x: Float[Array, "rows ..."],
    names: Sequence[str],
    measures: Callable[[dict[str, Array]], dict[str, float]],
    *,
    steps: int,
    inner: Callable[[str], bool],
    copies: int,
    picture: Path | None,
) -> tuple[bool, str, dict[str, dict[str, float]]]:
    """Trains, splits, and trains on with and without the split; says and returns what came out."""
    first = loop(state, None, range(steps))
    after, name, tasks = parted(first, inner, copies)
    outputs = [outputs_of(network, each, x, names) for each in (first.state, after)]
    same = all(bool((outputs[0][task] == outputs[1][task]).all()) for task in names)
    print(f"{copies} units of {name} copied for {', '.join(names[t] for t in tasks)}")
    print(f"all outputs after the split are what they were before, to the bit: {same}")
    found = {}
    for arm, begun in (("shared", first.state), ("split", after)):
        run = loop(begun, first.tallies[-1], range(steps, 2 * steps))
        found[arm] = measures(outputs_of(network, run.state, x, names)) | {
            "parameters": count_parameters(run.state.banks, run.state.pointers),
            "ms a step": 1000 * run.seconds,
        }
        print(f"{arm:7}", *(f"{key} {value:.4g}" for key, value in found[arm].items()), sep="  ")
    if picture is not None:
        moments = jax.tree.map(lambda *leaves: jnp.stack(leaves), *first.tallies)
        every = [EVERY * (i + 1) for i in range(len(first.tallies))]
        plot_conflict(moments, "cosine", steps=every).savefig(picture)
        print("wrote", picture)
    return same, name, found
