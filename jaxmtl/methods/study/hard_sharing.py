"""The study's plain baseline: one phase, one learning rate, no split."""

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench


def _run(bench: Bench) -> Fitted:
    network = bench.network()
    return bench.fitted(network, bench.run("hard_sharing", network, bench.constant_rate))


HARD_SHARING = Arm(
    "hard_sharing", "plain hard sharing: the first learning rate throughout, no split", _run
)
