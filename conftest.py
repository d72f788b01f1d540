import os

os.environ.setdefault("JAX_PLATFORMS", os.environ.get("JAXMTL_TEST_PLATFORM", "cpu"))

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

# Most of the time of a test goes into compiling; the core alone is tested as it is shipped.
FULLY_OPTIMIZED = {"duplication", "training", "tests"}
BESIDE = {"test_constrained.py", "test_small_networks.py"}


@pytest.fixture(autouse=True)
def few_optimizations_beside_the_core(request):
    if request.path.parent.name in FULLY_OPTIMIZED and request.path.name not in BESIDE:
        yield
        return
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
