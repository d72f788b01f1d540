"""Progress: lines elsewhere than on a terminal, a bar on one, nothing when quiet."""

import numpy as np
import pytest

from jaxmtl.cli import console as console_module
from jaxmtl.cli.console import Console, describe
from jaxmtl.training import Progress


def progress(phase: int, epoch: int, done: int) -> Progress:
    return Progress(phase, 2, epoch, 100, done, 200, np.array([0.5, 0.25]))


def test_one_line_a_phase_and_one_every_few_seconds(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    with Console().training("adaptive", ["a", "b"]) as on_progress:
        for i, (phase, epoch, done) in enumerate(
            [(1, 1, 1), (1, 2, 2), (1, 9, 9), (2, 1, 101), (2, 2, 102), (2, 100, 200)]
        ):
            now[0] = 10.0 if i == 2 else now[0]
            on_progress(progress(phase, epoch, done))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[1].strip() for line in lines] == [
        "epoch 1/100",
        "epoch 9/100",
        "epoch 1/100",
        "epoch 100/100",
    ]
    assert lines[0] == "adaptive: phase 1/2, epoch 1/100, training error a 0.5, b 0.25"


def test_bar_shows_phase_epoch_and_errors(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with Console().training("adaptive", ["[red]", "b"]) as on_progress:
        on_progress(progress(2, 100, 200))
    assert "phase 2/2 epoch 100/100  [red] 0.5  b 0.25" in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing(capsys, monkeypatch, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    console = Console(quiet=True)
    with console.training("adaptive", ["a"]) as on_progress:
        assert on_progress is None
    console.say("result")
    console.note("note")
    assert capsys.readouterr() == ("", "")


def test_description_of_errors_that_are_not_finite():
    last = Progress(1, 1, 1, 3, 1, 3, np.array([np.inf, np.nan]))
    assert describe(last, ["a", "b"]).endswith("training error a inf, b nan")
