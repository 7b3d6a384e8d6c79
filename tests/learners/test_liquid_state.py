"""A liquid's memory and mixtures, its read-outs, labels that come later, and strangers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.accept import liquid_state as accept
from learners.base import InvalidEvent, StateError
from learners.reservoirs.liquid_state import LiquidState


def test_memory_is_some_but_no_more_than_there_are_units() -> None:
    assert 10.0 < accept.memory_capacity(1, 30, 0.9) <= 30.0


def test_spikes_are_mixed_as_no_sum_of_inputs_can() -> None:
    told = accept.different(1, 200, 1.0, trials=300)
    assert told.liquid > 0.68
    assert told.raw < 0.62


@pytest.mark.parametrize("ridge", [10.0, 50.0])
def test_a_strong_ridge_has_no_peak_of_error(ridge: float) -> None:
    (with_it,) = accept.excess(1, (50,), ridge, repeats=20)
    (without,) = accept.excess(1, (50,), 1e-3, repeats=20)
    assert with_it < 1.2 < 10.0 < without


@pytest.mark.parametrize("readout", ["softmax", "delta", "rls"])
@pytest.mark.parametrize("form", ["rates", "spikes"])
def test_labels_of_what_came_before(form: Any, readout: Any) -> None:
    """Whether the event before was high, of which nothing in the event tells; spikes: this one."""
    learner = LiquidState(
        units=80,
        form=form,
        readout=readout,
        standardize=form == "rates",
        forecasts="none",
        target_hz=40.0,
    )
    draw, right, before = np.random.default_rng(1), [], 0
    for _ in range(900):
        now = int(draw.integers(2))
        y = before if form == "rates" else now
        said = learner.step_one({"v": float(now)}, y)
        right.append(said.label == y)
        before = now
    assert np.mean(right[-200:]) > 0.9
    assert said.proba is not None
    assert sum(said.proba.values()) == pytest.approx(1.0)
    assert said.score is None
    assert said.forecast == []
    assert learner.signals()["liquid_log_loss"] < 0.65


def learned(**params: Any) -> LiquidState:
    learner = LiquidState(units=60, **params)
    for i in range(800):
        learner.step_one({"v": 50.0 + 7.0 * math.sin(i / 3), "place": "n"})
    return learner


@pytest.mark.parametrize("forecasts", ["delta", "rls"])
def test_forecasts_are_in_the_units_of_the_feature(forecasts: Any) -> None:
    learner = learned(forecasts=forecasts, horizons=(1, 4))
    said = learner.predict({"v": 50.0 + 7.0 * math.sin(800 / 3), "place": "n"})
    assert said.score is not None
    assert said.score < 0.3
    assert said.expected is not None
    assert said.expected.keys() == {"v"}
    assert [each.horizon for each in said.forecast] == [1, 4]
    for each in said.forecast:
        want = 50.0 + 7.0 * math.sin((800 + each.horizon) / 3)
        assert each.value == pytest.approx(want, abs=3.0)
        assert each.lower < each.value < each.upper
    strange = learner.score_one({"v": 0.0})
    assert strange is not None
    assert strange > 4.0
    ahead = learner.forecast(3)
    assert [each.horizon for each in ahead] == [1, 2, 3]
    assert ahead == learner.forecast(3)
    assert learner.forecast(0) == []


def test_which_number_is_forecast() -> None:
    learner = LiquidState(units=30, feature="w")
    for i in range(200):
        learner.learn_one({"v": 1000.0 + i % 7, "w": float(i % 2)})
    (said,) = learner.forecast(1)
    assert said.value == pytest.approx(0.0, abs=0.5)


def test_labels_that_come_later_are_learned_as_if_they_had_been_there() -> None:
    at_once, later, lost = (LiquidState(units=20, readout="rls", remembered=4) for _ in range(3))
    for i in range(60):
        x, y, t = {"v": float(i * i % 11)}, i % 3, 10.0 * i
        at_once.learn_one(x, y, t)
        later.learn_one(x, None, t)
        later.learn_label(x, y, t)
        lost.learn_one(x, None, t)
        lost.learn_label(x, y, t - 50.0)
        lost.learn_label(x, y)
    np.testing.assert_array_equal(at_once.get_state()["labels_W"], later.get_state()["labels_W"])
    assert not lost.get_state()["labels_W"].any()


def test_of_events_with_one_time_the_newest_is_labeled() -> None:
    learner, other = (LiquidState(units=20, readout="delta", remembered=4) for _ in range(2))
    for i in range(5):
        # The fifth event is in the place of the first, and has the time of the fourth.
        x, t = {"v": float(i * i)}, float(min(i, 3))
        learner.learn_one(x, None, t)
        other.learn_one(x, 1 if i == 4 else None, t)
    learner.learn_label({"v": 16.0}, 1, 3.0)
    assert learner.get_state()["labels_W"].any()
    np.testing.assert_array_equal(learner.get_state()["labels_W"], other.get_state()["labels_W"])


@pytest.mark.parametrize("form", ["rates", "spikes"])
def test_what_it_held_before_a_snapshot_leaves_nothing_behind(form: Any) -> None:
    first, fresh, used = (LiquidState(units=20, form=form, max_features=4) for _ in range(3))
    for i in range(10):
        first.learn_one({"a": float(i)}, i % 2, float(i))
        used.learn_one({name: float(i) for name in "bcde"}, "x", float(i))
    for learner in (fresh, used):
        learner.set_state(first.get_state())
    for i in range(20):
        x = {name: float(i % 7) for name in "ab"[: 1 + i // 10]}
        assert fresh.step_one(x, i % 2, 10.0 + i) == used.step_one(x, i % 2, 10.0 + i)
        mine, its = fresh.get_state(), used.get_state()
        assert all(mine[each].tobytes() == its[each].tobytes() for each in mine)


def test_gaps_between_events_count_if_told_to() -> None:
    states = []
    for params, t in (({}, 1e6), ({"step_seconds": 10.0}, 1e6), ({"step_seconds": 10.0}, 20.0)):
        learner = LiquidState(units=20, **params)  # type: ignore[arg-type]
        learner.learn_one({"v": 1.0}, None, 10.0)
        learner.learn_one({"v": 2.0}, None, t)
        states.append(learner.features_now())
    np.testing.assert_array_equal(states[0], states[2])
    assert np.abs(states[0] - states[1]).max() > 0.01


@pytest.mark.parametrize("form", ["rates", "spikes"])
def test_what_it_holds_is_counted(form: Any) -> None:
    learner = LiquidState(units=50, form=form, forecasts="none")
    learner.learn_one({"v": 1.0})
    held = learner.held_bytes()
    assert 8 * 50 * 30 < held <= LiquidState.memory_bytes(units=50, form=form, forecasts="none")


def test_the_network_comes_from_the_seed_alone() -> None:
    one, other = LiquidState(units=15, seed=1), LiquidState(units=15, seed=2)
    one.learn_one({"v": 1.0, "w": 2.0})
    other.learn_one({"v": 1.0, "w": 2.0})
    assert (one.features_now() != other.features_now()).any()
    fresh = LiquidState(units=15, seed=1)
    fresh.set_state(one.get_state())
    for learner in (one, fresh):
        learner.learn_one({"w": 3.0})
    np.testing.assert_array_equal(one.features_now(), fresh.features_now())
    one.reset()
    assert not one.features_now().any()


def test_spiking_units_are_driven_to_a_modest_rate() -> None:
    learner = LiquidState(units=60, form="spikes", steps=1, max_features=8, standardize=False)
    draw = np.random.default_rng(4)
    for _ in range(900):
        learner.learn_one({f"c{i}": float(draw.random() < 0.1) for i in range(8)})
    signals = learner.signals()
    assert 3.0 < signals["liquid_rate_hz"] < 60.0
    assert signals["liquid_gain"] != 1.0
    assert 0.0 <= signals["liquid_silent"] <= 1.0


def test_events_that_are_refused_change_nothing() -> None:
    learner = LiquidState(units=10, classes=2)
    learner.learn_one({"v": 1.0}, "a")
    learner.learn_one({"v": 1.0}, "b")
    before = learner.get_state()
    for x, y in (({"v": math.nan}, "a"), ({"v": 1.0}, "c"), ({"v": 1.0}, math.inf)):
        with pytest.raises(InvalidEvent):
            learner.learn_one(x, y)
    with pytest.raises(InvalidEvent):
        learner.learn_label({"v": 1.0}, "c", 1.0)
    after = learner.get_state()
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)


def test_strange_state_is_refused() -> None:
    learner = learned()
    good = learner.get_state()
    for name, value in (
        ("ring", math.nan),
        ("bands_variance", -1.0),
        ("gauges", math.nan),
        ("bands_target", 5),
        ("liquid_body", math.inf),
        ("liquid_gauges", -1.0),
        ("next_P", math.nan),
        ("labels_W", math.nan),
        ("inputs_moments", math.nan),
    ):
        with pytest.raises(StateError):
            learner.set_state(good | {name: np.full_like(good[name], value)})


@pytest.mark.parametrize(
    "params",
    [
        {"units": 1},
        {"form": "gas"},
        {"radius": 3.0},
        {"density": 0.0},
        {"least_leak": 0.0},
        {"step_seconds": 0.0},
        {"input_scale": 0.0},
        {"steps": 0},
        {"target_hz": 0.0},
        {"readout": "votes"},
        {"forecasts": "softmax"},
        {"rate": 2.0},
        {"ridge": 0.0},
        {"forgetting": 2.0},
        {"horizons": ()},
        {"horizons": (1, 2_000)},
        {"remembered": -1},
        {"max_features": 0},
        {"seed": -1},
    ],
)
def test_bad_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LiquidState(**params)
