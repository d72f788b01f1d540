"""Many runs in one program: over seeds, and over any number that a phase holds."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key, PyTree

from jaxmtl._modes import own_transfers
from jaxmtl._typing import Device, NetworkLike
from jaxmtl._validate import check_positive
from jaxmtl.conflict import Rule, Zeros
from jaxmtl.data.rows import Splits
from jaxmtl.duplication import HeadIndex, can_align
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.gradients.tasks import check_parameters
from jaxmtl.losses import Loss, squared_error
from jaxmtl.training.as_network import as_network
from jaxmtl.training.driver import members as driver
from jaxmtl.training.driver.placement import member_mesh
from jaxmtl.training.driver.program import SweepProgress
from jaxmtl.training.network import Network
from jaxmtl.training.phased.checks import (
    check_labels,
    checked_config,
    cleared,
    filled,
    first_state_of,
)
from jaxmtl.training.phased.choice import Choice, Chosen, choice_of, untold
from jaxmtl.training.phased.combining import Combining
from jaxmtl.training.phased.phases import NEVER, STUDY_PHASES, Phase, PhaseTable, phase_table
from jaxmtl.training.phased.program import described, member_program, runs_of
from jaxmtl.training.phased.runs import Runs
from jaxmtl.training.phased.state import (
    AtPhaseEnd,
    Config,
    Optimizer,
    Options,
    Split,
    TrainState,
    init_state,
)

Schedule = Sequence[Phase] | Sequence[Sequence[Phase]] | PhaseTable


@own_transfers
def sweep(
    model: NetworkLike,
    data: Splits,
    *,
    keys: Key[Array, " members"],
    params: PyTree | None = None,
    phases: Schedule = STUDY_PHASES,
    stacked: bool = False,
    optimizer: Optimizer = optax.adam,
    batch_size: int = 1,
    shuffle: bool = False,
    loss: Loss = squared_error,
    rule: Rule = "nonnegative",
    zeros: Zeros = "reset",
    transplant: Transplant = "fresh",
    split: Split | AtPhaseEnd = "streak",
    aggregator: Combining | Sequence[Combining] | None = None,
    head_index: HeadIndex | None = None,
    keep_best: bool = False,
    devices: Sequence[Device] | None = None,
    chunk: int | None = None,
    checkpoint: str | None = None,
    resume: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> Runs:
    """Trains many runs at once, each as ``fit_adaptive`` (or ``fit``) would train it alone.

    Members differ in their keys and, if wanted, in their initial values, their rows and the numbers
    of their phases; what is static is common to all. All of them are one compiled program: members
    that split different nodes at different times live side by side. Member i equals the single run
    with ``keys[i]`` up to the rounding of floating-point sums.

    Members are spread over the devices, which never wait for each other, and over the processes of
    ``jax.distributed``, each of which trains its share and returns all. On a CPU the number of
    devices is set before JAX starts, ``jax.config.update("jax_num_cpu_devices", 2)``: one a core.

    Args:
        model: see ``fit``; with a bank, such as ``HardSharing``, if a phase splits. A model that
            brings its values (flax.nnx, Equinox) needs ``params``, as members would be alike; or
            give a function that makes it from a key. Static.
        data: the same rows for all members or, if ``stacked``, leaves (members, rows, ...).
        keys: one a member, for initial values and, with ``shuffle``, the order.
        params: initial values with a leading axis of members, instead of those drawn.
        phases: one schedule for all; or one a member, of equally many phases; or a ``PhaseTable``
            whose leaves may have a leading axis of members: learning rate, threshold, warm-up and
            epochs are leaves.
        stacked: whether the rows differ from member to member. Static.
        optimizer: factory from a learning rate to an optax optimizer; see ``fit``. Static.
        batch_size: samples of one update. Static.
        shuffle: a new order every epoch; else the order of the rows. Static.
        loss: from outputs and targets to (batch, tasks). Static.
        rule: see ``fit_adaptive``. Static.
        zeros: see ``fit_adaptive``. Static.
        transplant: see ``fit_adaptive``. Static.
        split: what is duplicated when a phase stops early: ``"streak"`` as in ``fit_adaptive``; or,
            to tell what the choice of node is worth, a ``"random"`` node, that of the ``"least"``
            conflict, ``"all"``, ``"none"``. Or a function, which is called where any phase but the
            last ends, see ``AtPhaseEnd``. Static.
        aggregator: see ``fit``; or a list, one a member. Members of one program pay for all methods
            in the list, but names that differ in the numbers of their settings alone, such as
            ``"cagrad(c=0.2)"`` and ``"cagrad(c=0.4)"``, are one method. Static.
        head_index: of the start, (members, tasks, nodes), or the pointers of a ``view_network``;
            None: all tasks read all nodes.
        keep_best: see ``fit``; nothing else about the runs changes, not in the last bit. Static.
        devices: None for all of this process.
        chunk: members to run at once; None: as many as fit the memory.
        checkpoint: folder to save the state in, every few seconds.
        resume: go on from the checkpoint there, if there is one; the result is that of a sweep that
            was never interrupted, to the bit. Else it is removed.
        on_progress: called between calls of the program.

    Returns:
        The runs, in the order of the keys.

    Raises:
        ValueError: an argument out of range or shapes that do not fit; a checkpoint of another
            sweep, or one that another process is writing.

    Example:
        >>> import jax
        >>> from jaxmtl import HardSharing, Phase, Rows, Splits
        >>> x = jax.random.uniform(jax.random.key(1), (50, 4))
        >>> phases = (Phase(epochs=4, warmup=2, threshold=3), Phase(epochs=2))
        >>> keys = jax.random.split(jax.random.key(0), 5)
        >>> runs = sweep(HardSharing(), Splits(Rows(x, x[:, :2])), keys=keys, phases=phases)
        >>> [len(run.events) for run in runs], runs[0].events[0].phase
        ([1, 1, 1, 1, 1], 1)
    """
    members = _check_keys(keys)
    network = as_network(model)
    table = _stacked_table(phases, members)
    counts = split in ("random", "least", "all") or bool((table.threshold != NEVER).any())
    if counts and network.bank is None:
        raise ValueError(
            "model: expected a network with a bank, such as HardSharing, for phases that split, "
            f"got {type(model).__name__}"
        )
    method, chosen = _of_members(aggregator, members)
    options = Options(
        optimizer=optimizer,
        batch_size=batch_size,
        shuffle=shuffle,
        loss=loss,
        counts=counts,
        rule=rule,
        zeros=zeros,
        transplant=transplant,
        split=split,
        aggregator=method,
        keep_best=keep_best,
    )
    if chunk is not None:
        check_positive("chunk", chunk)
    _check_members("data", data if stacked else None, members)
    check_parameters(params)
    _check_members("params", params, members)
    _check_members("head_index", head_index, members)
    given, data = data, filled(data)
    first = jax.tree.map(lambda leaf: leaf[0], data) if stacked else data
    both = jax.vmap(jax.random.split)(keys)
    init_keys, order_keys = both[:, 0], both[:, 1]
    x = jnp.asarray(data.train.x[:, :1] if stacked else data.train.x[:1])
    params, state = _start_all(network, init_keys, x, params, stacked=stacked)
    one = jax.tree.map(lambda leaf: leaf[0], (params, state, head_index))
    config = checked_config(network, options, cleared(first), *one)
    check_labels(network, config, one[0], one[1], given)
    if head_index is not None and config.aligned:
        aligned = all(can_align(index, head_index[0].size) for index in head_index)
        config = dataclasses.replace(config, aligned=aligned)
    states = _begin_all(network, config, params, table, order_keys, head_index, state, chosen)
    mesh = member_mesh(devices)
    program = member_program(network, config, stacked=stacked, length=driver.LENGTH, mesh=mesh)
    driven = driver.run_members(
        program,
        states,
        data,
        table,
        stacked=stacked,
        mesh=mesh,
        chunk=chunk,
        checkpoint=checkpoint,
        described=lambda: described(network, config, table),
        resume=resume,
        on_progress=on_progress,
    )
    if isinstance(config.aggregator, Choice) and chosen is not None:
        found = untold(
            driven.records.combination, config.aggregator, chosen, config.num_tasks, one[0]
        )
        driven = driven._replace(records=driven.records._replace(combination=found))
    return runs_of(driven, data)


def _of_members(
    methods: Combining | Sequence[Combining] | None, members: int
) -> tuple[Combining | Choice | None, Chosen | None]:
    """The method of all, or a choice among those of the members, and what each has of its own."""
    if isinstance(methods, str) or not isinstance(methods, Sequence):
        return methods, None
    if len(methods) != members:
        raise ValueError(
            f"aggregator: expected one method, or a list of {members}, one a key, got a list of "
            f"{len(methods)}"
        )
    found = choice_of(methods)
    return found if isinstance(found, tuple) else (found, None)


def _start_all(
    network: Network, keys: Key[Array, " members"], x: Array, values: PyTree, *, stacked: bool
) -> tuple[PyTree, PyTree]:
    """Parameters and state of all members, with a leading axis."""
    if values is None and not network.has_values:
        return _draw_all(network, keys, x, stacked=stacked)
    if values is None and len(keys) > 1:
        raise ValueError(
            "params: expected initial values with a leading axis of members for a model that "
            "brings its own, or all members would start alike, got None; stack those of models "
            "made from as many keys, or give a function from a key to the model"
        )
    if values is None:
        alone = network.init(keys[0], x)
        return jax.tree.map(lambda leaf: leaf[None], alone)
    values, state = network.read(values)
    if state is None:
        alone = first_state_of(network, x[0] if stacked else x)
        state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(keys), *leaf.shape)), alone)
    return values, state


@functools.partial(jax.jit, static_argnames=("network", "stacked"))
def _draw_all(
    network: Network, keys: Key[Array, " members"], x: Array, *, stacked: bool
) -> tuple[PyTree, PyTree]:
    return jax.vmap(network.init, (0, 0 if stacked else None))(keys, x)


@functools.partial(jax.jit, static_argnames=("network", "config"))
def _begin_all(
    network: Network,
    config: Config,
    params: PyTree,
    table: PhaseTable,
    keys: Key[Array, " members"],
    head_index: HeadIndex | None,
    state: PyTree,
    chosen: Chosen | None,
) -> TrainState:
    begin = functools.partial(init_state, network, config)
    return jax.vmap(begin)(params, table, keys, head_index, state, chosen)


def _check_keys(keys: Any) -> int:
    typed = hasattr(keys, "dtype") and jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    if not typed or keys.ndim != 1 or not len(keys):
        raise ValueError(
            "keys: expected a row of typed keys, such as jax.random.split(jax.random.key(0), 30), "
            f"got {_described(keys)}"
        )
    return len(keys)


def _described(keys: Any) -> str:
    if not hasattr(keys, "dtype"):
        return repr(keys)
    return f"an array of {keys.dtype} of shape {keys.shape}"


def _check_members(name: str, tree: PyTree, members: int) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.ndim(leaf) == 0 or leaf.shape[0] != members:
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)}: expected a leading axis of {members} "
                f"members, one a key, got shape {jnp.shape(leaf)}"
            )


def _stacked_table(phases: Schedule, members: int) -> PhaseTable:
    """The phases as arrays (members, phases)."""
    if isinstance(phases, PhaseTable):
        table = phases
    elif phases and not isinstance(phases[0], Phase):
        each: list[Any] = [list(one) for one in phases if not isinstance(one, Phase)]
        lengths = {len(one) for one in each}
        if len(each) != members or len(lengths) != 1:
            raise ValueError(
                f"phases: expected one schedule, or {members} of equally many phases, one a key, "
                f"got {len(each)} of {sorted(lengths)} phases"
            )
        table = jax.tree.map(lambda *rows: jnp.stack(rows), *map(phase_table, each))
    else:
        table = phase_table(cast(Sequence[Phase], phases))
    for name, leaf in table._asdict().items():
        if leaf.ndim not in (1, 2) or leaf.ndim == 2 and len(leaf) != members:
            raise ValueError(
                f"phases.{name}: expected shape (phases,) or ({members}, phases), got {leaf.shape}"
            )
    lengths = {name: leaf.shape[-1] for name, leaf in table._asdict().items()}
    if len(set(lengths.values())) != 1 or not lengths["epochs"]:
        raise ValueError(f"phases: expected leaves of one length, got {lengths}")
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (members, leaf.shape[-1])), table)
