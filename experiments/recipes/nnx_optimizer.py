"""The loop that nnx users know, with an aggregator inside of nnx.Optimizer.

``ag.as_optax`` is the first link of the chain: it takes the task gradients, stacked, and gives the
links behind it one gradient. Module, optimizer and streams of random numbers are changed in place,
under ``nnx.jit``. The network is that of nnx_loop.py.

    python experiments/recipes/nnx_optimizer.py [--steps 300] [--csv log.csv]
"""

from typing import Any

import optax
import pieces
from flax import nnx
from jaxtyping import Array, Key, PyTree
from nnx_loop import Network
from pieces import Batch

import jaxmtl.aggregation as ag
from jaxmtl import task_gradients


@nnx.jit
def step(
    model: Network, optimizer: nnx.Optimizer, rngs: nnx.Rngs, batch: Batch
) -> dict[str, Array]:
    structure, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)

    def loss_fn(params: PyTree, batch: Batch, stats: PyTree, key: Key[Array, ""]) -> Any:
        x, targets = batch
        # A copy: what belongs to the outside cannot be changed within a derivative.
        model = nnx.merge(structure, params, stats, copy=True)
        losses = pieces.task_losses(model(x, key), targets)
        return losses, nnx.state(model, nnx.BatchStat)

    gradients_fn = task_gradients(loss_fn, has_aux=True)
    (losses, stats), grads = gradients_fn(params, batch, stats, rngs.dropout())
    nnx.update(model, stats)
    optimizer.update(model, grads, present=pieces.labelled(batch))
    found = {f"loss/{name}": loss for name, loss in losses.items()}
    return found | {"conflict_rate": optimizer.opt_state[0].info.conflict_rate[...]}


def main(steps: int = 300, seed: int = 0) -> tuple[pieces.Log, dict[str, float]]:
    data, rngs = pieces.draw_images(seed), nnx.Rngs(seed)
    model = Network(rngs)
    aggregator = ag.with_heads(ag.upgrad(), pieces.shared, "plain")
    chain = optax.chain(ag.as_optax(aggregator, num_tasks=2), pieces.make_optimizer(steps))
    optimizer = nnx.Optimizer(model, chain, wrt=nnx.Param)

    log = [step(model, optimizer, rngs, pieces.batch_of(data, number)) for number in range(steps)]

    x, targets = pieces.draw_images(seed + 1)
    model.eval()
    return pieces.fetch(log), pieces.numbers(pieces.task_losses(model(x), targets))


if __name__ == "__main__":
    pieces.run(main, __doc__)
