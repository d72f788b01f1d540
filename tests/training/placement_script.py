"""Run by ``test_placement``: ``devices FILE``, or ``process I ADDRESS FOLDER FILE``."""

import pickle
import sys

import jax
import numpy as np

SWEEPS = ((2, 3, None), (2, 17, 4), (8, 1, None), (8, 3, None), (8, 17, 8))


def problem():
    from jaxmtl import Phase, Rows, Splits

    rng = np.random.default_rng(0)
    x = rng.uniform(size=(30, 4)).astype(np.float32)
    y = rng.uniform(size=(30, 2)).astype(np.float32)
    data = Splits(Rows(x[:20], y[:20]), test=Rows(x[20:], y[20:]))
    return data, (Phase(4, 2, 4), Phase(3, 1, 4), Phase(2))


def swept(number, **options):
    """A sweep over seeds, each with a learning rate and a length of its own."""
    from drawn import drawn_parameters

    from jaxmtl import HardSharing, Phase, sweep

    data, phases = problem()
    schedules, starts = [], []
    for i in range(number):
        schedules.append([*phases, Phase(1 + i % 3, learning_rate=2e-3 + 1e-4 * i)])
        starts.append(drawn_parameters(HardSharing(), data.train.x[:1], i)["params"])
    return sweep(
        *(HardSharing(), data),
        keys=jax.random.split(jax.random.key(0), number),
        params=jax.tree.map(lambda *leaves: np.stack(leaves), *starts),
        phases=schedules,
        **options,
    )


def single_run(**options):
    from jaxmtl import HardSharing, fit_adaptive

    data, phases = problem()
    key = jax.random.key(0)
    return fit_adaptive(
        *(HardSharing(), data), key=key, phases=phases, batch_size=8, shuffle=True, **options
    )


def on_devices(file):
    jax.config.update("jax_num_cpu_devices", 8)
    devices, results = jax.devices(), {}
    assert len(devices) == 8
    # With chunks of as many members as the padded sweeps have, one compilation serves all.
    for count, number, chunk in SWEEPS:
        results[f"{number} on {count}"] = swept(number, devices=devices[:count], chunk=chunk)
    for count in (2, 8):
        results[f"batches on {count}"] = single_run(devices=devices[:count])
    save(results, file)


def as_process(place, address, folder, file):
    jax.distributed.initialize(coordinator_address=address, num_processes=2, process_id=place)
    from jaxmtl.training import members

    results = {
        f"{number}": swept(number, checkpoint=f"{folder}/{number}", chunk=1) for number in (1, 3)
    }
    calls, advance_all = [], members.advance_all
    members.advance_all = lambda *args, **options: (
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
        on_devices(sys.argv[2])
    else:
        as_process(int(sys.argv[2]), *sys.argv[3:])
