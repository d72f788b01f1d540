"""Pictures: what they show, and that nothing warns, whatever the run."""

import dataclasses
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread
from sklearn.metrics import confusion_matrix, log_loss
from some_cases import some

from jaxmtl import Event
from jaxmtl.report.pictures import style
from jaxmtl.report.pictures.conflict_rates import conflict_rates, draw_conflicts
from jaxmtl.report.pictures.error_curves import draw_errors
from jaxmtl.report.pictures.labels import make_labels
from jaxmtl.report.pictures.network_drawing import draw_network
from jaxmtl.report.pictures.of_a_run import draw_pictures
from jaxmtl.report.pictures.scatter import draw_predictions
from jaxmtl.report.pictures.style import looks
from jaxmtl.tasks import Task, number_tasks

THREE = (
    Event(1, 4, 7, 1, 3, 5, (0,)),
    Event(2, 3, 2, 0, 4, 5, (0, 2)),
    Event(3, 1, 0, 0, 5, 3, (1,)),
)
WIDE = (Event(1, 4, 7, 1, 40, 5, (0,)),)
CASES = {
    "study": {},
    "one task, odd names, no split": {
        "features": ("%s {0}", "x" * 80, "a\nb"),
        "targets": ("$x_1$",),
        "events": (),
    },
    "four tasks": {"targets": ("a", "b", "c", "d"), "events": THREE},
    "towers and many inputs": {
        "features": tuple(f"input {i}" for i in range(30)),
        "shared": (20, 5),
        "towers": (12, 3),
    },
    "wide, no test rows": {"nodes": 40, "shared": (), "events": WIDE, "test": 0},
    "Chinese, unknown targets, one epoch": {
        "features": ("二氧化硫", "一氧化碳"),
        "targets": ("细颗粒物", "臭氧"),
        "known": False,
        "events": (),
        "epochs": 1,
    },
}


def texts_of(figure) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def draw(made, folder):
    shown = "test" if made.dataset.splits.test is not None else "train"
    number = len(getattr(made.dataset.rows, shown))
    observed = made.table.y[-number:]
    predicted = {"adaptive": 0.9 * observed, "hard sharing": observed + 5}
    runs = {"adaptive": made.run, "hard sharing": made.baseline}
    if shown == "train":
        for name, run in runs.items():
            runs[name] = dataclasses.replace(
                run, history=dataclasses.replace(run.history, test=None)
            )
    draw_pictures(folder, runs, made.model, made.dataset, shown, observed, predicted)


@pytest.mark.parametrize(
    "case",
    some(CASES, "one task, odd names, no split"),
)
def test_all_pictures_are_drawn_without_a_warning(make, tmp_path, case):
    before, loaded = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    draw(make(**CASES[case]), tmp_path)
    # The global state of matplotlib is left alone.
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "conflicts.png",
        "errors.png",
        "network.png",
        "predictions.png",
    ]
    for path in tmp_path.iterdir():
        pixels = imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 120
        # Something is drawn, and nothing touches the edge of the picture.
        assert pixels.std() > 0.01
        edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
        assert all((edge == 1).all() for edge in edges), path.name


def test_error_curves_have_titles_units_and_marks(made):
    labels = make_labels(made.dataset.features, made.dataset.targets)
    runs = {"adaptive": made.run, "hard sharing": made.baseline}
    figure = draw_errors(runs, labels, "test", number_tasks(made.dataset.targets))
    texts = texts_of(figure)
    for text in ("PM2.5", "O3", "epoch of the run", "mean squared error (scaled)", "node 1"):
        assert text in texts
    for text in ("adaptive, test rows", "hard sharing, test rows", "training rows"):
        assert text in texts
    lines = figure.axes[0].lines
    np.testing.assert_allclose(lines[1].get_ydata(), made.run.history.test[:, 0], rtol=1e-6)
    np.testing.assert_allclose(lines[3].get_ydata(), made.baseline.history.test[:, 0], rtol=1e-6)
    assert [line.get_xdata()[0] for line in lines if len(line.get_xdata()) == 2] == [4]


def test_errors_stand_beside_those_of_the_mean_and_a_straight_line(made):
    labels = make_labels(made.dataset.features, made.dataset.targets)
    levels = {"mean": np.array([0.3, np.nan]), "straight line": np.array([0.2, 0.1])}
    tasks = number_tasks(made.dataset.targets)
    figure = draw_errors({"adaptive": made.run}, labels, "test", tasks, levels=levels, scaled=False)
    texts = texts_of(figure)
    assert {"mean", "straight line", "mean squared error"} <= set(texts)
    assert "mean squared error (scaled)" not in texts
    flat = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_color() == style.SOFT]
    assert flat == [0.3, 0.2]
    assert sum(line.get_color() == style.SOFT for line in figure.axes[1].lines) == 1
    observed = np.array([[1.0, 1.0], [3.0, 3.0]])
    figure = draw_predictions(
        observed, {"adaptive": observed}, labels, "test", tasks, {"mean": 0 * observed + 2}
    )
    assert any("adaptive 0" in text and "mean 1.00" in text for text in texts_of(figure))


def test_errors_that_are_not_finite_leave_a_gap(made, tmp_path):
    history = dataclasses.replace(
        made.run.history, test=np.full_like(made.run.history.test, np.inf)
    )
    run = dataclasses.replace(made.run, history=history)
    labels = make_labels(["a"], ["b", "c"])
    figure = draw_errors({"adaptive": run}, labels, "test", number_tasks("bc"))
    with looks(make_labels(["a"], ["b", "c"])):
        figure.savefig(tmp_path / "a.png")
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), np.nan)


def test_conflict_rates_are_those_of_shared_nodes(make):
    made = make(targets=("a", "b", "c"), events=THREE[:2])
    rates = conflict_rates(made.run)
    conflicts, samples = made.run.history.conflicts, made.run.history.samples
    # Before: nodes 0..2. Node 1 keeps readers b, c; its copy 3 has only a; 4 is read by a and c.
    shared = [~np.isnan(rates[epoch]) for epoch in (0, 3, 4, 6, 7)]
    read = [np.flatnonzero(row).tolist() for row in shared]
    assert read == [[0, 1, 2]] * 4 + [[1, 2, 4]]
    np.testing.assert_allclose(rates[2, 1], conflicts[2, 1] / samples[2])


def test_conflict_strips_say_what_became_of_a_node(made):
    labels = make_labels(made.dataset.features, made.dataset.targets)
    texts = texts_of(draw_conflicts(made.run, labels))
    for text in ("node 0", "node 1", "node 2", "split: copy 3 for PM2.5", "epoch of the run"):
        assert text in texts
    assert "share of samples in conflict" in texts
    assert "Conflict between PM2.5 and O3 at each node of the bank" in texts


def test_network_shows_who_reads_which_node(make):
    made = make(targets=("a", "b", "c"), events=THREE[:2])
    labels = make_labels(made.dataset.features, made.dataset.targets)
    texts = texts_of(draw_network(made.model, made.run, labels))
    for text in ("SO2", "CO", "a", "b", "c", "copy of 1, epoch 4", "copy of 0, epoch 7"):
        assert text in texts
    assert {"0", "1", "2", "3", "4"} <= set(texts)
    assert "bank\n3 nodes + 2 copies" in texts
    assert "for all tasks" in texts


def test_predictions_are_in_original_units_with_the_identity(made):
    labels = make_labels(made.dataset.features, made.dataset.targets)
    observed = made.table.y[20:]
    predicted = {"adaptive": observed + 3.0, "hard sharing": observed - 4.0}
    figure = draw_predictions(observed, predicted, labels, "test", number_tasks(["PM2.5", "O3"]))
    ax = figure.axes[1]
    assert ax.get_xlim() == ax.get_ylim()
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    points = np.asarray(ax.collections[1].get_offsets())  # the adaptive run lies on top
    np.testing.assert_allclose(points, np.stack([observed[:, 1], observed[:, 1] + 3], axis=1))
    texts = texts_of(figure)
    assert "observed (original units)" in texts
    assert "predicted (original units)" in texts
    assert "RMSE\nadaptive 3.00\nhard sharing 4.00" in texts


MIXED = (
    Task(name="PM2.5", unit="µg/m³"),
    Task(name="level", kind="classes", classes=("good", "fair $", "差")),
)


def test_classes_are_shown_as_a_table_of_what_was_taken_for_what(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxmtl.report.pictures.labels._families", only_latin)
    rng = np.random.default_rng(0)
    labels = make_labels(["a"], ["PM2.5", "level"])
    observed = np.stack([rng.uniform(5, 90, 60), rng.integers(0, 3, 60)], axis=1)
    observed[:5, 1] = np.nan
    p = rng.dirichlet([1, 1, 1], 60)
    outputs = np.column_stack([observed[:, 0] + 3, p])
    predicted = dict.fromkeys(("adaptive", "hard sharing"), outputs)
    with looks(labels):
        figure = draw_predictions(observed, predicted, labels, "test", MIXED)
        figure.savefig(tmp_path / "predictions.png")
    numbers, table = figure.axes
    assert numbers.get_xlabel() == "observed (µg/m³)"
    assert table.get_xlabel() == "predicted (adaptive, test rows)"
    # A class that no font can show is numbered; a dollar starts no formula.
    assert [text.get_text() for text in table.get_yticklabels()] == ["good", r"fair \$", "class 2"]
    cells = [text.get_text() for text in table.texts]
    known = observed[5:, 1].astype(int)
    expected = confusion_matrix(known, p[5:].argmax(axis=1), labels=[0, 1, 2])
    assert cells == [str(number) for number in expected.ravel()]
    loss = log_loss(known, p[5:], labels=[0, 1, 2])
    assert f"log loss, adaptive {loss:#.3g}" in table.get_title()


def test_error_curves_of_classes_are_of_the_log_loss(made):
    labels = make_labels(["a"], ["PM2.5", "level"])
    figure = draw_errors({"adaptive": made.run}, labels, "test", MIXED)
    named = [ax.get_ylabel() for ax in figure.axes]
    assert named == ["mean squared error (scaled)", "log loss"]


def only_latin():
    from matplotlib import font_manager

    return {"DejaVu Sans": font_manager.findfont("DejaVu Sans")}
