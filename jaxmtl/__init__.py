"""Multi-task learning in JAX: find where tasks pull shared weights apart, mend it, and measure it.

The lower floors are pure functions on pytrees that know no model library: ``task_gradients``,
``sign_conflict``, ``update_streak``, ``duplicate_node``. On top of them are networks
(``jaxmtl.models``), tables (``jaxmtl.data``) and whole runs (``fit``, ``fit_adaptive``).

What is named here is imported when it is asked for: ``import jaxmtl`` alone loads not even JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
