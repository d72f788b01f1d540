"""Every bad input fails with one sentence that names the place and what to do."""

import re
import zipfile

import openpyxl
import pytest

from jaxmtl.data import TableError, read_table

HEADERS = ["日期", "SO2", "CO", "PM2.5", "O3_8h"]
ROWS = [
    ["2014-01-01", 10, 0.5, 35.5, 80],
    ["2014-01-02", 20, 1.5, 71, 60],
    ["2014-01-03", 15, 1, 50, 100],
]
USED = {"features": ["SO2", "CO"], "targets": ["PM2.5"]}


def sentence(path, **kwargs) -> str:
    """The one sentence with which reading fails."""
    with pytest.raises(TableError) as caught:
        read_table(path, **(USED | kwargs))
    text = str(caught.value)
    assert text.startswith(f"file {path}")
    assert "\n" not in text
    # What was expected or got, and after a semicolon what to do.
    assert re.search(r"; [^;]+$", text)
    assert not re.search(r"\. [A-Z]", text.replace(str(path), ""))
    return text


def edited(rows, row, column, value):
    rows = [list(r) for r in rows]
    rows[row][column] = value
    return rows


def test_no_such_file(tmp_path, air_xlsx):
    assert "there is no such file; check the path" in sentence(tmp_path / "nothing" / "water.csv")
    assert "did you mean 'air.xlsx'?" in sentence(tmp_path / "air2.xlsx")


def test_a_folder(tmp_path):
    assert "expected a file, got a folder" in sentence(tmp_path)


def test_a_file_that_the_system_refuses(air_xlsx, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert "cannot be read (Permission denied); check" in sentence(air_xlsx)


@pytest.mark.parametrize(
    ("name", "advice"), [("air.xls", "save it as .xlsx"), ("air.ods", "one of"), ("air", "one of")]
)
def test_another_kind_of_file(tmp_path, name, advice):
    (tmp_path / name).write_bytes(b"anything")
    text = sentence(tmp_path / name)
    assert "expected a file that ends in .xlsx or .csv" in text
    assert advice in text


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"SO2,CO,PM2.5\n1,2,3\n", "not an Excel workbook"),
        (b"<html><table></table></html>", "not an Excel workbook"),
        (OLE, "in the old .xls format"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
        (b"PK\x03\x04", "truncated or damaged"),
    ],
)
def test_not_a_workbook(tmp_path, content, problem):
    path = tmp_path / "air.xlsx"
    path.write_bytes(content)
    assert problem in sentence(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_workbook(air_xlsx, share):
    whole = air_xlsx.read_bytes()
    air_xlsx.write_bytes(whole[: int(len(whole) * share)])
    assert "truncated or damaged" in sentence(air_xlsx)


def test_damaged_within(air_xlsx):
    with zipfile.ZipFile(air_xlsx) as archive:
        start = archive.getinfo("xl/worksheets/sheet1.xml").header_offset + 80
    whole = bytearray(air_xlsx.read_bytes())
    whole[start : start + 60] = bytes(60)
    air_xlsx.write_bytes(whole)
    assert "truncated or damaged" in sentence(air_xlsx)


def test_zip_protected_by_a_password(air_xlsx):
    whole = bytearray(air_xlsx.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for match in re.finditer(re.escape(mark), bytes(whole)):
            whole[match.start() + offset] |= 1
    air_xlsx.write_bytes(whole)
    assert "a zip protected by a password" in sentence(air_xlsx)


@pytest.mark.parametrize("entry", ["readme.txt", "xl/workbook.xml"])
def test_a_zip_that_is_no_workbook(tmp_path, entry):
    path = tmp_path / "air.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "hello")
    assert "not an Excel workbook" in sentence(path)


def test_broken_xml(air_xlsx, tmp_path):
    path = tmp_path / "broken.xlsx"
    with zipfile.ZipFile(air_xlsx) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            data = old.read(entry)
            new.writestr(entry, data[: len(data) // 2] if "sheet1" in entry else data)
    assert "damaged, or not an Excel workbook" in sentence(path)


@pytest.mark.parametrize("rows", [[], [[None, "  "], []]])
def test_empty_sheet(write_xlsx, rows):
    text = sentence(write_xlsx(rows))
    assert "sheet '日报': the sheet is empty" in text


def test_header_without_rows(write_xlsx):
    text = sentence(write_xlsx([HEADERS, []]))
    assert "sheet '日报': the header in row 1 has no rows below it" in text


@pytest.mark.parametrize("sheet", ["Sheet1", 2, -1])
def test_no_such_sheet_lists_the_sheets(write_xlsx, sheet):
    text = sentence(write_xlsx([HEADERS, *ROWS], others=["notes"]), sheet=sheet)
    assert f"no sheet {sheet!r}; choose one of the sheets" in text
    assert "'日报', 'notes'" in text


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("PM25", "PM2.5"),
        ("pm2.5", "PM2.5"),
        ("ＰＭ２.５", "PM2.5"),
        ("O3", "O3_8h"),
        ("日 期", "日期"),
    ],
)
def test_missing_column_suggests_the_nearest(air_xlsx, asked, near):
    text = sentence(air_xlsx, targets=[asked])
    assert f"sheet '日报', row 1: there is no column {asked!r} (did you mean {near!r}?)" in text
    assert "choose among the headers '日期', 'SO2', 'CO', 'PM2.5', 'O3_8h'" in text


def test_several_missing_columns_without_a_near_one(write_xlsx):
    path = write_xlsx([["SO2", "Unnamed: 1", *(f"c{i}" for i in range(40))], [1] * 42])
    text = sentence(path, features=["SO2", "wind", "rain"])
    assert "there are no columns 'wind', 'rain', 'PM2.5'; choose" in text
    assert "Unnamed" not in text
    assert "and 11 more" in text


def test_missing_kept_column(air_xlsx):
    assert "there is no column 'day'" in sentence(air_xlsx, keep=["day"])


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"targets": ["SO2"]}, "'SO2' is named as a feature and as a target"),
        ({"targets": [" SO2 "]}, "'SO2' is named as a feature and as a target"),
        ({"features": ["CO", "CO"]}, "'CO' is named twice among the features"),
        ({"targets": ["CO", "O3_8h", "O3_8h"]}, "'O3_8h' is named twice among the targets"),
        ({"features": []}, "expected at least one feature column"),
    ],
)
def test_names_that_contradict(air_xlsx, names, problem):
    assert problem in sentence(air_xlsx, **names)


def test_duplicate_headers(write_xlsx):
    path = write_xlsx([["SO2", "CO", " CO ", "PM2.5", "x", "x"], [1, 2, 3, 4, 5, 6]])
    text = sentence(path)
    assert "sheet '日报', row 1: the header 'CO' stands over the columns B and C" in text
    assert read_table(path, features=["SO2"], targets=["PM2.5"]).x.tolist() == [[1]]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("abc", "expected a number, got the text 'abc'"),
        ("x" * 100, f"expected a number, got the text '{'x' * 37}...'"),
        ("1 2", "got the text '1 2'"),
        ("12µg", "got the text '12µg'"),
        ("1,234", "may mean 1234 or 1.234; write it without the comma"),
        ("3,14", "with a decimal comma; write it with a decimal point"),
        ("1,23,456", "got the text '1,23,456'"),
        ("0x10", "got the text '0x10'"),
        ("1_000", "got the text '1_000'"),
        (True, "got the truth value TRUE"),
        ("#DIV/0!", "got the spreadsheet error #DIV/0!"),
        ("inf", "expected a finite number, got the infinite value 'inf'"),
        ("-Infinity", "expected a finite number"),
        ("1e999", "expected a finite number"),
        ("9" * 400, "expected a finite number"),
    ],
)
@pytest.mark.parametrize("column", [2, 3])
def test_a_cell_that_is_no_number(write_xlsx, write_csv, value, problem, column):
    rows = edited([HEADERS, *ROWS], 3, column, value)
    place = f"column {HEADERS[column]!r} ({'ABCDE'[column]}), row 4: "
    assert place in sentence(write_xlsx(rows))
    if isinstance(value, str):
        assert f"sheet '日报', {place}" in (text := sentence(write_xlsx(rows)))
        assert problem in text
        quoted = "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
        text = sentence(write_csv(quoted))
        assert place in text
        assert problem in text


def test_a_date_where_a_number_should_be(tmp_path):
    book = openpyxl.Workbook()
    for row in [["SO2", "CO", "PM2.5"], [1, 2, 3]]:
        book.active.append(row)
    book.active["B2"].number_format = "yyyy-mm-dd"
    book.save(tmp_path / "air.xlsx")
    assert "column 'CO' (B), row 2: expected a number, got the date" in sentence(
        tmp_path / "air.xlsx"
    )


def test_formula_without_a_saved_value(write_xlsx):
    rows = edited([HEADERS, *ROWS], 2, 2, "=B3*0.1")
    rows = edited(rows, 1, 1, None)
    text = sentence(write_xlsx(rows))
    assert "sheet '日报', column 'CO' (C), row 3: the formula =B3*0.1 has no saved value" in text
    # A table that ends in such cells has not ended before them.
    ending = [HEADERS, ROWS[0], ["=1", "=2", "=3", "=4", "=5"]]
    text = sentence(write_xlsx(ending))
    assert "column 'SO2' (B), row 3: the formula =2 has no saved value" in text
    assert "row 3: the formula =1" in sentence(write_xlsx(ending), features=["日期"])
    # Nobody computes with the columns that are not used.
    assert read_table(write_xlsx(rows), features=["PM2.5"]).x.shape == (3, 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the table is empty"),
        (b"\n \n", "the table is empty"),
        (b",,\n,,\n", "the table is empty"),
        (b"\xff\xfe\xff", "not a text table"),
        (b"PK\x03\x04\x00\x00\x00\x00", "give it the ending .xlsx if it is a workbook"),
        (b"SO2,CO,PM2.5\n1,2,3\n1,2,3,4\n", "row 3, column D: expected at most 3 cells"),
        (b"\n\nSO2,CO,PM2.5\n1,2,3\n1,2,3,4\n", "row 5, column D: expected at most 3 cells"),
        (b'SO2,CO,PM2.5\n1,"2,3\n4,5,6\n', "row 2: a cell begins with a quotation mark"),
        (b"SO2,CO,PM2.5\n", "the header in row 1 has no rows"),
        (b"SO2,CO,CO,PM2.5\n1,2,3,4\n", "row 1: the header 'CO' stands over the columns B and C"),
        (b"SO2,CO,PM10\n1,2,3\n", "row 1: there is no column 'PM2.5'"),
    ],
)
def test_bad_text_tables(tmp_path, content, problem):
    path = tmp_path / "air.csv"
    path.write_bytes(content)
    assert problem in sentence(path)


def test_text_tables_have_no_sheets(write_csv):
    assert "expected no sheet" in sentence(write_csv("SO2,CO,PM2.5\n1,2,3\n"), sheet="a")
