"""The page of a comparison: what it says, and that it stands alone."""

import re

import numpy as np
import pandas as pd
import pytest
from comparison_frames import ARMS, LINES, REFERENCE, TASKS, make_frames
from pages import SENTENCES, Page, about_of, called, column, write

from jaxmtl.comparison import contrasts, describe, leaderboard
from jaxmtl.files.errors import RunFolderError
from jaxmtl.report.page.comparison_page import write_comparison_page
from jaxmtl.report.page.markup import text
from jaxmtl.tasks import Task, number_tasks


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(file):
    return Page(file.read_text(encoding="utf-8"))


@pytest.fixture
def no_pictures(monkeypatch):
    """They stand in the page that the other tests share."""
    place = "jaxmtl.report.page.comparison_page.inline_svg"
    monkeypatch.setattr(place, lambda figure, **options: "<svg></svg>")


def test_answer_comes_first_and_everything_else_follows(page):
    assert page.text.index(SENTENCES[0]) < page.text.index(SENTENCES[1])
    titles = ["Differences", "Leaderboard", "Contrasts", "Error against parameters"]
    places = [
        page.markup.index(f"<h2>{title}</h2>")
        for title in [*titles, "How it was done", "What to beware of"]
    ]
    assert places == sorted(places)
    assert page.text.index(SENTENCES[1]) < page.text.index("Differences")
    for said in (
        "9 ways to learn 3 tasks, compared",
        "1,169 to train on, 146 to select on, 146 to test on",
        "random, anew for every seed",
        "0 to 29 (30)",
        "480 epochs",
        "jaxmtl 0.1.0, jax 0.10.2",
        "jaxmtl compare 'a <b>.xlsx' --seeds 30",
        "2 min 13 s",
        "temperature <°C>",
        "What adaptive & Co. is.",
        "hard sharing (reference) What hard_sharing & Co. is. hard_sharing",
        "The intervals and p values of Nadeau and Bengio allow for that",
    ):
        assert said in page.text, said


def test_leaderboard_is_best_first_with_lines_apart(page):
    frames, board = make_frames(), page.tables[0]
    arms = frames.leaderboard["arm"].tolist()
    rows = column(board)[2:]
    assert rows == [called(arm) + "reference" * (arm == REFERENCE) for arm in arms]
    assert page.markup.index("Reference lines, no contestants") > page.markup.index(
        '<th scope="row" data-value="independent">'
    )
    first = frames.leaderboard.iloc[0]
    assert f"{first['PM2.5 rmse']:.2f}" in board[2][1]
    assert f"{first['PM2.5 error']:.5f}" in board[2][1]
    assert f"{first['error_low']:.5f} to {first['error_high']:.5f}" in board[2][4]
    # Numbers of a column have the same number of decimals.
    scaled = [re.findall(r"\.(\d+)", cell)[-1] for cell in column(board, 1)[2:]]
    assert len({len(decimals) for decimals in scaled}) == 1


def test_contrasts_have_intervals_p_values_and_verdicts(page):
    frames, table = make_frames(), page.tables[1]
    overall = frames.contrasts.query("quantity == 'overall'").set_index("arm").rename(called)
    assert set(column(table)[1:]) == set(map(called, set(ARMS) - {REFERENCE} | set(LINES)))
    for row in table[1:]:
        if len(row) == 1:
            continue
        contrast = overall.loc[row[0]]
        assert row[1].startswith(f"{contrast['percent']:+.1f} %".replace("-", "−"))
        assert contrast["verdict"] in row[-1]
        assert row[5] == f"{contrast['p_holm']:.3f}"
    assert "p, Nadeau–Bengio" in table[0]
    by_task = page.tables[2]
    assert by_task[0] == ["Arm", *TASKS]
    assert column(by_task) == ["Arm", *column(table)[1:]]
    contrast = frames.contrasts.set_index(["arm", "quantity"]).loc[("adaptive", TASKS[0])]
    (row,) = [row for row in by_task if row[0] == "adaptive"]
    assert row[1].startswith(f"{contrast['percent']:+.1f} % ▼".replace("-", "−"))


@pytest.fixture
def any_text():
    """pyarrow, where there is one, holds no half of a pair of surrogates."""
    with pd.option_context("mode.string_storage", "python"):
        yield


@pytest.mark.usefixtures("any_text")
def test_every_text_is_escaped(page, tmp_path):
    assert "O3 <8h> & max" in page.text
    assert "O3 &lt;8h&gt; &amp; max" in page.markup
    assert "<8h>" not in page.markup
    evil = '<script>alert("x")</script>\x00\ud800'
    arms = {REFERENCE: evil, "adaptive": evil}
    frames = make_frames(seeds=2, arms=list(arms), lines=[], tasks=[evil, "\ud800b\x00"])
    about = about_of(
        frames,
        **dict.fromkeys(["table", "split", "selection", "protocol", "command", "machine"], evil),
        features=[evil],
        arms=arms,
        versions={evil: evil},
    )
    made = {"seeds": 2, "arms": list(arms), "lines": [], "tasks": [evil, "\ud800b\x00"]}
    markup = write(tmp_path, [evil], about, **made).read_text(encoding="utf-8")
    assert [tag for tag, _ in Page(markup).elements].count("script") == 1
    assert "alert" not in re.sub(r"&lt;script&gt;alert", "", markup)
    assert "\x00" not in markup


def test_page_refers_to_nothing_outside_itself(page):
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", page.markup)
    for name in ("src", "href", "srcset", "poster", "data", "action", "background", "xlink:href"):
        for value in page.attributes(name):
            assert value.startswith(("#", "data:")), (name, value)
    identifiers = page.attributes("id")
    assert len(identifiers) == len(set(identifiers))
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", page.markup))
    assert used <= set(identifiers)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "iframe", "object", "embed", "img"}
    (policy,) = [attrs for _, attrs in page.elements if "http-equiv" in attrs]
    assert policy["content"].startswith("default-src 'none'")


def test_page_is_for_everybody(page):
    pictures = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert [attrs["role"] for attrs in pictures] == ["img", "img"]
    assert "adaptive −2.0 %" in pictures[0]["aria-label"]
    assert "independent" in pictures[1]["aria-label"]
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table") == 3
    assert tags.count("figcaption") == 2
    scopes = [attrs.get("scope") for tag, attrs in page.elements if tag == "th"]
    assert set(scopes) == {"col", "colgroup", "row", "rowgroup"}
    assert ("html", {"lang": "en"}) in page.elements
    for words in ("prefers-color-scheme: dark", "@media print", "tabular-nums"):
        assert words in page.markup


def test_names_in_pictures_are_texts_in_their_own_script(page):
    picture = page.markup.split("<svg")[1].split("</svg>")[0]
    for task in TASKS:
        assert f">{text(task)}</text>" in picture
    assert "task 3" not in picture


@pytest.mark.slow
def test_same_comparison_gives_the_same_page(tmp_path):
    made = {"seeds": 2, "arms": [REFERENCE, "adaptive"], "lines": [], "tasks": ["a"]}
    pages = [write(tmp_path / name, **made).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_contrast_of_colours_is_enough():
    from jaxmtl.report.page.page_style import STYLE

    def luminance(colour):
        c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    schemes = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ground in ("paper", "raised"):
            below = luminance(colours[ground])
            for name, least in {
                **dict.fromkeys(("ink", "soft", "better", "worse"), 4.5),
                **dict.fromkeys(("blue", "vermilion", "shared"), 3.0),
            }.items():
                pair = sorted((luminance(colours[name]), below))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, (name, ground)


@pytest.mark.usefixtures("no_pictures")
def test_diverged_arms_are_shown_as_such(tmp_path):
    diverged = [("random_node", seed) for seed in range(7)] + [("adaptive", 3)]
    made = {"seeds": 7, "arms": [REFERENCE, "adaptive", "random_node"], "lines": []}
    found = Page(write(tmp_path, diverged=diverged, **made).read_text(encoding="utf-8"))
    board = {row[0]: row for row in found.tables[0] if len(row) > 1}
    assert "adaptivediverged in 1 of 7 seeds" in board
    assert board["random nodediverged in 7 of 7 seeds"][1:5] == ["diverged"] * 4
    against = {row[0]: row for row in found.tables[1]}
    assert against["random node"][1] == against["random node"][-1] == "diverged"
    assert against["adaptive"][-2] == "6"
    assert "nan" not in found.text.lower()
    assert "adaptive diverged in 1 of 7 seeds." in found.text


@pytest.mark.usefixtures("no_pictures")
def test_one_seed_says_that_it_has_no_interval(tmp_path):
    made = {"seeds": 1, "arms": [REFERENCE, "adaptive"], "lines": []}
    found = Page(write(tmp_path, **made).read_text(encoding="utf-8"))
    assert "One seed has no interval and no test" in found.text
    assert "too few runs to test" in found.text
    assert "In brackets" not in found.text
    assert "nan" not in found.text.lower()


@pytest.mark.usefixtures("no_pictures")
def test_few_seeds_and_one_split_have_reservations_of_their_own(tmp_path):
    made = {"seeds": 5, "resplit": False, "tasks": ["a"], "arms": [REFERENCE, "adaptive"]}
    found = Page(write(tmp_path, **made).read_text(encoding="utf-8"))
    assert "cannot give a p below 0.0625" in found.text
    assert "There is no Δm" in found.text
    assert "Where seeds share one division of the rows" in found.text
    assert "Nadeau" not in found.text
    assert len(found.tables) == 2  # no contrasts task by task


@pytest.mark.usefixtures("no_pictures")
def test_one_arm_alone_has_no_contrasts(tmp_path):
    made = {"arms": [REFERENCE], "lines": [], "seeds": 3}
    found = Page(write(tmp_path, **made).read_text(encoding="utf-8"))
    assert "One way to learn 3 tasks" in found.text
    assert len(found.tables) == 1
    assert "<h2>Contrasts</h2>" not in found.markup
    assert "<h2>Differences</h2>" not in found.markup


@pytest.mark.slow
def test_tasks_of_different_kinds_are_named_and_compared_by_relative_errors(tmp_path):
    made = {"seeds": 6, "arms": [REFERENCE, "adaptive"], "tasks": ["PM2.5", "level"]}
    frames = make_frames(**made, classes=["level"])
    tasks = [
        Task(name="PM2.5", unit="µg/m³"),
        Task(name="level", kind="classes", classes=("good", "poor")),
    ]
    found = Page(
        write(tmp_path, about=about_of(frames, tasks=tasks), **made, classes=["level"]).read_text(
            encoding="utf-8"
        )
    )
    board = found.tables[0]
    assert board[0][1] == "Measure of each taskerror relative to a constant prediction"
    assert board[1] == ["PM2.5RMSE (µg/m³)", "levellog loss"]
    first = frames.leaderboard.iloc[0]
    (row,) = [row for row in board if row[0].startswith("adaptive")]
    assert row[2].startswith(f"{first['level log loss']:.4f}")
    assert row[2].endswith(f"{first['level error']:.4f}")
    assert "Mean relative error (95 % interval)" in board[0]
    assert "with this arm the error relative to a constant prediction is 2 % smaller" in found.text
    assert "Tasks of different kinds have no measure in common" in found.text
    for scaled in ("scaled", "Scaled", "squared", "original units"):
        assert scaled not in found.text
    with pytest.raises(ValueError, match="PM2.5 by rmse, level by log loss.* got PM2.5 by rmse, l"):
        write(tmp_path, about=about_of(frames), **made, classes=["level"])


@pytest.mark.usefixtures("no_pictures")
def test_units_are_named_where_they_are_known(tmp_path):
    made = {"seeds": 2, "arms": [REFERENCE, "adaptive"], "lines": [], "tasks": ["a", "b"]}
    tasks = [Task(name="a", unit="µg/m³"), Task(name="b")]
    about = about_of(make_frames(**made), tasks=tasks)
    board = Page(write(tmp_path, about=about, **made).read_text(encoding="utf-8")).tables[0]
    assert board[0][1] == "Root mean squared errormean squared error, scaled"
    assert board[1] == ["aµg/m³", "boriginal units"]


@pytest.mark.slow
def test_frames_of_the_comparison_itself_are_shown(tmp_path):
    per_seed = make_frames(seeds=8, diverged=[("adaptive", 1)]).per_seed
    found = contrasts(per_seed, REFERENCE, test_share=0.25, resamples=1000)
    board = leaderboard(per_seed)
    labels = {"adaptive": "the adaptive one"}
    file = write_comparison_page(
        tmp_path / "report.html",
        sentences=describe(found, board, labels),
        leaderboard=board,
        contrasts=found,
        per_seed=per_seed,
        about=about_of(make_frames(seeds=8), labels=labels),
    )
    page = Page(file.read_text(encoding="utf-8"))
    assert " ".join(describe(found, board, labels)) in page.text
    assert [len(table) for table in page.tables] == [2 + 9 + 1 + 3, 1 + 8 + 1 + 3, 1 + 8 + 1 + 3]
    assert "the adaptive onediverged in 1 of 8 seeds" in column(page.tables[0])
    assert "verdicts are adjusted for their number" in page.text


def test_bad_input_is_refused(tmp_path):
    frames = make_frames(seeds=2, arms=[REFERENCE, "adaptive"], lines=[])
    with pytest.raises(ValueError, match="reference: expected one of hard_sharing, adaptive, got"):
        about_of(frames, reference="nobody")
    with pytest.raises(ValueError, match="seeds: expected at least one"):
        about_of(frames, seeds=[])
    about = about_of(frames, tasks=number_tasks(["other"]))
    with pytest.raises(ValueError, match="about.tasks: expected the tasks of per_seed"):
        write_comparison_page(tmp_path / "a.html", sentences=[], about=about, **frames._asdict())
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(RunFolderError, match="exists already"):
        write(tmp_path, seeds=2, arms=[REFERENCE], lines=[])
    assert (tmp_path / "report.html").read_text() == "mine"


@pytest.mark.usefixtures("no_pictures")
def test_errors_of_targets_that_are_not_scaled_are_not_called_scaled(tmp_path):
    frames = make_frames(seeds=7, tasks=["a", "b"], arms=[REFERENCE, "adaptive"])
    path = write_comparison_page(
        tmp_path / "report.html",
        sentences=SENTENCES,
        leaderboard=frames.leaderboard,
        contrasts=frames.contrasts,
        per_seed=frames.per_seed.assign(scaled=False),
        about=about_of(frames),
    )
    found = Page(path.read_text(encoding="utf-8"))
    assert "scaled" not in found.text.replace("Targets are not scaled", "").lower()
    assert "the task of the largest units decides the mean" in found.text
    assert "Mean squared error" in found.text
