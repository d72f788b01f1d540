"""A sweep that saves all the time, to be killed: ``FOLDER FILE``."""

import functools
import pickle
import sys

import jax
import numpy as np

SEVERAL = 5


@functools.cache
def starts():
    from drawn import drawn_parameters

    from jaxmtl import HardSharing

    x = np.zeros((1, 4), np.float32)
    drawn = [drawn_parameters(HardSharing(), x, seed)["params"] for seed in range(SEVERAL)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def problem(**changes):
    """Arguments of a sweep; what is changed makes it another one."""
    from jaxmtl import HardSharing, Phase, Rows, Splits

    rng = np.random.default_rng(changes.pop("seed", 0))
    x = rng.uniform(size=(24, 4)).astype(np.float32)
    return {
        "model": HardSharing(),
        "data": Splits(Rows(x[:16], x[:16, :2]), test=Rows(x[16:], x[16:, :2])),
        "keys": jax.random.split(jax.random.key(0), SEVERAL),
        "params": starts(),
        "phases": [[Phase(25, 2 + i, 4), Phase(25, 3, 4), Phase(30 - i)] for i in range(SEVERAL)],
        "shuffle": True,
        "chunk": 2,
    } | changes


def main(folder, file):
    from jaxmtl import sweep
    from jaxmtl.training.driver import members

    members.LENGTH = 3
    members.SECONDS_BETWEEN_SAVES = 0.0
    members.SHARE_OF_SAVING = float("inf")
    said = []

    def say(progress):
        if not said:
            print("saved", flush=True)
        said.append(progress)

    runs = sweep(**problem(), checkpoint=folder, resume=True, on_progress=say)
    with open(file, "wb") as out:
        pickle.dump(jax.tree.map(np.asarray, runs), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
