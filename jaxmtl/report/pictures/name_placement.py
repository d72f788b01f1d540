"""Names beside points of a picture, none on top of another."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from jaxmtl.report.pictures.style import INK

DISTANCES = (5.0, 9.0, 14.0, 20.0, 28.0, 38.0, 50.0)  # in points, from the point to its name
DIRECTIONS = 16
POINT = 4.5  # half the width of a point's mark, in points
LEADER_FROM = 12.0  # names further away are tied to their point by a line
ROUNDS = 4


class _Place(NamedTuple):
    box: Bbox
    dx: float
    dy: float
    distance: float
    end: tuple[float, float]  # of the box, nearest to the point


def place_names(
    ax: Axes,
    points: Float[np.ndarray, "points 2"],
    names: Sequence[str],
    *,
    bars: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
    fontsize: float = 8.5,
) -> list[Annotation]:
    """Writes a name beside every point, greedily at the place that hides least.

    Every name tries places around its point, near ones first; a few rounds let each choose again
    once the others have chosen. The figure must be complete otherwise: its layout is fixed here.

    Args:
        ax: with final limits.
        points: to be named, in data coordinates.
        names: one a point.
        bars: straight lines, by their ends in data coordinates, that names should not cross.
        fontsize: of the names, in points.

    Returns:
        The annotations, which take no part in the layout.

    Example:
        >>> from jaxmtl.report.pictures.style import new_figure
        >>> ax = new_figure(4, 3).subplots()
        >>> _ = ax.plot([0, 0], [0, 0.001], "o")
        >>> boxes = [name.get_window_extent() for name in place_names(
        ...     ax, np.array([[0, 0], [0, 0.001]]), ["one", "another"])]
        >>> Bbox.intersection(*boxes) is None
        True
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    scale = 72.0 / figure.dpi  # all that follows is in points

    def to_points(data: np.ndarray) -> np.ndarray:
        return ax.transData.transform(data) * scale

    at = to_points(np.asarray(points, float).reshape(-1, 2))
    marks = [Bbox.from_bounds(x - POINT, y - POINT, 2 * POINT, 2 * POINT) for x, y in at]
    obstacles = marks + [_around(to_points(np.asarray(bar, float))) for bar in bars]
    frame = Bbox(ax.get_window_extent().get_points() * scale)
    written = [
        ax.annotate(
            name,
            tuple(point),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=fontsize,
            va="bottom",
            annotation_clip=False,
            zorder=6,
        )
        for name, point in zip(names, points, strict=True)
    ]
    sizes = []
    for name in written:
        name.set_in_layout(False)
        extent = name.get_window_extent()
        sizes.append((extent.width * scale + 2, extent.height * scale))
    places = [_places(x, y, *size) for (x, y), size in zip(at, sizes, strict=True)]
    chosen: dict[int, _Place] = {}
    crowded = np.argsort([-_crowd(at, i) for i in range(len(at))], kind="stable").tolist()
    for _ in range(ROUNDS):
        for i in crowded:
            others = {j: place for j, place in chosen.items() if j != i}
            costs = [_cost(i, place, at, others, obstacles, frame) for place in places[i]]
            chosen[i] = places[i][int(np.argmin(costs))]
    for i, place in chosen.items():
        written[i].set_position((place.dx, place.dy))
        if place.distance >= LEADER_FROM:
            _tie(ax, points[i], at[i], place)
    return written


def spread(
    wanted: Sequence[float], gap: float, low: float = -np.inf, high: float = np.inf
) -> list[float]:
    """Places on a line that are at least a gap apart, as near to the wanted ones as that allows.

    Args:
        wanted: places, in any order.
        gap: smallest distance.
        low: no place is below, as long as there is room.
        high: no place is above.

    Returns:
        The places, in the order of ``wanted``.

    Example:
        >>> spread([5.0, 5.0, 9.0], gap=2.0)
        [4.0, 6.0, 9.0]
    """
    order = np.argsort(wanted, kind="stable")
    groups: list[tuple[float, int]] = []  # middle of the wanted places, number of places
    for value in np.clip(np.asarray(wanted, float)[order], low, high):
        middle, size = float(value), 1
        while groups:
            before, count = groups[-1]
            if before + gap * (count - 1) / 2 + gap <= middle - gap * (size - 1) / 2 + 1e-9:
                break
            groups.pop()
            middle, size = (before * count + middle * size) / (count + size), count + size
            half = gap * (size - 1) / 2
            middle = max(min(middle, high - half), low + half)
        groups.append((middle, size))
    placed = [m + gap * (i - (n - 1) / 2) for m, n in groups for i in range(n)]
    result = np.empty(len(placed))
    result[order] = placed
    return result.tolist()


def _places(x: float, y: float, width: float, height: float) -> list[_Place]:
    """Boxes around a point; the first is just to the right of it."""
    found = []
    for distance in DISTANCES:
        for turn in range(DIRECTIONS):
            angle = 2 * np.pi * turn / DIRECTIONS
            cos, sin = float(np.cos(angle)), float(np.sin(angle))
            # The box slides around the point so that its nearest edge keeps the distance.
            left = distance * cos + width * (cos - 1) / 2
            bottom = distance * sin + height * (sin - 1) / 2
            box = Bbox.from_bounds(x + left, y + bottom, width, height)
            end = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
            found.append(_Place(box, left + 1, bottom, distance, end))
    return found


def _cost(
    i: int,
    place: _Place,
    at: np.ndarray,
    others: Mapping[int, _Place],
    obstacles: Sequence[Bbox],
    frame: Bbox,
) -> float:
    """What a place hides, and how easily its name is taken for that of another point."""
    covered = 8.0 * sum(_common(place.box, other.box) for other in others.values())
    covered += 3.0 * sum(_common(place.box, box) for box in obstacles)
    outside = place.box.width * place.box.height - _common(place.box, frame)
    way = at[i], np.array(place.end)
    passed = sum(_gap(at[j], *way) < POINT for j in range(len(at)) if j != i)
    crossed = sum(_cross(*way, at[j], np.array(other.end)) for j, other in others.items())
    return covered + 8.0 * outside + 60.0 * (passed + crossed) + 1.2 * place.distance


def _gap(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Distance of a point from a straight line between two others."""
    along = end - start
    length = float(along @ along)
    share = float(np.clip((point - start) @ along / length, 0, 1)) if length else 0.0
    return float(np.linalg.norm(point - start - share * along))


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    """Whether the straight lines from a to b and from c to d have a point in common."""

    def side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> float:
        (x, y), (u, v) = end - start, point - start
        return float(x * v - y * u)

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _common(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return width * height if width > 0 and height > 0 else 0.0


def _around(ends: np.ndarray) -> Bbox:
    (x0, y0), (x1, y1) = ends.min(axis=0), ends.max(axis=0)
    return Bbox([[x0 - 1.5, y0 - 1.5], [x1 + 1.5, y1 + 1.5]])


def _crowd(at: np.ndarray, i: int) -> float:
    """How many other points are near."""
    return float(np.exp(-np.linalg.norm(at - at[i], axis=1) / 40).sum())


def _tie(ax: Axes, point: np.ndarray, at: np.ndarray, place: _Place) -> None:
    """A thin line from the point to the nearest place of its name's box."""
    line = ax.annotate(
        "",
        tuple(point),
        xytext=(place.end[0] - float(at[0]), place.end[1] - float(at[1])),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "lw": 0.5, "color": INK, "shrinkA": 0, "shrinkB": 4},
        annotation_clip=False,
        zorder=2,
    )
    line.set_in_layout(False)
