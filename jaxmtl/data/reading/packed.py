"""Texts of a long column in a sixth of the memory that they take as objects."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

LONG = 2**16  # cells, below which a column takes no memory to speak of
_OBJECT = 64  # bytes of a text and of the pointer to it


class PackedTexts(Sequence[Any]):
    """Cells that are texts, or None where blank; each is made anew when it is asked for.

    Args:
        kept: of every text its bytes in UTF-8, none where blank.

    Example:
        >>> cells = PackedTexts(np.array([b"1.5", b"", b"good"]))
        >>> cells[0], list(cells), cells[1:] == [None, "good"]
        ('1.5', ['1.5', None, 'good'], True)
    """

    def __init__(self, kept: np.ndarray) -> None:
        """Keeps them."""
        self._kept = kept

    def __len__(self) -> int:
        """Number of cells."""
        return len(self._kept)

    def __getitem__(self, at: Any) -> Any:
        """A cell, or a list of some."""
        if isinstance(at, slice):
            return list(map(_text, self._kept[at].tolist()))
        return _text(bytes(self._kept[at]))

    def __iter__(self) -> Iterator[str | None]:
        """All cells, from the first."""
        for at in range(0, len(self), LONG):
            yield from map(_text, self._kept[at : at + LONG].tolist())


def packed(cells: Sequence[Any]) -> Sequence[Any]:
    """Cells in less memory, where there are many and all are short texts; else as they are.

    Args:
        cells: of a column, none of them an empty text.

    Returns:
        The same cells.

    Example:
        >>> packed(["1", None])
        ['1', None]
    """
    if len(cells) < LONG or not {str, type(None)}.issuperset(map(type, cells)):
        return cells
    coded = [b"" if cell is None else cell.encode() for cell in cells]
    # An array ends a text before the zeros at its end, and all are as long as the longest.
    if max(map(len, coded)) > _OBJECT // 2 or any(one.endswith(b"\0") for one in coded):
        return cells
    return PackedTexts(np.array(coded))


def _text(kept: bytes) -> str | None:
    return kept.decode() or None
