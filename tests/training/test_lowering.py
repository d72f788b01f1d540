"""What whole runs compile lowers for GPUs and TPUs."""

import importlib

import jax
import numpy as np
import pytest

import jaxmtl

module = importlib.import_module("jaxmtl.training.fit")  # `jaxmtl.training` has the function
X = np.random.default_rng(0).uniform(size=(12, 3)).astype(np.float32)
ROWS = jaxmtl.Rows(X, X[:, :2])


@pytest.mark.parametrize("splits", [False, True])
def test_epochs_of_a_run_lower(splits, monkeypatch):
    exported = []
    advance = module.advance

    def watched(network, config, *traced):
        def epochs(*traced):
            return advance(network, config, *traced)

        exported.append(jax.export.export(jax.jit(epochs), platforms=("cuda", "tpu"))(*traced))
        return advance(network, config, *traced)

    monkeypatch.setattr(module, "advance", watched)
    data = jaxmtl.Splits(train=ROWS, test=ROWS)
    model, key = jaxmtl.HardSharing(shared=(3,), nodes=2, outputs=(1, 1)), jax.random.key(0)
    if splits:
        phases = (jaxmtl.Phase(2, warmup=1, threshold=2), jaxmtl.Phase(1))
        jaxmtl.fit_adaptive(model, data, key=key, phases=phases)
    else:
        jaxmtl.fit(model, data, key=key, epochs=2, aggregator="mgda")
    assert exported
    assert all(one.platforms == ("cuda", "tpu") for one in exported)
