"""The zip archive that a workbook is: its parts by name, and what is no workbook at all.

Names are compared without case, with either slash and in both dialects of Open XML, because
programs write all of these and Excel reads them.
"""

import errno
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

from jaxmtl.data._errors import TableError

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# The stream in which Office keeps an encrypted workbook, in the OLE directory's UTF-16.
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
# A sheet of a million rows and ten columns takes some 400 MB; numbers shrink to a fifth.
MOST_BYTES, SUSPICIOUS_BYTES, MOST_SHRUNK = 10**9, 64 * 2**20, 150
_MOST_SMALL = 32 * 2**20  # of a part that is read as a whole
_OTHERS = {
    "xl/workbook.bin": "a workbook in the binary .xlsb format",
    "content.xml": "an OpenDocument file",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a presentation",
    "index/document.iwa": "a file of Apple's Numbers",
}


class Relation(NamedTuple):
    """What one part says of another.

    Attributes:
        kind: the last word of its type: "worksheet", "styles", "table".
        target: name of the other part.
    """

    kind: str
    target: str


class Package:
    """The parts of an open workbook.

    Args:
        path: of the file, for sentences.
        archive: that is open.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        """Names the parts."""
        self.path = path
        self._archive = archive
        self._entries = {_plain(entry.filename): entry for entry in archive.infolist()}

    def __contains__(self, name: str) -> bool:
        """Whether there is such a part."""
        return _plain(name) in self._entries

    def open(self, name: str) -> IO[bytes]:
        """A part as a stream; it never gives more bytes than the archive announces."""
        entry = self._entries[_plain(name)]
        size = entry.file_size
        shrunk = size > SUSPICIOUS_BYTES and size > MOST_SHRUNK * max(entry.compress_size, 1)
        if size >= MOST_BYTES or shrunk:
            raise TableError(
                f"file {self.path}: its part {_plain(name)} would unpack to {size / 1e9:.2g} GB, "
                "more than a table holds; copy the cells that are needed to a new workbook"
            )
        return self._archive.open(entry)

    def tree(self, name: str) -> ElementTree.Element:
        """A small part as a tree whose tags have no namespace."""
        with self.open(name) as file:
            data = file.read(_MOST_SMALL + 1)
        if len(data) > _MOST_SMALL:
            raise ValueError(f"{name} is larger than {_MOST_SMALL} bytes")
        builder = ElementTree.TreeBuilder()
        parser = new_parser()
        parser.StartElementHandler = lambda tag, attributes: builder.start(
            local(tag), {local(key): value for key, value in attributes.items()}
        )
        parser.EndElementHandler = lambda tag: builder.end(local(tag))
        parser.CharacterDataHandler = builder.data
        parser.Parse(data, True)
        return builder.close()

    def relations(self, name: str) -> dict[str, Relation]:
        """What a part refers to, by the number it gives."""
        folder, file = posixpath.split(_plain(name))
        rels = posixpath.join(folder, "_rels", f"{file}.rels")
        if rels not in self:
            return {}
        found = {}
        for one in self.tree(rels):
            target = one.get("Target", "").replace("\\", "/")
            if one.get("TargetMode") != "External":
                whole = target if target.startswith("/") else posixpath.join(folder, target)
                kind = one.get("Type", "").rpartition("/")[2]
                found[one.get("Id", "")] = Relation(kind, posixpath.normpath(whole).lstrip("/"))
        return found


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """Opens a workbook; whatever goes wrong within becomes one sentence.

    Raises:
        TableError: the file is no workbook, or damaged.
    """
    _check_start(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(path, archive)
            yield Package(path, archive)
    except (TableError, MemoryError):
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # which a wrong offset in the archive leads to
            raise
        raise TableError(
            f"file {path}: the workbook is truncated or damaged; copy or download it again"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise TableError(
            f"file {path}: the workbook is truncated or damaged ({_line(error)}); copy or "
            "download it again"
        ) from error
    except Exception as error:  # a damaged workbook may lack anything
        raise TableError(
            f"file {path}: damaged, or not an Excel workbook ({type(error).__name__}: "
            f"{_line(error)}); open it in a spreadsheet program and save it as .xlsx again"
        ) from error


def new_parser() -> expat.XMLParserType:
    """A parser that knows no document types, which workbooks have none of."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*declaration: object) -> None:
        raise ValueError("a document type declaration")

    parser.StartDoctypeDeclHandler = refuse
    return parser


def local(tag: str) -> str:
    """A tag or an attribute without its prefix."""
    return tag.rpartition(":")[2]


def _plain(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").casefold()


def _line(error: Exception) -> str:
    return re.sub(r"[;\s]+", " ", str(error))[:200]


def _check_start(path: Path) -> None:
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


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise TableError(
            f"file {path}: the file is a zip protected by a password; unpack it, or save the "
            "workbook without a password"
        )
    names = {_plain(entry.filename) for entry in entries}
    for part, what in _OTHERS.items():
        if part in names:
            raise TableError(f"file {path}: {what}; open it and save the table as .xlsx")
    if "_rels/.rels" not in names and not any(name.endswith("xl/workbook.xml") for name in names):
        raise TableError(
            f"file {path}: a zip archive, but not an Excel workbook; unpack it, or save the "
            "table as .xlsx"
        )
