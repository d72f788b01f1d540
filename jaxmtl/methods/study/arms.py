"""The registry of arms: a later method adds a file and a line here."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxmtl._words import did_you_mean, short
from jaxmtl.aggregation import REGISTRY, Aggregator, make
from jaxmtl.aggregation.known import known_names, read_name
from jaxmtl.methods.study.adaptive import ADAPTIVE
from jaxmtl.methods.study.architectures import ARCHITECTURES
from jaxmtl.methods.study.arm import Arm as Arm
from jaxmtl.methods.study.bench import StudyProtocol
from jaxmtl.methods.study.branch import branch_at
from jaxmtl.methods.study.ensemble import KIND as ENSEMBLE
from jaxmtl.methods.study.ensemble import ensemble_of
from jaxmtl.methods.study.equal_nodes import EQUAL_NODES
from jaxmtl.methods.study.fully_split import FULLY_SPLIT, ONE_SHOT
from jaxmtl.methods.study.grow import grow_at, grow_in_words
from jaxmtl.methods.study.halving_arm import HALVING
from jaxmtl.methods.study.hard_sharing import HARD_SHARING
from jaxmtl.methods.study.in_groups import groups_at, groups_in_words
from jaxmtl.methods.study.independent import INDEPENDENT
from jaxmtl.methods.study.linear_tuned import LINEAR_TUNED
from jaxmtl.methods.study.look_ahead_arm import LOOK_AHEAD
from jaxmtl.methods.study.other_nodes import LEAST_CONFLICT, RANDOM_NODE
from jaxmtl.methods.study.parameter_differentiation import (
    PARAMETER_DIFFERENTIATION,
    cannot_watch,
)
from jaxmtl.methods.study.recon import recon_at, recon_in_words
from jaxmtl.methods.study.restarts import RESTARTS
from jaxmtl.training.phased.combining import aggregators, weightings

DEFAULT = (
    INDEPENDENT,
    HARD_SHARING,
    EQUAL_NODES,
    RESTARTS,
    RANDOM_NODE,
    LEAST_CONFLICT,
    ONE_SHOT,
    FULLY_SPLIT,
    ADAPTIVE,
)
ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        *DEFAULT,
        *ARCHITECTURES,
        PARAMETER_DIFFERENTIATION,
        LOOK_AHEAD,
        HALVING,
        LINEAR_TUNED,
    )
}
AT = "@"
ARMS_AT: dict[str, tuple[str, Callable[[str], Arm], str]] = {
    "recon": ("K", recon_at, recon_in_words("K shared layers")),
    "branch": ("LAYER", branch_at, branch_at("LAYER").description),
    "groups": ("K", groups_at, groups_in_words("K")),
    "grow": ("N", grow_at, grow_in_words("N times")),
    ENSEMBLE: (
        "N:ARM",
        lambda value: ensemble_of(value, find_arm),
        "the mean of N runs of any arm from other initial values",
    ),
}
"""Arms with a number or a layer in their name: what it stands for, how it is read, and in words."""
DEFAULT_ARMS: tuple[str, ...] = tuple(arm.name for arm in DEFAULT)

# What tuned weights of a sum do is what a method that combines gradients has to beat.
GROUPS = {
    "all": lambda: tuple(ARMS),
    "aggregators": lambda: (*aggregators(), LINEAR_TUNED.name),
    "losses": weightings,
}

JOINT, ALONE = "+", RESTARTS.name
ALL_NAMES = "jaxmtl compare --list-arms names all"


@functools.cache
def find_arm(name: str, beside: tuple[str, ...] = ()) -> Arm:
    """An arm by its name: of ``ARMS``, or one of them with an aggregator, ``mmoe+upgrad``.

    Args:
        name: as above; or ``recon@2``, ``branch@shared_0``, ``groups@2``, ``grow@2``,
            ``ensemble@4:restarts``. An aggregator or loss method by itself stands on hard sharing
            with the adaptive run's schedule, ``restarts+upgrad``. It may
            have options, ``mmoe+cagrad(c=0.4)``, and be one that ``jaxmtl.aggregation.register``
            added.
        beside: other names that would have done, for the sentence of an error.

    Returns:
        The arm, by its full name.

    Raises:
        ValueError: no such arm or method.

    Example:
        >>> find_arm("upgrad").name, find_arm("mmoe+famo").name
        ('restarts+upgrad', 'mmoe+famo')
    """
    if name in ARMS:
        return ARMS[name]
    if name.startswith(f"{ENSEMBLE}{AT}") and (whole := _arm_at(name)) is not None:
        return whole
    head, bracket, options = name.partition("(")
    base, joint, method = head.partition(JOINT)
    arm = ARMS.get(base) or _arm_at(base)
    if arm is not None and not joint and not bracket:
        return arm
    if not joint and base.strip() in known_names():
        base, method, arm = ALONE, base, ARMS[ALONE]
    methods = known_names()
    if not joint and not method and arm is None:
        hint = did_you_mean(base, (*ARMS, *methods, *beside)) or f"; {ALL_NAMES}"
        raise ValueError(f"arms: there is no arm and no method {short(name)}{hint}")
    if arm is None or method.strip() not in methods:
        kind, wrong, known = (
            ("arm", base, ARMS) if arm is None else ("method to combine with", method, methods)
        )
        hint = did_you_mean(wrong, known) or f"; {ALL_NAMES}"
        raise ValueError(f"arms: {short(name)}: there is no {kind} {short(wrong)}{hint}")
    method = str(read_name(method + bracket + options, of=f"arms: {short(name)}"))
    if arm is PARAMETER_DIFFERENTIATION and (why := cannot_watch(method)) is not None:
        raise ValueError(f"arms: {short(name)}: {why}")
    if arm is LINEAR_TUNED:
        raise ValueError(f"arms: {short(name)}: {arm.name} weighs the losses itself; take it alone")
    return arm._replace(
        name=f"{arm.name}{JOINT}{method}",
        description=f"{arm.description}; task gradients combined by {method}",
        run=lambda bench: arm.run(bench.combined_by(method)),
    )


def _arm_at(name: str) -> Arm | None:
    """An arm with a number or a layer in its name; None for names that begin otherwise."""
    kind, at, value = name.partition(AT)
    if kind not in ARMS_AT or (not at and kind in known_names()):
        return None
    what, read, _ = ARMS_AT[kind]
    if not value:
        lacking = what.partition(":")[0].lower()
        raise ValueError(f"arms: {short(name)}: expected {kind}{AT}{what}, got no {lacking}")
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"arms: {short(name)}: {str(error).removeprefix('arms: ')}") from error


def why_not(arm: Arm, num_tasks: int, protocol: StudyProtocol | None) -> str | None:
    """Why an arm does not go with a number of tasks, or with a protocol; None if it does."""
    if num_tasks < arm.least_tasks:
        return f"expected at least {arm.least_tasks} tasks, got {num_tasks}"
    return None if protocol is None else arm.why_not(protocol)


def fits(name: str, num_tasks: int, protocol: StudyProtocol | None = None) -> str | None:
    """Why an arm does not go with a number of tasks, or with a protocol; None if it does.

    Args:
        name: as for ``find_arm``.
        num_tasks: number of targets.
        protocol: what all arms have in common; None where it is not known yet.

    Returns:
        One sentence.

    Example:
        >>> fits("krum", 5) is None
        True
        >>> fits("krum", 2)
        'krum: expected at least 4 tasks with num_byzantine=1 and num_selected=1, got 2'
        >>> fits("soft_l2+mean", 1)
        'expected at least 2 tasks, got 1'
    """
    arm = find_arm(name)
    if (why := why_not(arm, num_tasks, protocol)) is not None:
        return why
    method = arm.name.partition(JOINT)[2]
    if not method or read_name(method).name not in REGISTRY:
        return None
    return fits_tasks(make, method, num_tasks)


def fits_tasks(build: Callable[[str, int], Aggregator], method: str, num_tasks: int) -> str | None:
    """Why an aggregator does not go with a number of tasks; None if it does.

    Args:
        build: from the name and the number of tasks to the aggregator.
        method: its name.
        num_tasks: number of targets.

    Returns:
        One sentence.

    Example:
        >>> fits_tasks(make, "upgrad", 2) is None
        True
    """
    rows = jax.ShapeDtypeStruct((num_tasks, 1), jnp.result_type(float))
    losses = jax.ShapeDtypeStruct((num_tasks,), jnp.result_type(float))

    def once(rows: jax.Array, losses: jax.Array) -> object:
        aggregator = build(method, num_tasks)
        state = aggregator.init(rows)
        return aggregator.update(rows, state, losses=losses, key=jax.random.key(0))[0]

    try:
        jax.eval_shape(once, rows, losses)
    except ValueError as error:
        return str(error).splitlines()[0].removeprefix("name: ")
    return None


def expand(
    names: Sequence[str], num_tasks: int, protocol: StudyProtocol | None = None
) -> list[str]:
    """Names with groups written out: ``all`` arms, all ``aggregators``, all ``losses``.

    Args:
        names: of arms and groups.
        num_tasks: methods of a group that do not go with it are left out.
        protocol: so are those that do not go with this.

    Returns:
        Full names of arms, every one once.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> len(expand(["all"], 2)) == len(ARMS)
        True
        >>> "restarts+krum" in expand(["aggregators"], 2)
        False
    """
    found: list[str] = []
    for name in names:
        if name in GROUPS:
            found += [each for each in GROUPS[name]() if fits(each, num_tasks, protocol) is None]
        else:
            found.append(name)
    return list(dict.fromkeys(find_arm(name).name for name in found))
