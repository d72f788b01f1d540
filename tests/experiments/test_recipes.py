"""The training loops of other model libraries run, and learn."""

import numpy as np
import pytest

from .load import load


@pytest.mark.parametrize(
    ("recipe", "library"),
    [
        pytest.param("linen", "flax.linen", marks=pytest.mark.slow),
        pytest.param("nnx", "flax.nnx", marks=pytest.mark.slow),
        ("equinox", "equinox"),
    ],
)
def test_losses_of_both_tasks_fall(recipe, library):
    pytest.importorskip(library)
    history = np.array(load(f"recipes/{recipe}_loop").main(steps=120))
    assert history.shape == (120, 2)
    assert (history[-8:].mean(axis=0) < 0.5 * history[:8].mean(axis=0)).all()
