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


def test_errors_are_those_of_the_metrics_with_their_ratio(call, made_run):
    lines = call("inspect", made_run).out.splitlines()
    start = lines.index("Errors on the 8 test rows")
    errors = load_run(made_run).metrics["errors"]
    adaptive, hard = (errors[run]["test"] for run in ("adaptive", "hard sharing"))
    assert lines[start + 1].split() == ["adaptive", "hard", "sharing", "ratio"]
    expected = []
    for task in ("PM2.5", "O3"):
        for key in ("mse_scaled", "rmse", "mae"):
            expected.append((adaptive[key][task], hard[key][task]))
    expected.append((adaptive["mean_mse_scaled"], hard["mean_mse_scaled"]))
    for line, (a, h) in zip(lines[start + 2 :], expected, strict=False):
        assert line.split()[-3:] == [f"{a:.4g}", f"{h:.4g}", f"{a / h:.3f}"]
