"""Settings of every test and doctest."""

import atexit
import gc
import itertools
import os
import sys
import zlib

# Workers share the cores: threads of scikit-learn that wait for each other must sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("JAX_PLATFORMS", os.environ.get("JAXMTL_TEST_PLATFORM", "cpu"))
# Trees grow on one thread: two that share a core with another worker's wait by running in circles.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest
from kept_errors import KeptErrors, watch_raises

# Run by tests in a process of its own, with two devices.
collect_ignore = ["experiments/recipe_steps.py"]

jax.config.update("jax_numpy_rank_promotion", "raise")
if os.environ.get("JAXMTL_TEST_PLATFORM", "cpu") != "cpu":
    # Accelerators round products to fewer digits than tests compare, unless they are told.
    jax.config.update("jax_default_matmul_precision", "highest")

# Tracing makes many objects that stay: a twentieth of all the time went into looking for garbage.
gc.set_threshold(50_000, 20, 20)

# Most of the time of a test goes into compiling; the core alone is tested as it is shipped, and
# whole runs in tests/golden. The tests in x64 run in processes of their own, whose environment says
# how they compile.
AS_SHIPPED = {"duplication", "tests", "training", "x64"}
FEW = "jax_disable_most_optimizations"

# What takes a worker a minute or more.
LONGEST = tuple(
    f"tests/{name}" for name in ("aggregation/", "cli/", "golden/", "training/", "test_x64")
)

# Examples of docstrings that take seconds, whose networks and runs other tests go through.
SLOW_EXAMPLES = {
    "jaxmtl.aggregation.aligned_mtl.aligned_mtl",
    "jaxmtl.aggregation.and_mask.and_mask",
    "jaxmtl.aggregation.cagrad.cagrad",
    "jaxmtl.aggregation.choose.choose",
    "jaxmtl.aggregation.colour_schedule.colour_schedule",
    "jaxmtl.aggregation.config.config",
    "jaxmtl.aggregation.contract.AggregationInfo",
    "jaxmtl.aggregation.contract.Aggregator",
    "jaxmtl.aggregation.cr_mogm.cr_mogm",
    "jaxmtl.aggregation.cyclic.cyclic",
    "jaxmtl.aggregation.data_parallel.data_parallel_step",
    "jaxmtl.aggregation.db_mtl.db_mtl",
    "jaxmtl.aggregation.dualproj.dualproj",
    "jaxmtl.aggregation.engines.feature_step",
    "jaxmtl.aggregation.engines.gramian_step",
    "jaxmtl.aggregation.every.every",
    "jaxmtl.aggregation.excess_mtl.excess_mtl",
    "jaxmtl.aggregation.fairgrad.fairgrad",
    "jaxmtl.aggregation.graddrop.drop_signs",
    "jaxmtl.aggregation.graddrop.graddrop",
    "jaxmtl.aggregation.gradvac.gradvac",
    "jaxmtl.aggregation.grouped.grouped",
    "jaxmtl.aggregation.imtl_g.imtl_g",
    "jaxmtl.aggregation.krum.krum",
    "jaxmtl.aggregation.losses.auto_lambda.auto_lambda",
    "jaxmtl.aggregation.losses.contract.Scalarizer",
    "jaxmtl.aggregation.losses.cosmos.cosmos",
    "jaxmtl.aggregation.losses.dwa.dwa",
    "jaxmtl.aggregation.losses.famo.famo",
    "jaxmtl.aggregation.losses.igb.igb",
    "jaxmtl.aggregation.losses.ldc.ldc",
    "jaxmtl.aggregation.losses.linear.linear",
    "jaxmtl.aggregation.losses.look_ahead.look_ahead_slopes",
    "jaxmtl.aggregation.losses.rlw.rlw",
    "jaxmtl.aggregation.losses.stch.stch",
    "jaxmtl.aggregation.mgda.mgda",
    "jaxmtl.aggregation.nash_mtl.nash_mtl",
    "jaxmtl.aggregation.pcd.pcd",
    "jaxmtl.aggregation.pcgrad.pcgrad",
    "jaxmtl.aggregation.pcgrad.random_order",
    "jaxmtl.aggregation.sdmgrad.sdmgrad",
    "jaxmtl.aggregation.solvers.bargaining.fair_weights",
    "jaxmtl.aggregation.solvers.cone.project_dual_cone",
    "jaxmtl.aggregation.solvers.simplex.min_norm_weights",
    "jaxmtl.aggregation.solvers.trust.amplification",
    "jaxmtl.aggregation.solvers.trust.estimate",
    "jaxmtl.aggregation.solvers.worst_case.worst_case_weights",
    "jaxmtl.aggregation.trimmed_mean.trimmed_mean",
    "jaxmtl.aggregation.upgrad.upgrad",
    "jaxmtl.comparison.compare.compare",
    "jaxmtl.conflict.layers.ConflictMap",
    "jaxmtl.conflict.layers.unit_map",
    "jaxmtl.conflict.samples.SampleConflict",
    "jaxmtl.conflict.samples.sample_conflict",
    "jaxmtl.conflict.signs.weight_conflict",
    "jaxmtl.conflict.tally.Tally",
    "jaxmtl.data.simulated.simulate_exponential",
    "jaxmtl.data.simulated.simulate_normal",
    "jaxmtl.data.simulated.simulate_uniform",
    "jaxmtl.gradients.gramian.task_gramian",
    "jaxmtl.methods.network_model.network_model_of",
    "jaxmtl.methods.study.arms.expand",
    "jaxmtl.methods.study.run_study.run_study",
    "jaxmtl.methods.table_networks.TableNetworkModel",
    "jaxmtl.metrics.ranking.average_precision",
    "jaxmtl.metrics.ranking.mean_average_precision",
    "jaxmtl.metrics.ranking.roc_auc",
    "jaxmtl.models.aitm.AITM",
    "jaxmtl.models.constrained.Constrained",
    "jaxmtl.models.cross_stitch.CrossStitch",
    "jaxmtl.models.dselect_k.DSelectK",
    "jaxmtl.models.hard_sharing.HardSharing",
    "jaxmtl.models.hard_sharing.IndependentNetworks",
    "jaxmtl.models.mmoe.MMoE",
    "jaxmtl.models.mmoe.OMoE",
    "jaxmtl.models.mtan.MTAN",
    "jaxmtl.models.ple.CGC",
    "jaxmtl.models.ple.PLE",
    "jaxmtl.models.shared_bottom.SharedBottom",
    "jaxmtl.models.soft_sharing.SoftSharing",
    "jaxmtl.models.table_net.TableNet",
    "jaxmtl.models.trunk.ConvTrunk",
    "jaxmtl.prediction.save.save_predictor",
    "jaxmtl.report.page.comparison_page.write_comparison_page",
    "jaxmtl.report.pictures.comparison_pictures.plot_error_against_parameters",
    "jaxmtl.report.pictures.comparison_pictures.write_comparison_pictures",
    "jaxmtl.report.pictures.conflict_picture.plot_conflict",
    "jaxmtl.report.run.save.save_run",
    "jaxmtl.report.words.summary.summarize",
    "jaxmtl.sharing.banks.compact",
    "jaxmtl.sharing.banks.count_parameters",
    "jaxmtl.sharing.split.merge",
    "jaxmtl.sharing.split.output_change",
    "jaxmtl.sharing.split.split",
    "jaxmtl.sharing.staged.staged",
    "jaxmtl.sharing.stats.pool_stats",
    "jaxmtl.sharing.view_losses.view_gradients",
    "jaxmtl.sharing.view_losses.view_losses",
    "jaxmtl.sklearn.classifier.MultiTaskClassifier",
    "jaxmtl.sklearn.mixed.MultiTaskEstimator",
    "jaxmtl.structure.halving.halving",
    "jaxmtl.structure.look_ahead.look_ahead",
    "jaxmtl.structure.move.move",
    "jaxmtl.structure.trunk.Trunk",
    "jaxmtl.structure.whole.cross_validated",
    "jaxmtl.structure.whole.train_structures",
    "jaxmtl.training.constrained.fit_constrained",
    "jaxmtl.training.kinds.views.ViewNetwork",
    "jaxmtl.training.phased.best.Best",
    "jaxmtl.training.phased.runs.Runs",
    "jaxmtl.training.sweep.sweep",
}


def pytest_addoption(parser):
    group = parser.getgroup("slow tests")
    group.addoption("--slow", action="store_true", help="run the tests marked slow, too")
    group.addoption(
        "--slow-share",
        type=share,
        metavar="I/N",
        help="run one in N of the slow tests, too: those whose name's checksum is I modulo N",
    )
    parser.getgroup("errors").addoption(
        "--remake-errors",
        action="store_true",
        help="keep what errors say now, in the errors.json of the tests that are run",
    )


def share(text):
    part, total = map(int, text.split("/"))
    if not 0 <= part < total:
        raise ValueError
    return part, total


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "few_optimizations: compiled quickly, though it stands among tests of the core"
    )
    config.addinivalue_line(
        "markers", "slow: further evidence, beside what the default run keeps of every contract"
    )
    kept = KeptErrors(config.option.remake_errors)
    watch_raises(kept.note)
    config.pluginmanager.register(kept)
    config.pluginmanager.register(Compilation())  # for the doctests of the package too
    # A key that is used twice is told where all slow tests are run, and with one share in four of
    # them, so that `.ci/run` does every month: to look for it takes a tenth of the time of all.
    share = config.option.slow_share
    watched = config.option.slow or (share is not None and share[0] % 4 == 0)
    if watched and not jax.config.read("jax_enable_x64"):
        jax.config.update("jax_debug_key_reuse", True)


def pytest_sessionfinish(session):
    """The process ends at once: to put some gigabytes of small objects in order takes 10 s.

    Nor does it wait for threads of JAX that do not end.
    """
    gc.freeze()

    def end():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0 if hasattr(session.config, "workerinput") else int(session.exitstatus))

    atexit.register(end)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """The tests of a file go to one worker, as they share much of what they compile."""
    if getattr(config.option, "dist", None) == "no" and config.option.numprocesses:
        config.option.dist = "loadfile"
        config.option.loadscopereorder = False  # the short doctests last: workers end together


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A few workers share the files out by folders, whose tests have programs in common."""
    from xdist.scheduler import LoadFileScheduling

    class ByFolders(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            folder = os.path.dirname(file)
            if file == "tests/test_x64.py":
                return nodeid  # each starts a process of its own
            return folder if folder.startswith("tests/") else file

    few = config.option.dist == "loadfile" and (config.option.numprocesses or 99) <= 4
    return ByFolders(config, log) if few else None


def pytest_collection_modifyitems(config, items):
    """Slow tests are left out, unless they are asked for, all or one by its name.

    The longest come first, so that workers end together.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    for item in items:
        if item.name in SLOW_EXAMPLES:
            item.add_marker(pytest.mark.slow)
    if config.option.slow or any("::" in arg for arg in config.args):
        return
    part, total = config.option.slow_share or (-1, 1)
    left_out = [
        item
        for item in items
        if item.get_closest_marker("slow") and zlib.crc32(item.nodeid.encode()) % total != part
    ]
    config.hook.pytest_deselected(items=left_out)
    left_out = set(left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def small_pictures():
    """Nobody looks at them here."""
    style = sys.modules.get("jaxmtl.report.pictures.style")
    if style is not None:
        style.RC["savefig.dpi"] = 60


@pytest.fixture
def slow_options(request):
    """Options with which a pytest of its own runs the slow tests that this one does."""
    if request.config.option.slow:
        return ["--slow"]
    part = request.config.option.slow_share
    return [] if part is None else ["--slow-share={}/{}".format(*part)]


class Compilation:
    """Few optimizations beside the core."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        core = item.path.parent.name in AS_SHIPPED and not isinstance(item, pytest.DoctestItem)
        before = jax.config.read(FEW)
        if not core or item.get_closest_marker("few_optimizations") is not None:
            jax.config.update(FEW, True)
        try:
            return (yield)
        finally:
            jax.config.update(FEW, before)


def compile_sooner_where_few_optimizations_are_wanted():
    """XLA's newer code generator for fusions takes three times as long for the same program.

    And parting a small program among threads costs more than it saves. JAX has no setting for
    these, so its private function is wrapped, if it is where it was.
    """
    options = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
    try:
        from jax._src import compiler

        jax.jit(lambda: 0, compiler_options=options)()
        get = compiler.get_compile_options
    except (ImportError, AttributeError, RuntimeError):
        return  # not the JAX that this was written for: all pass, more slowly

    def get_compile_options(*args, **kwargs):
        found = get(*args, **kwargs)
        if jax.config.read(FEW):
            found.env_option_overrides = [*found.env_option_overrides, *options.items()]
        return found

    compiler.get_compile_options = get_compile_options


compile_sooner_where_few_optimizations_are_wanted()


def lower_into_one_context(renewed_after=500):
    """JAX loads MLIR's dialects anew for every program: a tenth of all the time here.

    Programs share a context, which keeps what it has seen and is therefore given up now and then.
    """
    try:
        from jax._src.interpreters import mlir

        make = mlir.make_ir_context
    except (ImportError, AttributeError):
        return
    uses, contexts = itertools.count(), {}

    def make_ir_context():
        if next(uses) % renewed_after == 0:
            contexts[None] = make()
        return contexts[None]

    mlir.make_ir_context = make_ir_context


lower_into_one_context()
