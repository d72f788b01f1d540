"""What the columns of a table are, found in their cells."""

import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jaxmtl.data._errors import TableError
from jaxmtl.data.columns import Column, Columns
from jaxmtl.data.hints import hints_of
from jaxmtl.data.infer_tasks import check_levels, infer_task
from jaxmtl.data.kinds import Declared, check_names, said_of
from jaxmtl.data.reading.cell_table import CellTable
from jaxmtl.data.typed import dates_of, levels_of, looks_of
from jaxmtl.plain import date_features
from jaxmtl.plain.cells import looks_like_number
from jaxmtl.plain.dates import DAY, Dates
from jaxmtl.plain.names import plain_name
from jaxmtl.tasks import Task

_NEARLY_ALL = 0.8  # of the cells different: a name, not a category
_MANY_NUMBERS = 5  # levels that are, in a category that may have been meant for numbers
_FEW_ROWS = 20  # up to which nearly all different is no sign


class LeftOut(Exception):
    """Why a column is not used."""


def infer_columns(
    table: CellTable,
    *,
    targets: Sequence[str],
    features: Sequence[str] | None = None,
    kinds: Mapping[str, Declared | str] | None = None,
    ignore: Collection[str] = (),
    weights: Mapping[str, float] | None = None,
    group: str | None = None,
    time: str | None = None,
) -> Columns:
    """Decides what is predicted from what, and of which kind each column is.

    A column of mostly numbers is one of numbers; mostly dates or times, one of dates; anything
    else is a category. A target of texts or truth values is one of classes; of numbers, a number.

    Args:
        table: with all columns.
        targets: names of the columns to be predicted.
        features: names of the columns to predict from; None for all others that can be used.
        kinds: of columns by name, as ``parse_kinds`` gives them or as one of its texts. Of a
            feature whose levels have an order, their ranks are learned from, too.
        ignore: names of columns that are not used.
        weights: of the tasks by name; 1 for others.
        group: name of a column of which rows of one value stay together; no feature unless named.
        time: name of a column of dates or numbers that says when a row was.

    Returns:
        The columns and tasks, with what was left out and what should be known.

    Raises:
        TableError: a column that is not there or not used as it is declared, or a cell that does
            not go with the others of its column.

    Example:
        >>> from jaxmtl.data.reading.cell_table import table_of_cells
        >>> table = table_of_cells({
        ...     "city": ["A", "B", "A", "B"], "CO": ["1.5", None, "2", "3"], "unit": ["m"] * 4,
        ...     "O3": [1, 2, 3, 5]})
        >>> columns = infer_columns(table, targets=["O3"])
        >>> [(column.name, column.kind) for column in columns.columns], columns.left_out
        ([('city', 'category'), ('CO', 'number')], (('unit', "holds 'm' in all rows"),))
    """
    targets = _names(table, "targets", targets)
    named = None if features is None else _names(table, "features", features)
    ignore = tuple(map(plain_name, ignore))
    said = said_of({plain_name(name): kind for name, kind in (kinds or {}).items()})
    weights = {plain_name(name): weight for name, weight in (weights or {}).items()}
    _check(table, targets, named, ignore, said, weights, group, time)
    notes: list[str] = []
    tasks = []
    for name in targets:
        task, more = infer_task(table, name, said.get(name), weights.get(name, 1.0))
        tasks.append(task)
        notes += more
    notes += _hint_of_order(table, tasks, said)
    found, left = [], []
    for name in table.names if named is None else named:
        if name in targets:
            continue
        try:
            if name in ignore:
                raise LeftOut("ignored, as asked for")
            if name == group and named is None:
                raise LeftOut("rows are kept together by it")
            column, more = _infer(table, name, said.get(name))
        except LeftOut as reason:
            left.append((name, str(reason)))
        else:
            found.append(column)
            notes += more
    left += [(name, why) for name, why in table.unusable.items() if named is None]
    if table.unusable and named is None:
        why = "; ".join(f"{name!r}: {why}" for name, why in table.unusable.items())
        notes.append(
            f"{table.source}: columns of one name are all left out ({why}); rename all but one of "
            "them to use it"
        )
    if not found:
        reasons = "; ".join(f"{name!r}: {why}" for name, why in left) or "there is no other column"
        raise TableError(f"{table.source}: expected a column to predict from, got none ({reasons})")
    columns = Columns(
        columns=tuple(found), tasks=tuple(tasks), left_out=tuple(left), group=group, time=time
    )
    return Columns(**{**vars(columns), "notes": (*notes, *hints_of(table, columns))})


def _names(table: CellTable, what: str, names: Sequence[str]) -> tuple[str, ...]:
    found = tuple(map(plain_name, [names] if isinstance(names, str) else names))
    if not found:
        raise TableError(f"{table.source}: expected at least one name in {what}, got none")
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise TableError(f"{table.source}: the column {twice!r} is named twice among the {what}")
    return found


def _check(
    table: CellTable,
    targets: tuple[str, ...],
    features: tuple[str, ...] | None,
    ignore: tuple[str, ...],
    kinds: Mapping[str, Declared],
    weights: Mapping[str, float],
    group: str | None,
    time: str | None,
) -> None:
    lone = {
        "--group": [] if group is None else [group],
        "--time": [] if time is None else [time],
    }
    wanted = {"--targets": targets, "--features": features or (), "--ignore": ignore, **lone}
    try:
        for option, names in {**wanted, "--kinds": tuple(kinds)}.items():
            unusable = next((name for name in names if name in table.unusable), None)
            if unusable is not None:
                raise ValueError(
                    f"{option}: the column {unusable!r} cannot be used: "
                    f"{table.unusable[unusable]}; rename all but one"
                )
            check_names(option, names, table.names)
        check_names("--weights", weights, targets, "targets")
    except ValueError as error:
        raise TableError(f"{table.source}: {error}") from None
    for option, names in (("--features", features or ()), ("--ignore", ignore)):
        both = next((name for name in names if name in targets), None)
        if both is not None:
            raise TableError(
                f"{table.source}: the column {both!r} is a target and in {option}; remove it from "
                "one of them"
            )


def _hint_of_order(
    table: CellTable, tasks: Sequence[Task], said: Mapping[str, Declared]
) -> list[str]:
    """That classes may have an order, once for all targets of which nothing is declared."""
    plain = [task.name for task in tasks if len(task.classes) > 2 and task.name not in said]
    if not plain:
        return []
    pair = shlex.quote(f"{plain[0]}=low<mid<high")
    return [
        f"{table.source}: classes of {', '.join(map(repr, plain))} are taken for ones without an "
        f"order; if they have one, --kinds {pair} says it, lowest first"
    ]


def _infer(table: CellTable, name: str, said: Declared | None) -> tuple[Column, list[str]]:
    """A feature, and what the user should know of it."""
    ranks = () if said is None else said.levels
    if said is not None and said.kind in ("classes", "ordered", "count"):
        said = said._replace(kind="number" if said.kind == "count" else "category")
    looks = looks_of(table, name)
    if not looks.known:
        raise LeftOut("empty")
    kind = said.kind if said is not None else None
    if kind is None and looks.dates > looks.known / 2:
        kind = "date"
    if kind == "date":
        return _date(table, name, said, looks.different)
    if kind == "number" or (kind is None and looks.numbers > looks.known / 2):
        return _number(table, name)
    return _category(table, name, declared=kind is not None, written=looks.texts, ranks=ranks)


def _number(table: CellTable, name: str) -> tuple[Column, list[str]]:
    values, notes = table.numbers_noted(name)
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if not len(known):
        raise LeftOut("empty")
    low, high = float(known.min()), float(known.max())
    if low == high and not missing:
        raise LeftOut(f"holds {low:g} in all rows")
    column = Column(name=name, kind="number", missing=missing, rows=len(values), low=low, high=high)
    if len(known) > 2 and not missing and (values[1:] == values[:-1] + 1).all():
        notes = [
            *notes,
            f"{table.source}, column {name!r}: numbers the rows; a model can learn from their "
            "order what it will not have for new rows: --ignore leaves it out",
        ]
    return column, notes


def _category(
    table: CellTable, name: str, *, declared: bool, written: int, ranks: tuple[str, ...]
) -> tuple[Column, list[str]]:
    if ranks:
        check_levels(table, name, ranks)
    levels = levels_of(table, name)
    counts = Counter(level for level in levels if level is not None)
    known = counts.total()
    if len(counts) == 1 and known == len(levels):
        raise LeftOut(f"holds {next(iter(counts))!r} in all rows")
    if not declared and written and known > 2:
        if len(counts) == known:
            raise LeftOut(f"its {known} texts are all different")
        if known > _FEW_ROWS and len(counts) > _NEARLY_ALL * known:
            raise LeftOut(f"{len(counts)} of its {known} texts are different")
    column = Column(
        name=name,
        kind="category",
        missing=len(levels) - known,
        rows=len(levels),
        levels=ranks or tuple(sorted(counts, key=lambda level: (-counts[level], level))),
        ordered=bool(ranks),
    )
    texts = [level for level in column.levels if not looks_like_number(level)]
    numbers = len(counts) - len(texts)
    if declared or not texts or numbers < _MANY_NUMBERS:
        return column, []
    return column, [
        f"{table.source}, column {name!r}: taken for a category, but {numbers} of its "
        f"{len(counts)} levels are numbers, beside texts such as {texts[0][:40]!r}; --kinds "
        f"{name}=number reads it as numbers, and names what is none"
    ]


def _date(
    table: CellTable, name: str, said: Declared | None, different: int
) -> tuple[Column, list[str]]:
    order = None if said is None else said.order
    dates, order = dates_of(table, name, order, stamps=said is not None)
    known = dates.seconds[~np.isnan(dates.seconds)]
    if not len(known):
        raise LeftOut("empty")
    if different == 1 and len(known) == len(dates.seconds):
        raise LeftOut("holds one date in all rows")
    column = Column(
        name=name,
        kind="date",
        missing=len(dates.seconds) - len(known),
        rows=len(dates.seconds),
        low=float(known.min()),
        high=float(known.max()),
        order=order,
        parts=_date_parts(known, dates),
    )
    return column, []


def _date_parts(known: Float[np.ndarray, " known"], dates: Dates) -> tuple[str, ...]:
    """What varies, and is more than the phase of a part of one turn."""
    if not dates.has_days:
        return ("hour",)
    found = date_features(known)
    parts = []
    span = float(known.max() - known.min())
    if span > 0:
        parts.append("year")
    if span > 60 * DAY:
        parts.append("season")
    if (found["weekday"] != found["weekday"][0]).any():
        parts.append("weekday")
    if dates.has_times and (found["hour"] != found["hour"][0]).any():
        parts.append("hour")
    return tuple(parts)
