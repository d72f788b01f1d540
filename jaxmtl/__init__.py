"""Multi-task learning in JAX: find where tasks pull shared weights apart, mend it, and measure it.

The lower floors are pure functions on pytrees that know no model library: ``task_gradients``,
``sign_conflict``, ``update_streak``, ``duplicate_node``. On top of them are networks
(``jaxmtl.models``), tables (``jaxmtl.data``) and whole runs (``fit``, ``fit_adaptive``).

What is named here is imported when it is asked for: ``import jaxmtl`` alone loads not even JAX.

Words of the field, as they are used here:

- task: one thing to be predicted, with a loss of its own; its *head* is what no other task reads.
- trunk, shared parameters: what several tasks reach; a *node* is one column of a layer of it.
- task gradients: the gradient of each task's loss, stacked, leaves (tasks, ...); *Gram matrix*:
  their inner products, (tasks, tasks).
- conflict: task gradients that disagree in sign at a weight, or whose inner product is below 0.
- aggregator: makes one gradient of the task gradients; *loss method*: one loss of the losses.
- streak: for how many samples in a row a node has been in conflict.
- bank: a layer with spare columns; *head index*, *pointers*: which column a task reads at a slot.
- duplication, split: a copy of a column or unit, which some tasks read from then on.
- arm: what is compared; *fold*: a part of the rows that is held out while others are learned from.
- out-of-fold: predicted by a model that has not learned from that row.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
