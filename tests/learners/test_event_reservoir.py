"""What comes next, when and how probably: the cells' rule, delays, omissions, and strangers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accept import event_reservoir as accept
from learners.base import InvalidEvent, StateError
from learners.reservoirs.event_reservoir import EventReservoir
from service.schemas import Event, StreamSpec
from service.stream import Stream
from tests.naive_time_cells import TimeCells

SMALL: dict[str, Any] = {
    "symbols": 3,
    "cells": 24,
    "shortest_seconds": 0.05,
    "longest_seconds": 5.0,
}


def event(symbol: str) -> dict[str, float | str | None]:
    return {"state": symbol}


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000), cues=st.integers(1, 3), rate=st.sampled_from([0.02, 0.1]))
def test_same_as_the_twin(seed: int, cues: int, rate: float) -> None:
    draw = np.random.default_rng(seed)
    learner = EventReservoir(**SMALL, cues=cues, learning_rate=rate)
    twin = TimeCells(4, 24, cues, rate, 0.05, 5.0)
    t = 1e6
    names: list[str] = []
    for gap in draw.gamma(1.0, 0.6, 40):
        t += float(gap) * (draw.random() > 0.1)
        name = "abcd"[draw.integers(4)]
        if name not in names and len(names) < 3:
            names.append(name)
        place = names.index(name) + 1 if name in names else 0
        learner.learn_one(event(name), None, t)
        twin.take(place, t)
        np.testing.assert_allclose(
            learner.get_state()["R"], twin.R[: len(names) + 1, :, : len(names) + 1], atol=1e-9
        )
        ref = twin.ahead(place, t)
        for got, want in zip(learner._ahead, ref, strict=True):
            got = got[: len(names) + 1] if len(got) == 4 else got
            np.testing.assert_allclose(got, want[: len(got)], atol=1e-9)


def trained(trials: int = 60, omitted: float = 0.0, **params: Any) -> tuple[EventReservoir, float]:
    """One to whom a lamp is lit, a bell rings after a second, and all begins again after 7."""
    learner = EventReservoir(symbols=3, **params)
    draw = np.random.default_rng(1)
    t = 0.0
    for _ in range(trials):
        t += 7.0
        learner.step_one(event("lamp"), None, t)
        if draw.random() >= omitted:
            learner.step_one(event("bell"), None, t + 1.0)
    return learner, t + 7.0


def test_what_comes_next_and_when() -> None:
    learner, t = trained()
    said = learner.predict(event("lamp"), t)
    assert said.label == "bell"
    assert said.proba is not None
    assert said.proba["bell"] == pytest.approx(1.0, abs=0.1)
    assert learner.expect_one(event("lamp"), t)["bell"].seconds == pytest.approx(1.0, rel=0.06)
    learner.learn_one(event("lamp"), None, t)
    signals = learner.signals()
    assert signals["event_next_probability"] == pytest.approx(1.0, abs=0.1)
    assert signals["event_next_seconds"] == pytest.approx(1.0, rel=0.06)
    assert signals["event_symbols"] == 2
    after = learner.predict(event("bell"), t + 1.0)
    assert after.label == "lamp"


def test_early_late_and_unexpected_events_score_higher() -> None:
    learner, t = trained()
    learner.learn_one(event("lamp"), None, t)
    on_time = learner.score_one(event("bell"), t + 1.0)
    assert on_time is not None
    assert on_time < 0.4
    for symbol, at in (("bell", t + 0.5), ("bell", t + 2.0), ("lamp", t + 1.0), ("horn", t + 1.0)):
        score = learner.score_one(event(symbol), at)
        assert score is not None
        assert score > 3.0, (symbol, at - t)
    learner.learn_one(event("bell"), None, t + 0.5)
    assert learner.signals()["event_timing"] == pytest.approx(-0.5, abs=0.06)
    assert learner.signals()["event_surprise"] > 3.0


def test_an_event_that_stays_out_is_told() -> None:
    learner, t = trained()
    learner.learn_one(event("lamp"), None, t)
    alarm = learner.signals()["silence_alarm_after_seconds"]
    assert alarm == 10.0
    score = learner.score_one(event("lamp"), t + 7.0)
    assert score is not None
    assert score > 2.0
    learner.learn_one(event("lamp"), None, t + 7.0)
    assert learner.signals()["event_omission"] > 0.9
    sometimes, t = trained(150, omitted=0.5)
    sometimes.learn_one(event("lamp"), None, t)
    assert "silence_alarm_after_seconds" in sometimes.signals()
    score = sometimes.score_one(event("lamp"), t + 7.0)
    assert score is not None
    assert score < 1.5


def test_the_alarm_follows_the_expected_delay() -> None:
    learner = EventReservoir(symbols=2)
    for i in range(60):
        learner.learn_one(event("tick"), None, 300.0 * i)
    alarm = learner.signals()["silence_alarm_after_seconds"]
    assert 300.0 < alarm < 600.0


def test_events_at_random_are_expected_as_probably_as_they_come() -> None:
    """Of gaps without memory, one in 20 is longer than three times the mean."""
    learner = EventReservoir()
    draw, t, late, alarms = np.random.default_rng(8), 0.0, [], []
    for i in range(1_200):
        gap = float(draw.exponential(100.0))
        alarm = learner.signals().get("silence_alarm_after_seconds")
        if i > 400 and alarm is not None:
            late.append(gap > alarm)
            alarms.append(alarm)
        t += gap
        learner.learn_one(event("tick"), None, t)
    assert len(late) > 300
    assert np.mean(late) < 0.08
    assert 200.0 < np.median(alarms) < 600.0


def test_a_stream_says_from_when_on_its_silence_is_strange() -> None:
    spec = StreamSpec.model_validate({"learner": {"kind": "event_reservoir"}, "indicators": []})
    stream = Stream(spec)
    for i in range(60):
        stream.step(Event(x={"state": "tick"}), 300.0 * i)
    alarm = stream.status()["signals"]["silence_alarm_after_seconds"]
    assert 300.0 < alarm < 600.0


def test_a_symbol_is_left_to_the_cue_that_expects_it_most_clearly() -> None:
    learner = EventReservoir(symbols=4)
    draw = np.random.default_rng(3)
    for i in range(150):
        t = 20.0 * i
        noise = np.sort(draw.uniform(0.1, 19.9, 4))
        events = [(0.0, "lamp"), (1.0, "bell"), *((float(each), "noise") for each in noise)]
        for after, name in sorted(events):
            learner.learn_one(event(name), None, t + after)
    learner.learn_one(event("lamp"), None, 3_000.0)
    said = learner.expect_one(event("noise"), 3_000.6)
    assert said["bell"].seconds == pytest.approx(0.4, abs=0.1)
    assert said["bell"].probability > 0.6


def test_what_might_have_come_in_place_of_an_event_is_over_with_it() -> None:
    learner = EventReservoir(symbols=4)
    draw = np.random.default_rng(2)
    for i in range(100):
        learner.learn_one(event("cue"), None, 20.0 * i)
        learner.learn_one(event("AB"[draw.integers(2)]), None, 20.0 * i + 1.0)
    learner.learn_one(event("cue"), None, 2_000.0)
    before = learner.expect_one({}, None)
    assert before["A"].probability == pytest.approx(0.5, abs=0.3)
    after = learner.expect_one(event("A"), 2_001.0)
    assert after["B"].seconds > 10.0
    assert learner.predict(event("A"), 2_001.0).label == "cue"


def test_more_symbols_than_there_is_room_for() -> None:
    learner = EventReservoir(symbols=2, cells=12)
    for i in range(200):
        learner.step_one(event(f"s{i % 5}"), None, float(i))
    said = learner.predict(event("s0"), 200.0)
    assert said.label == "s1"
    assert said.proba is not None
    assert said.proba.keys() == {"s0", "s1"}
    assert learner.signals()["event_symbols"] == 2


def test_which_feature_is_the_symbol() -> None:
    with pytest.raises(InvalidEvent, match="parameter `symbol`"):
        EventReservoir().learn_one({"a": "x", "b": "y"})
    with pytest.raises(InvalidEvent, match="expected text or a finite number"):
        EventReservoir().learn_one({"a": math.inf})
    with pytest.raises(InvalidEvent, match="expected text or a finite number"):
        EventReservoir().learn_one({"a": 10**5_000})
    with pytest.raises(InvalidEvent, match="got 5000 features") as raised:
        EventReservoir().learn_one({f"{i}" * 50: 1.0 for i in range(5_000)})
    assert len(str(raised.value)) < 500
    learner = EventReservoir()
    learner.learn_one({"a": "x", "b": 2.0}, None, 1.0)
    learner.learn_one({"b": 2.0}, None, 2.0)
    assert learner.predict({"b": 3.0}, 3.0).score is None
    before = learner.get_state()
    assert before["counted"].tolist() == [1]
    learner.learn_one({"a": None}, None, 3.0)
    assert learner.get_state()["counted"].tolist() == [1]
    assert EventReservoir(symbol="b").predict({"a": "x"}).score is None


def test_times_that_go_back_or_are_none() -> None:
    learner = EventReservoir(**SMALL)
    for t in (5.0, 4.0, None, math.nan, 1e300, -1e300):
        said = learner.step_one(event("a"), None, t)
        assert said.score is None or math.isfinite(said.score)
    assert learner.get_state()["last"].tolist() == [0.0, -1e12, 0.0, 0.0]
    learner = EventReservoir(**SMALL)
    for t in (5.0, 4.0, 1e300, 1e12 - 5.0):
        learner.step_one(event("a"), None, t)
    assert learner.get_state()["last"].max() == 1e12


def test_a_wrong_time_far_ahead_does_not_stop_it() -> None:
    learner = EventReservoir(symbols=3)
    probabilities, t = [], 0.0
    for i in range(601):
        t += 10.0
        learner.learn_one(event("ab"[i % 2]), None, 5e11 if i == 200 else t)
        if i in (199, 600):
            probabilities.append(learner.signals()["event_next_probability"])
            learner.set_state(learner.get_state())
    assert probabilities[0] > 0.9
    assert probabilities[1] == pytest.approx(probabilities[0], abs=0.05)
    assert learner.signals()["event_next_seconds"] == pytest.approx(10.0, rel=0.1)


def test_the_highest_learning_rate_settles() -> None:
    learner, t = trained(400, learning_rate=0.2)
    assert np.abs(learner.get_state()["R"]).max() < 10.0
    assert learner.expect_one(event("lamp"), t)["bell"].probability == pytest.approx(1.0, abs=0.1)


def test_what_it_held_before_a_snapshot_leaves_nothing_behind() -> None:
    state = trained(5)[0].get_state()
    fresh, used = EventReservoir(symbols=3), EventReservoir(symbols=3)
    for i in range(90):
        used.learn_one(event("xyz"[i % 3]), None, 1.0 * i)
    for learner in (fresh, used):
        learner.set_state(state)
    for i in range(30):
        name, t = ("lamp", "bell", "horn")[i % 3], 100.0 + i
        assert fresh.step_one(event(name), None, t) == used.step_one(event(name), None, t)
        assert fresh.signals() == used.signals()
        mine, its = fresh.get_state(), used.get_state()
        assert all(mine[each].tobytes() == its[each].tobytes() for each in mine)


def test_strange_state_is_refused() -> None:
    learner, _ = trained(5)
    good = learner.get_state()
    nan = np.full_like(good["R"], math.nan)
    for bad in (
        {"R": nan},
        {"R": good["R"][:1, :, :1]},
        {"recent": np.full_like(good["recent"], 1)},
        {"recent": np.full_like(good["recent"], -1)},
        {"recent": np.full_like(good["recent"], 9)},
        {"ring_s": np.full_like(good["ring_s"], 3)},
        {"done": np.full_like(good["done"], -1)},
        {"last": np.full_like(good["last"], math.inf)},
        {"counted": np.array([-1])},
        {"names": np.frombuffer(b'["a","a"]', np.uint8)},
        {"feature": np.frombuffer(b'["a","b"]', np.uint8)},
        {"feature": np.frombuffer(b"[" + b'"' + b"a" * 2_000 + b'"]', np.uint8)},
    ):
        with pytest.raises(StateError):
            learner.set_state(good | bad)
    with pytest.raises(StateError, match="expected 'door'"):
        EventReservoir(symbols=3, symbol="door").set_state(good)
    again = learner.get_state()
    assert all(again[name].tobytes() == good[name].tobytes() for name in good)


@pytest.mark.parametrize(
    "params",
    [
        {"symbols": 0},
        {"shortest_seconds": 2.0, "longest_seconds": 1.0},
        {"cells": 3},
        {"cues": 0},
        {"learning_rate": 0.21},
        {"symbol": ""},
    ],
)
def test_bad_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        EventReservoir(**params)


def test_a_changed_delay_and_probability_are_learned_anew() -> None:
    run = accept.reversal(seed=1, rate=0.02)
    assert run.before.seconds == pytest.approx(0.3, abs=0.015)
    assert run.after.seconds == pytest.approx(0.42, abs=0.015)
    assert run.trials_to_adapt <= 20
    assert accept.recursive(seed=1, forgetting=1.0).trials_to_adapt > 100
