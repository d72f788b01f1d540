"""Arrays in one ``.npz`` file: the one writer, and the one reader, which trusts nothing it reads.

The file is a zip archive of ``.npy`` entries, as ``numpy.savez`` writes it, so that NumPy opens it
too. What is read may come from anywhere: sizes, names and types are checked, from the directory of
the archive and the headers of its entries, before memory is set aside for any array, and a header
is matched against a pattern, never evaluated.
"""

import contextlib
import io
import math
import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmtl.files.atomic import new_file
from jaxmtl.files.errors import FileError, MissingFileError, why

MAX_ENTRIES = 50_000
MAX_NAME = 1_000  # characters
MAX_BYTES = 4 * 2**30  # of all arrays together
# What is packed may grow to FREE_BYTES, or else to MAX_RATIO times the size of the file: arrays of
# zeros are packed to a thousandth, which is why small files may do as they like.
FREE_BYTES, MAX_RATIO = 64 * 2**20, 100
MAX_DIRECTORY = 64 * 2**20  # bytes of the archive's directory

_NUMBERS = "biufc"  # kinds of dtype that the .npy format knows
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([<>|=][biufcU]\d{1,9})',\s*'fortran_order':\s*(True|False),"
    rb"\s*'shape':\s*\(((?:\d{1,20},\s?)+(?:\d{1,20})?|)\),?\s*\}\s*"
)
_CHUNK = 2**20


class Limits(NamedTuple):
    """What a file of arrays may hold.

    Attributes:
        entries: number of arrays.
        name: characters in the name of one.
        total: bytes of all arrays together, unpacked.

    Example:
        >>> Limits(entries=10).name
        1000
    """

    entries: int = MAX_ENTRIES
    name: int = MAX_NAME
    total: int = MAX_BYTES


class _Refused(Exception):
    """The middle of a sentence, "expected ..., got ..."; the name of the file is set before it."""


class _Entry(NamedTuple):
    info: zipfile.ZipInfo
    dtype: np.dtype  # in the file
    named: np.dtype | None  # by the entry's name, for bits of a type that NumPy's format lacks
    shape: tuple[int, ...]
    fortran: bool
    start: int


def write_arrays(
    file: str | os.PathLike[str] | BinaryIO, arrays: Mapping[str, Any], *, texts: bool = False
) -> None:
    """Writes arrays to a file that ``numpy.load`` opens too.

    A dtype that NumPy's format does not know is stored as its bits and named in the entry:
    ``trunk/kernel:bfloat16``. Equal arrays in equal order give equal bytes.

    Args:
        file: a path, whose file is there only once it is complete, or an open file.
        arrays: by name; a name is one or more parts with ``/`` between them.
        texts: arrays of text may be among them.

    Raises:
        FileError: a name or an array that would not come back, or nothing can be written there.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> write_arrays(file, {"trunk/kernel": np.ones(2), "bias": jnp.zeros(1, jnp.bfloat16)})
        >>> read_arrays(file)["bias"]
        array([0], dtype=bfloat16)
    """
    for name, array in arrays.items():
        if (wrong := _wrong_with(name, MAX_NAME)) is not None:
            raise FileError(f"{name!r:.80}: expected {wrong}; rename it")
        dtype = getattr(array, "dtype", None)
        if not _is_storable(dtype, texts):
            got = type(array).__name__ + ("" if dtype is None else f" of dtype {dtype}")
            raise FileError(f"{name!r}: expected an array of numbers, got {got}; leave it out")
    if isinstance(file, str | os.PathLike):
        with new_file(file, force=True) as draft, open(draft, "wb") as opened:
            _write(opened, arrays)
    else:
        _write(file, arrays)


def read_arrays(
    file: str | os.PathLike[str] | BinaryIO,
    *,
    limits: Limits | None = None,
    texts: bool = False,
    what: str = "a file of arrays",
) -> dict[str, np.ndarray]:
    """Reads what ``write_arrays`` or ``numpy.savez`` wrote. Never unpickles anything.

    Args:
        file: a path, or an open file that can be searched.
        limits: on what the file holds; None for those of ``Limits()``.
        texts: arrays of text may be among them.
        what: the kind of file that is expected, for the sentence of an error.

    Returns:
        The arrays by name, in the order of the file, bit for bit as they were written.

    Raises:
        MissingFileError: no such file.
        FileError: the file does not open, is damaged or another one, or goes beyond the limits.

    Example:
        >>> read_arrays("a.npz")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.MissingFileError: file a.npz: there is no such file; check the path
    """
    limits = Limits() if limits is None else limits
    name = file if isinstance(file, str | os.PathLike) else getattr(file, "name", "in memory")
    try:
        with _opened(file, what) as opened:
            size = _check_directory(opened, limits)
            with zipfile.ZipFile(opened) as archive:
                entries = _checked(archive, size, limits, texts)
                return {leaf: _read(archive, entry) for leaf, entry in entries.items()}
    except (FileError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise MissingFileError(f"file {name}: there is no such file; check the path") from error
    except _Refused as error:
        raise FileError(f"file {name}: {error}; copy it again or write it anew") from error
    except Exception as error:  # zipfile and zlib raise half a dozen kinds
        if isinstance(error, OSError) and error.errno is not None:
            raise FileError(
                f"file {name}: cannot be read ({why(error)}); check the path and its permissions"
            ) from error
        raise FileError(
            f"file {name}: expected {what}, got a damaged or other file "
            f"({type(error).__name__}: {str(error)[:200]}); copy it again or write it anew"
        ) from error


def _write(file: BinaryIO, arrays: Mapping[str, Any]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, leaf in arrays.items():
            array = np.asarray(leaf, order="C")
            if array.dtype.kind == "V":
                name = f"{name}:{array.dtype.name}"
                array = array.view(f"u{array.dtype.itemsize}")
            header = io.BytesIO()
            described = np.lib.format.header_data_from_array_1_0(array)
            np.lib.format.write_array_header_1_0(header, described)
            info = zipfile.ZipInfo(f"{name}.npy")  # of 1980, so that equal arrays give equal bytes
            info.create_system = 3
            info.file_size = len(header.getvalue()) + array.nbytes
            with archive.open(info, "w") as entry:
                entry.write(header.getvalue())
                if array.nbytes:
                    entry.write(_bytes_of(array))


def _bytes_of(array: np.ndarray) -> memoryview:
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)


def _wrong_with(name: Any, longest: int) -> str | None:
    """What is expected of the name of an array, and what is there; None if all is well."""
    if not isinstance(name, str):
        return f"a name, got {type(name).__name__}"
    if len(name) > longest:
        return f"a name of at most {longest} characters, got {len(name)}"
    odd = any(c in ":\\\x7f" or c < " " or "\ud800" <= c <= "\udfff" for c in name)
    if odd or not all(part and set(part) != {"."} for part in name.split("/")):
        return "a name of parts with '/' between them and without ':', '\\' and control characters"
    return None


def _is_storable(dtype: Any, texts: bool) -> bool:
    if not isinstance(dtype, np.dtype):  # such as a key of JAX
        return False
    return dtype.kind in _NUMBERS or (texts and dtype.kind == "U") or _is_foreign(dtype)


def _is_foreign(dtype: np.dtype) -> bool:
    return dtype.kind == "V" and bool(jnp.issubdtype(dtype, jnp.number))


@contextlib.contextmanager
def _opened(file: str | os.PathLike[str] | BinaryIO, what: str) -> Iterator[BinaryIO]:
    if not isinstance(file, str | os.PathLike):
        yield file
        return
    path = Path(file)
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would keep us waiting
        kind = "folder" if path.is_dir() else "device"
        raise FileError(f"file {path}: expected {what}, got a {kind}; check the path")
    with open(path, "rb") as opened:
        yield opened


def _check_directory(file: BinaryIO, limits: Limits) -> int:
    """Counts the entries of an archive before zipfile makes an object of each.

    An archive is what NumPy writes: entries, directory and end, with nothing before or after.

    Returns:
        The size of the file.
    """
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise _Refused("expected a file of arrays, got an empty file")
    file.seek(max(0, size - 98))
    tail = file.read(98)
    end = tail[-22:]
    if len(end) < 22 or end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise zipfile.BadZipFile("it does not end as an archive does")
    stated, length, start = struct.unpack("<10xH2L2x", end)
    stop = size - 22
    if len(tail) == 98 and tail[56:60] == b"PK\6\7":  # above 4 GiB or 65535 entries
        if tail[:4] != b"PK\6\6":
            raise zipfile.BadZipFile("its directory is not where it should be")
        stated, length, start = struct.unpack("<32x3Q", tail[:56])
        stop = size - 98
    if stated > limits.entries:
        raise _Refused(f"expected at most {limits.entries} arrays, got {stated}")
    if length > MAX_DIRECTORY or start + length != stop:
        raise zipfile.BadZipFile("its directory is not where it should be")
    file.seek(start)
    directory = file.read(length)
    at = found = 0
    while at < length:
        if directory[at : at + 4] != b"PK\1\2" or at + 46 > length or found == stated:
            raise zipfile.BadZipFile("its directory is damaged")
        named, *others = struct.unpack_from("<3H", directory, at + 28)
        at += 46 + named + sum(others)
        found += 1
    if at != length or found != stated:
        raise zipfile.BadZipFile("its directory is damaged")
    return size


def _checked(archive: zipfile.ZipFile, size: int, limits: Limits, texts: bool) -> dict[str, _Entry]:
    """All entries by the names of their arrays, with nothing read but their headers."""
    infos = archive.infolist()
    total, packed = (
        sum(getattr(i, f"{name}_size") for i in infos) for name in ("file", "compress")
    )
    if total > limits.total:
        raise _Refused(f"expected at most {limits.total} bytes of arrays, got {total}")
    if packed > size or total > max(FREE_BYTES, MAX_RATIO * size):
        raise _Refused(f"expected arrays packed in {size} bytes, got {total} bytes of them")
    entries: dict[str, _Entry] = {}
    for info in infos:
        name, colon, dtype = info.filename.removesuffix(".npy").partition(":")
        wrong = _wrong_with(name, limits.name)
        # Names beyond ASCII are read in another alphabet where the mark for UTF-8 is missing.
        marked = info.filename.isascii() or info.flag_bits & 0x800
        named = info.filename == info.orig_filename and info.filename.endswith(".npy")
        if wrong is None and not (marked and named):
            wrong = "the name of an array in UTF-8 with .npy behind it"
        if wrong is not None:
            raise _Refused(f"{info.filename!r:.80}: expected {wrong}")
        if name in entries:
            raise _Refused(f"{name!r}: expected one array of this name, got two")
        entries[name] = _header(archive, info, name, dtype if colon else None, limits, texts)
    return entries


def _header(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    name: str,
    named: str | None,
    limits: Limits,
    texts: bool,
) -> _Entry:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _Refused(f"{name!r}: expected an array stored or deflated, got another packing")
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        raise _Refused(f"{name!r}: expected {info.file_size} bytes, got {info.compress_size}")
    with archive.open(info) as file:
        first = file.read(10)
        if len(first) < 10 or first[:8] != b"\x93NUMPY\1\0":
            raise _Refused(f"{name!r}: expected an array of numbers, got {first!r}")
        length = int.from_bytes(first[8:], "little")
        header = file.read(min(length, 4096))
    found = _HEADER.fullmatch(header)
    if found is None or (found[1][1:2] == b"U" and not texts):
        got = header[:80].decode("ascii", "backslashreplace").strip()
        raise _Refused(f"{name!r}: expected an array of numbers, got the header {got!r}")
    try:
        dtype, foreign = np.dtype(found[1].decode()), None
        if named is not None:
            foreign = np.dtype(named if re.fullmatch("[a-z0-9_]{1,32}", named) else "void")
            if not _is_foreign(foreign) or dtype.str[1:] != f"u{foreign.itemsize}":
                raise TypeError(f"{dtype} for {named}")
    except TypeError as error:
        raise _Refused(f"{name!r}: expected an array of numbers, got {error}") from error
    shape = tuple(int(number) for number in found[3].split(b",") if number.strip())
    if len(shape) > 64 or math.prod(max(n, 1) for n in shape) * max(dtype.itemsize, 1) > max(
        limits.total, 1
    ):
        raise _Refused(
            f"{name!r}: expected at most {limits.total} bytes, got {dtype} of shape "
            f"{str(shape):.80}"
        )
    start = 10 + length
    if start + math.prod(shape) * dtype.itemsize != info.file_size:
        raise _Refused(
            f"{name!r}: expected {dtype} of shape {shape}, got {info.file_size - start} bytes"
        )
    return _Entry(info, dtype, foreign, shape, found[2] == b"True", start)


def _read(archive: zipfile.ZipFile, entry: _Entry) -> np.ndarray:
    array = np.empty(entry.shape[::-1] if entry.fortran else entry.shape, entry.dtype)
    with archive.open(entry.info) as file:
        file.read(entry.start)
        at = 0
        while at < array.nbytes:
            part = _bytes_of(array)[at : at + _CHUNK]
            got = file.read(len(part))
            if not got:
                raise EOFError("it ends too early")
            part[: len(got)] = got
            at += len(got)
        file.read(1)  # nothing is left, but the last read is the one that compares the checksum
    _check_values(array, entry.info.filename)
    if entry.named is not None:
        array = array.view(entry.named)
    return array.T if entry.fortran else array


def _check_values(array: np.ndarray, name: str) -> None:
    """Bytes that NumPy takes for a truth value or a text, but which are none."""
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise _Refused(f"{name!r}: expected truth values, got other bytes")
    if array.dtype.kind == "U" and array.nbytes:
        letters = array.reshape(-1).view(f"{array.dtype.byteorder}u4")
        if letters.max() > 0x10FFFF or ((letters >= 0xD800) & (letters <= 0xDFFF)).any():
            raise _Refused(f"{name!r}: expected text, got other bytes")
