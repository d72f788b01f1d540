"""The registry of arms: a later method adds a file and a line here."""

from jaxmtl.comparison.arms._arm import Arm as Arm
from jaxmtl.comparison.arms.adaptive import ADAPTIVE
from jaxmtl.comparison.arms.architectures import ARCHITECTURES
from jaxmtl.comparison.arms.equal_nodes import EQUAL_NODES
from jaxmtl.comparison.arms.fully_split import FULLY_SPLIT, ONE_SHOT
from jaxmtl.comparison.arms.hard_sharing import HARD_SHARING
from jaxmtl.comparison.arms.independent import INDEPENDENT
from jaxmtl.comparison.arms.other_nodes import LEAST_CONFLICT, RANDOM_NODE
from jaxmtl.comparison.arms.restarts import RESTARTS

DEFAULT = (
    INDEPENDENT,
    HARD_SHARING,
    EQUAL_NODES,
    RESTARTS,
    RANDOM_NODE,
    LEAST_CONFLICT,
    ONE_SHOT,
    FULLY_SPLIT,
    ADAPTIVE,
)
ARMS: dict[str, Arm] = {arm.name: arm for arm in (*DEFAULT, *ARCHITECTURES)}
DEFAULT_ARMS: tuple[str, ...] = tuple(arm.name for arm in DEFAULT)
