"""What capacity alone is worth: shared nodes, as many as the adaptive run of the seed ends with."""

import numpy as np

from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench, Outcome


def _run(bench: Bench) -> Outcome:
    index = np.asarray(bench.adaptive.head_index)
    nodes = np.array([len(np.unique(one)) for one in index])
    # The number of nodes is a shape: seeds of one number are swept together.
    parts, order = [], []
    for number in np.unique(nodes):
        seeds = np.flatnonzero(nodes == number)
        model = bench.network(int(number), capacity=int(number) * bench.num_tasks)
        runs = bench.run(f"equal_nodes/{number}", model, bench.same_schedule, seeds=seeds)
        parts.append(bench.outcome(runs, nodes=int(number)))
        order.append(seeds)
    back = np.argsort(np.concatenate(order))
    joined = (np.concatenate(fields)[back] for fields in zip(*parts, strict=True))
    return Outcome(*joined)


EQUAL_NODES = Arm(
    "equal_nodes", "hard sharing with as many shared nodes as the adaptive run ends with", _run
)
