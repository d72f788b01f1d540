"""Networks that predict several tasks (flax.linen)."""

from jaxmtl.models.hard_sharing import HardSharing as HardSharing
from jaxmtl.models.hard_sharing import IndependentNetworks as IndependentNetworks
from jaxmtl.models.initializers import dense_initializers as dense_initializers
