"""The picture of a structure says who shares what."""

import pytest

from jaxmtl.report import plot_structure
from jaxmtl.report.pictures.structure_picture import neighbours
from jaxmtl.structure import Layer, Structure, grouped, separate, shared

SIXTEEN = tuple(f"pollutant number {number}" for number in range(16))


def blocks(figure):
    """Blocks of every layer, from the top."""
    found = {}
    for patch in figure.axes[0].patches:
        box = patch.get_bbox()
        found.setdefault(round(box.x0 + 0.42), []).append((round(box.y0), round(box.y1)))
    return {layer: sorted(own) for layer, own in found.items()}


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_block_is_a_group():
    parted = Structure(
        ("a", "b", "c"),
        (Layer(8, (("a", "b", "c"),)), Layer(4, (("a", "c"), ("b",)))),
    )
    figure = plot_structure(parted)
    assert blocks(figure) == {0: [(0, 3)], 1: [(0, 2), (2, 3)]}
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "c", "b"]
    assert sorted(texts(figure)) == ["4", "4", "8"]


def test_parted_nodes_are_counted():
    node = (2, (("a",), ("b",), ("c",)))
    figure = plot_structure(
        Structure(("a", "b", "c"), (Layer(8, (("a", "b"), ("c",)), nodes=(node,)),))
    )
    assert texts(figure) == ["8 +1", "8"]


def test_sixteen_tasks_can_be_read():
    figure = plot_structure(grouped(SIXTEEN, (64, 32), [SIXTEEN[:9], SIXTEEN[9:]]))
    figure.canvas.draw()
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == list(SIXTEEN)
    boxes = [label.get_window_extent() for label in labels]
    assert all(low.y1 <= high.y0 for high, low in zip(boxes, boxes[1:], strict=False))


@pytest.mark.parametrize("make", [shared, separate])
def test_many_tasks_are_counted_instead(make):
    figure = plot_structure(make([f"t{number}" for number in range(139)], (32,)))
    assert figure.axes[0].get_ylabel() == "139 tasks"
    assert figure.get_size_inches()[1] < 12


def test_tasks_of_a_group_are_neighbours_where_layers_are_within_each_other():
    tree = Structure(
        tuple("abcd"),
        (Layer(4, (("a", "c"), ("b", "d"))), Layer(4, (("a",), ("b", "d"), ("c",)))),
    )
    assert "".join(neighbours(tree)) in ("acbd", "cabd")
