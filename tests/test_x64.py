import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ORACLE = "x64/test_against_oracle.py"


# Two processes of about the same length, so that two workers share them. Compiling takes most of
# the time here: all cases run with few optimizations, one of the oracle's with all of them, too.
@pytest.mark.parametrize(
    "selection", [[ORACLE], ["x64", "--ignore", ORACLE]], ids=["oracle", "others"]
)
def test_the_float64_tests_pass_in_a_process_of_their_own(selection, slow_options):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, *selection, *slow_options],
        env=os.environ | {"JAX_ENABLE_X64": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
