"""What the schedule is worth without the split."""

from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench, Outcome


def _run(bench: Bench) -> Outcome:
    return bench.outcome(bench.run("restarts", bench.network(), bench.same_schedule))


RESTARTS = Arm(
    "restarts", "hard sharing that restarts when the adaptive run splits, without a split", _run
)
