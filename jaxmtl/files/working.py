"""A folder that long work is done in: it can be broken off and gone on with.

Work that replaces older work keeps its record among its checkpoints until it is through: until then
what was there stays as it was.
"""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxmtl.files.atomic import check_folder, make_parents
from jaxmtl.files.drafts import draft_of, is_draft
from jaxmtl.files.errors import FileError, RunFolderError, short, why
from jaxmtl.files.json_file import as_read_again, read_json_file, write_json_file
from jaxmtl.files.locked import LOCK, locked


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkingFolder:
    """The names in such a folder, and the words for it.

    Attributes:
        path: of the folder.
        kind: what is worked on, with no article.
        complete: a file that is there once all is done.
        settings: the file that says what was asked for.
        checkpoint: the folder of checkpoints, which is removed once all is done.
        inputs: files that are written before there is a checkpoint and can be written again.
        version: of the format of the files.
        words: what asks for resuming, for replacing, and for another folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     work = WorkingFolder(path=Path(place, "out"), kind="sweep", complete="end.txt")
        ...     with work.opened({"seeds": 2}, force=False, resume=False):
        ...         _ = Path(place, "out", "end.txt").write_text("all is done")
        ...     work.is_complete({"seeds": 2}, resume=True)
        True
    """

    path: Path
    kind: str
    complete: str
    settings: str = "config.json"
    checkpoint: str = "checkpoint"
    inputs: tuple[str, ...] = ()
    version: int = 1
    words: tuple[str, str, str] = ("--resume", "--force", "--out")

    def is_complete(self, asked: Mapping[str, Any], *, resume: bool) -> bool:
        """Whether work to be resumed is done already.

        Args:
            asked: what is asked for now; JSON values.
            resume: else nothing that is there counts.

        Returns:
            Whether it is complete.

        Raises:
            FileError: there is nothing to resume, or it is something else than is asked for.
        """
        if not resume:
            return False
        record = self._record()
        if not record.exists() and self.path.is_dir() and not self._left():
            return False  # it ended before it had begun
        if not record.exists() or not self._is_ours(self.path):
            raise FileError(
                f"folder {self.path}: expected a {self.kind} to resume, found none; start it "
                f"without {self.words[0]}"
            )
        found = read_json_file(record, what="JSON written by jaxmtl")
        if found.get("format") != self.version:
            raise FileError(
                f"file {record}: expected JSON written by jaxmtl in format {self.version}, got "
                f"format {found.get('format')}; read it with the version of jaxmtl that wrote it"
            )
        saved = found.get("settings")
        saved = saved if isinstance(saved, dict) else {}
        differences = [
            f"{name} was {short(saved.get(name))} and is {short(value)}"
            for name, value in asked.items()
            if saved.get(name) != as_read_again(value)
        ]
        if differences:
            raise FileError(
                f"folder {self.path}: it holds a {self.kind} with other options "
                f"({'; '.join(differences)}); repeat those, or choose another folder with "
                f"{self.words[2]}"
            )
        return self.is_through()

    @contextlib.contextmanager
    def opened(self, asked: Mapping[str, Any], *, force: bool, resume: bool) -> Iterator[None]:
        """Makes the folder, or makes ready to replace older work, and keeps others from writing it.

        If the block ends with an exception before there is a checkpoint, a folder that was made
        for it goes again, so that the corrected command finds its place free, and older work is
        as it was. What is left of older work goes when the block ends well.

        Args:
            asked: what is asked for; JSON values.
            force: an older folder of this kind may be replaced.
            resume: what is there is gone on with.

        Raises:
            FileError: something is there that must not be replaced, or another process is writing
                it.
        """
        if not resume and not force and (self.path / self.checkpoint).is_dir():
            raise FileError(
                f"folder {self.path}: it holds an interrupted {self.kind}; go on with it with "
                f"{self.words[0]}, or replace it with {self.words[1]}"
            )
        if not resume and not (self.path.is_dir() and not self._left()):
            self._check_place(force=force)
        parents = make_parents(self.path)
        try:
            self.path.mkdir()
        except FileExistsError:
            made = []
        except OSError as error:
            for folder in parents:
                folder.rmdir()
            raise RunFolderError(
                f"folder {self.path}: cannot be written ({why(error)}); check the path and its "
                "permissions"
            ) from error
        else:
            made = [self.path, *parents]
        bare, ours = not self._left(), False
        try:
            with locked(self.path):
                older = self._older(force=force, resume=resume)
                ours = True
                record = {"format": self.version, "kind": self.kind, "settings": dict(asked)}
                first = self._record() if resume else self.path / self.settings
                if older:
                    first = self._replacing()
                with self._beside(older, resume=resume):
                    write_json_file(first, record | ({"older": older} if older else {}), force=True)
                    yield
                self._remove_unchanged(older)
                if first != self.path / self.settings:
                    write_json_file(self.path / self.settings, record, force=True)
                shutil.rmtree(self.path / self.checkpoint, ignore_errors=True)
        except BaseException:
            if bare and ours:
                self._withdraw(made)
            raise
        (self.path / LOCK).unlink(missing_ok=True)

    def _check_place(self, *, force: bool) -> None:
        try:
            check_folder(self.path, force=force, replaceable=self._is_ours)
        except RunFolderError as error:
            said = str(error).replace("--force", self.words[1]).replace("--out", self.words[2])
            raise RunFolderError(said) from error

    def is_through(self) -> bool:
        """Whether all that was asked for is there."""
        return (self.path / self.complete).is_file() and not self._replacing().exists()

    def is_begun(self) -> bool:
        """Whether there is something to go on with."""
        return self._record().is_file()

    def stamp(self) -> str | None:
        """What tells complete work from later work that has replaced it; None if there is none."""
        return _stamp(self.path / self.complete) if self.is_through() else None

    def _replacing(self) -> Path:
        """The record of work that is to replace older work."""
        return self.path / self.checkpoint / self.settings

    def _record(self) -> Path:
        return self._replacing() if self._replacing().exists() else self.path / self.settings

    def _left(self) -> list[Path]:
        """What is there but for what a process leaves that is killed before it has begun."""
        return [p for p in self.path.iterdir() if p.name != LOCK and not is_draft(p.name)]

    def _is_ours(self, folder: Path) -> bool:
        if any((folder / name).exists() for name in (self.complete, self.checkpoint)):
            return True
        try:
            return read_json_file(folder / self.settings).get("kind") == self.kind
        except FileError:
            return False

    def _older(self, *, force: bool, resume: bool) -> dict[str, str]:
        """What is there of older work, by names, now that nobody else writes it."""
        if resume:
            if not self._replacing().exists():
                return {}
            older = read_json_file(self._replacing()).get("older")
            return older if isinstance(older, dict) else {}
        left = self._left()
        if left and not force:  # another process has been quicker, and is through
            self._check_place(force=False)
        return {path.name: _stamp(path) or "" for path in left}

    @contextlib.contextmanager
    def _beside(self, older: Mapping[str, str], *, resume: bool) -> Iterator[None]:
        """Makes place for work beside what is there, and unmakes it if the work does not begin."""
        if resume or not older:
            yield
            return
        checkpoint = self.path / self.checkpoint
        aside = draft_of(checkpoint, old=True)
        if os.path.lexists(checkpoint):
            checkpoint.rename(aside)
        try:
            checkpoint.mkdir()
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                if not {path.name for path in checkpoint.iterdir()} - {self.settings}:
                    _remove(checkpoint)
                    for name in set(self.inputs) - set(older):
                        (self.path / name).unlink(missing_ok=True)
                    if os.path.lexists(aside):
                        aside.rename(checkpoint)
            raise
        finally:
            if os.path.lexists(aside):
                _remove(aside)

    def _remove_unchanged(self, older: Mapping[str, str]) -> None:
        """Removes what no file of the new work has taken the place of."""
        for path in self._left():
            if path.name != self.checkpoint and older.get(path.name) == _stamp(path):
                _remove(path)

    def _withdraw(self, made: list[Path]) -> None:
        """Removes what was made, folders too, if nothing of worth is in it."""
        own = {self.settings, LOCK, *self.inputs}
        with contextlib.suppress(OSError):
            if {path.name for path in self.path.iterdir()} <= own:
                for path in self.path.iterdir():
                    path.unlink()
                for folder in made:
                    folder.rmdir()


def _stamp(path: Path) -> str | None:
    """What a file that takes the place of this one does not share with it."""
    try:
        state = path.lstat()
    except OSError:
        return None
    return f"{state.st_ino} {state.st_mtime_ns}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
