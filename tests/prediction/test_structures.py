"""Which targets share a network: what is tried, when groups are clear, and what is best."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from made_decision import made_decision
from msgspec import convert

from jaxmtl.data import Data, infer_columns, table_of_cells
from jaxmtl.methods import find_method
from jaxmtl.methods.table_networks import TableNetworks
from jaxmtl.prediction import families, structures
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.gains import overall_gain
from jaxmtl.prediction.structure_record import StructureRecord, check_record, decision_record
from jaxmtl.prediction.structures import (
    clear_groups,
    decide,
    families_with,
    network_of,
    relation_of,
)
from jaxmtl.prediction.table_run import write_table_run
from jaxmtl.prediction.time_plan import TimePlan
from jaxmtl.report import load_run, summarize
from jaxmtl.structure import grouped, read_structure, separate, shared, to_json
from jaxmtl.tasks import number_tasks

NAMES = ("mean", "linear", "network", "residual", "separate")
TASKS = number_tasks("abc")


def blocks(sizes, within=0.9, between=0.1):
    number = np.repeat(np.arange(len(sizes)), sizes)
    return np.where(number[:, None] == number, within, between)


@pytest.mark.parametrize(
    ("structure", "found"),
    [
        ("auto", (*NAMES, "groups")),
        ("shared", ("mean", "linear", "network", "residual")),
        ("separate", ("mean", "linear", "separate")),
        (shared("abc", (8,)), ("mean", "linear", "network")),
        (separate("abc", (8,)), ("mean", "linear", "separate")),
        (grouped("abc", (8,), ["ab", "c"]), ("mean", "linear", "groups")),
    ],
)
def test_families_are_those_that_go_with_what_was_asked_for(structure, found):
    assert families_with(NAMES, structure, TASKS) == found


def test_groups_are_tried_of_three_targets_and_beside_both_other_ways_only():
    assert families_with(NAMES, "auto", number_tasks("ab")) == NAMES
    assert families_with(("linear", "network"), "auto", TASKS) == ("linear", "network")
    assert families_with(("linear",), "auto", TASKS) == ("linear",)
    for structure in ("shared", shared("abc", (8,))):
        with pytest.raises(ValueError, match="--structure: expected networks among the families"):
            families_with(("mean", "linear"), structure, TASKS)
        with pytest.raises(ValueError, match="expected several targets, which may share, got one"):
            families_with(NAMES, structure, number_tasks("a"))


def test_groups_are_found_where_they_are_clear():
    names = [f"t{number}" for number in range(7)]
    signs = np.where(np.arange(7) % 2, -1, 1)
    clear = blocks([3, 2, 2]) * signs * signs[:, None]
    assert clear_groups(clear, names) == (("t0", "t1", "t2"), ("t3", "t4"), ("t5", "t6"))
    for dim in (blocks([4, 3], 0.5, 0.2), np.full((7, 7), 0.9), np.eye(7), np.full((7, 7), np.nan)):
        assert clear_groups(dim, names) is None
    alone = blocks([2, 1])
    assert clear_groups(alone, list("abc")) == (("a", "b"), ("c",))


def test_a_network_a_group_has_the_sharing_of_the_targets_in_their_order():
    found = network_of("groups", "auto", TASKS, blocks([2, 1])[[0, 2, 1]][:, [0, 2, 1]])
    assert found.sharing == (0, 1, 0)
    assert network_of("groups", "auto", TASKS, np.eye(3)) is None
    assert network_of("groups", "auto", TASKS, None) is None
    assert network_of("network", "auto", TASKS, None) is None
    asked = grouped("cab", (9, 7), ["ca", "b"])
    found = network_of("groups", asked, TASKS, None)
    assert (found.sharing, found.hidden) == ((0, 1, 0), (9, 7))
    assert network_of("separate", separate("cab", (9,)), TASKS, None).sharing == "separate"


def test_relations_are_of_predictions_and_unknown_for_others():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 1))
    held = np.concatenate([base, -base, rng.normal(size=(60, 1))], axis=1)
    found = relation_of(TASKS, held, held, np.ones((60, 3), bool))
    assert found[0, 1] == pytest.approx(-1)
    assert abs(found[0, 2]) < 0.5
    assert clear_groups(found, list("abc")) == (("a", "b"), ("c",))


def test_the_least_mean_error_on_rows_held_out_decides_and_is_compared_with_the_others():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(80, 3)) * [1, 10, 100]
    known = rng.random((80, 3)) > 0.2
    data = Data(x=y, y=y, known=known, tasks=TASKS)
    noise = rng.normal(size=y.shape) * [1, 10, 100]
    bags = {"network": y + noise, "separate": y + 0.5 * noise}
    rows = np.arange(80)
    by = SimpleNamespace(
        fitted={name: SimpleNamespace(parameters=np.array([7])) for name in bags},
        methods={
            "network": TableNetworks(hidden=(8,)),
            "separate": TableNetworks(sharing="separate", hidden=(8,)),
        },
        seconds=dict.fromkeys(bags, 1.0),
    )
    relative = {"network": np.array([0.2, 0.5, 0.5]), "separate": np.array([0.3, 0.3, np.nan])}
    found = decide("auto", by, relative, bags, np.zeros(3), data, rows, rows % 20)
    assert found.kept == "separate"
    assert found.structure == separate("abc", (8,))
    assert [gain.over for gain in found.gains] == ["network"]
    np.testing.assert_allclose(found.gains[0].percent, -75, atol=1e-9)
    assert found.overall[0].percent == pytest.approx(-75)
    assert found.overall[0].low < -74 < found.overall[0].high + 2
    alone = dataclasses.replace(data, tasks=TASKS[:1], y=y[:, :1], known=known[:, :1])
    assert decide("auto", by, relative, bags, np.zeros(1), alone, rows, rows) is None


def test_no_target_decides_by_its_unit():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(60, 2)) * [1, 1000]
    data = Data(x=y, y=y, known=np.ones(y.shape, bool), tasks=number_tasks("ab"))
    small, large = rng.normal(size=(60, 1)), 1000 * rng.normal(size=(60, 1))
    one, other = y + np.hstack([small, large]), y + np.hstack([2 * small, large])
    rows, base = np.arange(60), (y**2).mean(axis=0)
    found = overall_gain("network", one, other, np.zeros(2), data, rows, rows % 20)
    own, more = (small**2).mean() / base[0], (large**2).mean() / base[1]
    assert found.percent == pytest.approx(100 * ((own + more) / (4 * own + more) - 1))


def test_a_record_is_read_again_and_refused_for_other_targets():
    record = decision_record(made_decision("abc", "groups"), list("abc"))
    found = convert(record, StructureRecord)
    check_record(found, list("abc"))
    with pytest.raises(ValueError, match="expected the targets of the run"):
        check_record(found, list("abd"))
    found.kept = "other"
    of_others = record | {"structure": to_json(shared("abd", (2,)))}
    with pytest.raises(ValueError, match="as its tasks"):
        check_record(convert(of_others, StructureRecord), list("abc"))
    with pytest.raises(ValueError, match="expected 'other' among the tried"):
        check_record(found, list("abc"))
    assert decision_record(None, ["a"]) is None


def test_groups_cost_the_other_families_no_time_until_they_are_clear(monkeypatch):
    seen, shares = [], []

    class Watched(TimePlan):
        def __init__(self, costs, *args, **options):
            seen.append(list(costs))
            super().__init__(costs, *args, **options)

        def add(self, name, cost):
            shares.append(name)
            super().add(name, cost)

    stands_for = {"network": "linear", "separate": "mean"}
    monkeypatch.setattr(families, "TimePlan", Watched)
    monkeypatch.setattr(families, "find_method", lambda name: find_method(stands_for[name]))
    own = network_of

    def small(name, *args):
        found = own(name, *args)
        return found if found is None else find_method("linear")

    monkeypatch.setattr(families, "network_of", small)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    for columns, clear in (([0, 0, 1], True), ([0, 0, 0], False)):
        cells = {"x0": x[:, 0], "x1": x[:, 1]}
        cells |= {f"y{k}": x[:, column] for k, column in enumerate(columns)}
        table = table_of_cells({name: values.tolist() for name, values in cells.items()})
        inferred = infer_columns(table, features=["x0", "x1"], targets=["y0", "y1", "y2"])
        shares.clear()
        plan, told = Plan(families=("network", "separate"), folds=3), []
        found = fit_table(table, inferred, plan, on_stage=told.append)
        names = [line.name for line in found.leaderboard[:-1]]
        assert seen[-1] == ["network", "separate"]
        assert (names[2:], shares) == (["groups"] * clear, ["groups"] * clear)
        assert found.structure is None  # none of these is a network
        assert [stage.number for stage in told] == list(range(len(names) + 1))
        assert all(stage.number < stage.total for stage in told)
        assert told[-1].total == len(names) + 1


def test_what_is_asked_for_is_trained_however_many_networks_that_are(monkeypatch):
    stands_for = {"network": "linear", "separate": "linear"}
    monkeypatch.setattr(families, "find_method", lambda name: find_method(stands_for[name]))
    monkeypatch.setattr("jaxmtl.methods.registry.MOST_OF_SEPARATE", 1)
    x = np.random.default_rng(0).normal(size=(40, 2))
    cells = {"x": x[:, 0].tolist(), "a": x[:, 0].tolist(), "b": x[:, 1].tolist()}
    table = table_of_cells(cells)
    inferred = infer_columns(table, targets=["a", "b"])
    for structure, names in (("auto", ["network"]), ("separate", ["separate"])):
        plan = Plan(families=("network", "separate"), folds=2, structure=structure)
        assert [line.name for line in fit_table(table, inferred, plan).leaderboard] == names


@pytest.mark.slow
def test_targets_in_two_groups_are_found_learned_saved_and_said(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4))
    first, second = np.tanh(2 * x[:, 0]), x[:, 1] * np.sign(x[:, 2])
    columns = [first, -first, second, 2 * second]
    cells = {f"x{j}": x[:, j].tolist() for j in range(4)}
    cells |= {f"y{k}": (y + 0.1 * rng.normal(size=90)).tolist() for k, y in enumerate(columns)}
    table = table_of_cells(cells)
    inferred = infer_columns(table, targets=[f"y{k}" for k in range(4)])
    monkeypatch.setattr(structures, "HIDDEN_OF_GROUPS", (16,))
    plan = Plan(families=("mean", "network", "separate"), folds=3)
    found = fit_table(table, inferred, plan)
    assert found.leaderboard[-2].name == "groups"
    groups = {one.name: one.groups for one in found.structure.tried}["groups"]
    assert groups == (("y0", "y1"), ("y2", "y3"))
    write_table_run(tmp_path, found, table)
    run = load_run(tmp_path)
    assert "in groups" in summarize(run)
    assert read_structure(tmp_path / "structure.json") == found.structure.structure
    again = Plan(families=("mean", "network"), folds=3, structure=grouped(
        ["y3", "y2", "y1", "y0"], (8,), [["y2", "y3"], ["y0", "y1"]]))  # fmt: skip
    asked = fit_table(table, inferred, again)
    assert [line.name for line in asked.leaderboard] == ["mean", "groups", "mixture"]
    assert asked.structure.structure.layers[0].groups == (("y0", "y1"), ("y2", "y3"))
