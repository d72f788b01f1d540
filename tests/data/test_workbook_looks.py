"""Workbooks whose cells are fine, whatever else is wrong with them; and those that are bombs."""

import zipfile

import pytest
from made_workbooks import MAIN, STRICT, cell, row

from jaxmtl.data import TableError, read_table
from jaxmtl.data.reading import package

BODY = row(1, "a", "b") + row(2, 1, 2.5) + row(3, 3, 4.5)
NUMBERS = [[1, 2.5], [3, 4.5]]


def numbers(path):
    return read_table(path, features=["a", "b"]).x.tolist()


def refused(path):
    with pytest.raises(TableError) as caught:
        numbers(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_strict_open_xml(make_xlsx):
    space = "http://purl.oclc.org/ooxml/spreadsheetml/main"
    assert numbers(make_xlsx(BODY, space=space, office=STRICT)) == NUMBERS
    dated = row(1, "a", "b") + row(2, 1, "<v>2.5</v>") + row(3, 3, 4.5)
    assert numbers(make_xlsx(dated, space=space, office=STRICT)) == NUMBERS


def test_backslashes_and_capitals_in_the_archive(make_xlsx):
    path = make_xlsx(BODY, slash="\\")
    assert numbers(path) == NUMBERS
    with zipfile.ZipFile(path) as old:
        files = {name.upper(): old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    assert numbers(path) == NUMBERS


@pytest.mark.parametrize(
    "styles",
    [
        "<fills><fill/></fills>",
        "<fonts><font><family val='99'/><sz val='x'/></font></fonts>",
        "<cellXfs><xf numFmtId='0'><alignment horizontal='middle' indent='-1'/></xf></cellXfs>",
        "<cellXfs><xf/><xf numFmtId='999'/></cellXfs>",
        "<borders><border><left style='none!'/></border></borders>",
        "<dxfs count='x'><dxf><fill><patternFill patternType='y'/></fill></dxf></dxfs>",
    ],
)
def test_looks_that_are_not_valid(make_xlsx, styles):
    sheet = f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>'
    table = read_table(make_xlsx(BODY, parts={"xl/styles.xml": sheet}), features=["a", "b"])
    assert (table.x.tolist(), table.notes) == (NUMBERS, ())


def test_looks_that_are_no_xml(make_xlsx):
    path = make_xlsx(BODY, parts={"xl/styles.xml": "<styleSheet><fonts>"})
    table = read_table(path, features=["a", "b"])
    assert table.x.tolist() == NUMBERS
    assert "its formats cannot be read" in table.notes[0]


@pytest.mark.parametrize(
    "after",
    [
        "<autoFilter ref='A1:B3'><filterColumn colId='0'><customFilters><customFilter/>"
        "</customFilters></filterColumn></autoFilter>",
        "<dataValidations><dataValidation type='odd' sqref=''/></dataValidations>",
        "<conditionalFormatting><cfRule type='none' priority='x'/></conditionalFormatting>",
        "<pageSetup paperSize='-1' orientation='up'/><drawing r='nowhere'/>",
    ],
)
def test_what_stands_after_the_rows(make_xlsx, after):
    assert numbers(make_xlsx(BODY, after=after)) == NUMBERS


def test_prefixes_places_and_encodings_of_all_kinds(make_xlsx):
    prefixed = BODY
    for tag in ("row", "c", "v", "is", "t"):
        prefixed = prefixed.replace(f"<{tag}>", f"<x:{tag}>").replace(f"<{tag} ", f"<x:{tag} ")
        prefixed = prefixed.replace(f"</{tag}>", f"</x:{tag}>")
    assert numbers(make_xlsx(prefixed.replace("<x:row ", f'<x:row xmlns:x="{MAIN}" '))) == NUMBERS
    placeless = "<row><c t='str'><v>a</v></c><c t='str'><v>b</v></c></row>" + (
        "<row><c><v>1</v></c><c><v>2.5</v></c></row><row><c/><c r='A3'><v>3</v></c>"
        "<c><v>4.5</v></c></row>"
    )
    assert numbers(make_xlsx(placeless)) == NUMBERS
    swapped = row(1, "a", "b") + row(3, 3, 4.5) + row(2, 1, 2.5)
    assert numbers(make_xlsx(swapped)) == NUMBERS
    spoken = "<!-- <c r='A9'/> -->" + BODY.replace("<t>a</t>", "<t><![CDATA[a]]></t>")
    assert numbers(make_xlsx(spoken)) == NUMBERS
    escaped = BODY.replace("<t>a</t>", "<t>a_x000D_</t>")
    assert numbers(make_xlsx(escaped)) == NUMBERS


def test_cells_that_hold_nothing_cost_nothing(make_xlsx):
    rows = range(4, 30_000)
    blank = "".join(f'<row r="{r}" s="1">{cell(f"A{r}", "<v/>", 1)}</row>' for r in rows)
    last = f'<row r="1048576"><c r="XFD1048576" s="1"/></row>{row(1_048_575, 8, 9)}'
    path = make_xlsx(BODY + blank + last)
    table = read_table(path, features=["a", "b"])
    assert table.rows.tolist() == [2, 3, 1_048_575]
    assert table.x[-1].tolist() == [8, 9]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (row(1_048_577, 1, 2), "row 1048577: beyond row 1048576"),
        (row(1_048_577, "<f>1</f><v>1</v>", 2), "row 1048577: beyond row 1048576"),
        ('<row r="4"><c r="XFE4"><v>1</v></c></row>', "row 4: a cell beyond XFD"),
        ('<row r="4"><c r="ZZZZZZ4" t="str"><v>1</v></c></row>', "row 4: a cell beyond XFD"),
        ('<row r="0"><c r="A0"><v>1</v></c></row>', "row 0"),
        ('<row r="x"><c r="A4"><v>1</v></c></row>', "damaged"),
        ('<row r="4"><c r="7"><v>1</v></c></row>', "damaged"),
        ('<row r="4"><c r="A4" t="s"><v>9</v></c></row>', "damaged"),
        ("</sheetData>", "damaged"),
    ],
)
def test_what_the_format_does_not_have(make_xlsx, body, part):
    assert part in refused(make_xlsx(BODY + body))


def test_entities_are_refused(make_xlsx):
    path = make_xlsx(BODY)
    with zipfile.ZipFile(path) as old:
        files = {name: old.read(name).decode() for name in old.namelist()}
    files["xl/workbook.xml"] = '<!DOCTYPE a [<!ENTITY b "c">]>' + files["xl/workbook.xml"]
    with zipfile.ZipFile(path, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    assert "document type" in refused(path)


def test_what_would_unpack_to_too_much(make_xlsx, monkeypatch):
    monkeypatch.setattr(package, "SUSPICIOUS_BYTES", 2**16)
    path = make_xlsx(BODY + " " * 2**20)
    assert "would unpack to 0.001 GB, more than a table holds" in refused(path)
    monkeypatch.undo()
    assert numbers(path) == NUMBERS
    monkeypatch.setattr(package, "MOST_BYTES", 2**16)
    assert "more than a table holds" in refused(path)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("xl/workbook.bin", "binary .xlsb"),
        ("content.xml", "OpenDocument"),
        ("word/document.xml", "Word"),
        ("Index/Document.iwa", "Numbers"),
    ],
)
def test_other_formats_are_named(tmp_path, name, what):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr(name, "x")
    said = refused(tmp_path / "a.xlsx")
    assert what in said
    assert "save the table as .xlsx" in said
