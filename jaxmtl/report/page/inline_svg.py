"""Pictures as part of a page: vector graphics that take the page's fonts and colours."""

import io
import math
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

from jaxmtl.report.page.markup import clean
from jaxmtl.report.pictures.style import BLUE, FAINT, INK, SHARED, SOFT, VERMILION

# Colours of pictures by the name that a page's style gives them; a page without it is light.
COLOURS = {
    INK: "ink",
    SOFT: "soft",
    "#E6E6E6": "grid",
    FAINT: "faint",
    SHARED: "shared",
    BLUE: "blue",
    VERMILION: "vermilion",
    "#FFFFFF": "paper",
}
METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
REM = (4.6, 5.6)  # of a page, an inch, at least and at most
DPI = 200  # of the parts that are pixels
NAMESPACE = re.compile(r"\{[^}]*\}")
LINK = re.compile(r"(?:url\(#|^#)([^)]+)\)?")
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
FONT = re.compile(r"font:\s*[^;]*?([\d.]+px)\s+[^;]*")
FAMILY = re.compile(r"font-family:\s*[^;]*;?\s*")


def inline_svg(
    figure: Figure, *, label: str, prefix: str, replaced: Mapping[str, str] | None = None
) -> str:
    """A figure as an SVG element of a page.

    Texts stay texts, in the fonts of the page: a browser has characters that matplotlib has not.

    Args:
        figure: complete.
        label: what the picture shows, for those who do not see it.
        prefix: of identifiers, which are unique within a page.
        replaced: text to write by the text that stands for it in the figure.

    Returns:
        The element. It refers to nothing outside itself, and is the same each time.

    Example:
        >>> from jaxmtl.report.pictures.style import new_figure
        >>> figure = new_figure(2, 1)
        >>> _ = figure.text(0.5, 0.5, "task 1")
        >>> svg = inline_svg(figure, label="A <name>", prefix="a", replaced={"task 1": "O & P"})
        >>> 'aria-label="A &lt;name&gt;"' in svg, ">O &amp; P</text>" in svg, "http" in svg
        (True, True, False)
    """
    file = io.StringIO()
    rc: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": prefix, "svg.image_inline": True}
    with matplotlib.rc_context(rc):
        figure.savefig(file, format="svg", metadata=METADATA, transparent=True, dpi=DPI)
    root = ElementTree.fromstring(file.getvalue())
    _leave_out(root)
    used = {name for element in root.iter() for name in _links(element)}
    for element in root.iter():
        element.tag = NAMESPACE.sub("", element.tag)
        attributes = {NAMESPACE.sub("", key): value for key, value in element.attrib.items()}
        if attributes.get("id", "") not in used:
            attributes.pop("id", None)
        element.attrib.clear()
        for key, value in attributes.items():
            element.set(key, _attribute(key, value, prefix))
        if element.text:
            element.text = clean((replaced or {}).get(element.text, element.text))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", clean(label))
    return ElementTree.tostring(root, encoding="unicode")


def sized(picture: str, figure: Figure) -> str:
    """A picture whose type is about as large as the page's: wide ones scroll on a small screen.

    Args:
        picture: of ``inline_svg``.
        figure: that it shows.

    Returns:
        An element for ``markup.figure``.

    Example:
        >>> from jaxmtl.report.pictures.style import new_figure
        >>> sized("<svg></svg>", new_figure(10, 1))
        '<div style="min-width: 46rem; max-width: 56rem"><svg></svg></div>'
    """
    wide = figure.get_size_inches()[0]
    least, most = (math.floor(rem * wide) for rem in REM)
    return f'<div style="min-width: {least}rem; max-width: {most}rem">{picture}</div>'


def _leave_out(root: ElementTree.Element) -> None:
    """Takes away what is about the file, and the style that would apply to the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            tag = NAMESPACE.sub("", str(child.tag))
            if tag in ("metadata", "style"):
                parent.remove(child)


def _links(element: ElementTree.Element) -> list[str]:
    return [match for value in element.attrib.values() for match in LINK.findall(value)]


def _attribute(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if value.startswith("data:"):
        return value
    value = LINK.sub(lambda found: found[0].replace("#", f"#{prefix}-"), value)
    if key == "style":
        value = FAMILY.sub("", FONT.sub(r"font-size: \1", value))
        value = COLOUR.sub(_variable, value)
    return value


def _variable(found: re.Match[str]) -> str:
    name = COLOURS.get(found[0].upper())
    return f"var(--{name}, {found[0]})" if name else found[0]
