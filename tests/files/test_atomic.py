"""Files and folders appear whole or not at all."""

import os
from pathlib import Path

import pytest

from jaxmtl.files.atomic import check_file, check_folder, new_file, new_folder
from jaxmtl.files.errors import RunFolderError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(folder: Path, text: str) -> None:
    (folder / "a.txt").write_text(text)


def put(path: Path, text: str, force: bool = False) -> None:
    with new_folder(path, force=force) as folder:
        fill(folder, text)


def fail(path: Path, error: type[BaseException], force: bool = False) -> None:
    """Breaks off in the middle of filling a folder."""
    older = path / "a.txt"
    before = older.read_text() if older.exists() else None
    with new_folder(path, force=force) as folder:
        fill(folder, "half")
        assert (older.read_text() if older.exists() else None) == before
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_folder_is_not_there_after_a_failure(tmp_path, error):
    with pytest.raises(error):
        fail(tmp_path / "deep" / "run", error)
    assert names(tmp_path) == []  # not even the folder above, which was made for it


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_older_folder_stays_as_it_was_after_a_failure(tmp_path, error):
    old = tmp_path / "run"
    old.mkdir()
    fill(old, "old")
    with pytest.raises(error):
        fail(old, error, force=True)
    assert names(tmp_path) == ["run"]
    assert (old / "a.txt").read_text() == "old"


def test_older_folder_is_replaced_as_a_whole(tmp_path):
    old = tmp_path / "run"
    old.mkdir()
    (old / "left over").write_text("")
    with new_folder(old, force=True) as folder:
        fill(folder, "new")
    assert names(tmp_path) == ["run"]
    assert names(old) == ["a.txt"]


def test_older_folder_comes_back_if_the_last_step_fails(tmp_path, monkeypatch):
    old = tmp_path / "run"
    old.mkdir()
    fill(old, "old")
    rename = Path.rename

    def fails(self, target):
        if self.name.endswith(".tmp") and Path(target) == old and (self / "a.txt").exists():
            if (self / "a.txt").read_text() == "new":
                raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(RunFolderError, match="the disk is full"):
        put(old, "new", force=True)
    assert names(tmp_path) == ["run"]
    assert (old / "a.txt").read_text() == "old"


def test_folder_made_by_another_meanwhile_is_kept(tmp_path):
    def put_late() -> None:
        with new_folder(tmp_path / "run") as folder:
            fill(folder, "second")
            put(tmp_path / "run", "first")

    with pytest.raises(RunFolderError, match="exists already"):
        put_late()
    assert names(tmp_path) == ["run"]
    assert (tmp_path / "run" / "a.txt").read_text() == "first"


def test_folder_of_another_kind_is_not_replaced(tmp_path):
    fill(tmp_path, "mine")
    with pytest.raises(RunFolderError, match="got a folder with other files"):
        check_folder(tmp_path, force=True, replaceable=lambda folder: False)
    (tmp_path / "a.txt").unlink()
    check_folder(
        tmp_path, force=True, replaceable=lambda folder: False
    )  # an empty one holds nothing


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_link_goes_on_pointing_at_the_folder(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with new_folder(tmp_path / "link", force=True) as folder:
        fill(folder, "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "a.txt").read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="other permissions there")
def test_folder_has_ordinary_permissions(tmp_path):
    (tmp_path / "plain").mkdir()
    with new_folder(tmp_path / "run"):
        pass
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_file_is_not_there_after_a_failure_and_an_older_one_stays(tmp_path):
    def fail_in_file(path: Path) -> None:
        with new_file(path, force=True) as file:
            assert file.suffix == ".csv"
            file.write_text("half")
            raise KeyboardInterrupt

    (tmp_path / "b.csv").write_text("old")
    for path in (tmp_path / "deep" / "a.csv", tmp_path / "b.csv"):
        with pytest.raises(KeyboardInterrupt):
            fail_in_file(path)
    assert names(tmp_path) == ["b.csv"]
    assert (tmp_path / "b.csv").read_text() == "old"


def test_file_is_replaced_only_with_force(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(RunFolderError, match="exists already"), new_file(path):
        pass
    with new_file(path, force=True) as file:
        file.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.csv"]


def test_file_where_a_folder_is(tmp_path):
    with pytest.raises(RunFolderError, match="expected a file, got a folder"):
        check_file(tmp_path, force=True)
    (tmp_path / "a").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"), new_file(tmp_path / "a" / "b"):
        pass
    with pytest.raises(RunFolderError, match="cannot be written"), new_folder(tmp_path / "a" / "b"):
        pass
