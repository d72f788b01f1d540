"""The folder that work is done in: made, emptied, gone on with, refused, and withdrawn."""

import json

import pytest

from jaxmtl.files.drafts import draft_of
from jaxmtl.files.errors import FileError
from jaxmtl.files.locked import LOCK, locked
from jaxmtl.files.working import WorkingFolder

ASKED = {"seeds": 2, "arms": ["mean", "ridge"], "phases": ((3, 0.1),)}


def working(tmp_path, **changes):
    named = {
        "kind": "comparison",
        "complete": "end.json",
        "inputs": ("built_in.csv",),
        "version": 4,
    }
    return WorkingFolder(path=tmp_path / "deep" / "out", **named | changes)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def work(folder, *written, error=None, asked=ASKED, force=False, resume=False):
    """Writes files; a name with a slash is a file in a folder."""
    with folder.opened(asked, force=force, resume=resume):
        beside = folder.path / "checkpoint" / "config.json"
        record = json.loads(
            (beside if beside.exists() else folder.path / "config.json").read_text()
        )
        assert {name: value for name, value in record.items() if name != "older"} == {
            "format": 4,
            "kind": "comparison",
            "settings": json.loads(json.dumps(asked)),
        }
        for name in written:
            (folder.path / name).parent.mkdir(exist_ok=True)
            (folder.path / name).write_text("x")
        if error is not None:
            raise error


def test_work_that_is_through_leaves_no_lock_and_no_checkpoint(tmp_path):
    folder = working(tmp_path)
    work(folder, "checkpoint/a", "end.json")
    assert names(folder.path) == ["config.json", "end.json"]
    assert folder.is_complete(ASKED, resume=True)
    assert not folder.is_complete(ASKED, resume=False)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_refusal_before_there_is_a_checkpoint_leaves_no_folder(tmp_path, error):
    with pytest.raises(type(error)):
        work(working(tmp_path), "built_in.csv", error=error)
    assert names(tmp_path) == []
    work(working(tmp_path), "end.json", asked={"seeds": 3})


def test_what_is_of_worth_stays(tmp_path):
    folder = working(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        work(folder, "checkpoint/a", error=KeyboardInterrupt())
    assert names(folder.path) == ["checkpoint", "config.json", LOCK]
    # Refused work that is gone on with changes nothing about it.
    with pytest.raises(ValueError, match="no"):
        work(folder, error=ValueError("no"), resume=True)
    assert (folder.path / "checkpoint" / "a").exists()


def test_a_folder_that_was_there_before_stays(tmp_path):
    folder = working(tmp_path)
    folder.path.mkdir(parents=True)
    with pytest.raises(ValueError, match="no"):
        work(folder, error=ValueError("no"), force=True)
    assert list(folder.path.iterdir()) == []  # as empty as before, for the corrected command
    with folder.opened({}, force=False, resume=False):
        pass


def test_interrupted_work_is_resumed_or_replaced_but_never_overlooked(tmp_path):
    folder = working(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        work(folder, "checkpoint/a", "old.csv", error=KeyboardInterrupt())
    with pytest.raises(FileError, match=r"an interrupted comparison; go on with it with --resume"):
        work(folder)
    assert not folder.is_complete(ASKED, resume=True)
    work(folder, "end.json", resume=True)
    assert names(folder.path) == ["config.json", "end.json", "old.csv"]
    with pytest.raises(FileError, match="it exists already"):
        work(folder)
    work(folder, "new.csv", force=True)
    assert names(folder.path) == ["config.json", "new.csv"]


def test_other_work_is_not_resumed(tmp_path):
    folder = working(tmp_path)
    with pytest.raises(FileError, match="expected a comparison to resume, found none; start it"):
        folder.is_complete(ASKED, resume=True)
    work(folder)
    with pytest.raises(FileError, match=r"other options \(seeds was 2 and is 3\); repeat those"):
        folder.is_complete(ASKED | {"seeds": 3}, resume=True)
    with pytest.raises(FileError, match="in format 5, got format 4; read it with the version"):
        working(tmp_path, version=5).is_complete(ASKED, resume=True)
    kind = '{"format": 4, "kind": "comparison", "settings": [1]}'
    (folder.path / "config.json").write_text(kind)
    with pytest.raises(FileError, match="seeds was absent and is 2"):
        folder.is_complete(ASKED, resume=True)
    # The record of something else, such as a run.
    (folder.path / "config.json").write_text('{"format": 4, "settings": [1]}')
    with pytest.raises(FileError, match="expected a comparison to resume, found none"):
        folder.is_complete(ASKED, resume=True)
    with pytest.raises(FileError, match="got a folder with other files"):
        work(folder, force=True)
    assert names(folder.path) == ["config.json"]


def complete(folder):
    work(folder, "end.json", "old.csv", "both.csv")
    return {path.name: path.read_text() for path in folder.path.iterdir()}


def test_what_is_replaced_stays_until_the_new_work_is_through(tmp_path):
    folder = working(tmp_path)
    before = complete(folder)
    stamp = folder.stamp()
    other = {"seeds": 5}
    with pytest.raises(ValueError, match="refused"):
        work(folder, "built_in.csv", error=ValueError("refused"), asked=other, force=True)
    (folder.path / LOCK).unlink()
    assert {path.name: path.read_text() for path in folder.path.iterdir()} == before
    assert folder.is_complete(ASKED, resume=True)
    assert folder.stamp() == stamp
    with pytest.raises(KeyboardInterrupt):
        work(folder, "checkpoint/a", error=KeyboardInterrupt(), asked=other, force=True)
    for name, content in before.items():
        assert (folder.path / name).read_text() == content
    assert folder.is_begun()
    assert not folder.is_complete(other, resume=True)
    with pytest.raises(FileError, match=r"seeds was 5 and is 2"):
        folder.is_complete(ASKED, resume=True)
    with pytest.raises(FileError, match="an interrupted comparison; go on with it with --resume"):
        work(folder, asked=other)
    (folder.path / "both.csv").unlink()  # as one that is renamed to it
    work(folder, "end.json.new", "both.csv", asked=other, resume=True)
    assert names(folder.path) == ["both.csv", "config.json", "end.json.new"]


def test_interrupted_work_stays_if_what_is_to_replace_it_is_refused(tmp_path):
    folder = working(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        work(folder, "checkpoint/a", error=KeyboardInterrupt())
    with pytest.raises(ValueError, match="refused"):
        work(folder, error=ValueError("refused"), asked={"seeds": 5}, force=True)
    assert (folder.path / "checkpoint" / "a").exists()
    assert not folder.is_complete(ASKED, resume=True)
    with pytest.raises(KeyboardInterrupt):
        work(folder, "checkpoint/b", error=KeyboardInterrupt(), asked={"seeds": 5}, force=True)
    assert names(folder.path / "checkpoint") == ["b", "config.json"]
    assert names(folder.path) == ["checkpoint", "config.json", LOCK]


@pytest.mark.parametrize("options", [{}, {"force": True}, {"resume": True}])
def test_what_a_killed_process_leaves_before_it_has_begun_is_in_nobodys_way(tmp_path, options):
    folder = working(tmp_path)
    folder.path.mkdir(parents=True)
    (folder.path / LOCK).touch()
    draft_of(folder.path / "config.json").touch()
    assert not folder.is_complete(ASKED, resume=True)
    work(folder, "end.json", **options)
    assert names(folder.path) == ["config.json", "end.json"]


def test_a_folder_of_other_files_is_not_emptied(tmp_path):
    folder = working(tmp_path)
    folder.path.mkdir(parents=True)
    (folder.path / "mine.txt").write_text("")
    with pytest.raises(FileError, match="got a folder with other files"):
        work(folder, force=True)
    assert names(folder.path) == ["mine.txt"]


def test_two_at_once_are_refused_and_the_first_one_goes_on(tmp_path):
    folder = working(tmp_path)
    with folder.opened(ASKED, force=False, resume=False):
        for options in ({"resume": True}, {"force": True}):
            with pytest.raises(FileError, match="another process is writing it; wait for it"):
                work(folder, **options)
        assert names(folder.path) == ["config.json", LOCK]


def test_one_that_was_quicker_is_not_overwritten(tmp_path, monkeypatch):
    folder = working(tmp_path)
    look = WorkingFolder._older

    def late(self, **options):
        (self.path / "end.json").write_text("whole")
        return look(self, **options)

    monkeypatch.setattr(WorkingFolder, "_older", late)
    with pytest.raises(FileError, match="it exists already"):
        work(folder)
    assert (folder.path / "end.json").read_text() == "whole"


def test_a_lock_is_of_the_error_asked_for_and_ends_with_its_block(tmp_path):
    class OwnError(FileError):
        pass

    with locked(tmp_path / "a"), pytest.raises(OwnError), locked(tmp_path / "a", error=OwnError):
        pass
    with locked(tmp_path / "a"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"), locked(tmp_path / "file"):
        pass
    with pytest.raises(FileError, match="cannot be written"):
        work(WorkingFolder(path=tmp_path / "file" / "b", kind="sweep", complete="c"))
