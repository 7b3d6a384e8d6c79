"""The baseline: right, cheap, and stable over a long run."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from learners.base import InvalidEvent, StateError
from learners.rolling_zscore import RollingZScore
from tests import naive


def test_score_and_forecast_of_the_window() -> None:
    values = np.random.default_rng(1).normal(10, 2, 300).tolist()
    learner = RollingZScore(window=50)
    for i, value in enumerate(values):
        prediction = learner.step_one({"v": value})
        if i < 10:
            assert prediction.score is None
            continue
        mean, squares = naive.rolling(values[:i], 50)
        sd = math.sqrt(squares / min(i, 50))
        assert prediction.score == pytest.approx(math.erf(abs(value - mean) / sd / 2**0.5))
        assert prediction.expected is not None
        assert prediction.expected["v"] == pytest.approx(mean)
        assert prediction.forecast[0].lower == pytest.approx(mean - 1.645 * sd)
        assert prediction.forecast[0].upper == pytest.approx(mean + 1.645 * sd)
    assert learner.forecast(3)[0].value == pytest.approx(np.mean(values[-50:]))


def test_worst_feature_decides() -> None:
    learner = RollingZScore()
    for i in range(50):
        learner.learn_one({"a": float(i % 5), "b": float(i % 5), "place": "north"})
    mild = learner.predict({"a": 2.0, "b": 2.0}).score
    wild = learner.predict({"a": 2.0, "b": 40.0}).score
    assert mild is not None
    assert wild is not None
    assert mild < 0.1 < 0.99 < wild
    assert learner.predict({"a": 2.0}).score == mild


def test_constant_then_a_change() -> None:
    learner = RollingZScore()
    scores = [learner.step_one({"v": 7.1}).score for _ in range(250)]
    assert set(scores[10:]) == {0.0}
    assert learner.step_one({"v": 7.2}).score == 1.0


def test_stable_over_a_million_events() -> None:
    learner = RollingZScore(window=100)
    values = 1e6 + np.random.default_rng(1).normal(size=1000)
    values[500] = 1e15
    events = [{"v": v} for v in values.tolist()]
    for _ in range(1000):
        for event in events:
            learner.learn_one(event)
    mean, squares = naive.rolling(values.tolist(), 100)
    np.testing.assert_allclose(learner._moments[0], [mean, squares], rtol=1e-6)


@pytest.mark.parametrize("x", [{"v": "hot"}, {"v": math.nan}, {"v": math.inf}, {"v": 10**400}])
def test_unusable_event_changes_nothing(x: dict[str, Any]) -> None:
    learner = RollingZScore()
    learner.learn_one({"v": 1.0})
    for act in (learner.predict, learner.learn_one, learner.step_one):
        with pytest.raises(InvalidEvent, match=r"got .*, expected"):
            act(x)
    assert learner.signals()["values"] == 1.0


def test_features_are_capped() -> None:
    with pytest.raises(InvalidEvent, match=r"got 3 numbers, expected 1\.\.2"):
        RollingZScore(max_features=2).step_one({"a": 1.0, "b": 1.0, "c": 1.0})
    with pytest.raises(InvalidEvent, match="got 0 numbers"):
        RollingZScore().step_one({"place": "north"})


@pytest.mark.parametrize(
    "params", [{"window": 1}, {"min_samples": 1}, {"min_samples": 101}, {"max_features": 0}]
)
def test_silly_parameters_are_refused(params: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        RollingZScore(**params)


@pytest.mark.parametrize("names", [b"\xff", b"{}", b'["a", "a"]', b"[1]", b'["a", "b"]', b"[]"])
def test_hostile_names_are_refused(names: bytes) -> None:
    learner = RollingZScore()
    learner.learn_one({"v": 1.0})
    bad = learner.get_state() | {"names": np.frombuffer(names, np.uint8)}
    with pytest.raises(StateError):
        learner.set_state(bad)
    assert json.loads(learner.get_state()["names"].tobytes()) == ["v"]
