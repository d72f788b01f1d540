"""Pictures of a comparison: what they show, in which order, and that nothing warns."""

import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from comparison_frames import ARMS, LINES, REFERENCE, TASKS, make_frames
from matplotlib.image import imread
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from some_cases import some

from jaxmtl.comparison import read_per_seed
from jaxmtl.report.pictures.comparison_pictures import (
    plot_differences,
    plot_error_against_parameters,
    write_comparison_pictures,
)
from jaxmtl.report.pictures.comparison_rows import differences
from jaxmtl.report.pictures.name_placement import place_names, spread
from jaxmtl.report.pictures.style import VERMILION, new_figure

CASES = {
    "study": {"diverged": [("random_node", seed) for seed in range(30)]},
    "seeds share one split": {"seeds": 4, "resplit": False},
    "one seed": {"seeds": 1},
    "one arm": {"arms": [REFERENCE], "lines": [], "seeds": 3},
    "lines only": {"arms": [REFERENCE], "seeds": 3},
    "one task": {"tasks": ["$x_1$"], "seeds": 5},
    "many dots": {"tasks": ["a", "b", "c", "d"], "seeds": 150},
}


@pytest.fixture(scope="module")
def frames():
    return make_frames()


def texts_of(artist) -> list[str]:
    return [text.get_text() for text in artist.findobj(Text) if text.get_text()]


def called(arms) -> list[str]:
    return [arm.replace("_", " ") for arm in arms]


def rows_of(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.parametrize("case", some(CASES, "one task"))
def test_pictures_are_drawn_without_a_warning(tmp_path, case):
    before, loaded = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    made = make_frames(**CASES[case])
    files = write_comparison_pictures(tmp_path, **made._asdict(), reference=REFERENCE)
    # The global state of matplotlib is left alone.
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded
    assert [file.name for file in files] == ["differences.png", "error_against_parameters.png"]
    for file in files:
        pixels = imread(file)[..., :3]
        assert pixels.std() > 0.01
        edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
        assert all((edge == 1).all() for edge in edges), file.name


def test_contestants_come_best_first_and_lines_below(frames):
    figure = plot_differences(frames.per_seed, frames.contrasts, REFERENCE)
    rows = rows_of(figure.axes[0])
    percent = frames.contrasts.query("quantity == 'overall'").set_index("arm")["percent"]
    contestants = sorted(ARMS.keys() - {REFERENCE}, key=percent.get)
    assert rows == called([*contestants, *sorted(LINES, key=percent.get)])
    places = figure.axes[0].get_yticks()
    assert places[len(ARMS) - 2] - places[len(ARMS) - 1] > 1.5  # a gap before the lines
    assert len(figure.axes) == 1 + len(TASKS)
    assert rows_of(figure.axes[1]) == rows
    assert rows_of(figure.axes[2]) == [""] * len(rows)


def test_dots_means_and_intervals_are_those_of_the_frames(frames):
    figure = plot_differences(frames.per_seed, frames.contrasts, REFERENCE)
    ax = figure.axes[0]
    row = rows_of(ax).index("adaptive")
    contrast = frames.contrasts.query("arm == 'adaptive' and quantity == 'overall'").iloc[0]
    bars = [line for line in ax.lines if list(line.get_ydata()) == [ax.get_yticks()[row]] * 2]
    np.testing.assert_allclose(bars[0].get_xdata(), [contrast["nb_low"], contrast["nb_high"]])
    dots = np.asarray(ax.collections[row].get_offsets())[:, 0]
    assert len(dots) == 30
    np.testing.assert_allclose(dots.mean(), contrast["percent"], rtol=1e-9)
    texts = texts_of(figure)
    assert "test error against hard sharing (%), negative is better" in texts
    assert "95 % interval of the mean (Nadeau–Bengio)" in texts
    assert texts.count("hard sharing") == len(figure.axes)  # names each line of zero


def test_bootstrap_intervals_stand_in_for_those_of_nadeau_and_bengio():
    made = make_frames(seeds=5, resplit=False)
    found = differences(read_per_seed(made.per_seed), made.contrasts, REFERENCE)
    contrast = made.contrasts.set_index(["arm", "quantity"]).loc[(found[0].arm, "overall")]
    assert (found[0].low, found[0].high) == (contrast["percent_low"], contrast["percent_high"])
    texts = texts_of(plot_differences(made.per_seed, made.contrasts, REFERENCE))
    assert "95 % interval of the mean (bootstrap over seeds)" in texts


def test_what_is_far_outside_is_an_arrow_with_its_number(frames):
    figure = plot_differences(frames.per_seed, frames.contrasts, REFERENCE)
    far = [line for line in figure.axes[1].lines if line.get_marker() == ">"]
    assert [line.get_color() for line in far] == [VERMILION] * 2  # ridge and the mean predictor
    assert figure.axes[0].get_xlim()[1] < 10
    texts = texts_of(figure.axes[1])
    assert any(text.startswith("+41") and text.endswith(" %") for text in texts)


def test_arm_without_any_finished_seed_is_said_to_have_diverged():
    arms = [REFERENCE, "random_node", "adaptive"]
    diverged = [("adaptive", seed) for seed in range(4)]
    made = make_frames(seeds=4, arms=arms, diverged=diverged)
    figure = plot_differences(made.per_seed, made.contrasts, REFERENCE)
    assert rows_of(figure.axes[0])[:2] == ["random node", "adaptive"]  # last of the contestants
    assert "diverged" in texts_of(figure)
    texts = texts_of(plot_error_against_parameters(made.leaderboard, made.per_seed))
    assert "not shown, diverged in every seed: adaptive" in texts


def test_one_seed_has_no_interval():
    made = make_frames(seeds=1, arms=[REFERENCE, "adaptive"])
    figure = plot_differences(made.per_seed, made.contrasts, REFERENCE)
    assert not any("interval" in text for text in texts_of(figure))
    assert not figure.axes[0].collections  # no dots beside the means
    texts = texts_of(plot_error_against_parameters(made.leaderboard, made.per_seed))
    assert "one seed" in texts


def test_one_arm_alone_is_said_to_be_alone():
    made = make_frames(seeds=3, arms=[REFERENCE], lines=[])
    texts = texts_of(plot_differences(made.per_seed, made.contrasts, REFERENCE))
    assert texts == ["Nothing to compare: hard sharing is the only arm"]


def test_unknown_reference_is_refused(frames):
    with pytest.raises(ValueError, match="expected one of hard_sharing, .* got 'nobody'"):
        plot_differences(frames.per_seed, frames.contrasts, "nobody")


@pytest.mark.slow
def test_arms_are_called_by_their_labels(frames):
    labels = {"adaptive": "splits where tasks conflict", REFERENCE: "shared bottom"}
    figure = plot_differences(frames.per_seed, frames.contrasts, REFERENCE, labels=labels)
    assert rows_of(figure.axes[0])[:2] == ["splits where tasks conflict", "least conflict"]
    assert "shared bottom" in texts_of(figure)
    figure = plot_error_against_parameters(frames.leaderboard, frames.per_seed, labels=labels)
    assert {"splits where tasks conflict", "shared bottom"} <= set(texts_of(figure))
    # Two arms of one label would be taken for each other.
    labels = {"adaptive": "shared bottom", REFERENCE: "shared bottom"}
    figure = plot_differences(frames.per_seed, frames.contrasts, REFERENCE, labels=labels)
    assert rows_of(figure.axes[0])[:2] == ["adaptive", "least_conflict"]


def test_tasks_of_different_kinds_are_compared_by_relative_errors():
    made = make_frames(seeds=4, arms=[REFERENCE, "adaptive"], tasks=["a", "b"], classes=["b"])
    figure = plot_error_against_parameters(made.leaderboard, made.per_seed)
    assert figure.axes[0].get_ylabel() == "test error relative to a constant prediction"
    relative = made.per_seed.pivot(index="seed", columns=["arm", "task"], values="relative")
    overall = {arm: relative[arm].mean(axis=1) for arm in (REFERENCE, "adaptive")}
    found, *_ = differences(read_per_seed(made.per_seed), made.contrasts, REFERENCE)
    expected = 100 * (overall["adaptive"] - overall[REFERENCE]) / overall[REFERENCE].mean()
    assert found.arm == "adaptive"
    np.testing.assert_allclose(found.seeds, expected, rtol=1e-9)


def test_target_may_be_called_overall():
    made = make_frames(seeds=4, arms=[REFERENCE, "adaptive"], lines=[], tasks=["a", "overall"])
    per_seed = made.per_seed
    errors = per_seed[per_seed["task"] == "overall"].pivot(
        index="seed", columns="arm", values="error"
    )
    expected = 100 * (errors["adaptive"].mean() / errors[REFERENCE].mean() - 1)
    (found,) = differences(read_per_seed(per_seed), made.contrasts, REFERENCE, "overall")
    np.testing.assert_allclose(found.percent, expected)
    np.testing.assert_allclose(found.seeds.mean(), expected)


def test_points_are_at_the_size_and_error_of_their_arm():
    made = make_frames(arms=["hard_sharing", "independent", "adaptive"])
    figure = plot_error_against_parameters(made.leaderboard, made.per_seed)
    ax = figure.axes[0]
    points = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o"]
    arms = made.leaderboard.query("kind == 'arm'")
    np.testing.assert_allclose(points, arms[["parameters", "error"]].astype(float))
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "active parameters (mean over seeds)",
        "scaled mean squared test error",
    )
    texts = texts_of(figure)
    assert "mean over 30 seeds, 95 % bootstrap interval" in texts
    for line in called(LINES):
        assert any(line in text for text in texts)


@pytest.mark.slow
def test_names_of_arms_do_not_overlap(frames):
    figure = plot_error_against_parameters(frames.leaderboard, frames.per_seed)
    figure.draw_without_rendering()
    boxes = {
        text.get_text(): text.get_window_extent()
        for text in figure.findobj(Annotation)
        if text.get_text()
    }
    assert boxes.keys() >= set(called(ARMS))
    named = list(boxes.items())
    for i, (one, box) in enumerate(named):
        for other, another in named[i + 1 :]:
            assert Bbox.intersection(box, another) is None, (one, other)


@pytest.mark.slow
def test_crowded_names_find_places():
    ax = new_figure(6, 4).subplots()
    points = np.random.default_rng(0).normal(0, 0.02, (9, 2)) + [0.5, 0.5]
    ax.set(xlim=(0, 1), ylim=(0, 1))
    written = place_names(ax, points, [f"a name of length {i}" for i in range(9)])
    boxes = [name.get_window_extent() for name in written]
    frame = ax.get_window_extent()
    for i, box in enumerate(boxes):
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        for other in boxes[i + 1 :]:
            assert Bbox.intersection(box, other) is None


def test_spread_keeps_order_gaps_and_limits():
    rng = np.random.default_rng(1)
    for _ in range(50):
        wanted = rng.uniform(0, 1, rng.integers(1, 9))
        placed = np.array(spread(wanted.tolist(), 0.1, 0.0, 1.0))
        assert (np.diff(np.sort(placed)) >= 0.1 - 1e-9).all()
        np.testing.assert_array_equal(np.argsort(wanted), np.argsort(placed))
        assert placed.min() >= -1e-9
        assert placed.max() <= 1 + 1e-9
    assert spread([], 0.1) == []


@pytest.mark.slow
def test_names_that_no_font_has_are_numbered(frames, monkeypatch, tmp_path):
    monkeypatch.setattr("jaxmtl.report.pictures.labels._families", only_latin)
    texts = texts_of(plot_differences(frames.per_seed, frames.contrasts, REFERENCE))
    assert {"PM2.5", "task 3"} <= set(texts)
    per_seed = frames.per_seed.replace({"arm": {"adaptive": "自适应"}})
    contrasts = frames.contrasts.replace({"arm": {"adaptive": "自适应"}})
    figure = plot_differences(per_seed, contrasts, REFERENCE)
    assert f"arm {len(ARMS)}" in rows_of(figure.axes[0])
    write_comparison_pictures(
        tmp_path,
        leaderboard=frames.leaderboard.replace({"arm": {"adaptive": "自适应"}}),
        contrasts=contrasts,
        per_seed=per_seed,
        reference=REFERENCE,
    )


def only_latin():
    from matplotlib import font_manager

    return {"DejaVu Sans": font_manager.findfont("DejaVu Sans")}


def test_errors_of_zero_and_frames_without_contrasts_do_not_warn():
    per_seed = pd.DataFrame(
        {
            "arm": ["a", "a", "b", "b"],
            "kind": "arm",
            "seed": [0, 1, 0, 1],
            "task": "t",
            "error": [0.0, 0.0, 0.0, 1.0],
        }
    )
    (found,) = differences(read_per_seed(per_seed), pd.DataFrame(), "a")
    assert (found.pairs, found.absence) == (2, "the reference has no error")
    plot_differences(per_seed, pd.DataFrame(), "a").draw_without_rendering()


def test_hollow_marks_of_single_tasks_are_explained():
    frames = make_frames(seeds=8)
    overall = frames.contrasts["quantity"] == "overall"
    verdicts = np.where(overall, "better", "not distinguishable")
    figure = plot_differences(frames.per_seed, frames.contrasts.assign(verdict=verdicts), REFERENCE)
    assert {"mean: better", "mean, hollow: not distinguishable"} <= set(texts_of(figure))
