"""Tables of every kind, from the cells to data, as a user has them."""

import datetime

import numpy as np
import pytest

from jaxmtl._options import check_all
from jaxmtl.data import (
    TableError,
    data_of_table,
    fit_coding,
    folds_of_table,
    held_out,
    infer_columns,
    kfold,
    labelled_rows,
    read_cells,
    repeats_of,
    strata_of,
    table_of_cells,
)
from jaxmtl.data.options import ColumnOptions


def made(table, **options):
    """Data of a table, after what must hold of all of them."""
    columns = infer_columns(table, **options)
    coding = fit_coding(table, columns, labelled_rows(table, columns))
    data, rows, notes = data_of_table(table, columns, coding)
    assert np.isfinite(data.x).all()
    # Scaled by the median and the quartiles: half of the rows within 1, however far the others.
    numbers = np.abs(data.x[:, [p.role == "number" for p in data.parts]])
    assert (np.median(numbers, axis=0) <= 1).all()
    assert data.known.any(axis=1).all()
    assert data.x.shape == (len(rows), len(coding.features))
    assert coding.encode(table.some(rows)).notes == ()
    again = type(coding).from_json(coding.to_json())
    assert np.array_equal(again.encode(table).x[rows], data.x)
    for note in (*columns.notes, *notes):
        assert "\n" not in note
    return columns, coding, data


def test_cities_by_day_with_gaps(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["城市,日期,SO2 (µg/m³),CO,PM2.5,NO2,质量等级"]
    for day in range(60):
        date = datetime.date(2015, 1, 1) + datetime.timedelta(days=day)
        for city in range(26):
            so2, co = rng.gamma(2, 10, 2).round(1)
            pm = round(so2 + 10 * rng.random() + city, 1)
            cells = [f"城市{city}", date.isoformat(), so2, co, pm, round(co * 3, 1)]
            cells = [*cells[:2], *("" if rng.random() < 0.3 else cell for cell in cells[2:])]
            lines.append(",".join(map(str, (*cells, "优" if pm < 40 else "良"))))
    path = tmp_path / "days.csv"
    path.write_text("\n".join(lines), encoding="gb18030")
    table = read_cells(path, expected=["PM2.5", "NO2"])
    columns, coding, data = made(table, targets=["PM2.5", "NO2"], ignore=["质量等级"])
    assert [(column.name, column.kind) for column in columns.columns] == [
        ("城市", "category"), ("日期", "date"), ("SO2 (µg/m³)", "number"), ("CO", "number")
    ]  # fmt: skip
    assert len(table) == 26 * 60
    assert 0.08 < 1 - len(data.x) / len(table) < 0.1 or len(data.x) > 0.85 * len(table)
    assert any("'CO'" in note and "nearly tells 'NO2'" in note for note in columns.notes)
    assert not any("'SO2 (µg/m³)'" in note for note in columns.notes)
    assert len(np.unique(strata_of(data))) == 3


def test_twenty_rows():
    rng = np.random.default_rng(1)
    cells = {
        "name": [f"plot {i}" for i in range(20)],
        "soil": ["clay", "sand"] * 10,
        "rain": rng.normal(size=20),
        "yield": rng.normal(size=20),
        "good": [i % 7 != 0 for i in range(20)],
    }
    columns, _, data = made(table_of_cells(cells), targets=["yield", "good"])
    assert columns.left_out == (("name", "its 20 texts are all different"),)
    assert data.tasks[1].classes == ("FALSE", "TRUE")
    assert any("3 rows of class 'FALSE'" in note for note in columns.notes)
    assert all(data.y[fold.test, 1].min() == 0 for fold in kfold(20, 3, strata=strata_of(data)))


def test_more_columns_than_rows():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 411))
    cells = {f"x{j}": x[:, j] for j in range(411)} | {"x5": np.full(60, 2.0)}
    cells |= {f"y{j}": x[:, 10:20].sum(axis=1) + rng.normal(size=60) for j in range(16)}
    cells["y3"] = -(x[:, 7] ** 3)
    columns, _, data = made(table_of_cells(cells), targets=[f"y{j}" for j in range(16)])
    assert data.x.shape == (60, 410)
    assert columns.left_out == (("x5", "holds 2 in all rows"),)
    (note,) = columns.notes  # found among 6560 pairs
    assert "column 'x7': nearly tells 'y3' by itself" in note


def test_targets_that_are_mostly_zero_and_labels_that_are_rare():
    rng = np.random.default_rng(3)
    n = 300
    flares = np.where(rng.random(n) < 0.85, 0, rng.integers(1, 5, n))
    cells = {
        "a": rng.integers(1, 4, n),
        "flares": flares,
        "rare": np.where(rng.random(n) < 0.1, rng.normal(size=n), np.nan),
        "kind": ["odd" if i < 3 else "usual" for i in range(n)],
    }
    columns, _, data = made(
        table_of_cells(cells), targets=["flares", "rare", "kind"], kinds={"a": "category"}
    )
    assert [task.kind for task in data.tasks] == ["number", "number", "classes"]
    assert 10 < data.known[:, 1].sum() < 60
    assert any("3 rows of class 'odd'" in note for note in columns.notes)
    only, _, data = made(table_of_cells(cells), targets=["rare"], kinds={"a": "category"})
    assert len(data.x) == np.isfinite(cells["rare"]).sum()
    assert only.features == ("a", "flares", "kind")


def test_repeated_rows_can_stay_together():
    rng = np.random.default_rng(4)
    a, y = rng.normal(size=(2, 50))
    table = table_of_cells({"a": np.tile(a, 2), "y": np.tile(y, 2)})
    columns, _, _ = made(table, targets=["y"])
    assert any("50 of 100 rows repeat an earlier one" in note for note in columns.notes)
    assert repeats_of(table, columns).tolist() == [*range(50), *range(50)]


def test_rows_are_divided_as_the_columns_ask_for_it():
    rng = np.random.default_rng(5)
    n = 60
    order = rng.permutation(n)
    cells = {
        "day": [f"2015-{1 + i // 28:02}-{1 + i % 28:02}" for i in order // 2],
        "city": [f"C{i % 7}" for i in range(n)],
        "a": np.round(rng.normal(size=n), 2),
        "y": [None if i % 10 == 3 else float(i) for i in range(n)],
    }
    cells["a"][11] = cells["a"][4]
    table = table_of_cells(cells)
    for named in ({"time": "day"}, {"group": "city"}, {}):
        columns = infer_columns(table, targets=["y"], **named)
        made = data_of_table(table, columns, fit_coding(table, columns))
        test = held_out(table, columns, made, test=0.25)
        folds = folds_of_table(table, columns, made, 3, among=test.train)
        assert folds.exchangeable == (named == {})
        whole = np.array(cells[next(iter(named.values()))] if named else np.arange(n))[made.rows]
        for fold in (test, *folds):
            assert len(fold.train) > len(fold.test) > 0
            assert not set(whole[fold.train]) & set(whole[fold.test])
        assert sorted(np.concatenate([fold.test for fold in folds])) == test.train.tolist()
        if "time" in named:
            assert max(whole[test.train]) < min(whole[test.test])
    one_day = table_of_cells({**cells, "day": ["2015-01-01"] * n})
    columns = infer_columns(one_day, targets=["y"], time="day")
    made = data_of_table(one_day, columns, fit_coding(one_day, columns))
    with pytest.raises(TableError, match="expected rows to learn from before those to test on"):
        held_out(one_day, columns, made)


@pytest.mark.parametrize(
    ("name", "codes"), [("nanjing_2013_2017", ()), ("tianjin_2014_2022", ("0",))]
)
def test_real_workbooks(shared_data, name, codes):
    targets = ["PM2.5", "O3_8h", "质量等级"]
    table = read_cells(shared_data / f"{name}.xlsx", expected=targets, missing_values=codes)
    kinds = {"质量等级": "优<良<轻度污染<中度污染<重度污染<严重污染<无"}
    columns, _, data = made(table, targets=targets, kinds=kinds)
    assert [column.kind for column in columns.columns] == ["date", *["number"] * 5]
    assert columns.columns[0].parts == ("year", "season", "weekday")
    assert len(data.x) == len(table)
    # The index is computed from the pollutants; of no other column is that true.
    told = [note for note in columns.notes if "nearly tells" in note]
    assert len(told) == 1
    assert "column 'AQI'" in told[0]
    assert "'PM2.5'" in told[0]
    assert "'质量等级'" in told[0]


def test_options_are_checked_as_texts():
    options = ColumnOptions(kinds="年份=category,等级=优<良", weights="PM2.5=2", ignore=("a",))
    check_all(options)
    assert options.column_kinds["等级"].levels == ("优", "良")
    assert options.task_weights == {"PM2.5": 2.0}
    for wrong in (ColumnOptions(kinds="a=clas"), ColumnOptions(weights="a=0")):
        with pytest.raises(ValueError, match="^--(kinds|weights): expected"):
            check_all(wrong)
