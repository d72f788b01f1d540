"""Problems of which the answer is known, and the script that decides on them."""

import json

import numpy as np
import pytest

from .load import load

problems = load("structure_problems")
script = load("which_structure")


@pytest.mark.parametrize("angle", [0, 60, 180])
def test_test_rows_are_the_functions_themselves_at_their_angle(angle):
    data = problems.dial(angle, rows=200).splits(range(6))
    assert data.train.x.shape == (6, 200, 4)
    assert data.validation.y.shape == (6, 50, 2)
    y = data.test.y
    np.testing.assert_allclose((y[..., 0] * y[..., 1]).mean(), np.cos(np.deg2rad(angle)), atol=0.15)
    noise = data.train.y.std() ** 2 - y.std() ** 2
    np.testing.assert_allclose(noise, 0.25, atol=0.15)


def test_clusters_are_one_function_each():
    problem = problems.clusters([2, 3], rows=60)
    y = problem.splits([1]).test.y[0]
    correlation = np.abs(np.corrcoef(y.T))
    np.testing.assert_allclose(correlation[:2, :2], 1, atol=1e-5)
    np.testing.assert_allclose(correlation[2:, 2:], 1, atol=1e-5)
    assert correlation[0, 2] < 0.3
    assert problem.tasks == ("g0 t0", "g0 t1", "g1 t0", "g1 t1", "g1 t2")


@pytest.mark.parametrize(
    ("name", "features", "rows"), [("measurements", 14, 569), ("pixels", 48, 1797)]
)
def test_columns_of_a_real_table_are_told_from_the_others(name, features, rows):
    problem = getattr(problems, name)()
    data = problem.splits([0, 1])
    assert len(problem.tasks) == data.test.y.shape[-1] == 16
    assert data.train.x.shape == (2, problem.rows, data.test.x.shape[-1])
    assert data.test.x.shape[-1] <= features
    assert sum(part.x.shape[1] for part in data) == rows
    both = np.concatenate([np.concatenate([part.x[0], part.y[0]], axis=1) for part in data])
    np.testing.assert_allclose(both.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(both.std(axis=0), 1, atol=1e-4)
    assert len(np.unique(both, axis=1).T) == both.shape[1]  # no target among the features


def test_units_make_no_difference_to_errors():
    one, ten = (problems.dial(90, 60, unit=unit).splits([0]) for unit in (1.0, 10.0))
    outputs = one.test.y + 0.1
    scaled = outputs * np.array([1, 10])
    np.testing.assert_allclose(
        script.errors_of(scaled, ten), script.errors_of(outputs, one), rtol=1e-4
    )


def test_pairs_are_right_where_they_are_together_as_they_should_be():
    true = {"a": 0, "b": 0, "c": 1}
    assert script.pairs_right([["a", "b"], ["c"]], true) == 1
    assert script.pairs_right([["a", "b", "c"]], true) == pytest.approx(1 / 3)


@pytest.mark.slow
def test_the_script_goes_through_all_parts(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    script.main(["--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["tables"]["dial 0, n = 40"]["starts"]["shared"] == 1
    assert set(found["regret"]) >= {"halving", "look-ahead", "two of shared x4", "separate x2"}
    assert {one["angle"] for one in found["looks"]} == {0, 180}
    assert 0 <= found["many"]["right"][0] <= 1
    assert [one["starts"]["shared"] for one in found["real"]] == [1, 1]
    for name in ("which_structure_regret.png", "which_structure_looks.png"):
        assert (tmp_path / name).stat().st_size > 5000
    assert "mean regret" in capsys.readouterr().out
