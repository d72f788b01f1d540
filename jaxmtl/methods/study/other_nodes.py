"""What the choice of node is worth: other nodes, split at the same times."""

import jax.numpy as jnp
import numpy as np

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench
from jaxmtl.training.phased.phases import NEVER
from jaxmtl.training.phased.state import Split


def _run(bench: Bench, name: str, split: Split) -> Fitted:
    table = bench.same_schedule
    events = bench.adaptive.events
    assert events is not None
    # A phase of the adaptive run that went to its end split nothing, and splits nothing here.
    stop = jnp.where(jnp.asarray(np.asarray(events.node) >= 0), table.stop, NEVER)
    table = table._replace(stop=stop)
    network = bench.network()
    return bench.fitted(network, bench.run(name, network, table, split=split))


RANDOM_NODE = Arm(
    "random_node",
    "a random shared node duplicated whenever the adaptive run splits",
    lambda bench: _run(bench, "random_node", "random"),
)
LEAST_CONFLICT = Arm(
    "least_conflict",
    "the node of least conflict duplicated whenever the adaptive run splits",
    lambda bench: _run(bench, "least_conflict", "least"),
)
