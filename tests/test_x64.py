import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


# Compiling takes most of the time here: all cases run with few optimizations, one with all of them.
@pytest.mark.parametrize(
    ("selection", "few"), [("", "1"), ("study", "0")], ids=["all", "study_optimized"]
)
def test_the_float64_tests_pass_in_a_process_of_their_own(selection, few):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, str(HERE / "x64"), "-k", selection],
        env=os.environ | {"JAX_ENABLE_X64": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": few},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
