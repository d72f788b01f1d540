"""Arms of one's own: under their given names in tables, sentences and checkpoints."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from quick import QUICK

import jaxmtl
from jaxmtl import aggregation as ag
from jaxmtl.comparison import Protocol, compare
from jaxmtl.comparison.contestants import ARMS_FILE, KEPT_FILE, contestants
from jaxmtl.comparison.kept_fits import mark_of
from jaxmtl.comparison.train import _rows
from jaxmtl.data import Table, prepare, random_split
from jaxmtl.files import FileError
from jaxmtl.methods import Work, find_method

PROTOCOL = Protocol(phases=[jaxmtl.Phase(3, learning_rate=0.05)], batch_size=8)
SEEDS = 2


class Normalized(nn.Module):
    width: int = 5

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(self.width)(x))
        return nn.Dense(2)(nn.tanh(x))


class Twice:
    """A method of one's own: a ridge whose scores are known."""

    description = "half the error of a ridge"

    def fit(self, data, folds, keys, work):
        fitted = find_method("ridge").fit(data, folds, keys, work)
        return dataclasses.replace(fitted, scores=fitted.scores / 2)


def make_datasets(seeds=SEEDS):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(40, 3))
    y = np.stack([x.mean(axis=1), x[:, 0] * x[:, 1]], axis=1)
    table = Table(
        features=("a", "b", "c"), targets=("u", "v"), x=x, y=y, rows=np.arange(40) + 2,
        source="made up", kept={},
    )  # fmt: skip
    splits = [random_split(40, seed=s, test=0.3, validation=0.2) for s in range(seeds)]
    return [prepare(table, split) for split in splits]


def make_nnx(key):
    return nnx.Linear(3, 2, rngs=nnx.Rngs(key))


ARMS = {
    "Mine/../1": ag.stch(mu=0.5),
    "normal": Normalized(),
    "both": (Normalized(width=3), ag.famo()),
    "drawn": make_nnx,
    "half": Twice(),
    "plain": "restarts",
    "fixed": ["mean"],
}
NAMES = [*list(ARMS)[:-1], "mean"]
# Of every kind one: a method of ours, networks with and without one, a method of one's own.
AGAIN = ("Mine/../1", "both", "drawn", "half")


def run(folder, arms=ARMS, **options):
    return compare(
        make_datasets(),
        arms=arms,
        protocol=PROTOCOL,
        reference="mean",  # instead of one more network
        lines=False,
        checkpoint=str(folder),
        **options,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    return run(folder / "kept"), folder / "kept"


def test_given_names_stand_everywhere(found):
    comparison, folder = found
    assert list(dict.fromkeys(comparison.per_seed["arm"])) == NAMES
    assert set(comparison.leaderboard["arm"]) == set(comparison.descriptions) == set(NAMES)
    assert comparison.descriptions["half"] == Twice.description
    assert np.isfinite(comparison.per_seed["error"]).all()
    errors = comparison.per_seed.pivot_table(index=["seed", "task"], columns="arm", values="error")
    assert (errors["plain"] != errors["Mine/../1"]).all()
    # Every seed has initial values of its own, though the model brings them.
    drawn = errors["drawn"].unstack().to_numpy()
    assert not np.allclose(drawn[0], drawn[1])
    kept = {str(path.relative_to(folder)) for path in folder.glob("**/step_*")}
    assert {Path(name).parts[0][:4] for name in kept} == {
        "adap", "mine", "norm", "both", "draw", "plai"
    }  # fmt: skip
    assert not any("0x" in name for name in kept)
    assert not list(folder.parent.glob("1*"))


def test_a_network_of_ones_own_is_that_of_the_epoch_chosen(found):
    from jaxmtl.methods.study.bench import Bench

    rows = _rows(make_datasets(), range(SEEDS))
    made = contestants({"normal": Normalized()}, "mean", 2)["normal"].make(
        Bench(PROTOCOL, rows.data, rows.folds, rows.keys, Work())
    )
    fitted = made.fit(*rows, Work())
    for place, fold in enumerate(rows.folds):
        predicted = fitted.models[place].predict(rows.data.x[fold.test])
        errors = ((predicted - rows.data.y[fold.test]) ** 2).mean(axis=0)
        np.testing.assert_allclose(errors, fitted.scores[place], rtol=1e-4)
    mine = found[0].per_seed
    mine = mine[mine["arm"] == "normal"]["error"]
    np.testing.assert_allclose(mine, fitted.scores.reshape(-1), rtol=1e-5)


GOES_ON = """
import sys
sys.path[:0] = sys.argv[2:]
import test_own_arms as own
from jaxmtl.comparison import contestants
from jaxmtl.methods.study import bench
from jaxmtl.training.phased import program

def never(*args, **options):
    raise AssertionError("an epoch is computed, or a method fitted")

program.advance_all = never
contestants.keep_fit = never
arms = {name: own.ARMS[name] for name in own.AGAIN}
frame = own.run(sys.argv[1], arms, resume=True).per_seed
print({name: frame[frame["arm"] == name]["error"].tolist() for name in arms})
"""


def test_a_finished_comparison_is_read_and_not_computed(found, monkeypatch):
    def never(*args, **options):
        raise AssertionError("an epoch is computed, or a method fitted")

    monkeypatch.setattr("jaxmtl.training.phased.program.advance_all", never)
    monkeypatch.setattr("jaxmtl.comparison.contestants.keep_fit", never)
    comparison, folder = found
    again = run(folder, {name: ARMS[name] for name in AGAIN}, resume=True).per_seed
    for name in AGAIN:
        first, second = (f[f["arm"] == name]["error"] for f in (comparison.per_seed, again))
        np.testing.assert_array_equal(second, first)


@pytest.mark.slow
def test_another_process_goes_on_and_computes_nothing_anew(found):
    comparison, folder = found
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", GOES_ON, folder, here, here.parent],
        env=os.environ | QUICK | {"PYTHONHASHSEED": "3"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    frame = comparison.per_seed
    expected = {name: frame[frame["arm"] == name]["error"].tolist() for name in AGAIN}
    assert done.stdout.strip() == str(expected)


def test_what_was_kept_of_a_method_is_of_the_same_rows_and_keys(tmp_path):
    scores = np.array([[0.1, np.nan], [np.inf, 2.0]], np.float32)

    class Counting(Twice):
        times = 0

        def fit(self, data, folds, keys, work):
            self.times += 1
            fitted = super().fit(data, folds, keys, work)
            chosen = ({"epoch": np.int64(3), "penalty": np.nan}, {"shape": (1, 2)})
            return dataclasses.replace(fitted, scores=scores, chosen=chosen, notes=("so",))

    counting = Counting()
    method = contestants({"own": counting}, "mean", 2)["own"].make(None)
    rows = _rows(make_datasets(), range(SEEDS))
    work = Work(checkpoint=tmp_path)
    first = method.fit(*rows, work)
    kept = method.fit(*rows, dataclasses.replace(work, resume=True))
    assert counting.times == 1
    for name in ("scores", "parameters", "splits", "steps", "diverged"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(first, name))
        assert getattr(kept, name).dtype == getattr(first, name).dtype
    assert kept.chosen[0]["epoch"] == 3
    assert (kept.notes, kept.models) == (first.notes, ())
    other = _rows(make_datasets(), range(1, SEEDS + 1))
    method.fit(*other, dataclasses.replace(work, resume=True))
    assert counting.times == 2
    (tmp_path / "own" / KEPT_FILE).write_text('{"mark": "' + mark_of(*other) + '"}')
    with pytest.raises(FileError, match="expected the result of a method, got something else"):
        method.fit(*other, dataclasses.replace(work, resume=True))


@pytest.mark.parametrize(
    ("name", "other"),
    [("Mine/../1", ag.stch(mu=0.4)), ("normal", Normalized(6)), ("half", "ridge")],
)
def test_another_arm_of_the_name_is_refused_at_once(found, name, other):
    folder = found[1]
    before = (folder / ARMS_FILE).read_bytes()
    with pytest.raises(FileError, match=f"its arm '{name}' was a.* and is .*; repeat that one"):
        run(folder, arms=ARMS | {name: other}, resume=True)
    assert (folder / ARMS_FILE).read_bytes() == before


BAD = {
    "name of ours": ({"mmoe": Normalized()}, "'mmoe' is the name of an arm or group"),
    "no arm": ({"mine": 3}, "arms: 'mine': model: expected a flax.linen"),
    "unknown": ({"mine": "upgradd"}, "did you mean 'upgrad'"),
    "empty": ({}, "arms: expected at least one by its name, got none"),
    "no name": ({"": "mmoe"}, "arms: expected names that are texts, got ''"),
    "tasks": ({"mine": ag.krum()}, "'mine' does not go with these targets: krum: expected at lea"),
    "outputs": ({"mine": nn.Dense(3)}, "expected 'mine' to have one output for each of 2 targets"),
    "features": (
        {"mine": lambda key: nnx.Linear(4, 2, rngs=nnx.Rngs(key))},
        "arms: 'mine' does not take 3 features",
    ),
    "alike": (
        {"mine": nnx.Linear(3, 2, rngs=nnx.Rngs(0))},
        "'mine' brings its initial values, so that all seeds would start alike; give",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arms_are_one_sentence(case, monkeypatch):
    from jaxmtl.methods.study.bench import Bench

    arms, message = BAD[case]
    monkeypatch.setattr(Bench, "lay_down", lambda bench: None)
    with pytest.raises(ValueError, match=message) as caught:
        compare(make_datasets(), arms=arms, protocol=PROTOCOL, lines=False)
    assert "\n" not in str(caught.value)
