"""A long table of texts is the same table in less memory."""

import numpy as np

from jaxmtl.data import infer_columns, read_cells
from jaxmtl.data.reading import packed
from jaxmtl.data.reading.packed import PackedTexts

TEXT = "day,city,CO,level\n" + "".join(
    f"2024-01-{1 + i % 28:02},北京 {i % 3},{'' if i % 5 == 0 else i / 8},{'ab'[i % 2]}\n"
    for i in range(40)
)


def test_packed_cells_are_the_cells(tmp_path, monkeypatch):
    path = tmp_path / "air.csv"
    path.write_text(TEXT, encoding="utf-8")
    as_they_are = read_cells(path)
    monkeypatch.setattr(packed, "LONG", 16)
    table = read_cells(path)
    for name in table.names:
        cells = table.cells(name)
        assert isinstance(cells, PackedTexts)
        assert isinstance(as_they_are.cells(name), list)
        assert list(cells) == [cells[i] for i in range(40)] == cells[:] == as_they_are.cells(name)
    assert table.some(np.array([3, 5])).cells("CO") == ["0.375", None]
    np.testing.assert_array_equal(table.numbers("CO"), as_they_are.numbers("CO"))
    found = [infer_columns(one, targets=["CO"]) for one in (table, as_they_are)]
    assert found[0] == found[1]


def test_what_would_not_come_back_or_is_long_stays_a_list(monkeypatch):
    monkeypatch.setattr(packed, "LONG", 2)
    for cells in (["a", 1.5], ["a", "b\0"], ["a", "b" * 40], [True, "a"]):
        assert packed.packed(cells) is cells
    assert list(packed.packed(["\0a", "é", None])) == ["\0a", "é", None]
