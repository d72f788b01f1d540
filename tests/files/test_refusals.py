"""Places that cannot be read or written, and files that are damaged, are refused in words."""

import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from refused import check_refused

from jaxmtl.files.arrays import read_arrays, write_arrays
from jaxmtl.files.atomic import check_folder, new_folder
from jaxmtl.files.errors import FileError
from jaxmtl.files.json_file import parse_json, read_json_file
from jaxmtl.files.parameters import load_parameters
from jaxmtl.files.working import WorkingFolder

DEEP = 200_000


def array_that_ends_early():
    """An array of which the second half is missing, under a right checksum."""
    whole, file = io.BytesIO(), io.BytesIO()
    np.save(whole, np.zeros(4))
    content = whole.getvalue()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", content[:-16])
    packed = bytearray(file.getvalue())
    at = packed.rindex(b"PK\1\2")
    packed[at + 24 : at + 28] = len(content).to_bytes(4, "little")
    assert packed[at + 16 : at + 20] == zlib.crc32(content[:-16]).to_bytes(4, "little")
    read_arrays(io.BytesIO(packed))


def a_file_for_a_folder(place):
    (place / "a").write_text("a")
    check_folder(place / "a")


def an_error_within_a_draft(place):
    with new_folder(place / "run") as folder:
        raise FileError(f"file {folder / 'a'}: no")


def a_leaf_inside_another(place):
    write_arrays(place / "a.npz", {"a": np.ones(1), "a/b": np.ones(1)})
    load_parameters(place / "a.npz")


def a_folder_that_cannot_be_made(place):
    make = Path.mkdir

    def fails(path, *args, **options):
        if path.name == "out":
            raise PermissionError(13, os.strerror(13))
        make(path, *args, **options)

    named = {"kind": "comparison", "complete": "end", "inputs": (), "version": 1}
    working = WorkingFolder(path=place / "out", **named)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "mkdir", fails)
        with working.opened({}, force=False, resume=False):
            pass


CALLS = {
    "an array that ends early": lambda place: array_that_ends_early(),
    "a file for a folder": a_file_for_a_folder,
    "an error within a draft": an_error_within_a_draft,
    "a leaf inside another": a_leaf_inside_another,
    "deep beyond all bounds": lambda place: parse_json("[" * DEEP + "]" * DEEP, max_depth=DEEP),
    "a path through a file": lambda place: read_json_file(Path(__file__, "a.json")),
    "a folder that cannot be made": a_folder_that_cannot_be_made,
}


@pytest.mark.parametrize("case", CALLS)
def test_what_is_refused(case, tmp_path):
    check_refused(lambda: CALLS[case](tmp_path))
