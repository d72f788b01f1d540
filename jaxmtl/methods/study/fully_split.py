"""What waiting is worth: all nodes split at once, after the warm-up or from the start."""

import jax
import jax.numpy as jnp

from jaxmtl.duplication import split_all
from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench
from jaxmtl.training.phased.phases import PhaseTable


def _from_start(bench: Bench) -> Fitted:
    index = bench.network().initial_head_index()
    params, index = jax.vmap(lambda params: split_all(params, index))(bench.start)
    runs = bench.run(
        "fully_split", bench.network(), bench.same_schedule, params=params, head_index=index
    )
    return bench.fitted(bench.network(), runs)


def _one_shot(bench: Bench) -> Fitted:
    table = bench.same_schedule
    warmup = max(1, bench.protocol.phases[0].warmup - 1)
    # The first phase is parted at the end of its warm-up, and what is left of it follows.
    first = jnp.minimum(table.stop[:, :1] - 1, warmup * bench.updates_an_epoch)
    first = jnp.maximum(first, 1)

    def doubled(leaf: jax.Array) -> jax.Array:
        return jnp.concatenate([leaf[:, :1], leaf], axis=1)

    stop = jnp.concatenate([first, table.stop[:, :1] - first, table.stop[:, 1:]], axis=1)
    table = PhaseTable(*map(doubled, table))._replace(stop=stop)
    network = bench.network()
    return bench.fitted(network, bench.run("one_shot", network, table, split="all"))


FULLY_SPLIT = Arm(
    "fully_split",
    "every task has its own copy of every node of the bank from the start",
    _from_start,
)
ONE_SHOT = Arm(
    "one_shot", "every task gets its own copy of every node at once, after the warm-up", _one_shot
)
