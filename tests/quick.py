"""Environment of processes of which it matters what they do and not how fast: they compile soon."""

# XLA's older code generator for fusions is quicker; an XLA that has no such option passes it over.
QUICK = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters",
}
