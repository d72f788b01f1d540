"""Drafts that nobody finishes are removed; those that somebody is writing are left alone."""

import os
from pathlib import Path

import pytest

from jaxmtl.files import drafts
from jaxmtl.files.atomic import new_file, new_folder
from jaxmtl.files.drafts import draft_of, held, made_and_held

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no such locks")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left_over(final: Path, *, old: bool = False, folder: bool = True) -> Path:
    path = draft_of(final, old=old)
    if folder:
        path.mkdir()
        (path / "a.txt").write_text("half")
    else:
        path.write_text("half")
    return path


def test_the_next_one_that_writes_there_removes_what_was_left(tmp_path):
    (tmp_path / ".other.tmp").mkdir()
    left_over(tmp_path / "run")
    left_over(tmp_path / "another")
    left_over(tmp_path / "a.csv", folder=False)
    with new_file(tmp_path / "b.csv") as path:
        path.write_text("whole")
    assert names(tmp_path) == [".other.tmp", "b.csv"]


def test_what_a_living_process_writes_stays(tmp_path):
    with made_and_held(tmp_path / "run", folder=True) as draft:
        drafts._swept.clear()
        with new_folder(tmp_path / "other"):
            pass
        assert names(tmp_path) == [draft.name, "other"]
        with held(draft) as ours:
            assert not ours
        draft.rmdir()


@pytest.mark.parametrize("there", [True, False])
def test_the_older_folder_comes_back_if_its_successor_has_not_come(tmp_path, there):
    if there:
        (tmp_path / "run.v1").mkdir()
    left_over(tmp_path / "run.v1", old=True)
    with new_folder(tmp_path / "other"):
        pass
    assert names(tmp_path) == ["other", "run.v1"]
    assert (tmp_path / "run.v1" / "a.txt").exists() is not there


def test_names_of_any_length_and_letters(tmp_path):
    for name in ("n" * 250, "臭氧" * 40, "a\nb", "=1+1.csv"):
        with new_folder(tmp_path / name):
            pass
        assert (tmp_path / name).is_dir()


def test_at_its_end_the_process_removes_what_it_has_not_undone(tmp_path):
    making = made_and_held(tmp_path / "run", folder=True)
    draft = making.__enter__()
    drafts.remove_own()
    assert not draft.exists()
    making.__exit__(None, None, None)
