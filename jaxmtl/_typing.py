"""Types that several floors share."""

from typing import Any

Device = Any
"""One of ``jax.devices()``."""

NetworkLike = Any
"""What ``jaxmtl.training.network.as_network`` takes: a model of any library."""
