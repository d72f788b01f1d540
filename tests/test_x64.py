import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_the_float64_tests_pass_in_a_process_of_their_own():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(HERE / "x64")],
        env=os.environ | {"JAX_ENABLE_X64": "1"},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
