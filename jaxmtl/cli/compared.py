"""What ``jaxmtl compare`` says in the end: the answer first, then numbers."""

import math
from typing import TYPE_CHECKING, Any

from jaxmtl.comparison.clauses import Contrast, name_of
from jaxmtl.report.words.layout import aligned, wrapped

if TYPE_CHECKING:
    import pandas as pd

    from jaxmtl.comparison import Comparison

OPEN = "may be chance"


def answer_text(comparison: "Comparison", use: str) -> str:
    """What to use, how sure that is, what it costs, what was left out, and the command.

    Args:
        comparison: that was made.
        use: the command that trains what is to be used; empty if there is none.

    Returns:
        Lines, a sentence each.
    """
    said = comparison.answer or comparison.sentences[:1]
    lines = [line for sentence in said for line in wrapped(sentence)]
    return "\n".join([*lines, *([f"Command: {use}"] if use else [])])


def numbers_text(comparison: "Comparison") -> str:
    """The leaderboard, and every method against the reference.

    Args:
        comparison: that was made.

    Returns:
        Lines.
    """
    from jaxmtl.metrics import main_measure

    board: pd.DataFrame = comparison.leaderboard
    columns = [f"{task.name} {main_measure(task).name}" for task in comparison.tasks]
    named = ["arm", *columns, "error", "delta_m", "mean_rank", "parameters", "splits"]
    if "runs" in board:  # what an arm costs
        named.append("runs")
    without = []
    if board["delta_m"].isna().to_numpy().all():
        named.remove("delta_m")
        without = wrapped(
            "No delta_m, the change against one network a task: it needs the arm independent "
            "(--arms)."
        )
    said = [*difference_lines(comparison)]
    if (timed := comparison.equal_time) is not None:  # after an epoch's cost in those of plain
        named += ["cost", "error_at_equal_time"]
        board = board.merge(timed.arms[["arm", *named[-2:]]], on="arm", how="left")
        said += wrapped(timed.sentence)
    shown: Any = board[named]
    text = shown.to_string(
        index=False,
        na_rep="",
        formatters={"parameters": lambda v: "" if v != v else f"{v:.0f}"},
        float_format="{:.4g}".format,
    )
    parts = [text, "\n".join(without), "\n".join(said)]
    return "\n\n".join(part for part in parts if part)


def difference_lines(comparison: "Comparison") -> list[str]:
    """Every method against the reference, a line each, the best first.

    Args:
        comparison: that was made.

    Returns:
        A heading and lines; none where there is but one method.

    Example:
        >>> import jaxmtl
        >>> found = jaxmtl.compare_runs({"a": [0.3, 0.2, 0.4], "b": [0.2, 0.1, 0.2]})
        >>> difference_lines(found)[1:]
        ['  b  -44.4 %  too few seeds to tell']
    """
    rows: list[Any] = comparison.contrasts.to_dict("records")
    found: dict[str, Contrast] = {}
    for row in rows:  # an arm's first row is the mean over the targets
        found.setdefault(row["arm"], Contrast(row, None))
    if not found:
        return []
    many = len(comparison.tasks)
    mean = f", mean over {many} targets" if many > 1 else ""
    inside = "; in brackets, 95 % intervals" if len(comparison.seeds) > 1 else ""
    heading = (
        f"Test error against that of {name_of(comparison.reference, None)} over "
        f"{len(comparison.seeds)} seed{'s' * (len(comparison.seeds) > 1)}{mean}{inside}:"
    )
    order = sorted(found.values(), key=lambda row: (math.isnan(row.percent), row.percent))
    cells = [(row.arm, *_difference(row), _verdict(row)) for row in order]
    kept = [i for i in range(len(cells[0])) if any(row[i] for row in cells)]
    shown = [[row[i] for i in kept] for row in cells]
    return [*wrapped(heading, rest=""), *(f"  {line}" for line in aligned(shown, right=(1,)))]


def _difference(row: Contrast) -> tuple[str, str]:
    """Its size, and the interval."""
    if math.isnan(row.percent):
        return "", ""
    sign = "+" * (row.percent > 0)
    known = not math.isnan(row.low)
    inside = f"({row.write(row.low)} to {row.write(row.high)})" if known else ""
    return f"{sign}{row.size(row.percent)}", inside


def _verdict(row: Contrast) -> str:
    if row.clear:
        return str(row.verdict)
    if row.alike:
        return "the same"
    if math.isnan(row.percent):
        return row.difference()
    if row.near:  # it passes no test that allows for all comparisons
        return f"{OPEN} among so many"
    return "too few seeds to tell" if row.untested else OPEN
