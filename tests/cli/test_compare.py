"""The command `compare`: files, resuming, processes, and what it refuses."""

import csv
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from quick import QUICK

from jaxmtl.cli import run
from jaxmtl.cli.cache import use_cache
from jaxmtl.report.comparison_folder import TABLES

NAMES = ["--features", "SO2,CO", "--targets", "PM2.5,O3"]
SHORT = ["--phases", "3,1,2;2", "--arms", "adaptive,restarts", "--seeds", "2"]
COMMAND = [sys.executable, "-m", "jaxmtl", "compare"]


def read(folder, name):
    with open(folder / f"{name}.csv", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def made(table, tmp_path_factory):
    """A comparison; not to be changed."""
    folder = tmp_path_factory.mktemp("made") / "out"
    command = ["compare", str(table), *NAMES, *SHORT, "--out", str(folder), "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["jaxmtl", *command])
        assert run(command) == 0
    return folder


@pytest.fixture(scope="module")
def by_process(table, tmp_path_factory):
    """The folder of one that a process of its own made, and what it keeps of its programs."""
    folder = tmp_path_factory.mktemp("process") / "out"
    cache = tmp_path_factory.mktemp("cache")
    run_process(table, folder, cache)
    return folder, cache


def run_process(table, folder, cache, *options, wait=True):
    environment = os.environ | QUICK | {"XDG_CACHE_HOME": str(cache)}
    command = [*COMMAND, str(table), *NAMES, *SHORT, "--out", str(folder), *map(str, options)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    if not wait:
        return process
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def test_it_writes_tables_pictures_and_a_page(made):
    folder = made
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *(f"{name}.csv" for name in TABLES),
        *("differences.png", "error_against_parameters.png", "report.html"),
        *("comparison.json", "config.json"),
    }
    board = read(folder, "leaderboard")
    assert {row["arm"] for row in board} == {
        *("adaptive", "restarts", "hard_sharing", "mean", "ridge", "boosted_trees")
    }
    assert len(read(folder, "per_seed")) == 6 * 2 * 2
    contrasts = read(folder, "contrasts")
    assert {row["reference"] for row in contrasts} == {"hard_sharing", "adaptive"}
    record = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert record["seeds"] == [0, 1]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "jaxmtl compare" in page
    assert record["conclusion"].split(". ")[0][:40] in page


@pytest.mark.slow
def test_compiled_programs_are_kept(by_process):
    _, cache = by_process
    folder = cache / "jaxmtl"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert any(folder.iterdir())


def test_the_folder_of_compiled_programs_is_the_users_alone(monkeypatch, tmp_path):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    (tmp_path / "jaxmtl").mkdir(mode=0o755)
    try:
        assert use_cache() is None
        assert stat.S_IMODE((tmp_path / "jaxmtl").stat().st_mode) == 0o700
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert "belongs to somebody else" in (use_cache() or "")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def programs(cache):
    """Names, with fingerprints, of the compiled programs of sweeps that are kept."""
    return {path.name for path in (cache / "jaxmtl").glob("jit_advance_all-*-cache")}


@pytest.mark.slow
def test_a_killed_comparison_goes_on_and_comes_to_the_same(call, by_process, table, tmp_path):
    folder, cache = by_process
    kept = programs(cache)
    rng = np.random.default_rng(0)
    out = tmp_path / "out"
    begun = 0
    for attempt in range(int(os.environ.get("JAXMTL_KILLS", "2"))):
        resume = ["--resume"] if (out / "config.json").exists() else []
        process = run_process(table, out, cache, *resume, wait=False)
        # Somewhere between the first file and the last.
        while process.poll() is None and not (out / "config.json").exists():
            time.sleep(0.05)
        time.sleep(rng.uniform(0.2, 4.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        begun += (out / "config.json").exists()
        assert not any(path.suffix == ".tmp" for path in out.glob("*")), attempt
    assert begun
    if (out / "checkpoint").is_dir():
        refused = call("compare", table, *NAMES, *SHORT, "--out", out)
        assert refused.code == 2
        assert "go on with it with --resume" in refused.err
    again = run_process(table, out, cache, "--resume")
    if "nothing to resume" not in again:
        assert "written to" in again
    same = [name for name in read(folder, "per_seed")[0] if name != "seconds"]
    for mine, theirs in zip(read(out, "per_seed"), read(folder, "per_seed"), strict=True):
        assert [mine[name] for name in same] == [theirs[name] for name in same]
    assert read(out, "contrasts") == read(folder, "contrasts")
    # All found what the first process had compiled for as many devices as there are cores.
    assert len(kept) >= 2
    assert programs(cache) == kept


@pytest.mark.slow
def test_two_processes_share_the_seeds(by_process, table, tmp_path):
    folder, cache = by_process
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    shared = ["--coordinator", address, "--num-processes", 2, "--no-cache"]
    shared += ["--arms", "adaptive", "--devices", 1]
    both = [
        run_process(table, tmp_path / "out", cache, *shared, "--process-id", i, wait=False)
        for i in range(2)
    ]
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert "written to" in ends[0][0]
    # What the collectives say of themselves aside.
    assert [line for line in ends[1][0].splitlines() if not line.startswith("[Gloo]")] == []
    found = read(tmp_path / "out", "per_seed")
    arms = {row["arm"] for row in found}
    assert arms >= {"adaptive", "hard_sharing"}
    expected = [row for row in read(folder, "per_seed") if row["arm"] in arms]
    for mine, theirs in zip(found, expected, strict=True):
        for name in ("arm", "seed", "task", "steps"):
            assert mine[name] == theirs[name]
        assert float(mine["error"]) == pytest.approx(float(theirs["error"]), rel=1e-5)


def test_bad_input_is_one_sentence(call, made, table, tmp_path):
    folder, start = made, ["compare", table, *NAMES, "--no-cache"]
    cases = [
        (["--arms", "adaptiv"], "did you mean 'adaptive'"),
        (["--seeds", "0"], "--seeds: expected at least 1"),
        (["--resume"], "expected a comparison to resume"),
        (["--devices", "0"], "--devices: expected at least 1"),
        (["--num-processes", "2"], "expected --coordinator HOST:PORT"),
        (["--arms", ","], "--arms: expected names"),
        (["--time-limit", "soon"], "--time-limit: expected a time such as 90, 5min or 1h"),
        (["--time-limit", "0"], "--time-limit: expected above 0"),
        (["--time-limit", "5min", "--resume"], "--time-limit: it does not go with --resume"),
        (["--time-limit", "9", "--num-processes", "2"], "does not go with --num-processes"),
        # Found out when the folder is there already, which must not be in the way afterwards.
        (["--targets", "PM2.5,ozone"], "ozone"),
    ]
    for options, sentence in cases:
        done = call(*start, "--out", tmp_path / "new", *options)
        assert done.code == 2, options
        assert sentence in done.err
        assert done.err.count("\n") == 1
        assert not (tmp_path / "new").exists(), options
    done = call(*start, *SHORT, "--out", folder)
    assert done.code == 2
    assert "exists already" in done.err
    done = call(*start, *SHORT, "--nodes", 4, "--out", folder, "--resume")
    assert done.code == 2
    assert "nodes was 3 and is 4" in done.err
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = call(*start, "--targets", "PM2.5,ozone", "--out", folder, "--force")
    assert done.code == 2
    (folder / "lock").unlink()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    done = call(*start, *SHORT, "--out", folder, "--resume")
    assert done.code == 0
    assert "nothing to resume" in done.out


def test_what_a_limit_of_time_leaves_out_is_said(call, made, table, tmp_path):
    out = tmp_path / "out"
    done = call("compare", table, *NAMES, *SHORT, "--time-limit", "0.1s", "--out", out)
    assert done.code == 0
    note = "For the time (0.1 s): left out: "
    before, after = done.out.split("Command: ")
    assert f"\n{note}restarts" in before  # beside what is to be used
    assert " mean " in after  # what takes a moment is never left out
    assert " ridge " in after
    page = (out / "report.html").read_text(encoding="utf-8")
    assert note in page.split("</header>")[0]
    assert page.count(note) == 1
    record = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert note in record["conclusion"]
    assert record["seeds"] == [0, 1]
    assert record["settings"]["time_limit"] == 0.1
    assert not (out / "checkpoint").exists()
    found = read(out, "per_seed")
    assert {"adaptive", "hard_sharing"} <= {row["arm"] for row in found}
    key = ["arm", "seed", "task"]
    expected = {tuple(row[name] for name in key): row["error"] for row in read(made, "per_seed")}
    for row in found:
        assert row["error"] == expected[tuple(row[name] for name in key)]
    again = call("compare", table, *NAMES, *SHORT, "--resume", "--out", out)
    assert again.code == 2
    assert "time_limit was 0.1 and is absent" in again.err


def test_an_interrupted_comparison_with_a_limit_leaves_nothing(call, table, tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxmtl.comparison.compare", interrupted)
    for name in ("new", "empty"):
        out = tmp_path / name
        if name == "empty":
            out.mkdir()
        done = call("compare", table, *NAMES, *SHORT, "--time-limit", "1h", "--out", out)
        assert done.code == 130
        assert "interrupted; nothing was written" in done.err
        assert not out.exists() or not list(out.glob("c*"))


def test_a_comparison_is_no_run(call, made, table, tmp_path):
    folder = made
    for command in (["inspect", folder], ["predict", folder, table, "-o", tmp_path / "a.csv"]):
        done = call(*command)
        assert done.code == 2
        assert "got that of a comparison; see its report.html, or train" in done.err
        assert f"jaxmtl fit --config {folder} --method NAME" in done.err
    refused = call("compare", table, *NAMES, *SHORT, "--chunk", 10**9, "--shared", "65536,65536")
    assert refused.code == 2
    assert "layers of 65536, 65536, 3 nodes" in refused.err
    assert "GiB of memory" in refused.err


def test_it_names_the_arms(call):
    done = call("compare", "--list-arms")
    assert done.code == 0
    assert "mmoe" in done.out
    assert "adaptive" in done.out
