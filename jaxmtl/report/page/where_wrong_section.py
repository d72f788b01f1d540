"""Where predictions are wrong, as a section of a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxmtl.report.page.markup import figure, items, name, section, table, text
from jaxmtl.report.words.numbers import decimals_for, fixed
from jaxmtl.report.words.table_wrong import (
    SURE,
    finding_words,
    findings,
    reliability_words,
    row_cells,
)
from jaxmtl.tasks import Task

MOST_FINDINGS = 6
MOST_TASKS = 24  # whose parts are listed
MOST_IN_FULL = 3  # targets of which all levels are shown
_WRONG = "share wrong"
MARKED = ' class="worse"'


def where_wrong_section(
    metrics: Mapping[str, Any], tasks: Sequence[Task], picture: str, drawn: int
) -> str:
    """Findings in sentences, a picture, the levels and rows with the largest errors.

    Args:
        metrics: contents of ``metrics.json``.
        tasks: that are predicted.
        picture: of ``draw_where_wrong``, an element.
        drawn: tasks that it shows, the first ones.

    Returns:
        The element; empty where nothing is known.
    """
    found = metrics.get("where_wrong")
    if found is None:
        return ""
    each = [one for task in tasks for one in findings(found, task)]
    each.sort(key=lambda one: -one.times)
    sentences = [f"{name(one.task.name)} {text(finding_words(one))}" for one in each]
    more = len(each) - MOST_FINDINGS
    sentences[MOST_FINDINGS:] = [f"{more} more, in the tables below"] if more > 0 else []
    if not each:
        sentences = ["Nowhere more wrong than elsewhere, as far as these rows tell."]
    sentences += [
        text(reliability_words(found["reliability"][task.name], task))
        for task in tasks
        if task.name in found["reliability"]
    ][:MOST_FINDINGS]
    parts = [
        f"<p>Rows that were not learned from; {text(SURE)}.</p>",
        items(sentences),
        figure(picture, text(_caption(found, tasks, drawn))) if picture else "",
        _levels(found, tasks),
        _rows(found["worst"], "numbers", "Rows farthest off, in typical errors of the column"),
        _rows(found["worst"], "classes", "Rows whose true class was the least probable"),
        _details(found, tasks),
    ]
    return section("Where it is wrong", *parts)


def _caption(found: Mapping[str, Any], tasks: Sequence[Task], drawn: int) -> str:
    shown = tasks[:drawn]
    sentences = []
    if not all(task.has_classes for task in shown):
        sentences.append(
            "By prediction: what is observed less what is predicted, on average (dots, with what "
            "it may be) and as a rule (grey); above 0, predictions are too low."
        )
    if any(task.has_classes for task in shown):
        sentences.append(
            "Of classes: how often a class came true, by the probability that was said; on the "
            "line probabilities are right."
        )
    if any(division["kind"] != "prediction" for division in found["divisions"]):
        sentences.append(
            "By time: typical errors, those that are larger than all have (dashed) in vermilion."
        )
    if drawn < len(tasks):
        sentences.append(f"The first {drawn} of {len(tasks)} columns.")
    return " ".join(sentences)


def _levels(found: Mapping[str, Any], tasks: Sequence[Task]) -> str:
    """The worst levels of categories; of many targets only those that are worse than the whole."""
    rows = []
    for task in tasks[:MOST_TASKS]:
        own, overall = found["levels"].get(task.name), found["typical"][task.name]
        if own is None or overall is None:
            continue
        worse = [level["times"] > 1 and level["typical"] > overall for level in own["worst"]]
        shown = [
            (level, mark)
            for level, mark in zip(own["worst"], worse, strict=True)
            if mark or len(tasks) <= MOST_IN_FULL
        ]
        first = f"{name(task.name)}<small>all: {_size(task, [overall])[0]}</small>"
        for number, (level, mark) in enumerate(shown):
            sizes = _size(task, [level[part] for part in ("typical", "low", "high")])
            rows.append(
                f'<tr><th scope="row">{first if not number else ""}</th>'
                f'<td class="word">{name(level["column"])} {name(level["level"])}</td>'
                f"<td{MARKED if mark else ''}>{sizes[0]}</td><td>{_between(*sizes[1:])}</td>"
                f"<td>{level['rows']}</td></tr>"
            )
    if not rows:
        return ""
    shown = [task for task in tasks[:MOST_TASKS] if task.name in found["levels"]]
    heads = ("column", "rows of", _measure(shown), "between", "rows")
    looked = max(own["looked"] for own in found["levels"].values())
    caption = (
        f"Of {looked} levels. Coloured: more than all have, which takes into account how many were "
        "looked at."
    )
    return f"<h3>Categories</h3>{table(caption, [_head(heads, 2)], [rows], 'Categories')}"


def _rows(worst: Mapping[str, Any], kind: str, title: str) -> str:
    if not worst[kind]:
        return ""
    head, *lines = row_cells(worst, kind)
    words = len(head) - (3 if kind == "numbers" else 1)  # the others are numbers
    rows = []
    for first, *cells in lines:
        inner = "".join(
            f'<td class="cell">{text(cell)}</td>' if i < words else f"<td>{text(cell)}</td>"
            for i, cell in enumerate(cells, 1)
        )
        rows.append(f'<tr><th scope="row">{first}</th>{inner}</tr>')
    caption = "Row: its number in the sheet."
    return f"<h3>{text(title)}</h3>{table(caption, [_head(head, words)], [rows], title)}"


def _details(found: Mapping[str, Any], tasks: Sequence[Task]) -> str:
    """All parts with their intervals, folded away."""
    tables = []
    for task in tasks[:MOST_TASKS]:
        rows = []
        for division in found["divisions"]:
            if (own := division["tasks"].get(task.name)) is None:
                continue
            for i, number in enumerate(own["rows"]):
                if number:
                    rows.append(_part(task, division, own, i))
        levels = found["levels"].get(task.name, {"worst": []})["worst"]
        rows += [_level(task, level) for level in levels]
        if rows:
            heads = ("part", "rows", _measure([task]), "between")
            heads += () if task.has_classes else ("bias", "between")
            tables.append(table(name(task.name), [_head(heads, 1)], [rows], task.name))
        if (saved := found["reliability"].get(task.name)) is not None:
            said = "of the most probable class" if saved["of"] is None else f"of {saved['of']}"
            rows = [
                f'<tr><th scope="row">{100 * p:.1f} %</th><td>{100 * true:.1f} %</td>'
                f"<td>{100 * low:.1f} to {100 * high:.1f}</td><td>{number}</td></tr>"
                for p, true, low, high, number in zip(
                    *(saved[part] for part in ("said", "true", "low", "high", "rows")), strict=True
                )
            ]
            heads = ("said", "came true", "between", "rows")
            caption = (
                f"{name(task.name)}: probability {text(said)}; expected calibration error "
                f"{saved['error']:.3f}, by chance alone {saved['floor']:.3f}."
            )
            tables.append(table(caption, [_head(heads, 1)], [rows], task.name))
    if not tables:
        return ""
    terms = []
    if not all(task.has_classes for task in tasks):
        terms.append("Typical error: root mean square; bias: mean of observed less predicted. ")
    if any(task.has_classes for task in tasks):
        terms.append(f"{_WRONG.capitalize()}: of rows whose most probable class was another. ")
    note = (
        f"{''.join(terms)}Intervals hold together (Bonferroni: in each kind of parts; over all "
        "parts and columns for what is called larger than all have) and come from batches of "
        "neighbouring rows. "
        f"{found['divided']} rows; parts with few have no interval."
    )
    return "\n".join(
        [
            "<details>",
            "<summary>All parts, for specialists</summary>",
            f"<p>{note}</p>",
            *tables,
            "</details>",
        ]
    )


def _part(task: Task, division: Mapping[str, Any], own: Mapping[str, Any], i: int) -> str:
    if division["kind"] == "prediction":
        label = f"predictions about {_size(task, [own['predicted'][i]])[0]}"
    else:
        label = division["labels"][i]
    typical, *ends = _size(task, [own[part][i] for part in ("typical", "low", "high")])
    if task.has_classes:
        return _line(label, own["rows"][i], typical, _between(*ends))
    # With the digits of the typical error: that of the bias itself may be next to nothing.
    sizes = [own[part][i] for part in ("typical", "bias", "bias_low", "bias_high")]
    _, bias, *around = _size(task, sizes)
    return _line(label, own["rows"][i], typical, _between(*ends), bias, _between(*around))


def _level(task: Task, level: Mapping[str, Any]) -> str:
    typical, *ends = _size(task, [level[part] for part in ("typical", "low", "high")])
    words = f"{level['column']} {level['level']}"
    if task.has_classes:
        return _line(words, level["rows"], typical, _between(*ends))
    bias = _size(task, [level["typical"], level["bias"]])[1]
    return _line(words, level["rows"], typical, _between(*ends), bias, "")


def _measure(tasks: Sequence[Task]) -> str:
    """What is shown of how wrong some tasks are."""
    kinds = {task.has_classes: None for task in tasks}
    return " or ".join(_WRONG if classes else "typical error" for classes in kinds)


def _line(label: str, *cells: object) -> str:
    inner = "".join(f"<td>{text(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{text(label)}</th>{inner}</tr>'


def _between(low: str, high: str) -> str:
    return "–" if "–" in (low, high) else f"{low} to {high}"


def _size(task: Task, values: Sequence[float | None]) -> list[str]:
    """Errors with as many digits as the first has; of classes in %."""
    numbers = [float("nan") if value is None else value for value in values]
    if task.has_classes:
        return ["–" if number != number else f"{100 * number:.0f} %" for number in numbers]
    digits = decimals_for(numbers[:1] if numbers[0] == numbers[0] else numbers, 3)
    return [fixed(number, digits) for number in numbers]


def _head(heads: Sequence[str], first: int) -> str:
    """A row of heads, the first of which begin in line with words."""
    cells = [
        f'<th class="first">{text(one)}</th>' if i < first else f"<th>{text(one)}</th>"
        for i, one in enumerate(heads)
    ]
    return f"<tr>{''.join(cells)}</tr>"
