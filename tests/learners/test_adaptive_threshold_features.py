"""Features with thresholds: the twin, the law of misses, settling, novelty, what is read out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accept import adaptive_threshold_features as accept
from benchmarks.images import digits
from learners.adaptive_threshold_features import AdaptiveThresholdFeatures
from learners.base import Features
from tests import naive_memories as naive


def named(row: Any) -> Features:
    return {f"f{i}": float(value) for i, value in enumerate(row)}


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 1_000),
    lags=st.sampled_from([1, 3]),
    first=st.sampled_from([-0.5, 0.3, 1.0]),
)
def test_same_as_the_twin(seed: int, lags: int, first: float) -> None:
    draw = np.random.default_rng(seed)
    learner = AdaptiveThresholdFeatures(
        5, 0.1, 0.05, 0.2, first, lags, scaling="none", max_features=3
    )
    # An event of zeros gives the features their weights, and is learned by no unit.
    learner.learn_one(named(np.zeros(3)))
    twin = naive.Thresholds(learner.get_state()["W"].reshape(5, -1), 0.1, 0.05, 0.2, first)
    before = np.zeros((lags - 1, 3))
    for _ in range(60):
        x = draw.normal(size=3) * (draw.random() > 0.1)
        row = np.concatenate([x, before.ravel()])
        said = learner.predict(named(x))
        if row.any():
            largest = float((twin.W @ row).max() / np.linalg.norm(row))
            assert said.score == pytest.approx(1.0 - max(largest, 0.0), abs=1e-9)
            assert learner.winner_one(named(x)) == twin.winner(row)
        else:
            assert said.score is None
        learner.learn_one(named(x))
        twin.learn(row)
        before = np.concatenate([x[None], before])[: lags - 1]
        state = learner.get_state()
        np.testing.assert_allclose(state["W"].reshape(5, -1), twin.W, atol=1e-9)
        np.testing.assert_allclose(state["thresholds"], twin.thresholds, atol=1e-12)


@pytest.mark.parametrize(("n", "first"), [(2, 1.0), (6, 0.0)])
def test_misses_come_to_their_law_whatever_the_data(n: int, first: float) -> None:
    run = accept.bars_run(1, n, 0.005, 0.02, 6_000, first)
    assert run.missed == pytest.approx(0.005 / (0.005 + n * 0.02), rel=0.1)
    assert run.least == pytest.approx(run.most, rel=0.2)


def test_it_says_when_it_has_settled() -> None:
    learner = AdaptiveThresholdFeatures(4, 0.02, 0.005, 0.02, scaling="none", max_features=49)
    said = []
    for i, (_, x) in enumerate(accept.bar_events(1, 9_000)):
        learner.learn_one(x)
        if i in (500, 8_999):
            said.append(dict(learner.signals()))
    assert [each["features_converged"] for each in said] == [0.0, 1.0]
    assert said[1]["features_miss_rate"] == pytest.approx(
        said[1]["features_miss_rate_settled"], rel=0.15
    )
    assert said[1]["features_evenness"] > 0.98
    assert abs(said[1]["features_threshold_slope"]) < 0.15
    assert said[1]["features_largest_share"] < 0.35


def test_a_changed_series_is_novel_at_once() -> None:
    after, false_alarms = accept.change_found(1)
    assert after <= 25
    assert false_alarms == 0


def test_digits_are_told_apart() -> None:
    images = digits().shuffled(1)
    learner = AdaptiveThresholdFeatures(64, classes=10)
    pairs = zip(images.x, images.y, strict=True)
    right = [learner.step_one(named(x), str(y)).label == str(y) for x, y in pairs]
    assert np.mean(right) > 0.8


def test_labels_do_not_touch_the_features() -> None:
    first, second, late = (AdaptiveThresholdFeatures(4, max_features=2) for _ in range(3))
    for i in range(60):
        x: Features = {"a": float(i % 3), "b": float(i % 5)}
        first.learn_one(x, "xy"[i % 2])
        second.learn_one(x)
        late.learn_one(x)
        late.learn_label(x, "xy"[i % 2])
    for name in ("W", "thresholds", "figures"):
        np.testing.assert_array_equal(first.get_state()[name], second.get_state()[name])
    assert late.get_state()["V"].any()
    assert second.predict({"a": 1.0, "b": 2.0}).label is None


def test_what_is_late_for_a_row_of_events_is_passed_over() -> None:
    learner = AdaptiveThresholdFeatures(4, lags=3, max_features=1)
    learner.learn_one({"a": 1.0})
    before = learner.get_state()
    learner.learn_label({"a": 1.0}, "x")
    assert all(before[name].tobytes() == a.tobytes() for name, a in learner.get_state().items())
    learner.follow_one({"a": 2.0})
    ring = learner.get_state()["ring"]
    assert ring.shape == (2, 1)
    assert learner.get_state()["figures"].tobytes() == before["figures"].tobytes()


def test_a_unit_opposite_to_the_event_stays_as_it_is() -> None:
    learner = AdaptiveThresholdFeatures(1, rate=0.5, first_threshold=-1.0, scaling="none")
    learner.learn_one({"a": -1.0})
    state = learner.get_state()
    assert state["W"].tolist() == [[[1.0]]]
    learner.set_state(state)
