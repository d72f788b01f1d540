"""A made-up city's daily air quality, as a workbook with the headers of the real ones.

The numbers are drawn, not measured. What they share with the history of a large city in eastern
China are the shapes: winters twice as dirty as summers, ozone the other way round; days of still
air on which all gases rise together for half a week; heavy tails; PM2.5 as a varying part of
PM10; SO2 that falls from year to year; and an air-quality index computed from the six pollutants
by the national standard.

References:
    HJ 633-2012, Technical regulation on ambient air quality index (on trial), Ministry of
    Environmental Protection of China: the breakpoints of the index and its levels.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    import pandas as pd

_SHEET = "Sheet1"
_FIRST_DAY = np.datetime64("2014-01-01")
_MEMORY = 0.6  # of the weather, from one day to the next

_INDEX = (0, 50, 100, 150, 200, 300, 400, 500)
# Daily means in µg/m³ (CO: mg/m³) at which the index takes the values above; ozone by 8 hours
# is defined up to 300 only.
_BREAKPOINTS = {
    "PM2.5": (0, 35, 75, 115, 150, 250, 350, 500),
    "PM10": (0, 50, 150, 250, 350, 420, 500, 600),
    "SO2": (0, 50, 150, 475, 800, 1600, 2100, 2620),
    "CO": (0, 2, 4, 14, 24, 36, 48, 60),
    "NO2": (0, 40, 80, 180, 280, 565, 750, 940),
    "O3_8h": (0, 100, 160, 215, 265, 800),
}
_LEVELS = ("优", "良", "轻度污染", "中度污染", "重度污染", "严重污染")
_LEVEL_ABOVE = (50, 100, 150, 200, 300)


def air_quality_frame(seed: int = 0, days: int = 1461) -> "pd.DataFrame":
    """Draws a daily history, from 1 January 2014 on.

    Args:
        seed: seed of NumPy's PCG64, at least 0.
        days: number of days, at least 1; the default is four years.

    Returns:
        Columns 日期 (ISO date, text), AQI, 质量等级 (level in words), PM2.5, PM10, SO2, CO, NO2 and
        O3_8h, in µg/m³ (CO in mg/m³).

    Raises:
        ValueError: the seed or the number of days is out of range.

    Example:
        >>> frame = air_quality_frame(seed=0, days=3)
        >>> list(frame.columns)
        ['日期', 'AQI', '质量等级', 'PM2.5', 'PM10', 'SO2', 'CO', 'NO2', 'O3_8h']
        >>> list(frame["日期"])
        ['2014-01-01', '2014-01-02', '2014-01-03']
    """
    import pandas as pd

    if seed < 0:
        raise ValueError(f"seed: expected at least 0, got {seed}")
    if days < 1:
        raise ValueError(f"days: expected at least 1, got {days}")
    dates = _FIRST_DAY + np.arange(days)
    pollutants = _draw(np.random.default_rng(seed), days)
    index = _air_quality_index(pollutants)
    level = np.searchsorted(_LEVEL_ABOVE, index)
    return pd.DataFrame(
        {
            "日期": dates.astype(str),
            "AQI": index,
            "质量等级": [_LEVELS[i] for i in level],
            **pollutants,
        }
    )


def write_air_quality(path: str | os.PathLike[str], seed: int = 0, days: int = 1461) -> Path:
    """Writes `air_quality_frame` as an .xlsx workbook; the file appears whole or not at all.

    Args:
        path: where to write; a file there is replaced.
        seed: seed of NumPy's PCG64, at least 0.
        days: number of days, at least 1.

    Returns:
        The path.

    Raises:
        ValueError: the path does not end in .xlsx, or a number is out of range.

    Example:
        >>> from jaxmtl.data import read_table
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_air_quality(Path(folder, "air.xlsx"), days=5)
        ...     table = read_table(path, features=["SO2", "CO", "NO2"], targets=["O3_8h"])
        >>> table.x.shape, table.y.shape
        ((5, 3), (5, 1))
    """
    path = Path(path)
    if path.suffix.lower() != ".xlsx":
        raise ValueError(f"path: expected a name that ends in .xlsx, got {path}")
    frame = air_quality_frame(seed, days)
    # Beside its place, so that the last step is a mere renaming.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}") as folder:
        unfinished = Path(folder, path.name)
        frame.to_excel(unfinished, sheet_name=_SHEET, index=False, engine="openpyxl")
        unfinished.replace(path)
    return path


def _draw(rng: np.random.Generator, days: int) -> dict[str, Float[np.ndarray, " days"]]:
    """Daily means of the six pollutants."""
    turn = 2 * np.pi * (np.arange(days) - 15) / 365.25  # 0 in mid-January
    years = np.arange(days) / 365.25
    winter, half_year = np.cos(turn), np.cos(2 * turn)

    def weather() -> Float[np.ndarray, " days"]:
        return _autoregression(rng, days)

    still, burning, sun, dust = weather(), weather(), weather(), weather()
    # Rain washes everything out, some gases more than others.
    rain = np.where(weather() > 1.0, rng.exponential(1.0, days), 0.0)

    log_pm25 = 4.15 + 0.33 * winter - 0.12 * years + 0.05 * half_year
    log_pm25 += 0.5 * still + 0.16 * burning + 0.25 * weather() - 0.3 * rain
    # Haze is fine dust; a dry wind brings coarse dust.
    share = 0.45 + 0.25 * (log_pm25 - 4.15) - 0.42 * dust + 0.25 * weather()
    log_pm10 = log_pm25 + np.log1p(np.exp(-share))
    log_so2 = 3.2 + 0.33 * winter - 0.2 * years
    log_so2 += 0.26 * still + 0.27 * burning + 0.27 * weather() - 0.12 * rain
    log_co = 0.07 + 0.22 * winter - 0.04 * years + 0.06 * half_year
    log_co += 0.24 * still + 0.06 * burning + 0.17 * weather() - 0.05 * rain
    log_no2 = 3.85 + 0.27 * winter - 0.05 * years
    log_no2 += 0.19 * still + 0.17 * burning + 0.18 * weather() - 0.12 * rain
    # Still air feeds ozone under the summer sun; in winter its nitric oxide eats it up.
    root_o3 = 9.9 - 2.3 * winter - 0.3 * half_year - 0.02 * years
    root_o3 += 1.4 * sun + (-0.1 - 0.9 * winter) * still + 0.9 * weather() - 0.7 * rain
    ozone = np.maximum(root_o3, 2.0) ** 2
    return {
        "PM2.5": np.round(np.exp(log_pm25), 1),
        "PM10": np.round(np.exp(log_pm10), 1),
        "SO2": np.round(np.exp(log_so2), 1),
        "CO": np.round(np.exp(log_co), 3),
        "NO2": np.round(np.exp(log_no2), 1),
        "O3_8h": np.round(ozone),
    }


def _autoregression(rng: np.random.Generator, days: int) -> Float[np.ndarray, " days"]:
    """A stationary series of mean 0 and variance 1 that remembers the day before."""
    series = rng.standard_normal(days)
    fresh = np.sqrt(1 - _MEMORY**2)
    for day in range(1, days):
        series[day] = _MEMORY * series[day - 1] + fresh * series[day]
    return series


def _air_quality_index(
    pollutants: dict[str, Float[np.ndarray, " days"]],
) -> Int[np.ndarray, " days"]:
    """The worst pollutant's index, rounded up."""
    single = [
        np.interp(pollutants[name], points, _INDEX[: len(points)])
        for name, points in _BREAKPOINTS.items()
    ]
    return np.ceil(np.max(single, axis=0)).astype(int)
