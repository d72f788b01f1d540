"""Every option is declared once: its parameter, its reader and its sentences follow from that."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from typing import Annotated, Any

import optax
import pytest
import typer
from typer.testing import CliRunner

from jaxmtl import STUDY_PHASES, Phase
from jaxmtl._options import Count, Option, Options, declared
from jaxmtl.cli.compare import compare
from jaxmtl.cli.fit import fit
from jaxmtl.cli.options import with_options
from jaxmtl.cli.settings import Settings, check_used, settings_from_json
from jaxmtl.data.options import FoldOptions, ReadingOptions, ScalingOptions
from jaxmtl.methods.study.bench import StudyProtocol
from jaxmtl.methods.study.options import PairOptions, StudyOptions

OPTIONS = declared(Settings)
OF_COMPARE = {**declared(ReadingOptions), **declared(FoldOptions), **declared(StudyOptions)}
OTHER = {
    "table": "a.csv",
    "features": ("a", "b"),
    "targets": ("c",),
    "sheet": "days",
    "missing": "mean",
    "missing_targets": "mask",
    "missing_values": ("0", "-999"),
    "decimal": ",",
    "thousands": "point",
    "header_row": 3,
    "visible_rows": True,
    "seed": 2**32 - 1,
    "split": "chronological",
    "test": 0.25,
    "validation": 0.125,
    "gap": 3,
    "scaling": "standard",
    "scale_on": "all",
    "shared": (8, 4),
    "nodes": 65536,
    "towers": (2,),
    "activation": "tanh",
    "output_activation": "identity",
    "optimizer": "sgd",
    "batch_size": 16,
    "shuffle": True,
    "phases": (Phase(3, 1, 2, 0.01), Phase(2)),
    "rule": "strict",
    "zeros": "hold",
    "transplant": "copy",
    "hard_epochs": 9,
    "aggregator": "upgrad",
}
# As the version before wrote it, with the options in another order.
BEFORE = """{
  "table": null, "sheet": null, "features": ["SO2"], "targets": ["PM2.5"], "seed": 7,
  "missing": "error", "missing_targets": "error", "missing_values": [], "scaling": "minmax",
  "scale_on": "train", "split": "random", "test": 0.2, "validation": 0.0, "gap": 0,
  "split_column": null, "shared": [4], "nodes": 3, "towers": [], "activation": "sigmoid",
  "output_activation": "sigmoid", "optimizer": "adam", "batch_size": 1, "shuffle": false,
  "phases": [{"epochs": 4, "warmup": 1, "threshold": 2, "learning_rate": 0.005},
             {"epochs": 2, "warmup": 0, "threshold": null, "learning_rate": 0.001}],
  "hard_epochs": 6, "rule": "nonnegative", "zeros": "reset", "transplant": "fresh",
  "aggregator": null
}"""


@pytest.mark.parametrize(
    ("command", "options"), [("fit", OPTIONS), ("compare", OF_COMPARE)], ids=["fit", "compare"]
)
def test_every_option_is_in_the_help_of_its_commands(call, monkeypatch, command, options):
    monkeypatch.setenv("COLUMNS", "500")
    shown = " ".join(call(command, "--help").out.split())
    for one in options.values():
        if one.option.positional:
            assert one.name in shown
        else:
            assert f" {one.flag} {one.metavar or '/ --no-' + one.flag[2:]} " in shown, one.name
        assert " ".join(one.option.help.split()[:3]) in shown
    assert ("--hard-epochs" in shown) == (command == "fit")


def test_the_shown_defaults_are_those_of_the_command():
    shown = {
        command: {
            name: parameter.annotation.__metadata__[0].show_default
            for name, parameter in inspect.signature(command).parameters.items()
        }
        for command in (fit, compare)
    }
    assert shown[fit]["validation"] == "0"
    assert shown[compare]["validation"] == "0.2"
    assert shown[fit]["phases"] == "200,80,10,0.005;50,50,8;100,51,8;300,,,0.001"
    assert shown[fit]["towers"] == "none"
    assert shown[fit]["features"] is False


def test_settings_go_through_json():
    assert set(OTHER) | {"split_column", "time"} == set(OPTIONS)
    for settings in (Settings(), Settings(**OTHER), Settings(**OTHER).complete()):
        text = json.dumps(settings.to_json(), allow_nan=False)
        assert settings_from_json(json.loads(text)) == settings


def test_settings_of_the_version_before_are_read():
    settings = settings_from_json(json.loads(BEFORE))
    assert settings.complete() == settings
    assert settings.phases == (Phase(4, 1, 2), Phase(2, learning_rate=0.001))
    later = {"decimal", "thousands", "header_row", "visible_rows", "time"}
    assert set(json.loads(BEFORE)) | later == set(settings.to_json())


def test_a_setting_is_a_value_of_every_part():
    settings = Settings(**OTHER)
    for part in (ReadingOptions, FoldOptions, ScalingOptions, StudyOptions, PairOptions):
        assert isinstance(settings, part)
    protocol = settings.protocol()
    assert protocol.optimizer is optax.sgd
    names = {field.name for field in dataclasses.fields(StudyProtocol)} - {"optimizer"}
    assert {name: getattr(protocol, name) for name in names} == {
        name: OTHER[name] for name in names
    }
    assert Settings().complete().protocol() == StudyProtocol()


@pytest.mark.parametrize(
    ("saved", "sentence"),
    [
        ({"nodse": 3}, "there is no option 'nodse' (did you mean 'nodes'?)"),
        ({"zzz": 3}, "there is no option 'zzz'"),
        ({"nodes": "x"}, "expected a whole number for 'nodes', got 'x'"),
        ({"nodes": True}, "expected a whole number for 'nodes', got True"),
        ({"nodes": 3.5}, "expected a whole number for 'nodes', got 3.5"),
        ({"nodes": 1e20}, "expected a whole number for 'nodes', got 1e+20"),
        ({"nodes": None}, "expected a whole number for 'nodes', got None"),
        ({"nodes": 0}, "expected at least 1 for 'nodes', got 0"),
        ({"nodes": 10**20}, f"expected at most 65536 for 'nodes', got {10**20}"),
        ({"shared": 4}, "expected a list for 'shared', got 4"),
        ({"shared": "4"}, "expected a list for 'shared', got '4'"),
        ({"shared": [4, "x"]}, "expected a whole number for 'shared', got 'x'"),
        ({"shared": [4, 0]}, "expected at least 1 for 'shared', got 0"),
        ({"shuffle": 1}, "expected true or false for 'shuffle', got 1"),
        ({"sheet": 1}, "expected a text for 'sheet', got 1"),
        ({"missing": "mask"}, "expected one of error, drop, mean for 'missing', got 'mask'"),
        ({"missing": ["drop"]}, "expected one of error, drop, mean for 'missing', got ['drop']"),
        ({"test": "0.2"}, "expected a number for 'test', got '0.2'"),
        ({"test": False}, "expected a number for 'test', got False"),
        ({"test": float("nan")}, "expected a finite number for 'test', got nan"),
        ({"test": 1}, "expected below 1 for 'test', got 1"),
        ({"hard_epochs": 2**31}, "expected at most 2147483647 for 'hard_epochs', got 2147483648"),
        (
            {"phases": [{"epocs": 3}]},
            "expected a phase with epochs, warmup, threshold and learning_rate for 'phases', got "
            "{'epocs': 3}",
        ),
        (
            {"phases": [{"epochs": 3, "warmup": "x"}]},
            "expected a phase with epochs, warmup, threshold and learning_rate for 'phases', got "
            "{'epochs': 3, 'warmup': 'x'}",
        ),
        (
            {"phases": [{"epochs": 0}]},
            "Phase: expected at least 1 epoch, got epochs=0 for 'phases'",
        ),
    ],
)
def test_a_wrong_value_in_a_file_is_one_sentence(saved, sentence):
    with pytest.raises(ValueError, match="^settings: ") as caught:
        settings_from_json(saved)
    assert str(caught.value) == f"settings: {sentence}"


@pytest.mark.parametrize(
    ("option", "text", "sentence"),
    [
        ("--nodes", "1e20", "expected a whole number from 1 to 65536, got '1e20'"),
        ("--nodes", "99999999999999999999", "expected at most 65536, got 99999999999999999999"),
        ("--nodes", "3.0", "expected a whole number from 1 to 65536, got '3.0'"),
        ("--nodes", "", "expected a whole number from 1 to 65536, got ''"),
        ("--batch-size", "2147483648", "expected at most 16777216, got 2147483648"),
        ("--shared", "4,100000000", "expected at most 65536, got 100000000"),
        ("--shared", ",".join("4" * 65), "expected at most 64 layers, got 65"),
        ("--towers", "1e20", "expected sizes of layers such as 8,4, or none, got '1e20'"),
        ("--gap", "1e20", "expected a whole number from 0 to 2147483647, got '1e20'"),
        ("--phases", "2147483648", "phase 1: expected numbers of at most 2147483647"),
        ("--phases", "2147483647;1", "expected at most 2147483647 epochs in all"),
        ("--hard-epochs", "2147483648", "expected at most 2147483647, got 2147483648"),
        ("--test", "nan", "expected a finite number, got nan"),
        ("--test", "1e999", "expected a finite number, got inf"),
        ("--test", "half", "expected a number, got 'half'"),
        ("--seed", "9" * 5000, f"got '{'9' * 79}..."),
    ],
)
def test_a_wrong_value_in_the_shell_is_one_sentence(call, tmp_path, option, text, sentence):
    done = call("fit", option, text, "--out", tmp_path / "run")
    assert done.code == 2
    assert done.err.startswith(f"jaxmtl: {option}")
    assert sentence in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["--seeds", "--chunk", "--num-processes", "--devices"])
def test_numbers_of_a_command_have_bounds_too(call, option):
    for text in ("0", "1e20", "10000000000000"):
        done = call("compare", option, text)
        assert done.code == 2
        assert done.err.startswith(f"jaxmtl: {option}: expected ")
        assert done.err.count("\n") == 1


def test_a_wrong_value_given_in_python_names_the_option():
    for given, sentence in {
        ("nodes", 0): "--nodes: expected at least 1, got 0",
        ("rule", "x"): "--rule: expected one of nonnegative, strict, got 'x'",
        ("phases", ()): "--phases: expected at least one phase, got none",
    }.items():
        with pytest.raises(ValueError, match="^--") as caught:
            Settings(**dict([given])).complete()
        assert str(caught.value) == sentence


def test_options_that_would_change_nothing_are_refused():
    lines = [ReadingOptions, FoldOptions, ScalingOptions]
    fine = {"table", "features", "seed", "split", "scaling", "missing"}
    check_used(fine, lines, "--method ridge")
    networks = set(OTHER) - set(declared(ReadingOptions)) - set(declared(FoldOptions)) - {"table"}
    for name in sorted(networks - set(declared(ScalingOptions)) - {"hard_epochs", "aggregator"}):
        with pytest.raises(
            ValueError, match="only for networks; --method ridge has none"
        ) as caught:
            check_used({name}, lines, "--method ridge")
        assert str(caught.value).startswith(OPTIONS[name].flag + ": ")
        check_used({name}, [*lines, StudyOptions], "--method mmoe")
    for name in ("hard_epochs", "aggregator"):
        with pytest.raises(ValueError, match="only for the study's pair of runs; --method mmoe"):
            check_used({name}, [*lines, StudyOptions], "--method mmoe")
        check_used({name}, [PairOptions], "--preset study")


def test_a_new_option_is_one_declaration():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Depth(Options):
        num_trees: Annotated[Count, Option(help="Trees of a forest.")] = 100

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class All(Settings, Depth):
        pass

    @with_options(ReadingOptions, Depth, preset=All(num_trees=7))
    def grow(*, given: dict[str, Any]) -> None:
        print(All(**given).num_trees)

    app = typer.Typer(add_completion=False)
    app.command()(grow)
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert re.search(r"--num-trees.*<int>.*Trees of a forest.*7", result.output)
    assert CliRunner().invoke(app, ["--num-trees", "3"]).output == "3\n"
    error = CliRunner().invoke(app, ["--num-trees", "0"]).exception
    assert str(error) == "--num-trees: expected at least 1, got 0"
    assert All().to_json()["num_trees"] == 100


def test_the_defaults_are_those_of_the_study():
    study = Settings().complete()
    assert (study.phases, study.hard_epochs) == (STUDY_PHASES, 480)
    assert (study.missing_targets, study.output_activation, study.split) == (
        *("error", "sigmoid", "random"),
    )


def test_the_library_of_numbers_does_not_load_that_of_options():
    script = "import jaxmtl, sys; sys.exit('msgspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=200).returncode == 0
