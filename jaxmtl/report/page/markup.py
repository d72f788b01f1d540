"""Pieces of a page, with every text escaped."""

import html
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

LINE_BREAKS = "\t\n"


def clean(value: object) -> str:
    """A text without the characters that no page may hold.

    Args:
        value: anything; its ``str`` is taken.

    Returns:
        The text with control characters and halves of surrogate pairs replaced.

    Example:
        >>> clean("a" + chr(0)) == "a" + chr(0xFFFD)
        True
    """
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cs") and c not in LINE_BREAKS else c
        for c in str(value)
    )


def text(value: object) -> str:
    """A text as a page may hold it, in an element or in an attribute between quotes.

    Args:
        value: anything; its ``str`` is shown.

    Returns:
        The clean text with ``<``, ``>``, ``&`` and quotes escaped.

    Example:
        >>> text('O3 <8h> & "max"')
        'O3 &lt;8h&gt; &amp; &quot;max&quot;'
    """
    return html.escape(clean(value))


def name(value: object) -> str:
    """A name from a table, set apart so that its direction of writing does not spread.

    Args:
        value: the name.

    Returns:
        An element.

    Example:
        >>> name("PM<2.5>")
        '<bdi>PM&lt;2.5&gt;</bdi>'
    """
    return f"<bdi>{text(value)}</bdi>"


def section(title: str, *parts: str) -> str:
    """A section with a heading.

    Args:
        title: of the section, plain text.
        parts: elements.

    Returns:
        The element; empty where there are no parts.

    Example:
        >>> section("How", "<p>So.</p>")
        '<section>\\n<h2>How</h2>\\n<p>So.</p>\\n</section>'
    """
    inside = [part for part in parts if part]
    if not inside:
        return ""
    return "\n".join(["<section>", f"<h2>{text(title)}</h2>", *inside, "</section>"])


def figure(picture: str, caption: str) -> str:
    """A picture with its caption.

    Args:
        picture: an element.
        caption: markup.

    Returns:
        The element.

    Example:
        >>> "<figcaption>Errors.</figcaption>" in figure("<svg></svg>", "Errors.")
        True
    """
    return (
        f'<figure>\n<div class="picture">{picture}</div>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def table(caption: str, head: Sequence[str], bodies: Iterable[Sequence[str]], label: str) -> str:
    """A table in a box that scrolls where the page is narrow.

    Args:
        caption: markup.
        head: rows of the head, each complete.
        bodies: rows of each body; an empty body is left out.
        label: of the box, for those who reach it by keyboard.

    Returns:
        The element.

    Example:
        >>> shown = table("All", ["<tr><th>a</th></tr>"], [["<tr><td>1</td></tr>"], []], "All")
        >>> shown.count("<tbody>")
        1
    """
    parts = [
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(label)}">',
        "<table>",
        f"<caption><span>{caption}</span></caption>",
        "<thead>",
        *head,
        "</thead>",
    ]
    for body in bodies:
        if body:
            parts += ["<tbody>", *body, "</tbody>"]
    return "\n".join([*parts, "</table>", "</div>"])


def items(entries: Sequence[str]) -> str:
    """A list.

    Args:
        entries: markup.

    Returns:
        The element; empty where there are none.

    Example:
        >>> items(["one"])
        '<ul>\\n<li>one</li>\\n</ul>'
    """
    return "\n".join(["<ul>", *(f"<li>{e}</li>" for e in entries), "</ul>"]) if entries else ""


def terms(entries: Mapping[str, str]) -> str:
    """Terms and what is said of them.

    Args:
        entries: markup by markup.

    Returns:
        The element; entries without a text are left out.

    Example:
        >>> terms({"rows": "10", "note": ""})
        '<dl>\\n<dt>rows</dt><dd>10</dd>\\n</dl>'
    """
    shown = [f"<dt>{term}</dt><dd>{said}</dd>" for term, said in entries.items() if said]
    return "\n".join(["<dl>", *shown, "</dl>"])
