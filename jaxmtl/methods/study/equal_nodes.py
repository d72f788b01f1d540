"""What capacity alone is worth: shared nodes, as many as the adaptive run of the seed ends with."""

import numpy as np

from jaxmtl.methods.method import Fitted, join_folds
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench


def _run(bench: Bench) -> Fitted:
    index = np.asarray(bench.adaptive.head_index)
    nodes = np.array([len(np.unique(one)) for one in index])
    # The number of nodes is a shape: seeds of one number are swept together.
    parts = []
    for number in np.unique(nodes):
        seeds = np.flatnonzero(nodes == number)
        model = bench.network(int(number), capacity=int(number) * bench.num_tasks)
        runs = bench.run(f"equal_nodes/{number}", model, bench.same_schedule, seeds=seeds)
        parts.append((seeds, bench.fitted(model, runs, nodes=int(number))))
    return join_folds(parts, len(nodes))


EQUAL_NODES = Arm(
    "equal_nodes", "hard sharing with as many shared nodes as the adaptive run ends with", _run
)
