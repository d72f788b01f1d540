"""Per-task gradients of any ``loss_fn(params, batch) -> (tasks,)``, and cheaper ways to their use.

The functions know no model library: parameters are a pytree, a batch is a pytree whose leaves have
the sample axis first, and the loss is a vector with one entry a task, or scalars by name. What else
a loss takes (statistics, a key) is handed on, ``has_aux=True`` lets it give (losses, aux). All give
the same numbers; which one to take, for m tasks and n parameters:

- ``task_gradients``: any aggregator. One forward and m backward passes, m n numbers.
- ``task_gradients(chunk=k)``: the same with k backward passes at a time, where memory is short.
- ``task_gramian``: methods on the Gram matrix. m backward passes, which in dense layers skip the
  products of the kernels' gradients, and those of their weighted sum; n numbers and those of the
  largest other layer. Much the fastest where most parameters are dense. ``trunk_gramian``: of the
  trunk alone, with the heads' own gradients.
- ``feature_gradients``: the trunk is passed backwards once. Gradients at the representation stand
  in for those of the trunk: the only one that is not the same as aggregating trunk gradients.
- ``sample_gradients``: a gradient a sample; ``sample_task_gradients``: one a sample and task.
- ``node_deltas``: all samples' and tasks' gradients at one layer's nodes.
"""

from jaxmtl.gradients.deltas import node_deltas as node_deltas
from jaxmtl.gradients.features import SplitLoss as SplitLoss
from jaxmtl.gradients.features import feature_gradients as feature_gradients
from jaxmtl.gradients.gramian import task_gramian as task_gramian
from jaxmtl.gradients.gramian import trunk_gramian as trunk_gramian
from jaxmtl.gradients.loss import LossFn as LossFn
from jaxmtl.gradients.samples import sample_gradients as sample_gradients
from jaxmtl.gradients.samples import sample_task_gradients as sample_task_gradients
from jaxmtl.gradients.tasks import task_gradients as task_gradients
