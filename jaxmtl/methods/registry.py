"""All methods by their names."""

from collections.abc import Sequence

from jaxmtl.data.folds import Data
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
    for method in (
        Constant(),
        StraightLine(),
        ExtraTrees(),
        Boosted(),
        TableNetworks(),
        TableNetworks(
            name="residual",
            description="a network for all targets together, of what a straight line leaves over",
            line=True,
        ),
        TableNetworks(
            name="separate",
            description="networks, one for each target",
            sharing="separate",
            hidden=(64, 64, 64),
        ),
    )
}
"""What predicts tables, for tasks of every kind; the simplest first."""

FAMILY_GROUPS: dict[str, tuple[str, ...]] = {
    "mean": ("mean",),
    "linear": ("linear",),
    "trees": ("extra_trees", "boosted"),
    "networks": ("network", "residual", "separate"),
}
"""The families by the words in which they are chosen."""

WITHOUT_STEPS: dict[str, Method] = BASELINES | {
    name: method for name, method in TABLE_FAMILIES.items() if name not in FAMILY_GROUPS["networks"]
}
"""All methods that take no gradient steps, and so no options of networks."""


MOST_OF_SEPARATE = 2000  # coded features times tasks, above which separate networks are left out


def families_for(names: Sequence[str], data: Data) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of some families that are worth their time on a table.

    Args:
        names: of ``TABLE_FAMILIES``.
        data: what is to be learned from.

    Returns:
        Names in the order given, and why others are not among them. If all would be left out, all
        are in.

    Example:
        >>> import numpy as np
        >>> from jaxmtl.tasks import number_tasks
        >>> data = Data(x=np.zeros((4, 2)), y=np.zeros((4, 1)), known=np.ones((4, 1), bool),
        ...             tasks=number_tasks(["CO"]))
        >>> families_for(["network", "separate"], data)
        (('network',), ())
    """
    tasks, features = len(data.tasks), data.x.shape[1]
    if "separate" not in names or len(names) == 1:
        return tuple(names), ()
    others = tuple(name for name in names if name != "separate")
    if tasks == 1:
        return others, ()  # it would be the network once more
    if tasks * features > MOST_OF_SEPARATE:
        return others, (
            f"separate: {tasks} networks on {features} features were left out, since they would "
            "take long; --method separate trains them",
        )
    return tuple(names), ()


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
