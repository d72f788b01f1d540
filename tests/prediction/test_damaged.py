"""Some hundred damages of a run folder: each is one sentence, or does no harm."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from damages import damaged, saved
from made_runs import save_without_pictures
from some_cases import some

from jaxmtl import Event
from jaxmtl.files.errors import FileError
from jaxmtl.prediction.predictor import Predictor
from jaxmtl.prediction.save import load_predictor
from jaxmtl.report import load_run, summarize


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory) -> Path:
    made = make(towers=(2,))
    return save_without_pictures(tmp_path_factory.mktemp("whole") / "run", made)


@pytest.fixture(scope="module")
def other(make, tmp_path_factory) -> Path:
    """A run of other columns that has split twice."""
    events = (Event(1, 4, 7, 1, 3, 5, (0,)), Event(2, 2, 3, 0, 4, 5, (0,)))
    made = make(features=("SO2", "NO2"), events=events)
    return save_without_pictures(tmp_path_factory.mktemp("other") / "run", made)


@pytest.fixture(scope="module")
def sibling(make, tmp_path_factory) -> Path:
    """A run of the same columns and network that has split another node."""
    made = make(towers=(2,), events=(Event(1, 4, 7, 2, 3, 5, (1,)),))
    return save_without_pictures(tmp_path_factory.mktemp("sibling") / "run", made)


@pytest.fixture(scope="module", autouse=True)
def of_equal_bytes() -> Iterator[dict[bytes, tuple[Predictor, np.ndarray]]]:
    """Models by the bytes of their file, and what they predict: equal ones are read once."""
    known: dict[bytes, tuple[Predictor, np.ndarray]] = {}

    def load(path: Path) -> Predictor:
        content = path.read_bytes()
        if content not in known:
            found = load_predictor(path)
            known[content] = found, found.predict(np.array([[20.0, 30.0]]))
        return known[content][0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxmtl.prediction.folder.load_predictor", load)
        yield known


@pytest.fixture(scope="module")
def asked(of_equal_bytes) -> Callable[[Path], np.ndarray]:
    """What `predict` says of a folder, of which `inspect` has something to say, too."""

    def ask(folder: Path) -> np.ndarray:
        run = load_run(folder)
        assert summarize(run)
        return next(own for found, own in of_equal_bytes.values() if found is run.predictor)

    return ask


@pytest.fixture
def check(whole, asked, tmp_path):
    """Does something to a file of the run, and looks what comes of it."""
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    before = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    unharmed = asked(whole)

    def check(name: str, content: bytes | None) -> bool:
        """Whether the damage was found; whatever was not has done no harm to predictions."""
        path = folder / name
        path.unlink() if content is None else path.write_bytes(content)
        try:
            predicted = asked(folder)
        except FileError as error:
            text = str(error)
            assert text.startswith(("file ", "folder ")), text
            assert "\n" not in text, text
            assert len(text) < 1500, text
            return True
        finally:
            path.write_bytes(before[name])
        np.testing.assert_array_equal(predicted, unharmed)
        return False

    return check


@pytest.mark.parametrize("name", some(["config.json", "metrics.json"], "config.json"))
def test_json(check, whole, name):
    value = json.loads((whole / name).read_text(encoding="utf-8"))
    found = {what: check(name, json.dumps(v).encode()) for what, v in damaged(value)}
    assert len(found) > 150
    equal = (": True", ": more")  # True is 1, and further keys are not looked at
    missed = [what for what, told in found.items() if not told and not what.endswith(equal)]
    # What is not read again, what may be any number, and what there is only one of anyway.
    free = {
        "config.json": ("settings", "versions", "machine", "written", "source", "phases", "start"),
        "metrics.json": ("errors", "ratio", "rows", "epochs"),
    }[name]
    other = [what for what in missed if not any(f"'{word}'" in what for word in free)]
    optional = {"('method',): missing", "('notes',): missing"}
    assert set(other) <= optional, other
    unread = ("settings", "versions", "machine", "start")
    gone = [what for what in missed if "missing" in what and what != "('phases', 1): missing"]
    assert all(
        any(f"'{word}'" in what for word in (*unread, "method", "notes")) for what in gone
    ), gone


@pytest.mark.slow
def test_json_of_the_model(check, whole):
    with np.load(whole / "model.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    value = json.loads(str(arrays.pop("spec")))
    told = []
    for what, changed in damaged(value):
        content = saved({"spec": np.array(json.dumps(changed)), **arrays})
        if not check("model.npz", content):
            told.append(what)
    # Equal numbers, other ways to read a table, and words that no prediction depends on.
    free = ("missing_values", "missing_features", "unit", "weight", "kind", "True", "classes")
    assert all(any(word in what for word in free) for what in told), told


def test_text_that_is_no_json(check):
    for name in ("config.json", "metrics.json"):
        for text in (
            "",
            "{",
            "[]",
            "3",
            "null",
            "[" * 100_000,
            '{"a":' * 100_000,
            '{"format": 1e999}',
        ):
            assert check(name, text.encode())
        assert check(name, b"\xff\xfe\x00")
        assert check(name, None)


def test_arrays(check, whole):
    with np.load(whole / "model.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}

    def told(changed, **more) -> bool:
        return check("model.npz", saved({**changed, **more}))

    for name, array in arrays.items():
        rest = {key: value for key, value in arrays.items() if key != name}
        assert told(rest), name
        bad = [array.astype(np.complex64)] if array.dtype.kind != "U" else [np.zeros(3)]
        bad += [np.array("text"), np.array(["a", "b"]), np.zeros(array.shape, bool), np.array(7.0)]
        bad += [np.zeros((*array.shape, 2), array.dtype), np.zeros((0,), array.dtype)]
        if array.dtype.kind == "f":
            bad += [array * np.nan, array + np.inf, array.astype(np.float16), array.astype(int)]
        if array.dtype.kind == "i":
            bad += [array + 1000, array - 1000, array * 0, array.astype(np.int64), array * 1.0]
        for value in bad:
            assert told({**rest, name: value}), (name, value)
        assert told({**rest, f"{name}x": array}), name
    assert told(arrays, more=np.zeros(3))
    assert told(arrays, **{"models/1/head_index": arrays["models/0/head_index"]})
    assert told(arrays | {f"models/0/params/{i}": np.zeros(1) for i in range(300)})
    objects = np.array([{"a": 1}], dtype=object)
    assert check("model.npz", saved(arrays | {"coding/fill": objects}))


def test_events(check, whole):
    header, row = (whole / "events.csv").read_text(encoding="utf-8").splitlines()[:2]
    cells = row.split(",")
    for place in range(len(cells)):
        for cell in ("", "x", "-1", "1e3", "9" * 5000, "999", "٣", '"', "PM2.5; O3", "nan"):
            changed = [*cells[:place], cell, *cells[place + 1 :]]
            told = check("events.csv", f"{header}\n{','.join(changed)}\n".encode())
            assert told or cell in ("", "999"), (place, cell)
        assert check("events.csv", f"{header}\n{','.join(cells[:place])}\n".encode())
    for text in ("", header, f"{header}\n{row},1\n", f"{header}\n{row}\n{row}\n", row, "\0" * 99):
        assert check("events.csv", text.encode()), text


def test_flipped_and_missing_bytes(check, whole):
    for name in ("config.json", "metrics.json", "events.csv"):
        content = (whole / name).read_bytes()
        for at in range(0, len(content), max(len(content) // 20, 1)):
            check(name, content[:at])
            check(name, content[:at] + bytes([content[at] ^ 128]) + content[at + 1 :])
    content = (whole / "model.npz").read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(content), 60).tolist():
        assert check("model.npz", content[:at])
        # A byte that says when the file was made, or how to name it, does no harm.
        check("model.npz", content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])


@pytest.mark.parametrize("stranger", ["other", "sibling"])
def test_files_of_another_run(check, stranger, request):
    strange = request.getfixturevalue(stranger)
    found = {
        name: check(name, (strange / name).read_bytes())
        for name in ("config.json", "metrics.json", "events.csv")
    }
    assert found["events.csv"]
    if stranger == "other":
        assert found == {"config.json": True, "metrics.json": True, "events.csv": True}
    # A model beside the records of another.
    assert check("model.npz", (strange / "model.npz").read_bytes())


@pytest.mark.parametrize("name", ["history.csv", "events.csv", "predictions.csv", "model.npz"])
def test_files_that_are_missing(check, name):
    assert check(name, None)
    assert name in ("history.csv", "predictions.csv") or check(name, b"")
