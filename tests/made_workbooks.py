"""Workbooks made of XML, so that they can be as odd as those that other programs write."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT = "http://purl.oclc.org/ooxml/officeDocument/relationships"
RELATED = "http://schemas.openxmlformats.org/package/2006/relationships"


def cell(place: str, value: Any, style: int | None = None) -> str:
    """The XML of a cell; a text that begins with "<" is XML already."""
    looks = "" if style is None else f' s="{style}"'
    if value is None:
        return ""
    if isinstance(value, str) and not value.startswith("<"):
        return f'<c r="{place}"{looks} t="inlineStr"><is><t>{value}</t></is></c>'
    inside = value if isinstance(value, str) else f"<v>{value}</v>"
    kind = ' t="inlineStr"' if "<is>" in inside else ""
    return f'<c r="{place}"{looks}{kind}>{inside}</c>'


def row(number: int, *values: Any, looks: str = "", styles: Sequence[int | None] = ()) -> str:
    """The XML of a row."""
    cells = "".join(
        cell(f"{chr(65 + j)}{number}", value, styles[j] if j < len(styles) else None)
        for j, value in enumerate(values)
    )
    return f'<row r="{number}"{looks}>{cells}</row>'


def write_workbook(
    path: Path,
    *sheets: str,
    states: Sequence[str] = (),
    workbook: str = "",
    parts: dict[str, str] | None = None,
    after: str = "",
    space: str = MAIN,
    office: str = OFFICE,
    slash: str = "/",
) -> Path:
    """A workbook of sheets of rows, in the dialect and with the parts that are asked for."""
    related = [("worksheet", f"worksheets/sheet{i + 1}.xml") for i in range(len(sheets))]
    files = {"_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")], office)}
    listed = ""
    for i, rows in enumerate(sheets):
        state = states[i] if i < len(states) else "visible"
        listed += f'<sheet name="S{i + 1}" sheetId="{i + 1}" state="{state}" r:id="r{i}"/>'
        files[f"xl/worksheets/sheet{i + 1}.xml"] = (
            f'<worksheet xmlns="{space}"><sheetData>{rows}</sheetData>{after}</worksheet>'
        )
    for name, content in (parts or {}).items():
        files[name] = content
        if name in ("xl/styles.xml", "xl/sharedStrings.xml", "xl/calcChain.xml"):
            related.append((name[3:-4], name[3:]))
    files["xl/workbook.xml"] = (
        f'<workbook xmlns="{space}" xmlns:r="{office}"><sheets>{listed}</sheets>'
        f"{workbook}</workbook>"
    )
    files["xl/_rels/workbook.xml.rels"] = _relations(related, office)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("/", slash), content)
    return path


def _relations(related: Sequence[tuple[str, str]], office: str) -> str:
    listed = "".join(
        f'<Relationship Id="r{i}" Type="{office}/{kind}" Target="{target}"/>'
        for i, (kind, target) in enumerate(related)
    )
    return f'<Relationships xmlns="{RELATED}">{listed}</Relationships>'
