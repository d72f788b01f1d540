"""How tables are read, as keywords: one list for every command and every preset."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmtl.data.options import ReadingOptions
    from jaxmtl.prediction.predictor import Reading

NAMES = ("missing_values", "decimal", "thousands", "header_row", "visible_rows")


def how_to_read(
    options: "ReadingOptions | Reading", *, header_row: int | None = None
) -> dict[str, Any]:
    """What ``read_table``, ``read_cells`` and ``Reading`` take alike.

    Args:
        options: of a command, or as a run keeps them.
        header_row: instead of theirs, where a table to predict has another one.

    Returns:
        Values by keyword.

    Example:
        >>> from jaxmtl.data.options import ReadingOptions
        >>> how_to_read(ReadingOptions(missing_values=("-999",)), header_row=3)["header_row"]
        3
    """
    found = {name: getattr(options, name) for name in NAMES}
    return found if header_row is None else found | {"header_row": header_row}
