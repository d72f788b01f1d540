"""Opening an Excel workbook, and saying what is wrong with one that does not open."""

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxmtl.data._errors import TableError
from jaxmtl.data.reading.grid import Grid, without_blank_end

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# The stream in which Office keeps an encrypted workbook, in the OLE directory's UTF-16.
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def read_workbook(path: Path, sheet: str | int) -> Grid:
    """Reads one sheet with the values that the formulas had when it was saved.

    Raises:
        TableError: the file is no workbook that opens, or has no such sheet.
    """
    _check_container(path)
    with _open(path, data_only=True) as book:
        chosen = _find_sheet(path, book, sheet)
        source = f"file {path}, sheet {chosen.title!r}"
        # Some programs write a wrong size into the file; without it, every cell is read.
        chosen.reset_dimensions()
        cells = [tuple(row) for row in chosen.iter_rows(values_only=True)]
    if not without_blank_end(cells):
        raise TableError(f"{source}: the sheet is empty; choose another sheet or fill this one")
    return Grid(source, cells)


def find_unsaved_formula(
    path: Path, sheet: str | int, blanks: Sequence[tuple[int, int]]
) -> tuple[int, int, str] | None:
    """The first blank cell that is a formula whose value was never computed.

    Programs that write workbooks without computing them leave such cells, which look blank.

    Args:
        path: the workbook.
        sheet: name or number of the sheet.
        blanks: row and column numbers of blank cells, from 0.

    Returns:
        Row and column from 0, and the formula; None if the blank cells are truly blank.
    """
    wanted = set(blanks)
    formulas = {}
    with _open(path, data_only=False) as book:
        for place, cell in _cells_at(_find_sheet(path, book, sheet), wanted):
            if cell.data_type == "f":
                formulas[place] = getattr(cell.value, "text", None) or str(cell.value)
    if not formulas:
        return None
    with _open(path, data_only=True) as book:
        for place, cell in _cells_at(_find_sheet(path, book, sheet), set(formulas)):
            # A formula that gave the empty text has a saved value: type "str" without text.
            if cell.data_type == "str":
                del formulas[place]
    first = min(formulas, default=None)
    return None if first is None else (*first, formulas[first])


def _cells_at(sheet: Any, places: set[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], Any]]:
    sheet.reset_dimensions()
    for row, cells in enumerate(sheet.iter_rows()):
        for column, cell in enumerate(cells):
            if (row, column) in places:
                yield (row, column), cell


def _find_sheet(path: Path, book: Any, sheet: str | int) -> Any:
    """The worksheet of that name, or number from 0."""
    titles = [s.title for s in book.worksheets]
    listed = ", ".join(repr(title) for title in titles) or "none"
    if isinstance(sheet, str):
        # Blanks around a sheet's name are invisible in the tab.
        stripped = [title.strip() for title in titles]
        if sheet.strip() in stripped:
            return book.worksheets[stripped.index(sheet.strip())]
    elif 0 <= sheet < len(titles):
        return book.worksheets[sheet]
    raise TableError(
        f"file {path}: no sheet {sheet!r}; choose one of the sheets by name or number "
        f"from 0: {listed}"
    )


@contextmanager
def _open(path: Path, *, data_only: bool) -> Iterator[Any]:
    """The workbook, read as a stream; whatever goes wrong within becomes one sentence."""
    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings():
            # openpyxl warns of styles and extensions that it drops; we want the values only.
            warnings.filterwarnings("ignore", module="openpyxl")
            book = load_workbook(path, read_only=True, data_only=data_only, keep_links=False)
            try:
                yield book
            finally:
                book.close()
    except (TableError, MemoryError):
        raise
    except Exception as error:  # a damaged workbook makes openpyxl raise almost anything
        raise TableError(
            f"file {path}: damaged, or not an Excel workbook ({type(error).__name__}: {error}); "
            "open it in a spreadsheet program and save it as .xlsx again"
        ) from error


def _check_container(path: Path) -> None:
    """Tells apart the files that are no .xlsx although they are called so."""
    with path.open("rb") as file:
        start = file.read(len(_OLE))
    if start == _OLE:
        if _ENCRYPTED in path.read_bytes():
            problem, advice = "protected by a password", "save it without a password"
        else:
            problem, advice = "in the old .xls format", "save it as .xlsx"
        raise TableError(f"file {path}: the workbook is {problem}; open it in Excel and {advice}")
    if not start:
        raise TableError(f"file {path}: the file is empty (0 bytes); copy or download it again")
    if not start.startswith(_ZIP):
        raise TableError(
            f"file {path}: not an Excel workbook; save it as .xlsx, or rename it to .csv if it "
            "is a text table"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            broken = None if any(_is_locked(e) for e in entries) else archive.testzip()
    except Exception as error:  # zipfile and zlib raise half a dozen kinds
        raise TableError(
            f"file {path}: the workbook is truncated or damaged ({error}); "
            "copy or download it again"
        ) from error
    if any(_is_locked(e) for e in entries):
        raise TableError(
            f"file {path}: the file is a zip protected by a password; unpack it, or save the "
            "workbook without a password"
        )
    if broken is not None:
        raise TableError(
            f"file {path}: the workbook is truncated or damaged (at {broken}); "
            "copy or download it again"
        )
    if not any(entry.filename.endswith("xl/workbook.xml") for entry in entries):
        raise TableError(
            f"file {path}: a zip archive, but not an Excel workbook; unpack it, or save the "
            "table as .xlsx"
        )


def _is_locked(entry: zipfile.ZipInfo) -> bool:
    return bool(entry.flag_bits & 0x1)
