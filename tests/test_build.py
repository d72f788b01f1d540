"""The wheel and the source distribution hold all that the two commands need."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Both, built as a release is, which takes the build backend from an index."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".whl", ".tar.gz"])
def test_it_installs_elsewhere_and_fits_and_predicts(built, ending, tmp_path, monkeypatch):
    (package,) = built.glob(f"*{ending}")
    place = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place]
    subprocess.run([*install, package], check=True)
    monkeypatch.setenv("PYTHONPATH", str(place))  # before what is installed for the tests

    def run(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("-c", "import jaxmtl; print(jaxmtl.__file__); print(jaxmtl.cite('mgda'))")
    assert where.startswith(str(place))
    small = ("--phases", "2,1,2,0.01", "--hard-epochs", "2")
    run("-m", "jaxmtl", "fit", *small)
    run("-m", "jaxmtl", "predict", "jaxmtl-run", "jaxmtl-run/air_quality.xlsx", "-o", "out.csv")
    table = ("jaxmtl-run/air_quality.xlsx", "--targets", "PM2.5", "--families", "mean,linear")
    run("-m", "jaxmtl", "fit", *table, "--out", "run")
    run("-m", "jaxmtl", "predict", "run", table[0], "-o", "rows.csv")
    run("run/predict.py", "rows.csv", "-o", "plain.csv")
    assert (tmp_path / "plain.csv").exists()
