"""Units that take turns: their rule, parts found, labels, and strangers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from benchmarks.accept import autonomous_recurrent as accept
from learners.base import Features, InvalidEvent, StateError
from learners.reservoirs.autonomous_recurrent import AutonomousRecurrent
from tests.naive_autonomous import Autonomous

PLAIN: dict[str, Any] = {"units": 5, "standardize": False, "max_features": 4}


def named(row: Any) -> Features:
    return {f"f{i}": float(value) for i, value in enumerate(row)}


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_same_as_the_twin(seed: int, gated: bool) -> None:
    draw = np.random.default_rng(seed)
    learner = AutonomousRecurrent(**PLAIN, gated=gated, seed=seed)
    learner.follow_one(named(np.zeros(4)))
    learner.learn_one(named(np.zeros(4)))
    twin = Autonomous(learner.get_state()["W"], 0.05, 0.25, 0.04, gated)
    for _ in range(2):
        twin.follow(np.zeros(4))
    for _ in range(200):
        x = np.clip(draw.normal(0.2, 0.5, 4), 0, 1) * (draw.random() > 0.1)
        score = learner.score_one(named(x))
        if x.any():
            assert score == pytest.approx(1 - twin.cosine(x), abs=1e-9)
        else:
            assert score is None
        np.testing.assert_allclose(learner.transform_one(named(x)), twin.covered(x), atol=1e-12)
        learner.learn_one(named(x))
        twin.follow(x)
        state = learner.get_state()
        np.testing.assert_allclose(state["W"], twin.W, atol=1e-12)
        np.testing.assert_allclose(state["phi"], twin.phi, atol=1e-12)
        assert state["last"].tolist() == [twin.last]


def test_bars_are_found() -> None:
    found = accept.bars(1, images=6_000)
    assert found.bars >= 9
    assert found.correlation > 0.85


def test_units_take_turns_by_themselves() -> None:
    learner = AutonomousRecurrent(units=3)
    turns = [learner.idle_one() for _ in range(30)]
    assert all(a != b for a, b in itertools.pairwise(turns))
    assert set(turns) == {0, 1, 2}
    assert learner.signals()["autonomous_reservoir"] < 1.0


@pytest.mark.parametrize("later", [False, True])
def test_labels_are_read_off_what_was_found(later: bool) -> None:
    learner = AutonomousRecurrent(units=8)
    draw, right = np.random.default_rng(5), []
    centers = {"a": (5.0, -1.0, 100.0), "b": (3.0, 1.0, 120.0)}
    for _ in range(800):
        y = "ab"[draw.integers(2)]
        x = named(np.array(centers[y]) + draw.normal(0, 1, 3) * (0.4, 0.5, 5.0))
        right.append(learner.predict_one(x) == y)
        learner.learn_one(x, None if later else y)
        if later:
            learner.learn_label(x, y)
    assert np.mean(right[400:]) > 0.9
    signals = learner.signals()
    assert signals["autonomous_log_loss"] < 0.4
    assert signals["autonomous_turn_entropy"] > 0.7
    assert 0.0 < signals["autonomous_match"] <= 1.0
    assert learner.learns_labels


def test_labels_do_not_touch_what_was_found() -> None:
    with_labels, without = AutonomousRecurrent(units=4), AutonomousRecurrent(units=4)
    for i in range(60):
        x: Features = {"v": float(i % 7), "place": "ns"[i % 2]}
        with_labels.learn_one(x, i % 3)
        without.learn_one(x)
    one, other = with_labels.get_state(), without.get_state()
    assert all(one[name].tobytes() == other[name].tobytes() for name in ("W", "phi", "wins"))
    assert without.predict({"v": 1.0}).label is None


def test_events_that_are_refused_change_nothing() -> None:
    learner = AutonomousRecurrent(units=4, classes=2)
    learner.learn_one({"v": 1.0}, "a")
    learner.learn_one({"v": 2.0}, "b")
    before = learner.get_state()
    for x, y in (({"v": math.nan}, "a"), ({"v": 1.0}, "c")):
        with pytest.raises(InvalidEvent):
            learner.learn_one(x, y)
        with pytest.raises(InvalidEvent):
            learner.learn_label(x, y)
    after = learner.get_state()
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)


def test_strange_state_is_refused() -> None:
    learner = AutonomousRecurrent(**PLAIN)
    learner.learn_one(named([0.1, 0.2, 0.3, 0.4]), "a")
    good = learner.get_state()
    for name, value in (
        ("W", math.nan),
        ("W", 2.0),
        ("phi", -0.1),
        ("wins", 0.0),
        ("last", 5),
        ("gauges", math.inf),
        ("readout_W", math.nan),
    ):
        with pytest.raises(StateError):
            learner.set_state(good | {name: np.full_like(good[name], value)})


@pytest.mark.parametrize(
    "params",
    [
        {"units": 1},
        {"learning_rate": 2.0},
        {"depletion": -0.1},
        {"recovery": 2.0},
        {"readout_rate": 0.0},
        {"seed": -1},
    ],
)
def test_bad_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        AutonomousRecurrent(**params)
