"""Signals: answered at once where nothing is to be undone, and never lost where something is."""

import gc
import os
import signal
import subprocess
import sys
import time

import pytest

from jaxmtl.cli import signals
from jaxmtl.cli.signals import Interrupted, answer_signals, interruption, undone_when_interrupted

# A worker of pytest-xdist is deaf to some signals, and what others do to it is not for its tests.
WORKER = "PYTEST_XDIST_WORKER" in os.environ
pytestmark = pytest.mark.skipif(os.name == "nt", reason="no such signals")
alone = pytest.mark.skipif(WORKER, reason="they run in a process of their own")
ANSWERED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]


@pytest.mark.skipif(not WORKER, reason="they run in this process")
def test_they_pass_in_a_process_of_their_own():
    names = {"PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", __file__],
        env={name: value for name, value in os.environ.items() if name not in names},
        capture_output=True,
        text=True,
        timeout=200,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


@pytest.fixture
def answered(monkeypatch):
    before = {number: signal.getsignal(number) for number in ANSWERED}
    monkeypatch.setattr(sys, "unraisablehook", lambda found: pytest.fail(str(found)))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(signals, "_signals", signals._Signals())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # of whom this one was started by
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    answer_signals()
    made = signals._signals
    yield made
    made.ending = True  # an exception that is freed after the test gives no signal again
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@alone
def test_a_block_that_undoes_something_is_left_by_an_exception(answered, number):
    with pytest.raises(Interrupted) as found, undone_when_interrupted():
        signal.raise_signal(number)
    assert interruption(found.value) == ("interrupted; nothing was written", 128 + number)
    signal.raise_signal(number)  # is late


@alone
def test_one_that_a_callback_swallows_comes_again(answered):
    """As those of JAX do when the garbage collector calls them."""
    calls = []

    def callback(phase, info):
        if not calls:
            calls.append(phase)
            signal.raise_signal(signal.SIGINT)

    def collect():
        with undone_when_interrupted():
            gc.collect()
            calls.append("lost")
            for _ in range(1000):
                time.sleep(0.01)

    gc.callbacks.append(callback)
    try:
        with pytest.raises(Interrupted):
            collect()
    finally:
        gc.callbacks.remove(callback)
    assert calls == ["start", "lost"]


@alone
def test_one_that_becomes_another_exception_does_not_disturb_what_is_undone(answered):
    undone = []

    def convert():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Interrupted:
            pass
        raise ValueError("what an extension module makes of it")

    def undo():
        with undone_when_interrupted():
            try:
                convert()
            except ValueError:
                time.sleep(0.3)
                undone.append(True)
                raise

    with pytest.raises(ValueError, match="extension") as found:
        undo()
    assert undone == [True]
    assert interruption(found.value) == ("interrupted; nothing was written", 143)


@alone
def test_who_asks_again_does_not_wait(answered, monkeypatch):
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    with pytest.raises(Interrupted) as found, undone_when_interrupted():
        signal.raise_signal(signal.SIGINT)
    for _ in range(3):
        assert ends == []
        signal.raise_signal(signal.SIGINT)
    assert ends == [130]
    assert isinstance(found.value, KeyboardInterrupt)


@alone
def test_a_process_that_is_deaf_stays_so(answered):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    answer_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
