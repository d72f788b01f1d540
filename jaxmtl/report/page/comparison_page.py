"""A comparison as one page that opens from disk."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from jaxmtl.files.atomic import new_file
from jaxmtl.report.page.comparison_caveats import caveats
from jaxmtl.report.page.contrast_tables import contrast_table, task_contrast_table
from jaxmtl.report.page.inline_svg import inline_svg
from jaxmtl.report.page.leaderboard_table import leaderboard_table
from jaxmtl.report.page.markup import figure, items, name, section, terms, text
from jaxmtl.report.page.page_style import SCRIPT, STYLE
from jaxmtl.report.pictures.comparison_pictures import names_of
from jaxmtl.report.pictures.comparison_rows import (
    LINE,
    differences,
    kinds_of,
    label_arms,
    number,
    records,
    relabel,
    tasks_of,
)
from jaxmtl.report.pictures.differences_picture import draw_differences
from jaxmtl.report.pictures.parameters_picture import draw_error_against_parameters
from jaxmtl.report.pictures.style import looks
from jaxmtl.report.words.numbers import count, duration, percent_decimals, with_interval

READING = (
    "A difference of −2 % (−3.5 to −0.5) says: with this arm the mean squared error is 2 % smaller "
    "than with the reference, and were the seeds drawn anew, the mean would hardly be outside "
    "−3.5 % to −0.5 %. p is the probability of a difference at least as large if there were none; "
    "Holm's adjustment allows for having asked about several arms at once. “Better” and “worse” "
    "ask for an adjusted p below 0.05 and an interval without 0; “not distinguishable” says that "
    "the seeds do not decide, not that both are equally good."
)
LONGEST_HEADLINE = 220  # in characters; what is longer does not read well in large type
LONG = ' class="long"'
SPLITS = {"train": "to train on", "validation": "to select on", "test": "to test on"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AboutComparison:
    """What a reader must know of a comparison beside its numbers; every text is plain text.

    Attributes:
        table: where the rows come from, "file air.xlsx, sheet 'days'".
        rows: number of rows by split: "train", "validation", "test".
        features: names of the feature columns.
        targets: names of the target columns, in the order of the tasks.
        split: how rows are divided, and whether seeds divide them anew.
        seeds: the seeds, as integers.
        arms: what each arm and line is, in one line, by its name.
        reference: name of the arm that others are compared with.
        selection: which epoch's parameters are tested.
        protocol: architecture, schedule, optimizer: what all arms have in common.
        versions: version by name of the software.
        command: that repeats the comparison; empty if it was none.
        seconds: of the whole comparison; NaN if not measured.
        machine: processor and devices, in words.
        labels: what arms are called on the page, by name; others are called by their name,
            without underscores.

    Raises:
        ValueError: the reference is not one of the arms, or there is no seed.

    Example:
        >>> AboutComparison(
        ...     table="file a.csv", rows={"train": 80, "test": 20}, features=["x"], targets=["y"],
        ...     split="random", seeds=[0], arms={"plain": "Hard sharing."}, reference="plain",
        ...     selection="last epoch").seeds
        (0,)
    """

    table: str
    rows: Mapping[str, int]
    features: Sequence[str]
    targets: Sequence[str]
    split: str
    seeds: Sequence[int]
    arms: Mapping[str, str]
    reference: str
    selection: str
    protocol: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    command: str = ""
    seconds: float = math.nan
    machine: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Freezes sequences, and checks what the page is built on."""
        for field in ("features", "targets", "seeds"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if self.reference not in self.arms:
            raise ValueError(
                f"reference: expected one of {', '.join(self.arms)}, got {self.reference!r}; "
                "describe it among the arms"
            )
        if not self.seeds:
            raise ValueError("seeds: expected at least one, got none; name those that were run")


def write_comparison_page(
    path: str | os.PathLike[str],
    *,
    sentences: Sequence[str],
    leaderboard: pd.DataFrame,
    contrasts: pd.DataFrame,
    per_seed: pd.DataFrame,
    about: AboutComparison,
    force: bool = False,
) -> Path:
    """Writes the page: answer, pictures, tables, how it was done, and what to beware of.

    The page is one file that refers to nothing outside itself. It needs no script; with one, the
    leaderboard can be sorted.

    Args:
        path: of the file, "report.html".
        sentences: what the numbers allow to say, the most important first; plain text.
        leaderboard: one row an arm, best first.
        contrasts: one row an arm and quantity; empty with a single arm.
        per_seed: one row an arm, seed and task.
        about: what else a reader must know.
        force: an existing file may be replaced.

    Returns:
        The path of the file.

    Raises:
        ValueError: the frames have other tasks or no such reference.
        RunFolderError: the file exists, or cannot be written.

    Example:
        >>> import tempfile
        >>> per_seed = pd.DataFrame({
        ...     "arm": ["plain"], "kind": "arm", "seed": 0, "task": "y", "error": 0.2,
        ...     "rmse": 4.5, "parameters": 46, "diverged": False})
        >>> row = {"arm": "plain", "kind": "arm", "y rmse": 4.5, "y error": 0.2, "error": 0.2}
        >>> row |= dict.fromkeys(["error_low", "error_high", "delta_m", "worst_task"], math.nan)
        >>> row |= {"mean_rank": 1.0, "parameters": 46, "splits": 0, "seconds": 2.6}
        >>> row |= {"seeds": 1, "diverged": 0}
        >>> about = AboutComparison(
        ...     table="file a.csv", rows={"train": 80, "test": 20}, features=["x"], targets=["y"],
        ...     split="random", seeds=[0], arms={"plain": "Hard sharing."}, reference="plain",
        ...     selection="last epoch")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = write_comparison_page(
        ...         Path(folder, "report.html"), sentences=["One arm is no contest."],
        ...         leaderboard=pd.DataFrame([row]), contrasts=pd.DataFrame(),
        ...         per_seed=per_seed, about=about)
        ...     "One arm is no contest." in file.read_text(encoding="utf-8")
        True
    """
    _check(per_seed, about)
    shown = label_arms([*kinds_of(per_seed), *about.arms], about.labels)
    per_seed, leaderboard, contrasts = (
        relabel(frame, shown) for frame in (per_seed, leaderboard, contrasts)
    )
    how = _how(about, shown)
    arms = {shown[arm]: said for arm, said in about.arms.items()}
    about = dataclasses.replace(about, reference=shown[about.reference], arms=arms)
    reservations = caveats(
        leaderboard, contrasts, num_seeds=len(about.seeds), num_tasks=len(about.targets)
    )
    parts = [
        _header(sentences, per_seed, about),
        _differences(per_seed, contrasts, about),
        section("Leaderboard", leaderboard_table(leaderboard, about.targets, about.reference)),
        _contrasts(per_seed, contrasts, about),
        _parameters(leaderboard, per_seed),
        how,
        section("What to beware of", items(reservations)),
    ]
    page = _page("\n".join(part for part in parts if part), _title(per_seed, about), about)
    with new_file(path, force=force) as file:
        file.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)


def _check(per_seed: pd.DataFrame, about: AboutComparison) -> None:
    tasks, arms = tasks_of(per_seed), list(kinds_of(per_seed))
    if set(tasks) != set(about.targets):
        raise ValueError(
            f"about.targets: expected the tasks of per_seed ({', '.join(map(str, tasks))}), got "
            f"{', '.join(about.targets)}; hand over what belongs to one comparison"
        )
    if about.reference not in arms:
        raise ValueError(
            f"about.reference: expected an arm of per_seed ({', '.join(arms)}), got "
            f"{about.reference!r}; hand over what belongs to one comparison"
        )


def _page(body: str, title: str, about: AboutComparison) -> str:
    version = about.versions.get("jaxmtl", "")
    time = f" in {duration(about.seconds)}" if math.isfinite(about.seconds) else ""
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
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            body,
            "</main>",
            f"<footer>Computed by jaxmtl {text(version)}{time}.</footer>",
            f"<script>{SCRIPT}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _title(per_seed: pd.DataFrame, about: AboutComparison) -> str:
    arms = sum(kind != LINE for kind in kinds_of(per_seed).values())
    tasks = count(len(about.targets), "task")
    return f"{arms} ways to learn {tasks}, compared" if arms > 1 else f"One way to learn {tasks}"


def _header(sentences: Sequence[str], per_seed: pd.DataFrame, about: AboutComparison) -> str:
    seeds, table = count(len(about.seeds), "seed"), text(about.table)
    targets = ", ".join(name(target) for target in about.targets)
    said = "\n".join(
        f"<p{LONG * (len(sentence) > LONGEST_HEADLINE)}>{text(sentence)}</p>"
        for sentence in sentences
    )
    return "\n".join(
        [
            "<header>",
            f"<h1>{text(_title(per_seed, about))}</h1>",
            f'<p class="about">{targets} · {table} · {seeds}</p>',
            f'<div class="answer" role="note" aria-label="Answer">\n{said}\n</div>' if said else "",
            "</header>",
        ]
    )


def _differences(per_seed: pd.DataFrame, contrasts: pd.DataFrame, about: AboutComparison) -> str:
    found = differences(per_seed, contrasts, about.reference)
    if not found:
        return ""
    names = names_of(per_seed)
    with looks(names.labels):
        drawn = draw_differences(per_seed, contrasts, about.reference, names)
    decimals = percent_decimals(found)
    said = "; ".join(
        f"{row.arm} {with_interval(row.percent, row.low, row.high, decimals)}" for row in found
    )
    label = f"Paired differences of the test error against {about.reference}: {said}."
    several = any(math.isfinite(row.low) for row in found)
    caption = (
        f"Test error of every arm minus that of {name(about.reference)}, seed by seed, in % of the "
        f"mean error of {name(about.reference)}. "
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


def _contrasts(per_seed: pd.DataFrame, contrasts: pd.DataFrame, about: AboutComparison) -> str:
    overall = contrast_table(per_seed, contrasts, about.reference)
    if not overall:
        return ""
    several = any(
        math.isfinite(row.low) for row in differences(per_seed, contrasts, about.reference)
    )
    reading = f"<p>{READING}</p>" if several else ""
    each = task_contrast_table(per_seed, contrasts, about.reference, about.targets)
    heading = "<h3>Task by task</h3>" if each else ""
    return section("Contrasts", overall, reading, heading, each)


def _parameters(leaderboard: pd.DataFrame, per_seed: pd.DataFrame) -> str:
    names = names_of(per_seed)
    with looks(names.labels):
        drawn = draw_error_against_parameters(leaderboard, per_seed, names)
    board = records(leaderboard)
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
    svg = inline_svg(
        drawn,
        label=f"Scaled mean squared test error against active parameters: {said}.",
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
        "Targets": ", ".join(map(name, about.targets)),
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
