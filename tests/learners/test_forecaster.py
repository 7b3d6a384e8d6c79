"""Forecasting: kernels against their twins, and what the whole does on streams of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learners.base import StateError
from learners.forecaster import Forecaster
from learners.intervals import Intervals
from learners.kernels import decoder as decoder_kernels
from learners.kernels import forecaster as kernels
from learners.kernels import intervals as interval_kernels
from learners.kernels import seasons as season_kernels
from tests import naive_forecast as naive

Floats = NDArray[np.float64]


def run(
    forecaster: Forecaster, values: Floats, seconds: float = math.nan, cells: Any = None
) -> Floats:
    """Return the forecasts float[n, H, 3] of a stream, without cells unless told."""
    arrays = forecaster.arrays
    made = np.zeros((len(values), len(arrays.decoder.horizons), 3))
    for i, value in enumerate(values.tolist()):
        now = np.asarray([] if cells is None else cells[i], np.int32)
        kernels.forecaster_look(arrays, value, i * seconds, now, len(now), made[i])
        kernels.forecaster_learn(arrays, value, made[i])
    return made


def scaled(low: float, high: float, **params: Any) -> Forecaster:
    forecaster = Forecaster(**({"active_columns": 6, "buckets": 8, "rows": 64} | params))
    decoder_kernels.rescale_decoder(forecaster.arrays.decoder, low, high)
    return forecaster


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7), st.booleans())
def test_forecaster(seed: int, ahead: int, timed: bool) -> None:
    draw = np.random.default_rng(seed)
    n, seconds = 500, 7_200.0 if timed else math.nan
    values = 5.0 + 4.0 * np.sin(np.arange(n) * 2 * np.pi / 24) + draw.normal(0, 0.7, n)
    values[draw.integers(0, n, 12)] = np.nan
    values[0] = 5.0
    cells = [np.sort(draw.choice(40, draw.integers(0, 6), replace=False)) for _ in range(n)]
    forecaster = scaled(-1.0, 11.0, horizons=(ahead,))
    twin = naive.Forecaster(ahead, buckets=8, room=64)
    twin.decoder.rescale(-1.0, 11.0)
    made = run(forecaster, values, seconds, cells)
    for i, value in enumerate(values.tolist()):
        ref = twin.step(value, i * seconds, [int(c) for c in cells[i]])
        got = made[i, 0]
        np.testing.assert_allclose(got, ref, rtol=1e-5, atol=1e-6)
    assert forecaster.season == twin.seasons.lag
    weight = forecaster.decoder.arrays.weight[0]
    np.testing.assert_allclose(weight, twin.decoder.weight, atol=2)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 300))
def test_seasons(seed: int, lag: int) -> None:
    draw = np.random.default_rng(seed)
    season = draw.normal(size=lag)
    values = np.tile(season, 1 + 1_000 // lag)[:1_000] + draw.normal(0, 0.05, 1_000)
    twin, forecaster = naive.Seasons(), scaled(-3.0, 3.0)
    for value in values.tolist():
        season_kernels.measure_step(forecaster.arrays.seasons, value)
        season_kernels.seasons_learn(forecaster.arrays.seasons, value)
        twin.measure(value)
        twin.learn(value)
    assert forecaster.season == twin.lag
    np.testing.assert_allclose(forecaster.arrays.seasons.off, twin.off, rtol=1e-4, atol=1e-5)
    if lag > 30:
        assert twin.lag % lag == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.sampled_from([0.5, 0.9, 0.99]))
def test_intervals(seed: int, ahead: int, coverage: float) -> None:
    draw = np.random.default_rng(seed)
    got, twin = Intervals((ahead,), coverage).arrays, naive.Intervals(ahead, coverage)
    bands: list[tuple[float, float, float]] = []
    ends = np.zeros(2)
    for i in range(150):
        value, middle = draw.normal(size=2)
        if i >= ahead:
            lower, upper, then = bands[i - ahead]
            twin.learn(then, (lower, upper), value)
        interval_kernels.intervals_learn(got, value)
        told = float(draw.choice([math.nan, 0.0, 2.0]))
        ref = twin.band(middle, told, 9.0)
        interval_kernels.band(got, 0, middle, told, 9.0, ends)
        np.testing.assert_allclose(ends, ref, rtol=1e-9)
        interval_kernels.intervals_push(got, 0, ends[0], ends[1], middle)
        got.events[0] += 1
        bands.append((*ref, middle))


def test_bands_keep_their_share_while_noise_grows() -> None:
    draw = np.random.default_rng(3)
    size = np.repeat([1.0, 5.0, 0.5, 2.0], 1_500)
    values = 50.0 + 10.0 * np.sin(np.arange(6_000) / 7) + size * draw.standard_t(4, 6_000)
    for ahead in (1, 6):
        made = run(scaled(20.0, 80.0, horizons=(ahead,)), values)[:-ahead, 0]
        y = values[ahead:]
        inside = (y >= made[:, 1]) & (y <= made[:, 2])
        assert abs(inside[200:].mean() - 0.9) < 0.01
        windows = np.convolve(inside[200:], np.ones(500) / 500, "valid")
        assert windows.min() > 0.8
        assert (made[1_000:1_400, 2] - made[1_000:1_400, 1]).mean() < 8.0


def test_what_repeats_is_found_and_forecast_through() -> None:
    draw = np.random.default_rng(1)
    season = draw.normal(0, 10, 50)
    values = np.tile(season, 40) + draw.normal(0, 0.1, 2_000)
    forecaster = scaled(-30.0, 30.0, horizons=(1, 7))
    made = run(forecaster, values)
    assert forecaster.season % 50 == 0
    for h, ahead in enumerate((1, 7)):
        error = np.abs(values[1_000 + ahead :] - made[1_000:-ahead, h, 0]).mean()
        assert error < 0.1 * np.abs(np.diff(values)).mean()


def test_a_walk_is_forecast_as_staying() -> None:
    values = np.cumsum(np.random.default_rng(2).normal(size=3_000))
    made = run(scaled(values.min(), values.max()), values)
    ours = np.abs(values[1_001:] - made[1_000:-1, 0, 0]).mean()
    assert ours < 1.03 * np.abs(np.diff(values[1_000:])).mean()


@pytest.mark.parametrize("start", [0.0, 12_345.0])
def test_the_first_events_mislead_nobody(start: float) -> None:
    values = start + np.random.default_rng(5).normal(0, 1_000, 600)
    forecaster = scaled(start - 4_000, start + 4_000, horizons=(1, 2))
    run(forecaster, values)
    state = forecaster.get_state()
    head = state["head_past"][0, :, kernels.PAST_HEAD]
    assert np.nanmax(np.abs(head - start)) < 3_000
    assert np.abs(state["head_weight"]).max() < 5


HARD: dict[str, Floats] = {
    "huge": np.resize([1e308, -1e308, 1.7e308], 400),
    "tiny": np.resize([5e-324, 0.0, -5e-324], 400),
    "mixed": np.resize([1e-300, 1e300, 0.0, -1e300, 1.0], 400),
    "flat": np.full(400, 7.0),
    "missing": np.full(400, np.nan),
    "late": np.concatenate([np.full(100, np.nan), np.arange(300.0)]),
    "step": np.repeat([0.0, 1e12], 200),
}


@pytest.mark.parametrize("name", HARD)
def test_nothing_hostile_makes_it_less_than_finite(name: str) -> None:
    forecaster = scaled(-1.0, 1.0, horizons=(1, 3))
    made = run(forecaster, HARD[name], 60.0)
    known = ~np.isnan(made[:, :, 0])
    assert np.isfinite(made[known]).all()
    assert known[-1].all() or name == "missing"
    assert (made[known][:, 1] <= made[known][:, 0]).all()
    assert (made[known][:, 0] <= made[known][:, 2]).all()
    forecaster.set_state(forecaster.get_state())


def test_many_events_alike_leave_the_head_sound() -> None:
    forecaster = scaled(-1.0, 1.0)
    values = np.resize([0.1, 0.1, 0.1, 0.4], 60_000)
    made = run(forecaster, values)
    assert np.abs(values[1:] - made[:-1, 0, 0])[-100:].max() < 0.01
    variance = forecaster.get_state()["head_variance"][0]
    assert (np.linalg.eigvalsh(variance) > -1e-6).all()


def test_a_restored_one_goes_on_bit_for_bit() -> None:
    values = np.random.default_rng(4).normal(size=400)
    one, other = scaled(-3.0, 3.0, horizons=(1, 3)), scaled(0.0, 1.0, horizons=(1, 3))
    run(one, values[:200], 60.0)
    other.set_state(one.get_state())
    np.testing.assert_array_equal(run(one, values[200:], 60.0), run(other, values[200:], 60.0))
    for name, array in one.get_state().items():
        np.testing.assert_array_equal(array, other.get_state()[name])


def test_a_reset_judges_nothing_made_before() -> None:
    forecaster = scaled(-1.0, 1.0, horizons=(2,))
    run(forecaster, np.sin(np.arange(50.0)))
    before = forecaster.get_state()
    kernels.forecaster_reset(forecaster.arrays)
    run(forecaster, np.array([900.0, -900.0]))
    after = forecaster.get_state()
    for name in ("head_weight", "head_loss", "intervals_error", "intervals_factor"):
        np.testing.assert_array_equal(before[name], after[name])


HOSTILE: list[tuple[str, Any]] = [
    ("decoder_row", 64),
    ("decoder_pattern", -1),
    ("decoder_pattern_n", 99),
    ("decoder_counts", -1),
    ("decoder_edges", 0.0),
    ("decoder_bucket_value", math.nan),
    ("intervals_factor", 99.0),
    ("intervals_error", -1.0),
    ("intervals_seen", -1),
    ("intervals_waiting", math.inf),
    ("seasons_ring", math.nan),
    ("seasons_off", -1.0),
    ("seasons_looks", math.nan),
    ("seasons_counts", 2**40),
    ("head_weight", math.inf),
    ("head_variance", math.nan),
    ("head_loss", -1.0),
    ("head_past", math.inf),
]


@pytest.mark.parametrize(("name", "entry"), HOSTILE)
def test_hostile_state_is_refused(name: str, entry: Any) -> None:
    forecaster = scaled(-3.0, 3.0)
    run(forecaster, np.random.default_rng(6).normal(size=80))
    before = forecaster.get_state()
    bad = {key: array.copy() for key, array in before.items()}
    bad[name][...] = entry
    with pytest.raises(StateError):
        forecaster.set_state(bad)
    with pytest.raises(StateError):
        forecaster.set_state(before | {"more": np.zeros(1)})
    for key, array in forecaster.get_state().items():
        np.testing.assert_array_equal(array, before[key])
