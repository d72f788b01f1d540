"""JSON files come back as they were, or are refused in one sentence, at little cost."""

import json
import tracemalloc

import numpy as np
import pytest

from jaxmtl.files.errors import FileError, MissingFileError
from jaxmtl.files.json_file import read_json_file, write_json_file

VALUE = {
    "town": 'Zürich "[{\\',
    "numbers": [1, -2.5, 1e-300, None, True],
    "inner": {"a": [{"b": []}], "c": "\U0001f600"},
}


def test_a_round_trip_and_a_file_that_people_can_read(tmp_path):
    write_json_file(tmp_path / "a.json", VALUE)
    assert read_json_file(tmp_path / "a.json") == VALUE
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Zürich" in text
    assert text == json.dumps(VALUE, indent=2, ensure_ascii=False) + "\n"
    with pytest.raises(FileError, match="exists already"):
        write_json_file(tmp_path / "a.json", {})
    write_json_file(tmp_path / "a.json", {}, force=True)
    assert read_json_file(tmp_path / "a.json") == {}


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, np.float32(1), object(), "\ud800", {1: {2: {1}}}]
)
def test_values_that_json_does_not_know_are_not_written(tmp_path, value):
    with pytest.raises(FileError, match=r"a.json: expected values that JSON knows, got others"):
        write_json_file(tmp_path / "a.json", {"a": value})
    assert list(tmp_path.iterdir()) == []


def refused(path, content, match, **options):
    path.write_bytes(content)
    with pytest.raises(FileError, match=match) as caught:
        read_json_file(path, **options)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


DEEP = 200_000
BAD = {
    "empty": (b"", "Expecting value"),
    "list": (b"[1]", "list instead of an object"),
    "text": (b'"a"', "str instead of an object"),
    "cut": (b'{"a": 1', "Expecting"),
    "other bytes": (b"\x93NUMPY\x01\x00", "codec can't decode"),
    "Latin-1": ('{"a": "ü"}'.encode("latin-1"), "codec can't decode"),
    "mark of byte order": (b"\xef\xbb\xbf{}", "BOM"),
    "NaN": (b'{"a": NaN}', "NaN where a number should be"),
    "infinity": (b'{"a": -Infinity}', "-Infinity where a number should be"),
    "beyond the largest": (b'{"a": 1e999}', "1e999 where a number should be"),
    "digits": (b'{"a": ' + b"1" * 10_000 + b"}", "digits"),
    "half a letter": (rb'{"a": "\ud83d"}', "surrogates not allowed"),
    "deep": (b'{"a":' * DEEP, "more than 100 lists and objects"),
    "deep and closed": (b"[" * DEEP + b"]" * DEEP, "more than 100 lists and objects"),
    "deep after a text": (rb'{"\"": [' + b"[" * 1000, "more than 100 lists and objects"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_json_object_is_refused(tmp_path, name):
    refused(tmp_path / "a.json", *BAD[name])


def test_bounds_and_what_is_no_file(tmp_path):
    refused(tmp_path / "a.json", b" " * 100 + b"{}", "at most 50 bytes, got more", max_bytes=50)
    refused(tmp_path / "a.json", b'{"a": [[]]}', "more than 2 lists", max_depth=2)
    (tmp_path / "a.json").write_bytes(b'{"[[[": "[[[\\"[[["}')
    assert read_json_file(tmp_path / "a.json", max_depth=1) == {"[[[": '[[["[[['}
    (tmp_path / "a.json").write_bytes(rb'{"a": "\ud83d\ude00"}')
    assert read_json_file(tmp_path / "a.json") == {"a": "\U0001f600"}
    with pytest.raises(MissingFileError, match=r"b.json: there is no such file"):
        read_json_file(tmp_path / "b.json")
    with pytest.raises(FileError, match="expected a record, got a folder"):
        read_json_file(tmp_path, what="a record")


def test_a_hostile_file_takes_little_memory_and_comes_to_an_end(tmp_path):
    # Each quotation mark could begin a text that does not end: all of them looked at from there on
    # would take hours.
    (tmp_path / "quotes.json").write_bytes(b'"' + rb"\"" * 2_000_000)
    (tmp_path / "deep.json").write_bytes(b"[" * 8_000_000)
    tracemalloc.start()
    for name in ("quotes", "deep"):
        with pytest.raises(FileError):
            read_json_file(tmp_path / f"{name}.json")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120 * 2**20


def test_damages_at_random_are_refused_or_still_an_object(tmp_path):
    whole = (json.dumps(VALUE, ensure_ascii=False) + "\n").encode()
    rng = np.random.default_rng(0)
    path = tmp_path / "a.json"
    refusals = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        damaged = damaged[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.3 else damaged
        path.write_bytes(damaged)
        try:
            assert isinstance(read_json_file(path), dict)
        except FileError:
            refusals += 1
    assert refusals > 200
