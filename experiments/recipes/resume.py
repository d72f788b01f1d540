"""A run that goes on from its last checkpoint (orbax) as if it had never stopped, to the bit.

Everything that a step takes from the one before is saved: parameters, running statistics and the
state of the step, which holds those of aggregator and optimizer, the key, and the number of steps.
The batch follows from that number. A second call of the command goes on where the first ended.

    python experiments/recipes/resume.py FOLDER [--steps 300]
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import linen_loop
import pieces
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

import jaxmtl.aggregation as ag

TOTAL = 300  # steps for which the rates are planned
EVERY = 50  # steps between checkpoints

model = linen_loop.Network()
data = pieces.draw_images(0)
# A method with a state, which has to be saved, too.
aggregator = ag.with_heads(ag.nash_mtl(), pieces.shared, "plain")
loss_fn, optimizer = linen_loop.make_loss(model), pieces.make_optimizer(TOTAL)
made = ag.aggregated_step(loss_fn, aggregator, optimizer, has_aux=True)


def start() -> dict[str, PyTree]:
    init_key, step_key = jax.random.split(jax.random.key(0))
    params, stats = linen_loop.start(init_key, model)
    state = made.init(params, pieces.batch_of(data, 0), stats, key=step_key)
    return {"params": params, "stats": stats, "state": state}


@jax.jit
def step(carried: dict[str, PyTree], batch: pieces.Batch) -> tuple[dict[str, PyTree], Any]:
    params, stats, state = carried["params"], carried["stats"], carried["state"]
    present = pieces.labelled(batch)
    params, state, info = made.step(params, state, batch, stats, present=present)
    return {"params": params, "stats": info.aux, "state": state}, info.scalars()


def shape_of(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def main(
    folder: str | Path, steps: int = TOTAL, every: int = EVERY
) -> tuple[dict[str, PyTree], pieces.Log]:
    """Trains up to so many steps in all; gives what is carried on, and the log of this call."""
    carried, log = start(), []
    with ocp.training.Checkpointer(str(Path(folder).resolve())) as checkpoints:
        if checkpoints.latest is not None:
            carried = checkpoints.load(abstract_state=jax.tree.map(shape_of, carried))
        for number in range(int(carried["state"].number), steps):
            carried, scalars = step(carried, pieces.batch_of(data, number))
            log.append(scalars)
            if (number + 1) % every == 0 or number + 1 == steps:
                checkpoints.save(number + 1, carried)
    return carried, pieces.fetch(log)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=TOTAL)
    args = parser.parse_args()
    carried, log = main(args.folder, args.steps)
    print(f"{len(log)} steps, {int(carried['state'].number)} in all", *log[-1:], sep="\n")
