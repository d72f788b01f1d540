"""What a cell can hold besides texts, numbers and dates, so that it is not taken for one."""

from typing import Any, NamedTuple


class MarkedText(str):
    """A text of which a part is raised, lowered or struck through, as a footnote's mark is.

    Example:
        >>> MarkedText.of("351", "the raised '1'").mark
        "the raised '1'"
    """

    __slots__ = ("mark",)
    mark: str

    @classmethod
    def of(cls, text: str, mark: str) -> "MarkedText":
        """The text, with what is special about it."""
        made = cls(text)
        made.mark = mark
        return made


class ErrorText(str):
    """What a spreadsheet shows for a formula that failed: #DIV/0!."""

    __slots__ = ()


class Percent(float):
    """A number that is shown in percent: 0.12 as 12%."""

    __slots__ = ()


class Formula(NamedTuple):
    """A formula whose value was never computed.

    Attributes:
        text: of the formula, with its equals sign.
        stored: what stands in the place of the value: "" or "0".
    """

    text: str
    stored: str = ""


class SuspectZero(float):
    """A formula's 0 in a workbook that no spreadsheet program may ever have computed."""

    __slots__ = ("formula",)
    formula: str

    @classmethod
    def of(cls, formula: str) -> "SuspectZero":
        """The 0 of a formula."""
        made = cls(0.0)
        made.formula = formula
        return made


def is_blank(cell: Any) -> bool:
    """Whether nothing at all was written into a cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())
