"""All methods by their names."""

from jaxmtl.methods.boosted import Boosted
from jaxmtl.methods.constant import Constant
from jaxmtl.methods.extra_trees import ExtraTrees
from jaxmtl.methods.linear import Ridge
from jaxmtl.methods.method import Method
from jaxmtl.methods.straight_line import StraightLine
from jaxmtl.methods.study.arms import find_arm
from jaxmtl.methods.study.as_method import StudyMethod
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.methods.table_networks import TableNetworks
from jaxmtl.methods.trees import BoostedTrees

BASELINES: dict[str, Method] = {
    method.name: method for method in (Constant(), Ridge(), BoostedTrees())
}
"""What an analyst would otherwise use, as the comparison of the study has it."""

TABLE_FAMILIES: dict[str, Method] = {
    method.name: method
    for method in (Constant(), StraightLine(), ExtraTrees(), Boosted(), TableNetworks())
}
"""What predicts tables, for tasks of every kind; the simplest first."""

FAMILY_GROUPS: dict[str, tuple[str, ...]] = {
    "mean": ("mean",),
    "linear": ("linear",),
    "trees": ("extra_trees", "boosted"),
    "networks": ("network",),
}
"""The families by the words in which they are chosen."""

WITHOUT_STEPS: dict[str, Method] = BASELINES | {
    name: method for name, method in TABLE_FAMILIES.items() if name not in FAMILY_GROUPS["networks"]
}
"""All methods that take no gradient steps, and so no options of networks."""


def find_method(
    name: str, *, protocol: StudyProtocol | None = None, bench: Bench | None = None
) -> Method:
    """A method by its name.

    Args:
        name: of ``BASELINES`` or ``TABLE_FAMILIES``, or as for ``find_arm``: an arm of the study,
            an aggregator or loss method, or both as in ``"mmoe+upgrad"``.
        protocol: what the arms of the study have in common; None for the study's own. Left out of
            account where there is a bench.
        bench: on which the arms of a comparison stand.

    Returns:
        The method, by its full name.

    Raises:
        ValueError: there is no such method; the sentence says which is near.

    Example:
        >>> find_method("ridge").name, find_method("upgrad").name
        ('ridge', 'restarts+upgrad')
    """
    if name in BASELINES | TABLE_FAMILIES:
        return (BASELINES | TABLE_FAMILIES)[name]
    shared = protocol or StudyProtocol() if bench is None else bench.protocol
    return StudyMethod(arm=find_arm(name, tuple(WITHOUT_STEPS)), protocol=shared, bench=bench)
