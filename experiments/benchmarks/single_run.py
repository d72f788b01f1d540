"""What would make a single run faster, measured: each idea beside the run as it is.

    python experiments/benchmarks/single_run.py --repeats 5

The study's network, one sample an update, conflict counted, no split, on one core, as in
`per_sample.py`. Every idea is put in the place of what is there, in a process of its own, in turns
with the others; "x as it is" is the median over turns of its time over that of the run as it is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from per_sample import machine, time_jaxmtl
from problem import Problem, make_params, make_rows, never_splits

from jaxmtl import inline_small_loops

EPOCHS = 200
AS_IT_IS = "as it is"


class Instead:
    """A module with some names replaced."""

    def __init__(self, module: Any, **replaced: Any) -> None:
        self._module = module
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def updates_a_turn(number: int) -> None:
    """A loop body of several updates; those after the trigger are not kept."""
    import jax
    import jax.numpy as jnp

    from jaxmtl.training.phased import epoch

    def while_loop(cond: Callable[[Any], Any], body: Callable[[Any], Any], start: Any) -> Any:
        def several(carry: Any) -> Any:
            carry = body(carry)
            for _ in range(number - 1):
                goes, following = cond(carry), body(carry)
                carry = jax.tree.map(lambda n, o, g=goes: jnp.where(g, n, o), following, carry)
            return carry

        return jax.lax.while_loop(cond, several, start)

    lax = Instead(jax.lax, while_loop=while_loop)
    epoch.jax = Instead(jax, lax=lax)  # pyright: ignore[reportAttributeAccessIssue]


def leaf_by_leaf() -> None:
    """Parameters and their updates one array after the other, not as one vector."""
    from jaxmtl.training.phased import state

    state.packs_flat = lambda optimizer, params: False


def unchecked() -> None:
    """Losses that are not looked at for being finite."""
    import jax.numpy as jnp

    from jaxmtl.training.phased import step

    step.jnp = Instead(  # pyright: ignore[reportAttributeAccessIssue]
        jnp, isfinite=lambda x: jnp.ones(x.shape, bool)
    )


def fast_math() -> None:
    """XLA may reorder sums and assume that all is finite."""
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_enable_fast_math=true"


IDEAS: dict[str, Callable[[], None]] = {
    AS_IT_IS: lambda: None,
    "parameters one by one": leaf_by_leaf,
    "2 updates a turn of the loop": lambda: updates_a_turn(2),
    "4 updates a turn of the loop": lambda: updates_a_turn(4),
    "losses not checked": unchecked,
    "fast math": fast_math,
}


def alone(idea: str, core: int) -> float:
    """Microseconds a sample, the better of two runs after one that compiles."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.sched_setaffinity(0, {core})
    inline_small_loops()
    IDEAS[idea]()
    problem = Problem(*make_rows(), make_params())
    return 1e6 * min(time_jaxmtl(problem, never_splits(EPOCHS)) for _ in range(3))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--idea", choices=list(IDEAS), help="this one alone, in this process")
    options = parser.parse_args(argv)
    if options.idea is not None:
        print(alone(options.idea, options.core))
        return
    found = machine()
    print(f"{found['cpu']}, load before {found['load']}; jax {found['versions']['jax']}")
    times: dict[str, list[float]] = {idea: [] for idea in IDEAS}
    for _ in range(options.repeats):
        for idea in IDEAS:
            case = ["--idea", idea, "--core", str(options.core)]
            done = subprocess.run(
                [sys.executable, __file__, *case], capture_output=True, text=True, check=True
            )
            times[idea].append(float(done.stdout))
    print(f"{'':34}{'µs a sample':>12}{'x as it is':>12}")
    for idea, own in times.items():
        ratio = statistics.median(a / b for a, b in zip(own, times[AS_IT_IS], strict=True))
        print(f"{idea:34}{statistics.median(own):>12.3f}{ratio:>12.2f}")


if __name__ == "__main__":
    main()
