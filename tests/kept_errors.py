"""What every refusal says is kept word for word, in an ``errors.json`` a folder of tests.

A test that expects an error, by ``pytest.raises`` or from the command, is a case; what was said is
kept by the function that raised it and the name of the case, and compared from then on. After a
change of words ``pytest --remake-errors`` writes the files anew, for ``git diff`` to show.
"""

import ast
import contextlib
import fcntl
import functools
import json
import os
import pathlib
import re
import sys
import traceback

import pytest
from _pytest.raises import RaisesExc

TESTS = pathlib.Path(__file__).parent
PACKAGE = TESTS.parent / "jaxmtl"
NAME = "errors.json"
# What is another one on another machine or day.
CHANGING = [
    (
        re.compile(r"(/[^\s'\"/]+)*/pytest-of-[^/\s]+/pytest-\d+/(popen-gw\d+/)?[^/\s'\",:;)]+"),
        "TMP",
    ),
    (re.compile(r"\.([^/\s]+)\.jaxmtl-[0-9a-f]{8}\.tmp"), r"\1"),
    (re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{12,64}\b"), "DIGEST"),
    (re.compile(r"this machine has \d+"), "this machine has SOME"),
    (re.compile(r"\b(jax|jaxlib|numpy|python) was [\w.]+"), r"\1 was VERSION"),
    (re.compile(r"packed in \d+ bytes"), "packed in SOME bytes"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0xADDRESS"),
    (re.compile(re.escape(str(TESTS.parent))), "ROOT"),
]


def read_kept(file):
    """Sections of a file: function -> case -> text."""
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def all_kept():
    """Function -> texts, of all folders."""
    found = {}
    for file in sorted(TESTS.rglob(NAME)):
        for place, cases in read_kept(file).items():
            found.setdefault(place, []).extend(cases.values())
    return found


@functools.cache
def raising_lines(file):
    """Lines of raise statements: what others say is another text in another version."""
    raising = [
        node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if type(node) is ast.Raise
    ]
    return {line for node in raising for line in range(node.lineno, node.end_lineno + 1)}


def place_of(error):
    """The function of the package that raised it, or None."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return None
    frame, line = frames[-1]
    file = pathlib.Path(frame.f_code.co_filename).resolve()
    if not file.is_relative_to(PACKAGE) or line not in raising_lines(file):
        return None
    return f"{file.relative_to(PACKAGE).as_posix()} {frame.f_code.co_qualname}"


def unchanging(text, others):
    """What is ours of a text; Python and libraries use other words in other versions."""
    for other in others:
        said = str(other)
        quoted = {said, said.partition("\n")[0], " ".join(said.split())}
        quoted |= {each[:length] for each in quoted for length in (200, 300)}
        for words in sorted(quoted, key=len, reverse=True):
            if " " in words:
                text = text.replace(words, f"<{type(other).__name__}>")
    for pattern, word in CHANGING:
        text = pattern.sub(word, text)
    return text


class KeptErrors:
    """Notes what is said during a test, and compares it with what is kept."""

    def __init__(self, remake):
        self.remake = remake
        self.said = []
        self.ran = {}  # file of kept texts -> test -> place and text, in order
        self.there = {}  # file of tests -> its tests, where it was collected as a whole
        self.kept = functools.cache(read_kept)

    def note(self, error):
        """An error, and those that it was made of; a signal says nothing."""
        chain = []
        if not isinstance(error, Exception):
            return
        while error is not None and error not in chain:
            chain.append(error)
            error = error.__cause__ or error.__context__
        others = [each for each in chain if place_of(each) is None]
        for each in chain:
            if (place := place_of(each)) is not None and str(each):
                self.said.append((place, unchanging(str(each), others)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        if not any("::" in arg for arg in config.args):
            for item in items:
                names = self.there.setdefault(item.path, set())
                if is_kept(item):
                    names.add(name_of(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        watch_the_command(self.note)
        self.said.clear()
        result = yield
        if not is_kept(item):
            return result
        file = item.path.parent / NAME
        test = name_of(item)
        said = {}
        for number, (place, text) in enumerate(dict.fromkeys(self.said)):
            said.setdefault(place, {})[test + (f" {number + 1}" if number else "")] = text
        if self.remake:
            self.ran.setdefault(file, {})[test] = said
        else:
            compare(test, said, self.kept(file), file)
        return result

    def pytest_sessionfinish(self):
        if not self.remake:
            return
        for file in {path.parent / NAME for path in self.there} | self.ran.keys():
            if not file.is_relative_to(TESTS):
                continue
            with locked(file):
                kept = without_those_gone(read_kept(file), file.parent, self.there)
                write(file, replaced(kept, self.ran.get(file, {})))


def compare(test, said, kept, file):
    expected = {}
    for place, cases in kept.items():
        mine = {case: text for case, text in cases.items() if of_test(case) == test}
        if mine:
            expected[place] = mine
    if said != expected:
        short = os.path.relpath(file, TESTS.parent)
        pytest.fail(
            f"errors are not what {short} keeps of this test.\nkept: {show(expected)}\n"
            f"said: {show(said)}\n"
            "If the new words are meant: pytest --remake-errors, then git diff",
            pytrace=False,
        )


def is_kept(item):
    """Not what is said of drawn inputs, another text in every run, nor what is rarely run."""
    marked = any(item.get_closest_marker(name) for name in ("hypothesis", "slow"))
    return item.path.is_relative_to(TESTS) and not marked


def name_of(item):
    return f"{item.path.name}::{item.nodeid.partition('::')[2]}"


def without_those_gone(kept, folder, there):
    """What is kept, but for cases of tests that their file no longer has."""

    def stays(case):
        test = of_test(case)
        file = folder / test.partition("::")[0]
        return file.exists() and (file not in there or test in there[file])

    return {
        place: {case: text for case, text in cases.items() if stays(case)}
        for place, cases in kept.items()
    }


def of_test(case):
    """The name of a case without its number."""
    return re.sub(r" \d+$", "", case)


def show(sections):
    return json.dumps(sections, indent=1, ensure_ascii=False)


def replaced(kept, tests):
    """What is kept, with the texts of these tests in place of those that they had."""
    left = {
        place: {case: text for case, text in cases.items() if of_test(case) not in tests}
        for place, cases in kept.items()
    }
    for said in tests.values():
        for place, cases in said.items():
            left.setdefault(place, {}).update(cases)
    return {place: dict(sorted(cases.items())) for place, cases in sorted(left.items()) if cases}


def write(file, sections):
    if sections:
        file.write_text(json.dumps(sections, indent=1, ensure_ascii=False) + "\n", "utf-8")
    else:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(file):
    """Workers that ran tests of one folder write one after the other."""
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def watch_raises(note):
    """Lets ``pytest.raises`` tell what it caught."""
    leave = RaisesExc.__exit__

    def told(self, exc_type, exc_val, exc_tb):
        caught = leave(self, exc_type, exc_val, exc_tb)
        if caught and exc_val is not None:
            note(exc_val)
        return caught

    RaisesExc.__exit__ = told


def watch_the_command(note):
    """Lets the command tell what it ends with, once it is imported."""
    errors = sys.modules.get("jaxmtl.cli.errors")
    if errors is None or hasattr(errors._stop, "watched"):
        return
    stop = errors._stop

    @functools.wraps(stop)
    def told(error, *args):
        note(error)
        stop(error, *args)

    told.watched = True
    errors._stop = told
