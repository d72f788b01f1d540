"""Other ways of sharing, in sizes near those of the protocol's network."""

from collections.abc import Callable
from typing import Any

from jaxmtl.constraints.soft_sharing import Tie
from jaxmtl.methods.method import Fitted
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench

Make = Callable[[Bench, dict[str, Any]], Any]


def _arm(name: str, description: str, make: Make, least_tasks: int = 1) -> Arm:
    def run(bench: Bench) -> Fitted:
        p = bench.protocol
        common = {
            "outputs": (1,) * bench.num_tasks,
            "activation": p.activation,
            "output_activation": p.output_activation,
        }
        network = make(bench, common)
        return bench.fitted(network, bench.run(name, network, bench.same_schedule))

    return Arm(name, description, run, least_tasks)


def _layers(bench: Bench) -> tuple[int, ...]:
    return (*bench.protocol.shared, bench.protocol.nodes)


def _towers(bench: Bench) -> tuple[int, ...]:
    return tuple(bench.protocol.towers)


def _shared_bottom(bench: Bench, common: dict[str, Any]) -> Any:
    from jaxmtl.models import SharedBottom

    return SharedBottom(trunk=_layers(bench), towers=_towers(bench), **common)


def _mixture(name: str) -> Make:
    def make(bench: Bench, common: dict[str, Any]) -> Any:
        from jaxmtl import models

        network = getattr(models, name)
        return network(num_experts=3, experts=_layers(bench), towers=_towers(bench), **common)

    return make


def _cgc(bench: Bench, common: dict[str, Any]) -> Any:
    from jaxmtl.models import CGC

    experts = _layers(bench)
    return CGC(own_experts=1, shared_experts=1, experts=experts, towers=_towers(bench), **common)


def _ple(bench: Bench, common: dict[str, Any]) -> Any:
    from jaxmtl.models import PLE

    levels = tuple((size,) for size in _layers(bench))
    return PLE(own_experts=1, shared_experts=1, experts=levels, towers=_towers(bench), **common)


def _cross_stitch(bench: Bench, common: dict[str, Any]) -> Any:
    from jaxmtl.models import CrossStitch

    return CrossStitch(layers=_layers(bench), **common)


def _mtan(bench: Bench, common: dict[str, Any]) -> Any:
    from jaxmtl.models import MTAN

    return MTAN(layers=_layers(bench), **common)


def _aitm(bench: Bench, common: dict[str, Any]) -> Any:
    from jaxmtl.models import AITM

    return AITM(trunk=_layers(bench)[:-1], towers=(bench.protocol.nodes,), **common)


def _soft_sharing(tie: Tie, strength: float) -> Make:
    def make(bench: Bench, common: dict[str, Any]) -> Any:
        from jaxmtl.models import SoftSharing

        return SoftSharing(hidden=_layers(bench), tie=tie, strength=strength, **common)

    return make


ARCHITECTURES = (
    _arm("shared_bottom", "one trunk, a tower a task", _shared_bottom),
    _arm("omoe", "three shared experts, one gate", _mixture("OMoE")),
    _arm("mmoe", "three shared experts, a gate a task", _mixture("MMoE")),
    _arm("dselect_k", "three shared experts, of which a task reads two", _mixture("DSelectK")),
    _arm("cgc", "an expert of a task's own beside a shared one", _cgc),
    _arm("ple", "the same in several levels", _ple),
    _arm("cross_stitch", "a network a task, mixed after every layer", _cross_stitch),
    _arm("mtan", "every task masks the features of one network", _mtan),
    _arm("aitm", "tasks in a chain", _aitm),
    _arm("soft_l2", "a network a task, tied by an L2 penalty", _soft_sharing("l2", 1e-2), 2),
    _arm(
        "soft_trace",
        "a network a task, tied by a trace-norm penalty",
        _soft_sharing("trace_norm", 1e-4),
        2,
    ),
)
