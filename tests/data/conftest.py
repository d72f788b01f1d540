"""Workbooks and text tables that the tests of the data floor write."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from made_workbooks import write_workbook

HEADERS = ["日期", "SO2", "CO", "PM2.5", "O3_8h"]
ROWS = [
    ["2014-01-01", 10, 0.5, 35.5, 80],
    ["2014-01-02", 20, 1.5, 71, 60],
    ["2014-01-03", 15, 1, 50, 100],
]


@pytest.fixture
def write_xlsx(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: Sequence[Sequence[Any]], name="air.xlsx", sheet="日报", others=()) -> Path:
        book = openpyxl.Workbook()
        book.active.title = sheet
        for row in rows:
            book.active.append(list(row))
        for title in others:
            book.create_sheet(title)
        book.save(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name="air.csv", encoding="utf-8") -> Path:
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


@pytest.fixture
def air_xlsx(write_xlsx: Callable[..., Path]) -> Path:
    return write_xlsx([HEADERS, *ROWS])


@pytest.fixture
def shared_data() -> Path:
    """Real workbooks beside the project, where there are any."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real workbooks beside the project")
    return folder


@pytest.fixture
def make_xlsx(tmp_path: Path) -> Callable[..., Path]:
    def make(*sheets: str, **looks: Any) -> Path:
        return write_workbook(tmp_path / "made.xlsx", *sheets, **looks)

    return make
