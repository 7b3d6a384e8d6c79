"""A network that runs on by itself: forecasts, drives, pinned units, and strangers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.accept import driven_recurrent as accept
from learners.base import InvalidEvent, StateError
from learners.reservoirs.driven_recurrent import DrivenRecurrent


def test_it_runs_on_by_itself() -> None:
    run = accept.free_run(seed=2, units=200, periods=16, free=2)
    assert run.error < 0.05
    assert run.change_late < run.change_early


def test_pinned_units_are_like_those_observed() -> None:
    pinned, free = (accept.twin(1, n, units=60, training=3_000, tested=600) for n in (5, 0))
    assert pinned.likeness > 0.99
    assert free.likeness < 0.8
    assert pinned.error < 0.01
    assert free.error < 0.01


def learned(**params: Any) -> DrivenRecurrent:
    learner = DrivenRecurrent(units=80, pace=0.3, **params)
    for i in range(1_500):
        learner.step_one({"v": 50.0 + 7.0 * math.sin(i / 5), "w": math.cos(i / 5)})
    return learner


def test_forecasts_are_in_the_units_of_the_feature() -> None:
    learner = learned(horizons=(1, 5))
    said = learner.predict({"v": 50.0 + 7.0 * math.sin(300.0), "w": math.cos(300.0)})
    assert said.score is not None
    assert said.score < 0.2
    assert said.expected is not None
    assert said.expected["v"] == pytest.approx(50.0 + 7.0 * math.sin(300.0), abs=1.0)
    assert [each.horizon for each in said.forecast] == [1, 5]
    for each in said.forecast:
        want = 50.0 + 7.0 * math.sin(300.0 + each.horizon / 5)
        assert each.value == pytest.approx(want, abs=2.0)
        assert each.lower < each.value < each.upper
    assert [each.horizon for each in learner.forecast(3)] == [1, 2, 3]
    assert learner.forecast(0) == []
    strange = learner.score_one({"v": 0.0, "w": 0.0})
    assert strange is not None
    assert strange > 2.0


def test_which_number_is_forecast() -> None:
    learner = learned(feature="w")
    (said,) = learner.predict({"v": 50.0, "w": 1.0}).forecast
    assert abs(said.value) < 2.0
    driven = DrivenRecurrent(units=20, driven_by=("v",))
    driven.learn_one({"v": 1.0, "place": "n"})
    assert driven.predict({"v": 1.0}).score is None
    assert driven.forecast(3) == []
    driven.learn_one({"v": 1.0, "w": 2.0, "place": "n"})
    assert len(driven.forecast(3)) == 3


def test_what_is_missing_is_not_learned() -> None:
    learner = learned()
    before = learner.get_state()["readout_W"]
    learner.learn_one({"v": None, "w": None})
    learner.learn_one({"v": None})
    assert learner.get_state()["readout_W"].tobytes() == before.tobytes()
    signals = learner.signals()
    assert signals["recurrent_error"] < 0.3
    assert signals["recurrent_uncertainty"] < 1.0
    assert signals["recurrent_pinned_error"] == 0.0


def test_events_that_are_refused_change_nothing() -> None:
    learner = DrivenRecurrent(units=10, driven_by=("u",), pinned=("h",))
    learner.learn_one({"v": 1.0, "u": 1.0, "h": 0.5})
    before = learner.get_state()
    for bad in ({"v": math.nan}, {"v": 1.0, "u": math.inf}, {"v": 1.0, "h": math.nan, "new": 1.0}):
        with pytest.raises(InvalidEvent):
            learner.learn_one(bad)
    after = learner.get_state()
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)


def test_strange_state_is_refused() -> None:
    learner = learned()
    good = learner.get_state()
    for name, value in (
        ("x", math.nan),
        ("current", math.inf),
        ("bands_variance", -1.0),
        ("gauges", -1.0),
        ("bands_target", 2),
        ("readout_W", math.nan),
        ("said_moments", math.nan),
    ):
        with pytest.raises(StateError):
            learner.set_state(good | {name: np.full_like(good[name], value)})
    assert learner.forecast(2) == learner.forecast(2)


@pytest.mark.parametrize(
    "params",
    [
        {"units": 1},
        {"gain": 6.0},
        {"pace": 0.0},
        {"units": 2, "pinned": ("a", "b", "c")},
        {"pinned": ("a",), "driven_by": ("a",)},
        {"feature": "a", "driven_by": ("a",)},
        {"driven_by": ("a" * 2_000,)},
        {"teacher": 2.0},
        {"ridge": 0.0},
        {"forgetting": 0.5},
        {"learn_every": 0},
        {"horizons": (2, 1)},
        {"horizons": ()},
        {"max_features": 0},
        {"seed": -1},
    ],
)
def test_bad_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        DrivenRecurrent(**params)
