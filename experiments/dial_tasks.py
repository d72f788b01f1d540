"""Two simulated tasks whose kinship is a dial: an angle between functions, a correlation of noise.

    y_1 = f0(x) + noise_1,    y_2 = cos(phi) f0(x) + sin(phi) g(x) + noise_2

f0 and g are random smooth functions, small tanh networks, of mean 0 and variance 1 and orthogonal
to each other under the distribution of x, uniform on a cube. At 0 degrees the tasks are one, at 90
unrelated, at 180 one is the other with its sign flipped. Training and validation rows are noisy;
test rows are not, so that a test error is the distance to the function itself.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxmtl import data as jdata

FEATURES = ("x1", "x2", "x3", "x4")
TARGETS = ("y1", "y2")
HIDDEN = 6  # tanh nodes of a random function
STEEPNESS = 1.5  # of them: how far a function is from a plane
ROWS_FOR_MOMENTS = 8192
TEST_ROWS = 500

Function = Callable[[np.ndarray], np.ndarray]


class Condition(NamedTuple):
    """What is dialled.

    Attributes:
        rows: training rows; a quarter as many more are for validation.
        angle: between the two functions, in degrees.
        correlation: of the two tasks' noise.
        noise: its standard deviation; that of the functions is 1.
    """

    rows: int
    angle: float
    correlation: float
    noise: float = 0.5


def random_functions(rng: np.random.Generator) -> tuple[Function, Function]:
    """Two random functions of mean 0, variance 1 and correlation 0 over the cube."""
    raw = [_tanh_network(rng) for _ in range(2)]
    x = draw_inputs(rng, ROWS_FOR_MOMENTS)
    values = np.stack([f(x) for f in raw], axis=1)
    means = values.mean(axis=0)
    # Gram and Schmidt on the sample: the second one loses its part along the first.
    mixing = np.linalg.inv(np.linalg.cholesky(np.cov(values.T, bias=True)))

    def orthonormal(place: int) -> Function:
        def f(x: np.ndarray) -> np.ndarray:
            return (np.stack([f(x) for f in raw], axis=1) - means) @ mixing[place]

        return f

    return orthonormal(0), orthonormal(1)


def _tanh_network(rng: np.random.Generator) -> Function:
    kernel = rng.normal(size=(len(FEATURES), HIDDEN)) * STEEPNESS
    bias, out = rng.normal(size=HIDDEN), rng.normal(size=HIDDEN)
    return lambda x: np.tanh(x @ kernel + bias) @ out


def draw_inputs(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Uniform on a cube."""
    return rng.uniform(-1, 1, (rows, len(FEATURES)))


def dataset(condition: Condition, seed: int) -> jdata.Dataset:
    """Fresh functions and rows; seeds agree in all that the dial leaves alone."""
    rng = np.random.default_rng(seed)
    f0, g = random_functions(rng)
    validation = condition.rows // 4
    noisy = condition.rows + validation
    x = draw_inputs(rng, noisy + TEST_ROWS)
    angle = np.deg2rad(condition.angle)
    y = np.stack([f0(x), np.cos(angle) * f0(x) + np.sin(angle) * g(x)], axis=1)
    rho = condition.correlation
    e = rng.normal(size=(noisy, 2))
    e[:, 1] = rho * e[:, 0] + np.sqrt(1 - rho**2) * e[:, 1]
    y[:noisy] += condition.noise * e
    table = jdata.Table(
        features=FEATURES,
        targets=TARGETS,
        x=x,
        y=y,
        rows=np.arange(len(x)) + 2,
        source=f"simulated tasks, seed {seed}",
        kept={},
    )
    places = np.split(np.arange(len(x)), [condition.rows, noisy])
    return jdata.prepare(table, jdata.SplitIndices(*places))
