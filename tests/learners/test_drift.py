"""The drift detectors find what River's find, at the same events, and say what changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from river import datasets, drift

from learners.base import Drift, Features, Prediction, StateError
from learners.indicators.adwin import Adwin
from learners.indicators.drift import DriftDetector
from learners.indicators.kswin import Kswin, p_value
from learners.indicators.page_hinkley import PageHinkley
from learners.indicators.watch import LARGEST, error_of, watched

Series = np.ndarray[Any, np.dtype[np.float64]]


def series(seed: int) -> Series:
    draw = np.random.default_rng(seed)
    n, noise = 3_000, draw.normal(size=3_000)
    kinds: list[Callable[[], Series]] = [
        lambda: noise,
        lambda: noise + np.where(np.arange(n) < n // 2, 0.0, draw.uniform(0.2, 3)),
        lambda: noise + np.linspace(0, 5, n),
        lambda: (draw.random(n) < np.where(np.arange(n) < 1_000, 0.3, 0.6)).astype(float),
        lambda: np.cumsum(noise) * 0.05,
        lambda: np.repeat(draw.normal(size=30) * 4, 100) + noise * 0.1,
        lambda: np.round(noise),
        lambda: np.full(n, 3.25),
    ]
    return kinds[seed % len(kinds)]()


def found(detector: DriftDetector, values: Series) -> tuple[list[int], list[Drift]]:
    places: list[int] = []
    drifts: list[Drift] = []
    for i, value in enumerate(values):
        detector.update(Prediction(score=float(value)), {})
        if detector.drifts():
            places.append(i)
            drifts += detector.drifts()
    return places, drifts


def rivers(detector: Any, values: Series) -> list[int]:
    places = []
    for i, value in enumerate(values):
        detector.update(float(value))
        if detector.drift_detected:
            places.append(i)
    return places


@pytest.mark.parametrize("seed", range(32))
def test_adwin_is_rivers(seed: int) -> None:
    draw = np.random.default_rng(seed)
    params: dict[str, Any] = {
        "delta": float(draw.choice([0.002, 0.05, 0.3])),
        "clock": int(draw.choice([1, 7, 32])),
        "max_buckets": int(draw.choice([3, 5, 9])),
        "min_window_length": int(draw.choice([2, 5, 20])),
        "grace_period": int(draw.choice([2, 10, 50])),
    }
    ours, theirs = Adwin(**params), drift.ADWIN(**params)
    for value in series(seed):
        ours.update(Prediction(score=float(value)), {})
        theirs.update(float(value))
        assert bool(ours.drifts()) == theirs.drift_detected
        if not theirs.drift_detected:
            assert ours.window[0] == theirs.width
            assert ours.signals()["adwin_score_mean"] == pytest.approx(
                theirs.estimation, rel=1e-9, abs=1e-9
            )
    assert ours.value() == len(rivers(drift.ADWIN(**params), series(seed)))


@pytest.mark.parametrize("seed", range(32))
@pytest.mark.parametrize("mode", ["up", "down", "both"])
def test_page_hinkley_is_rivers(seed: int, mode: str) -> None:
    params: dict[str, Any] = {"threshold": 10.0 + seed, "delta": 0.05, "mode": mode}
    places, _ = found(PageHinkley(**params), series(seed))
    assert places == rivers(drift.PageHinkley(**params), series(seed))


@pytest.mark.parametrize("seed", range(16))
def test_kswin_is_rivers(seed: int) -> None:
    params: dict[str, Any] = {"alpha": 0.001, "window_size": 60, "stat_size": 20, "seed": seed}
    values = series(seed)[:600]
    places, _ = found(Kswin(**params), values)
    assert places == rivers(drift.KSWIN(**params), values)


def test_real_series_too() -> None:
    flow = np.array([y for _, y in datasets.WaterFlow()])
    assert found(Adwin(), flow)[0] == rivers(drift.ADWIN(), flow) != []
    assert found(PageHinkley(), flow)[0] == rivers(drift.PageHinkley(), flow) != []
    assert found(Kswin(seed=7), flow)[0] == rivers(drift.KSWIN(seed=7), flow) != []


def test_the_chance_of_a_gap_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    for n in (2, 5, 30):
        for steps in range(n + 1):
            a = np.arange(n, dtype=float)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                got = stats.ks_2samp(a, a + steps, method="exact")
            assert round(got.statistic * n) == steps
            assert p_value(steps, n) == pytest.approx(got.pvalue, rel=1e-10)


@pytest.mark.parametrize(
    ("kind", "params"),
    [(Adwin, {}), (PageHinkley, {"threshold": 10.0, "delta": 0.1}), (Kswin, {"alpha": 1e-6})],
)
@pytest.mark.parametrize("step", [3.0, -3.0])
def test_a_step_is_found_with_its_size(kind: Any, params: dict[str, Any], step: float) -> None:
    noise = np.random.default_rng(5).normal(size=2_000) * 0.2
    noise[1_000:] += step
    places, drifts = found(kind(**params), noise)
    first = next(each for place, each in zip(places, drifts, strict=True) if place >= 1_000)
    assert 1_000 <= min(place for place in places if place >= 1_000) < 1_064
    assert first.size == pytest.approx(step, abs=1.6)
    assert first.before == pytest.approx(0, abs=0.5)
    assert (first.watch, first.detector) == ("score", kind.detector)


@pytest.mark.parametrize("step", [0.5, 1.0, 3.0])
def test_adwin_tells_the_size_of_a_step(step: float) -> None:
    """Over what was dropped and what was kept, a step of 1 would look like one of 0.3."""
    sizes = []
    for seed in range(50):
        noise = np.random.default_rng(seed).normal(size=3_000)
        noise[1_500:] += step
        places, drifts = found(Adwin(), noise)
        sizes += [each.size for at, each in zip(places, drifts, strict=True) if at >= 1_500][:1]
    assert len(sizes) == 50
    assert float(np.median(sizes)) == pytest.approx(step, rel=0.15)


def test_what_is_watched() -> None:
    label = Prediction(label=2.0)
    named = Prediction(label="a", proba={"a": 1.0})
    expected = Prediction(expected={"v": 1.0, "w": 5.0, "gone": 1.0}, score=0.5)
    x: Features = {"v": 3.0, "w": 5.0, "place": "n", "none": None}
    assert watched("score", expected, x, None) == 0.5
    assert watched("score", label, x, None) is None
    assert watched("x.v", label, x, None) == 3.0
    for name in ("x.place", "x.none", "x.absent"):
        assert watched(name, label, x, None) is None
    assert watched("x.v", label, {"v": 1e300}, None) == LARGEST
    assert watched("x.v", label, {"v": float("nan")}, None) is None
    assert error_of(expected, x, None) == 1.0
    assert error_of(label, x, 5.0) == 3.0
    assert error_of(label, x, None) is None
    assert error_of(named, x, "b") == 1.0
    assert error_of(named, x, "a") == 0.0
    assert error_of(label, x, "text") == 1.0
    assert error_of(Prediction(label=1.0, proba={"1": 1.0}), x, 3.0) == 1.0


def test_events_without_the_number_change_nothing() -> None:
    detector = Adwin(watch="x.v")
    found(detector, series(1)[:50])
    assert detector.signals() == {"adwin_x.v_drifts": 0.0, "adwin_x.v_width": 0.0}
    detector.update(Prediction(), {"v": 2.0})
    assert detector.signals()["adwin_x.v_mean"] == 2.0


@pytest.mark.parametrize(
    ("kind", "params", "name"),
    [
        (Adwin, {"watch": "nonsense"}, "watch"),
        (Adwin, {"watch": "x."}, "watch"),
        (Adwin, {"delta": 0.0}, "delta"),
        (Adwin, {"max_buckets": 1}, "max_buckets"),
        (PageHinkley, {"mode": "sideways"}, "mode"),
        (PageHinkley, {"alpha": 0.0}, "alpha"),
        (Kswin, {"stat_size": 51}, "stat_size"),
        (Kswin, {"alpha": 1.0}, "alpha"),
    ],
)
def test_parameters_out_of_range(kind: Any, params: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: got "):
        kind(**params)


@pytest.mark.parametrize(
    ("kind", "name", "place", "value"),
    [
        (Adwin, "fill", 0, 99),
        (Adwin, "fill", 3, -1),
        (Adwin, "window", 0, 7.0),
        (Adwin, "window", 3, -1.0),
        (Adwin, "window", 4, 60.0),
        (Adwin, "sums", 0, np.nan),
        (Adwin, "found", 0, -1),
        (PageHinkley, "sums", 0, -1.0),
        (PageHinkley, "sums", 6, 1e9),
        (PageHinkley, "sums", 1, np.inf),
        (Kswin, "count", 0, 101),
        (Kswin, "values", 0, np.inf),
        (Kswin, "generator", 624, 625),
    ],
)
def test_a_state_that_cannot_be_is_refused(kind: Any, name: str, place: int, value: float) -> None:
    detector = kind()
    found(detector, series(1)[:40])
    before = detector.get_state()
    broken = {key: array.copy() for key, array in before.items()}
    broken[name].flat[place] = value
    with pytest.raises(StateError, match=name):
        detector.set_state(broken)
    after = detector.get_state()
    assert all(after[key].tobytes() == before[key].tobytes() for key in before)


def test_a_generator_of_zeros_is_refused() -> None:
    detector = Kswin()
    zeros = detector.get_state()
    zeros["generator"][:] = 0
    with pytest.raises(StateError, match="generator"):
        detector.set_state(zeros)
