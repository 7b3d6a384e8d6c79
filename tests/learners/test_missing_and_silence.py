"""What the indicators say of values and events that do not come."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from learners.base import Features, Prediction, StateError
from learners.indicators.missing_values import MissingValues
from learners.indicators.silence import Silence

NOTHING = Prediction()


def test_shares_are_those_of_the_last_events() -> None:
    draw, indicator = random.Random(3), MissingValues(window=20)
    history: list[Features] = []
    for _ in range(200):
        x: Features = {
            name: None if draw.random() < 0.3 else 1.0
            for name in ("a", "b", "c")
            if draw.random() < 0.9
        }
        history.append(x)
        indicator.update(NOTHING, x)
        for name, share in indicator.shares().items():
            since = next(i for i, each in enumerate(history) if each.get(name) is not None)
            last = history[since:][-20:]
            assert share == sum(each.get(name) is None for each in last) / len(last)
    assert indicator.value() == max(indicator.shares().values())
    assert indicator.signals()["missing_x.a"] == indicator.shares()["a"]


def test_a_feature_that_is_lost_stands_out() -> None:
    indicator = MissingValues(window=10)
    assert indicator.value() is None
    assert indicator.signals() == {"missing_most": 0.0}
    for i in range(30):
        indicator.update(NOTHING, {"kept": "text", "lost": 1.0 if i < 20 else None})
    assert indicator.shares() == {"kept": 0.0, "lost": 1.0}


def test_features_beyond_the_limit_are_not_followed() -> None:
    indicator = MissingValues(max_features=2)
    for name in "abc":
        indicator.update(NOTHING, {name: 1.0})
    assert set(indicator.shares()) == {"a", "b"}
    indicator = MissingValues(max_features=4096)
    for i in range(600):
        indicator.update(NOTHING, {f"{i}" + "n" * 190: 1.0})
    assert len(json.dumps(list(indicator.shares()))) < 1 << 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("names", np.frombuffer(b"[1]", np.uint8)),
        ("names", np.frombuffer(b"{", np.uint8)),
        ("names", np.frombuffer(b'["a","a"]', np.uint8)),
        ("names", np.frombuffer(b'["a"]', np.uint8)),
        ("ring", np.full((2, 100), 2, np.uint8)),
        ("ring", np.ones((2, 100), np.uint8)),
        ("since", np.zeros(2, np.int64)),
        ("missing", np.array([5, 5])),
        ("missing", np.array([0])),
    ],
)
def test_missing_values_of_no_stream_are_refused(name: str, value: Any) -> None:
    indicator = MissingValues()
    indicator.update(NOTHING, {"a": 1.0, "b": 2.0})
    before = indicator.get_state()
    with pytest.raises(StateError):
        indicator.set_state(before | {name: value})
    after = indicator.get_state()
    assert all(after[key].tobytes() == before[key].tobytes() for key in before)


def test_the_usual_gap_is_what_most_do_not_exceed() -> None:
    indicator, draw, t = Silence(window=100, factor=4.0, min_seconds=0.0), random.Random(1), 0.0
    gaps: list[float] = []
    usual: float | None = None
    indicator.update(NOTHING, {}, t=t)
    for _ in range(500):
        gaps.append(draw.expovariate(0.1))
        t += gaps[-1]
        indicator.update(NOTHING, {}, t=t)
        kept = sorted(gaps[-100:])
        usual = indicator.usual_seconds()
        assert (usual is None) == (len(kept) < 10)
        if usual is None:
            continue
        assert sum(gap > usual + 1e-6 for gap in kept) <= 0.05 * len(kept) + 1
        assert indicator.signals()["silence_last_gap_seconds"] == pytest.approx(gaps[-1])
    assert usual is not None
    assert indicator.alarm_after_seconds() == pytest.approx(4 * usual)
    assert indicator.value() == pytest.approx(gaps[-1] / usual)


def test_events_that_come_together_do_not_make_the_rest_between_them_strange() -> None:
    """Thirty readings of one time, every minute."""
    indicator = Silence(min_seconds=0.0)
    for minute in range(30):
        for _ in range(30):
            indicator.update(NOTHING, {}, t=60.0 * minute)
    assert indicator.alarm_after_seconds() == 300.0


def test_an_early_outage_is_not_taken_for_usual() -> None:
    indicator = Silence(min_seconds=0.0)
    times = [60.0 * i for i in range(10)] + [7_000.0 + 60.0 * i for i in range(4)]
    for t in times:
        indicator.update(NOTHING, {}, t=t)
    assert indicator.usual_seconds() == 60.0


def test_times_that_say_nothing() -> None:
    indicator = Silence(min_seconds=30.0)
    for t in (None, float("nan"), 10.0):
        indicator.update(NOTHING, {}, t=t)
    assert (indicator.value(), indicator.signals()) == (None, {"silence_gaps": 0.0})
    for t in (10.0, 10.0, 9.0, None):
        indicator.update(NOTHING, {}, t=t)
    assert (indicator.value(), indicator.signals()) == (None, {"silence_gaps": 0.0})
    for i in range(10):
        indicator.update(NOTHING, {}, t=11.0 + i)
    assert indicator.value() == 1.0
    assert indicator.signals() == {
        "silence_gaps": 10.0,
        "silence_usual_seconds": 1.0,
        "silence_last_gap_seconds": 1.0,
        "silence_alarm_after_seconds": 30.0,
    }
    indicator.update(NOTHING, {}, t=1e300)
    assert np.isfinite(list(indicator.signals().values())).all()


@pytest.mark.parametrize(("name", "value"), [("gaps", -1.0), ("last", np.nan), ("count", -1)])
def test_a_silence_that_cannot_be_is_refused(name: str, value: float) -> None:
    indicator = Silence()
    broken = indicator.get_state()
    broken[name].flat[0] = value
    with pytest.raises(StateError, match=name):
        indicator.set_state(broken)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (MissingValues, {"window": 0}),
        (MissingValues, {"max_features": 0}),
        (Silence, {"window": 1}),
        (Silence, {"factor": 0.5}),
        (Silence, {"min_seconds": -1.0}),
    ],
)
def test_parameters_out_of_range(kind: Any, params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        kind(**params)
