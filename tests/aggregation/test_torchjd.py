"""Parity with TorchJD in float64, where it is installed: the same numbers, or better ones.

What is stated in closed form, or by a solver whose tolerances can be set, is compared number by
number. Where TorchJD's solvers stop early (MGDA, CAGrad, Nash-MTL, FairGrad), both results are held
against what defines the solution, and ours must not be the worse one.
"""

import contextlib
import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmtl.aggregation as ag

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    needed = ("torch", "torchjd", "quadprog", "qpsolvers", "cvxpy", "ecos", "clarabel")
    reason = "needs TorchJD and its solvers: pip install 'jaxmtl[bench]'"
    torch = [pytest.importorskip(name, reason=reason) for name in needed][0]
    import torchjd.aggregation as theirs
    from torchjd.linalg import QuadprogProjector

# What the solvers behind TorchJD warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")
TASKS, COLUMNS, SEED = 5, 12, 3


@pytest.fixture(autouse=True)
def float64():
    if hasattr(jax, "enable_x64"):
        enable_x64 = jax.enable_x64
    else:  # older releases
        from jax.experimental import enable_x64
    with enable_x64(True):
        yield


def families():
    rng = np.random.default_rng(0)
    few, rows = rng.normal(size=(4, COLUMNS)), rng.normal(size=(TASKS, COLUMNS))
    return {
        "random": rows,
        "in conflict": rows - 1.5 * rows.mean(axis=0),
        "agreeing": rows + 2 * rng.normal(size=COLUMNS),
        "rank two": rng.normal(size=(TASKS, 2)) @ few[:2],
        "rank four": rng.normal(size=(TASKS, 4)) @ few,
        "duplicates": few[[0, 0, 1, 1, 2]],
        "opposite": np.concatenate([few, -few[:1]]),
        "opposite and longer": np.concatenate([few, -2 * few[:1]]),
        "tiny": 1e-10 * rows,
        "huge": 1e15 * rows,
        "wild": 10.0 ** np.array([-6, -2, 0, 3, 6])[:, None] * rows,
        "two": rows[:2] - 0.8 * rows[:1],
    }


FAMILIES = families()
STATIONARY = {"opposite", "opposite and longer", "rank two"}  # 0 is a convex combination of rows
SINGULAR = {"rank two", "rank four", "duplicates", "opposite", "opposite and longer"}
# What these solve has no one answer where the Gram matrix is singular, as ``converged`` says.
OF_FULL_RANK = ("imtl_g", "aligned_mtl min", "aligned_mtl median", "aligned_mtl rmse", "config")


def projector():
    """Without what TorchJD adds to the Gram matrix, as far as its solver goes along."""
    return QuadprogProjector(norm_eps=0.0, reg_eps=1e-13)


# Name: ours, theirs (from the number of tasks), tolerance, and what is left out: where TorchJD's
# regularisation or cut-off, relative to the longest row, loses the short ones ("wild"), where it
# overflows ("huge"), and where there are too few rows ("two").
SAME = {
    "mean": (ag.mean, lambda m: theirs.Mean(), 1e-14, ()),
    "sum": (ag.sum, lambda m: theirs.Sum(), 1e-14, ()),
    "upgrad": (ag.upgrad, lambda m: theirs.UPGrad(projector=projector()), 1e-9, ("wild",)),
    "dualproj": (ag.dualproj, lambda m: theirs.DualProj(projector=projector()), 1e-9, ("wild",)),
    "imtl_g": (ag.imtl_g, lambda m: theirs.IMTLG(), 1e-12, ("wild", "huge")),
    **{
        f"aligned_mtl {mode}": (
            functools.partial(ag.aligned_mtl, mode),
            functools.partial(lambda m, mode: theirs.AlignedMTL(scale_mode=mode), mode=mode),
            1e-12,
            ("wild",),
        )
        for mode in ("min", "median", "rmse")
    },
    "config": (ag.config, lambda m: theirs.ConFIG(), 1e-12, ()),
    "krum": (lambda: ag.krum(0, 2), lambda m: theirs.Krum(0, 2), 1e-14, ("two",)),
    "trimmed_mean": (lambda: ag.trimmed_mean(1), lambda m: theirs.TrimmedMean(1), 1e-14, ("two",)),
    "excess_mtl": (ag.excess_mtl, lambda m: theirs.ExcessMTL(), 1e-12, ()),
    "pcd": (ag.pcd, lambda m: theirs.PCD(), 1e-11, ()),
    "pcgrad": (ag.pcgrad, lambda m: theirs.PCGrad(), 1e-13, ()),
    "gradvac": (ag.gradvac, lambda m: theirs.GradVac(eps=1e-300), 1e-13, ()),
}


def visits(name, tasks):
    """The orders that TorchJD will draw."""
    torch.manual_seed(SEED)
    if name != "gradvac":
        return np.stack([torch.randperm(tasks).numpy() for _ in range(tasks)])
    others = [np.delete(np.arange(tasks), task) for task in range(tasks)]
    drawn = [rest[torch.randperm(tasks - 1).numpy()] for rest in others]
    return np.stack([np.append(rest, task) for task, rest in enumerate(drawn)])


@functools.cache
def compiled(make):
    aggregator = make()
    return jax.jit(lambda j, order: aggregator.update(j, aggregator.init(j), order=order)[::2])


def both(make_ours, make_theirs, j, name=""):
    """Both results on one matrix, and our info."""
    order = jnp.asarray(visits(name, len(j)))
    grads, info = compiled(make_ours)(j, order)
    assert grads.dtype == np.float64
    torch.manual_seed(SEED)
    return np.asarray(grads), make_theirs(len(j))(torch.tensor(j)).numpy(), info


CASES = [(name, family) for name in SAME for family in FAMILIES if family not in SAME[name][3]]


@pytest.mark.parametrize(("name", "family"), CASES)
def test_same_numbers(name, family):
    make_ours, make_theirs, tolerance, _ = SAME[name]
    j = FAMILIES[family]
    ours, expected, info = both(make_ours, make_theirs, j, name)
    size = np.abs(j if family in STATIONARY else expected).max()
    np.testing.assert_allclose(ours / size, expected / size, rtol=0, atol=tolerance)
    assert info.converged == (family not in SINGULAR or name not in OF_FULL_RANK)


def their_result(make, j):
    """None where the solver behind it fails, or finds no finite numbers."""
    with contextlib.suppress(Exception):
        found = make(len(j))(torch.tensor(j)).numpy()
        return found if np.isfinite(found).all() else None
    return None


@pytest.mark.parametrize("family", FAMILIES)
def test_mgda_is_as_short(family):
    j = FAMILIES[family]
    ours = np.asarray(compiled(ag.mgda)(j, None)[0])
    expected = their_result(lambda m: theirs.MGDA(epsilon=1e-12, max_iters=5000), j)
    rounding = 1e-10 * np.linalg.norm(j, axis=1).min()
    assert np.linalg.norm(ours) <= np.linalg.norm(expected) * (1 + 1e-12) + rounding
    if family not in STATIONARY | {"wild"}:
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours / scale, expected / scale, rtol=0, atol=5e-3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("c", [0.4, 1.2])
def test_cagrad_has_as_good_a_worst_case(c, family):
    j = FAMILIES[family] / np.abs(FAMILIES[family]).max()  # TorchJD's limits are absolute
    ours = np.asarray(compiled(functools.partial(ag.cagrad, c))(j, None)[0])
    expected = their_result(lambda m: theirs.CAGrad(c, norm_eps=1e-9), j)
    mean = j.mean(axis=0)
    radius = c * np.linalg.norm(mean)
    if c < 1 and "opposite" not in family:
        assert ours.any()  # the ball does not reach 0
    if ours.any():
        np.testing.assert_allclose(np.linalg.norm(ours - mean), radius, rtol=1e-9)
    if expected is None or not np.linalg.norm(expected - mean) <= radius * (1 + 1e-6):
        return
    length = np.linalg.norm(mean) * np.linalg.norm(j, axis=1).min()
    assert (j @ ours).min() >= (j @ expected).min() - 1e-5 * length
    if ours.any() and family != "wild":
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours / scale, expected / scale, rtol=0, atol=1e-3)


def fixed_point_error(j, w, grads, power):
    """Largest |(G w)_t w_t^power - 1|."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.abs((j @ grads) * w**power - 1).max(), nan=np.inf)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - STATIONARY))
@pytest.mark.parametrize("alpha", [1.0, 2.0, None], ids=["fairgrad 1", "fairgrad 2", "nash"])
def test_fixed_points_are_as_good(alpha, family):
    j = FAMILIES[family]
    if alpha is None:
        make, name = functools.partial(ag.nash_mtl, None), "nash"
        expected = their_result(lambda m: theirs.NashMTL(m, max_norm=0.0), j)
    else:
        make, name = functools.partial(ag.fairgrad, alpha), "fairgrad"
        expected = their_result(lambda m: theirs.FairGrad(alpha), j)
    grads, info = compiled(make)(j, None)
    assert info.converged, name
    power = 1 / (alpha or 1.0)
    assert fixed_point_error(j, np.asarray(info.weights), np.asarray(grads), power) <= 1e-9
    if expected is None or family in {"rank four", "duplicates"}:
        return  # theirs failed, or its result does not tell its weights
    norms = np.linalg.norm(j, axis=1)
    w = np.linalg.lstsq((j / norms[:, None]).T, expected, rcond=None)[0] / norms
    if fixed_point_error(j, w, expected, power) <= 1e-6:
        scale = np.abs(expected).max()
        np.testing.assert_allclose(grads / scale, expected / scale, rtol=0, atol=1e-5)


def test_running_states_follow_the_same_course():
    """GradVac, ExcessMTL and PCD over several steps."""
    rng = np.random.default_rng(1)
    matrices = rng.normal(size=(4, TASKS, COLUMNS)) - 0.3
    for name in ("gradvac", "excess_mtl", "pcd"):
        make_ours, make_theirs, _, _ = SAME[name]
        aggregator, other = make_ours(), make_theirs(TASKS)
        update = jax.jit(lambda j, s, order, a=aggregator: a.update(j, s, order=order)[:2])
        state = aggregator.init(matrices[0])
        for j in matrices:
            grads, state = update(j, state, jnp.asarray(visits(name, TASKS)))
            torch.manual_seed(SEED)
            expected = other(torch.tensor(j)).numpy()
            np.testing.assert_allclose(grads, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
