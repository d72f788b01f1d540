"""A table of any kind through the shell: fit, inspect, predict, repeat."""

import json
import shutil

import numpy as np
import pytest
from made_air import NAMES, write

from jaxmtl.methods import find_method
from jaxmtl.prediction.time_plan import left_out_note
from jaxmtl.report import load_run, summarize
from jaxmtl.report.page.table_page import table_page


def test_inspect_says_what_was_made_of_it_and_how_good_it_is(learned, call):
    done = call("inspect", learned / "run")
    assert done.code == 0
    kinds = {tuple(line.split()[:2]) for line in done.out.splitlines()}
    assert {("day", "date"), ("city", "category"), ("CO", "number"), ("level", "classes")} <= kinds
    assert "the  straight" in done.out
    saved = json.loads((learned / "run" / "metrics.json").read_text(encoding="utf-8"))
    board = {line["name"]: line["relative"]["O3"] for line in saved["leaderboard"]}
    assert board["linear"] < 0.1 < 0.9 < board["mean"]
    assert {path.name for path in (learned / "run").iterdir()} == {
        "card.md",
        "config.json",
        "importance.png",
        "metrics.json",
        "model.npz",
        "plain",
        "predict.py",
        "predictions.csv",
        "predictions.png",
        "report.html",
        "sample.npz",
    }
    assert "for forecasts learn with --time day" in " ".join(done.out.split())


def test_the_page_says_what_it_is_good_for_and_how_to_go_on(learned):
    page = (learned / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h1>O3 and level</h1>" in page
    assert "<p>Predicts O3 closely" in page
    assert f"jaxmtl predict {learned / 'run'} NEW.xlsx" in page
    assert page.index("explains ") < page.index("<svg") < page.index("<details>")
    assert 'aria-label="Predicted against observed values of O3, level."' in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_the_time_left_out_stands_beside_the_verdict(learned):
    run = load_run(learned / "run")
    run.config["notes"].append(left_out_note(20, [("boosted", 31.0)]))
    sentence = "Left out for want of time (20 s): boosted trees (about 31 s)."
    said = summarize(run)
    assert said.index("  Predicts O3 closely") < said.index(f"  {sentence}\n\nHow sure")
    assert "note: left out" not in said
    page = table_page(run, "", place="run", drawn=0)
    assert f"<p>{sentence}</p>" in page.split("</header>")[0]
    assert page.count("for want of time") == 1


def test_quick_is_said(learned, call, tmp_path):
    options = [*NAMES, "--preset", "quick", "--time-limit", "5min", "--out", tmp_path / "quick"]
    done = call("fit", learned / "air.csv", *options)
    assert done.code == 0, done.err
    assert "quick  3 parts of the rows; only the mean, a straight line" in done.out
    assert "learning, 2 of 3: a straight line" in done.err
    assert "learning, 3 of 3: mixing them, and writing" in done.err
    saved = json.loads((tmp_path / "quick" / "config.json").read_text(encoding="utf-8"))
    settings = saved["settings"]
    assert (settings["preset"], settings["folds"], settings["time_limit"]) == ("quick", 3, 300)
    refused = call("fit", "--config", tmp_path / "quick", "--preset", "table")
    assert refused.code == 2
    assert "--preset: expected quick, with which" in refused.err


def test_a_fit_that_was_interrupted_goes_on(learned, call, tmp_path, monkeypatch):
    command = ["fit", learned / "air.csv", *NAMES, "--out", tmp_path / "run"]

    def find(name):
        if name == "linear":
            raise KeyboardInterrupt
        return find_method(name)

    with monkeypatch.context() as patch:
        patch.setattr("jaxmtl.prediction.families.find_method", find)
        done = call(*command)
    kept = tmp_path / "run.unfinished"
    assert done.code == 130
    assert done.err.endswith(
        f"interrupted; what was learned is kept in {kept}; the same command goes on with it\n"
    )
    assert list(tmp_path.iterdir()) == [kept]
    for folder in (tmp_path / "run", kept):
        for asked in (["inspect", folder], ["predict", folder, "a.csv", "-o", "b.csv"]):
            refused = call(*asked)
            assert refused.code == 2
            assert f"folder {folder}: the run is not finished" in refused.err
            assert f"it goes on, and writes {tmp_path / 'run'}" in refused.err
    done = call(*command)
    assert done.code == 0
    assert "note: kept from a fit that was broken off: the mean\n" in done.err
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]
    one, other = (
        (place / "run" / "predictions.csv").read_text("utf-8") for place in (learned, tmp_path)
    )
    assert one == other


def test_an_older_run_is_told_from_the_one_that_is_not_finished(learned, call, tmp_path):
    run = shutil.copytree(learned / "run", tmp_path / "run")
    new = write(tmp_path / "new.csv", 5, targets=False, seed=1)
    asked = [["inspect", run], ["predict", run, new, "-o", tmp_path / "out.csv", "--force"]]
    assert not any("not finished" in call(*one).err for one in asked)
    (tmp_path / "run.unfinished").mkdir()
    for one in asked:
        done = call(*one)
        assert done.code == 0
        assert f"note: folder {run}: the older run, as the one" in done.err


def test_it_is_shown_how_predictions_change_with_a_column(learned, call, tmp_path):
    picture = tmp_path / "curve.svg"
    done = call("inspect", learned / "run", "--feature", "CO", "--target", "O3", "--out", picture)
    assert done.code == 0, done.err
    heading, names, *lines = done.out.splitlines()
    assert heading.startswith("Mean prediction by CO  (over 120 rows; in brackets between what")
    assert names.split() == ["CO", "O3"]
    points = [line.split() for line in lines[:12]]
    steps = np.diff(np.array([point[:2] for point in points], float), axis=0)
    assert np.allclose(steps[:, 1] / steps[:, 0], 30, rtol=0.2)
    assert "not what would happen if it were changed" in " ".join(done.out.split())
    assert "O3" in picture.read_text(encoding="utf-8")
    again = call("inspect", learned / "run", "--feature", "CO", "--out", picture)
    assert (again.code, again.out) == (2, "")
    assert "--force" in again.err


def test_rows_of_ones_own_take_the_place_of_those_kept(learned, call, tmp_path):
    run = shutil.copytree(learned / "run", tmp_path / "run")
    (run / "sample.npz").unlink()
    refused = call("inspect", run, "--feature", "day")
    assert (refused.code, refused.out) == (2, "")
    assert "it keeps no rows (sample.npz)" in refused.err
    assert "name a table" in refused.err
    new = write(tmp_path / "new.csv", 40, targets=False, seed=1)
    done = call("inspect", run, "--feature", "day", "--table", new)
    assert done.code == 0, done.err
    assert "day, over the months of a year  (over 40 rows" in done.out
    assert "level probability of high" in done.out
    assert (run / "dependence.png").is_file()
    assert call("inspect", run).code == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--feature", "Co2"], "that the run predicts from, got 'Co2' (did you mean CO?)"),
        (
            ["--feature", "CO", "--target", "o3x"],
            "--target: expected targets of the run, got 'o3x'",
        ),
        (["--feature", "CO", "--out", "a.pdf"], "--out: expected a file that ends in .png or .svg"),
        (["--target", "O3"], "--target: expected only with --feature NAME"),
    ],
)
def test_a_column_that_cannot_be_shown_is_one_sentence(learned, call, options, sentence):
    done = call("inspect", learned / "run", *options)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert done.err.count("\n") == 1


def test_what_intervals_held_is_shown(learned, call):
    done = call("inspect", learned / "run")
    assert "How sure is a prediction?  (90 % intervals; held: share of rows" in done.out
    assert "Intervals for all columns at once (predict --joint) held" in done.out
    assert "What matters?  (what is added to the typical error" in done.out
    assert "  O3     CO +" in done.out


def test_where_it_is_wrong_is_said_in_short_and_in_full(learned, call):
    done = call("inspect", learned / "run")
    lines = done.out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("Most wrong: ")]
    assert lines[at].startswith("Most wrong: O3 where CO is missing (typical error ")
    assert lines[at + 1].startswith("Probabilities of level ")
    assert lines[at + 2].endswith(f"or jaxmtl inspect {learned / 'run'} --worst")
    assert lines[at + 3] == ""
    full = call("inspect", learned / "run", "--worst")
    assert full.code == 0
    head = full.out[full.out.index("Rows farthest off") :].splitlines()[1].split()
    assert head == ["row", "day", "city", "target", "observed", "predicted", "times", "off"]
    page = (learned / "run" / "report.html").read_text(encoding="utf-8")
    assert page.index("<h2>What matters</h2>") < page.index("<h2>Where it is wrong</h2>")
    assert 'aria-label="Errors by what is predicted and over time' in page
    assert page.count("<details>") == 2


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda m: m["where_wrong"]["typical"].pop("O3"), "typical: expected the targets O3"),
        (lambda m: m["intervals"]["joint"].update(held=9999), "held: expected"),
        (lambda m: m["importance"]["groups"].__setitem__(0, []), "of length >= 1"),
        (lambda m: m["relations"]["rest"].pop(), "relations: expected 2 tasks each way in "),
        (lambda m: m["relations"]["tasks"].__setitem__(0, "CO"), "expected targets of the run"),
    ],
)
def test_damaged_metrics_are_refused_in_a_sentence(learned, call, tmp_path, damage, sentence):
    shutil.copytree(learned / "run", tmp_path / "run")
    path = tmp_path / "run" / "metrics.json"
    metrics = json.loads(path.read_text("utf-8"))
    damage(metrics)
    path.write_text(json.dumps(metrics), "utf-8")
    done = call("inspect", tmp_path / "run")
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.slow
def test_it_is_repeated_from_its_folder(learned, call, tmp_path):
    done = call("fit", "--config", learned / "run", "--out", tmp_path / "again", "--quiet")
    assert done.code == 0, done.err
    folders = (learned / "run", tmp_path / "again")
    first, second = ((folder / "predictions.csv").read_bytes() for folder in folders)
    assert first == second


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--nodes", "4"], "--nodes: only with --preset study; add that, or leave it out"),
        (["--nodes", "4", "--preset", "quick"], "--nodes: --preset quick has no such option"),
        (["--missing", "drop"], "--missing: only with --preset study"),
        (["--families", "forests"], "--families: expected some of mean, linear, trees, networks"),
        (
            ["--time-limit", "soon"],
            "--time-limit: expected a time such as 90, 5min or 1h, got 'soon'",
        ),
        (["--time-limit", "0"], "--time-limit: expected above 0"),
        (["--method", "forest"], "--method: expected one of mean, linear, extra_trees"),
        (["--kinds", "ctiy=category"], "did you mean 'city'"),
        (
            ["--method", "mmoe", "--kinds", "city=category"],
            "--kinds: not with --method mmoe, which is trained on columns of numbers",
        ),
    ],
)
def test_what_does_not_go_together_is_one_sentence(learned, call, tmp_path, options, sentence):
    done = call("fit", learned / "air.csv", *NAMES, *options, "--out", tmp_path / "no")
    assert done.code == 2
    assert sentence in done.err
    assert not (tmp_path / "no").exists()


def test_its_options_are_refused_elsewhere(learned, call, tmp_path):
    names = ["--targets", "O3", "--kinds", "city=category"]
    done = call("fit", learned / "air.csv", *names, "--preset", "study")
    assert done.code == 2
    assert "--kinds: only with --preset table" in done.err


@pytest.mark.slow
def test_the_picture_of_many_targets_shows_the_first(call, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxmtl.report.run.table.MOST_PANELS", 1)
    lines = ["x,u,v", *(f"{i},{i},{i}" for i in range(20))]
    (tmp_path / "many.csv").write_text("\n".join(lines))
    command = ("fit", tmp_path / "many.csv", "--targets", "u,v", "--method", "mean")
    done = call(*command, "--folds", 2, "--out", tmp_path / "run", "--quiet")
    assert done.code == 0, done.err
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "The first 1 of 2 columns." in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--structure", "share"], "--structure: expected auto, shared, separate or a file .json"),
        (["--structure", "study"], "--structure study: only with --preset study, whose network"),
        (["--structure", "no.json"], "file no.json: there is no such file"),
        (["--structure", "shared", "--method", "network"], "--structure: expected without --meth"),
        (
            ["--structure", "shared", "--preset", "quick"],
            "--structure: expected networks among the families, got mean, linear, boosted; add",
        ),
        (
            ["--preset", "study", "--features", "CO", "--structure", "some"],
            "--structure: expected one of 'auto', 'shared', 'separate', 'study', 'lookahead', got",
        ),
        (
            ["--preset", "study", "--features", "CO", "--structure", "a.json"],
            "--structure: a file goes with --preset table",
        ),
        (
            ["--preset", "study", "--features", "CO", "--structure", "auto", "--method", "mmoe"],
            "--structure: expected without --method mmoe",
        ),
    ],
)
def test_structures_that_there_are_not(learned, call, options, words):
    done = call("fit", learned / "air.csv", "--targets", "O3,level", *options)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{"tasks": ["O3", "level"],\n "layers": [\n{"width": 8, "groups": [["O3"]]}]}',
            "line 3: ",
        ),
        ('{"tasks": ["O3"], "layers": [{"width": 8, "groups": [["O3"]]}]}', "expected the targets"),
        (
            '{"tasks": ["O3", "level"], "layers": [{"width": 8, "groups": [["O3", "level"]]}, '
            '{"width": 8, "groups": [["O3"], ["level"]]}]}',
            "layer 2: expected the same groups in all layers",
        ),
    ],
)
def test_a_structure_that_does_not_go_names_its_file_and_its_part(
    learned, call, tmp_path, text, words
):
    file = tmp_path / "s.json"
    file.write_text(text, encoding="utf-8")
    done = call("fit", learned / "air.csv", "--targets", "O3,level", "--structure", file)
    assert done.code == 2
    assert f"file {file}" in done.err
    assert words in done.err
