"""Nodes are duplicated where streaks of conflict say so."""

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench


def _run(bench: Bench) -> Fitted:
    runs = bench.adaptive if bench.method is None and not bench.restart else bench.run_adaptive()
    return bench.fitted(bench.network(), runs)


ADAPTIVE = Arm("adaptive", "nodes duplicated where task gradients kept disagreeing in sign", _run)
