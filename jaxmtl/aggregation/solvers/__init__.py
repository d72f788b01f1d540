"""Solvers of small quadratic programs and fixed points, inside XLA, with bounded iterations.

They are compiled on their own as well, so that an update outside ``jit`` is not run operation by
operation; inside ``jit`` XLA inlines them.
"""

from jaxmtl.aggregation.solvers.bargaining import fair_weights as fair_weights
from jaxmtl.aggregation.solvers.cone import project_dual_cone as project_dual_cone
from jaxmtl.aggregation.solvers.nonnegative import nonnegative_qp as nonnegative_qp
from jaxmtl.aggregation.solvers.simplex import min_norm_weights as min_norm_weights
from jaxmtl.aggregation.solvers.simplex import project_simplex as project_simplex
from jaxmtl.aggregation.solvers.solution import Solution as Solution
from jaxmtl.aggregation.solvers.worst_case import worst_case_weights as worst_case_weights
