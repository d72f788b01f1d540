"""Checkpoints of a sweep: whole or not there, of one writer, and of the very same sweep."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

MANIFEST, LOCK, STEP, ARRAYS = "manifest.json", "lock", "step_", "arrays.npz"


class StoreError(ValueError):
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
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.ascontiguousarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps others from writing a folder; the lock goes with the process, however it ends.

    Args:
        folder: made if it is not there.

    Raises:
        StoreError: another process holds it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)):
        ...     pass
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a+b") as file:
        try:
            _lock(file)
        except OSError as error:
            raise StoreError(
                f"folder {folder}: another process is writing it; wait for it to end or choose "
                "another folder"
            ) from error
        yield


def _lock(file: Any) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@functools.cache
def _checkpointer() -> Any:
    """Orbax's, which gives a checkpoint its name once all of it is written.

    Each process saves when it likes and into a folder of its own. Orbax's own format would have the
    arrays of process 0 only, so the files in the folder are NumPy's.
    """
    import orbax.checkpoint as ocp

    class Arrays(ocp.CheckpointHandler):
        def save(self, directory: Path, args: Any) -> None:
            with open(directory / ARRAYS, "xb") as file:
                np.savez(file, **args.leaves)

        def restore(self, directory: Path, args: Any = None) -> dict[str, np.ndarray]:
            with np.load(directory / ARRAYS) as file:
                return dict(file)

        def finalize(self, directory: Any) -> None:
            pass

    @ocp.args.register_with_handler(Arrays, for_save=True, for_restore=True)
    @dataclasses.dataclass
    class Leaves(ocp.args.CheckpointArgs):
        leaves: Mapping[str, np.ndarray] | None = None

    options = ocp.options.MultiprocessingOptions()
    if jax.process_count() > 1:
        process = jax.process_index()
        options = ocp.options.MultiprocessingOptions(
            primary_host=process,
            active_processes={process},
            barrier_sync_key_prefix=f"process_{process}",
        )
    return ocp.Checkpointer(Arrays(), multiprocessing_options=options)


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
            StoreError: the checkpoint there is of something else.
        """
        self.folder = Path(folder).absolute()
        identity = json.loads(json.dumps(identity))
        self.folder.mkdir(parents=True, exist_ok=True)
        if not resume:
            for step in self._steps():
                self._remove(step)
        elif self._steps():
            self._check(identity)
        for left_over in self.folder.glob(f"{STEP}*.*"):  # by a process that was killed
            shutil.rmtree(left_over, ignore_errors=True)
        temporary = self.folder / f"{MANIFEST}.new"
        temporary.write_text(json.dumps(identity, indent=1), encoding="utf-8")
        os.replace(temporary, self.folder / MANIFEST)

    def save(self, step: int, tree: PyTree) -> None:
        """Writes a checkpoint, and then removes the one before.

        Args:
            step: grows from save to save.
            tree: of arrays.
        """
        leaves = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
        _checkpointer().save(self._path(step), leaves, force=True)
        for old in self._steps():
            if old != step:
                self._remove(old)

    def load(self, like: PyTree) -> tuple[int, PyTree] | None:
        """Reads the last whole checkpoint.

        Args:
            like: of the same structure, shapes and types.

        Returns:
            Its step and the tree; None if there is none.
        """
        steps = self._steps()
        if not steps:
            return None
        found = _checkpointer().restore(self._path(steps[-1]))
        leaves, structure = jax.tree.flatten(like)
        # NumPy's files know no types but its own: bfloat16 comes back as two bytes without a name.
        read = [found[str(i)].view(np.asarray(leaf).dtype) for i, leaf in enumerate(leaves)]
        return steps[-1], structure.unflatten(read)

    def _path(self, step: int) -> Path:
        return self.folder / f"{STEP}{step:012d}"

    def _remove(self, step: int) -> None:
        # Under its name a checkpoint is whole, to the last moment.
        doomed = self._path(step).with_suffix(".removed")
        self._path(step).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _steps(self) -> list[int]:
        # A checkpoint gets its name only when it is whole.
        names = [path.parent.name for path in self.folder.glob(f"{STEP}*/{ARRAYS}")]
        return sorted(int(name[len(STEP) :]) for name in names if name[len(STEP) :].isdigit())

    def _check(self, identity: Mapping[str, Any]) -> None:
        try:
            old = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"folder {self.folder}: expected {MANIFEST} beside its checkpoint; start anew "
                "without --resume"
            ) from error
        differences = [
            f"{name} was {_short(old.get(name))} and is {_short(identity.get(name))}"
            for name in [*identity, *(name for name in old if name not in identity)]
            if old.get(name) != identity.get(name)
        ]
        if differences:
            raise StoreError(
                f"folder {self.folder}: its checkpoint is of another sweep ("
                f"{'; '.join(differences)}); repeat that one, or start anew without --resume"
            )


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}"
