"""What the value range calls strange, and what it keeps quiet about."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.base import Features, Prediction, StateError
from learners.indicators.value_range import ValueRange
from tests import naive

NUMBERS = st.one_of(st.just(math.nan), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))


def feed(indicator: ValueRange, events: list[Features]) -> list[float | None]:
    said = []
    for x in events:
        indicator.update(Prediction(), x)
        said.append(indicator.value())
        assert indicator.fresh == (said[-1] is not None)
    return said


@settings(deadline=None)
@given(events=st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=30), least=st.just(3))
def test_same_as_the_twin(events: list[list[float]], least: int) -> None:
    ref = naive.range_scores(events, least, 0.05)
    named: list[Features] = [
        {n: None if math.isnan(v) else v for n, v in zip("ab", event, strict=True)}
        for event in events
    ]
    assert feed(ValueRange(min_samples=least), named) == pytest.approx(ref)


def test_half_at_the_margin_and_more_beyond() -> None:
    said = []
    for value in (10.0, 10.5, 11.0, 20.0, -0.5):
        indicator = ValueRange(min_samples=2)
        feed(indicator, [{"v": 0.0}, {"v": 10.0}])
        said += feed(indicator, [{"v": value}])
    assert said == pytest.approx([0.0, 0.5, 2 / 3, 20 / 21, 0.5])


def test_once_outside_is_inside_from_then_on() -> None:
    events: list[Features] = [{"v": 0.0}, {"v": 10.0}, {"v": 20.0}, {"v": 20.0}]
    assert feed(ValueRange(min_samples=2), events)[2:] == [pytest.approx(20 / 21), 0.0]


def test_the_strangest_feature_counts_and_text_does_not() -> None:
    indicator = ValueRange(min_samples=2)
    usual: list[Features] = [{"v": float(i), "w": float(i), "place": "north"} for i in (0, 10)]
    strange: Features = {"w": 10.5, "v": 5.0, "place": "south"}
    assert feed(indicator, [*usual, strange, {"place": "north", "v": None}])[2:] == [0.5, None]


def test_a_flat_line_counts_as_a_thousandth_wide() -> None:
    flat: list[Features] = [{"v": 5.0}] * 3
    said = feed(ValueRange(min_samples=2), [*flat, {"v": 5.00025}])
    assert said[2:] == [0.0, pytest.approx(0.5, rel=1e-6)]
    zero: list[Features] = [{"v": 0.0}, {"v": 0.0}, {"v": 1e-9}]
    assert feed(ValueRange(min_samples=2), zero)[2] == 1.0


def test_warming() -> None:
    indicator = ValueRange(min_samples=3)
    warming = []
    for i in range(5):
        warming.append(indicator.warming)
        feed(indicator, [{"v": float(i), "rare": None}])
    assert warming == [True, True, True, False, False]


def test_features_beyond_the_most_are_not_followed() -> None:
    indicator = ValueRange(min_samples=1, max_features=1)
    assert feed(indicator, [{"v": 0.0}, {"v": 1.0, "w": 3.0}, {"w": 9.0}]) == [None, 1.0, None]
    assert indicator.signals()["range_features"] == 1.0


@pytest.mark.parametrize("params", [{"margin": 0.0}, {"min_samples": 0}, {"max_features": 0}])
def test_silly_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        ValueRange(**params)


@pytest.mark.parametrize(
    ("name", "entry"), [("seen", -1), ("ranges", math.nan), ("ranges", 11.0), ("last", 0.0 - 0.5)]
)
def test_hostile_snapshot_is_refused(name: str, entry: float) -> None:
    indicator = ValueRange()
    feed(indicator, [{"v": 0.0}, {"v": 10.0}])
    bad = indicator.get_state()
    bad[name].reshape(-1)[0] = entry
    with pytest.raises(StateError):
        indicator.set_state(bad)
