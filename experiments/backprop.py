"""Backpropagation in a network small enough to follow every number.

Two inputs, two hidden nodes, two outputs, eight weights, no biases:

    h1 = f(w1 x1 + w3 x2)    h2 = f(w2 x1 + w4 x2)
    o1 = f(w5 h1 + w7 h2)    o2 = f(w6 h1 + w8 h2)

and one sample, x = (0.5, 0.3), y = (0.23, -0.07). Shown: the forward pass, the chain rule by hand
(NumPy) beside ``jax.grad``, the classic mistake beside both, training for every activation, loss,
step size and start, and ReLUs that are dead.

Two things to know before reading the tables. The mean squared error of two outputs *is* half the
sum of squares, so these two agree. The targets are no distribution, so cross-entropy (softmax over
the two outputs) takes the class of the larger target, (1, 0): with a negative target it would have
no minimum.

    python experiments/backprop.py [--out DIR] [--updates 1000] [--starts 2000] [--seed 39]
"""

import argparse
import functools
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

X = np.array([0.5, 0.3])
Y = np.array([0.23, -0.07])
GIVEN = np.array([0.2, -0.4, 0.5, 0.6, 0.1, -0.5, -0.3, 0.8])
TARGETS = {"half sum of squares": Y, "mean squared error": Y, "cross-entropy": np.array([1.0, 0.0])}
LOSSES = tuple(TARGETS)
ACTIVATIONS = ("sigmoid", "relu")
STEP_SIZES = (1.0, 5.0, 10.0)
PUBLISHED = (  # activation, step size, updates
    ("sigmoid", 1.0, 1),
    ("sigmoid", 10.0, 1),
    ("sigmoid", 1.0, 10),
    ("sigmoid", 10.0, 10),
    ("relu", 1.0, 11),
)
NODES = ("h1", "h2", "o1", "o2")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # Okabe-Ito


class Pass(NamedTuple):
    """One pass forward and back: hidden values, outputs, loss, gradient of w1 .. w8."""

    hidden: np.ndarray
    outputs: np.ndarray
    loss: float
    gradient: np.ndarray


def by_hand(
    w: Any,
    activation: str = "sigmoid",
    loss: str = LOSSES[0],
    mistaken: bool = False,
    y: Any = None,
) -> Pass:
    """The chain rule, one weight at a time.

    Args:
        w: the eight weights.
        activation: "sigmoid" or "relu", of hidden nodes and outputs.
        loss: one of LOSSES.
        mistaken: use the gradients of the output weights as if they were the hidden error, as in
            d_w1 = (d_w5 + d_w6) h1 (1 - h1) x1: they contain h1 where w5 and w6 belong.
        y: targets; None for those of the loss.
    """
    (x1, x2), (y1, y2) = X, TARGETS[loss] if y is None else y
    w1, w2, w3, w4, w5, w6, w7, w8 = w
    h1, h2 = _activate(w1 * x1 + w3 * x2, activation), _activate(w2 * x1 + w4 * x2, activation)
    o1, o2 = _activate(w5 * h1 + w7 * h2, activation), _activate(w6 * h1 + w8 * h2, activation)
    if loss == "cross-entropy":
        total = np.exp(o1) + np.exp(o2)
        p1, p2 = np.exp(o1) / total, np.exp(o2) / total
        value = -y1 * np.log(p1) - y2 * np.log(p2)
        d_o1, d_o2 = p1 * (y1 + y2) - y1, p2 * (y1 + y2) - y2
    else:  # half the sum, or the mean over two outputs: the same
        value = ((o1 - y1) ** 2 + (o2 - y2) ** 2) / 2
        d_o1, d_o2 = o1 - y1, o2 - y2
    delta1, delta2 = d_o1 * _slope(o1, activation), d_o2 * _slope(o2, activation)
    d_w5, d_w6, d_w7, d_w8 = delta1 * h1, delta2 * h1, delta1 * h2, delta2 * h2
    if mistaken:
        error1, error2 = d_w5 + d_w6, d_w7 + d_w8
    else:
        error1, error2 = delta1 * w5 + delta2 * w6, delta1 * w7 + delta2 * w8
    back1, back2 = error1 * _slope(h1, activation), error2 * _slope(h2, activation)
    gradient = [back1 * x1, back2 * x1, back1 * x2, back2 * x2, d_w5, d_w6, d_w7, d_w8]
    return Pass(np.array([h1, h2]), np.array([o1, o2]), float(value), np.array(gradient))


def descend_by_hand(
    w: Any, step_size: float, updates: int, activation: str = "sigmoid", loss: str = LOSSES[0]
) -> tuple[Pass, np.ndarray]:
    """Plain gradient descent: the pass before the last update, and the weights after it."""
    last = by_hand(w, activation, loss)
    for _ in range(updates - 1):
        w = w - step_size * last.gradient
        last = by_hand(w, activation, loss)
    return last, w - step_size * last.gradient


def _activate(z: float, activation: str) -> float:
    return 1 / (1 + np.exp(-z)) if activation == "sigmoid" else max(z, 0.0)


def _slope(value: float, activation: str) -> float:
    """Derivative of the activation, from its value."""
    return value * (1 - value) if activation == "sigmoid" else float(value > 0)


def pre_activations(w: jax.Array, activation: str) -> jax.Array:
    """What enters h1, h2, o1 and o2."""
    z = jnp.asarray(X, w.dtype) @ w[:4].reshape(2, 2)
    return jnp.concatenate([z, getattr(jax.nn, activation)(z) @ w[4:].reshape(2, 2)])


def loss_fn(w: jax.Array, activation: str = "sigmoid", loss: str = LOSSES[0]) -> jax.Array:
    """The same loss for ``jax.grad``, written with matrices."""
    outputs = getattr(jax.nn, activation)(pre_activations(w, activation)[2:])
    y = jnp.asarray(TARGETS[loss], w.dtype)
    if loss == "cross-entropy":
        return -(y * jax.nn.log_softmax(outputs)).sum()
    if loss == "mean squared error":
        return ((outputs - y) ** 2).mean()
    return 0.5 * ((outputs - y) ** 2).sum()


@functools.partial(jax.jit, static_argnames=("updates", "activation", "loss", "mistaken"))
def descend(
    w: jax.Array,
    step_size: jax.Array,
    updates: int,
    activation: str = "sigmoid",
    loss: str = LOSSES[0],
    mistaken: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Plain gradient descent by autodiff.

    Args:
        w: starts, (..., 8).
        step_size: a number, or one a start, (...).
        updates: number of updates.
        activation: of all nodes.
        loss: one of LOSSES.
        mistaken: make the classic mistake (see ``by_hand``).

    Returns:
        Losses (..., updates + 1) before every update and after the last, and weights
        (..., updates + 1, 8).
    """
    objective = functools.partial(loss_fn, activation=activation, loss=loss)

    def one(start: jax.Array, step_size: jax.Array) -> tuple[jax.Array, jax.Array]:
        def update(w: jax.Array, _: None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            value, slope = jax.value_and_grad(objective)(w)
            if mistaken:
                slope = _mistake(w, slope, activation)
            return w - step_size * slope, (value, w)

        last, (values, weights) = jax.lax.scan(update, start, None, length=updates)
        values = jnp.append(values, objective(last))
        return values, jnp.concatenate([weights, last[None]])

    return jnp.vectorize(one, signature="(w),()->(u),(v,w)")(w, step_size)


def _mistake(w: jax.Array, slope: jax.Array, activation: str) -> jax.Array:
    hidden_slope = jax.grad(lambda z: getattr(jax.nn, activation)(z).sum())(
        pre_activations(w, activation)[:2]
    )
    wrong = slope[4:].reshape(2, 2).sum(axis=1) * hidden_slope
    return jnp.concatenate([jnp.outer(jnp.asarray(X, w.dtype), wrong).ravel(), slope[4:]])


def dead(w: jax.Array) -> jax.Array:
    """Which of h1, h2, o1, o2 pass nothing on and learn nothing, as ReLUs: bool (..., 4)."""
    return jnp.vectorize(lambda w: pre_activations(w, "relu") <= 0, signature="(w)->(n)")(w)


def random_starts(key: jax.Array, num: int) -> jax.Array:
    """Weights from U(-1, 1), (num, 8)."""
    return jax.random.uniform(key, (num, 8), minval=-1.0, maxval=1.0)


def train_all(starts: dict[str, Any], updates: int) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Losses (starts, step sizes, updates + 1) and weights for every activation and loss."""
    w = jnp.stack([jnp.asarray(start) for start in starts.values()])[:, None]
    rates = jnp.asarray(STEP_SIZES)[None]
    return {
        (activation, loss): descend(w, rates, updates, activation, loss)
        for activation, loss in itertools.product(ACTIVATIONS, LOSSES)
    }


def print_gradients() -> None:
    """The forward pass, and the gradients side by side."""
    for activation in ACTIVATIONS:
        right, wrong = by_hand(GIVEN, activation), by_hand(GIVEN, activation, mistaken=True)
        auto = np.asarray(jax.grad(loss_fn)(jnp.asarray(GIVEN), activation))
        values = "  ".join(
            f"{n} {v:.4f}" for n, v in zip(NODES, [*right.hidden, *right.outputs], strict=True)
        )
        print(f"\n{activation}, given weights: {values}  loss {right.loss:.6f}")
        print("        by hand   autodiff  difference    mistake  its error")
        for i in range(8):
            hand, machine, mistake = (g[i] + 0.0 for g in (right.gradient, auto, wrong.gradient))
            print(
                f"  d_w{i + 1}{hand:10.6f} {machine:10.6f} {abs(hand - machine):11.1e}"
                f" {mistake:10.6f}  {mistake - hand:+9.6f}"
            )


def print_published() -> None:
    """The runs whose figures are published, by hand."""
    print("\nPublished runs, ½ sum of squares (outputs and loss before the last update)")
    for activation, step_size, updates in PUBLISHED:
        last, w = descend_by_hand(GIVEN, step_size, updates, activation)
        outputs, weights = (" ".join(f"{v:8.4f}" for v in row) for row in (last.outputs, w))
        print(
            f"  {activation:8}step {step_size:<4g}updates {updates:<4}"
            f"o {outputs}  loss {last.loss:.6f}  w {weights}"
        )


def print_training(runs: dict[tuple[str, str], tuple[Any, Any]], starts: dict[str, Any]) -> None:
    """Losses after 1, 10 and all updates, and which ReLUs are dead."""
    updates = next(iter(runs.values()))[0].shape[-1] - 1
    marks = sorted({1, min(10, updates), updates})
    columns = "".join(f"  after {n:<4}" for n in marks)
    print(f"\n  {'Loss':45}  before {columns}  dead ReLUs before, after")
    for (activation, loss), (values, weights) in runs.items():
        for (s, start), (r, rate) in itertools.product(enumerate(starts), enumerate(STEP_SIZES)):
            row = "  ".join(f"{float(values[s, r, n]):10.6f}" for n in (0, *marks))
            gone = [
                " ".join(itertools.compress(NODES, np.asarray(dead(weights[s, r, n])))) or "-"
                for n in (0, -1)
            ]
            note = f"  {gone[0]}, {gone[1]}" if activation == "relu" else ""
            print(f"  {activation:8}{loss:20} {start:7}step {rate:<4g}{row}{note}")


def dead_shares(key: jax.Array, num: int, updates: int) -> dict[float, np.ndarray]:
    """Share of random starts at which each ReLU is dead: before, after 1, 10 and all updates."""
    starts, places = random_starts(key, num), jnp.array([0, 1, min(10, updates), updates])
    shares = {}
    for rate in STEP_SIZES:
        _, weights = descend(starts, jnp.asarray(rate), updates, "relu")
        shares[rate] = np.asarray(dead(weights[:, places]).mean(axis=0))
    return shares


def plot_losses(
    runs: dict[tuple[str, str], tuple[Any, Any]], starts: dict[str, Any], path: Path
) -> None:
    """Loss against updates for every combination."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(len(ACTIVATIONS), len(LOSSES), sharex=True, sharey="row")
    for ax, ((activation, loss), (values, _)) in zip(axes.flat, runs.items(), strict=True):
        for (r, rate), (s, start) in itertools.product(enumerate(STEP_SIZES), enumerate(starts)):
            curve = np.asarray(values[s, r])
            ax.plot(
                np.arange(len(curve)),
                np.where(curve > 0, curve, np.nan),
                color=COLOURS[r],
                linestyle=("-", (0, (4, 2)))[s],
                linewidth=1.5,
                label=f"step size {rate:g}, {start} weights",
            )
        same = " (the same)" if loss == "mean squared error" else ""
        name = {"relu": "ReLU"}.get(activation, activation)
        ax.set_title(f"{name}: {loss}{same}", fontsize=10)
        _over_updates(ax, values.shape[-1] - 1)
    for ax in axes[-1]:
        ax.set_xlabel("updates")
    for ax in axes[:, 0]:
        ax.set_ylabel("loss of the one sample")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("The 2-2-2 network under plain gradient descent")
    figure.savefig(path, dpi=150)


def _over_updates(ax: Any, updates: int) -> None:
    ax.set_xscale("symlog", linthresh=1)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlim(0, updates)
    ax.set_yscale("log")
    ax.grid(alpha=0.25)


def plot_mistake(updates: int, path: Path) -> None:
    """The right and the mistaken gradient, and what training makes of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [f"$w_{i + 1}$" for i in range(8)]
    for offset, mistaken, colour, label in (
        (-0.2, False, COLOURS[0], "chain rule = autodiff"),
        (0.2, True, COLOURS[1], "reusing $d_{w_5} + d_{w_6}$, $d_{w_7} + d_{w_8}$"),
    ):
        gradient = by_hand(GIVEN, mistaken=mistaken).gradient
        left.bar(np.arange(8) + offset, gradient, 0.4, color=colour, label=label)
        values, _ = descend(jnp.asarray(GIVEN), jnp.asarray(1.0), updates, mistaken=mistaken)
        right.plot(np.asarray(values), color=colour, linewidth=1.8, label=label)
    left.axhline(0, color="black", linewidth=0.8)
    left.set_xticks(range(8), names)
    left.set_ylabel("gradient of ½ sum of squares")
    left.set_title("At the given weights, sigmoid", fontsize=10)
    left.legend(frameon=False, loc="upper left")
    _over_updates(right, updates)
    right.set_xlabel("updates (step size 1)")
    right.set_ylabel("½ sum of squares")
    right.set_title("Training on either", fontsize=10)
    right.legend(frameon=False)
    figure.suptitle("The classic mistake: an output weight's gradient taken for the hidden error")
    figure.savefig(path, dpi=150)


def plot_dead(
    runs: dict[tuple[str, str], tuple[Any, Any]], shares: dict[float, np.ndarray], path: Path
) -> None:
    """What enters each ReLU while training, and how often one is dead."""
    from matplotlib.figure import Figure

    _, weights = runs["relu", LOSSES[0]]
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    enters = jnp.vectorize(lambda w: pre_activations(w, "relu"), signature="(w)->(n)")
    for ax, s, r, last in ((axes[0], 0, 0, 30), (axes[1], 1, 1, 6)):
        curve = np.asarray(enters(weights[s, r]))[: last + 1]
        for n, name in enumerate(NODES):
            ax.plot(curve[:, n], "o-", color=COLOURS[n], linewidth=1.8, markersize=3, label=name)
        bottom, top = ax.get_ylim()
        ax.axhspan(bottom, 0, color="0.9", zorder=0)
        ax.set_ylim(bottom, top)
        ax.set_title(f"{('Given', 'Random')[s]} weights, step size {STEP_SIZES[r]:g}", fontsize=10)
        ax.set_xlabel("updates (grey: dead)")
        ax.set_ylabel("what enters the node")
        ax.legend(frameon=False, ncols=2, loc=("center right", "upper right")[s])
    places = next(iter(shares.values())).shape[0]
    for r, (rate, share) in enumerate(shares.items()):
        any_output = 100 * share[:, 2:].mean(axis=1)
        axes[2].plot(range(places), any_output, "o-", color=COLOURS[r], label=f"step size {rate:g}")
    updates = weights.shape[-2] - 1
    axes[2].set_xticks(range(places), ["0", "1", str(min(10, updates)), str(updates)])
    axes[2].set_xlabel("updates")
    axes[2].set_ylabel("dead outputs (%)")
    axes[2].set_ylim(0, 100)
    axes[2].set_title("Many random starts, U(-1, 1)", fontsize=10)
    axes[2].legend(frameon=False)
    figure.suptitle("Dead ReLUs: nothing enters above 0, so none of their weights is updated")
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/backprop"), help="folder to write")
    parser.add_argument("--updates", type=int, default=1000, help="updates of every run")
    parser.add_argument("--starts", type=int, default=2000, help="random starts, for dead ReLUs")
    parser.add_argument("--seed", type=int, default=39, help="of the random weights")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)

    start_key, dead_key = jax.random.split(jax.random.key(options.seed))
    starts = {"given": GIVEN, "random": random_starts(start_key, 1)[0]}
    print_gradients()
    print_published()
    runs = train_all(starts, options.updates)
    print_training(runs, starts)
    shares = dead_shares(dead_key, options.starts, options.updates)
    print(f"\nShare of {options.starts} random starts at which a ReLU is dead")
    for rate, share in shares.items():
        for name, row in (("before", share[0]), (f"after {options.updates}", share[-1])):
            cells = "  ".join(f"{n} {v:.3f}" for n, v in zip(NODES, row, strict=True))
            print(f"  step {rate:<4g}{name:12}{cells}")
    plot_losses(runs, starts, options.out / "losses.png")
    plot_mistake(options.updates, options.out / "mistake.png")
    plot_dead(runs, shares, options.out / "dead_relus.png")
    print("\nWrote", *(options.out / f for f in ("losses.png", "mistake.png", "dead_relus.png")))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)  # so that the hand and the machine agree to 1e-16
    main()
