"""From what a cell holds to a number, and nothing but a number that the cell clearly means."""

import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable
from numbers import Real
from typing import Any, NamedTuple

from .values import Formula, MarkedText
from .values import is_blank as is_blank

# Texts that no one writes for a number, in the spellings of pandas, R, SQL and Excel's =NA().
_BLANKS = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "null", "none"})
_EXCEL_ERRORS = frozenset(
    {"#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#SPILL!", "#CALC!"}
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_INFINITE = re.compile(r"[+-]?(inf|infinity|∞)", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_POINT_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_SPACED = re.compile(r"[+-]?\d{1,3}([\s'’]\d{3})+([.,]\d+)?")
# Characters of these kinds are the ordinary ones in another width; all others mean something else:
# a raised digit is an exponent or a footnote's mark.
_SAME = ("<wide>", "<narrow>", "<small>", "<noBreak>")
THOUSANDS = {"comma": ",", "point": ".", "space": " ", "apostrophe": "'"}


class CellError(ValueError):
    """A cell that holds no number: what was got and what to do, without the place."""


class Notation(NamedTuple):
    """How numbers are written in texts.

    Attributes:
        decimal: "." or ","; None where it was not said: a point.
        thousands: "comma", "point", "space" or "apostrophe"; None where it was not said: commas
            where they leave no doubt.
    """

    decimal: str | None = None
    thousands: str | None = None


AS_USUAL = Notation()


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
            number = value if text is None else _read_number(text, AS_USUAL)
            if isinstance(number, Real):
                numbers.add(float(number))
            elif text is not None:
                texts.add(text)
            else:
                raise TypeError(f"missing_values: expected numbers or texts, got {value!r}")
        return cls(frozenset(numbers), frozenset(texts))


class Codes(NamedTuple):
    """What stands for a missing value.

    Attributes:
        everywhere: in all columns.
        of_column: in one column, those for all columns among them, by its name.
        unknown: texts such as "COO=0" that name no column, and are taken as texts.
    """

    everywhere: MissingValues
    of_column: dict[str, MissingValues]
    unknown: list[str]


def missing_by_column(values: Iterable[Any] | Any, names: Collection[str]) -> Codes:
    """What stands for a missing value everywhere, and what in one column: "CO=0".

    Args:
        values: numbers and texts.
        names: of columns.

    Example:
        >>> codes = missing_by_column(["-9", "CO=0", "COO=1"], ["CO"])
        >>> sorted(codes.of_column["CO"].numbers), codes.unknown
        ([-9.0, 0.0], ['COO=1'])
    """
    if isinstance(values, str | Real):
        values = (values,)
    everywhere, named, unknown = [], {}, []
    for value in values:
        name, sign, code = value.rpartition("=") if isinstance(value, str) else ("", "", "")
        if sign and name.strip() in names:
            named.setdefault(name.strip(), []).append(code)
        else:
            everywhere.append(value)
            if name.strip() and _read_number(tidy(code), AS_USUAL) is not None:
                unknown.append(value)
    of_column = {name: MissingValues.of([*everywhere, *codes]) for name, codes in named.items()}
    return Codes(MissingValues.of(everywhere), of_column, unknown)


def tidy(text: str) -> str:
    """Without surrounding blanks, and with full-width characters made ordinary."""
    if text.isascii():
        return text.strip()
    ordinary = "".join(map(_ordinary, text))
    return unicodedata.normalize("NFC", ordinary).replace("\N{MINUS SIGN}", "-").strip()


def _ordinary(character: str) -> str:
    kind, _, _ = unicodedata.decomposition(character).partition(" ")
    plain = unicodedata.normalize("NFKC", character)
    return plain if kind in _SAME or not plain.strip() else character


def read_cell(cell: Any, missing: MissingValues, notation: Notation = AS_USUAL) -> float:
    """The number in a cell, NaN where it is missing.

    Raises:
        CellError: the cell holds something else, or an infinite number.
    """
    if isinstance(cell, MarkedText):
        raise CellError(
            f"expected a number, got the text {_short(cell)} with {cell.mark}; write the number "
            "without it"
        )
    if isinstance(cell, str):
        text = tidy(cell)
        if text in missing.texts or text.casefold() in _BLANKS:
            return float("nan")
        number = _read_number(text, notation)
        if number is None and _read_number(text, AS_USUAL) in missing.numbers:
            return float("nan")
        if number is None:
            raise CellError(f"expected a number, got {_describe_text(cell, text, notation)}")
    elif cell is None:
        return float("nan")
    elif isinstance(cell, Formula):
        raise CellError(describe_formula(cell))
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


def looks_like_number(cell: Any, notation: Notation = AS_USUAL) -> bool | None:
    """Whether a cell was meant for a number, in whatever spelling; None where it is missing.

    Args:
        cell: of a sheet.
        notation: as far as the user says.

    Example:
        >>> looks_like_number("3,5"), looks_like_number("good"), looks_like_number("n/a")
        (True, False, None)
    """
    if isinstance(cell, str):
        text = tidy(cell)
        if text.casefold() in _BLANKS or text.upper() in _EXCEL_ERRORS:
            return None
        return (
            _read_number(text, notation) is not None
            or _read_number(text, AS_USUAL) is not None
            or may_have_decimal_comma(text)
            or is_point_grouped(text)
            or _SPACED.fullmatch(text) is not None
        )
    if cell is None:
        return None
    return isinstance(cell, Real | Formula) and not isinstance(cell, bool)


def is_missing(cell: Any, missing: MissingValues) -> bool:
    """Whether a cell of any kind of column holds nothing, or what stands for that."""
    if isinstance(cell, str):
        text = tidy(cell)
        return (
            text in missing.texts
            or text.casefold() in _BLANKS
            or (bool(missing.numbers) and _read_number(text, AS_USUAL) in missing.numbers)
        )
    number = isinstance(cell, Real) and not isinstance(cell, bool)
    return cell is None or (number and (cell != cell or cell in missing.numbers))


def describe_formula(cell: Formula) -> str:
    """Why a formula has no value, and what to do."""
    lacking = "no saved value" if not cell.stored else "a saved 0, but was never computed"
    return (
        f"the formula {cell.text} has {lacking}; open the file in Excel or LibreOffice and save "
        "it, so that it is computed"
    )


def has_decimal_comma(text: str) -> bool:
    """Whether a tidied text can only be a number with a decimal comma."""
    return _COMMA.fullmatch(text) is not None and _GROUPED.fullmatch(text) is None


def may_have_decimal_comma(text: str) -> bool:
    """Whether a tidied text is a number with a decimal comma, or one without any mark."""
    whole = text.lstrip("+-")
    return whole.isdecimal() or _COMMA.fullmatch(text) is not None


def is_point_grouped(text: str) -> bool:
    """Whether a tidied text looks like 3.753 for 3753: three digits after every point."""
    return _POINT_GROUPED.fullmatch(text) is not None


def _read_number(text: str, notation: Notation) -> float | None:
    """The number that a tidied text means, or None."""
    if not text.isascii() and (any(map(_hides_number, text)) or _mixes_digits(text)):
        return None
    decimal = notation.decimal or "."
    if notation.thousands is not None:
        text = _ungrouped(text, decimal, THOUSANDS[notation.thousands])
    elif decimal == "," and _POINT_GROUPED.fullmatch(text) and "," in text:
        text = text.replace(".", "")
    if decimal == ",":
        # What has a point besides is no number in this notation.
        text = "" if "." in text else text.replace(",", ".")
    if _NUMBER.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float("-inf" if text.startswith("-") else "inf")
    # One comma alone may be a decimal comma; two, or a comma before a point, may not.
    if _GROUPED.fullmatch(text) and (text.count(",") > 1 or "." in text):
        return float(text.replace(",", ""))
    return None


def _ungrouped(text: str, decimal: str, mark: str) -> str:
    """Without the marks between thousands, if they stand where such marks do."""
    marks = {" ": r"\s", "'": "['’]"}.get(mark, re.escape(mark))
    grouped = rf"[+-]?\d{{1,3}}({marks}\d{{3}})+({re.escape(decimal)}\d*)?(e[+-]?\d+)?"
    return re.sub(marks, "", text) if re.fullmatch(grouped, text, re.IGNORECASE) else text


def _describe_text(cell: str, text: str, notation: Notation) -> str:
    if text.upper() in _EXCEL_ERRORS:
        return f"the spreadsheet error {text}; correct its formula or clear the cell"
    shown = f"the text {_short(cell)}"
    odd = next(filter(_hides_number, text), None)
    if odd is not None:
        name = unicodedata.name(odd, "an unusual character").lower()
        return f"{shown} with the character {odd!r} ({name}); write it in ordinary digits"
    if _mixes_digits(text):
        return f"{shown} with digits of more than one script; write it in ordinary digits"
    if notation.decimal == "," and _POINT_GROUPED.fullmatch(text):
        return f"{shown} with a point beside decimal commas; if it marks thousands, say --thousands"
    if _GROUPED.fullmatch(text):
        whole, point = text.replace(",", ""), text.replace(",", ".")
        return (
            f"{shown}, which may mean {whole} or {point}; write it without the comma, or say "
            "which with --decimal or --thousands"
        )
    if _COMMA.fullmatch(text):
        return f"{shown} with a decimal comma; write it with a decimal point, or say --decimal ,"
    if _POINT_GROUPED.fullmatch(text) or _SPACED.fullmatch(text):
        return f"{shown}, in which thousands seem to be marked; say how with --thousands"
    return f"{shown}; {corrected(text)}"


def corrected(text: str) -> str:
    """What to do about a text where none belongs.

    Example:
        >>> corrected("n.d.")
        'correct or clear the cell; if it stands for a gap, train with --missing-values=n.d.'
    """
    # These marks have a meaning of their own in the option.
    plain = len(text) <= 40 and not any(mark in text for mark in ",=\n")
    if not plain:
        return "correct or clear the cell"
    option = f"--missing-values={shlex.quote(text)}"
    return f"correct or clear the cell; if it stands for a gap, train with {option}"


def how_often(cell: Any, cells: Iterable[Any]) -> str:
    """That more cells hold the same text as an odd one; the end of a sentence about it.

    Example:
        >>> how_often("n.d.", ["n.d.", 1.0, "n.d."])
        '; 2 cells of the column hold it'
    """
    if not isinstance(cell, str):
        return ""
    number = sum(isinstance(other, str) and other == cell for other in cells)
    return f"; {number} cells of the column hold it" if number > 1 else ""


def _hides_number(character: str) -> bool:
    """Whether a compatibility form of a digit or a sign, or a fraction: ³, ₂, ①, ½, ⁻."""
    plain = unicodedata.normalize("NFKC", character)
    return plain != character and bool(re.search(r"[\d+\-.−eE]", plain))


def _mixes_digits(text: str) -> bool:
    """Whether digits are of more than one script, as in 35١: nobody writes a number so."""
    return len({ord(one) - unicodedata.decimal(one) for one in text if one.isdecimal()}) > 1


def _short(cell: str) -> str:
    return repr(str(cell) if len(cell) <= 40 else f"{cell[:37]}...")


def _describe(cell: Any) -> str:
    if isinstance(cell, bool):
        return f"the truth value {str(cell).upper()}"
    if hasattr(cell, "isoformat"):
        return f"the date or time {cell}"
    return f"the {type(cell).__name__} {cell}"
