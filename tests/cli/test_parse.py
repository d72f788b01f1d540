"""From texts of options to values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmtl import Phase
from jaxmtl._options.text import parse_names, parse_sizes
from jaxmtl.cli.settings import Settings, settings_from_json
from jaxmtl.methods.study.options import parse_phases, write_phases

RATES = st.floats(1e-12, 1e3)
PLAIN = st.builds(Phase, epochs=st.integers(1, 10**6), learning_rate=RATES)
PHASES = PLAIN | st.builds(
    lambda more, warmup, threshold, rate: Phase(warmup + more, warmup, threshold, rate),
    st.integers(1, 10**6),
    st.integers(0, 10**6),
    st.integers(1, 10**6),
    RATES,
)


@given(st.lists(PHASES, min_size=1, max_size=5))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_phases_written_out_are_read_back(phases):
    text = ";".join(
        f"{p.epochs},{p.warmup},{'' if p.threshold is None else p.threshold},{p.learning_rate!r}"
        for p in phases
    )
    assert parse_phases(text) == tuple(phases)
    assert parse_phases(write_phases(tuple(phases))) == tuple(phases)
    assert settings_from_json(Settings(phases=tuple(phases)).to_json()).phases == tuple(phases)


def test_what_is_left_out_has_its_default():
    assert parse_phases(" 5 ; 3,1,2; 300,,,0.001;") == (
        Phase(5),
        Phase(3, 1, 2),
        Phase(300, learning_rate=0.001),
    )


BAD = ["", ";;", "1;;2", "1.5", "1,2,3,x", "1,2,3,nan", "1,2,3,inf", "-1"]


@pytest.mark.parametrize("text", BAD)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="^--phases, phase [12]: expected"):
        parse_phases(text)


def test_names():
    assert parse_names(" a , b c,") == ("a", "b c")
    assert parse_names('"a, b",c') == ("a, b", "c")
    assert parse_names("") == ()


def test_sizes():
    assert parse_sizes("--shared", " 8, 4") == (8, 4)
    assert parse_sizes("--shared", "None") == parse_sizes("--shared", " ") == ()


def test_what_depends_on_an_option_is_worked_out_anew():
    saved = Settings(table="a.csv", features=("a",), targets=("b",)).complete()
    assert (saved.hard_epochs, saved.missing_targets) == (480, "error")
    other = {"phases": (Phase(3), Phase(4)), "missing": "mean", "scaling": "none"}
    again = saved.with_options(**other).complete()
    assert (again.hard_epochs, again.missing_targets) == (7, "mean")
    assert again.output_activation == "identity"
    kept = saved.with_options(phases=(Phase(3),), hard_epochs=9).complete()
    assert kept.hard_epochs == 9


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("20,5", r"phase 1: expected a threshold after the warm-up, as in '20,5,8', got none"),
        ("9;20,5,,0.1", r"phase 2: expected a threshold after the warm-up"),
        (
            "20,21,3",
            r"phase 1: expected a warm-up of at most 20 epochs, which the phase has, got 2",
        ),
        ("3,1,2,nan", r"phase 1: expected a finite learning rate above 0, got nan"),
        ("3,,,1e999", r"phase 1: expected a finite learning rate above 0, got inf"),
        ("9" * 5000, r"phase 1: expected numbers .*, got '9{79}\.\.\."),
    ],
)
def test_phases_that_cannot_be_meant(text, sentence):
    with pytest.raises(ValueError, match=rf"--phases, {sentence}"):
        parse_phases(text)


def test_phases_beyond_all_numbers():
    for phases, sentence in [
        ((Phase(10**12),), "phase 1: expected numbers of at most 2147483647, got 1000000000000"),
        ((Phase(3, 1, 2**31),), "phase 1: expected numbers of at most 2147483647"),
        ((Phase(1),) * 1001, "expected at most 1000 phases, got 1001"),
        ((Phase(2**31 - 1), Phase(1)), "expected at most 2147483647 epochs in all"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            Settings(phases=phases).complete()
