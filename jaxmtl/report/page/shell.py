"""What every page has around its body."""

from jaxmtl.report.page.markup import text
from jaxmtl.report.page.page_style import SCRIPT, STYLE


def whole_page(body: str, title: str, footer: str, *, style: str = "") -> str:
    """A page that opens from disk and loads nothing.

    Args:
        body: elements.
        title: plain text.
        footer: plain text.
        style: of this page, beside that of all.

    Returns:
        The document.

    Example:
        >>> whole_page("<p>So.</p>", "A & B", "Made by hand.").count("A &amp; B")
        1
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            # A browser that obeys this loads nothing from anywhere, whatever the page says.
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{text(title)}</title>",
            f"<style>{STYLE}{style}</style>",
            "</head>",
            "<body>",
            "<main>",
            body,
            "</main>",
            f"<footer>{text(footer)}</footer>",
            f"<script>{SCRIPT}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )
