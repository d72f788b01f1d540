"""A run on a table of any kind as one page that opens from disk, for whoever reads the answer."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from jaxmtl.data import Column
from jaxmtl.metrics import main_measure
from jaxmtl.metrics.measures import MEASURES
from jaxmtl.prediction.family_words import said
from jaxmtl.prediction.fit_table import MIXED
from jaxmtl.prediction.folder import SavedRun
from jaxmtl.prediction.predicted_columns import level_words
from jaxmtl.prediction.sample import SAMPLE
from jaxmtl.prediction.time_plan import is_of_time, of_time
from jaxmtl.report.page.markup import figure, items, name, section, table, terms, text
from jaxmtl.report.page.shell import whole_page
from jaxmtl.report.page.table_columns import what_is_shared, what_matters, who_shares
from jaxmtl.report.page.where_wrong_section import where_wrong_section
from jaxmtl.report.words.numbers import decimals_for, duration, fixed
from jaxmtl.report.words.table_intervals import (
    HEADS,
    caution_words,
    coverage_rows,
    joint_words,
    short_words,
    within_words,
)
from jaxmtl.report.words.table_quality import (
    Quality,
    against,
    gain_words,
    kept_words,
    line_words,
    names_in_words,
    qualities,
    sharing_words,
    verdict_of,
)
from jaxmtl.report.words.table_summary import (
    column_words,
    label_words,
    labels_of,
    next_to_each_other,
    rows_words,
)

CARDS = """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem;
  margin: 1.4rem 0; padding: 0; list-style: none; max-width: none; }
.cards li { margin: 0; padding: .8rem 1rem; background: var(--raised); }
.cards h2 { margin: 0; padding: 0; border: 0; font-size: 1rem; }
.cards .large { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.3; }
.cards dl { grid-template-columns: 1fr max-content; gap: 0 1rem; font-size: .875rem; }
.cards dt { font-weight: 400; color: var(--soft); }
.cards dd { text-align: right; font-variant-numeric: tabular-nums; }
.cards .own > * { font-weight: 600; color: var(--ink); }
.picture > div { margin: 0 auto; }
.picture > div svg { min-width: 0; max-width: none; }
td.short { text-align: left; }
.cards dd { margin: 0; }
.cards.many { grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .6rem; }
.many li { padding: .5rem .7rem; }
.many .large { font-size: 1.1rem; }
.many dl { font-size: .8rem; gap: 0 .4rem; }
td.word { white-space: normal; }
td.cell { text-align: left; }
td.worth { background: color-mix(in srgb, #2a78d6 calc(var(--share) * .55), transparent); }
.picture { padding-bottom: .5rem; }
.picture svg { overflow: visible; }
"""
MOST_IN_TITLE = 4  # names
MANY = 6  # targets, beyond which cards are small and pictures opened on demand
FEW_COLUMNS = 15  # that are listed without being asked for
MOST_COLUMNS = 60  # that are listed
YARDS = ("mean", "linear", "boosted")  # families that a card shows


def table_page(
    run: SavedRun,
    picture: str,
    *,
    place: str,
    drawn: int,
    wrong: tuple[str, int] = ("", 0),
    others: Mapping[str, str] | None = None,
) -> str:
    """The page of a run.

    Args:
        run: read from its folder.
        picture: of predicted against observed values, an element.
        place: where the run will be found, for the commands that use it.
        drawn: targets that the picture shows, the first ones.
        wrong: the picture of where it is wrong, and how many targets that one shows.
        others: pictures of ``draw_others``, elements by name.

    Returns:
        The document.
    """
    metrics, tasks, others = run.metrics, run.predictor.tasks, others or {}
    found = qualities(metrics, tasks)
    names = [task.name for task in tasks]
    more = len(names) - MOST_IN_TITLE
    title = names_in_words(names if more <= 0 else [*names[:MOST_IN_TITLE], f"{more} more"])
    new = f"{shlex.quote(place)} NEW.xlsx -o OUT.xlsx"
    classes = [task for task in tasks if task.has_classes]
    caption = ""
    if len(classes) < len(tasks):
        caption = "One dot a row that was not learned from; on the line predictions are exact. "
    if classes:
        caption += "Tables count the rows of each class. "
    if drawn < len(tasks):
        caption += f"The first {drawn} of {len(tasks)} columns."
    many = len(tasks) > MANY
    picture = figure(picture, caption.strip())
    if many:  # it is longer than all the rest
        shown = f"<summary>{drawn} pictures, one a column</summary>"
        picture = f'<details class="inner">{shown}{picture}</details>'
    parts = [
        _header(run, title, found, f"jaxmtl predict {new}"),
        f'<ul class="cards{" many" if many else ""}">{"".join(map(_card, found))}</ul>',
        section("Predicted against observed", picture),
        section("How sure a prediction is", *_sure(run)) if metrics.get("intervals") else "",
        section("What matters", *what_matters(run, others.get("importance", ""))),
        section("What the targets share", *what_is_shared(run, others.get("relations", ""))),
        section("Which targets share a network", *who_shares(run, others.get("structure", ""))),
        where_wrong_section(metrics, tasks, *wrong),
        section("What was kept", _kept(run)),
        section("What was done to the table", *_done(run)),
        section(
            "Next",
            "<p>Rows with the same columns, of which the predicted ones may be missing:</p>",
            f"<pre><code>jaxmtl predict {text(new)}</code></pre>",
            f"<p>How predictions change with a column, over rows that {SAMPLE} keeps, coded; "
            "remove that file before you pass the folder on, if no row may be passed on:</p>",
            f"<pre><code>jaxmtl inspect {text(shlex.quote(place))} --feature NAME</code></pre>",
        ),
        _details(run),
    ]
    version = run.config["versions"].get("jaxmtl", "")
    seconds = metrics["leaderboard"][-1]["seconds"]
    footer = f"Computed by jaxmtl {version} in {duration(seconds)}, {run.config['written'][:10]}."
    return whole_page("\n".join(parts), title, footer, style=CARDS)


def _header(run: SavedRun, title: str, found: Sequence[Quality], command: str) -> str:
    tasks = run.predictor.tasks
    sentences = [verdict_of(found), line_words(run.metrics, tasks)]
    sentences += [*of_time(run.config["notes"]), within_words(run.metrics, tasks)]
    sentences += [sharing_words(run.metrics, tasks), next_to_each_other(run)]
    said_ = "".join(f"<p>{text(sentence)}</p>" for sentence in sentences if sentence)
    said_ += f"<p>New rows: <code>{text(command)}</code></p>"
    return "\n".join(
        [
            "<header>",
            f"<h1>{text(title)}</h1>",
            f'<p class="about">{text(run.config["source"])} · {text(rows_words(run))}.</p>',
            f'<div class="answer" role="note" aria-label="Answer">{said_}</div>',
            "</header>",
        ]
    )


def _card(one: Quality) -> str:
    """How good the predictions of a task are, beside what else could be had."""
    if not one.task.has_classes:
        large = f"explains {one.share:.0%}" if one.share >= 0.005 else "no better than its mean"
    else:
        large = one.explained or "not known"
    large = large.replace("%", " %")
    typical = "typical error" if main_measure(one.task).name == "rmse" else one.title
    unit = f" {one.task.unit}" if one.task.unit else ""
    if one.task.has_classes:
        lines = [
            f"<dt>{text(said(other))}</dt><dd>{text(one.right[other])}</dd>"
            for other in YARDS
            if other in one.right
        ]
        return _item(one, large, lines)
    lines = [f"<dt>{text(typical)}</dt><dd>{one.own}{text(unit)}</dd>"]
    lines += [
        f"<dt>that of {text(said(other))}</dt><dd>{one.others[other]}</dd>"
        for other in YARDS
        if other in one.others
    ]
    return _item(one, large, lines)


def _item(one: Quality, large: str, lines: Sequence[str]) -> str:
    return (
        f'<li><h2>{name(one.task.name)}</h2><span class="large">{text(large)}</span>'
        f"<dl>{''.join(lines)}</dl></li>"
    )


def _kept(run: SavedRun) -> str:
    metrics, rows = run.metrics, []
    for task in run.predictor.tasks:
        words = gain_words(metrics, task), kept_words(metrics, task)
        cells = "".join(f'<td class="word">{text(one)}</td>' for one in words)
        rows.append(f'<tr><th scope="row">{name(task.name)}</th>{cells}</tr>')
    heads = ("column", "error", "what predicts it")
    head = "".join(f'<th class="first">{one}</th>' for one in heads)
    caption = "Weighted means that predict held-out rows best"
    if (gain := metrics.get("gain")) is not None:
        caption += f", and their error {against(gain)}"
    return table(f"{text(caption)}.", [f"<tr>{head}</tr>"], [rows], "What was kept")


def _sure(run: SavedRun) -> list[str]:
    """Widths of intervals, and what they held."""
    found = run.metrics["intervals"]
    rows = []
    for row in coverage_rows(found, run.predictor.tasks):
        cells = "".join(f'<td class="short">{text(one)}</td>' for one in row[1:])
        rows.append(f'<tr><th scope="row">{name(row[0])}</th>{cells}</tr>')
    head = "".join(f'<th class="first">{one}</th>' for one in ("column", *HEADS[1:]))
    caption = (
        f"{level_words(found['level'])} intervals, which follow from the errors of rows that were "
        "not learned from; held: the share of such rows that they contain, and between what it "
        "lies with 95 % certainty; tenths are of the rows in the order of their true values."
    )
    words = [
        *short_words(found, run.predictor.tasks),
        joint_words(found),
        caution_words(run.config.get("settings") or {}),
    ]
    return [
        table(text(caption), [f"<tr>{head}</tr>"], [rows], "How sure a prediction is"),
        *(f"<p>{text(sentence)}</p>" for sentence in words if sentence),
    ]


def _done(run: SavedRun) -> list[str]:
    columns = [Column.from_json(saved) for saved in run.config["columns"]]
    rows = []
    every = [column_words(column) for column in columns[:MOST_COLUMNS]]
    known = {label.name: label for label in labels_of(run.config)}
    every += [label_words(task, known.get(task.name)) for task in run.predictor.tasks]
    for first, *words in every:
        cells = "".join(f'<td class="word">{text(word)}</td>' for word in words)
        rows.append(f'<tr><th scope="row">{name(first)}</th>{cells}</tr>')
    heads = ("column", "taken for", "made of it", "missing", "range or levels")
    head = "".join(f'<th class="first">{one}</th>' for one in heads)
    more = len(columns) - MOST_COLUMNS
    caption = f"{len(columns)} columns were used" + (f", {more} not shown." if more > 0 else ".")
    left = [f"{name(one)}: {text(why)}" for one, why in run.config["left_out"]]
    # The others stand beside the verdict.
    notes = [note for note in run.config["notes"] if not is_of_time(note)]
    used = table(caption, [f"<tr>{head}</tr>"], [rows], "Columns")
    if len(columns) > FEW_COLUMNS:
        used = f'<details class="inner"><summary>{len(columns)} columns</summary>{used}</details>'
    return [
        used,
        f"<h3>Left out</h3>{items(left)}" if left else "",
        f"<h3>Worth knowing</h3>{items(list(map(text, notes)))}" if notes else "",
    ]


def _details(run: SavedRun) -> str:
    """All measures of all families, and how the run was made."""
    config, board = run.config, run.metrics["leaderboard"]
    tables = []
    for task in run.predictor.tasks:
        measures = [
            one for one in MEASURES[task.kind] if one.name in board[0]["measures"][task.name]
        ]
        head = "".join(f"<th>{text(one.title_of(task, ''))}</th>" for one in measures)
        rows = []
        for line in board:
            values = [line["measures"][task.name][one.name] for one in measures]
            cells = "".join(f"<td>{_number(value)}</td>" for value in values)
            words = said(line["name"])
            rows.append(f'<tr><th scope="row">{text(words)}</th>{cells}</tr>')
        tables.append(
            table(name(task.name), [f'<tr><th class="first"></th>{head}</tr>'], [rows], task.name)
        )
    settings: dict[str, Any] = config["settings"] or {}
    families = {
        text(said(line["name"])): f"{text(line['description'])}; {duration(line['seconds'])}"
        for line in board
        if line["name"] != MIXED
    }
    chosen = {text(key): text(value) for key, value in settings.items() if value not in (None, [])}
    versions = ", ".join(f"{key} {value}" for key, value in config["versions"].items())
    return "\n".join(
        [
            "<details>",
            "<summary>Details for specialists</summary>",
            *tables,
            "<h3>Families</h3>",
            terms(families),
            "<h3>Settings</h3>",
            terms(chosen),
            "<h3>Versions</h3>",
            f"<p>{text(versions)}</p>",
            "</details>",
        ]
    )


def _number(value: float | None) -> str:
    return "–" if value is None else fixed(value, decimals_for([value], 4))
