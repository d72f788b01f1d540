"""A fit from a table that is broken off goes on with what its families had learned."""

import dataclasses

import numpy as np
import pytest
from some_cases import some

from jaxmtl.data import Data, Folds, SplitIndices, infer_columns, table_of_cells
from jaxmtl.files import FileError
from jaxmtl.files.drafts import draft_of
from jaxmtl.methods import Work, find_method
from jaxmtl.methods.table_networks import TableNetworks
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.kept import Kept, kept_in, names_kept, remove_kept
from jaxmtl.tasks import number_tasks
from jaxmtl.training.driver import members

FAMILIES = ("mean", "linear", "boosted")


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=60)
    return {"CO": x.tolist(), "O3": (x + 0.1 * rng.normal(size=60)).tolist(), "k": list("ab") * 30}


def learn(cells, folder, on_stage=None, families=FAMILIES, **plan):
    table = table_of_cells(cells)
    columns = infer_columns(table, targets=["O3", "k"])
    plan = Plan(families=families, folds=3, **plan)
    return fit_table(table, columns, plan, work=Work(checkpoint=folder), on_stage=on_stage)


def stop_at(name, share=0.0):
    def on_stage(stage):
        if stage.name == name and stage.share >= share:
            raise KeyboardInterrupt

    return on_stage


def assert_same(found, expected):
    np.testing.assert_array_equal(found.held, expected.held)
    np.testing.assert_array_equal(found.weights, expected.weights)
    for mine, theirs in zip(found.leaderboard, expected.leaderboard, strict=True):
        assert mine.scores.by_task == theirs.scores.by_task
    x = np.linspace(0, 1, 7)[:, None]
    np.testing.assert_array_equal(found.predictor.outputs(x), expected.predictor.outputs(x))


@pytest.fixture(scope="module")
def whole(cells):
    return learn(cells, None)


@pytest.fixture
def broken_off(cells, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        learn(cells, tmp_path / "kept", stop_at("boosted"))
    return tmp_path / "kept"


def test_what_is_through_is_not_learned_again(cells, whole, broken_off, monkeypatch):
    assert [name.partition("-")[0] for name in names_kept(broken_off)] == ["linear", "mean"]
    asked = []

    def find(name):
        asked.append(name)
        return find_method(name)

    seen = []
    monkeypatch.setattr("jaxmtl.prediction.families.find_method", find)
    found = learn(cells, broken_off, lambda stage: seen.append(stage.name))
    assert list(dict.fromkeys(seen)) == ["boosted", "last"]
    assert_same(found, whole)
    assert found.notes[-1] == "kept from a fit that was broken off: the mean, a straight line"
    remove_kept(broken_off)
    assert not broken_off.exists()


def test_of_a_target_that_nothing_tells_an_infinite_penalty_is_kept(tmp_path):
    data = Data(
        x=np.arange(8.0)[:, None], y=np.ones((8, 1)), known=np.ones((8, 1), bool),
        tasks=number_tasks(["O3"]),
    )  # fmt: skip
    folds = Folds(parts=(SplitIndices(np.arange(6), np.zeros(0, int), np.arange(6, 8)),))
    fitted = find_method("linear").fit(data, folds, None, Work())
    assert fitted.chosen == ({"penalty": [np.inf]},)
    Kept(tmp_path, data, folds, seed=0).save("linear", fitted, 0.5)
    again, seconds = Kept(tmp_path, data, folds, seed=0).load("linear")
    assert (again.chosen, again.notes, seconds) == (fitted.chosen, fitted.notes, 0.5)


@pytest.mark.parametrize("other", some(["cell", "seed", "versions", "machine"], "cell"))
def test_what_was_learned_otherwise_is_passed_over(cells, broken_off, monkeypatch, other):
    if other == "cell":
        cells = cells | {"CO": [0.5, *cells["CO"][1:]]}
    if other in ("versions", "machine"):
        monkeypatch.setattr(f"jaxmtl.prediction.kept.{other}", lambda: {"jaxmtl": "another"})
    found = learn(cells, broken_off, seed=int(other == "seed"))
    assert not any("broken off" in note for note in found.notes)


def test_what_is_cut_for_the_time_is_not_kept(cells, tmp_path, monkeypatch):
    from jaxmtl.prediction.time_plan import TimePlan

    monkeypatch.setattr(TimePlan, "share", lambda plan, name: 5.0)
    learn(cells, tmp_path / "kept", families=("mean", "linear"), seconds=600.0)
    assert not (tmp_path / "kept").exists()


def test_a_damaged_file_is_one_sentence(cells, broken_off):
    path = broken_off / names_kept(broken_off)[0]
    content = bytearray(path.read_bytes())
    content[content.index("models".encode("utf-32-le"))] ^= 255
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"linear-.*, or remove it, and it is learned anew"):
        learn(cells, broken_off)


def test_what_is_not_ours_stays_and_what_a_killed_process_left_goes(broken_off, tmp_path):
    (broken_off / "notes.txt").write_text("mine")
    remove_kept(broken_off)
    assert [path.name for path in broken_off.iterdir()] == ["notes.txt"]
    killed = tmp_path / "killed"
    killed.mkdir()
    draft_of(killed / "linear.npz").write_bytes(b"half")
    remove_kept(killed)
    assert not killed.exists()


def test_a_folder_is_of_one_process_and_stays_if_something_is_kept_in_it(broken_off, tmp_path):
    with kept_in(broken_off):
        with pytest.raises(FileError, match="another process is writing it"), kept_in(broken_off):
            pass
        assert len(names_kept(broken_off)) == 2
    assert len(names_kept(broken_off)) == 2
    # Of networks that were interrupted before there was anything to keep nothing is said.
    begun = tmp_path / "begun" / f"network-{'0' * 16}"
    with kept_in(begun.parent):
        begun.mkdir()
        (begun / "manifest.json").write_text("{}")
        assert names_kept(begun.parent) == []
    assert not begun.parent.exists()


@pytest.mark.slow
def test_a_network_goes_on_in_the_middle(cells, tmp_path, monkeypatch):
    small = TableNetworks(hidden=(8,), epochs=6)

    def find(name):
        one = find_method(name)
        return dataclasses.replace(small, name=name) if isinstance(one, TableNetworks) else one

    monkeypatch.setattr("jaxmtl.prediction.families.find_method", find)
    monkeypatch.setattr(members, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(members, "SHARE_OF_SAVING", float("inf"))
    families = ("mean", "network")
    with pytest.raises(KeyboardInterrupt):
        learn(cells, tmp_path / "kept", stop_at("network", 0.5), families)
    assert len(names_kept(tmp_path / "kept")) == 2  # the mean, and checkpoints of the network
    first = []
    found = learn(cells, tmp_path / "kept", lambda stage: first.append(stage.share), families)
    assert first[0] == 0
    assert first[1] > 0.4
    assert_same(found, learn(cells, None, families=families))
    assert all(name.endswith(".npz") for name in names_kept(tmp_path / "kept"))
