"""Names in pictures: fonts that have their characters, or numbers in their place."""

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from jaxmtl.report.pictures import labels as labels_module
from jaxmtl.report.pictures.labels import LATIN, find_fonts, make_labels

CJK = "细颗粒物臭氧"


@pytest.fixture
def only_latin(monkeypatch):
    """As on a machine without any other font."""
    fonts = [font for font in font_manager.fontManager.ttflist if font.name == LATIN]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])
    labels_module._add_new_fonts.cache_clear()
    yield fonts
    labels_module._add_new_fonts.cache_clear()


@pytest.fixture
def cjk_font(tmp_path, only_latin):
    """A font of squares for a few Chinese characters."""
    pen = TTGlyphPen(None)
    for point in ((0, 0), (0, 800), (800, 800), (800, 0)):
        pen.moveTo(point) if point == (0, 0) else pen.lineTo(point)
    pen.closePath()
    glyphs = [".notdef", *(f"g{i}" for i in range(len(CJK)))]
    font = FontBuilder(1000)
    font.setupGlyphOrder(glyphs)
    font.setupCharacterMap({ord(c): f"g{i}" for i, c in enumerate(CJK)})
    font.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    font.setupOS2(usWeightClass=400)
    font.setupPost()
    font.save(tmp_path / "squares.ttf")
    only_latin.append(
        font_manager.FontEntry(
            fname=str(tmp_path / "squares.ttf"), name="Squares", weight=400, size="scalable"
        )
    )
    return "Squares"


def test_latin_names_need_no_other_font():
    labels = make_labels(["SO2", "µg/m³"], ["PM2.5", "Ozon (Größe)"])
    assert labels == (("SO2", "µg/m³"), ("PM2.5", "Ozon (Größe)"), (LATIN,), "")


def test_installed_font_is_found_for_chinese(cjk_font):
    labels = make_labels(["SO2"], [CJK[:4], CJK[4:]])
    assert labels == (("SO2",), (CJK[:4], CJK[4:]), (LATIN, cjk_font), "")


def test_a_font_that_is_newer_than_the_list_of_fonts_is_found(cjk_font, only_latin, monkeypatch):
    """Matplotlib makes its list once and keeps it."""
    path = only_latin.pop().fname
    assert find_fonts("O3") == (LATIN,)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: ["/no/such/font.ttf", path])
    assert find_fonts(CJK) == (LATIN, cjk_font)
    assert font_manager.findfont(cjk_font) == path


def test_numbers_stand_in_where_no_font_has_the_characters(only_latin):
    assert find_fonts(CJK) is None
    labels = make_labels(["SO2", "CO"], ["PM2.5", CJK])
    assert labels.features == ("SO2", "CO")
    assert labels.tasks == ("PM2.5", "task 2")  # those that can be shown are
    assert labels.fonts == (LATIN,)
    words = "no installed font shows the names of the numbered tasks: see config.json"
    assert labels.note == words
    both = make_labels([CJK], [CJK])
    assert (both.features, both.tasks) == (("feature 1",), ("task 1",))
    assert "features and tasks" in both.note


def test_font_that_does_not_load_is_passed_over(only_latin, tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    only_latin.append(
        font_manager.FontEntry(fname=str(tmp_path / "broken.ttf"), name="SimHei", weight=400)
    )
    labels_module._characters.cache_clear()
    assert find_fonts(CJK) is None


def test_long_names_line_breaks_and_formulas():
    labels = make_labels(["a" * 60, "two\nlines"], ["$x$"])
    assert len(labels.features[0]) == labels_module.LONGEST
    assert labels.features[0].endswith("…")
    assert labels.features[1] == "two lines"
    assert labels.tasks == (r"\$x\$",)
