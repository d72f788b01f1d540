"""Tasks whose predictions go together share all layers, those of other groups have their own."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm, number_in_name
from jaxmtl.methods.study.bench import Bench
from jaxmtl.methods.study.layers import network_of_layers
from jaxmtl.methods.study.stages import check_validation
from jaxmtl.sharing import Pointers, duplicate
from jaxmtl.structure.relations import groups_by

MOST = 1000
SEARCH = 4  # of so many parts of the updates, the first one finds the groups


def groups_at(number: str) -> Arm:
    """An arm that finds groups of tasks, and trains a copy of the shared layers for each.

    A quarter of the schedule's updates is trained with all shared, at its first rate. Tasks whose
    predictions of the validation rows are correlated, whatever the sign, are a group; the network
    is then trained from its initial values on the whole schedule. Steps are those of both.

    Args:
        number: of groups, as it stands in the name of the arm.

    Returns:
        The arm.

    Raises:
        ValueError: no whole number from 2 on.

    Example:
        >>> groups_at("2").name
        'groups@2'
    """
    groups = number_in_name(number, "groups", "groups@2", MOST)
    run = functools.partial(_run, groups)
    return Arm(f"groups@{groups}", groups_in_words(number), run, least_tasks=groups)


def groups_in_words(number: str) -> str:
    """What the arm does."""
    return f"{number} groups of tasks that are predicted alike after a quarter, all trained anew"


@jax.jit
def split_by_groups(
    banks: PyTree, pointers: Pointers, groups: Int[Array, "seeds tasks"]
) -> tuple[PyTree, Pointers]:
    """Gives every group of tasks its own copy of all layers.

    Args:
        banks: leaves (seeds, ...), traced.
        pointers: the same, by which all tasks read all.
        groups: the number of the group of every task, that of the first task 0, traced.

    Returns:
        Both after it.
    """

    def of_seed(banks: PyTree, pointers: Pointers, groups: Array) -> tuple[PyTree, Pointers]:
        for layer in pointers.groups:
            for number in range(1, pointers.num_tasks):
                banks, pointers = duplicate(banks, pointers, layer.name, 0, groups == number)
        return banks, pointers

    return jax.vmap(of_seed)(banks, pointers, groups)


def _run(number: int, bench: Bench) -> Fitted:
    name = f"groups@{number}"
    check_validation(name, bench)
    groups, searched = _search(name, number, bench)
    network, banks, pointers = network_of_layers(bench)
    banks, pointers = split_by_groups(banks, pointers, jnp.asarray(groups))
    runs = bench.run(name, network, bench.same_schedule, params=banks, head_index=pointers)
    fitted = bench.fitted(network, runs)
    names = [task.name for task in bench.data.tasks]
    chosen = tuple(
        {**choice, "groups": "; ".join(_named(own, names))}
        for choice, own in zip(fitted.chosen, groups.tolist(), strict=True)
    )
    return dataclasses.replace(fitted, chosen=chosen, steps=fitted.steps + searched)


def _search(name: str, number: int, bench: Bench) -> tuple[np.ndarray, np.ndarray]:
    """The number of every task's group, a seed each, and the steps that it took to find them."""
    table = bench.constant_rate
    stop = -(-table.stop // SEARCH)
    table = table._replace(stop=stop, epochs=-(-stop // bench.updates_an_epoch))
    network = bench.network()
    found = bench.fitted(network, bench.run(f"{name}/search", network, table))
    tasks = tuple(map(str, range(bench.num_tasks)))
    groups = np.zeros((len(bench.keys), bench.num_tasks), np.int32)
    for seed, (model, fold) in enumerate(zip(found.models, bench.folds, strict=True)):
        predicted = model.predict(bench.data.x[fold.validation])
        with np.errstate(invalid="ignore", divide="ignore"):  # of a constant there is none
            relation = np.abs(np.corrcoef(predicted, rowvar=False))
        for place, group in enumerate(groups_by(relation, tasks, number)):
            groups[seed, [int(task) for task in group]] = place
    return groups, found.steps


def _named(groups: list[int], names: list[str]) -> list[str]:
    """The tasks of every group, in words."""
    return [
        " with ".join(name for name, own in zip(names, groups, strict=True) if own == number)
        for number in dict.fromkeys(groups)
    ]
