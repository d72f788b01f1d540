"""Sections of the page of a run on a table: what columns are worth, and what targets share."""

from jaxmtl.prediction.folder import SavedRun
from jaxmtl.report.page.markup import figure, name, table, text
from jaxmtl.report.words.numbers import decimals_for, fixed
from jaxmtl.report.words.table_importance import worths
from jaxmtl.report.words.table_relations import pairs_of, relation_words
from jaxmtl.report.words.table_structure import other_groups, structure_words, tried_rows

MOST_WORTHS = 25  # columns in the table
MOST_PAIRS = 10


def what_matters(run: SavedRun, picture: str) -> list[str]:
    """What columns are worth: the picture, and below it the numbers.

    Args:
        run: read from its folder.
        picture: an element, or empty.

    Returns:
        Elements; none where nothing is known.
    """
    importance = run.metrics.get("importance")
    if importance is None:
        return []
    caption = (
        "What is added to the typical error, of classes to the log loss, if a column is shuffled "
        f"among {importance['rows']} rows that were not learned from; columns that tell the same "
        "are shuffled together."
    )
    if not picture:
        return [_worths(run, text(caption))]
    numbers = f'<details class="inner"><summary>As numbers</summary>{_worths(run, "")}</details>'
    return [figure(picture, text(caption)), numbers]


def who_shares(run: SavedRun, picture: str) -> list[str]:
    """Which targets share a network: what was tried, and the structure that is best.

    Args:
        run: read from its folder.
        picture: an element, or empty.

    Returns:
        Elements; none where no networks were trained for several targets.
    """
    found = run.metrics.get("structure")
    if found is None:
        return []
    head, *rows = tried_rows(found)
    heads = "".join(
        f"<th{'' if i else ' class=first'}>{text(one)}</th>" for i, one in enumerate(head)
    )
    body = [
        f'<tr><th scope="row">{text(first)}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in cells)
        + f'<td class="word">{text(last)}</td></tr>'
        for first, *cells, last in rows
    ]
    caption = (
        "Networks by themselves on rows that were not learned from; error: squared, or log loss, "
        "of which that of the mean is 100 %; size: numbers of the networks of one part of the rows."
    )
    below = (
        "The best of them: a row a target, a column a layer; a block is what targets share, its "
        "number how wide that is."
    )
    other = other_groups(found)
    return [
        f"<p>{text(structure_words(run.metrics))}</p>",
        table(text(caption), [f"<tr>{heads}</tr>"], [body], "Which targets share a network"),
        f"<p>{text(other)}</p>" if other else "",
        figure(picture, below) if picture else "",
    ]


def _worths(run: SavedRun, caption: str) -> str:
    """The most to any task first; shaded where it can be told from 0."""
    tasks = run.predictor.tasks
    by_task = [{one.columns: one for one in worths(run.metrics, task)} for task in tasks]
    largest = [max((one.added for one in own.values()), default=0.0) for own in by_task]

    def share(columns: str, t: int) -> float:
        one = by_task[t].get(columns)
        sure = one is not None and one.low > 0 and largest[t] > 0
        return one.added / largest[t] if sure and one is not None else 0.0

    groups = list(dict.fromkeys(columns for own in by_task for columns in own))
    numbers = range(len(tasks))
    groups.sort(key=lambda columns: -max(share(columns, t) for t in numbers))
    rows = []
    for columns in groups[:MOST_WORTHS]:
        cells = []
        for t in numbers:
            one, shade = by_task[t].get(columns), round(100 * share(columns, t))
            if one is None:
                cells.append("<td>–</td>")
                continue
            digits = decimals_for([own.added for own in by_task[t].values()], 2)
            ends = f"{fixed(one.low, digits)} to {fixed(one.high, digits)}"
            cells.append(
                f'<td class="worth" style="--share:{shade}%" title="{text(ends)}">'
                f"{fixed(one.added, digits)}</td>"
            )
        rows.append(f'<tr><th scope="row">{name(columns)}</th>{"".join(cells)}</tr>')
    heads = "".join(f"<th>{name(task.name)}</th>" for task in tasks)
    more = len(groups) - MOST_WORTHS
    caption = f"{caption} Shaded: more than nothing, with 95 % certainty.".strip()
    caption += f" {more} more columns matter less." if more > 0 else ""
    return table(caption, [f'<tr><th class="first">column</th>{heads}</tr>'], [rows], "Worth")


def what_is_shared(run: SavedRun, picture: str) -> list[str]:
    """How targets go together, before and after the features.

    Args:
        run: read from its folder.
        picture: an element, or empty.

    Returns:
        Elements; none where nothing is known.
    """
    pairs = pairs_of(run.metrics)
    if not pairs:
        return []
    rows = []
    for pair in pairs[:MOST_PAIRS]:
        cells = (
            fixed(pair.labels, 2),
            f"{fixed(pair.rest, 2)} ({fixed(pair.low, 2)} to {fixed(pair.high, 2)})",
            f"{pair.rows}",
        )
        both = " and ".join(map(name, pair.names))
        inside = "".join(f"<td>{text(cell)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{both}</th>{inside}</tr>')
    heads = ("together", "after the features", "rows with both")
    head = "".join(f"<th>{one}</th>" for one in heads)
    caption = (
        "Correlation of two targets, and of what is left of them when what is predicted of rows "
        "that were not learned from is taken away, with its 95 % interval."
    )
    caption += f" The {MOST_PAIRS} pairs of which most is left." if len(pairs) > MOST_PAIRS else ""
    head = f'<tr><th class="first">targets</th>{head}</tr>'
    words = relation_words(run.metrics)
    below = "Below the diagonal the targets themselves, above it what is left after the features."
    return [
        f"<p>{text(words)}</p>" if words else "",
        figure(picture, below) if picture else "",
        table(text(caption), [head], [rows], "What the targets share"),
    ]
