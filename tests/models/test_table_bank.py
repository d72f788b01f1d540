"""The bank of a network for tables is duplicated while it trains."""

import jax
import numpy as np
import optax

from jaxmtl import Phase, fit, fit_adaptive
from jaxmtl.data import Rows, Splits
from jaxmtl.models import TableNet
from jaxmtl.training import as_network

NETWORK = TableNet(numbers=(0, 1), levels=(2,), hidden=(6, 5), sharing="bank", dropout=0.0)


def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    x[:, 2] = x[:, 2] > 0
    y = np.stack([x[:, 0] + x[:, 1], x[:, 1] - x[:, 0]], axis=1)
    return Splits(Rows(x[:40], y[:40]), None, Rows(x[40:], y[40:]))


def test_nodes_are_split_where_tasks_disagree_and_before_that_it_trains_as_without():
    options = {"optimizer": optax.adam, "batch_size": 8}
    phases = [Phase(3, learning_rate=0.01, warmup=2, threshold=1), Phase(2)]
    run = fit_adaptive(NETWORK, rows(), key=jax.random.key(0), phases=phases, **options)
    (first, *_) = run.events
    assert len(np.unique(run.head_index)) == 5 + len(run.events)
    assert run.head_index[first.tasks[0], first.node] == first.copy
    assert run.history.train[-1].max() < run.history.train[0].max()
    # The first epoch only counts: errors are those of training without counting.
    plain = fit(NETWORK, rows(), key=jax.random.key(0), epochs=1, learning_rate=0.01, **options)
    np.testing.assert_allclose(run.history.train[0], plain.history.train[0], rtol=1e-5)


def test_only_with_a_bank_and_no_line():
    assert as_network(NETWORK).bank is not None
    assert as_network(NETWORK.clone(line=True)).bank is None
    assert as_network(NETWORK.clone(sharing="shared")).bank is None
