"""Methods of one's own in a shell: options in names, and `module:name`."""

import json
import sys

import jax.numpy as jnp
import pytest

from jaxmtl.aggregation import forget
from jaxmtl.aggregation.tables import OWN
from jaxmtl.training.phased.combining import check_combining

NAMES = ["--features", "SO2,CO", "--targets", "PM2.5,O3"]
STUDY = ["--preset", "study", "--phases", "2", "--hard-epochs", "2", "--quiet"]
MODULE = """
import jaxmtl.aggregation as ag
mine = ag.cagrad(c=0.3)
weighted = ag.linear([1.0, 0.5])
number = 3

def halved(share: float = 0.5):
    return ag.constant([share, share])

def wants(share):
    return ag.constant([share, share])
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "of_my_own.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "without.py").write_text("import not_there_at_all")
    yield "of_my_own"
    sys.modules.pop("of_my_own", None)
    for name in list(OWN):
        forget(name)


def test_a_module_s_method_is_known_and_its_run_is_read_without_it(
    call, table, module, tmp_path, untrained
):
    folder = tmp_path / "run"
    name = f"{module}:halved(share=0.25)"
    result = call("fit", table, *NAMES, *STUDY, "--aggregator", name, "--out", folder)
    assert result.code == 0, result.err
    assert json.loads((folder / "config.json").read_text())["settings"]["aggregator"] == name
    assert check_combining(untrained[0]["aggregator"]).weights(jnp.eye(2)).tolist() == [0.25, 0.25]
    assert not any(str(tmp_path) == place for place in sys.path)
    (tmp_path / "of_my_own.py").unlink()
    sys.modules.pop(module)
    for own in list(OWN):
        forget(own)
    assert call("inspect", folder).code == 0
    assert call("predict", folder, table, "--out", tmp_path / "predicted.csv").code == 0
    again = call("fit", "--config", folder, *STUDY[2:], "--out", tmp_path / "again")
    assert again.code == 2
    assert f"--config: expected '{module}:halved', which the saved run was trained" in again.err
    assert f"add --aggregator {module}:halved" in again.err


def test_options_in_names_go_through_every_option(call, table, module, tmp_path, untrained):
    for number, name in enumerate(["cagrad( c=0.4 )", f"{module}:mine", f"{module}:weighted"]):
        out = ["--out", tmp_path / str(number)]
        result = call("fit", table, *NAMES, *STUDY, "--aggregator", name, *out)
        assert result.code == 0, result.err
        assert [run["aggregator"] for run in untrained[-2:]] == [name, name]
    options = ["--method", "mmoe", "--aggregator", "cagrad(c=0.4)", "--out", tmp_path / "out"]
    result = call("fit", "--preset", "study", table, *NAMES, *options)
    assert "write --method 'mmoe+cagrad(c=0.4)'" in result.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("of_my_own:nine", "--aggregator: module 'of_my_own' has no 'nine' (did you mean 'mine'?)"),
        ("of_my_own:number", "--aggregator: of_my_own:number: expected a function that makes"),
        ("of_my_own:wants", "--aggregator: of_my_own:wants: expected a function that makes an"),
        ("of_my_own:halved(part=1)", "of_my_own:halved has no option 'part'; it has share"),
        ("nowhere.at_all:mine", "--aggregator: there is no module 'nowhere.at_all'"),
        ("broken:mine", "--aggregator: module 'broken' cannot be imported: ZeroDivisionError"),
        ("without:mine", "--aggregator: module 'without' needs 'not_there_at_all'"),
        ("cagrad(d=1)", "--aggregator: cagrad has no option 'd'; it has c, rescale, preferences"),
        ("cagrad(c=-1)", "--aggregator: cagrad: c: expected a number >= 0, got -1"),
        ("cagrad(c=", "--aggregator: expected a name, or one with options as in 'cagrad(c=0.4)'"),
    ],
)
@pytest.mark.usefixtures("module")
def test_a_bad_name_is_one_sentence(call, table, tmp_path, name, sentence):
    result = call("fit", table, *NAMES, *STUDY, "--aggregator", name, "--out", tmp_path / "run")
    assert result.code == 2
    assert sentence in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_arms_with_options_are_parted_at_the_right_commas(call, table, module, tmp_path):
    from jaxmtl.cli.arms import arm_names
    from jaxmtl.cli.own import load_own

    text = f"cagrad(c=0.4,rescale='square'), mmoe+{module}:mine ,mean"
    load_own("--arms", text)
    assert arm_names(text, "famo", 2) == (
        [
            "restarts+cagrad(c=0.4, rescale='square')",
            f"mmoe+{module}:mine",
            "mean",
            "restarts+famo",
        ],
        "restarts+famo",
    )
    arms = ["--arms", "mmoe+cagrad(c='x')", "--out", tmp_path / "out"]
    result = call("compare", table, *NAMES, *arms)
    assert result.code == 2
    assert "cagrad: c: expected a number, got 'x'" in result.err
