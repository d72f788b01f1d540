"""How many devices a CPU counts as, which must be said before JAX starts."""

import contextlib
import os


def start_devices(
    devices: int | None = None,
    *,
    coordinator: str | None = None,
    num_processes: int = 1,
    process_id: int = 0,
) -> None:
    """Makes every core of the CPU a device, and joins the other processes.

    Args:
        devices: how many instead.
        coordinator: address of process 0, if several share the work.
        num_processes: that do.
        process_id: number of this one, from 0.

    Raises:
        ValueError: several processes without an address, or a number beyond them.

    Example:
        >>> start_devices(num_processes=2, process_id=2)
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: --num-processes: expected --coordinator HOST:PORT and ...
    """
    import jax

    if num_processes > 1 and (coordinator is None or not 0 <= process_id < num_processes):
        raise ValueError(
            "--num-processes: expected --coordinator HOST:PORT and a --process-id from 0 to "
            f"{num_processes - 1} with it, got {coordinator} and {process_id}"
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # JAX has started already where a program calls this from within.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices or cores or 1)
    if num_processes > 1:
        jax.distributed.initialize(coordinator, num_processes, process_id)
