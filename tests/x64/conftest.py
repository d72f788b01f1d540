import jax

# These tests need float64 throughout; tests/test_x64.py runs them in a process of their own.
collect_ignore_glob = [] if jax.config.jax_enable_x64 else ["test_*.py"]
