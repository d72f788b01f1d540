"""Problems of which is known, or to be found out, whether their tasks should share.

Targets have unit variance unless a problem is about their units; training and validation rows are
noisy, test rows are not, so that a test error is the distance to the functions themselves.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from dial_tasks import Function, draw_inputs, random_functions

from jaxmtl.data import Rows, Splits, air_quality_frame

TEST_ROWS = 1000
NOISE = 0.5  # its standard deviation; that of the functions is 1


class Problem(NamedTuple):
    """Tasks to learn.

    Attributes:
        name: as tables have it.
        tasks: their names.
        draw: from a generator, features, functions' values and noisy targets of all rows.
        rows: training rows; a quarter as many more are held out to decide on.
        test_rows: to test on.
    """

    name: str
    tasks: tuple[str, ...]
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray, np.ndarray]]
    rows: int = 3000
    test_rows: int = TEST_ROWS

    def splits(self, seeds: Sequence[int]) -> Splits:
        """Functions and rows of every seed, with an axis of seeds."""
        found = [self._of(seed) for seed in seeds]
        parts = [
            [np.stack(leaf) for leaf in zip(*part, strict=True)]
            for part in zip(*found, strict=True)
        ]
        return Splits(*(Rows(x.astype(np.float32), y.astype(np.float32)) for x, y in parts))

    def _of(self, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        cuts = np.cumsum([self.rows, self.rows // 4])
        x, clean, noisy = self.draw(np.random.default_rng(seed), cuts[-1] + self.test_rows)
        xs, cleans, noisies = (np.split(values, cuts) for values in (x, clean, noisy))
        return [(xs[0], noisies[0]), (xs[1], noisies[1]), (xs[2], cleans[2])]


def dial(angle: float, rows: int = 3000, correlation: float = 0.0, unit: float = 1.0) -> Problem:
    """Two tasks whose functions stand at an angle, the second one maybe in a larger unit."""

    def draw(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        f0, g = random_functions(rng)
        x = draw_inputs(rng, number)
        turned = np.deg2rad(angle)
        y = np.stack([f0(x), np.cos(turned) * f0(x) + np.sin(turned) * g(x)], axis=1)
        return x, y * [1, unit], (y + _noise(rng, number, correlation)) * [1, unit]

    name = f"{'dial' if unit == 1 else f'scale{unit:g},'} {angle:g}"
    name += "" if rows == 3000 else f", n = {rows}"
    name += "" if correlation == 0 else f", noise {correlation:+g}"
    return Problem(name, ("y1", "y2"), draw, rows)


def other_features(rows: int = 3000) -> Problem:
    """Two tasks that look at different features."""

    def draw(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        f0, g = random_functions(rng)
        x = np.concatenate([draw_inputs(rng, number), draw_inputs(rng, number)], axis=1)
        y = np.stack([f0(x[:, :4]), g(x[:, 4:])], axis=1)
        return x, y, y + _noise(rng, number, 0.0)

    return Problem("feat90", ("y1", "y2"), draw, rows)


def clusters(groups: Sequence[int], rows: int = 3000, name: str = "cl8x2") -> Problem:
    """Groups of tasks, each a function of its own, of which half the signs are flipped."""
    tasks = tuple(f"g{group} t{task}" for group, size in enumerate(groups) for task in range(size))

    def draw(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        functions: list[Function] = []
        while len(functions) < len(groups):
            functions += random_functions(rng)
        x = draw_inputs(rng, number)
        values = np.stack([f(x) for f in functions[: len(groups)]], axis=1)
        signs = np.where(rng.random(len(tasks)) < 0.5, -1, 1)
        y = np.repeat(values, groups, axis=1) * signs
        return x, y, y + NOISE * rng.normal(size=y.shape)

    return Problem(name, tasks, draw, rows)


def air(rows: int = 3000) -> Problem:
    """The generated table on air quality, split anew for every seed; its test rows are noisy."""

    def draw(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = air_quality_frame(days=max(number, 100))
        values = table[["SO2", "CO", "NO2", "PM10", "PM2.5", "O3_8h"]].to_numpy(float)
        values = rng.permutation((values - values.mean(axis=0)) / values.std(axis=0))[:number]
        return values[:, :4], values[:, 4:], values[:, 4:]

    return Problem("air table", ("PM2.5", "O3"), draw, rows)


def measurements() -> Problem:
    """The last 16 of the 30 columns of scikit-learn's breast cancer from the first 14."""
    from sklearn.datasets import load_breast_cancer

    found: Any = load_breast_cancer()
    names = tuple(map(str, found.feature_names))
    return _columns("breast cancer", found.data, names, list(range(14, 30)), 340)


def pixels() -> Problem:
    """The 16 pixels in the middle of scikit-learn's digits from the 48 around them."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    middle = [8 * row + column for row in range(2, 6) for column in range(2, 6)]
    return _columns("digits", found.data, tuple(found.feature_names), middle, 1200)


def _columns(
    name: str, values: np.ndarray, names: Sequence[str], targets: list[int], rows: int
) -> Problem:
    """Columns of a table from its others, split anew for every seed; its test rows are noisy."""
    kept = values.std(axis=0) > 0
    kept[targets] = False
    deviation = np.where(values.std(axis=0) > 0, values.std(axis=0), 1)
    scaled = (values - values.mean(axis=0)) / deviation

    def draw(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        drawn = rng.permutation(scaled)[:number]
        return drawn[:, kept], drawn[:, targets], drawn[:, targets]

    tasks = tuple(names[target] for target in targets)
    return Problem(name, tasks, draw, rows, len(values) - rows - rows // 4)


def _noise(rng: np.random.Generator, rows: int, correlation: float) -> np.ndarray:
    e = rng.normal(size=(rows, 2))
    e[:, 1] = correlation * e[:, 0] + np.sqrt(1 - correlation**2) * e[:, 1]
    return NOISE * e
