"""Contrasts against the reference as tables of a page."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from jaxmtl.comparison import PerSeed
from jaxmtl.comparison.clauses import enough_runs
from jaxmtl.report.page.markup import name, table, text
from jaxmtl.report.pictures.comparison_rows import (
    LINE,
    OVERALL,
    Difference,
    contrast_of,
    differences,
    number,
    rows_of,
)
from jaxmtl.report.words.compared import compared
from jaxmtl.report.words.numbers import (
    NONE,
    decimals_for,
    percent_decimals,
    probability,
    signed,
    with_interval,
)

MARKS = {"better": "▼", "worse": "▲"}
HIGHER = {"better": "▲", "worse": "▼"}


def contrast_table(runs: PerSeed, contrasts: pd.DataFrame, reference: str) -> str:
    """Overall contrasts: difference, interval, p values and verdict of every arm.

    Args:
        runs: errors of every arm, seed and task.
        contrasts: one row an arm and quantity.
        reference: name of the arm that others are compared with.

    Returns:
        The element; empty where there is nothing to compare.

    Example:
        >>> from jaxmtl.comparison import read_per_seed
        >>> alone = pd.DataFrame({"arm": ["a"], "kind": "arm", "seed": 0, "task": "t",
        ...                       "error": 1.0, "measure": "rmse"})
        >>> contrast_table(read_per_seed(alone), pd.DataFrame(), "a")
        ''
    """
    rows = [
        (row, contrast)
        for row in differences(runs, contrasts, reference)
        if (contrast := contrast_of(contrasts, row.arm)) is not None
    ]
    if not rows:
        return ""
    corrected = any(row.corrected for row, _ in rows)
    decimals = percent_decimals([row for row, _ in rows])
    scaled = decimals_for([number(contrast["difference"]) for _, contrast in rows], 3)
    words = compared(runs.measures, scaled=runs.scaled, better=runs.better)
    marks = HIGHER if runs.sign < 0 else MARKS
    titles = [
        words.heading,
        words.difference,
        "p, Wilcoxon",
    ]
    titles += ["p, Nadeau–Bengio"] if corrected else []
    titles += ["p, adjusted by Holm", "Pairs of seeds"]
    head = "".join(f'<th scope="col">{text(title)}</th>' for title in titles)
    mean = ", mean over tasks" if len(runs.tasks) > 1 else ""
    interval = "Nadeau–Bengio where there is one, else bootstrap" if corrected else "bootstrap"
    caption = (
        f"Every arm minus {name(reference)}{mean}, seed by seed; {words.sign_of_better} is better."
    )
    if any(np.isfinite(row.low) for row, _ in rows):
        caption += f" In brackets the 95 % interval ({interval})."
    bodies: list[list[str]] = [[], []]
    sizes = Counter(row.kind for row, _ in rows)
    for row, contrast in rows:
        needed = 2 if row.corrected else enough_runs(sizes[row.kind])
        cells = [
            _value(row, decimals),
            _plain(signed(number(contrast["difference"]), scaled)),
            _plain(probability(number(contrast["p_wilcoxon"]))),
        ]
        if corrected:
            cells.append(_plain(probability(number(contrast["p_nadeau_bengio"]))))
        cells += [
            _plain(probability(number(contrast["p_holm"]))),
            _plain(str(int(contrast["seeds"]))),
            f'<td class="word">{_verdict(row, needed, marks)}</td>',
        ]
        bodies[row.kind == LINE].append(
            f'<tr><th scope="row">{name(row.arm)}</th>{"".join(cells)}</tr>'
        )
    _set_apart(bodies[1], len(titles) + 2)
    first = '<th class="first" scope="col">Arm</th>'
    last = '<th class="first" scope="col">Verdict</th>'
    return table(caption, [f"<tr>{first}{head}{last}</tr>"], bodies, "Contrasts, overall")


def task_contrast_table(
    runs: PerSeed, contrasts: pd.DataFrame, reference: str, tasks: Sequence[str]
) -> str:
    """Contrasts task by task: one row an arm, one column a task.

    Args:
        runs: errors of every arm, seed and task.
        contrasts: one row an arm and quantity.
        reference: name of the arm that others are compared with.
        tasks: names of the targets.

    Returns:
        The element; empty with a single task, of which the overall contrasts say all.

    Example:
        >>> from jaxmtl.comparison import read_per_seed
        >>> alone = pd.DataFrame({"arm": ["a"], "kind": "arm", "seed": 0, "task": "only",
        ...                       "error": 1.0, "measure": "rmse"})
        >>> task_contrast_table(read_per_seed(alone), pd.DataFrame(), "a", ["only"])
        ''
    """
    if len(tasks) < 2 or not len(contrasts):
        return ""
    columns = [differences(runs, contrasts, reference, task) for task in tasks]
    marks = HIGHER if runs.sign < 0 else MARKS
    decimals = [percent_decimals(column) for column in columns]
    head = "".join(f'<th scope="col">{name(task)}</th>' for task in tasks)
    bodies: list[list[str]] = [[], []]
    for rows in zip(*columns, strict=True):
        cells = "".join(_value(row, d, marks) for row, d in zip(rows, decimals, strict=True))
        bodies[rows[0].kind == LINE].append(
            f'<tr><th scope="row">{name(rows[0].arm)}</th>{cells}</tr>'
        )
    _set_apart(bodies[1], len(tasks) + 1)
    adjusted = any(
        np.isfinite(number(row["p_holm"]))
        for row in rows_of(contrasts)
        if row["quantity"] in tasks and row["quantity"] != OVERALL
    )
    caption = (
        f"Every arm minus {name(reference)}, task by task, in % of the reference's error of that "
        f"task. {marks['better']} better, {marks['worse']} worse, without a mark not "
        f"distinguishable; verdicts are {'' if adjusted else 'not '}adjusted for their number."
    )
    first = '<th class="first" scope="col">Arm</th>'
    return table(caption, [f"<tr>{first}{head}</tr>"], bodies, "Contrasts, task by task")


def _value(row: Difference, decimals: int, marks: Mapping[str, str] | None = None) -> str:
    if row.absence:
        return f"<td>{row.absence}</td>"
    shown, _, interval = with_interval(row.percent, row.low, row.high, decimals).partition(" (")
    mark = f" {marks[row.verdict]}" if marks and row.verdict in marks else ""
    small = f"<small>({text(interval)}</small>" if interval else ""
    shade = f' class="{row.verdict}"' if mark else ""
    return f"<td><span{shade}>{shown}{mark}</span>{small}</td>"


def _plain(shown: str) -> str:
    return f"<td>{text(shown)}</td>"


def _verdict(row: Difference, needed: int, marks: Mapping[str, str]) -> str:
    if row.verdict in marks:
        return f'<span class="{row.verdict}">{marks[row.verdict]} {row.verdict}</span>'
    if row.absence:
        return f'<span class="diverged">{row.absence}</span>'
    if row.pairs < needed:
        return f"too few runs to test (it takes {needed})"
    return text(row.verdict or NONE)


def _set_apart(rows: list[str], span: int) -> None:
    if rows:
        rows.insert(
            0,
            f'<tr class="lines"><th colspan="{span}" scope="rowgroup">'
            "Reference lines, no contestants</th></tr>",
        )
