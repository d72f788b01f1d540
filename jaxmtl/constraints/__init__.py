"""Constraints on outputs, losses and parameters: hard, soft, by multipliers; shared softly.

.. include:: README.md
"""

from jaxmtl.constraints.augmented_lagrangian import AugmentedLagrangian as AugmentedLagrangian
from jaxmtl.constraints.augmented_lagrangian import (
    AugmentedLagrangianState as AugmentedLagrangianState,
)
from jaxmtl.constraints.bounds import OutputBound as OutputBound
from jaxmtl.constraints.bounds import bound_excess as bound_excess
from jaxmtl.constraints.epsilon_constraint import EpsilonConstraint as EpsilonConstraint
from jaxmtl.constraints.hard import Box as Box
from jaxmtl.constraints.hard import ConvexSet as ConvexSet
from jaxmtl.constraints.hard import HalfSpace as HalfSpace
from jaxmtl.constraints.hard import Hyperplane as Hyperplane
from jaxmtl.constraints.hard import L1Ball as L1Ball
from jaxmtl.constraints.hard import L2Ball as L2Ball
from jaxmtl.constraints.hard import LInfBall as LInfBall
from jaxmtl.constraints.hard import NonNegative as NonNegative
from jaxmtl.constraints.hard import Simplex as Simplex
from jaxmtl.constraints.hard import project as project
from jaxmtl.constraints.hard import project_rows as project_rows
from jaxmtl.constraints.soft import QuadraticPenalty as QuadraticPenalty
from jaxmtl.constraints.soft import SoftBound as SoftBound
from jaxmtl.constraints.soft import bound_penalty as bound_penalty
from jaxmtl.constraints.soft_sharing import sharing_penalty as sharing_penalty
from jaxmtl.constraints.soft_sharing import tie_penalty as tie_penalty
from jaxmtl.constraints.soft_sharing import trace_norm as trace_norm
from jaxmtl.constraints.violation import Violation as Violation
from jaxmtl.constraints.violation import excess_of as excess_of
from jaxmtl.constraints.violation import measure_violation as measure_violation
