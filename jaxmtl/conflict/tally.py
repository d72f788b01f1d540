"""Evidence of conflict, added up over training.

A *tally* is a pytree of small arrays that goes along in a loop, under ``scan`` and over ``vmap``; a
pair of tasks is counted only where something is known of it. Scores are read from it at any time.
"""

import dataclasses
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmtl._pytree import register_dataclass
from jaxmtl._validate import check_choice
from jaxmtl.conflict.layers import ConflictMap, brief, of_pairs, pairs_of

Score = Literal["cosine", "below", "rate", "opposite", "streak", "longest", "dominance"]


@register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """What has been seen of every pair of tasks at every layer.

    Attributes:
        steps: updates in which the pair had a cosine.
        weight: of the running means, for which they are corrected as Adam's are.
        cosine: running mean of cosines, before that correction.
        opposite: the same of the shares of entries of opposite sign.
        ratio: the same of the smaller norm over the larger.
        below: updates with a cosine below the threshold: Recon's count, a pair.
        streak: updates in a row, up to now, with a cosine below the threshold.
        longest: the longest of these.
        both: rows that carried both labels, (tasks, tasks); on the diagonal those with the label.
        layers: their names. Static.
        names: of the tasks. Static.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.conflict import conflict_map
        >>> found = conflict_map({"a": jnp.array([[1.0], [-1.0]]), "b": jnp.ones((2, 1))})
        >>> {k: v.item() for k, v in update_tally(start_tally(found), found).scalars().items()}
        {'conflict/a': 1.0, 'conflict/b': 0.0, 'conflict/a/0/1': 1.0, 'conflict/b/0/1': 0.0}
    """

    steps: Int[Array, "*lead layers tasks tasks"]
    weight: Float[Array, "*lead layers tasks tasks"]
    cosine: Float[Array, "*lead layers tasks tasks"]
    opposite: Float[Array, "*lead layers tasks tasks"]
    ratio: Float[Array, "*lead layers tasks tasks"]
    below: Int[Array, "*lead layers tasks tasks"]
    streak: Int[Array, "*lead layers tasks tasks"]
    longest: Int[Array, "*lead layers tasks tasks"]
    both: Float[Array, "*lead tasks tasks"]
    layers: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    names: tuple[str, ...] | None = dataclasses.field(default=None, metadata={"static": True})

    def __repr__(self) -> str:
        """How many layers and tasks, and the pair that was in conflict most often."""
        return brief(self, "share of updates in conflict", self.cosine, self.score)

    def score(self, kind: Score = "rate") -> Float[Array, "*lead layers tasks tasks"]:
        """One number a layer and pair, NaN where nothing was seen; the more, the more conflict.

        Args:
            kind: static. ``"cosine"``: minus the running mean of the cosines; ``"below"``: updates
                below the threshold, Recon's count; ``"rate"``: their share; ``"opposite"``: share
                of entries of opposite sign; ``"streak"``, ``"longest"``: updates in a row, now and
                at most; ``"dominance"``: 1 minus the running mean of the ratio of norms.

        Raises:
            ValueError: another kind.
        """
        check_choice("kind", kind, SCORES)
        seen, dtype = self.steps > 0, self.cosine.dtype
        mean = {
            "cosine": -self.cosine,
            "opposite": self.opposite,
            "dominance": self.weight - self.ratio,
        }
        if kind in mean:
            values = mean[kind] / jnp.where(seen, self.weight, 1)
        elif kind == "rate":
            values = self.below.astype(dtype) / jnp.maximum(self.steps, 1).astype(dtype)
        else:
            values = getattr(self, kind).astype(dtype)
        return jnp.where(seen, values, jnp.nan)

    def of_layers(self, kind: Score = "rate") -> Float[Array, "*lead layers"]:
        """The score of each layer: the mean over its pairs, for ``"below"`` the sum as in Recon."""
        scores = of_pairs(self.score(kind))
        total = jnp.where(jnp.isfinite(scores), scores, 0).sum(-1)
        number = jnp.isfinite(scores).sum(-1, dtype=scores.dtype)
        values = total if kind == "below" else total / jnp.maximum(number, 1)
        return jnp.where(number > 0, values, jnp.nan)

    @property
    def overlap(self) -> Float[Array, "*lead tasks tasks"]:
        """Share of the rows with one of two labels that carry both; NaN where no row has either.

        Below 0.4 what the tally says of the pair is mostly noise.
        """
        return overlap_of(self.both)

    def scalars(self, kind: Score = "rate") -> dict[str, Array]:
        """Scores under flat names, ``conflict/LAYER`` and ``conflict/LAYER/TASK/TASK``."""
        tasks = self.names or tuple(map(str, range(self.cosine.shape[-1])))
        layers, pairs = self.of_layers(kind), self.score(kind)
        found = {f"conflict/{name}": layers[..., at] for at, name in enumerate(self.layers)}
        return found | {
            f"conflict/{name}/{tasks[s]}/{tasks[t]}": pairs[..., at, s, t]
            for at, name in enumerate(self.layers)
            for s, t in zip(*pairs_of(len(tasks)), strict=True)
        }


def overlap_of(both: Float[Array, "*lead tasks tasks"]) -> Float[Array, "*lead tasks tasks"]:
    """Share of the rows with one of two labels that carry both.

    Args:
        both: rows that carry both; on the diagonal those with the label.

    Returns:
        The shares; NaN where no row has either.
    """
    own = jnp.diagonal(both, axis1=-2, axis2=-1)
    either = own[..., :, None] + own[..., None, :] - both
    return jnp.where(either > 0, both / jnp.where(either > 0, either, 1), jnp.nan)


SCORES: tuple[Score, ...] = (
    "cosine",
    "below",
    "rate",
    "opposite",
    "streak",
    "longest",
    "dominance",
)


def start_tally(like: ConflictMap) -> Tally:
    """A tally of nothing.

    Args:
        like: a map of the same layers and tasks, or its shapes from ``jax.eval_shape``.

    Returns:
        The tally.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.conflict import conflict_map
        >>> start_tally(conflict_map({"a": jnp.ones((2, 3))})).score().tolist()
        [[[nan, nan], [nan, nan]]]
    """
    shape, dtype = like.cosines.shape, like.cosines.dtype
    zero, none = jnp.zeros(shape, dtype), jnp.zeros(shape, jnp.int32)
    return Tally(
        steps=none,
        weight=zero,
        cosine=zero,
        opposite=zero,
        ratio=zero,
        below=none,
        streak=none,
        longest=none,
        both=jnp.zeros((*shape[:-3], *shape[-2:]), dtype),
        layers=like.layers,
        names=like.names,
    )


def update_tally(
    tally: Tally,
    found: ConflictMap,
    *,
    known: Bool[Array, "rows tasks"] | None = None,
    threshold: float | Array = 0.0,
    rate: float | Array = 0.01,
) -> Tally:
    """Adds what one batch says.

    A pair counts where it has a cosine and, with ``known``, where a row of the batch carries both
    labels; else all that was seen of it stays, its streak as well.

    Args:
        tally: of the batches before, traced.
        found: of this batch, traced.
        known: which labels the rows carry, traced; None where all are known.
        threshold: S: a cosine below it is a conflict, in [-1, 0]; static or traced.
        rate: of the running means, in (0, 1]; static or traced.

    Returns:
        The new tally.

    Raises:
        ValueError: a map of other layers or tasks, known labels of another number of tasks.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmtl.conflict import conflict_map
        >>> found = conflict_map({"a": jnp.array([[1.0], [-1.0]]), "b": jnp.ones((2, 1))})
        >>> tally = start_tally(found)
        >>> for _ in range(3):
        ...     tally = update_tally(tally, found)
        >>> tally.layers, tally.of_layers("streak").tolist()
        (('a', 'b'), [3.0, 0.0])

        In a loop of one's own, with task gradients that are combined there as well:

        >>> import jax
        >>> import optax
        >>> from jaxmtl import aggregation as ag
        >>> from jaxmtl import task_gradients
        >>> loss_fn = lambda w, x: jnp.stack([((x @ w["a"] - 1) ** 2).mean(), (x @ w["a"]).mean()])
        >>> params, optimizer, method = {"a": jnp.zeros(2)}, optax.sgd(0.1), ag.upgrad()
        >>> @jax.jit
        ... def step(params, states, tally, batch):
        ...     losses, grads = task_gradients(loss_fn)(params, batch)
        ...     tally = update_tally(tally, conflict_map(grads))
        ...     combined, of_method, info = method.update(grads, states[0], losses=losses)
        ...     updates, of_optimizer = optimizer.update(combined, states[1], params)
        ...     return optax.apply_updates(params, updates), (of_method, of_optimizer), tally
        >>> batches = jax.random.uniform(jax.random.key(0), (5, 8, 2))
        >>> like = jax.eval_shape(task_gradients(loss_fn), params, batches[0])[1]
        >>> states = method.init(like), optimizer.init(params)
        >>> tally = start_tally(jax.eval_shape(conflict_map, like))
        >>> for batch in batches:
        ...     params, states, tally = step(params, states, tally, batch)
        >>> {name: value.item() for name, value in tally.scalars().items()}
        {'conflict/a': 1.0, 'conflict/a/0/1': 1.0}

    References:
        Shi et al. (2023), Recon, algorithm 1, ``below``. Wang et al. (2021), Gradient vaccine, the
        running mean of cosines. 2604.07848: affinities need rows that carry both labels.
    """
    tasks, dtype = tally.cosine.shape[-1], tally.cosine.dtype
    if found.layers != tally.layers or found.cosines.shape[-1] != tasks:
        raise ValueError(
            f"found: expected {tasks} tasks at the layers {list(tally.layers)}, got "
            f"{found.cosines.shape[-1]} at {list(found.layers)}"
        )
    told = jnp.isfinite(found.cosines)
    both = jnp.zeros_like(tally.both)
    if known is not None:
        if known.ndim != 2 or known.shape[1] != tasks:
            raise ValueError(f"known: expected shape (rows, {tasks}), got {known.shape}")
        marks = known.astype(dtype)
        both = marks.T @ marks
        told = told & (both > 0)[None]
    conflict = told & (found.cosines < threshold)
    streak = jnp.where(told, jnp.where(conflict, tally.streak + 1, 0), tally.streak)

    def mean(before: Array, value: Array) -> Array:
        value = jnp.where(jnp.isfinite(value), value, 0)
        return jnp.where(told, before + rate * (value - before), before)

    return dataclasses.replace(
        tally,
        steps=tally.steps + told.astype(jnp.int32),
        weight=mean(tally.weight, jnp.ones_like(tally.weight)),
        cosine=mean(tally.cosine, found.cosines),
        opposite=mean(tally.opposite, found.opposite),
        ratio=mean(tally.ratio, found.norm_ratios),
        below=tally.below + conflict.astype(jnp.int32),
        streak=streak,
        longest=jnp.maximum(tally.longest, streak),
        both=tally.both + both,
    )
