"""`jaxmtl inspect`: what was split, sizes, errors."""

from jaxmtl.report import load_run


def test_says_what_was_split_when_and_why(call, made_run):
    said = call("inspect", made_run)
    assert (said.code, said.err) == (0, "")
    event = load_run(made_run).events[0]
    assert f"node {event['node']} split in epoch {event['epoch']}" in said.out
    assert f"at sample {event['sample']} (row {event['sheet_row']} of the sheet)" in said.out
    assert f"opposite directions for {event['streak']} samples in a row" in said.out
    assert "(threshold 2, from epoch 1 on); PM2.5 now reads the copy, node 3" in said.out
    assert "phase 2: 2 epochs, never splits" in said.out


def test_counts_parameters(call, made_run):
    # 2-4-3 and two outputs: 12 + 15 + 8; one node more is 5 more.
    text = "40 in this network, 35 in plain hard sharing, 62 in independent networks"
    assert text in call("inspect", made_run).out


def test_errors_are_those_of_the_metrics_beside_what_they_are_to_beat(call, made_run):
    lines = call("inspect", made_run).out.splitlines()
    start = lines.index("Errors on the 8 test rows")
    errors = load_run(made_run).metrics["errors"]
    names = ("adaptive", "hard sharing", "mean", "straight line")
    found = [errors[run]["test"] for run in names]
    header = ["adaptive", "hard", "sharing", "ratio", "mean", "straight", "line"]
    assert lines[start + 1].split() == header
    expected = []
    for task in ("PM2.5", "O3"):
        for key in ("mse_scaled", "rmse", "mae"):
            values = [one[key][task] for one in found]
            ratio = f"{values[0] / values[1]:.3f}"
            expected.append(
                [*(f"{v:.4g}" for v in values[:2]), ratio, *(f"{v:.4g}" for v in values[2:])]
            )
        expected.append([f"{one['r2'][task]:.3f}" for one in found])
    for line, cells in zip(lines[start + 2 :], expected, strict=False):
        assert line.split()[-len(cells) :] == cells
    assert "MSE (scaled)" in lines[start + 2]


def test_says_first_what_the_run_is_worth(call, made_run):
    said = call("inspect", made_run).out
    sentence = said.split("\n\n")[1]
    assert sentence.startswith("On the 8 test rows the adaptive network is ")
    assert "No node was split" not in sentence


def test_scales_are_named_only_where_there_are_some(call, table, tmp_path, untrained):
    names = ["--features", "SO2,CO", "--targets", "PM2.5,O3", "--scaling", "none"]
    result = call("fit", "--preset", "study", table, *names, "--out", tmp_path / "run")
    assert "scaled" not in result.out.replace("are not scaled", "")
    assert "ratio (schedules)" in result.out
    sentences = result.out.split("\n\n")[1].splitlines()
    assert sentences[0].startswith(
        "On the 8 test rows the adaptive network is worse than predicting"
    )
    assert sentences[1].startswith(
        "No node was split: the adaptive network differs from hard sharing"
    )


def test_where_it_is_wrong_is_refused_of_a_run_of_the_study(call, made_run):
    done = call("inspect", made_run, "--worst")
    assert done.code == 2
    assert done.err.startswith(f"jaxmtl: --worst: {made_run} does not say where it is wrong")


def test_cites_the_study_and_takes_one_question_at_a_time(call, made_run):
    said = call("inspect", made_run, "--cite")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("@article{wang2023adaptive,")
    both = call("inspect", made_run, "--cite", "--worst")
    assert both.code == 2
    assert "--cite: expected without --worst" in both.err


def test_draws_which_targets_share_what(call, made_run, tmp_path, monkeypatch):
    done = call("inspect", made_run, "--structure", "-o", tmp_path / "who.svg")
    assert done.code == 0, done.err
    assert "shared by both tasks" in done.out
    assert (tmp_path / "who.svg").read_text(encoding="utf-8").startswith("<?xml")
    again = call("inspect", made_run, "--structure", "-o", tmp_path / "who.svg")
    assert (again.code, "--force" in again.err or "exists" in again.err) == (2, True)
    both = call("inspect", made_run, "--structure", "--cite")
    assert "--structure: expected without --cite" in both.err
    monkeypatch.setattr("jaxmtl.structure.describe", lambda found: "PM2.5 and O3_8h share. " * 20)
    wide = call("inspect", made_run, "--structure", "-o", tmp_path / "wide.svg")
    *lines, written = wide.out.splitlines()
    assert "written to" in written
    assert 90 < max(map(len, lines)) <= 100
    other = call("inspect", made_run, "--structure", "-o", tmp_path / "who.gif")
    assert "expected a file that ends in .png or .svg" in other.err
