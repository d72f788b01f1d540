"""Errors at equal time as a table of a page."""

from collections.abc import Mapping

from jaxmtl.comparison.equal_time import EqualTime
from jaxmtl.report.page.markup import name, table, text
from jaxmtl.report.pictures.comparison_rows import number, rows_of
from jaxmtl.report.words.numbers import NONE, decimals_for, fixed, with_interval

CAPTION = (
    "Every arm is cut to the epochs that fit the time of {plain}; validation rows, where there are "
    "any, choose among these. Cost: time of an epoch, updates and what is measured after them, "
    "over that of {plain}; for several runs, of all of them. Times hang on the machine."
)


def equal_time_table(found: EqualTime, shown: Mapping[str, str]) -> str:
    """One row an arm: cost, epochs that fit, the error with all epochs and with those.

    Args:
        found: errors at equal time.
        shown: what arms are called, by their name.

    Returns:
        The element.
    """
    rows = rows_of(found.arms)
    errors = [number(row[at]) for row in rows for at in ("error", "error_at_equal_time")]
    digits = decimals_for(errors)
    titles = ("Cost", "Epochs", "Error at equal steps", "Error at equal time", "Difference")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    plain = shown.get(found.plain, found.plain)
    body = []
    for row in rows:
        percent, low, high = (number(row[key]) for key in ("percent", "low", "high"))
        cells = [
            fixed(number(row["cost"]), 1),
            fixed(number(row["epochs"]), 0),
            fixed(number(row["error"]), digits),
            fixed(number(row["error_at_equal_time"]), digits),
            with_interval(percent, low, high, 1) if percent == percent else NONE,
        ]
        arm = name(shown.get(row["arm"], row["arm"]))
        written = "".join(f"<td>{text(cell)}</td>" for cell in cells)
        written += f'<td class="word">{text(row["verdict"] or NONE)}</td>'
        body.append(f'<tr><th scope="row">{arm}</th>{written}</tr>')
    first = '<th class="first" scope="col">Arm</th>'
    last = '<th class="first" scope="col">Verdict</th>'
    caption = CAPTION.format(plain=name(plain))
    return table(caption, [f"<tr>{first}{head}{last}</tr>"], [body], "At equal time")
