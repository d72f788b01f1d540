"""Run by ``test_placement``: ``devices EXTENT FILE``, or ``process I ADDRESS FOLDER FILE``."""

import functools
import pickle
import sys

import jax
import numpy as np

# Devices, members, members at once. All are padded; chunks of as many members as an earlier sweep
# has with its padding need no compilation of their own.
SWEEPS = {
    "some": ((8, 17, 8),),
    "all": (
        *((2, 1, None), (2, 3, 2), (2, 17, None)),
        *((8, 1, None), (8, 3, None), (8, 17, 8), (8, 17, None)),
    ),
}
BATCHES = {"some": (2,), "all": (2, 8)}
MOST = 17
SHARED = ((1, 1), (3, 1), (17, None))  # by two processes, of which one has a member less


def problem():
    from jaxmtl import Phase, Rows, Splits

    rng = np.random.default_rng(0)
    x = rng.uniform(size=(30, 4)).astype(np.float32)
    y = rng.uniform(size=(30, 2)).astype(np.float32)
    data = Splits(Rows(x[:20], y[:20]), test=Rows(x[20:], y[20:]))
    return data, (Phase(4, 2, 4), Phase(3, 1, 4), Phase(2))


@functools.cache
def starts():
    from drawn import drawn_parameters

    from jaxmtl import HardSharing

    x = problem()[0].train.x[:1]
    drawn = [drawn_parameters(HardSharing(shared=()), x, i)["params"] for i in range(MOST)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def swept(number, **options):
    """A sweep over seeds, each with a learning rate and a length of its own."""
    from jaxmtl import HardSharing, Phase, sweep

    data, phases = problem()
    schedules = [[*phases, Phase(1 + i % 3, learning_rate=2e-3 + 1e-4 * i)] for i in range(number)]
    return sweep(
        *(HardSharing(shared=()), data),
        keys=jax.random.split(jax.random.key(0), number),
        params=jax.tree.map(lambda leaf: leaf[:number], starts()),
        phases=schedules,
        **options,
    )


def single_run(**options):
    from jaxmtl import HardSharing, fit_adaptive

    data, phases = problem()
    return fit_adaptive(
        *(HardSharing(shared=()), data),
        key=jax.random.key(0),
        params=jax.tree.map(lambda leaf: leaf[0], starts()),
        phases=phases,
        batch_size=8,
        shuffle=True,
        **options,
    )


def on_devices(extent, file):
    jax.config.update("jax_num_cpu_devices", 8)
    devices, results = jax.devices(), {}
    assert len(devices) == 8
    for case in SWEEPS[extent]:
        count, number, chunk = case
        results[str(case)] = swept(number, devices=devices[:count], chunk=chunk)
    for count in BATCHES[extent]:
        results[f"batches on {count}"] = single_run(devices=devices[:count])
    save(results, file)


def as_process(place, address, folder, file):
    jax.distributed.initialize(coordinator_address=address, num_processes=2, process_id=place)
    from jaxmtl.training.phased import program

    results = {
        f"{number}": swept(number, checkpoint=f"{folder}/{number}", chunk=chunk)
        for number, chunk in SHARED
    }
    calls, advance_all = [], program.advance_all
    program.advance_all = lambda *args, **options: (
        calls.append(args) or advance_all(*args, **options)
    )
    results["resumed"] = swept(3, checkpoint=f"{folder}/3", chunk=1, resume=True)
    assert not calls
    save(results, file)


def save(results, file):
    with open(file, "wb") as out:
        pickle.dump(jax.tree.map(np.asarray, results), out)


if __name__ == "__main__":
    if sys.argv[1] == "devices":
        on_devices(*sys.argv[2:])
    else:
        as_process(int(sys.argv[2]), *sys.argv[3:])
