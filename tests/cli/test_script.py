"""``predict.py`` in a run folder: what ``jaxmtl predict`` writes, where JAX cannot be imported."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from made_air import write

from jaxmtl.plain.main import main

# What is not to be had where the script runs; Python imports a module of this name as it starts.
BLOCKED = ("jax", "jaxlib", "jaxmtl", "jaxtyping", "flax", "optax", "pandas", "sklearn", "scipy")
NOT_THERE = f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED}))\n"


@pytest.fixture
def alone(tmp_path):
    """Calls a folder's script in a process without any of these packages."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(NOT_THERE, encoding="utf-8")

    def call(folder, *args):
        command = [sys.executable, folder / "predict.py", *args]
        where = os.environ | {"PYTHONPATH": str(tmp_path / "without")}
        return subprocess.run(
            list(map(str, command)), env=where, capture_output=True, text=True, cwd=tmp_path
        )

    return call


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def close(one, other, spread):
    """Equal texts, and numbers that differ by no more than 1e-5 of what targets spread."""
    assert [len(row) for row in one] == [len(row) for row in other]
    for row, others in zip(one, other, strict=True):
        for cell, same in zip(row, others, strict=True):
            assert cell == same or abs(float(cell) - float(same)) <= 1e-5 * spread


def test_it_writes_what_predict_writes(learned, call, alone, tmp_path):
    new = write(tmp_path / "new.csv", 12, targets=False, seed=1)
    with new.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[], ["2021-03-01", "D", "9"], ["", "=A", "0.5"], [], []])
    expected = tmp_path / "expected.csv"
    assert call("predict", learned / "run", new, "-o", expected).code == 0
    done = alone(learned / "run", new, "-o", tmp_path / "out.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.csv").read_bytes() == expected.read_bytes()
    assert rows_of(expected)[-2][-1].startswith("city new; CO outside")
    done = alone(learned / "run", new)  # without a name, to standard output
    assert list(csv.reader(done.stdout.splitlines())) == rows_of(expected)


def test_intervals_are_of_the_level_asked_for(learned, call, tmp_path):
    options = ["--confidence", "0.5", "--joint", "--force"]
    files = [tmp_path / "one.csv", tmp_path / "other.csv"]
    assert call("predict", learned / "run", learned / "air.csv", *options, "-o", files[0]).code == 0
    given = [str(arg) for arg in (learned / "air.csv", *options, "-o", files[1])]
    assert main(str(learned / "run"), given) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "O3 upper 50 %" in rows_of(files[0])[0]


def test_the_network_of_the_study(made_run, call, alone, tmp_path):
    rows = [["SO2", "CO"], ["20", "0,5"], ["", ""], ["400", "1,5"], ["7", "0,25"]]
    new = tmp_path / "new.csv"
    new.write_text("\n".join(";".join(row) for row in rows), encoding="utf-8")
    assert call("predict", made_run, new, "-o", tmp_path / "expected.csv").code == 0
    done = alone(made_run, new, "-o", tmp_path / "out.csv")
    assert (done.returncode, done.stderr) == (0, "")
    found, expected = (rows_of(tmp_path / name) for name in ("out.csv", "expected.csv"))
    close(found, expected, spread=20)
    assert found[3][2] == "outside the training rows: SO2"
    new.write_text("SO2,CO\n1,\n", encoding="utf-8")
    done = alone(made_run, new)
    assert done.returncode == 2
    assert "new.csv, column 'CO', row 2: a missing value; fill such cells" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xlsx", b"PK", "expected a text table that ends in .csv, .tsv, .txt, got .xlsx; 'jaxm"),
        ("a.csv", "day,city,CO\n01.02.2021,A,1\n".encode("utf-16"), "expected a text table in UT"),
        (
            "a.csv",
            b"day,city\n2021-01-01,A\n",
            "row 1: there is no column 'CO', from which the run learned; add it",
        ),
        ("a.csv", b"", "the table is empty"),
        ("a.csv", b"day,city,CO\n\n", "the header in row 1 has no rows below it"),
        ("a.csv", b"day,city,CO\n2021-01-01,A,x\n", "column 'CO' (C), row 2: expected a number"),
        ("a.csv", b"day,city,CO\nsoon,A,1\n", "column 'day', row 2: expected a date or time, got"),
        ("a.csv", b"day,city,CO\n2021-02-30,A,1\n", "got '2021-02-30', a day that there is not"),
        ("a.csv", b"day,city,CO\n01/02/2021,A,1\n", "write it so, or see whether 'jaxmtl predict"),
        ("a.csv", b"day,city,CO\n2021-01-01,A,1,2\n", "row 2: expected at most 3 cells"),
        ("a.csv", b'day,city,CO\n2021-01-01,"A,1\n', "expected cells in closed quotation marks"),
        ("a.csv", b"# air\nday,city,CO\n2021-01-01,A,1\n", "row 1: expected a row of the table"),
        ("b.csv", None, "file b.csv: there is no such file"),
    ],
)
def test_other_tables_are_refused_in_a_sentence(
    learned, tmp_path, capsys, monkeypatch, name, content, said
):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(str(learned / "run"), [name, "-o", "out.csv"]) == 2
    sentence = capsys.readouterr().err
    assert said in sentence
    assert sentence.startswith(f"predict.py: file {name}")
    assert sentence.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_nothing_is_overwritten(learned, tmp_path, capsys):
    table, out = write(tmp_path / "new.csv", 3), tmp_path / "out.csv"
    out.write_text("mine", encoding="utf-8")
    for place, said in ((out, "it exists already"), (table, "it is the table to predict from")):
        assert main(str(learned / "run"), [str(table), "-o", str(place)]) == 2
        assert said in capsys.readouterr().err
    nowhere = str(tmp_path / "no" / "out.csv")
    assert main(str(learned / "run"), [str(table), "-o", nowhere]) == 2
    assert f"file {nowhere}: cannot be written (No such file" in capsys.readouterr().err
    assert main(str(learned / "run"), [str(table), "-o", str(out), "--confidence", "2"]) == 2
    assert out.read_text(encoding="utf-8") == "mine"
    assert main(str(learned / "run"), [str(table), "-o", str(out), "--force"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "out.csv"]


def changed(arrays, spec):
    """Damages of a model file, one after the other."""
    yield {**arrays, "spec": np.array("{")}, "got damaged or other ones"
    yield {**arrays, "spec": np.array(json.dumps(spec | {"format": 3}))}, "got format 3; use 'jaxm"
    network = {"kind": "network", "spec": {"network": "MMoE", "fields": {}}}
    other = json.dumps(spec | {"models": [network]})
    yield {**arrays, "spec": np.array(other)}, "its network (MMoE) needs JAX; use 'jaxmtl predict'"
    for name, array in arrays.items():
        if array.dtype.kind == "f" and "slopes" in name:
            yield {**arrays, name: array[:-1]}, "got damaged or other ones"
            yield {**arrays, name: array * np.nan}, "expected finite predictions"
            break
    for name in arrays:
        if name.startswith("intervals/"):
            yield {key: one for key, one in arrays.items() if key != name}, "intervals: expected"
            yield {**arrays, name: np.array(["x"])}, "got damaged or other ones"


def test_damaged_folders_are_one_sentence(learned, tmp_path, capsys):
    folder, table = tmp_path / "run", str(learned / "air.csv")
    shutil.copytree(learned / "run", folder)
    with np.load(folder / "model.npz") as file:
        arrays = dict(file)
    spec = json.loads(str(arrays["spec"]))
    for damaged, said in changed(arrays, spec):
        np.savez(folder / "model.npz", **damaged)
        assert main(str(folder), [table]) == 2
        found = capsys.readouterr()
        assert said in found.err
        assert found.err.count("\n") == 1
        assert found.out == ""
    whole = (learned / "run" / "model.npz").read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        for content in (whole[:place], whole[:place] + b"\xa5" + whole[place + 1 :]):
            (folder / "model.npz").write_bytes(content)
            code = main(str(folder), [table])
            assert (code, capsys.readouterr().err.count("\n")) in ((0, 0), (2, 1))
    for name, content in (("model.npz", b"PK\3\4"), ("metrics.json", b"[")):
        (folder / name).write_bytes(content)
        assert main(str(folder), [table]) == 2
        assert "got damaged or other ones" in capsys.readouterr().err
    (folder / "metrics.json").unlink()
    assert main(str(folder), [table]) == 2
    assert "got one without metrics.json" in capsys.readouterr().err


def test_the_card_says_what_one_has_to_know(learned, made_run):
    text = (learned / "run" / "card.md").read_text(encoding="utf-8")
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "## What it predicts",
        "## When it was made",
        "## From which columns",
        "## How good it is",
        "## Limits",
    ]
    assert "- level, classes: high, low" in text
    assert "| city | category | A, B, C |" in text
    assert "| day | date | 2021-01-01 to 2021-12-" in text
    assert "On 120 rows, each predicted by what had not learned from it" in text
    assert " % explained (R²) | " in text
    assert " % right | " in text
    assert "needs NumPy alone" in text
    study = (made_run / "card.md").read_text(encoding="utf-8")
    assert "| PM2.5 | " in study
    assert "others were learned from:" in study
