"""Views and stages against literal copies of the network, which NumPy puts together.

Every column of every group is kept once, by its number; a network of task t is assembled of the
columns that its pointers name, differentiated alone, and its gradient added up column by column.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmtl import task_gradients
from jaxmtl.sharing import Part, duplicate, open_banks, staged, view_gradients, view_losses

X = np.random.default_rng(0).normal(size=(4, 5, 5, 1))
Y = np.random.default_rng(1).normal(size=(4, 6))
GROUPS = {
    "conv": [("conv", -1), ("norm", -1)],
    "blocks[0]": [Part("blocks", -1, at=(0, 0))],
    "blocks[1]": [Part("blocks", -1, at=(0, 1))],
    "out": ["out"],
}


def params_of(tasks):
    rng = np.random.default_rng(2)
    draw = lambda *shape: jnp.asarray(0.5 * rng.normal(size=shape))  # noqa: E731
    return {
        "conv": {"kernel": draw(3, 3, 1, 4), "bias": draw(4)},
        "norm": {"scale": draw(4), "offset": draw(4)},
        "blocks": {"kernel": draw(2, 4, 4), "bias": draw(2, 4)},
        "out": {"kernel": draw(4, 3), "gain": draw()},
        "heads": draw(3, tasks),
    }


def conv(params, x):
    dimensions = ("NHWC", "HWIO", "NHWC")
    h = jax.lax.conv_general_dilated(
        x, params["conv"]["kernel"], (1, 1), "SAME", dimension_numbers=dimensions
    )
    h = h + params["conv"]["bias"][None, None, None]
    parted = h.reshape(*h.shape[:3], 2, 2)  # groups of two channels, which a split cuts
    mean, var = parted.mean((1, 2, 4), keepdims=True), parted.var((1, 2, 4), keepdims=True)
    h = ((parted - mean) / jnp.sqrt(var + 0.1)).reshape(h.shape)
    scale, offset = (params["norm"][name][None, None, None] for name in ("scale", "offset"))
    return jnp.tanh(h * scale + offset).mean((1, 2))


def block(number):
    def apply(params, h):
        kernel, bias = params["blocks"]["kernel"][number], params["blocks"]["bias"][number]
        return h + jnp.tanh(h @ kernel + bias[None])

    return apply


def out(params, h):
    return params["out"]["gain"] * jnp.sin(h @ params["out"]["kernel"])


def losses_of(params, h, batch):
    y = h @ params["heads"]
    return ((y - batch[1][:, : y.shape[1]]) ** 2).mean(axis=0)


STAGES = [(["conv", "norm"], lambda params, batch: conv(params, batch[0])), ("blocks", block(0)),
          ("blocks", block(1)), (["out"], out)]  # fmt: skip


def loss_fn(params, batch):
    h = batch
    for _, apply in STAGES:
        h = apply(params, h)
    return losses_of(params, h, batch)


class Literal:
    """Columns by number, and the networks made of them."""

    def __init__(self, banks, pointers):
        self.pointers = {name: np.asarray(table) for name, table in pointers.columns.items()}
        self.banks = jax.tree.map(np.array, banks)

    def places(self):
        """Where columns are: (group, bank, and how a column of bank and network is addressed)."""
        for name in ("conv", "norm"):
            for leaf in self.banks[name]:
                yield "conv", (name, leaf), lambda c: (..., c), lambda c: (..., c)
        for number in range(2):
            for leaf in self.banks["blocks"]:
                at = lambda c, n=number: (n, ..., c)  # noqa: E731
                yield f"blocks[{number}]", ("blocks", leaf), at, at
        for leaf in self.banks["out"]:
            yield "out", ("out", leaf), lambda c: (c,), lambda c: (...,)

    def network(self, task, like):
        params = jax.tree.map(np.array, like)
        params["heads"] = self.banks["heads"].copy()
        for group, (name, leaf), bank_at, at in self.places():
            for slot, column in enumerate(self.pointers[group][task]):
                params[name][leaf][at(slot)] = self.banks[name][leaf][bank_at(column)]
        return params

    def added(self, task, grads):
        total = jax.tree.map(np.zeros_like, self.banks)
        total["heads"] += grads["heads"]
        for group, (name, leaf), bank_at, at in self.places():
            for slot, column in enumerate(self.pointers[group][task]):
                total[name][leaf][bank_at(column)] += grads[name][leaf][at(slot)]
        return total


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), one, other)


@pytest.mark.slow  # in single precision tests/sharing compares parts of it
@pytest.mark.parametrize("tasks", [2, 3, 5, 6])
def test_views_stages_and_copies_are_the_same_to_the_last_digits(tasks):
    params, batch = params_of(tasks), (jnp.asarray(X), jnp.asarray(Y))
    banks, pointers = open_banks(params, GROUPS, tasks)
    last = np.arange(tasks) == tasks - 1
    part = jax.jit(duplicate, static_argnums=2)
    for group, column in (("blocks[0]", 2), ("blocks[1]", 0), ("blocks[1]", 3), ("out", 0)):
        banks, pointers = part(banks, pointers, group, column, last)
    if tasks > 2:
        banks, pointers = part(banks, pointers, "conv", 1, np.arange(tasks) == 1)
    rng = np.random.default_rng(5)
    banks = jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape), banks)
    views = view_losses(loss_fn)
    streams = staged(STAGES, losses_of, pointers)

    @jax.jit
    def engines(banks):
        by_views = task_gradients(views)(banks, batch, pointers)
        by_stages = task_gradients(streams)(banks, batch)
        return by_views, by_stages, view_gradients(loss_fn)(banks, batch, pointers)[1]

    literal, alone = Literal(banks, pointers), jax.jit(jax.jacrev(loss_fn))
    losses_alone = jax.jit(loss_fn)
    copies = [literal.network(task, params) for task in range(tasks)]
    grads = [
        jax.tree.map(lambda g, t=t: np.array(g[t]), alone(copies[t], batch)) for t in range(tasks)
    ]
    expected = jax.tree.map(
        lambda *rows: np.stack(rows), *[literal.added(t, g) for t, g in enumerate(grads)]
    )
    losses = np.array([losses_alone(copies[t], batch)[t] for t in range(tasks)])
    by_views, by_stages, slots = engines(banks)
    close(by_views, (losses, expected))
    close(by_stages, (losses, expected))
    close(slots, jax.tree.map(lambda *rows: np.stack(rows), *grads))

    optimizer = optax.adam(0.01)

    @jax.jit
    def trained(banks):
        def step(carry, _):
            after = []
            for way, (banks, state) in zip((views, streams), carry, strict=True):
                more = (pointers,) if way is views else ()
                total = jax.grad(lambda b, w=way, m=more: w(b, batch, *m).sum())(banks)
                updates, state = optimizer.update(total, state)
                after.append((optax.apply_updates(banks, updates), state))
            return tuple(after), None

        first = (banks, optimizer.init(banks))
        return [b for b, _ in jax.lax.scan(step, (first, first), length=50)[0]]

    by_views, by_stages = trained(banks)
    update, state = jax.jit(optimizer.update), optimizer.init(banks)
    for _ in range(50):
        total = jax.tree.map(np.zeros_like, literal.banks)
        for t in range(tasks):
            own = jax.tree.map(
                lambda g, t=t: np.array(g[t]), alone(literal.network(t, params), batch)
            )
            total = jax.tree.map(np.add, total, literal.added(t, own))
        updates, state = update(total, state)
        literal.banks = jax.tree.map(lambda p, u: p + np.asarray(u), literal.banks, updates)
    close(by_views, literal.banks)
    close(by_stages, literal.banks)
    moved = np.abs(literal.banks["blocks"]["kernel"] - np.asarray(banks["blocks"]["kernel"]))
    assert moved[1, :, 4:6].min() > 1e-3
    assert not moved[0, :, 5:].any()
