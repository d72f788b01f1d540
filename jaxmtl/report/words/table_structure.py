"""Which targets share a network, and what that is worth, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxmtl.prediction.structures import IN_GROUPS, ONE_BY_ONE, TOGETHER
from jaxmtl.report.words.layout import aligned, wrapped
from jaxmtl.structure.words import listed

WAY_WORDS = {TOGETHER: "together", ONE_BY_ONE: "one by one", IN_GROUPS: "in groups"}
MOST_NAMED = 4  # targets of a group
MOST_GROUPS = 4


def groups_words(groups: Sequence[Sequence[str]]) -> str:
    """Who shares with whom.

    Args:
        groups: of targets.

    Returns:
        The groups, those of several first.

    Example:
        >>> groups_words([["PM2.5", "NO2"], ["O3"]])
        'PM2.5 with NO2; O3 alone'
        >>> groups_words([["a", "b", "c", "d", "e", "f"], ["g"], ["h"]])
        'a with b, c and 3 more; g and h alone'
    """
    several = sorted((group for group in groups if len(group) > 1), key=len, reverse=True)
    alone = [group[0] for group in groups if len(group) == 1]
    parts = [f"{group[0]} with {_few(group[1:])}" for group in several[:MOST_GROUPS]]
    if len(several) > MOST_GROUPS:
        parts.append(f"{len(several) - MOST_GROUPS} more groups")
    if alone:
        parts.append(f"{_few(alone)} alone")
    return "; ".join(parts)


def way_words(name: str, groups: Sequence[Sequence[str]]) -> str:
    """A way of sharing; groups with who is in them."""
    words = WAY_WORDS.get(name, name)
    return f"{words} ({groups_words(groups)})" if name == IN_GROUPS else words


def structure_words(metrics: Mapping[str, Any]) -> str:
    """Which targets share a network at best, and by how much that is better than the other ways.

    Args:
        metrics: contents of ``metrics.json``.

    Returns:
        A sentence; empty where it was not asked.

    Example:
        >>> over = {"over": "network", "overall": [-5.0, -8.0, -2.0]}
        >>> tried = [{"name": "separate", "groups": [["CO"], ["O3"]]},
        ...          {"name": "network", "groups": [["CO", "O3"]]}]
        >>> found = {"asked": "auto", "kept": "separate", "tried": tried, "over": [over]}
        >>> structure_words({"structure": found})
        'Networks by themselves do best one by one: 5.0 % (2.0 to 8.0) less error than together.'
    """
    found = metrics.get("structure")
    if found is None:
        return ""
    tried = {one["name"]: one["groups"] for one in found["tried"]}
    kept = way_words(found["kept"], tried[found["kept"]])
    if len(tried) == 1:
        return f"Networks: {kept}, as was asked for; nothing else was tried."
    better, same = [], []
    for one in found["over"]:
        percent, low, high = one["overall"]
        other = WAY_WORDS.get(one["over"], one["over"])
        if None in (percent, low, high):
            same.append(f"of {other} there are too few rows to say")
        elif low <= 0 <= high:
            ends = f"{abs(low):.1f} % less to {abs(high):.1f} more error than it"
            same.append(f"{other} is no different ({ends})")
        else:
            size = f"{abs(percent):.1f} % ({min(-low, -high):.1f} to {max(-low, -high):.1f})"
            better.append(f"{size} {'less' if percent < 0 else 'more'} error than {other}")
    if not better:
        return f"Networks by themselves do best {kept}, but {' and '.join(same)}."
    more = f"; {' and '.join(same)}" if same else ""
    return f"Networks by themselves do best {kept}: {', and '.join(better)}{more}."


def structure_lines(metrics: Mapping[str, Any]) -> list[str]:
    """What was tried, and what rows that were not learned from say of it.

    Args:
        metrics: contents of ``metrics.json``.

    Returns:
        Lines below a heading; none where fewer than two ways were tried.
    """
    found = metrics.get("structure")
    if found is None or len(found["tried"]) < 2:
        return []
    lines = aligned(tried_rows(found), right=(1, 2, 3))
    other = other_groups(found)
    return [
        "Which targets share a network?  (error: squared, or log loss; that of the mean: 100 %)",
        *(f"  {line}" for line in lines),
        *wrapped(other, start="  ", rest="    "),
    ]


def tried_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Heads, and a row for each way of sharing: its error, its size, its time, how many groups.

    Args:
        found: ``structure`` of ``metrics.json``.

    Returns:
        Texts.
    """
    rows: list[tuple[str, ...]] = [("networks", "error", "size", "seconds", "")]
    for one in found["tried"]:
        known = [value for value in one["relative"].values() if value is not None]
        error = f"{100 * sum(known) / len(known):.1f} %" if known else "-"
        size = f"{one['parameters']}" if one["parameters"] >= 0 else ""
        groups = f"{len(one['groups'])} groups" if one["name"] == IN_GROUPS else ""
        best = "best" if one["name"] == found["kept"] else ""
        words = ", ".join(part for part in (best, groups) if part)
        name = WAY_WORDS.get(one["name"], str(one["name"]))
        rows.append((name, error, size, f"{one['seconds']:.0f}", words))
    return rows


def other_groups(found: Mapping[str, Any]) -> str:
    """Which groups were tried, where these are not the best: of those ``structure_words`` tells.

    Args:
        found: ``structure`` of ``metrics.json``.

    Returns:
        A sentence; empty where there is nothing to tell.
    """
    groups = [one["groups"] for one in found["tried"] if one["name"] == IN_GROUPS]
    if not groups or found["kept"] == IN_GROUPS:
        return ""
    return f"The groups that were tried: {groups_words(groups[0])}."


def _few(names: Sequence[str]) -> str:
    kept = names[: MOST_NAMED - 2] if len(names) > MOST_NAMED else names
    more = [f"{len(names) - len(kept)} more"] if len(kept) < len(names) else []
    return listed([*kept, *more])
