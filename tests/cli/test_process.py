"""The command as a process of its own: entry point, lazy imports, Ctrl-C."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from quick import QUICK
from some_cases import some

# A process started in the background of a shell without job control inherits a deaf ear for Ctrl-C.
COMMAND = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("jaxmtl", run_name="__main__")
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Callable[..., subprocess.Popen[str]]:
    # These tests are not about speed, and compiling is most of their time: what one process has
    # compiled the others find.
    environment = {
        **os.environ,
        **QUICK,
        "PYTHONWARNINGS": "default",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
    }

    def start(*args: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )

    return start


# The networks of the study compile for ten seconds; interrupted runs train them, too.
METHODS = {"ridge": ["--method", "ridge"], "study": ["--phases", "4,1,2;2"]}


@pytest.fixture(scope="module", params=METHODS)
def fitted(start, table, tmp_path_factory, request) -> tuple[Path, str, str]:
    """The folder of a run, not to be changed, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("fitted") / "run"
    names = ["--preset", "study", "--features", "SO2,CO", "--targets", "PM2.5,O3"]
    process = start("fit", table, *names, *METHODS[request.param], "--out", folder)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    if request.param == "study":
        assert "adaptive: phase 1/2" in err
        assert "Duplications" in out
    return folder, out, err


@pytest.mark.slow
def test_fit_and_predict_end_to_end(start, fitted, table, tmp_path):
    folder, out, err = fitted
    assert "written to" in out
    assert "Warning" not in err
    predict = start("predict", folder, table, "-o", tmp_path / "a.xlsx", "--quiet")
    assert predict.communicate(timeout=300) == ("", "")
    assert predict.returncode == 0


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from jaxmtl.cli import run\n"
        "run([]); run(['--version']); assert 'jax' not in sys.modules\n"
        "run(['fit', '--help'])\n"
        "heavy = {'pandas', 'openpyxl', 'matplotlib', 'flax.linen', 'scipy'} & set(sys.modules)\n"
        "print(f'heavy: {sorted(heavy)}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=200
    )
    assert done.stdout.endswith("heavy: []\n")
    assert "--features" in done.stdout
    assert "jaxmtl 0." in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("number", some([signal.SIGINT, signal.SIGTERM], signal.SIGINT))
def test_interrupted_runs_leave_nothing_behind(start, table, tmp_path, number):
    names = ["--features", "SO2,CO", "--targets", "PM2.5,O3", "--phases", "1000000000;2"]
    process = start(
        "fit", "--preset", "study", table, *names, "--out", tmp_path / "a folder" / "run"
    )
    assert process.stderr is not None
    assert "phase 1/2" in process.stderr.readline()  # training has begun
    process.send_signal(number)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    said = [line for line in err.splitlines() if not line.startswith("adaptive:")]
    assert said == ["jaxmtl: interrupted; nothing was written"]
    assert list(tmp_path.iterdir()) == []


# A signal in the middle of an import, as the program starts.
EARLY = """
import signal, sys

class Early:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Early())
signal.signal(signal.SIGINT, signal.default_int_handler)
from jaxmtl.cli.entry import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
def test_interrupted_while_it_starts():
    done = subprocess.run(
        [sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "jaxmtl: interrupted; nothing was written\n"


FULL = "jaxmtl: standard output: cannot be written (the disk is full"
STREAMS = {
    "--version >/dev/full": FULL,
    "compare --list-arms >/dev/full": FULL,
    "inspect nowhere 2>&- >&- <&-": "",
}


@pytest.mark.skipif(os.name == "nt", reason="no such shell")
@pytest.mark.parametrize("streams", some(STREAMS, "--version >/dev/full"))
def test_streams_that_are_closed_or_full(tmp_path, streams):
    shell = ["sh", "-c", f"{sys.executable} -m jaxmtl {streams}"]
    done = subprocess.run(shell, capture_output=True, text=True, cwd=tmp_path, timeout=200)
    assert done.returncode == 2
    assert done.stderr.startswith(STREAMS[streams])
    assert len(done.stderr.splitlines()) == bool(STREAMS[streams])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no /dev/full and no pipes of this kind")
def test_reader_that_goes_away_is_no_error(start, fitted):
    process = start("inspect", fitted[0])
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait(timeout=100)
    process.stderr.close()
