"""The study's plain baseline: one phase, one learning rate, no split."""

from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench, Outcome


def _run(bench: Bench) -> Outcome:
    runs = bench.run("hard_sharing", bench.network(), bench.constant_rate)
    return bench.outcome(runs)


HARD_SHARING = Arm(
    "hard_sharing", "plain hard sharing: the first learning rate throughout, no split", _run
)
