"""Losses that use their parameters in every way, and their task gradients, task by task."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

TASKS, ROWS = 3, 4


def draw(shapes, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(rng.normal(size=shape), dtype) for name, shape in shapes.items()}


def dense(dtype=np.float32):
    """A network of dense layers, one of them in a function that is jitted and used twice."""
    shapes = {"a": (5, 6), "b": (6,), "c": (6, 6), "d": (6, 6), "out": (6, TASKS)}
    params = draw(shapes, dtype)
    batch = draw({"x": (ROWS, 5), "y": (ROWS, TASKS)}, dtype, 1)

    @jax.jit
    def layer(h, kernel):
        return jnp.tanh(h @ kernel)

    def loss_fn(p, batch):
        h = jax.nn.relu(batch["x"] @ p["a"] + p["b"][None])
        h = layer(layer(h, p["c"]), p["d"])
        return ((h @ p["out"] - batch["y"]) ** 2).mean(axis=0)

    return loss_fn, params, batch, {"a", "c", "d", "out"}


def positions(dtype=np.float32):
    """Samples with positions, kernels on the left, and sums over another axis of the kernel."""
    params = draw({"a": (5, 6), "left": (7, 6), "turned": (TASKS, 7)}, dtype)
    batch = draw({"x": (ROWS, 2, 5)}, dtype, 1)

    def loss_fn(p, batch):
        h = jnp.sin(jnp.einsum("npi,io->npo", batch["x"], p["a"]))
        h = jnp.tanh(jax.lax.dot_general(p["left"], h, (((1,), (2,)), ((), ()))))
        z = jax.lax.dot_general(h, p["turned"], (((0,), (1,)), ((), ())))
        return (z**2).mean(axis=(0, 1))

    return loss_fn, params, batch, {"a", "left", "turned"}


def others(dtype=np.float32):
    """Tied, looked-up, scanned, batched, convolved, unused and scaled parameters."""
    shapes = {
        "tied": (4, 4),
        "table": (5, 4),
        "scanned": (4, 4),
        "each": (TASKS, 4, 2),
        "filter": (3, 1, 4),
        "unused": (2, 2),
        "dense": (4, 4),
        "scale": (),
    }
    params = draw(shapes, dtype)
    batch = {"i": jnp.asarray([0, 3, 3, 1]), **draw({"x": (ROWS, 6, 1)}, dtype, 1)}

    def loss_fn(p, batch):
        h = p["table"][batch["i"]] @ p["tied"]
        h = jnp.tanh(h) @ p["tied"].T * p["scale"]
        layout = ("NWC", "WIO", "NWC")
        conv = jax.lax.conv_general_dilated(
            batch["x"], p["filter"], (1,), "SAME", dimension_numbers=layout
        )
        h = jnp.tanh((h + conv.sum(axis=1)) @ p["dense"])
        h, _ = jax.lax.scan(lambda h, _: (jnp.tanh(h @ p["scanned"]), None), h, length=2)
        return (jnp.einsum("ni,tio->nto", h, p["each"]) ** 2).mean(axis=(0, 2))

    return loss_fn, params, batch, {"dense"}


def flat_task(dtype=np.float32):
    """A task whose loss depends on nothing, and one that is another's double."""
    loss_fn, params, batch, kernels = dense(dtype)

    def with_zeros(p, batch):
        losses = loss_fn(p, batch)
        return jnp.stack([losses[0], jnp.zeros((), losses.dtype), 2 * losses[0]])

    return with_zeros, params, batch, kernels


CASES = {"dense": dense, "positions": positions, "others": others, "zeros": flat_task}


@functools.cache
def _weighted_gradient(loss_fn):
    return jax.jit(jax.grad(lambda p, w, batch: (w * loss_fn(p, batch)).sum()))


def literal(loss_fn, params, batch):
    """Rows one after the other, each by a backward pass of its own: a NumPy matrix, and leaves."""
    tasks = jax.eval_shape(loss_fn, params, batch).shape[0]
    grad = _weighted_gradient(loss_fn)
    dtype = jax.tree.leaves(params)[0].dtype
    rows = [grad(params, np.asarray(row, dtype), batch) for row in np.eye(tasks)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
    matrix = np.stack(
        [np.concatenate([np.ravel(x) for x in jax.tree.leaves(r)]) for r in rows]
    ).astype(float)
    return matrix, stacked


def split_network(dtype=np.float32, *, one_each=True):
    """Trunk, heads, parameters (trunk's, heads'), batch; features are a dictionary.

    The first and last head read one scale; the last one's own is read by none.
    """
    trunk_params = draw({"a": (5, 4), "b": (4, 3)}, dtype)
    head_params = [draw({"k": (3, 2), "s": ()}, dtype, t + 2) for t in range(TASKS)]
    batch = draw({"x": (ROWS, 5), "y": (ROWS, 2)}, dtype, 1)

    def trunk(p, batch):
        h = jnp.tanh(batch["x"] @ p["a"])
        return {"last": jnp.sin(h @ p["b"]), "first": h}

    def head(t, p, z, batch):
        scale = p[t % (TASKS - 1)]["s"]
        out = z["last"] @ p[t]["k"] + scale * z["first"][:, :2]
        return ((out - batch["y"]) ** 2).mean()

    def one(t):
        return lambda p, z, batch: head(t, p, z, batch)

    def together(p, z, batch):
        return jnp.stack([head(t, p, z, batch) for t in range(TASKS)])

    heads = tuple(one(t) for t in range(TASKS)) if one_each else together
    return trunk, heads, (trunk_params, head_params), batch
