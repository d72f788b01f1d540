"""Names of columns as texts that a picture can show, whatever script they are in."""

import contextlib
import functools
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib import font_manager, ft2font

LATIN = "DejaVu Sans"  # comes with matplotlib
# Common fonts with Chinese, Japanese and Korean characters, on Linux, Windows and macOS.
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "SimSun",
    "PingFang SC",
    "Hiragino Sans GB",
    "STHeiti",
    "Arial Unicode MS",
    "Droid Sans Fallback",
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "Noto Sans CJK KR",
    "Yu Gothic",
    "Malgun Gothic",
)
LONGEST = 24


class Labels(NamedTuple):
    """Texts for a picture and the fonts that have all their characters.

    Attributes:
        features: of the feature columns, in order.
        tasks: of the target columns, in order.
        fonts: families in order of preference.
        note: what a reader must know if names had to be replaced, else empty.
    """

    features: tuple[str, ...]
    tasks: tuple[str, ...]
    fonts: tuple[str, ...]
    note: str


def make_labels(features: Sequence[str], tasks: Sequence[str]) -> Labels:
    """Labels of columns; "feature 1", "task 2" where no installed font has the characters.

    Args:
        features: names of the feature columns.
        tasks: names of the target columns.

    Returns:
        The labels, shortened to a readable length, with ``$`` kept from starting a formula.

    Example:
        >>> make_labels(["SO2"], ["PM2.5"])[:2]
        (('SO2',), ('PM2.5',))
    """
    inputs, outputs = _shortened(features), _shortened(tasks)
    fonts = find_fonts("".join(inputs + outputs))
    replaced = []
    if fonts is None:
        fonts = (LATIN,)
        for kind, names in (("feature", inputs), ("task", outputs)):
            shown = [find_fonts(name) == fonts for name in names]
            if not all(shown):
                names[:] = [
                    name if is_shown else f"{kind} {number}"
                    for number, (name, is_shown) in enumerate(zip(names, shown, strict=True), 1)
                ]
                replaced.append(f"{kind}s" if not any(shown) else f"numbered {kind}s")
    note = f"no installed font shows the names of the {' and '.join(replaced)}: see config.json"
    return Labels(
        features=tuple(map(_escape, inputs)),
        tasks=tuple(map(_escape, outputs)),
        fonts=fonts,
        note=note if replaced else "",
    )


def find_fonts(text: str) -> tuple[str, ...] | None:
    """Installed font families that together have every character of a text.

    Args:
        text: to be drawn.

    Returns:
        Matplotlib's own family first; None if no other family has the rest.

    Example:
        >>> find_fonts("PM2.5 in µg/m³")
        ('DejaVu Sans',)
    """
    found = _covering(text)
    if found is None and _add_new_fonts():
        found = _covering(text)
    return found


def _covering(text: str) -> tuple[str, ...] | None:
    files = _families()
    needed = {ord(character) for character in text} - _characters(files[LATIN])
    if not needed:
        return (LATIN,)
    known = [family for family in CJK_FONTS if family in files]
    for family in [*known, *sorted(files.keys() - {LATIN, *known})]:
        if needed <= _characters(files[family]):
            return LATIN, family
    return None


@functools.cache
def _add_new_fonts() -> bool:
    """Adds fonts that were installed after matplotlib has made its list, which it keeps for ever.

    Returns:
        Whether there were any.
    """
    known = {font.fname for font in font_manager.fontManager.ttflist}
    new = sorted(set(font_manager.findSystemFonts()) - known)
    for path in new:
        # Matplotlib passes over what it cannot read, too.
        with contextlib.suppress(Exception):
            font_manager.fontManager.addfont(path)
    return bool(new)


def _families() -> dict[str, str]:
    """The file of the regular face of each installed family that has one.

    Of the others matplotlib says on stderr that it takes another weight.
    """
    return {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        if font.weight in (400, "normal", "regular")
        and font.style == "normal"
        and not font.name.startswith("Last Resort")  # its glyphs are boxes that name the script
    }


@functools.cache
def _characters(path: str) -> frozenset[int]:
    try:
        return frozenset(ft2font.FT2Font(path).get_charmap())
    except (RuntimeError, OSError):  # some colour and bitmap fonts do not load
        return frozenset()


def _shortened(names: Sequence[str]) -> list[str]:
    """Beginnings; of long names that begin alike, the ends too."""
    found = [_shorten(name) for name in names]
    return [
        f"{name[: LONGEST // 2 - 1]}…{name[-LONGEST // 2 :]}"
        if len(name) > LONGEST and found.count(short) > 1
        else short
        for name, short in zip(map(_clean, names), found, strict=True)
    ]


def _clean(name: str) -> str:
    return "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in name)


def _shorten(name: str) -> str:
    clean = _clean(name)
    return clean if len(clean) <= LONGEST else f"{clean[: LONGEST - 1]}…"


def _escape(name: str) -> str:
    return name.replace("$", r"\$")
