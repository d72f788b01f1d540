import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ORACLE = "x64/test_against_oracle.py"


# Compiling takes most of the time here: all cases run with few optimizations, one with all of them.
# Two processes for the former, of about the same length, so that two workers share them.
@pytest.mark.parametrize(
    ("selection", "few"),
    [
        ([ORACLE], "1"),
        (["x64", "--ignore", ORACLE], "1"),
        ([f"{ORACLE}::test_equals_the_reference[study]"], "0"),
    ],
    ids=["oracle", "others", "study_optimized"],
)
def test_the_float64_tests_pass_in_a_process_of_their_own(selection, few):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, *selection],
        env=os.environ | {"JAX_ENABLE_X64": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": few},
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
