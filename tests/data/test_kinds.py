"""Kinds and weights as texts of the shell."""

import pytest

from jaxmtl.data import Declared, parse_kinds, parse_weights
from jaxmtl.data.kinds import said_of


def test_pairs_of_names_and_kinds():
    assert parse_kinds("年份=category, 等级=class") == {
        "年份": Declared("category"),
        "等级": Declared("classes"),
    }
    assert parse_kinds("a=Number,b=count,c=date,d=date:mdy") == {
        "a": Declared("number"),
        "b": Declared("count"),
        "c": Declared("date"),
        "d": Declared("date", order="mdy"),
    }
    assert parse_kinds("") == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('"a, b"=class', "a, b"),
        ('"a, b=class"', "a, b"),
        ('"a=b"=class', "a=b"),
        ("a=b=class", "a=b"),
        ('"say ""a"""=class', 'say "a"'),
        ("SO2\n(ug)=class", "SO2 (ug)"),
    ],
)
def test_names_may_hold_any_sign(text, name):
    assert parse_kinds(text) == {name: Declared("classes")}


def test_ordered_levels():
    assert parse_kinds("等级=优<良 < 轻度 污染") == {
        "等级": Declared("ordered", ("优", "良", "轻度 污染"))
    }
    assert parse_kinds('"a=no, thanks<yes"') == {"a": Declared("ordered", ("no, thanks", "yes"))}
    assert said_of({"a": "x<y", "b": Declared("count")})["a"].levels == ("x", "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "expected pairs such as year=category,level=class, got 'a'"),
        ("a=", "expected pairs"),
        ("=class", "expected pairs"),
        ("a=clas", r"--kinds: expected a kind of 'a' among number, .* \(did you mean 'class'\?\)"),
        ("a=x<x", "levels of 'a' in their order, each once"),
        ("a=x<", "levels of 'a' in their order"),
        ("a=class,a=number", "each column once, got 'a' twice"),
    ],
)
def test_what_says_no_kind_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_kinds(text)


def test_weights():
    assert parse_weights('PM2.5=2,"a, b"=.5') == {"PM2.5": 2.0, "a, b": 0.5}
    for text in ("a=0", "a=-1", "a=x", "a=inf", "a=nan"):
        with pytest.raises(ValueError, match="expected a weight above 0 for 'a'"):
            parse_weights(text)
    with pytest.raises(ValueError, match="--weights: expected pairs such as PM2.5=2"):
        parse_weights("a")
