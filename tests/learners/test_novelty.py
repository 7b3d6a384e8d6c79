"""What novelty calls strange, how its views add up, and that an alarm sounds once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.base import Features, Prediction, StateError
from learners.indicators.novelty import Novelty
from tests import naive_novelty

SMALL: dict[str, Any] = {
    "representatives": 5,
    "tail": 3,
    "learning_period": 2,
    "min_samples": 7,
    "averaging": 3,
    "quiet_events": 4,
}
NUMBERS = st.one_of(st.just(math.nan), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))
EVENTS = st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(0, 2e5), NUMBERS), max_size=40)


def given_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


@settings(deadline=None)
@given(events=EVENTS)
def test_same_as_the_twin(events: list[tuple[float, float, float, float]]) -> None:
    twin = naive_novelty.Novelty(2, 5, 3, 2, 7, 3, 4)
    indicator = Novelty(**SMALL, max_features=2)
    indicator.update(Prediction(), {"a": 0.5, "b": 0.5}, None, 60.0)
    twin.step((0.5, 0.5), 60.0, math.nan)
    for a, b, t, score in events:
        t = math.nan if t < 1e4 else t
        x: Features = {"a": given_or_none(a), "b": given_or_none(b)}
        indicator.update(Prediction(score=given_or_none(score)), x, None, given_or_none(t))
        ref = twin.step((a, b), t, score)
        told = None if indicator.warming else pytest.approx(ref / (ref + 4.0), rel=1e-9)
        assert indicator.value() == told
        assert indicator.fresh == (told is not None)


def feed(
    indicator: Novelty, values: list[float], score: Callable[[int], float] = lambda i: 0.0
) -> list[float]:
    said = []
    for i, value in enumerate(values):
        indicator.update(Prediction(score=score(i)), {"v": value}, None, 600.0 * i)
        said.append(indicator.value() or 0.0)
    return said


def usual(n: int) -> list[float]:
    draw = np.random.default_rng(3)
    return [10 + 5 * math.sin(i / 144 * 2 * math.pi) + float(draw.normal()) for i in range(n)]


def test_what_has_not_been_before_is_an_alarm_and_sounds_once() -> None:
    said = feed(Novelty(), [*usual(1500), 60.0, 60.1, 60.2, 59.0, *usual(50)])
    assert said[1500] > 0.8
    assert max(said[1501:]) < 0.24
    assert max(said[400:1500]) < 0.5


def test_a_gap_inside_the_range_counts_too() -> None:
    values = [100.0 * (i // 7 % 2) + value for i, value in enumerate(usual(1500))]
    assert feed(Novelty(), [*values, 55.0])[1500] > 0.5


def test_a_usual_value_at_an_unusual_time_counts_less_than_a_value_never_seen() -> None:
    values = [10 + 5 * math.sin(i / 144 * 2 * math.pi) for i in range(1500)]
    indicator = Novelty()
    feed(indicator, [*values, 10 - 5 * math.sin(1500 / 144 * 2 * math.pi)])
    signals = indicator.signals()
    assert signals["novelty_daily"] > 3.0 > signals["novelty_value"]


def test_the_learners_score_is_a_view_of_its_own() -> None:
    indicator = Novelty()
    feed(indicator, usual(1000), lambda i: (i * 37 % 101) / 500)
    assert indicator.signals()["novelty_score"] == 0.0
    feed(indicator, usual(1020)[-20:], lambda _: 1.0)
    signals = indicator.signals()
    assert signals["novelty_score"] > 3.0
    parts = [signals[f"novelty_{name}"] for name in ("value", "average", "daily", "score")]
    assert signals["novelty_decades"] == pytest.approx(sum(parts))


def test_without_numbers_the_score_alone_is_judged() -> None:
    indicator = Novelty()
    for i in range(400):
        indicator.update(Prediction(score=(i * 37 % 101) / 500), {"place": "north", "v": None})
    assert indicator.value() == 0.0
    for _ in range(15):
        indicator.update(Prediction(score=1.0), {"place": "north"})
    assert indicator.signals()["novelty_score"] > 3.0


def test_of_several_features_the_strangest_counts() -> None:
    indicator = Novelty()
    for i, value in enumerate(usual(600)):
        indicator.update(Prediction(), {"v": value, "w": -value}, None, 600.0 * i)
    indicator.update(Prediction(), {"v": 10.0, "w": 50.0}, None, 600.0 * 600)
    assert (indicator.value() or 0.0) > 0.5


def test_warming() -> None:
    indicator = Novelty(**SMALL)
    warming = []
    for i in range(9):
        feed(indicator, [float(i)])
        warming.append(indicator.warming)
    assert warming == [True] * 7 + [False] * 2


@pytest.mark.parametrize(
    "params",
    [{"tail": 0}, {"min_samples": 150}, {"representatives": 1}, {"quiet_events": 0}],
)
def test_silly_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        Novelty(**params)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("held", 257),
        ("seen", -1),
        ("counts", -1),
        ("representatives", math.nan),
        ("representatives", 1e9),
        ("largest", -1.0),
        ("largest", math.inf),
        ("score_largest", math.nan),
        ("evidence", -1.0),
        ("said", math.nan),
        ("profile", math.inf),
        ("recent", math.nan),
    ],
)
def test_hostile_snapshot_is_refused(name: str, entry: float) -> None:
    indicator = Novelty()
    feed(indicator, usual(300))
    bad = indicator.get_state()
    bad[name].reshape(-1)[0] = entry
    with pytest.raises(StateError):
        indicator.set_state(bad)
