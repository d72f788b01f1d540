"""Methods that spare passes, written out: everything is computed at every update, then chosen."""

import jax
import jax.numpy as jnp

import jaxmtl.aggregation as ag


def pick(mark, a, b):
    return jax.tree.map(lambda x, y: jnp.where(mark, x, y), a, b)


def rows_times(weights, rows):
    return jax.tree.map(lambda leaf: jnp.einsum("t,t...->...", weights, leaf), rows)


def everyone(rows, present):
    tasks = jax.tree.leaves(rows)[0].shape[0]
    return jnp.ones(tasks, bool) if present is None else present


def known(rows, present):
    mask = everyone(rows, present)
    return jax.tree.map(
        lambda leaf: jnp.where(mask.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, 0), rows
    )


class Twin:
    """``init`` and ``update`` as those of an aggregator; the third result is the weights."""

    weighted = True

    def __init__(self, inside):
        self.inside = inside

    def solved(self, rows, state, given):
        return self.inside.update(rows, state, **given)


class Solved(Twin):
    """At every update anew."""

    def init(self, rows):
        return self.inside.init(rows)

    def update(self, rows, state, **given):
        combined, state, info = self.solved(rows, state, given)
        return combined, state, info.weights


class Every(Twin):
    def __init__(self, n, inside):
        super().__init__(inside)
        self.n = n

    def init(self, rows):
        tasks = jax.tree.leaves(rows)[0].shape[0]
        return self.inside.init(rows), jnp.int32(0), jnp.zeros(tasks), jnp.zeros(tasks, bool)

    def update(self, rows, state, **given):
        inner, number, weights, solved = state
        present = everyone(rows, given.get("present"))
        _, new, info = self.solved(rows, inner, given)
        due = (number % self.n == 0) | jnp.any(present & ~solved)
        number = jnp.where(due, 1, number + 1)
        weights = jnp.where(due, info.weights, weights)
        solved = jnp.where(due, present, solved)
        combined = rows_times(jnp.where(present, weights, 0), known(rows, present))
        return combined, (pick(due, new, inner), number, weights, solved), weights


class Fixed(Every):
    def init(self, rows):
        tasks = jax.tree.leaves(rows)[0].shape[0]
        return (
            self.inside.init(rows),
            jnp.int32(0),
            jnp.zeros((self.n, tasks)),
            jnp.zeros((self.n, tasks), bool),
        )

    def update(self, rows, state, **given):
        inner, number, seen, there = state
        present = everyone(rows, given.get("present"))
        combined, new, info = self.solved(rows, inner, given)
        early = number < self.n
        at = jnp.minimum(number, self.n - 1)
        seen = jnp.where(early, seen.at[at].set(info.weights), seen)
        there = jnp.where(early, there.at[at].set(present), there)
        mean = (seen * there).sum(axis=0) / jnp.maximum(there.sum(axis=0), 1)
        fixed = jnp.where(present, mean, 0)
        combined = pick(early, combined, rows_times(fixed, known(rows, present)))
        weights = jnp.where(early, info.weights, fixed)
        return combined, (pick(early, new, inner), number + 1, seen, there), weights


class Cyclic(Twin):
    """The list of all gradients so far, from which every mean is taken anew."""

    weighted = False
    b1, b2, longest = 0.9, 0.999, 12

    def init(self, rows):
        def history(leaf):
            return jnp.zeros((self.longest, *leaf.shape))

        tasks = jax.tree.leaves(rows)[0].shape[0]
        return {
            "inner": self.inside.init(rows),
            "rows": jax.tree.map(history, rows),
            "taken": jnp.zeros((self.longest, tasks), bool),
            "results": jax.tree.map(lambda leaf: history(leaf[0]), rows),
            "asked": jnp.zeros(self.longest, bool),
            "number": jnp.int32(0),
            "last": jnp.int32(-1),
        }

    def running(self, values, marks, decay):
        """Mean of the marked entries, each ``decay`` of the one after it, corrected."""
        later = jnp.cumsum(marks[::-1])[::-1] - marks
        weights = marks * decay**later
        weights = weights / jnp.maximum(weights.sum(), 1e-30)
        return jnp.einsum("n,n...->...", weights, values)

    def update(self, rows, state, **given):
        tasks = jax.tree.leaves(rows)[0].shape[0]
        present = everyone(rows, given.get("present"))
        ahead = (jnp.arange(1, tasks + 1) + state["last"]) % tasks
        task = ahead[jnp.argmax(present[ahead])]
        at = state["number"]
        history = jax.tree.map(lambda h, r: h.at[at, task].set(r[task]), state["rows"], rows)
        taken = state["taken"].at[at, task].set(True)
        means = jax.tree.map(
            lambda h: jnp.stack(
                [self.running(h[:, t], taken[:, t], self.b1) for t in range(tasks)]
            ),
            history,
        )
        given = {k: v for k, v in given.items() if k != "present"}
        combined, inner, _ = self.inside.update(means, state["inner"], **given)
        ready = taken.any(axis=0).all()
        asked = state["asked"].at[at].set(ready)
        results = jax.tree.map(lambda h, c: h.at[at].set(c), state["results"], combined)
        squares = jax.tree.map(lambda r: self.own(r, asked), results)
        direction = jax.tree.map(
            lambda c, s: jnp.where(ready, c / (jnp.sqrt(s) + 1e-8), 0), combined, squares
        )
        following = {
            "inner": pick(ready, inner, state["inner"]),
            "rows": history,
            "taken": taken,
            "results": results,
            "asked": asked,
            "number": at + 1,
            "last": task,
        }
        return direction, following, None

    def own(self, results, asked):
        """Corrected mean of the squares of what each result adds to a running mean."""
        t = jnp.cumsum(asked)  # 1 at the first
        lift = (1 - self.b1**t) * asked
        lifted = results * lift.reshape(-1, *(1,) * (results.ndim - 1))
        before = jnp.concatenate([jnp.zeros_like(lifted[:1]), lifted[:-1]])
        added = (lifted - self.b1 * before) / (1 - self.b1)
        return self.running(added**2, asked, self.b2)


def coloured(gradients, threshold=0.0):
    """Colours of a list of vectors, by Python's sets."""
    colours = []
    for t, row in enumerate(gradients):
        cosines = [row @ g / ((row @ row) * (g @ g)) ** 0.5 for g in gradients[:t]]
        taken = {colour for colour, c in zip(colours, cosines, strict=True) if -c > threshold}
        colours.append(min(set(range(len(gradients))) - taken))
    return colours


WRAPPED = {
    "every": (lambda inside: ag.every(2, inside), lambda inside: Every(2, inside)),
    "fixed": (lambda inside: ag.fixed_weights_from(inside, 2), lambda inside: Fixed(2, inside)),
    "cyclic": (ag.cyclic, Cyclic),
}
