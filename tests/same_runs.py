"""What "the same run" means: numbers to float tolerance, decisions exactly."""

import jax
import numpy as np

from jaxmtl.methods import held_out
from jaxmtl.methods.models import model_of


def assert_close(first, second, rtol=1e-4, atol=1e-5):
    def close(a, b):
        if np.issubdtype(np.asarray(a).dtype, np.inexact):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
        else:
            np.testing.assert_array_equal(a, b)

    jax.tree.map(close, first, second)


def assert_identical(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), first, second)


def assert_same_run(first, second, rtol=1e-4, atol=1e-5):
    assert tuple(first.events) == tuple(second.events)
    assert first.divergence == second.divergence
    assert_close(first.history, second.history, rtol, atol)
    assert_close((first.params, first.head_index), (second.params, second.head_index), rtol, atol)


def check_models(bench, found, x):
    """What an arm has kept are the models whose errors it reports, and files give them back."""
    again = held_out(found, bench.data, bench.folds)
    features, outputs = bench.data.x.shape[1], bench.num_tasks
    for seed, model in enumerate(found.models):
        rows = bench.folds.parts[seed].test
        errors = ((again[seed] - bench.data.y[rows]) ** 2).mean(axis=0)
        np.testing.assert_allclose(errors, found.scores[seed], rtol=1e-4, atol=1e-7)
        saved = model_of(
            model.kind, model.spec(), model.arrays(), features=features, outputs=outputs
        )
        np.testing.assert_array_equal(saved.predict(x), model.predict(x))
    assert not found.diverged.any()
