"""Devices and processes change no result: each kind in a process of its own."""

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from quick import QUICK
from same_runs import assert_close, assert_identical, assert_same_run
from some_cases import some

from jaxmtl import HardSharing, fit, sweep
from jaxmtl.training.driver.placement import chunk_size, own_members, pad_members

from . import placement_script as script

pytestmark = pytest.mark.few_optimizations

TESTS = Path(__file__).parents[1]
PATH = os.pathsep.join(map(str, (TESTS, TESTS.parent)))


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, script.__file__, *map(str, arguments)],
        env=os.environ | QUICK | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(*processes):
    try:
        for process in processes:
            printed, _ = process.communicate(timeout=120)
            assert process.returncode == 0, printed[-3000:]
    finally:
        for process in processes:
            process.kill()


def load(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def assert_same_sweep(found, expected):
    assert len(found) == len(expected)
    for run, other in zip(found, expected, strict=True):
        assert_same_run(run, other)


@pytest.fixture(scope="module")
def expected():
    """What one device of this process makes of it."""
    few = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    sweep, single = list(script.swept(script.MOST)), script.single_run()
    jax.config.update("jax_disable_most_optimizations", few)
    assert len({tuple(run.events) for run in sweep}) > 5
    assert len(single.events) == 2
    return sweep, single


@pytest.mark.parametrize("extent", some(script.SWEEPS, "some"))
def test_several_devices_give_the_result_of_one(expected, tmp_path, extent):
    sweep, single = expected
    finished(start("devices", extent, tmp_path / "found"))
    found = load(tmp_path / "found")
    for case in script.SWEEPS[extent]:
        assert_same_sweep(found[str(case)], sweep[: case[1]])
    # One run, its batches spread over the devices.
    for count in script.BATCHES[extent]:
        assert_same_run(found[f"batches on {count}"], single)


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(expected, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    children = [
        start("process", place, address, tmp_path / "saved", tmp_path / f"{place}")
        for place in (0, 1)
    ]
    finished(*children)
    found = [load(tmp_path / f"{place}") for place in (0, 1)]
    for number, _ in script.SHARED:
        assert_same_sweep(found[0][f"{number}"], expected[0][:number])
    # Each has all of it, from its own checkpoint too.
    assert_identical(found[0], found[1])
    assert_identical(found[0]["resumed"], found[0]["3"])


def test_a_batch_divides_among_its_devices():
    data, _ = script.problem()
    with pytest.raises(ValueError, match="batch_size: expected a multiple of the number of dev"):
        fit(HardSharing(), data, key=jax.random.key(0), batch_size=7, devices=jax.devices() * 2)
    with pytest.raises(ValueError, match="devices: expected at least one, got none"):
        fit(HardSharing(), data, key=jax.random.key(0), devices=[])
    with pytest.raises(ValueError, match="devices: expected at least one, got none"):
        sweep(HardSharing(), data, keys=jax.random.split(jax.random.key(0), 2), devices=[])


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_every_member_belongs_to_one_process(monkeypatch, processes):
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    for number in (1, 2, 3, 5, 17):
        shares = []
        for place in range(processes):
            monkeypatch.setattr(jax, "process_index", lambda place=place: place)
            shares.append(own_members(number))
        assert [i for share in shares for i in share] == list(range(number))


def test_chunks_fit_the_memory_and_are_of_about_one_size(monkeypatch):
    monkeypatch.setattr("jaxmtl.training.driver.placement.total_memory", lambda: 4000)
    assert chunk_size(100, 10, 2) == 100  # a quarter of the memory
    assert chunk_size(101, 10, 2) == 51
    assert chunk_size(17, 10**9, 8) == 6  # a member a device at the very least
    tree = {"a": np.arange(6).reshape(3, 2)}
    assert_close(pad_members(tree, 3), tree)
    assert pad_members(tree, 5)["a"][:, 0].tolist() == [0, 2, 4, 4, 4]
