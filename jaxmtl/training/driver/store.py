"""Checkpoints of a sweep: whole or not there, of one writer, and of the very same sweep."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmtl.files.arrays import Limits, read_arrays, write_arrays
from jaxmtl.files.errors import FileError, short, why
from jaxmtl.files.json_file import as_read_again, json_text, read_json_file, write_json_file

MANIFEST, STEP, SEAL = "manifest.json", "step_", "seal"
WHOLE, DRAFT = ".npz", ".draft"
NO_LIMITS = Limits(entries=sys.maxsize, total=sys.maxsize)  # a large file, but our own


class StoreError(FileError):
    """A checkpoint that must not be read or written.

    Example:
        >>> raise StoreError("folder x: another process is writing it")
        Traceback (most recent call last):
            ...
        jaxmtl.training.driver.store.StoreError: folder x: another process is writing it
    """


def digest(tree: PyTree) -> str:
    """A fingerprint of the numbers in a pytree.

    Args:
        tree: of arrays.

    Returns:
        SHA-256 over shapes, types and values.

    Example:
        >>> digest(np.zeros(3))[:8] == digest(np.zeros(3))[:8] != digest(np.ones(3))[:8]
        True
    """
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(_bare(leaf))
        found.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


class Store:
    """The checkpoints of one sweep in one folder, of which only the last one is kept.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store(folder, {"options": "a"}, resume=False)
        ...     store.save(3, {"x": np.arange(2)})
        ...     store.load({"x": np.zeros(2, int)})[1]["x"].tolist()
        [0, 1]
    """

    def __init__(
        self, folder: str | os.PathLike[str], identity: Mapping[str, Any], *, resume: bool
    ) -> None:
        """Opens a folder, for writing by this process alone (see ``locked``).

        Args:
            folder: made if it is not there.
            identity: what a checkpoint is of; JSON values.
            resume: a checkpoint that is there is of use; else it is removed.

        Raises:
            StoreError: the checkpoint there is of something else, or nothing can be written there.
        """
        self.folder = Path(folder).absolute()
        self._identity = identity = as_read_again(identity)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if resume and self._steps():
                self._check(identity)
            gone = [] if resume else list(map(self._path, self._steps()))
            drafts = self.folder.glob(f"{STEP}*{DRAFT}")  # by a process that was killed
            for left_over in (*gone, *drafts):
                left_over.unlink()
        except OSError as error:
            raise self._unwritable(error) from error
        write_json_file(self.folder / MANIFEST, identity, force=True)

    def save(self, step: int, tree: PyTree) -> None:
        """Writes a checkpoint, and then removes the one before.

        Args:
            step: grows from save to save.
            tree: of arrays, keys among them.

        Raises:
            StoreError: the folder cannot be written.
        """
        leaves = {str(i): _bare(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
        leaves[SEAL] = self._seal(step, list(leaves.values()))
        # Under its name a checkpoint is whole; what is not yet whole has another one.
        draft = self._path(step).with_suffix(DRAFT)
        try:
            with open(draft, "wb") as file:
                write_arrays(file, leaves)
            os.replace(draft, self._path(step))
        except OSError as error:
            draft.unlink(missing_ok=True)  # a full disk needs the room
            raise self._unwritable(error) from error
        for old in self._steps():
            if old != step:
                self._path(old).unlink()

    def load(self, like: PyTree) -> tuple[int, PyTree] | None:
        """Reads the last whole checkpoint.

        Args:
            like: of the same structure, shapes and types.

        Returns:
            Its step and the tree; None if there is none.

        Raises:
            StoreError: it is damaged, or of another structure.
        """
        steps = self._steps()
        if not steps:
            return None
        leaves, structure = jax.tree.flatten(like)
        try:
            found = read_arrays(self._path(steps[-1]), limits=NO_LIMITS, what="a checkpoint")
        except FileError as error:
            raise StoreError(f"{error}, or {self._anew}") from error
        wanted = {str(i): _kind(_bare(leaf)) for i, leaf in enumerate(leaves)}
        for name, kind in wanted.items():
            got = _kind(found[name]) if name in found else "nothing"
            if got != kind:
                raise StoreError(
                    f"folder {self.folder}: expected {kind} in its checkpoint, got {got}; "
                    f"{self._anew}"
                )
        arrays = [found[name] for name in wanted]
        if not np.array_equal(found.get(SEAL, ()), self._seal(steps[-1], arrays)):
            raise StoreError(
                f"file {self._path(steps[-1])}: expected the numbers that a sweep of these options "
                f"left at this step, got others; {self._anew}"
            )
        return steps[-1], structure.unflatten(map(_dressed, arrays, leaves))

    def _seal(self, step: int, arrays: list[np.ndarray]) -> np.ndarray:
        """Tells these numbers at this step of this sweep from any others, by whomever written."""
        found = hashlib.sha256(f"{step} {json_text(self._identity)}".encode())
        found.update(digest(arrays).encode())
        return np.frombuffer(found.digest(), np.uint8)

    @property
    def _anew(self) -> str:
        """What to do: not all who resume have an option for it."""
        return f"remove {self.folder} to start anew"

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"folder {self.folder}: cannot be written ({why(error)}); check its permissions, and "
            "the space on the disk"
        )

    def _path(self, step: int) -> Path:
        return self.folder / f"{STEP}{step:012d}{WHOLE}"

    def _steps(self) -> list[int]:
        names = [path.stem[len(STEP) :] for path in self.folder.glob(f"{STEP}*{WHOLE}")]
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

    def _check(self, identity: Mapping[str, Any]) -> None:
        try:
            old = read_json_file(self.folder / MANIFEST)
        except FileError as error:
            raise StoreError(
                f"folder {self.folder}: expected {MANIFEST} beside its checkpoint; {self._anew}"
            ) from error
        differences = [
            f"{name} was {short(old.get(name))} and is {short(identity.get(name))}"
            for name in [*identity, *(name for name in old if name not in identity)]
            if old.get(name) != identity.get(name)
        ]
        if differences:
            raise StoreError(
                f"folder {self.folder}: its checkpoint is of other work ("
                f"{'; '.join(differences)}); repeat that, or {self._anew}"
            )


def _bare(leaf: Any) -> np.ndarray:
    """An array as a file holds it, of keys their data."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _dressed(array: np.ndarray, like: Any) -> Any:
    if not _is_key(like):
        return array
    return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(like))


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"
