"""Runs of any kind against each other: numbers, names, words, folders."""

import json
import re

import jax
import numpy as np
import pytest

from jaxmtl import compare_runs
from jaxmtl.comparison import contrasts, leaderboard
from jaxmtl.files import FileError, RunFolderError
from jaxmtl.report import save_comparison
from jaxmtl.statistics import paired_bootstrap, wilcoxon

SEEDS = 8
rng = np.random.default_rng(0)
PLAIN = rng.uniform(0.6, 0.8, (SEEDS, 2))
BETTER = PLAIN + rng.uniform(0.02, 0.06, (SEEDS, 2))
ARRAYS = {"plain": PLAIN, "my better": BETTER, "as good": PLAIN[::-1]}
KEYS = jax.random.split(jax.random.key(0), SEEDS)


def keys():
    return jax.random.clone(KEYS)


def test_higher_and_lower_are_mirror_images():
    lower = compare_runs(ARRAYS)
    higher = compare_runs(ARRAYS, higher_is_better=True)
    assert lower.leaderboard["arm"].tolist()[-1] == "my better"
    assert higher.leaderboard["arm"].tolist()[0] == "my better"
    ranks = [found.leaderboard.set_index("arm")["mean_rank"] for found in (lower, higher)]
    assert ((ranks[0] + ranks[1]) == 4).all()
    same = ["difference", "difference_low", "percent", "percent_high", "p_wilcoxon", "p_holm"]
    assert lower.contrasts[same].equals(higher.contrasts[same])
    turned = {"better": "worse", "worse": "better"}
    verdicts = [turned.get(word, word) for word in lower.contrasts["verdict"]]
    assert verdicts == higher.contrasts["verdict"].tolist()
    assert set(verdicts[:3]) == {"better"}
    row = higher.contrasts.iloc[0]
    found = paired_bootstrap(BETTER.mean(axis=1), PLAIN.mean(axis=1))
    assert row["percent_low"] == found.percent_low
    assert row["p_wilcoxon"] == wilcoxon(BETTER.mean(axis=1), PLAIN.mean(axis=1)).p
    assert re.match(r"Over 8 seeds, my better beat plain by 6\.\d % \(", higher.sentences[0])
    assert "my better did worse than plain by" in lower.sentences[0]
    assert higher.tasks[1].name == "task 1"
    assert higher.leaderboard.columns[2] == "task 0 result"


def test_errors_are_compared_as_compare_does():
    found = compare_runs(ARRAYS)
    frame = found.per_seed.drop(columns="better")
    assert contrasts(frame, "plain").equals(found.contrasts.drop(columns="better"))
    assert leaderboard(frame).equals(found.leaderboard.drop(columns="better"))


def test_measures_that_may_be_below_zero_are_told_by_their_difference():
    base = np.linspace(-1, 0.2, SEEDS)
    found = compare_runs({"plain": base, "up": base + np.linspace(0.4, 0.6, SEEDS)}, tasks=None)
    row = found.contrasts.iloc[0]
    assert np.isnan(row["percent"])
    assert row["verdict"] == "worse"
    assert found.sentences[0] == "Over 8 seeds, up did worse than plain by 0.5 (0.443 to 0.557)."
    resplit = compare_runs({"plain": base, "up": base + 0.5 + base**2 / 9}, test_share=0.25)
    assert resplit.contrasts["verdict"][0] == "worse"
    assert "0.5" in resplit.sentences[0]


def test_functions_are_called_with_one_key_a_seed():
    def noisy(shift):
        def run(key):
            """Noise and a shift."""
            x = jax.random.normal(key, (3,))
            return {"loss": (x - shift) ** 2 + 1, "accuracy": 1 / (1 + float(x[0]) ** 2)}

        return run

    runs = {"a": noisy(0.0), "b": noisy(2.0)}
    found = compare_runs(runs, keys=keys(), higher_is_better=["accuracy"])
    assert found.measure == "loss"
    assert list(found.others) == ["accuracy"]
    # What is drawn from the key is drawn alike.
    assert (found.others["accuracy"].contrasts["difference"] == 0).all()
    assert "b gave exactly the results of a" in found.others["accuracy"].sentences[0]
    frame = found.per_seed.pivot_table(index="seed", columns=["arm", "task"], values="value")
    key = jax.random.split(jax.random.key(0), SEEDS)[3]
    want = (jax.random.normal(key, (3,)) - 2.0) ** 2 + 1
    np.testing.assert_allclose(frame.loc[3, "b"], want, rtol=1e-6)
    assert found.descriptions == {"a": "Noise and a shift.", "b": "Noise and a shift."}
    assert (found.per_seed["seconds"] > 0).all()
    called = []
    compare_runs({"own": lambda seed: called.append(seed) or seed}, seeds=[5, 3])
    assert called == [5, 3]


def test_what_is_not_finite_is_named_and_never_averaged():
    values = PLAIN.copy()
    values[2, 1], values[5, 0] = np.nan, np.inf
    found = compare_runs({"plain": PLAIN, "mine": values})
    assert found.notes == ("result of 'mine' is not finite at seeds 2, 5",)
    assert found.sentences[-1] == "Result of 'mine' is not finite at seeds 2, 5."
    assert any("not finite are left out with their seed (2 of 8" in s for s in found.sentences)
    board = found.leaderboard.set_index("arm").loc["mine"]
    assert board["diverged"] == 2
    kept = np.delete(PLAIN, [2, 5], axis=0)
    assert board["error"] == pytest.approx(kept.mean())
    assert found.contrasts["seeds"].tolist() == [6, 7, 7]
    assert found.contrasts["difference"][0] == 0


def test_one_seed_has_no_interval():
    found = compare_runs({"a": [0.3], "b": [0.1]})
    assert found.sentences[0].startswith(
        "With one seed, b (difference -66.7 %) could not be tested"
    )
    assert "no interval and no verdict is possible" in found.conclusion
    assert found.contrasts["verdict"].tolist() == ["not distinguishable"] * 2


class Stopped(Exception):
    """A process that ends."""


class Tape:
    calls, stop = [], None


def told(factor):
    def run(seed):
        if len(Tape.calls) == Tape.stop:
            raise Stopped
        Tape.calls.append(seed)
        return {"loss": np.nan if seed == 1 else factor / (1 + seed), "both": [seed, factor]}

    return run


def test_an_interrupted_comparison_goes_on(tmp_path):
    folder, runs = tmp_path / "out", {"A/..": told(2.0), "a b": told(3.0)}
    options = {"seeds": range(4), "checkpoint": folder}
    Tape.calls, Tape.stop = [], 3
    with pytest.raises(Stopped):
        compare_runs(runs, **options)
    assert Tape.calls == [0, 0, 1]
    with pytest.raises(FileError, match="interrupted comparison of runs; go on with it with resum"):
        compare_runs(runs, **options)
    with pytest.raises(FileError, match=r"run 'a b' was .* and is .*; repeat those"):
        compare_runs(runs | {"a b": told(4.0)}, **options, resume=True)
    with pytest.raises(FileError, match=r"seeds was \[0, 1, 2, 3\] and is \[0, 1\]\); repeat"):
        compare_runs(runs, **options | {"seeds": [0, 1]}, resume=True)
    Tape.stop, seen = None, []
    found = compare_runs(
        runs, **options, resume=True, on_progress=lambda name, now: seen.append((name, now.done))
    )
    assert Tape.calls == [0, 0, 1, 1, 2, 2, 3, 3]
    assert seen[-1] == ("a b", 8)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "results.json"]
    # What is complete is read, and is what is found without a folder.
    again = compare_runs(runs, **options, resume=True)
    assert len(Tape.calls) == 8
    assert again.per_seed.equals(found.per_seed)
    fresh = compare_runs(runs, seeds=range(4))
    same = ["arm", "seed", "task", "error", "measure"]
    assert fresh.per_seed[same].equals(found.per_seed[same])
    assert fresh.notes == found.notes == tuple(
        f"loss of {name!r} is not finite at seed 1" for name in runs
    )  # fmt: skip
    with pytest.raises(RunFolderError, match="exists already; .* replace it with force=True"):
        compare_runs(runs, **options)
    assert len(compare_runs(runs, **options | {"seeds": [0]}, force=True).seeds) == 1


BAD = {
    "no runs": (({},), {}, "runs: expected at least one by its name, got none"),
    "no name": (({" ": PLAIN},), {}, "runs: expected names that are texts, got ' '"),
    "twice": (([("a", PLAIN), ("a ", PLAIN)],), {}, "expected every name once, got 'a ' twice"),
    "reference": ((ARRAYS,), {"reference": "b"}, "reference: expected one of 'plain', 'my bett"),
    "measures": (
        ({"a": {"x": [1, 2]}, "b": {"y": [1, 2]}},),
        {},
        "'b', seed 0: expected the measures x, those of 'a', seed 0, got y; return",
    ),
    "shapes": (({"a": PLAIN, "b": PLAIN[:, 0]},), {}, r"expected result of shape \(2,\), that of"),
    "seeds": (({"a": PLAIN, "b": PLAIN[:3]},), {}, "expected 8 results of 'b', one a seed, got 3"),
    "text": (({"a": "loss"},), {}, "expected 'a' to be a function of a key, or results as an arr"),
    "deep": (({"a": np.zeros((2, 2, 2))},), {}, r"of shape \(seeds,\) or \(seeds, tasks\), got"),
    "neither": (({"a": len},), {}, "keys: expected one a seed to call the runs with"),
    "both": (({"a": len},), {"keys": KEYS, "seeds": [1]}, "seeds: expected None where there are"),
    "old keys": (({"a": len},), {"keys": [1, 2]}, "keys: expected a row of typed keys"),
    "same seeds": (({"a": len},), {"seeds": [1, 1]}, "seeds: expected different whole numbers"),
    "no number": (
        ({"a": lambda seed: {"x": "much"}},),
        {"seeds": [3]},
        "'a', seed 3: expected x as a number or an array .*, got str",
    ),
    "nothing": (({"a": lambda seed: None},), {"seeds": [3]}, "expected result as a number"),
    "higher": ((ARRAYS,), {"higher_is_better": ["f1"]}, "higher_is_better: expected one of 'res"),
    "tasks": ((ARRAYS,), {"tasks": ["a"]}, "tasks: expected 2 different names for the values"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case):
    given, options, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        compare_runs(*given, **options)
    assert "\n" not in str(caught.value)


def test_a_comparison_is_saved_as_a_page(tmp_path):
    runs = {"plain": {"f1": PLAIN, "loss": PLAIN}, "my better": {"f1": BETTER, "loss": -BETTER}}
    found = compare_runs(runs, higher_is_better=["f1"])
    page = save_comparison(tmp_path / "out", found).read_text()
    assert "2 runs compared by f1" in page
    assert "positive is better" in page
    assert "▲ better" in page
    assert "Mean f1 (95 % interval)" in page
    assert "test error" not in page
    assert "Active parameters" not in page
    other = (tmp_path / "out" / "loss" / "report.html").read_text()
    assert "negative is better" in other
    assert 'By other measures: <a href="loss/report.html">' in page
    assert '<a href="../report.html">' in other
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert kept == {
        "comparison.json", "contrasts.csv", "differences.png", "leaderboard.csv", "loss",
        "per_seed.csv", "report.html",
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["reference"] == "plain"
    with pytest.raises(RunFolderError, match="exists already"):
        save_comparison(tmp_path / "out", found)
    save_comparison(tmp_path / "out", found, force=True)
