"""What the schedule is worth without the split."""

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench


def _run(bench: Bench) -> Fitted:
    network = bench.network()
    return bench.fitted(network, bench.run("restarts", network, bench.same_schedule))


RESTARTS = Arm(
    "restarts", "hard sharing that restarts when the adaptive run splits, without a split", _run
)
