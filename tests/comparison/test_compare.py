"""Arms on a small table: what they share, what they differ in, and what is said of them."""

import numpy as np
import optax
import pytest
from some_cases import some

import jaxmtl
from jaxmtl.comparison import ARMS, DEFAULT_ARMS, Bench, Protocol, compare
from jaxmtl.data import Table, data_of, prepare, random_split
from jaxmtl.methods import BASELINES, Work

SEEDS = 3
PHASES = (
    jaxmtl.Phase(6, warmup=3, threshold=3),
    jaxmtl.Phase(4, warmup=1, threshold=3),
    jaxmtl.Phase(3, learning_rate=1e-3),
)
PROTOCOL = Protocol(phases=PHASES)


def make_table(rows=90):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(rows, 4))
    y = np.stack([10 * x.mean(axis=1), 300 - 100 * x[:, 0] * x[:, 1]], axis=1)
    y += rng.normal(size=y.shape) * [0.3, 3]
    names = tuple("abcd")
    return Table(
        features=names, targets=("u", "v"), x=x, y=y, rows=np.arange(rows) + 2,
        source="file a.csv", kept={},
    )  # fmt: skip


def make_datasets(seeds=SEEDS, **options):
    table = make_table()
    return [
        prepare(table, random_split(90, seed=s, test=0.3, validation=0.2), **options)
        for s in range(seeds)
    ]


# Few that differ in what they split and in how long they train, and all.
SETS = {
    "few": ("hard_sharing", "random_node", "adaptive"),
    "every": DEFAULT_ARMS,
}


@pytest.fixture(scope="module", params=some(SETS, "few"))
def arms(request):
    return SETS[request.param]


@pytest.fixture(scope="module")
def found(arms):
    return compare(make_datasets(), arms=arms, protocol=PROTOCOL, lines=True)


def test_every_arm_has_a_row_a_seed_and_target(found, arms):
    assert set(DEFAULT_ARMS) <= set(ARMS)
    frame = found.per_seed
    assert set(frame["arm"]) == {*arms, *BASELINES}
    assert (frame.groupby("arm").size() == SEEDS * 2).all()
    assert set(found.leaderboard["arm"]) == set(frame["arm"])
    assert found.selected
    assert found.test_share == pytest.approx(27 / 45)


def test_every_arm_makes_as_many_steps_as_the_adaptive_run(found):
    arms = found.per_seed[found.per_seed["kind"] == "arm"]
    steps = arms.pivot_table(index="seed", columns="arm", values="steps", aggfunc="first")
    for arm in steps:
        np.testing.assert_array_equal(steps[arm], steps["adaptive"], err_msg=arm)


def test_arms_differ_in_what_they_split(found, arms):
    arms = found.per_seed[found.per_seed["task"] == "u"]
    splits = arms.pivot_table(index="seed", columns="arm", values="splits")
    parameters = arms[arms["kind"] == "arm"].astype({"parameters": int})
    parameters = parameters.pivot_table(index="seed", columns="arm", values="parameters")
    assert (splits["adaptive"] > 0).all()
    for same in {"random_node", "least_conflict"}.intersection(arms):
        np.testing.assert_array_equal(splits[same], splits["adaptive"])
    for none in {"hard_sharing", "restarts", "independent", "equal_nodes"}.intersection(arms):
        assert (splits[none] == 0).all()
    for whole in {"fully_split", "one_shot"}.intersection(arms):
        assert (splits[whole] == 3).all()
    # A copy has the bank's 4 weights and its bias; a further shared node also 2 weights of heads.
    np.testing.assert_array_equal(parameters["adaptive"], 43 + 5 * splits["adaptive"])
    if "equal_nodes" in arms:
        np.testing.assert_array_equal(parameters["equal_nodes"], 43 + 7 * splits["adaptive"])


def test_errors_in_original_units_are_scaled_errors_times_the_range(found):
    frame = found.per_seed
    for seed, dataset in enumerate(make_datasets()):
        for task, scale in zip(dataset.targets, dataset.target_scaler.scale, strict=True):
            rows = frame[(frame["seed"] == seed) & (frame["task"] == task)]
            np.testing.assert_allclose(rows["value"], np.sqrt(rows["error"]) * scale)


@pytest.mark.slow
def test_the_adaptive_arm_is_fit_adaptive_with_the_epoch_of_the_least_validation_error(found):
    import jax

    dataset = make_datasets()[1]
    model = jaxmtl.HardSharing(outputs=(1, 1))
    run = jaxmtl.fit_adaptive(model, dataset.splits, key=jax.random.key(1), phases=PHASES)
    best = int(run.history.validation.mean(axis=1).argmin())
    frame = found.per_seed
    rows = frame[(frame["arm"] == "adaptive") & (frame["seed"] == 1)]
    np.testing.assert_allclose(rows["error"], run.history.test[best], rtol=1e-5)
    assert (rows["epoch"] == best + 1).all()


@pytest.mark.slow
def test_independent_networks_start_where_hard_sharing_starts():
    import jax

    datasets = make_datasets()
    keys = jax.vmap(jax.random.key)(np.arange(SEEDS, dtype=np.uint32))
    bench = Bench(PROTOCOL, *data_of(datasets), keys)
    from jaxmtl.methods.study.independent import _of_task
    from jaxmtl.models import IndependentNetworks

    params = {f"task_{t}": _of_task(bench, t) for t in range(2)}
    for seed in range(SEEDS):
        x = bench.splits.test.x[seed]
        mine, theirs = (
            model.apply({"params": jax.tree.map(lambda leaf, s=seed: leaf[s], params)}, x)
            for model, params in ((IndependentNetworks(), params), (bench.network(), bench.start))
        )
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_methods_without_a_schedule_take_part_where_they_are_named():
    datasets = make_datasets()
    found = compare(datasets, arms=["ridge"], reference="mean")
    board = found.leaderboard.set_index("arm")
    assert board["kind"].to_dict() == {"ridge": "arm", "mean": "arm", "boosted_trees": "line"}
    assert set(found.contrasts["arm"]) == {"ridge", "boosted_trees"}
    ridge = found.per_seed[(found.per_seed["arm"] == "ridge") & (found.per_seed["seed"] == 1)]
    data, folds = data_of(datasets)
    fitted = BASELINES["ridge"].fit(data, folds, None, Work())
    np.testing.assert_array_equal(ridge["error"], fitted.scores[1])
    assert ridge["parameters"].isna().all()


def test_a_comparison_says_what_the_choice_of_nodes_is_worth(found):
    controls = found.controls
    assert set(controls["reference"]) == {"adaptive"}
    assert found.sentences[-2].startswith("Is it the choice of nodes")
    assert found.conclusion == " ".join(found.sentences)
    assert [task.name for task in found.tasks] == ["u", "v"]
    assert set(found.descriptions) == set(found.leaderboard["arm"])


@pytest.mark.slow
def test_an_optimizer_and_batches_are_the_protocols():
    protocol = Protocol(phases=PHASES[-1:], optimizer=optax.sgd, batch_size=8, shuffle=True)
    found = compare(make_datasets(), arms=["restarts"], protocol=protocol, lines=False)
    assert set(found.per_seed["steps"]) == {3 * 6}
    assert len(found.controls) == 0


@pytest.mark.slow
def test_unknown_labels_count_for_the_other_target_only():
    table = make_table()
    table.y[::7, 0] = np.nan
    datasets = [
        prepare(table, random_split(90, seed=s, test=0.3), missing_targets="mask") for s in range(2)
    ]
    protocol = Protocol(phases=PHASES[-1:])
    found = compare(datasets, arms=["restarts"], reference="restarts", protocol=protocol)
    assert np.isfinite(found.per_seed["error"]).all()
    assert not found.selected


def test_bad_input_is_one_sentence():
    datasets = make_datasets()
    with pytest.raises(ValueError, match=r"arms: there is no arm .*did you mean 'adaptive'"):
        compare(datasets, arms=["adaptiv"])
    with pytest.raises(ValueError, match="datasets: expected one a seed"):
        compare([])
    shorter = prepare(make_table(), random_split(80, seed=0, test=0.3, validation=0.2))
    with pytest.raises(ValueError, match="expected the same number of train rows for every seed"):
        compare([*datasets, shorter])
    without = prepare(make_table(), random_split(90, seed=0, test=0.0))
    with pytest.raises(ValueError, match="expected test rows"):
        compare([without])
