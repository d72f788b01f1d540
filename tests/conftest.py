import os

os.environ.setdefault("JAX_PLATFORMS", os.environ.get("JAXMTL_TEST_PLATFORM", "cpu"))

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
