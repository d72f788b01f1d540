"""Pictures of what columns are worth and of what targets share: readable with many of them."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from some_cases import some

from jaxmtl.report.pictures.importance_picture import draw_importance, importance_labels
from jaxmtl.report.pictures.labels import LONGEST, make_labels
from jaxmtl.report.pictures.relations_picture import draw_relations
from jaxmtl.report.pictures.style import looks
from jaxmtl.tasks import Task

SMALLEST = 6.0  # points


def importances(targets, columns):
    """Column 7 t is worth most to task t; column 3 stands with two others."""
    rng = np.random.default_rng(0)
    groups = [[f"reading of a sensor at place {i}"] for i in range(columns)]
    groups[3] = ["NO", "NOx", "NO2"]
    tasks = [Task(name=f"target number {t}") for t in range(targets)]
    found = {}
    for t, task in enumerate(tasks):
        added = rng.uniform(0, 0.1, columns)
        added[7 * t % columns] = 5
        low, high = (added - 0.05).tolist(), (added + 0.05).tolist()
        found[task.name] = {"added": added.tolist(), "low": low, "high": high}
    return {"importance": {"rows": 90, "groups": groups, "tasks": found}}, tasks


def drawn(targets, columns) -> Figure:
    metrics, tasks = importances(targets, columns)
    labels = importance_labels(metrics, tasks)
    with looks(labels):
        return draw_importance(metrics, tasks, labels)


def overlapping(labels, figure, side) -> int:
    """Texts that lie on the one before them."""
    renderer = figure.canvas.get_renderer()
    boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
    ends = [(getattr(box, f"{side}0"), getattr(box, f"{side}1")) for box in boxes]
    ends.sort()
    return sum(after[0] < before[1] for before, after in zip(ends[:-1], ends[1:], strict=True))


@pytest.mark.parametrize(("targets", "columns"), [(16, 400), (5, 12)])
def test_many_targets_and_columns_are_a_matrix_of_those_that_matter(targets, columns):
    figure = drawn(targets, columns)
    figure.canvas.draw()
    (ax,) = figure.axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) <= 26
    for t in range(targets):
        assert any(name.endswith(f"place {7 * t % columns}") for name in names)
    if columns == 400:
        assert names[-1] == f"largest of {400 - len(names) + 1} more"
    assert len(set(names)) == len(names)
    assert overlapping(ax.get_yticklabels(), figure, "y") == 0
    texts = [*ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels()]
    assert min(text.get_fontsize() for text in texts) >= SMALLEST
    width, height = figure.get_size_inches()
    assert width < 13
    assert height < 10


def test_few_targets_have_bars_of_what_matters_most():
    figure = drawn(2, 30)
    one, other = figure.axes
    assert one.get_title() == "target number 0"
    assert len(one.get_yticklabels()) == len(other.get_yticklabels()) == 8
    assert other.get_yticklabels()[0].get_text().endswith("place 7")
    assert "and 22 more add less" in one.get_xlabel()


@pytest.mark.parametrize("number", some([3, 16, 40], 3, 16))
def test_targets_that_go_together_are_neighbours(number):
    rng = np.random.default_rng(number)
    sources = rng.normal(size=(200, 3))
    values = sources[:, np.arange(number) % 3] + 0.3 * rng.normal(size=(200, number))
    own = np.corrcoef(values.T)
    rest = (0.3 * own).tolist()
    names = [f"target number {i}" for i in range(number)]
    found = {"tasks": names, "labels": own.tolist(), "rest": rest}
    labels = make_labels((), names)
    with looks(labels):
        figure = draw_relations(found, labels)
    figure.canvas.draw()
    ax = figure.axes[0]
    order = [int(label.get_text().split()[-1]) % 3 for label in ax.get_yticklabels()]
    assert (np.diff(order) != 0).sum() == 2  # three sources, each in one piece
    assert len(ax.texts) == (number * (number - 1) if number <= 16 else 0)
    assert overlapping(ax.get_yticklabels(), figure, "y") == 0
    assert min(label.get_fontsize() for label in ax.get_xticklabels()) >= SMALLEST


def test_long_names_that_begin_alike_keep_their_ends():
    names = [f"concentration of nitrogen at station {i}" for i in range(12)]
    found = make_labels((), [*names, "concentration of something else"]).tasks
    assert len(set(found)) == 13
    assert max(map(len, found)) <= LONGEST
    assert found[11] == "concentrati…t station 11"
    assert found[12] == "concentration of someth…"
