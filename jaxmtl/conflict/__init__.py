"""Where the gradients of tasks disagree."""

from jaxmtl.conflict.signs import Evidence as Evidence
from jaxmtl.conflict.signs import Rule as Rule
from jaxmtl.conflict.signs import Zeros as Zeros
from jaxmtl.conflict.signs import count_conflicts as count_conflicts
from jaxmtl.conflict.signs import node_conflict as node_conflict
from jaxmtl.conflict.signs import sign_conflict as sign_conflict
from jaxmtl.conflict.signs import update_streak as update_streak
from jaxmtl.conflict.signs import weight_conflict as weight_conflict
