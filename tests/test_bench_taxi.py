"""The taxi benchmark: its measures by hand, its protocols on a small series of its own."""

from __future__ import annotations

import gzip
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks import taxi_online, taxi_paper, taxi_series
from service.cli import main

ALL = slice(0, None)


def rows(n: int) -> str:
    first = datetime(2014, 7, 1, tzinfo=UTC)
    lines = ["timestamp,passenger_count,timeofday,dayofweek", "datetime,int,int,int", "T,,,"]
    for i in range(n):
        t = first + timedelta(minutes=30 * i)
        value = 15_000 + 9_000 * math.sin(i * 2 * math.pi / 48) + 37 * (i % 11)
        lines.append(f"{t:%Y-%m-%d %H:%M:%S},{value:.0f},{30 * (i % 48)},{t.weekday()}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("nyc_taxi.csv.gz", "nyc_taxi_perturb.csv.gz"):
        (tmp_path / name).write_bytes(gzip.compress(rows(400).encode()))
    return tmp_path


def test_buckets_are_those_of_the_paper() -> None:
    values = [-5.0, 0.0, 952.0, 953.0, 20_000.0, 39_048.0, 90_000.0]
    assert taxi_series.bucket(values).tolist() == [0, 0, 0, 1, 11, 21, 21]
    edges = taxi_series.bucket_edges()
    assert len(edges) == 21
    assert taxi_series.bucket(edges - 0.01).tolist() == list(range(21))
    assert taxi_series.bucket(edges + 0.01).tolist() == list(range(1, 22))


def test_measures_by_hand() -> None:
    value = np.arange(10.0, 22.0)
    forecast = value + taxi_series.AHEAD
    forecast[0] += 3.0
    mass = np.full((12, 22), 0.0)
    mass[:, 0] = math.exp(-1)
    found = taxi_series.judged(value, ALL, forecast, mass)
    assert found["mape"] == pytest.approx(3 / sum(range(15, 22)))
    assert found["nrmse"] == pytest.approx(math.sqrt(9 / 7) / value.std())
    assert found["nll"] == pytest.approx(1.0)
    band = taxi_series.banded(value, ALL, forecast - 1.0, forecast + 1.0, 0.9)
    assert band["coverage"] == pytest.approx(6 / 7)
    assert band["worst_500"] == pytest.approx(6 / 7)
    assert band["width"] == 2.0
    assert band["winkler"] == pytest.approx(2.0 + 20 * 2 / 7)
    assert taxi_series.nll(np.array([5.0]), np.zeros((1, 22)))[0] == -math.log(0.01)


def test_a_lag_repeats_what_was() -> None:
    value = np.arange(100.0)
    y, made = taxi_series.pairs(value, taxi_series.shifted(value, 48), slice(48, None))
    assert (y - made == 48).all()
    assert taxi_series.trailing(value, 10)[[0, 1, 50]].tolist() == [0.0, 0.5, 45.5]


def test_both_protocols_forecast_only_from_the_past(folder: Path) -> None:
    series = taxi_series.read(folder / "nyc_taxi.csv.gz")
    changed = taxi_series.Series(series.value.copy(), series.t)
    changed.value[300:] = 100.0
    once, again = (taxi_online.forecasts(each, seed=1) for each in (series, changed))
    np.testing.assert_array_equal(once.value[:300], again.value[:300])
    np.testing.assert_array_equal(once.mass[:300], again.mass[:300])
    assert np.allclose(once.mass.sum(axis=1), 1.0)
    made = taxi_paper.forecasts(series, seed=1)
    assert np.allclose(made.mass.sum(axis=1), 1.0)
    assert taxi_series.judged(series.value, slice(200, None), made.value)["mape"] < 0.3


def test_bench_taxi(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = folder / "taxi.png"
    assert main(["bench", "taxi", "--quick", "--data", str(folder), "--plot", str(figure)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figure.read_bytes().startswith(b"\x89PNG")
    for name in ("E6", "E7"):
        measured = found[name]["measured"]
        assert 0 < measured["paper"]["mape"]["mean"] < 1
        assert 0 < measured["online"]["coverage"]["mean"] <= 1
        assert found[name]["published"]["htm"]["mape"] > 0
