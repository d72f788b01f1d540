"""Made-up pages of comparisons, written and read again."""

import re
from html.parser import HTMLParser

from comparison_frames import REFERENCE, make_frames

from jaxmtl.report.page.about_comparison import AboutComparison
from jaxmtl.report.page.comparison_page import write_comparison_page
from jaxmtl.tasks import number_tasks

SENTENCES = ("adaptive beats hard_sharing by 2.0 % <0.8 to 3.2> & more.", "A second sentence.")
VOID = {"meta", "br", "hr", "img", "link", "input", "wbr", "col"}


class Page(HTMLParser):
    """Texts, tables and attributes of a page; fails where elements are not closed in order."""

    def __init__(self, markup: str):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words = [], [], []
        self.tables, self.markup = [], markup
        self.feed(markup)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open or "script" in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.elements if name in attrs]


def about_of(frames, **changes) -> AboutComparison:
    given = {
        "table": "file a <b>.xlsx, sheet 'days'",
        "rows": {"train": 1169, "validation": 146, "test": 146},
        "features": ["SO2", "temperature <°C>"],
        "tasks": number_tasks(frames.per_seed["task"].drop_duplicates()),
        "split": "random, anew for every seed",
        "seeds": range(frames.per_seed["seed"].nunique()),
        "arms": {arm: f"What {arm} & Co. is." for arm in frames.per_seed["arm"].unique()},
        "reference": REFERENCE,
        "selection": "epoch with the smallest validation error",
        "protocol": "480 epochs",
        "versions": {"jaxmtl": "0.1.0", "jax": "0.10.2"},
        "command": "jaxmtl compare 'a <b>.xlsx' --seeds 30",
        "seconds": 133.0,
    }
    return AboutComparison(**(given | changes))


def write(folder, sentences=SENTENCES, about=None, **made):
    frames = make_frames(**made)
    return write_comparison_page(
        folder / "report.html",
        sentences=sentences,
        about=about or about_of(frames),
        **frames._asdict(),
    )


def called(arm: str) -> str:
    return arm.replace("_", " ")


def column(table, number=0) -> list[str]:
    return [row[number] for row in table if len(row) > 1]
