"""The XML of a sheet and of shared strings, read as a stream into rows of cells."""

import re
from collections.abc import Callable, Iterator
from typing import IO, Any

from jaxmtl.data.reading.grid import LAST_COLUMN, LAST_ROW, SheetRow
from jaxmtl.data.reading.package import local, new_parser
from jaxmtl.plain.values import MarkedText, is_blank

_CHUNK = 2**20
# Rows of plain numbers, shared texts and blanks, as nearly all rows are: matched and split by
# expressions, which costs a fifth of what a parser's callbacks do.
_PLAIN_ROW = re.compile(
    rb'<row r="([0-9]+)"((?: [\w:]+="[^"<>]*")*+)>'
    rb'((?:<c r="[A-Z]{1,3}[0-9]+"(?: s="[0-9]+")?+(?: t="[ns]")?+ ?+'
    rb"(?:/>|>(?:<v>[^<&]+</v>|<v ?/>|<v></v>)?+</c>))*+)</row>"
)
_PLAIN_CELL = re.compile(
    rb'<c r="([A-Z]+)[0-9]+"(?: s="([0-9]+)")?(?: t="([ns])")? ?><v>([^<&]+)</v>'
)
# What does not say its place is at a place that only a parser knows.
_UNPLACED = re.compile(rb"<(?:c|row)(?! r=)[\s/>]|<!\[CDATA\[|<!--")
_UNNUMBERED = re.compile(rb"<row(?![^<>]* r=)|<!\[CDATA\[|<!--")
_HOLDING = (b"<v", b"<is", b"<f")  # what a row of blank cells has none of
_HIDDEN = re.compile(rb' hidden="(?:1|true)"| ht="0(?:\.0*)?"')
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
# What is drawn as part of a text, but is not typed as its digits are.
_MARKS = {"superscript": "raised", "subscript": "lowered", "strike": "struck-through"}


class SheetError(ValueError):
    """A sheet that breaks the format, without the place."""


class _Text:
    """Collects a text that may come in runs, some of them raised or struck through."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.marked: list[tuple[str, str]] = []
        self.mark = ""
        self.runs = 0
        self.struck = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "r":
            self.mark, self.runs = "", self.runs + 1
        elif tag == "vertAlign":
            self.mark = _MARKS.get(attributes.get("val", ""), "")
        elif tag == "strike" and attributes.get("val", "1") not in ("0", "false"):
            self.mark, self.struck = _MARKS["strike"], self.struck + 1

    def add(self, text: str) -> None:
        self.parts.append(text)
        if self.mark and text.strip():
            self.marked.append((self.mark, text.strip()))

    def value(self) -> str:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), "".join(self.parts))
        # A whole text that is struck through is a matter of looks.
        if not self.marked or self.struck == self.runs > 0:
            return text
        mark, part = self.marked[0]
        return MarkedText.of(text, f"the {mark} {part[:20]!r}")


def read_strings(file: IO[bytes]) -> list[str]:
    """The texts that cells refer to by number.

    Args:
        file: the part of the workbook.
    """
    strings: list[str] = []
    current: _Text | None = None
    taking, phonetic, pieces = False, 0, []
    parser = new_parser()

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal current, taking, phonetic
        tag = local(tag)
        if tag == "si":
            current = _Text()
        elif tag == "rPh":
            phonetic += 1
        elif tag == "t":
            taking = not phonetic
            pieces.clear()
        elif current is not None:
            current.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal current, taking, phonetic
        tag = local(tag)
        if tag == "t" and taking:
            taking = False
            if current is not None:
                current.add("".join(pieces))
        elif tag == "rPh":
            phonetic -= 1
        elif tag == "si" and current is not None:
            strings.append(current.value())
            current = None

    def data(text: str) -> None:
        if taking:
            pieces.append(text)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = data
    while chunk := file.read(_CHUNK):
        parser.Parse(chunk, False)
    parser.Parse(b"", True)
    return strings


class SheetParser:
    """Reads the rows of a sheet.

    Args:
        value_of: from type, style and text of a cell to what it holds.
        formula_of: from formula, type, style and stored text to what the cell holds.
        on_other: told of elements outside of the rows, such as "mergeCell".
    """

    def __init__(
        self,
        value_of: Callable[[str, str, str], Any],
        formula_of: Callable[[str, str, str, str], Any],
        on_other: Callable[[str, dict[str, str]], None],
    ) -> None:
        """Knows nothing of a sheet yet."""
        self.value_of, self.formula_of, self.on_other = value_of, formula_of, on_other

    def rows(self, file: IO[bytes]) -> Iterator[SheetRow]:
        """The rows that hold something, or are hidden.

        Raises:
            SheetError: a row or a column that the format does not have.
        """
        self._done: list[SheetRow] = []
        self._row, self._column = 0, -1
        self._cells: dict[int, Any] | None = None
        self._text: _Text | None = None
        self._in_cell, self._phonetic = False, 0
        self._pieces: list[str] | None = None
        self._value = self._formula = None
        self._columns: dict[bytes, int] = {}
        parser = new_parser()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._data
        rest = b""
        while chunk := file.read(_CHUNK):
            chunk = rest + chunk
            cut = chunk.rfind(b"<row ")
            whole, cut = cut > 0, (cut if cut > 0 else len(chunk))
            chunk, rest = chunk[:cut], chunk[cut:]
            if whole and chunk.startswith(b"<row ") and not any(tag in chunk for tag in _HOLDING):
                if not _UNNUMBERED.search(chunk):
                    continue
            if whole and not _UNPLACED.search(chunk):
                chunk = self._take_plain(chunk)
            parser.Parse(chunk, False)
            self._done.sort(key=_number)
            yield from self._done
            self._done.clear()
        parser.Parse(rest, True)
        yield from self._done

    def _take_plain(self, chunk: bytes) -> bytes:
        """Reads the rows that need no parser; what is left of the chunk is for the parser."""
        rest, position = [], 0
        for found in _PLAIN_ROW.finditer(chunk):
            rest.append(chunk[position : found.start()])
            position = found.end()
            self._row = int(found[1])
            if self._row > LAST_ROW:
                self._start_row({"r": str(self._row)})
            cells = {}
            if b"</v>" in found[3]:
                for letters, style, kind, text in _PLAIN_CELL.findall(found[3]):
                    column = self._columns.get(letters)
                    if column is None:
                        column = self._columns[letters] = _column_of(letters.decode())
                        self._check_column(column)
                    value = self.value_of(
                        kind.decode() or "n", style.decode() or "0", text.decode()
                    )
                    if not is_blank(value):
                        cells[column] = value
            if cells:
                hidden = _HIDDEN.search(found[2]) is not None
                self._done.append(SheetRow(self._row, cells, hidden))
        rest.append(chunk[position:])
        return b"".join(rest)

    def _check_column(self, column: int) -> None:
        if column >= LAST_COLUMN:
            raise SheetError(f"row {self._row}: a cell beyond XFD, the last column of a sheet")

    def _data(self, text: str) -> None:
        if self._pieces is not None:
            self._pieces.append(text)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = local(tag)
        if self._cells is None:
            if tag == "row":
                self._start_row(attributes)
            elif tag not in ("worksheet", "sheetData"):
                self.on_other(tag, {local(name): value for name, value in attributes.items()})
        elif tag == "c":
            self._start_cell(attributes)
        elif self._in_cell:
            if tag in ("v", "f") or (tag == "t" and not self._phonetic):
                self._pieces = []
                if tag == "f":
                    self._formula = ""
            elif tag == "is":
                self._text = _Text()
            elif tag == "rPh":
                self._phonetic += 1
            elif self._text is not None:
                self._text.start(tag, attributes)

    def _start_row(self, attributes: dict[str, str]) -> None:
        self._row = int(attributes.get("r") or self._row + 1)
        if not 1 <= self._row <= LAST_ROW:
            raise SheetError(
                f"row {self._row}: beyond row {LAST_ROW}, the last one that a sheet has"
            )
        self._column = -1
        self._cells = {}
        self._hidden = attributes.get("hidden", "0") in ("1", "true") or _is_zero(
            attributes.get("ht", "")
        )

    def _start_cell(self, attributes: dict[str, str]) -> None:
        self._in_cell = True
        self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "0")
        self._value = self._formula = self._text = None
        place = attributes.get("r")
        if place is None:
            self._column += 1
        else:
            self._column = _column_of(place)
        self._check_column(self._column)

    def _end(self, tag: str) -> None:
        tag = local(tag)
        if tag == "row" and self._cells is not None:
            if self._cells:
                self._done.append(SheetRow(self._row, self._cells, self._hidden))
            self._cells = None
        elif not self._in_cell:
            return
        elif tag == "c":
            self._end_cell()
        elif tag == "rPh":
            self._phonetic -= 1
        elif self._pieces is not None and tag in ("v", "f", "t"):
            text = "".join(self._pieces)
            self._pieces = None
            if tag == "v":
                self._value = text
            elif tag == "f":
                self._formula = text
            elif self._text is not None:
                self._text.add(text)

    def _end_cell(self) -> None:
        self._in_cell = False
        if self._formula is not None:
            value = self.formula_of(f"={self._formula}", self._kind, self._style, self._value or "")
        elif self._kind == "inlineStr":
            value = None if self._text is None else self._text.value()
        elif not self._value:
            return
        else:
            value = self.value_of(self._kind, self._style, self._value)
        # The empty text of a formula is a cell, though it looks blank.
        if self._cells is not None and (self._formula is not None or not is_blank(value)):
            self._cells[self._column] = value


def _number(row: SheetRow) -> int:
    return row.number


def _column_of(place: str) -> int:
    """The column of a place such as AB7, from 0."""
    column = 0
    for character in place:
        if "A" <= character <= "Z":
            column = column * 26 + ord(character) - 64
        elif "a" <= character <= "z":
            column = column * 26 + ord(character) - 96
        elif character != "$":
            break
        if column > 10 * LAST_COLUMN:
            break
    if not column:
        raise ValueError(f"a cell at {place[:20]!r}")
    return column - 1


def _is_zero(height: str) -> bool:
    try:
        return float(height) == 0
    except ValueError:
        return False
