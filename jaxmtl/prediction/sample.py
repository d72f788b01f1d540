"""Some coded rows that a run keeps, to ask its predictor about."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxmtl.files import FileError, write_arrays
from jaxmtl.files.arrays import read_arrays
from jaxmtl.files.errors import RunFolderError

SAMPLE = "sample.npz"
MOST_SAMPLED = 300


def some_rows(x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "some features"]:
    """Rows drawn at random, but the same each time.

    Args:
        x: coded features.

    Returns:
        300 of them, or all.

    Example:
        >>> some_rows(np.zeros((1000, 2))).shape
        (300, 2)
    """
    rng = np.random.default_rng(0)
    return x[np.sort(rng.choice(len(x), min(len(x), MOST_SAMPLED), replace=False))]


def write_sample(folder: Path, x: Float[np.ndarray, "rows features"]) -> None:
    """Keeps some rows.

    Args:
        folder: of the run.
        x: coded features of all rows.

    Raises:
        FileError: it cannot be written.
    """
    write_arrays(folder / SAMPLE, {"x": np.asarray(some_rows(x), np.float32)})


def read_sample(folder: Path, features: int) -> Float[np.ndarray, "rows features"]:
    """The rows that a run keeps.

    Args:
        folder: of the run.
        features: of its coding.

    Returns:
        Coded features.

    Raises:
        FileError: there are none, since somebody removed them or the run is an older one; or the
            file is damaged.

    Example:
        >>> read_sample(Path("none"), 3)
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.RunFolderError: folder none: it keeps no rows (sample.npz), over ...
    """
    path = folder / SAMPLE
    if not path.is_file():
        raise RunFolderError(
            f"folder {folder}: it keeps no rows ({SAMPLE}), over which predictions could be "
            "averaged; name a table with such rows"
        )
    x = read_arrays(path, what="the rows that a run keeps").get("x")
    if x is None or x.ndim != 2 or x.shape[1] != features or not len(x) or x.dtype.kind != "f":
        raise FileError(
            f"file {path}: expected rows of {features} coded features, got "
            f"{'none' if x is None else x.shape}; name a table with rows, or fit again"
        )
    if not np.isfinite(x).all():
        raise FileError(f"file {path}: expected finite numbers, got others; fit again")
    return x
