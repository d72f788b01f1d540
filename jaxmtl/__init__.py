"""Multi-task learning in JAX: find where tasks pull shared weights apart, mend it, and measure it.

The lower floors are pure functions on pytrees that know no model library: ``task_gradients``,
``sign_conflict``, ``update_streak``, ``duplicate_node``. On top of them are networks
(``jaxmtl.models``), tables (``jaxmtl.data``) and whole runs (``fit``, ``fit_adaptive``).
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxmtl import aggregation as aggregation
from jaxmtl import comparison as comparison
from jaxmtl import constraints as constraints
from jaxmtl import data as data
from jaxmtl import metrics as metrics
from jaxmtl import transfer as transfer
from jaxmtl._version import __version__ as __version__
from jaxmtl._xla import inline_small_loops as inline_small_loops
from jaxmtl.comparison import compare as compare
from jaxmtl.conflict import Evidence as Evidence
from jaxmtl.conflict import count_conflicts as count_conflicts
from jaxmtl.conflict import node_conflict as node_conflict
from jaxmtl.conflict import sign_conflict as sign_conflict
from jaxmtl.conflict import update_streak as update_streak
from jaxmtl.conflict import weight_conflict as weight_conflict
from jaxmtl.data import Rows as Rows
from jaxmtl.data import Splits as Splits
from jaxmtl.duplication import bank_capacity as bank_capacity
from jaxmtl.duplication import check_head_index as check_head_index
from jaxmtl.duplication import compact as compact
from jaxmtl.duplication import copy_column as copy_column
from jaxmtl.duplication import count_parameters as count_parameters
from jaxmtl.duplication import duplicate_node as duplicate_node
from jaxmtl.duplication import free_column as free_column
from jaxmtl.duplication import initial_head_index as initial_head_index
from jaxmtl.duplication import readers as readers
from jaxmtl.duplication import select_columns as select_columns
from jaxmtl.duplication import slots_to_columns as slots_to_columns
from jaxmtl.duplication import split_all as split_all
from jaxmtl.duplication import transplant as transplant
from jaxmtl.gradients import SplitLoss as SplitLoss
from jaxmtl.gradients import feature_gradients as feature_gradients
from jaxmtl.gradients import node_deltas as node_deltas
from jaxmtl.gradients import sample_gradients as sample_gradients
from jaxmtl.gradients import sample_task_gradients as sample_task_gradients
from jaxmtl.gradients import task_gradients as task_gradients
from jaxmtl.gradients import task_gramian as task_gramian
from jaxmtl.losses import mean_over_known as mean_over_known
from jaxmtl.losses import sliced as sliced
from jaxmtl.losses import squared_error as squared_error
from jaxmtl.training import STUDY_PHASES as STUDY_PHASES
from jaxmtl.training import Event as Event
from jaxmtl.training import History as History
from jaxmtl.training import Phase as Phase
from jaxmtl.training import Run as Run
from jaxmtl.training import Runs as Runs
from jaxmtl.training import fit as fit
from jaxmtl.training import fit_adaptive as fit_adaptive
from jaxmtl.training import fit_constrained as fit_constrained
from jaxmtl.training import sweep as sweep

if TYPE_CHECKING:
    from jaxmtl import models as models
    from jaxmtl.models import HardSharing as HardSharing
    from jaxmtl.models import IndependentNetworks as IndependentNetworks


def __getattr__(name: str) -> Any:
    # flax.linen loads rich; the networks are imported when one is asked for.
    if name in ("models", "HardSharing", "IndependentNetworks"):
        models = importlib.import_module("jaxmtl.models")
        return models if name == "models" else getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
