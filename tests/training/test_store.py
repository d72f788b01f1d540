"""Checkpoints: whole or not there, of one writer, of the same sweep; killed sweeps lose nothing."""

import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from quick import QUICK
from same_runs import assert_identical
from some_cases import some

from jaxmtl import HardSharing, Phase, sweep
from jaxmtl.files.errors import FileError
from jaxmtl.files.locked import locked
from jaxmtl.training.driver import members
from jaxmtl.training.driver import store as store_of_files
from jaxmtl.training.driver.describe import described as named
from jaxmtl.training.driver.store import DRAFT, SEAL, STEP, WHOLE, Store, StoreError
from jaxmtl.training.phased import program

from . import store_script as script

pytestmark = pytest.mark.few_optimizations

TESTS = Path(__file__).parents[1]
KILLS = int(os.environ.get("JAXMTL_KILLS", "4"))  # each takes a start of Python and JAX
TREE = {"a": np.arange(3), "b": [np.float32(2.5), jnp.ones(2, jnp.bfloat16)], "c": np.array(True)}


def test_only_the_last_checkpoint_is_kept_and_comes_back_to_the_bit(tmp_path):
    store = Store(tmp_path, {"options": 1}, resume=False)
    assert store.load(TREE) is None
    store.save(3, TREE)
    store.save(12, jax.tree.map(lambda leaf: leaf * 0, TREE))
    store.save(20, TREE)
    assert [path.name for path in tmp_path.glob("step_*")] == [f"{STEP}000000000020{WHOLE}"]
    step, found = Store(tmp_path, {"options": 1}, resume=True).load(TREE)
    assert step == 20
    assert_identical(found, TREE)
    assert found["b"][1].dtype == jnp.bfloat16


def test_without_resume_what_is_there_is_removed(tmp_path):
    Store(tmp_path, {"options": 1}, resume=False).save(3, TREE)
    assert Store(tmp_path, {"options": 2}, resume=False).load(TREE) is None
    assert Store(tmp_path, {"options": 2}, resume=True).load(TREE) is None


def test_a_half_written_checkpoint_is_never_read(tmp_path, monkeypatch):
    store = Store(tmp_path, {}, resume=False)
    store.save(3, TREE)
    whole = next(tmp_path.glob("step_*"))
    # A writer that dies in the middle of the file.
    write = store_of_files.write_arrays

    def dies(file, leaves):
        write(file, leaves)
        file.truncate(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(store_of_files, "write_arrays", dies)
    with pytest.raises(KeyboardInterrupt):
        store.save(9, TREE)
    monkeypatch.undo()
    left = [path for path in tmp_path.glob("step_*") if path != whole]
    assert [path.name for path in left] == [f"{STEP}000000000009{DRAFT}"]
    again = Store(tmp_path, {}, resume=True)
    step, found = again.load(TREE)
    assert step == 3
    assert_identical(found, TREE)
    assert not left[0].exists()
    again.save(11, TREE)
    assert [path.name for path in tmp_path.glob("step_*")] == [f"{STEP}000000000011{WHOLE}"]


def test_on_a_full_disk_the_last_checkpoint_stays_and_nothing_half_written(tmp_path, monkeypatch):
    store = Store(tmp_path, {}, resume=False)
    store.save(3, TREE)

    def fails(file, leaves):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_of_files, "write_arrays", fails)
    with pytest.raises(StoreError, match=r"cannot be written \(the disk is full\)"):
        store.save(9, TREE)
    assert [path.name for path in tmp_path.glob("step_*")] == [f"{STEP}000000000003{WHOLE}"]


def test_a_damaged_checkpoint_is_refused_in_words(tmp_path):
    store = Store(tmp_path, {}, resume=False)
    store.save(3, TREE)
    file = next(tmp_path.glob("step_*"))
    whole = file.read_bytes()
    other = {**TREE, "a": np.arange(4)}
    with pytest.raises(StoreError, match=r"expected int64 of shape \(4,\) in its .*, got int64"):
        store.load(other)
    with pytest.raises(StoreError, match=r"expected float64 of .*, got nothing; remove "):
        store.load({**TREE, "d": np.zeros(1)})
    for damaged in (b"", whole[:-30], whole.replace(b"NUMPY", b"numpy")):
        file.write_bytes(damaged)
        with pytest.raises(StoreError, match="or remove .* to start anew"):
            Store(tmp_path, {}, resume=True).load(TREE)


def test_a_checkpoint_without_its_manifest_is_refused(tmp_path):
    Store(tmp_path, {}, resume=False).save(3, TREE)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"expected manifest.json beside its checkpoint; remove "):
        Store(tmp_path, {}, resume=True)


def test_bounds_that_bind_nothing_are_named_in_a_manifest(tmp_path):
    bounds = named(((0.5, float("inf")), np.array([[-np.inf, 1.0]])))
    assert bounds == [[0.5, "inf"], [["-inf", 1.0]]]
    Store(tmp_path, {"model bounds": bounds}, resume=False).save(3, TREE)
    assert Store(tmp_path, {"model bounds": bounds}, resume=True).load(TREE) is not None


def test_what_is_of_ones_own_is_told_by_its_code_and_never_by_an_address():
    def rate(by):
        return lambda step: by / (1 + step)

    class Holder:
        def __init__(self, size):
            self.size, self.other = size, object()

        def __call__(self, x):
            return x * self.size

    same = [rate(0.1), Holder(3), np.zeros(1000), {"a", "b"}, Holder(2).__call__]
    again = [rate(0.1), Holder(3), np.zeros(1000), {"b", "a"}, Holder(2).__call__]
    others = [rate(0.2), Holder(4), np.ones(1000), {"a", "c"}, Holder(3).__call__]
    assert list(map(named, same)) == list(map(named, again))
    assert all(named(a) != named(b) for a, b in zip(same, others, strict=True))
    assert not any(" at 0x" in str(named(value)) for value in same)
    assert named(lambda x: x + 1) != named(lambda x: x + 2)
    circle = [1]
    circle.append(circle)
    assert named(circle) == [1, "list again"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    runs = sweep(**script.problem(), checkpoint=folder)
    assert len({tuple(run.events) for run in runs}) > 2
    return folder, runs


@pytest.fixture
def idle(monkeypatch):
    """Lets nothing be computed."""

    def never(*args, **options):
        raise AssertionError("an epoch is computed")

    monkeypatch.setattr(program, "advance_all", never)


@pytest.mark.usefixtures("idle")
def test_a_finished_sweep_is_read_and_not_computed(whole):
    folder, runs = whole
    assert_identical(sweep(**script.problem(), checkpoint=folder, resume=True), runs)


@pytest.mark.usefixtures("idle")
def test_a_sweep_whose_folder_another_one_writes_is_refused(tmp_path):
    with locked(tmp_path), pytest.raises(StoreError, match="another process is writing it"):
        sweep(**script.problem(), checkpoint=tmp_path)


OTHERS = {
    "data": {"seed": 1},
    "model activation": {"model": HardSharing(activation="softplus")},
    "phases": {"phases": [Phase(3, 1, 4)]},
    "start": {"keys": jax.random.split(jax.random.key(1), script.SEVERAL)},
    "chunk": {"chunk": 3},
    "option optimizer": {"optimizer": optax.sgd},
    "option shuffle": {"shuffle": False},
    "option rule": {"rule": "strict"},
}


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("name", some(OTHERS, "data", "phases", "model activation"))
def test_a_checkpoint_of_another_sweep_is_refused_and_stays(whole, name):
    folder, runs = whole
    with pytest.raises(StoreError, match=f"of other work .*{name} was .* and is ") as caught:
        sweep(**script.problem(**OTHERS[name]), checkpoint=folder, resume=True)
    assert "\n" not in str(caught.value)
    assert_identical(sweep(**script.problem(), checkpoint=folder, resume=True), runs)


@pytest.mark.usefixtures("idle")
def test_a_checkpoint_of_another_version_is_refused(whole, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    with pytest.raises(StoreError, match=r"\(jax was .* and is 9.9; jaxlib was .*\); repeat that"):
        sweep(**script.problem(), checkpoint=whole[0], resume=True)


def start(folder, file, cache):
    environment = {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent))),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [sys.executable, script.__file__, str(folder), str(file)],
        env=os.environ | QUICK | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, file):
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed[-3000:]
    with open(file, "rb") as found:
        return pickle.load(found)


def test_stopped_twice_and_resumed_nothing_is_lost(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(members, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(members, "SHARE_OF_SAVING", float("inf"))
    seen = []

    def stop(progress):
        seen.append(progress.done)
        if progress.done > len(stops) * progress.total // 3:
            raise KeyboardInterrupt

    options = {"checkpoint": tmp_path, "resume": True}
    stops = []
    for _ in range(2):
        stops.append(len(seen))
        with pytest.raises(KeyboardInterrupt):
            sweep(**script.problem(), on_progress=stop, **options)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert_identical(sweep(**script.problem(), **options), whole[1])


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_nothing_is_lost(tmp_path):
    cache = tmp_path / "cache"

    def started(name):
        return start(tmp_path / name, tmp_path / f"{name}.pickle", cache)

    undisturbed = finish(started("calm"), tmp_path / "calm.pickle")
    rng = np.random.default_rng(0)
    kills = sweeps = 0
    while kills < KILLS or sweeps == 0:
        name = f"killed_{sweeps}"
        process = started(name)
        try:
            line = process.stdout.readline()  # the first save, or the end
            killed = False
            if line == "saved\n" and kills < KILLS:
                # Another process is refused while this one writes ...
                refused = pytest.raises(FileError, match="another process is writing it; wait for")
                with refused, locked(tmp_path / name):
                    pass
                time.sleep(rng.uniform(0, 0.3))
                killed = process.poll() is None
            if killed:
                kills += 1
            else:
                assert_identical(finish(process, tmp_path / f"{name}.pickle"), undisturbed)
                sweeps += 1  # through: the next kill is of a new one
        finally:
            process.kill()
            process.communicate()
        with locked(tmp_path / name):  # ... and a lock does not outlive its process.
            pass


def refusal(folder, tree) -> str | None:
    """Of a checkpoint, or None if all that comes of it is the tree."""
    try:
        found = Store(folder, {"options": "a"}, resume=True).load(tree)
    except StoreError as error:
        return str(error)
    assert found is not None
    assert found[0] == 3
    for name, leaf in found[1].items():
        np.testing.assert_array_equal(leaf, tree[name])
    return None


def test_damaged_checkpoints_are_refused_or_whole(tmp_path):
    """Some hundred damages of its two files."""
    tree = {"a": np.arange(6, dtype=np.int32), "b": np.ones((2, 3), np.float32)}
    store = Store(tmp_path, {"options": "a"}, resume=False)
    store.save(3, tree)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 2
    tried = refused = 0
    for path, content in files.items():
        for at in range(0, len(content), max(1, len(content) // 160)):
            flipped = content[:at] + bytes([content[at] ^ 128]) + content[at + 1 :]
            for damage in (content[:at], flipped):
                for other, whole in files.items():
                    other.write_bytes(whole)
                path.write_bytes(damage)
                tried += 1
                said = refusal(tmp_path, tree)
                refused += said is not None
                assert "\n" not in (said or "")
        path.write_bytes(content)
    assert tried >= 300
    assert refused > tried // 2


SEALED = {"a": np.arange(6, dtype=np.int32), "b": np.ones((2, 3)), "c": np.full((2, 3), 2.0)}
FORGED = {
    "two of one shape change places": lambda found: {**found, "1": found["2"], "2": found["1"]},
    "a number more": lambda found: {**found, "0": found["0"] + 1},
    "no numbers": lambda found: {**found, "1": found["1"] * np.nan},
    "another type": lambda found: {**found, "0": found["0"].astype(np.int64)},
    "another shape": lambda found: {**found, "1": found["1"].T},
    "one is missing": lambda found: {name: found[name] for name in ("0", "1", SEAL)},
    "no seal": lambda found: {name: found[name] for name in "012"},
    "another seal": lambda found: {**found, SEAL: found[SEAL] ^ 1},
    "half a seal": lambda found: {**found, SEAL: found[SEAL][:16]},
    "nothing": lambda found: {},
}


def sealed(folder, step=3, **options):
    Store(folder, options or {"options": "a"}, resume=False).save(step, SEALED)
    return next(folder.glob(f"{STEP}*{WHOLE}"))


@pytest.mark.parametrize("name", FORGED)
def test_whole_files_with_other_numbers_are_refused(tmp_path, name):
    file = sealed(tmp_path)
    with np.load(file) as archive:
        found = dict(archive)
    assert refusal(tmp_path, SEALED) is None
    np.savez(file, **found, unknown=np.zeros(3))
    assert refusal(tmp_path, SEALED) is None
    np.savez(file, **FORGED[name](found))
    said = refusal(tmp_path, SEALED)
    assert said is not None
    assert said.endswith(f"remove {tmp_path} to start anew")


def test_a_checkpoint_of_another_step_or_sweep_is_refused_whatever_the_manifest_says(tmp_path):
    file = sealed(tmp_path / "one")
    later = file.with_name(file.name.replace("3", "7"))
    shutil.copy(file, later)
    assert "expected the numbers that a sweep of these options left" in (
        refusal(tmp_path / "one", SEALED) or ""
    )
    later.unlink()
    shutil.copy(sealed(tmp_path / "other", options="b"), file)
    assert "got others; remove" in (refusal(tmp_path / "one", SEALED) or "")


@pytest.mark.parametrize("name", [f"{STEP}000000000009{WHOLE}", f"{STEP}9{DRAFT}"])
def test_a_folder_in_the_place_of_a_checkpoint_is_refused_in_a_sentence(tmp_path, name):
    sealed(tmp_path)
    (tmp_path / name).mkdir()
    for resume in (True, False):
        with pytest.raises(FileError) as caught:
            Store(tmp_path, {"options": "a"}, resume=resume).load(SEALED)
        assert "\n" not in str(caught.value)


def test_numbers_of_steps_are_plain_digits(tmp_path):
    sealed(tmp_path)
    (tmp_path / f"{STEP}٣{WHOLE}").write_bytes(b"")
    assert refusal(tmp_path, SEALED) is None
