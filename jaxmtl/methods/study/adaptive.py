"""Nodes are duplicated where streaks of conflict say so."""

from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench, Outcome


def _run(bench: Bench) -> Outcome:
    return bench.outcome(bench.adaptive if bench.method is None else bench.run_adaptive())


ADAPTIVE = Arm("adaptive", "nodes duplicated where task gradients kept disagreeing in sign", _run)
