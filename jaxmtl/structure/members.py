"""Members of one program: structures within a seed, and seeds over the devices."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmtl._typing import Device
from jaxmtl.data.rows import Rows, Splits
from jaxmtl.duplication.transplant import Transplant
from jaxmtl.structure.move import move
from jaxmtl.structure.recipe import Recipe, State, advance, batches, begin, held_out
from jaxmtl.structure.trunk import Placed, Trunk
from jaxmtl.training.driver.placement import member_mesh, over_members, pad_members, spread

QUICKLY = {"xla_backend_optimization_level": 0}  # programs that run once, on a CPU


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Members:
    """What all members of a decision have in common; its methods are one compiled program each.

    States and structures have an axis of seeds and one of members. A program is known again by what
    is static of it, so that decisions share programs and none is compiled twice.

    Attributes:
        trunk: the network.
        recipe: how it is trained.
        data: rows, with an axis of seeds if ``stacked``.
        keys: one a seed.
        stacked: whether every seed has rows of its own.
        mesh: over which seeds are spread.
    """

    trunk: Trunk
    recipe: Recipe
    data: Splits
    keys: Key[Array, " seeds"]
    stacked: bool
    mesh: Mesh

    @property
    def held(self) -> Rows:
        """The rows that structures are weighed on."""
        assert self.data.validation is not None
        return self.data.validation

    def every(self, placed: Placed) -> Placed:
        """Structures with an axis of seeds, the same for all."""
        seeds = len(self.keys)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (seeds, *leaf.shape)), placed)

    def start(self, placed: Placed) -> State:
        """States before the first step; members of a seed draw the same numbers."""
        return self._run(_start(self.trunk, self.recipe), [True, True], [self.keys, placed])

    def forward(
        self,
        states: State,
        placed: Placed,
        begun: int,
        steps: int,
        rates: Float[Array, " steps"] | None = None,
    ) -> State:
        """Trains all members for some steps, those of a seed on the same batches.

        Args:
            states: before.
            placed: their structures.
            begun: steps done so far.
            steps: to do.
            rates: learning rates; None for those of the recipe.
        """
        if not steps:
            return states
        rows, size = self.data.train.x.shape[-2], self.recipe.batch_size
        order = self._run(_order(rows, size, begun, steps), [True], [self.keys])
        if rates is None:
            rates = self.recipe.rate_at(jnp.arange(begun, begun + steps))
        mapped = [True, True, self.stacked, True, False]
        given = [states, placed, self.data.train, order, rates]
        return self._run(_forward(self.trunk, self.recipe), mapped, given)

    def shares(
        self, states: State, placed: Placed, rows: Rows
    ) -> Float[Array, "seeds members rows"]:
        """What every row says of every member; see ``held_out``."""
        given = [states.params, placed, rows]
        return self._run(_shares(self.trunk, self.recipe), [True, True, self.stacked], given)

    def outputs(
        self, states: State, placed: Placed, rows: Rows
    ) -> Float[Array, "seeds members rows outputs"]:
        """Predictions of every member."""
        given = [states.params, placed, rows.x]
        return self._run(_outputs(self.trunk), [True, True, self.stacked], given)

    def fork(self, states: State, before: Placed, after: Placed, mode: Transplant) -> State:
        """Every seed's first member as each of some structures; see ``move``."""
        given = [self.keys, states, before, after]
        return self._run(_fork(self.trunk, self.recipe, mode), [True] * 4, given)

    def _run(
        self, function: Callable[..., PyTree], mapped: Sequence[bool], given: Sequence[PyTree]
    ) -> PyTree:
        seeds = len(self.keys)
        size = -(-seeds // self.mesh.size) * self.mesh.size
        placed = [
            spread(pad_members(own, size), self.mesh)
            if axis
            else spread(own, self.mesh, replicated=True)
            for own, axis in zip(given, mapped, strict=True)
        ]
        found = compiled(function, tuple(mapped), self.mesh)(*placed)
        return jax.tree.map(lambda leaf: leaf[:seeds], found) if size != seeds else found


def make_members(
    trunk: Trunk,
    recipe: Recipe,
    data: Splits,
    keys: Key[Array, " seeds"],
    *,
    stacked: bool,
    devices: Sequence[Device] | None,
) -> Members:
    """What all members of a decision have in common, checked.

    Args:
        trunk: the network.
        recipe: how it is trained.
        data: rows to learn from and held out.
        keys: one a seed.
        stacked: whether every seed has rows of its own.
        devices: None for the first alone.

    Returns:
        It, with 0 in place of unknown labels.

    Raises:
        ValueError: no rows are held out, or another number of seeds.
    """
    if keys.ndim != 1:
        raise ValueError(
            "keys: expected a row of keys, such as jax.random.split(jax.random.key(0), 20), got "
            f"shape {keys.shape}"
        )
    if data.validation is None or not data.validation.x.shape[-2]:
        raise ValueError(
            "data: expected validation rows, on which structures are weighed, got none"
        )
    if stacked and len(data.train.x) != len(keys):
        raise ValueError(
            f"data: expected rows of {len(keys)} seeds, one a key, got {len(data.train.x)}"
        )
    test = None if data.test is None else _cleared(data.test)
    data = Splits(_cleared(data.train), _cleared(data.validation), test)
    mesh = member_mesh(jax.local_devices()[:1] if devices is None else devices)
    return Members(trunk=trunk, recipe=recipe, data=data, keys=keys, stacked=stacked, mesh=mesh)


@jax.jit
def taken(members: PyTree, places: Int[Array, "seeds left"]) -> PyTree:
    """Some members of every seed.

    Args:
        members: leaves (seeds, members, ...).
        places: of those that stay.

    Returns:
        Leaves (seeds, left, ...).
    """
    return jax.tree.map(lambda leaf: jax.vmap(lambda own, at: own[at])(leaf, places), members)


@functools.lru_cache(maxsize=256)
def compiled(function: Callable[..., PyTree], mapped: tuple[bool, ...], mesh: Mesh) -> Any:
    """The jitted program of a function of one seed, the same for the same function."""
    every = jax.vmap(function, tuple(0 if own else None for own in mapped))
    once = hasattr(function, "once") and jax.default_backend() == "cpu"
    options = QUICKLY if once else None
    return jax.jit(over_members(every, mesh, mapped), compiler_options=options)


def _once(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Marks what is run once: the time goes into compiling it."""
    function.once = True  # pyright: ignore[reportFunctionMemberAccess]
    return function


@functools.lru_cache(maxsize=64)
def _start(trunk: Trunk, recipe: Recipe) -> Callable[..., State]:
    def start(key: Key[Array, ""], placed: Placed) -> State:
        own = jax.random.split(key)[0]
        return jax.vmap(lambda one: begin(trunk, recipe, own, one))(placed)

    return _once(start)


@functools.lru_cache(maxsize=64)
def _order(rows: int, batch_size: int, begun: int, steps: int) -> Callable[..., Array]:
    def order(key: Key[Array, ""]) -> Array:
        return batches(jax.random.split(key)[1], rows, batch_size, begun, steps)

    return _once(order)


@functools.lru_cache(maxsize=64)
def _forward(trunk: Trunk, recipe: Recipe) -> Callable[..., State]:
    def forward(states: State, placed: Placed, rows: Rows, order: Array, rates: Array) -> State:
        one = functools.partial(advance, trunk, recipe, rows=rows, order=order, rates=rates)
        return jax.vmap(lambda state, own: one(state, own))(states, placed)

    return forward


@functools.lru_cache(maxsize=64)
def _shares(trunk: Trunk, recipe: Recipe) -> Callable[..., Array]:
    def shares(params: PyTree, placed: Placed, rows: Rows) -> Array:
        return jax.vmap(lambda one, own: held_out(trunk, recipe, one, own, rows))(params, placed)

    return shares


@functools.lru_cache(maxsize=64)
def _outputs(trunk: Trunk) -> Callable[..., Array]:
    def outputs(params: PyTree, placed: Placed, x: Array) -> Array:
        return jax.vmap(lambda one, own: trunk.apply(one, own, x))(params, placed)

    return outputs


@functools.lru_cache(maxsize=64)
def _fork(trunk: Trunk, recipe: Recipe, mode: Transplant) -> Callable[..., State]:
    def fork(key: Key[Array, ""], states: State, before: Placed, after: Placed) -> State:
        state, first = jax.tree.map(lambda leaf: leaf[0], (states, before))
        own = jax.random.fold_in(jax.random.split(key)[0], 1)

        def moved(one: Placed) -> State:
            return move(trunk, recipe, state, first, one, trunk.init(own, one), mode=mode)

        return jax.vmap(moved)(after)

    return _once(fork)


def _cleared(rows: Rows) -> Rows:
    x, y = jnp.asarray(rows.x), jnp.asarray(rows.y)
    if rows.known is None:
        return Rows(x, y)
    known = jnp.asarray(rows.known)
    return Rows(x, jnp.where(known, y, 0) if known.shape == y.shape else y, known)
