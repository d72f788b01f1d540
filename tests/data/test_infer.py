"""What columns are, and what is said of them."""

import json

import numpy as np
import pytest

from jaxmtl.data import Column, TableError, infer_columns, read_cells, table_of_cells
from jaxmtl.data.tells import Values, tells

N = 40
RNG = np.random.default_rng(0)


def table(**columns):
    rows = {"y": RNG.normal(size=N), **columns}
    return table_of_cells(rows)


def kind_of(cells, **options):
    columns = infer_columns(table(a=cells, b=RNG.normal(size=N)), targets=["y"], **options)
    return {column.name: column for column in columns.columns}.get("a"), dict(columns.left_out)


def cycle(*cells):
    return [cells[i % len(cells)] for i in range(N)]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (cycle("1.5", "2", None), "number"),
        (cycle(1, 2.5, 3), "number"),
        (cycle(0, 1), "number"),
        (cycle(True, False), "category"),
        (cycle("true", "FALSE", None), "category"),
        (cycle("north", "south"), "category"),
        (cycle("A1", "10", "B7"), "category"),
        (cycle("2015-01-01", "2015-02-01"), "date"),
        (cycle("01.02.2015", "13.02.2015"), "date"),
        (cycle("08:30", "19:00"), "date"),
        (cycle("20150101", "20150202"), "number"),
    ],
)
def test_kinds_are_found(cells, kind):
    assert kind_of(cells)[0].kind == kind


@pytest.mark.parametrize(
    ("cells", "said", "kind"),
    [
        (cycle(2013, 2014), "category", "category"),
        (cycle("20150101", "20150202"), "date", "date"),
        (cycle("1/2/2015", "2/1/2015", "1/2/2015"), "date:mdy", "date"),
        (cycle(0, 1), "class", "category"),
    ],
)
def test_kinds_are_declared(cells, said, kind):
    column = kind_of(cells, kinds={"a": said})[0]
    assert column.kind == kind
    assert column.order == (said.partition(":")[2] or "ymd")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([None] * N, "empty"),
        ([3] * N, "holds 3 in all rows"),
        (["x"] * N, "holds 'x' in all rows"),
        (["2015-01-01"] * N, "holds one date in all rows"),
        ([f"id {i}" for i in range(N)], "its 40 texts are all different"),
        (["id 0", *(f"id {i}" for i in range(N - 1))], "39 of its 40 texts are different"),
    ],
)
def test_what_says_nothing_is_left_out(cells, reason):
    assert kind_of(cells) == (None, {"a": reason})


def test_ids_stay_where_they_are_declared():
    assert kind_of([f"id {i}" for i in range(N)], kinds={"a": "category"})[0].kind == "category"


def test_an_odd_cell_does_not_make_a_category():
    with pytest.raises(TableError, match="row 3: expected a number, got the text '<5'"):
        kind_of(["1", "2", "<5", *["4"] * (N - 3)])
    assert kind_of(["1", "2", "<5", *["4"] * (N - 3)], ignore=["a"])[1] == {
        "a": "ignored, as asked for"
    }


def test_what_is_made_of_columns():
    day = [f"2015-{1 + i // 20:02}-{1 + i % 20:02} {i % 24}:00" for i in range(N)]
    columns = infer_columns(
        table(day=day, city=cycle("A", "B", "A", None), CO=[None, *range(1, N)]), targets=["y"]
    )
    found = {column.name: (column.made, column.range_words) for column in columns.columns}
    assert found == {
        "day": ("year, weekday, hour", "2015-01-01 to 2015-02-20 15:00"),
        "city": ("2 levels", "A, B"),
        "CO": ("scaled, gaps marked", "1 to 39"),
    }
    assert [column.missing for column in columns.columns] == [0, 10, 1]
    for column in columns.columns:
        assert Column.from_json(json.loads(json.dumps(column.to_json()))) == column
    assert columns.used == ("day", "city", "CO", "y")


def test_groups_and_times():
    days = [f"2015-01-{1 + i % 20:02}" for i in range(N)]
    cells = table(city=cycle("A", "B"), CO=RNG.normal(size=N), day=days)
    columns = infer_columns(cells, targets=["y"], group="city", time="day")
    assert columns.features == ("CO", "day")
    assert columns.left_out == (("city", "rows are kept together by it"),)
    assert any("row 21: earlier than the row before" in note for note in columns.notes)
    named = infer_columns(cells, targets=["y"], group="city", features=["city", "CO"])
    assert named.features == ("city", "CO")
    assert named.left_out == ()


@pytest.mark.parametrize(
    ("cells", "said", "kind", "classes"),
    [
        (cycle(1.5, 2, None), None, "number", ()),
        (cycle("good", "fair", None), None, "classes", ("fair", "good")),
        (cycle(True, False), None, "classes", ("FALSE", "TRUE")),
        (cycle(3, 10, 4), "class", "classes", (3, 4, 10)),
        (cycle(0.5, 1), "class", "classes", ("0.5", "1")),
        (cycle("优", "良"), "优<良<差", "ordered", ("优", "良", "差")),
        (cycle(3, 4), "3<4<5", "ordered", (3, 4, 5)),
        (cycle(0, 3), "count", "count", ()),
        (cycle("a", "b"), "category", "classes", ("a", "b")),
    ],
)
def test_tasks(cells, said, kind, classes):
    kinds = None if said is None else {"t": said}
    columns = infer_columns(table(t=cells), targets=["t"], kinds=kinds, weights={"t": 2.0})
    (task,) = columns.tasks
    assert (task.kind, task.classes, task.weight) == (kind, classes, 2.0)
    assert columns.features == ("y",)


def test_counts_are_told_by_their_tail():
    n = 400
    tail = np.where(RNG.random(n) < 0.8, 0, np.floor(RNG.pareto(1.0, n) * 10))
    cells = table_of_cells({"a": RNG.normal(size=n), "t": tail, "u": RNG.integers(0, 9, n)})
    columns = infer_columns(cells, targets=["t", "u"])
    assert [task.kind for task in columns.tasks] == ["count", "number"]
    assert any("predicted as a count" in note for note in columns.notes)
    declared = infer_columns(cells, targets=["t"], kinds={"t": "number"})
    assert declared.tasks[0].kind == "number"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": []}, "at least one name in targets"),
        ({"targets": ["t", "t"]}, "'t' is named twice among the targets"),
        ({"targets": ["q"]}, "--targets: expected names of columns, got 'q'"),
        ({"targets": ["t"], "features": ["tt", "y"]}, "got 'tt' .did you mean 't'"),
        ({"targets": ["t"], "features": ["t", "y"]}, "'t' is a target and in --features"),
        ({"targets": ["t"], "ignore": ["t"]}, "'t' is a target and in --ignore"),
        ({"targets": ["t"], "ignore": ["ty"]}, "--ignore: expected names of columns, got 'ty'"),
        ({"targets": ["t"], "kinds": {"cityy": "class"}}, "--kinds: .* .did you mean 'city'"),
        ({"targets": ["t"], "weights": {"city": 2.0}}, "--weights: expected names of targets"),
        ({"targets": ["t"], "group": "q"}, "--group: expected names of columns, got 'q'"),
        ({"targets": ["t"], "group": ""}, "--group: expected names of columns, got ''"),
        ({"targets": ["t"], "time": ""}, "--time: expected names of columns, got ''"),
        ({"targets": ["huge"]}, "column 'huge', row 1: 1e.200 cannot be squared"),
        ({"targets": ["t"], "time": "city"}, "expected dates or numbers that say when a row was"),
        ({"targets": ["t"], "time": "gaps"}, "row 3: expected a date or number, as rows are put"),
        ({"targets": ["empty"]}, "column 'empty': expected a target with known labels"),
        ({"targets": ["day"]}, "expected a target of numbers or classes, got dates"),
        ({"targets": ["one"]}, "expected at least two classes, got only 'x'"),
        ({"targets": ["ids"]}, "expected classes that come back, got 40 different texts"),
        (
            {"targets": ["city"], "kinds": {"city": "A<B"}},
            "expected one of the levels A < B",
        ),
        (
            {"targets": ["gaps"], "kinds": {"gaps": "count"}},
            "row 2: .*of at least 0 in a count",
        ),
        ({"targets": ["t"], "features": ["empty"]}, "expected a column to predict from, got none"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    cells = table(
        t=RNG.normal(size=N),
        city=cycle("A", "B", "C"),
        gaps=cycle(1, -1, None),
        empty=[None] * N,
        huge=cycle(1e200, 2),
        one=["x"] * N,
        ids=[f"id {i}" for i in range(N)],
        day=cycle("2015-01-01", "2015-01-02"),
    )
    with pytest.raises(TableError, match=message):
        infer_columns(cells, **options)


def test_a_feature_of_an_order_holds_no_other_level():
    with pytest.raises(TableError, match="row 3: expected one of the levels a < b, got 'c'"):
        kind_of(["a", "b", *["c"] * (N - 2)], kinds={"a": "a<b"})


def test_columns_with_one_header_cannot_be_used(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,b,c\n" + "1,2,3,4\n2,3,4,6\n" * 9, encoding="utf-8")
    cells = read_cells(path)
    columns = infer_columns(cells, targets=["c"])
    assert columns.left_out == (("b", "its header stands over the columns B and C"),)
    (note,) = [note for note in columns.notes if "one name" in note]
    assert note.endswith(
        "columns of one name are all left out ('b': its header stands over the columns B and C); "
        "rename all but one of them to use it"
    )
    assert not any(
        "one name" in note for note in infer_columns(cells, targets=["c"], features=["a"]).notes
    )
    with pytest.raises(TableError, match="--targets: the column 'b' cannot be used: its header"):
        infer_columns(cells, targets=["b"])


def notes_of(targets, **columns):
    return "\n".join(infer_columns(table_of_cells(columns), targets=targets).notes)


def test_notes():
    x = RNG.normal(size=N)
    rare = ["x", "x", *cycle("y", "z")[2:]]
    said = notes_of(["t", "c", "flat"], a=x, No=list(range(N)), t=cycle(0, 1), c=rare, flat=[2] * N)
    assert "column 'No': numbers the rows" in said
    assert "column 't': holds 0 and 1 only, and is predicted as a number; --kinds t=class" in said
    assert "column 'c': 2 rows of class 'x': too few" in said
    assert "column 'flat': 2 in all rows with a label: nothing to learn" in said
    assert "repeat" not in said
    again = notes_of(["t"], a=np.concatenate([x, x[:3]]), t=np.concatenate([x, x[:3]]) ** 2)
    assert "3 of 43 rows repeat an earlier one" in again


def test_that_classes_may_have_an_order_is_told_once():
    cells = table(a=cycle("x", "y", "z"), b=cycle("p", "q", "r"), two=cycle("no", "yes"))

    def told(**kinds):
        columns = infer_columns(cells, targets=["a", "b", "two"], features=["y"], kinds=kinds)
        return [note for note in columns.notes if "order" in note]

    (note,) = told()
    assert note == (
        "the table: classes of 'a', 'b' are taken for ones without an order; if they have one, "
        "--kinds 'a=low<mid<high' says it, lowest first"
    )
    assert len(told(a="x<y<z")) == 1
    assert told(a="x<y<z", b="class") == []


def test_few_labels_and_names_with_some_repeats_are_told():
    a = list(range(60))
    few = notes_of(
        ["t", "u"], a=a, t=[1.5 * v if v < 49 else None for v in a], u=[v % 7 for v in a]
    )
    assert "column 't': 49 known labels: few to learn from" in few
    assert "column 'u': 60 known" not in few
    names = [f"id {v - v % 10 if v % 10 == 1 else v}" for v in a]  # a tenth repeats another
    columns = infer_columns(table_of_cells({"a": a, "name": names, "t": a}), targets=["t"])
    assert list(columns.features) == ["a"]


def test_whole_numbers_from_0_on_may_be_counts():
    calls = RNG.poisson(2.0, 80)
    said = notes_of(["calls"], calls=calls, x=range(80))
    assert "column 'calls': holds whole numbers from 0 on; if it counts something, --kinds" in said
    assert "if it counts" not in notes_of(["calls"], calls=calls + 1, x=range(80))
    assert "if it counts" not in notes_of(["calls"], calls=calls + 0.5, x=range(80))


def test_columns_that_tell_a_target():
    n = 600
    a, b, c = (RNG.gamma(2, 20, n) for _ in range(3))
    index = np.maximum.reduce([1.3 * a, b, 0.8 * c])
    level = np.digitize(index, [30, 60, 100])
    noisy = a + 0.5 * a.std() * RNG.normal(size=n)

    def told(x, y, ordered=True):
        return tells(Values(True, x), Values(ordered, y))

    assert told(index, a)
    assert told(a, index)
    assert told(index, level, ordered=False)
    assert told(a**2, a)
    assert not told(noisy, a)
    assert not told(b, a)
    assert not told(a, level, ordered=False)
    assert not told(a, np.where(RNG.random(n) < 0.9, 0, b))  # mostly zeros
    few = np.digitize(a, np.quantile(a, [0.3, 0.7])).astype(float)  # levels: R² of 0.5 with noise
    assert not told(few, a + a.std() * RNG.normal(size=n))
    assert not told(a + a.std() * RNG.normal(size=n), few)
    assert tells(Values(False, level), Values(False, (level > 1).astype(float)))
    assert tells(Values(False, level), Values(True, level * 3.0))
    assert not tells(Values(False, level), Values(False, RNG.integers(0, 2, n).astype(float)))
    said = notes_of(["a", "level"], AQI=index, b=b, a=a, level=[f"L{i}" for i in level])
    assert "column 'AQI': nearly tells 'a', 'level' by itself" in said
    assert "column 'b'" not in said


def test_a_category_that_may_have_been_meant_for_numbers():
    mixed = table(t=RNG.normal(size=N), a=cycle(*["<10", "<12"] * 4, 12.5, 13, 14.5, 17, 21))
    (note,) = [n for n in infer_columns(mixed, targets=["t"]).notes if "category" in n]
    assert "'a': taken for a category, but 5 of its 7 levels are numbers" in note
    assert "such as '<1" in note
    grades = table(t=RNG.normal(size=N), a=cycle("1", "2", "A", "B"))
    assert not any("category" in n for n in infer_columns(grades, targets=["t"]).notes)
