"""A sheet of an Excel workbook: values as they were when it was saved, whatever they look like."""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.grid import Area, Grid, SheetRow
from jaxmtl.data.reading.package import Package, Relation, open_package
from jaxmtl.data.reading.sheet_xml import SheetError, SheetParser, read_strings
from jaxmtl.plain.values import ErrorText, Formula, Percent, SuspectZero

# Programs that compute every formula before they write it.
_COMPUTING = ("libreoffice", "openoffice", "gnumeric", "wps", "numbers", "onlyoffice", "collabora")
_PLACE = re.compile(r"\$?([A-Za-z]+)\$?(\d+)(?::\$?([A-Za-z]+)\$?(\d+))?")


def read_workbook(path: Path, sheet: str | int | None) -> Grid:
    """Opens one sheet; its rows are read as they are asked for.

    Args:
        path: of the file.
        sheet: name, or number from 0; None for the first one that is not hidden.

    Raises:
        TableError: the file is no workbook that opens, or has no such sheet.
    """
    with open_package(path) as package:
        book = _Book(package)
        chosen = book.find(sheet)
        grid = Grid(
            source=f"file {path}, sheet {book.titles[chosen]!r}",
            rows=iter(()),
            blank="the sheet is empty; choose another sheet or fill this one",
        )
        if sheet is None and chosen:
            hidden = ", ".join(repr(title) for title in book.titles[:chosen])
            grid.notes.append(f"{grid.source}: read because {hidden} before it is hidden")
        grid.totals += book.totals(chosen)
    grid.rows = _rows(path, book.parts[chosen], grid)
    return grid


def sheet_titles(path: Path) -> list[str]:
    """Names of the worksheets of a workbook."""
    with open_package(path) as package:
        return _Book(package).titles


def _rows(path: Path, part: str, grid: Grid) -> Iterator[SheetRow]:
    with open_package(path) as package:
        book = _Book(package)
        values = _Values(book, grid)
        parser = SheetParser(values.of, values.of_formula, values.other)
        with package.open(part) as file:
            try:
                yield from parser.rows(file)
            except SheetError as error:
                raise TableError(
                    f"{grid.source}, {error}; the file is damaged: save it in a spreadsheet "
                    "program again"
                ) from error
        if book.manual and values.formulas:
            grid.notes.append(
                f"{grid.source}: its formulas are computed by hand only, so that their values may "
                "be older than the cells that they depend on"
            )


class _Book:
    """What a workbook says of its sheets."""

    def __init__(self, package: Package) -> None:
        self.package = package
        part = "xl/workbook.xml"
        for relation in package.relations("").values():
            if relation.kind == "officeDocument":
                part = relation.target
        if part not in package:
            raise ValueError(f"no part {part}")
        tree = package.tree(part)
        self.related = package.relations(part)
        self.titles: list[str] = []
        self.parts: list[str] = []
        self.hidden: list[bool] = []
        for sheet in tree.iter("sheet"):
            relation = self.related.get(sheet.get("id", ""), Relation("", ""))
            if relation.kind == "worksheet" and relation.target not in package:
                raise ValueError(f"no part {relation.target}")
            if relation.kind == "worksheet":
                self.titles.append(sheet.get("name", ""))
                self.parts.append(relation.target)
                self.hidden.append(sheet.get("state", "visible") != "visible")
        calculation = tree.find("calcPr")
        computed = {} if calculation is None else calculation.attrib
        self.manual = computed.get("calcMode") == "manual"
        self.never_computed = _is_true(computed.get("fullCalcOnLoad")) or (
            computed.get("calcCompleted") in ("0", "false")
        )
        properties = tree.find("workbookPr")
        self.since_1904 = properties is not None and _is_true(properties.get("date1904"))

    def find(self, sheet: str | int | None) -> int:
        """The place of the worksheet of that name, or number from 0."""
        if isinstance(sheet, str):
            # Blanks around a sheet's name are invisible in the tab.
            stripped = [title.strip() for title in self.titles]
            if sheet.strip() in stripped:
                return stripped.index(sheet.strip())
        elif sheet is None and self.titles:
            return self.hidden.index(False) if False in self.hidden else 0
        elif sheet is not None and 0 <= sheet < len(self.titles):
            return sheet
        listed = ", ".join(repr(title) for title in self.titles) or "none"
        raise TableError(
            f"file {self.package.path}: no sheet {0 if sheet is None else sheet!r}; choose one of "
            f"the sheets by name or number from 0: {listed}"
        )

    def totals(self, sheet: int) -> list[Area]:
        """Rows of totals of the tables in a sheet."""
        found = []
        for relation in self.package.relations(self.parts[sheet]).values():
            if relation.kind != "table" or relation.target not in self.package:
                continue
            table = self.package.tree(relation.target)
            area, number = area_of(table.get("ref", "")), table.get("totalsRowCount", "0")
            if area is not None and number.isdecimal() and int(number):
                found.append(area._replace(first_row=area.last_row - int(number) + 1))
        return found

    def strings(self) -> list[str]:
        """The texts that cells refer to."""
        part = self.related_part("sharedStrings")
        if part is None:
            return []
        with self.package.open(part) as file:
            return read_strings(file)

    def related_part(self, kind: str) -> str | None:
        """Name of a part, if it is there."""
        for relation in self.related.values():
            if relation.kind == kind and relation.target in self.package:
                return relation.target
        return None

    def is_of_a_program(self) -> bool:
        """Whether nothing shows that a spreadsheet program computed the formulas."""
        if self.related_part("calcChain") is not None:
            return False
        if "docProps/app.xml" not in self.package:
            return True
        try:
            name = self.package.tree("docProps/app.xml").findtext("Application") or ""
        except Exception:  # of no importance to the values
            return True
        return not any(known in name.casefold() for known in _COMPUTING)


class _Values:
    """From what stands in a cell to what it holds."""

    def __init__(self, book: _Book, grid: Grid) -> None:
        from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel

        self.grid, self.formulas = grid, False
        self.never_computed = book.never_computed
        self.of_a_program = book.is_of_a_program()
        self.strings = book.strings()
        self.epoch = MAC_EPOCH if book.since_1904 else WINDOWS_EPOCH
        self.from_excel = from_excel
        self.dates, self.durations, self.percents = _formats(book, grid)

    def of(self, kind: str, style: str, text: str) -> Any:
        """What a cell of a type and style holds."""
        if kind == "n":
            return self._number(style, text)
        if kind == "s":
            return self.strings[int(text)]
        if kind == "b":
            return text.strip() in ("1", "true")
        if kind == "e":
            return ErrorText(text)
        if kind == "d":
            return datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return text

    def of_formula(self, text: str, kind: str, style: str, stored: str) -> Any:
        """What a cell with a formula holds."""
        self.formulas = True
        text = text if text != "=" else "there"  # that of a shared formula stands elsewhere
        # A formula that gave the empty text has a saved value: type "str" without text.
        if not stored:
            return "" if kind == "str" else Formula(text)
        if kind == "n" and _is_zero(stored):
            if self.never_computed:
                return Formula(text, stored)
            if self.of_a_program:
                return SuspectZero.of(text)
        else:
            self.grid.computed = True
        return self.of(kind, style, stored)

    def other(self, tag: str, attributes: dict[str, str]) -> None:
        """Notes which cells are merged."""
        area = area_of(attributes.get("ref", "")) if tag == "mergeCell" else None
        if area is not None:
            self.grid.merged.append(area)

    def _number(self, style: str, text: str) -> Any:
        if not text.isascii() or "_" in text:  # Python's numbers, not those of the format
            raise ValueError(f"expected a number, got {text[:40]!r}")
        number = int(text) if text.lstrip("-").isdecimal() else float(text)
        if style in self.percents:
            return Percent(number)
        if style not in self.dates:
            return number
        try:
            return self.from_excel(number, self.epoch, timedelta=style in self.durations)
        except (OverflowError, ValueError):
            return ErrorText("#VALUE!")


def area_of(text: str) -> Area | None:
    """The cells that a text such as A1:G62 names."""
    found = _PLACE.fullmatch(text.strip())
    if found is None:
        return None
    left, top, right, bottom = found.groups()
    right, bottom = right or left, bottom or top
    return Area(int(top), int(bottom), _column(left), _column(right))


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _formats(book: _Book, grid: Grid) -> tuple[set[str], set[str], set[str]]:
    """Numbers of the styles that show dates, durations and percentages."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format

    dates, durations, percents = set(), set(), set()
    part = book.related_part("styles")
    if part is None:
        return dates, durations, percents
    try:
        tree = book.package.tree(part)
    except TableError:
        raise
    except Exception:  # values do not depend on the looks, but for dates
        grid.notes.append(
            f"{grid.source}: its formats cannot be read; dates and percentages are read as the "
            "numbers that stand for them"
        )
        return dates, durations, percents
    codes: dict[str, str | None] = {str(key): code for key, code in BUILTIN_FORMATS.items()}
    for one in tree.iter("numFmt"):
        codes[one.get("numFmtId", "")] = one.get("formatCode")
    for formats in tree.iter("cellXfs"):
        for number, one in enumerate(formats.findall("xf")):
            code = codes.get(one.get("numFmtId", "0"))
            if code is None:
                continue
            if is_date_format(code):
                dates.add(str(number))
            if is_timedelta_format(code):
                durations.add(str(number))
            if "%" in re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', "", code.split(";")[0]):
                percents.add(str(number))
    return dates, durations, percents


def _is_true(text: str | None) -> bool:
    return text in ("1", "true")


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False
