"""The leaderboard as a table of a page."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from jaxmtl.comparison.leaderboard import value_column
from jaxmtl.metrics import main_measure
from jaxmtl.report.page.markup import name, table, text
from jaxmtl.report.pictures.comparison_rows import LINE, number, rows_of
from jaxmtl.report.words.compared import Compared, compared
from jaxmtl.report.words.numbers import NONE, decimals_for, fixed, signed
from jaxmtl.tasks import Task

AGAINST_INDEPENDENT = (
    " Δm is the mean over tasks of the change of the error against independent networks of the "
    "same seed, and worst task the largest of these changes, both averaged over the seeds, so that "
    "a seed in which these networks do well weighs more than in the contrasts; negative is better."
)
NO_INDEPENDENT = (
    " There is no Δm, the change against one network a task, without the arm of independent "
    "networks."
)
CAPTION = "Best first by the mean {}; means over seeds."
BOLD = (
    " The {} of each column among contestants is bold, which does not say that it is "
    "distinguishable from the next."
)
SIZES = ("parameters", "splits", "seconds")


def leaderboard_table(
    leaderboard: pd.DataFrame,
    tasks: Sequence[Task],
    reference: str,
    *,
    scaled: bool = True,
    own: Compared | None = None,
) -> str:
    """One row an arm, as the frame orders them.

    Args:
        leaderboard: one row an arm.
        tasks: that were predicted, in the order of the columns.
        reference: name of the arm that is marked.
        scaled: whether errors are those of scaled targets.
        own: words for a measure of one's own; None for the errors of tasks.

    Returns:
        The element.

    Example:
        >>> from jaxmtl.tasks import number_tasks
        >>> row = {"arm": "plain", "kind": "arm", "a rmse": 20.13, "a error": 0.0123}
        >>> row |= dict.fromkeys(["error", "error_low", "error_high"], 0.0123)
        >>> row |= dict.fromkeys(["delta_m", "worst_task", "mean_rank", "splits"], 1.0)
        >>> row |= {"parameters": 46, "seconds": 2.6, "seeds": 3, "diverged": 0}
        >>> "20.13" in leaderboard_table(pd.DataFrame([row]), number_tasks("a"), "plain")
        True
    """
    board = rows_of(leaderboard)
    contestants = [row for row in board if row["kind"] != LINE]
    lines = [row for row in board if row["kind"] == LINE]
    errors = own or compared([main_measure(task).name for task in tasks], scaled=scaled)
    higher = errors.better == "higher"
    columns = [_task(board, task, errors) for task in tasks] + _others(board, errors)
    head = _head(tasks, errors, [title for title, _ in columns[len(tasks) :]])
    cells = [cell for _, cell in columns]
    bodies = [
        [_row(row, cells, contestants, reference) for row in contestants],
        [_row(row, cells, contestants, reference) for row in lines],
    ]
    if bodies[1]:
        span = 1 + len(columns)
        bodies[1].insert(
            0,
            f'<tr class="lines"><th colspan="{span}" scope="rowgroup">'
            "Reference lines, no contestants</th></tr>",
        )
    caption = CAPTION.format("error" if own is None else errors.noun)
    caption += BOLD.format("best" if higher else "smallest") * (len(contestants) > 1)
    against = bool(np.isfinite(_column(board, "delta_m")).any())
    if against or own is None:
        caption += AGAINST_INDEPENDENT if against else NO_INDEPENDENT
    shown = table(caption, head, bodies, "Leaderboard")
    return shown.replace("<table>", "<table data-sorts>", 1)


# A cell is written from a row of the frame and from all contestants.
Row = dict[str, Any]
Cell = Callable[[Row, Sequence[Row]], str]


def _task(board: Sequence[Row], task: Task, errors: Compared) -> tuple[str, Cell]:
    """The task's main measure, in its own units, and below it the error that is compared."""
    value, error = f"{task.name} {main_measure(task).name}", f"{task.name} error"
    if value not in board[0]:  # a measure of one's own
        value = value_column(task.name, errors.noun)
    decimals = decimals_for(_column(board, value)), decimals_for(_column(board, error))

    def cell(row: Row, contestants: Sequence[Row]) -> str:
        shown = fixed(number(row[value]), decimals[0])
        if errors.note:
            shown += f"<small>{fixed(number(row[error]), decimals[1])}</small>"
        return _cell(row, value, shown, contestants, errors.better)

    return task.name, cell


def _others(board: Sequence[Row], errors: Compared) -> list[tuple[str, Cell]]:
    digits = decimals_for(_column(board, "error"))

    def error(row: Row, contestants: Sequence[Row]) -> str:
        shown = fixed(number(row["error"]), digits)
        low, high = number(row["error_low"]), number(row["error_high"])
        if np.isfinite(low) and np.isfinite(high):
            shown += f"<small>{fixed(low, digits)} to {fixed(high, digits)}</small>"
        return _cell(row, "error", shown, contestants, errors.better)

    def plain(key: str, write: Callable[[float], str], best: bool = True) -> Cell:
        return lambda row, contestants: _cell(
            row, key, write(number(row[key])), contestants if best else None
        )

    rank = plain("mean_rank", lambda v: fixed(v, 2))
    sizes = _column(board, "parameters")
    whole = 0 if np.allclose(sizes, np.round(sizes), equal_nan=True) else 1
    time = 2 if (_column(board, "seconds") < 1).any() else 1
    found = [
        (f"{errors.mean} (95 % interval)", error),
        ("Δm, %", plain("delta_m", lambda v: signed(v, 1))),
        ("Worst task, %", plain("worst_task", lambda v: signed(v, 1))),
        ("Mean rank", rank),
        ("Active parameters", plain("parameters", lambda v: fixed(v, whole), False)),
        ("Splits", plain("splits", lambda v: fixed(v, 1), False)),
        ("Seconds a seed", plain("seconds", lambda v: fixed(v, time), False)),
    ]
    if "runs" in board[0]:
        runs = plain("runs", lambda v: fixed(v, 0 if float(v).is_integer() else 2), False)
        found.insert(-1, ("Cost, runs", runs))
    if "better" in board[0]:  # runs of one's own may be of anything
        found = [pair for pair, key in zip(found[4:], SIZES, strict=True) if _says(board, key)]
        return [(f"{errors.mean} (95 % interval)", error), ("Mean rank", rank), *found]
    if np.isnan(_column(board, "delta_m")).all():  # no independent arm to compare with
        del found[1:3]
    return found


def _says(board: Sequence[Row], key: str) -> bool:
    """Whether a column says anything of any run."""
    values = _column(board, key)
    return bool((np.isfinite(values) & (values != 0)).any())


def _head(tasks: Sequence[Task], errors: Compared, others: Sequence[str]) -> list[str]:
    """Two rows; what all tasks have in common is said once, above their names."""
    first = '<th class="first" scope="col" rowspan="2" data-column="0">Arm</th>'
    title, *said = _measures(tasks)
    if errors.own:
        title, said = errors.noun, [""] * len(tasks)
    group = (
        f'<th scope="colgroup" colspan="{len(tasks)}">{text(title)}'
        + f"<small>{text(errors.note)}</small>" * bool(errors.note)
        + "</th>"
    )
    rest = [
        f'<th scope="col" rowspan="2" data-column="{i}">{text(title)}</th>'
        for i, title in enumerate(others, 1 + len(tasks))
    ]
    named = [
        f'<th scope="col" data-column="{i}">{name(task.name)}'
        + f"<small>{text(small)}</small>" * bool(small)
        + "</th>"
        for i, (task, small) in enumerate(zip(tasks, said, strict=True), 1)
    ]
    return [
        "<tr>" + "".join([first, group, *rest]) + "</tr>",
        "<tr>" + "".join(named) + "</tr>",
    ]


def _measures(tasks: Sequence[Task]) -> list[str]:
    """What is said of the measures above all tasks, then below the name of each."""
    measures = [main_measure(task) for task in tasks]
    words = measures[0].words[0].upper() + measures[0].words[1:]
    if len({measure.name for measure in measures}) > 1:
        return [
            "Measure of each task",
            *(measure.title_of(task) for measure, task in zip(measures, tasks, strict=True)),
        ]
    if any(task.unit for task in tasks):
        units = [measure.unit_of(task) for measure, task in zip(measures, tasks, strict=True)]
        return [words, *units]
    return [words + " in original units" * (measures[0].power > 0), *([""] * len(tasks))]


def _row(row: Row, cells: Sequence[Cell], contestants: Sequence[Row], reference: str) -> str:
    arm, badge = row["arm"], ""
    if arm == reference:
        badge = '<span class="badge">reference</span>'
    if row["diverged"]:
        badge += (
            f'<small class="diverged">diverged in {int(row["diverged"])} of {int(row["seeds"])} '
            "seeds</small>"
        )
    first = f'<th scope="row" data-value="{text(arm)}">{name(arm)}{badge}</th>'
    mark = ' class="reference"' if arm == reference else ""
    return f"<tr{mark}>{first}{''.join(cell(row, contestants) for cell in cells)}</tr>"


def _cell(
    row: Row, key: str, shown: str, contestants: Sequence[Row] | None, better: str = "lower"
) -> str:
    value = number(row[key])
    if np.isnan(value):
        everywhere = 0 < row["seeds"] <= row["diverged"]
        return f'<td data-value="">{"diverged" if everywhere else NONE}</td>'
    best = ""
    if contestants is not None and row["kind"] != LINE and len(contestants) > 1:
        sign = -1 if better == "higher" else 1
        best = sign * value <= np.nanmin(sign * _column(contestants, key))
        best = ' class="best"' if best else ""
    return f'<td{best} data-value="{value!r}">{shown}</td>'


def _column(board: Sequence[Row], key: str) -> Float[np.ndarray, " arms"]:
    return np.array([number(row[key]) for row in board])
