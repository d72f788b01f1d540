"""The built-in workbook: read back as written, and shaped like real air."""

import numpy as np
import pandas as pd
import pytest

from jaxmtl.data import air_quality_frame, prepare, random_split, read_table, write_air_quality

HEADERS = ["日期", "AQI", "质量等级", "PM2.5", "PM10", "SO2", "CO", "NO2", "O3_8h"]
GASES = HEADERS[3:]


@pytest.fixture(scope="module")
def frame():
    return air_quality_frame()


def test_columns_days_and_levels(frame):
    assert list(frame.columns) == HEADERS
    assert len(frame) == 1461
    assert frame["日期"].iloc[[0, -1]].tolist() == ["2014-01-01", "2017-12-31"]
    assert (frame[GASES] > 0).all(axis=None)
    assert (frame["PM2.5"] < frame["PM10"]).all()
    assert frame["AQI"].between(1, 500).all()
    levels = frame.groupby("质量等级")["AQI"].agg(["min", "max"])
    assert levels.loc["优", "max"] <= 50 < levels.loc["良", "min"]
    assert levels.loc["良", "max"] <= 100 < levels.loc["轻度污染", "min"]
    assert set(levels.index) >= {"优", "良", "轻度污染", "中度污染", "重度污染"}


@pytest.mark.parametrize("seed", range(4))
def test_shaped_like_real_air(seed):
    frame = air_quality_frame(seed)
    air = frame[GASES]
    month = pd.to_datetime(frame["日期"]).dt.month
    winter, summer = air[month.isin([12, 1])].mean(), air[month.isin([6, 7])].mean()
    for gas in GASES[:-1]:
        assert winter[gas] > 1.3 * summer[gas]
    assert summer["O3_8h"] > 1.8 * winter["O3_8h"]
    # Heavy tails, and days that resemble the day before.
    assert (air[GASES[:-1]].skew() > 0.6).all()
    assert (air.quantile(0.99) > 2 * air.median()).all()
    assert all(0.4 < air[gas].autocorr(1) < 0.9 for gas in GASES)
    # The gases rise together; ozone is high when the rest is low.
    correlation = air.corr()
    primary = correlation.loc[GASES[:-1], GASES[:-1]].to_numpy()
    assert primary.min() > 0.4
    assert 0.85 < correlation.loc["PM2.5", "PM10"] < 0.97
    assert (correlation.loc["O3_8h", GASES[:-1]] < -0.08).all()


def test_other_seeds_differ_and_seeds_repeat(frame):
    pd.testing.assert_frame_equal(frame, air_quality_frame(0))
    assert (frame["CO"] != air_quality_frame(1)["CO"]).mean() > 0.9


def test_read_back_through_the_ordinary_path(frame, tmp_path):
    path = write_air_quality(tmp_path / "air.xlsx")
    assert [p.name for p in tmp_path.iterdir()] == ["air.xlsx"]
    table = read_table(
        path, features=["SO2", "CO", "NO2", "PM10"], targets=["PM2.5", "O3_8h"], keep=["日期"]
    )
    np.testing.assert_array_equal(table.x, frame[["SO2", "CO", "NO2", "PM10"]])
    np.testing.assert_array_equal(table.y, frame[["PM2.5", "O3_8h"]])
    assert table.kept["日期"].tolist() == frame["日期"].tolist()
    data = prepare(table, random_split(len(table.rows), seed=0))
    assert data.splits.train.x.shape == (1169, 4)


def test_an_existing_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = write_air_quality(tmp_path / "air.xlsx", days=3)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_excel", fail)
    with pytest.raises(OSError, match="disk full"):
        write_air_quality(path, days=4)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("kwargs", "problem"),
    [({"seed": -1}, "seed: expected at least 0"), ({"days": 0}, "days: expected at least 1")],
)
def test_numbers_out_of_range(kwargs, problem):
    with pytest.raises(ValueError, match=problem):
        air_quality_frame(**kwargs)


def test_path_that_is_no_workbook(tmp_path):
    with pytest.raises(ValueError, match="ends in .xlsx"):
        write_air_quality(tmp_path / "air.csv")


def test_statistics_near_those_of_a_real_city(frame, shared_data):
    real = pd.read_excel(shared_data / "nanjing_2013_2017.xlsx")
    for gas in GASES:
        for statistic in (np.mean, np.std, lambda v: np.quantile(v, 0.95)):
            assert 0.7 < statistic(frame[gas]) / statistic(real[gas]) < 1.4
    difference = (frame[GASES].corr() - real[GASES].corr()).abs()
    assert difference.max(axis=None) < 0.3
    # Nothing of it is copied.
    assert not set(map(tuple, frame[GASES].to_numpy())) & set(map(tuple, real[GASES].to_numpy()))
