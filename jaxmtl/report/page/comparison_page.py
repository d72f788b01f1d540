"""A comparison as one page that opens from disk."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from jaxmtl.comparison import PerSeed, read_per_seed
from jaxmtl.comparison.equal_time import EqualTime
from jaxmtl.files.atomic import new_file
from jaxmtl.metrics import main_measure
from jaxmtl.report.page.about_comparison import AboutComparison
from jaxmtl.report.page.comparison_caveats import caveats
from jaxmtl.report.page.contrast_tables import contrast_table, task_contrast_table
from jaxmtl.report.page.equal_time_table import equal_time_table
from jaxmtl.report.page.inline_svg import inline_svg
from jaxmtl.report.page.leaderboard_table import leaderboard_table
from jaxmtl.report.page.markup import figure, items, name, section, terms, text
from jaxmtl.report.page.shell import whole_page
from jaxmtl.report.pictures.comparison_pictures import names_of, parameters_of
from jaxmtl.report.pictures.comparison_rows import (
    differences,
    label_arms,
    number,
    relabel,
    relabel_runs,
    rows_of,
)
from jaxmtl.report.pictures.differences_picture import draw_differences
from jaxmtl.report.pictures.parameters_picture import draw_error_against_parameters
from jaxmtl.report.pictures.style import looks
from jaxmtl.report.words.compared import compared
from jaxmtl.report.words.numbers import count, duration, percent_decimals, with_interval

READING = (
    "A difference of −2 % (−3.5 to −0.5) says: with this arm the {error} is 2 % smaller "
    "than with the reference, and were the seeds drawn anew, the mean would hardly be outside "
    "−3.5 % to −0.5 %. p is the probability of a difference at least as large if there were none; "
    "Holm's adjustment allows for having asked about several arms at once. “Better” and “worse” "
    "ask for an adjusted p below 0.05 and an interval without 0; “not distinguishable” says that "
    "the seeds do not decide, not that both are equally good."
)
LONGEST_HEADLINE = 220  # in characters; what is longer does not read well in large type
LONG = ' class="long"'
SPLITS = {"train": "to train on", "validation": "to select on", "test": "to test on"}


def write_comparison_page(
    path: str | os.PathLike[str],
    *,
    sentences: Sequence[str],
    leaderboard: pd.DataFrame,
    contrasts: pd.DataFrame,
    per_seed: pd.DataFrame,
    about: AboutComparison,
    equal_time: EqualTime | None = None,
    force: bool = False,
) -> Path:
    """Writes the page: answer, pictures, tables, how it was done, and what to beware of.

    The page is one file that refers to nothing outside itself but to ``about.pages``. It needs no
    script; with one, the leaderboard can be sorted.

    Args:
        path: of the file, "report.html".
        sentences: what the numbers allow to say, the most important first; plain text. They are
            folded in where ``about`` has a shorter answer.
        leaderboard: one row an arm, best first.
        contrasts: one row an arm and quantity; empty with a single arm.
        per_seed: one row an arm, seed and task.
        about: what else a reader must know.
        equal_time: errors in the time that plain training takes; None for no such section.
        force: an existing file may be replaced.

    Returns:
        The path of the file.

    Raises:
        ValueError: the frames have other tasks or no such reference.
        RunFolderError: the file exists, or cannot be written.

    Example:
        >>> import tempfile
        >>> from jaxmtl.tasks import number_tasks
        >>> per_seed = pd.DataFrame({
        ...     "arm": ["plain"], "kind": "arm", "seed": 0, "task": "y", "error": 0.2,
        ...     "measure": "rmse", "value": 4.5, "parameters": 46, "diverged": False})
        >>> row = {"arm": "plain", "kind": "arm", "y rmse": 4.5, "y error": 0.2, "error": 0.2}
        >>> row |= dict.fromkeys(["error_low", "error_high", "delta_m", "worst_task"], math.nan)
        >>> row |= {"mean_rank": 1.0, "parameters": 46, "splits": 0, "seconds": 2.6}
        >>> row |= {"seeds": 1, "diverged": 0}
        >>> about = AboutComparison(
        ...     table="file a.csv", rows={"train": 80, "test": 20}, features=["x"],
        ...     tasks=number_tasks("y"), split="random", seeds=[0], arms={"plain": "Hard sharing."},
        ...     reference="plain", selection="last epoch")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = write_comparison_page(
        ...         Path(folder, "report.html"), sentences=["One arm is no contest."],
        ...         leaderboard=pd.DataFrame([row]), contrasts=pd.DataFrame(),
        ...         per_seed=per_seed, about=about)
        ...     "One arm is no contest." in file.read_text(encoding="utf-8")
        True
    """
    runs = read_per_seed(per_seed, ("measure", "parameters"))
    _check(runs, about)
    shown = label_arms([*runs.arms, *about.arms], about.labels)
    sizes = parameters_of(runs, per_seed)
    runs = relabel_runs(runs, shown)
    leaderboard, contrasts = relabel(leaderboard, shown), relabel(contrasts, shown)
    how = _how(about, shown)
    arms = {shown[arm]: said for arm, said in about.arms.items()}
    about = dataclasses.replace(about, reference=shown[about.reference], arms=arms)
    words = compared(runs.measures, scaled=runs.scaled, better=runs.better)
    reservations = [text(f"{said[0].upper()}{said[1:]}.") for said in about.notes if said]
    reservations += caveats(
        leaderboard,
        contrasts,
        words,
        num_seeds=len(about.seeds),
        num_tasks=len(about.tasks),
    )
    board = leaderboard_table(
        *(leaderboard, about.tasks, about.reference),
        scaled=runs.scaled,
        own=words if runs.better else None,
    )
    parts = [
        _header(sentences, runs, about),
        _differences(runs, contrasts, about),
        section("Leaderboard", board),
        _contrasts(runs, contrasts, about),
        _at_equal_time(equal_time, shown),
        _parameters(leaderboard, runs, sizes),
        how,
        section("What to beware of", items(reservations)),
    ]
    body = "\n".join(part for part in parts if part)
    page = whole_page(body, _title(runs, about), _footer(about))
    with new_file(path, force=force) as file:
        file.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)


def _check(runs: PerSeed, about: AboutComparison) -> None:
    measures = dict(zip(map(str, runs.tasks), runs.measures, strict=True))
    asked = {task.name: main_measure(task).name for task in about.tasks}
    if runs.better:  # a measure of one's own, the same for all tasks
        asked = dict.fromkeys(asked, runs.measures[0])
    if measures != asked:
        found, wanted = (
            ", ".join(f"{task} by {measure}" for task, measure in each.items())
            for each in (asked, measures)
        )
        raise ValueError(
            f"about.tasks: expected the tasks of per_seed ({wanted}), got {found}; hand over what "
            "belongs to one comparison"
        )
    if about.reference not in runs.arms:
        raise ValueError(
            f"about.reference: expected an arm of per_seed ({', '.join(runs.arms)}), got "
            f"{about.reference!r}; hand over what belongs to one comparison"
        )


def _footer(about: AboutComparison) -> str:
    time = f" in {duration(about.seconds)}" if math.isfinite(about.seconds) else ""
    return f"Computed by jaxmtl {about.versions.get('jaxmtl', '')}{time}."


def _title(runs: PerSeed, about: AboutComparison) -> str:
    arms = int(runs.contests.sum())
    tasks = count(len(about.tasks), "task")
    if runs.better:
        return f"{count(arms, 'run')} compared by {runs.measures[0]}"
    return f"{arms} ways to learn {tasks}, compared" if arms > 1 else f"One way to learn {tasks}"


def _header(sentences: Sequence[str], runs: PerSeed, about: AboutComparison) -> str:
    seeds, table = count(len(about.seeds), "seed"), text(about.table)
    targets = ", ".join(name(task.name) for task in about.tasks)
    facts = " · ".join(part for part in (targets, table, seeds) if part)
    pages = ", ".join(
        f'<a href="{text(where)}">{name(measure)}</a>' for measure, where in about.pages.items()
    )
    said, more = _paragraphs(about.answer or sentences), ""
    if about.use:
        said += f"\n<pre><code>{text(about.use)}</code></pre>"
    if about.answer and sentences:
        shown = f"<summary>All that the numbers say</summary>\n{_paragraphs(sentences)}"
        more = f'<details class="inner">\n{shown}\n</details>'
    return "\n".join(
        [
            "<header>",
            f"<h1>{text(_title(runs, about))}</h1>",
            f'<p class="about">{facts}</p>',
            f'<p class="about">By other measures: {pages}</p>' if pages else "",
            f'<div class="answer" role="note" aria-label="Answer">\n{said}\n</div>' if said else "",
            more,
            "</header>",
        ]
    )


def _paragraphs(sentences: Sequence[str]) -> str:
    return "\n".join(
        f"<p{LONG * (len(sentence) > LONGEST_HEADLINE)}>{text(sentence)}</p>"
        for sentence in sentences
    )


def _differences(runs: PerSeed, contrasts: pd.DataFrame, about: AboutComparison) -> str:
    found = differences(runs, contrasts, about.reference)
    if not found:
        return ""
    names = names_of(runs)
    with looks(names.labels):
        drawn = draw_differences(runs, contrasts, about.reference, names)
    decimals = percent_decimals(found)
    said = "; ".join(
        f"{row.arm} {with_interval(row.percent, row.low, row.high, decimals)}" for row in found
    )
    words = compared(runs.measures, scaled=runs.scaled, better=runs.better)
    what, noun = ("Test error", "error") if not runs.better else (words.paired, words.noun)
    label = f"Paired differences of the {words.paired} against {about.reference}: {said}."
    several = any(math.isfinite(row.low) for row in found)
    caption = (
        f"{text(what)} of every arm minus that of {name(about.reference)}, seed by seed, in % of "
        f"the mean {text(noun)} of {name(about.reference)}. "
    )
    if len(about.seeds) > 1:
        caption += "A dot is a seed. "
    if several:
        caption += (
            "A bar is the 95 % interval of the mean; a hollow mark says that the seeds do not tell "
            "the arm from the reference. "
        )
    caption += "What lies far outside is an arrow at the edge."
    svg = inline_svg(drawn, label=label, prefix="differences", replaced=names.replaced)
    return section("Differences", figure(svg, caption))


def _contrasts(runs: PerSeed, contrasts: pd.DataFrame, about: AboutComparison) -> str:
    overall = contrast_table(runs, contrasts, about.reference)
    if not overall:
        return ""
    several = any(math.isfinite(row.low) for row in differences(runs, contrasts, about.reference))
    words = compared(runs.measures, scaled=runs.scaled, better=runs.better)
    reading = f"<p>{READING.format(error=text(words.noun))}</p>" if several else ""
    tasks = [task.name for task in about.tasks]
    each = task_contrast_table(runs, contrasts, about.reference, tasks)
    tests = (
        '<details class="inner">\n<summary>Differences and their tests, arm by arm</summary>\n'
        f"{overall}\n{reading}\n</details>"
    )
    heading = "<h3>Task by task</h3>" if each else ""
    return section("Contrasts", tests, heading, each)


def _at_equal_time(found: EqualTime | None, shown: Mapping[str, str]) -> str:
    if found is None:
        return ""
    said = f"<p>{text(found.sentence)}</p>" if found.sentence else ""
    return section("At equal time", said, equal_time_table(found, shown))


def _parameters(
    leaderboard: pd.DataFrame, runs: PerSeed, sizes: Float[np.ndarray, "arms seeds"]
) -> str:
    if not np.isfinite(sizes).any() and runs.better:
        return ""
    names = names_of(runs)
    with looks(names.labels):
        drawn = draw_error_against_parameters(leaderboard, runs, sizes, names)
    board = rows_of(leaderboard)
    said = "; ".join(
        f"{row['arm']} {number(row['error']):.4g}"
        + ("" if pd.isna(row["parameters"]) else f" with {row['parameters']:.4g} parameters")
        for row in board
    )
    caption = (
        "Mean error against the number of parameters in use. An arm is worth its parameters if it "
        "lies below the others of its size."
    )
    if len(board) > 1 and any(math.isfinite(number(row["error_low"])) for row in board):
        caption += (
            " Intervals here are those of each mean by itself and hold what all arms of a seed "
            "have in common: to compare two arms, see the paired differences."
        )
    axis = compared(runs.measures, scaled=runs.scaled).axis
    svg = inline_svg(
        drawn,
        label=f"{axis[0].upper()}{axis[1:]} against active parameters: {said}.",
        prefix="parameters",
        replaced=names.replaced,
    )
    return section("Error against parameters", figure(svg, caption))


def _how(about: AboutComparison, shown: Mapping[str, str]) -> str:
    rows = ", ".join(
        f"{number:,} {SPLITS.get(split, text(split))}" for split, number in about.rows.items()
    )
    arms = {}
    for arm, said in about.arms.items():
        term = name(shown[arm]) + " (reference)" * (arm == about.reference)
        code = f" <code>{text(arm)}</code>" if arm != shown[arm] else ""
        arms[term] = text(said) + code
    entries = {
        "Table": text(about.table),
        "Rows": rows,
        "Split": text(about.split),
        "Features": ", ".join(map(name, about.features)),
        "Targets": ", ".join(name(task.name) for task in about.tasks),
        "Seeds": _seeds(about.seeds),
        "Protocol": text(about.protocol),
        "Selection": text(about.selection),
        "Time": duration(about.seconds) if math.isfinite(about.seconds) else "",
        "Machine": text(about.machine),
        "Versions": text(", ".join(f"{key} {value}" for key, value in about.versions.items())),
        "Command": f"<pre><code>{text(about.command)}</code></pre>" if about.command else "",
    }
    return section(
        "How it was done", terms(entries), "<h3>Arms and reference lines</h3>", terms(arms)
    )


def _seeds(seeds: Sequence[int]) -> str:
    """All of them, or the first and last of a range without gaps."""
    low, high = min(seeds), max(seeds)
    if len(seeds) > 3 and sorted(seeds) == list(range(low, high + 1)):
        return f"{low} to {high} ({len(seeds)})"
    return ", ".join(map(str, seeds)) + (f" ({len(seeds)})" if len(seeds) > 3 else "")
