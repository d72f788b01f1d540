"""From what a cell holds to a number, and nothing but a number that the cell clearly means."""

import re
import unicodedata
from collections.abc import Iterable
from numbers import Real
from typing import Any, NamedTuple

# Texts that no one writes for a number, in the spellings of pandas, R, SQL and Excel's =NA().
_BLANKS = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "null", "none"})
_EXCEL_ERRORS = frozenset(
    {"#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#SPILL!", "#CALC!"}
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_INFINITE = re.compile(r"[+-]?(inf|infinity|∞)", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+")


class CellError(ValueError):
    """A cell that holds no number: what was got and what to do, without the place."""


class MissingValues(NamedTuple):
    """What the user declared to mean "missing", besides blank cells.

    Attributes:
        numbers: numeric codes; 0 also means 0.0 and the text "0".
        texts: any other text, compared without surrounding blanks.
    """

    numbers: frozenset[float] = frozenset()
    texts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, values: Iterable[Any] | Any) -> "MissingValues":
        """Sorts numbers, and texts that are numbers, from other texts."""
        if isinstance(values, str | Real):
            values = (values,)
        numbers, texts = set(), set()
        for value in values:
            text = tidy(value) if isinstance(value, str) else None
            number = value if text is None else _read_number(text)
            if isinstance(number, Real):
                numbers.add(float(number))
            elif text is not None:
                texts.add(text)
            else:
                raise TypeError(f"missing_values: expected numbers or texts, got {value!r}")
        return cls(frozenset(numbers), frozenset(texts))


def tidy(text: str) -> str:
    """Without surrounding blanks, and with full-width characters made ordinary."""
    return unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").strip()


def is_blank(cell: Any) -> bool:
    """Whether nothing at all was written into a cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def read_cell(cell: Any, missing: MissingValues) -> float:
    """The number in a cell, NaN where it is missing.

    Raises:
        CellError: the cell holds something else, or an infinite number.
    """
    if isinstance(cell, str):
        text = tidy(cell)
        if text in missing.texts or text.casefold() in _BLANKS:
            return float("nan")
        number = _read_number(text)
        if number is None:
            raise CellError(f"expected a number, got {_describe_text(cell, text)}")
    elif cell is None:
        return float("nan")
    elif isinstance(cell, Real) and not isinstance(cell, bool):
        try:
            number = float(cell)
        except OverflowError:
            number = float("inf")
    else:
        raise CellError(f"expected a number, got {_describe(cell)}; write a number there")
    if number in missing.numbers:
        return float("nan")
    if number in (float("inf"), float("-inf")):
        raise CellError(
            f"expected a finite number, got the infinite value {cell!r}; correct the cell, "
            "or declare that value as missing"
        )
    return number


def _read_number(text: str) -> float | None:
    """The number that a tidied text means, or None."""
    if _NUMBER.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float("-inf" if text.startswith("-") else "inf")
    # One comma alone may be a decimal comma; two, or a comma before a point, may not.
    if _GROUPED.fullmatch(text) and (text.count(",") > 1 or "." in text):
        return float(text.replace(",", ""))
    return None


def _describe_text(cell: str, text: str) -> str:
    if text.upper() in _EXCEL_ERRORS:
        return f"the spreadsheet error {text}; correct its formula or clear the cell"
    if _GROUPED.fullmatch(text):
        whole, point = text.replace(",", ""), text.replace(",", ".")
        return f"the text {cell!r}, which may mean {whole} or {point}; write it without the comma"
    if _COMMA.fullmatch(text):
        return f"the text {cell!r} with a decimal comma; write it with a decimal point"
    shown = cell if len(cell) <= 40 else f"{cell[:37]}..."
    return f"the text {shown!r}; correct the cell, or declare that text as missing"


def _describe(cell: Any) -> str:
    if isinstance(cell, bool):
        return f"the truth value {str(cell).upper()}"
    if hasattr(cell, "isoformat"):
        return f"the date or time {cell}"
    return f"the {type(cell).__name__} {cell}"
