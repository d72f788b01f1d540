"""Arrays come back to the bit; every damage is one sentence, found before memory is set aside."""

import io
import pickle
import struct
import tracemalloc
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.files.arrays import Limits, read_arrays, write_arrays
from jaxmtl.files.errors import FileError, MissingFileError

ARRAYS = {
    "params/trunk/kernel": np.arange(6.0).reshape(2, 3),
    "params/träger": np.arange(4, dtype=np.float32),
    "half": np.ones((2, 2), jnp.bfloat16),
    "eighth": np.ones(3, jnp.float8_e4m3fn),
    "quarter": np.arange(3).astype(jnp.int4),
    "flags": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "wide": np.ones(2, np.longdouble),
    "other end": np.arange(3, dtype=">i2"),
    "scalar": np.array(7),
    "empty": np.zeros((0, 4)),
    "turned": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "odd numbers": np.array([np.nan, -0.0, np.inf]),
}


def equal(found, wanted):
    return list(found) == list(wanted) and all(
        (a.shape, a.dtype) == (b.shape, b.dtype) and a.tobytes() == b.tobytes()
        for a, b in zip(found.values(), wanted.values(), strict=True)
    )


def written(arrays=ARRAYS, **options):
    file = io.BytesIO()
    write_arrays(file, arrays, **options)
    return file.getvalue()


def archive(entries, packing=zipfile.ZIP_STORED):
    """A zip of whatever is put into it, with right checksums."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as out:
        for name, content in entries:
            out.writestr(zipfile.ZipInfo(name), content, packing)
    return file.getvalue()


def npy(descr="'<f8'", shape="(3,)", data=bytes(24), fortran="False", version=b"\1\0"):
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    size = "<H" if version == b"\1\0" else "<I"
    return b"\x93NUMPY" + version + struct.pack(size, len(header)) + header + data


def refused(content, match="", **options):
    with pytest.raises(FileError, match=match) as caught:
        read_arrays(io.BytesIO(content), **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("file in memory: ")


def test_a_round_trip_through_a_path_and_an_open_file(tmp_path):
    assert equal(read_arrays(io.BytesIO(written())), ARRAYS)
    write_arrays(tmp_path / "a", {"old": np.ones(1)})
    write_arrays(str(tmp_path / "a"), ARRAYS)
    found = read_arrays(tmp_path / "a")
    assert equal(found, ARRAYS)
    assert all(array.flags.writeable for array in found.values())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert equal(read_arrays(io.BytesIO(written({}))), {})


def test_numpy_reads_what_we_write_and_the_other_way_round():
    plain = {name: array for name, array in ARRAYS.items() if array.dtype.kind != "V"}
    with np.load(io.BytesIO(written()), allow_pickle=False) as file:
        assert equal({name: file[name] for name in plain}, plain)
        assert file["half:bfloat16"].dtype == np.uint16
    for savez in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        savez(file, **plain)
        assert equal(read_arrays(file), plain)
        assert read_arrays(file)["turned"].flags.f_contiguous


def test_bytes_are_those_of_every_version():
    """An entry as NumPy writes it, stored, of 1980."""
    entries = []
    for name, array in ARRAYS.items():
        file = io.BytesIO()
        if array.dtype.kind == "V":
            name, array = f"{name}:{array.dtype.name}", array.view(f"u{array.dtype.itemsize}")
        np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
        entries.append((f"{name}.npy", file.getvalue()))
    assert written() == archive(entries)


def test_texts_only_where_they_are_asked_for():
    texts = {"spec": np.array("Zürich"), "none": np.array(""), "many": np.array(["a", "bc"], ">U2")}
    with pytest.raises(FileError, match="'spec': expected an array of numbers, got ndarray of"):
        written(texts)
    content = written(texts, texts=True)
    refused(content, "'spec': expected an array of numbers, got the header .*U6")
    assert equal(read_arrays(io.BytesIO(content), texts=True), texts)
    for letter in (0x110000, 0xD800):
        data = struct.pack("<I", letter)
        refused(archive([("t.npy", npy("'<U1'", "()", data))]), "expected text", texts=True)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a", np.array([object()])),
        ("a", np.array(["2026-01-01"], "M8[D]")),
        ("a", np.zeros(1, [("x", int)])),
        ("a", np.zeros(1, "V3")),
        ("a", jax.random.key(0)),
        ("a", 1.0),
        (1, np.ones(1)),
        ("", np.ones(1)),
        ("a//b", np.ones(1)),
        ("../a", np.ones(1)),
        ("a:bfloat16", np.ones(1)),
        ("a\\b", np.ones(1)),
        ("a\0", np.ones(1)),
        ("\ud800", np.ones(1)),
        ("a" * 1001, np.ones(1)),
    ],
)
def test_what_would_not_come_back_is_not_written(tmp_path, name, array):
    with pytest.raises(FileError, match="expected a"):
        write_arrays(tmp_path / "a.npz", {"fine": np.ones(1), name: array})
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"a.npz: there is no such file; check the path"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(FileError, match="expected a model, got a folder; check the path"):
        read_arrays(tmp_path, what="a model")
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(FileError, match=r"a.npz: .*, got an empty file; copy it again or write"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(FileError, match="cannot be read .*; check the path and its permissions"):
        read_arrays(tmp_path / "a.npz" / "b")


OTHERS = {
    "pickle": pickle.dumps([1, 2]),
    "one array": npy(),
    "archive of other files": archive([("a.txt", b"text")]),
    "archive in an archive": archive([("a.npy", archive([("b.npy", npy())]))]),
    "folder": archive([("a/", b"")]),
    "absolute": archive([("/a.npy", npy())]),
    "upwards": archive([("../a.npy", npy())]),
    "something before": b"x" + archive([("a.npy", npy())]),
    "something behind": archive([("a.npy", npy())]) + b"x",
    "only the end": b"PK\5\6" + bytes(17),
    "another packing": archive([("a.npy", npy())], zipfile.ZIP_LZMA),
    "two names": archive([("a.npy", npy("'<u2'", data=bytes(6))), ("a:bfloat16.npy", npy())]),
    "no type by name": archive([("a:.npy", npy())]),
    "object by name": archive([("a:object.npy", npy("'<u8'"))]),
    "expression by name": archive([("a:(1)f4,.npy", npy("'<u8'"))]),
    "plain type by name": archive([("a:float64.npy", npy("'<u8'"))]),
    "too wide for its name": archive([("a:bfloat16.npy", npy("'<u8'"))]),
}
HEADERS = {
    "object": npy("'|O'"),
    "pickled": npy("'|O'", data=pickle.dumps([1])),
    "void": npy("'|V8'"),
    "structured": npy("[('a', '<f8')]"),
    "bytes": npy("'|S8'"),
    "date": npy("'<M8[s]'"),
    "no such type": npy("'<f3'"),
    "complex": npy("'<c16'"),
    "text": npy("'<U2'"),
    "text of nothing": npy("'<U0'", "(1000000000000,)", b""),
    "smaller": npy(shape="(2,)"),
    "larger": npy(shape="(4,)"),
    "a million million": npy(shape="(1000000000000,)"),
    "beyond 64 bits": npy(shape="(4294967296, 4294967296, 3)"),
    "large but empty": npy(shape="(0, 1000000000000)", data=b""),
    "negative": npy(shape="(-3,)"),
    "a number for a shape": npy(shape="(3)"),
    "a name for a shape": npy(shape="(n,)"),
    "an expression": npy(shape="(1+2,)"),
    "many dimensions": npy(shape=f"({'1, ' * 65})", data=bytes(8)),
    "nested": npy(shape="(" * 500 + ")" * 500),
    "long": npy(shape=f"(3,{' ' * 5000})"),
    "order": npy(fortran="Maybe"),
    "version": npy(version=b"\2\0"),
    "no truth value": npy("'|b1'", data=bytes([0, 2, 1])),
    "no header": b"\x93NUMPY\1\0\xff\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_is_refused(name):
    refused(OTHERS[name], "expected .*; copy it again or write it anew")


@pytest.mark.parametrize("name", HEADERS)
def test_an_entry_that_lies_is_refused_by_name(name):
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refused(
            archive([("fine.npy", npy()), ("w.npy", HEADERS[name])], packing), "'w(.npy)?': exp"
        )


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_bounds_are_those_of_the_caller():
    content = written()
    total = sum(int(info.file_size) for info in zipfile.ZipFile(io.BytesIO(content)).infolist())
    assert equal(read_arrays(io.BytesIO(content), limits=Limits(len(ARRAYS), 19, total)), ARRAYS)
    refused(content, "at most 12 arrays, got 13", limits=Limits(entries=12))
    refused(content, "a name of at most 18 characters, got 19", limits=Limits(name=18))
    refused(content, f"at most {total - 1} bytes of arrays", limits=Limits(total=total - 1))
    refused(archive([("a" * 1001 + ".npy", npy())]), "a name of at most 1000 characters")
    refused(archive([("a.npy", npy()), ("a.npy", npy())]), "'a': expected one array of this name")


def directory(number, stated):
    """An archive that consists of a directory, with many names."""
    names = (f"{i:06d}.npy".encode() for i in range(number))
    fixed = b"PK\1\2" + bytes(24) + struct.pack("<3H", 10, 0, 0) + bytes(12)
    listed = b"".join(fixed + name for name in names)
    zip64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, stated, stated, len(listed), 0)
    zip64 += struct.pack("<4sLQL", b"PK\6\7", 0, len(listed), 1)
    return listed + zip64 + b"PK\5\6" + bytes(4) + b"\xff" * 12 + bytes(2)


def restated(content, **sizes):
    """The sizes that the directory states of the last entry, changed."""
    at = content.rindex(b"PK\1\2")
    changed = bytearray(content)
    for name, offset in (("packed", 20), ("size", 24)):
        if name in sizes:
            changed[at + offset : at + offset + 4] = struct.pack("<I", sizes[name])
    return bytes(changed)


PACKED = archive([("w.npy", npy(shape="(1000,)", data=bytes(8000)))], zipfile.ZIP_DEFLATED)
PLAIN = archive([("w.npy", npy())])
LARGE = npy("'|u1'", "(1073741824,)", b"")
BOMBS = {
    "many names": (directory(100_000, 100_000), "at most 50000 arrays, got 100000"),
    "more names than stated": (directory(100_000, 5), "directory is damaged"),
    "fewer names than stated": (directory(5, 6), "directory is damaged"),
    "a header": (archive([("w.npy", HEADERS["a million million"])]), "'w': expected at most"),
    "a header within bounds": (archive([("w.npy", LARGE)]), "'w': expected uint8 of shape"),
    "a size that the file has not": (restated(PLAIN, size=2**31, packed=2**31), "packed in"),
    "a size that packing explains": (restated(PACKED, size=2**30), "packed in"),
    "a size too small": (restated(PACKED, size=200), "Bad CRC-32"),
    "packed zeros": (
        archive([("w.npy", npy("'|u1'", f"({2**27},)", bytes(2**27)))], zipfile.ZIP_DEFLATED),
        "packed in",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_promises_take_no_memory(name):
    content, match = BOMBS[name]
    file = io.BytesIO(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=match):
            read_arrays(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20 + 2 * len(content)


def damage(content, rng):
    """One of the ways in which files are damaged."""
    way, size = rng.integers(6), len(content)
    start, stop = sorted(rng.integers(0, size, 2))
    damaged = bytearray(content)
    if way == 0:
        return content[: int(rng.integers(size))]
    if way == 1:  # a bit
        damaged[start] ^= 1 << rng.integers(8)
    elif way == 2:  # a bit in the directory, where sizes and names are
        start = content.index(b"PK\1\2") + rng.integers(size - content.index(b"PK\1\2"))
        damaged[start] ^= 1 << rng.integers(8)
    elif way == 3:  # bytes
        damaged[start : start + 8] = rng.bytes(8)
    elif way == 4:  # a piece is missing
        del damaged[start:stop]
    else:  # a piece is there twice
        damaged[stop:stop] = damaged[start:stop]
    return bytes(damaged)


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_after_any_damage_arrays_are_the_same_or_refused(packing):
    with zipfile.ZipFile(io.BytesIO(written())) as whole:
        content = archive([(name, whole.read(name)) for name in whole.namelist()], packing)
    assert equal(read_arrays(io.BytesIO(content)), ARRAYS)
    rng = np.random.default_rng(0)
    refusals = 0
    for attempt in range(600):
        damaged = damage(content, rng)
        try:
            found = read_arrays(io.BytesIO(damaged))
        except FileError:
            refusals += 1
        else:
            assert equal(found, ARRAYS), attempt
    assert 300 < refusals < 600  # a date may be any


def test_headers_damaged_under_a_right_checksum_are_refused_or_of_the_same_size():
    rng = np.random.default_rng(1)
    whole = npy(data=np.arange(3.0).tobytes())
    refusals = 0
    for _ in range(400):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole) - 24, rng.integers(1, 4)):
            changed[place] = rng.choice(list(b"0123456789'(),<>|=OVUSMbiufc \n\x00\xff"))
        try:
            found = read_arrays(io.BytesIO(archive([("w.npy", bytes(changed))])))
        except FileError:
            refusals += 1
        else:
            assert found["w"].nbytes == 24
            assert found["w"].dtype.kind in "biufc"
    assert refusals > 300
