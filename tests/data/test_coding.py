"""What a model sees of a table, and that it comes back from JSON to the bit."""

import ast
import datetime
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxmtl import plain
from jaxmtl.data import (
    Coding,
    Part,
    TableError,
    data_of_table,
    fit_coding,
    infer_columns,
    labelled_rows,
    table_of_cells,
)

N = 60
RNG = np.random.default_rng(1)
DAYS = [datetime.datetime(2015, 1, 1, 5) + datetime.timedelta(days=i, hours=i) for i in range(N)]
CELLS = {
    "day": [day.isoformat() for day in DAYS],
    "city": [("A", "B", None, "C")[i % 4] for i in range(N)],
    "street": [f"S{i % 40}" if i % 7 else None for i in range(N)],
    "CO": [None if i % 10 == 0 else i % 13 + 0.5 for i in range(N)],
    "heavy": (RNG.gamma(0.3, 10, N) ** 3).tolist(),
    "flat": [None if i == 3 else 2 for i in range(N)],
    "O3": [None if i % 3 else float(i) for i in range(N)],
    "level": [None if i % 5 == 1 else ("good", "fair", "poor")[i % 3] for i in range(N)],
    "dogs": [i % 4 for i in range(N)],
}
STREETS = sorted({street for street in CELLS["street"] if street is not None})
TABLE = table_of_cells(CELLS)
COLUMNS = infer_columns(
    TABLE,
    targets=["O3", "level", "dogs"],
    kinds={"level": "good<fair<poor", "dogs": "count", "street": "category"},
)
CODING = fit_coding(TABLE, COLUMNS)


def block(column, coding=CODING, table=TABLE):
    x = coding.encode(table).x
    return x[:, [i for i, part in enumerate(coding.parts) if part.column == column]]


def changed(**columns):
    rows = len(next(iter(columns.values())))
    cells = {name: list(values)[:rows] for name, values in CELLS.items()}
    return table_of_cells({**cells, **columns})


def test_parts_say_what_each_feature_is():
    assert CODING.inputs == ("day", "city", "street", "CO", "heavy", "flat")
    assert CODING.target_names == ("O3", "level", "dogs")
    assert len(CODING.parts) == len(CODING.features) == CODING.encode(TABLE).x.shape[1]
    assert CODING.features[:4] == ("day year", "day season sine", "day season cosine", "day Monday")
    assert CODING.columns[0]["parts"] == ["year", "season", "weekday", "hour"]
    found = dict(zip(CODING.features, CODING.parts, strict=True))
    assert found["city = A"] == Part("city", "level")
    assert found["city missing"] == Part("city", "level")
    assert found["street"] == Part("street", "code", len(STREETS) + 2)
    assert found["CO"] == Part("CO", "number")
    assert found["CO missing"] == Part("CO", "level")
    assert "heavy missing" not in found


def test_numbers_are_scaled_by_the_published_rule():
    known = np.array([value for value in CELLS["CO"] if value is not None])
    low, high = np.quantile(known, [0.25, 0.75])
    z = (known - np.median(known)) / (high - low)
    x, gap = block("CO").T
    assert np.allclose(x[gap == 0], z, atol=1e-6)  # a line stays a line
    assert (x[gap == 1] == 0).all()
    assert gap.sum() == 6


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.0] * 19 + [4.0], 0.5),  # quartiles alike: 2 / (max - min)
        ([5.0] * 20, 0.0),
        ([-1e308, 1e308] * 10, 5e-309),
        ([1e-320, 0.0] * 10, 0.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 0.5),
    ],
)
def test_scales_fall_back(values, scale):
    numbers = list(range(len(values)))
    cells = table_of_cells({"a": values, "b": numbers, "y": numbers[::-1]})
    columns = infer_columns(cells, targets=["y"], features=["a", "b"])
    if scale == 0.0 and len(set(values)) == 1:
        assert columns.features == ("b",)
        return
    coding = fit_coding(cells, columns)
    assert math.isclose(coding.columns[0]["scale"], scale, rel_tol=1e-12, abs_tol=1e-323)
    x = coding.encode(cells).x
    assert np.isfinite(x).all()
    assert (np.abs(x) <= 1e15).all()


def test_a_constant_among_the_rows_learned_from_is_0():
    coding = fit_coding(TABLE, COLUMNS, np.arange(0, 2))
    assert (block("flat", coding)[:, 0] == 0).all()
    assert np.isfinite(coding.encode(TABLE).x).all()


def test_quantiles_are_those_of_a_normal_distribution():
    coding = fit_coding(TABLE, COLUMNS, scaling="quantile")
    x = block("heavy", coding)[:, 0]
    assert (np.diff(x[np.argsort(CELLS["heavy"])]) >= 0).all()
    assert abs(np.median(x)) < 0.1
    assert 0.7 < x.std() < 1.2
    assert block("CO", coding)[0].tolist() == [0.0, 1.0]  # a gap
    again = Coding.from_json(json.loads(json.dumps(coding.to_json())))
    assert np.array_equal(again.encode(TABLE).x, coding.encode(TABLE).x)


def test_categories():
    x = block("city")
    assert (x.sum(axis=1) == 1).all()
    assert x[:4].argmax(axis=1).tolist() == [0, 1, 3, 2]
    codes = block("street")[:, 0]
    assert sorted(set(codes)) == list(range(len(STREETS) + 1))  # new ones have the last
    assert (codes[::7] == len(STREETS)).all()  # a gap is a level


def test_dates():
    found = dict(zip(CODING.features, CODING.encode(TABLE).x.T, strict=True))
    assert (np.diff(found["day year"]) > 0).all()
    of_year = np.array(
        [(day - datetime.datetime(2015, 1, 1)).total_seconds() / 86400 for day in DAYS]
    )
    assert np.allclose(found["day season sine"], np.sin(2 * np.pi * of_year / 365), atol=1e-6)
    hours = np.array([day.hour for day in DAYS])
    assert np.allclose(found["day hour cosine"], np.cos(2 * np.pi * hours / 24), atol=1e-6)
    names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    week = np.stack([found[f"day {name}"] for name in names], axis=1)
    assert week.argmax(axis=1).tolist() == [day.weekday() for day in DAYS]


def test_targets():
    y, known = CODING.targets(TABLE)
    assert known.sum(axis=0).tolist() == [20, 48, 60]
    assert y[3].tolist() == [3.0, 0.0, 3.0]
    assert y[2, 1] == 2.0
    assert (y[~known] == 0).all()
    known = CODING.targets(table_of_cells({"level": ["good", "bad", None]})).known
    assert known.tolist() == [[False, True, False], [False] * 3, [False] * 3]


def test_rows_without_a_label_are_set_aside():
    some = infer_columns(TABLE, targets=["O3"], features=["CO", "city"])
    coding = fit_coding(TABLE, some)
    data, rows, notes = data_of_table(TABLE, some, coding)
    assert rows.tolist() == labelled_rows(TABLE, some).tolist() == list(range(0, N, 3))
    assert data.x.dtype == np.float32
    assert data.parts == coding.parts
    assert data.known.all()
    assert notes == ("the table, 40 rows (2, 3, 5, ...): no target is known, so set aside",)
    assert data_of_table(TABLE, COLUMNS, CODING).notes == ()


def test_predictions_in_the_words_of_the_table():
    outputs = np.array([[1.5, 0.4, 0.15, 0.45, -2.0], [2.5, 0.1, 0.2, 0.7, 3.0]])
    found = CODING.decode(outputs)
    assert found["O3"].tolist() == [1.5, 2.5]
    assert found["level"].tolist() == ["fair", "poor"]  # the one in the middle
    assert found["dogs"].tolist() == [0.0, 3.0]
    with pytest.raises(ValueError, match=r"outputs: expected shape \(rows, 5\)"):
        CODING.decode(outputs[:, 1:])


def test_rows_unlike_those_learned_from_are_counted_and_named():
    coded = CODING.encode(
        changed(
            CO=[99.0, 1.5, None],
            city=["A", "Z", None],
            street=["S1", "new", None],
            heavy=[None, 1e9, -5.0],
            day=["2015-01-02", "2021-01-02", "2015-01-02"],
        )
    )
    assert np.isfinite(coded.x).all()
    assert coded.outside_counts == {"day": 1, "CO": 1, "heavy": 2}
    assert coded.unknown_counts == {"city": 1, "street": 1}
    assert coded.missing.sum() == 4
    assert coded.row_words == [
        "heavy missing; CO outside the range learned from",
        "city, street new; heavy outside the range learned from",  # a later day is no oddity
        "city, street, CO missing; heavy outside the range learned from",
    ]
    notes = "\n".join(coded.notes)
    assert "column 'day': 1 row outside the range learned from, 2015-01-01 to" in notes
    assert "as far as 2021-01-02" in notes
    assert "column 'heavy': missing in 1 row, as in none that were learned from" in notes
    assert "as far as -5 and 1e+09" in notes
    assert "column 'city': 1 row with levels that were not learned ('Z')" in notes
    assert "column 'street': 1 row with levels that are rare or new ('new')" in notes
    x = dict(zip(CODING.features, coded.x.T, strict=True))
    assert x["street"].tolist() == [STREETS.index("S1"), len(STREETS) + 1, len(STREETS)]
    assert [x[f"city = {level}"][1] for level in "ABC"] == [0, 0, 0]
    assert CODING.encode(TABLE).notes == ()


def test_a_gap_in_a_category_without_any_is_a_new_level():
    cells = table_of_cells({"a": list("AB") * 30, "y": range(60)})
    coding = fit_coding(cells, infer_columns(cells, targets=["y"]))
    coded = coding.encode(table_of_cells({"a": [None, "B"]}))
    assert coded.x.tolist() == [[0, 0], [0, 1]]
    assert (
        "missing in 1 row, as in none that were learned from; taken as a new level"
        in coded.notes[0]
    )


def test_levels_in_an_order_have_their_rank_beside_them():
    cells = table_of_cells({"a": ["mid", "high", None, "low"] * 15, "y": range(60)})
    columns = infer_columns(cells, targets=["y"], kinds={"a": "low<mid<high<top"})
    assert columns.columns[0].made == "4 levels in their order"
    assert columns.columns[0].range_words == "low < mid < high < top"
    coding = Coding.from_json(json.loads(json.dumps(fit_coding(cells, columns).to_json())))
    levels = ("a = low", "a = mid", "a = high", "a = top")
    assert coding.features == ("a", *levels, "a missing")
    coded = coding.encode(table_of_cells({"a": ["low", "mid", "high", "top", None, "new"]}))
    ranks = np.float32([-1, -1 / 3, 1 / 3, 1, 0, 0])
    beside = np.eye(6, dtype=np.float32)[:, :5]
    np.testing.assert_array_equal(coded.x, np.column_stack([ranks, beside]))
    assert coded.row_words[3] == ""  # a level that was named, if in no row
    assert "levels that were not learned ('new')" in coded.notes[0]
    other = coding.encode(table_of_cells({"a": ["Low", "mod"]})).notes[0]
    assert "not learned ('Low' (did you mean 'low'?), 'mod')" in other
    whole = table_of_cells({"a": ["low", "top"] * 30, "y": range(60)})
    coding = fit_coding(whole, infer_columns(whole, targets=["y"], kinds={"a": "low<mid<top"}))
    coded = coding.encode(table_of_cells({"a": [None, "mid"]}))
    assert coded.x.tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]
    assert "taken as the middle of the others" in coded.notes[0]


def test_levels_are_the_same_however_they_are_stored():
    cells = [2015, 2015.0, "2015", " 2015 ", "2015.0"]
    assert {plain.level_text(cell) for cell in cells} == {"2015"}
    assert {plain.level_text(cell) for cell in (True, "true", "TRUE", np.True_)} == {"TRUE"}
    for cell in ("007", "1e5", "x", "9" * 5000):
        assert plain.level_text(cell) == cell
    assert plain.level_text(2.5) == plain.level_text("2.50") == "2.5"
    assert [plain.level_text(cell) for cell in (None, "", float("nan"))] == [None] * 3


def test_many_levels_are_merged():
    n = 3000
    cells = table_of_cells({"a": [f"L{min(i, 2999 - i)}" for i in range(n)], "y": range(n)})
    columns = infer_columns(cells, targets=["y"])
    coding = fit_coding(cells, columns)
    assert coding.parts == (Part("a", "code", 1002),)
    assert coding.encode(cells).unknown.sum() == 1000


def test_the_coding_sees_no_target():
    other = table_of_cells({**CELLS, "O3": RNG.normal(size=N), "dogs": [7] * N})
    assert fit_coding(other, COLUMNS).to_json() == CODING.to_json()


def test_what_is_not_there_or_not_of_its_kind_is_refused():
    with pytest.raises(TableError, match="got none called 'day', 'street'"):
        CODING.encode(table_of_cells({"city": ["A"], "CO": [1], "heavy": [1], "flat": [1]}))
    with pytest.raises(TableError, match="column 'CO' .*row 1: expected a number"):
        CODING.encode(changed(CO=["x"]))
    empty = table_of_cells({"CO": [1.0, 2.0], "O3": [None, None]})
    with pytest.raises(TableError, match="expected a row with a known target"):
        labelled_rows(empty, COLUMNS)


def test_json_gives_the_same_bits():
    saved = json.loads(json.dumps(CODING.to_json()))
    again = Coding.from_json(saved)
    assert again.to_json() == CODING.to_json()
    assert again.tasks == CODING.tasks
    assert np.array_equal(again.encode(TABLE).x, CODING.encode(TABLE).x)


def put(path, value):
    def change(saved):
        *way, last = path
        for step in way:
            saved = saved[step]
        saved[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put(["form"], 1),
        put(["form"], True),
        put(["columns"], []),
        put(["columns"], {}),
        put(["columns", 0], []),
        put(["columns", 3, "kind"], "text"),
        put(["columns", 3, "kind"], ["number"]),
        put(["columns", 3, "scale"], "1"),
        put(["columns", 3, "scale"], math.nan),
        put(["columns", 3, "missing"], 1),
        put(["columns", 3, "extra"], 1),
        put(["columns", 3, "name"], "day"),
        put(["columns", 3, "grid"], [[0.0, 0.0], [1.0, 2.0]]),
        put(["columns", 3, "grid"], [[0.0], [1.0, 2.0]]),
        put(["columns", 3, "grid"], [1.0, 2.0]),
        put(["columns", 1, "levels"], ["A", "A"]),
        put(["columns", 1, "levels"], [1]),
        put(["columns", 1, "coded"], "hashed"),
        put(["columns", 0, "parts"], ["minute"]),
        put(["columns", 0, "parts"], [["year"]]),
        put(["columns", 0, "order"], "dym"),
        put(["columns", 0, "low"], None),
        put(["tasks"], []),
        put(["tasks", 0], {}),
    ],
)
def test_another_coding_is_refused_in_one_sentence(change):
    saved = json.loads(json.dumps(CODING.to_json()))
    change(saved)
    with pytest.raises(
        ValueError, match=r"^(coding|task)\b[^\n]*: expected [^\n]*, got "
    ) as caught:
        Coding.from_json(saved)
    assert len(str(caught.value)) < 200


def test_the_plain_folder_imports_numpy_and_itself_alone():
    for path in Path(plain.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                top = name.partition(".")[0]
                assert top == "numpy" or top in sys.stdlib_module_names, (path.name, name)


def test_values_as_a_program_has_them_are_coded_alike():
    values = {
        "day": DAYS,
        "city": CELLS["city"],
        "street": CELLS["street"],
        "CO": CELLS["CO"],
        "heavy": np.array(CELLS["heavy"]),
        "flat": [None if value is None else float(value) for value in CELLS["flat"]],
    }
    coding = json.loads(json.dumps(CODING.to_json()))
    found = plain.encode(coding, values)
    assert np.array_equal(found.x, CODING.encode(TABLE).x)
    assert [tuple(part[:3]) for part in plain.parts_of(coding)] == list(CODING.parts)
    for name, bad in (("CO", ["x"]), ("CO", [math.inf]), ("day", ["soon"])):
        with pytest.raises(ValueError, match=f"column '{name}': expected"):
            plain.encode(coding, {**values, name: bad * N})
    with pytest.raises(ValueError, match="expected 'day' among them"):
        plain.encode(coding, {"CO": [1.0]})
