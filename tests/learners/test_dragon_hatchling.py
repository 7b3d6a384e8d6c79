"""What comes next: the twin, sequences that can be known, symbols of any kind, hostile arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accept import dragon_hatchling as accept
from learners.base import InvalidEvent, StateError
from learners.memories.dragon_hatchling import DragonHatchling
from tests import naive_memories as naive

SMALL: dict[str, Any] = {"symbols": 6, "orders": (1, 3), "units": 32, "active": 5}


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1_000), rate=st.sampled_from([0.3, 1.0]))
def test_same_as_the_twin(seed: int, rate: float) -> None:
    draw = np.random.default_rng(seed)
    R = np.array(
        [
            [np.random.default_rng((7, j, i)).standard_normal(32, np.float32) for i in range(6)]
            for j in range(3)
        ],
        np.float64,
    )
    learner = DragonHatchling(**SMALL, rate=rate, seed=7)
    twin = naive.Hatchling(R, (1, 3), 5, rate)
    places: dict[int, int] = {}
    for symbol in draw.integers(0, 4, 40).tolist():
        said = learner.predict({"s": symbol})
        place = places.setdefault(symbol, len(places))
        if twin.seen:
            p = twin.weights @ twin.banks()
            assert said.proba is not None
            np.testing.assert_allclose(list(said.proba.values()), p[: len(said.proba)], atol=1e-9)
            if place in twin.seen:
                assert said.score == pytest.approx(-math.log2(p[place]), abs=1e-6)
        learner.learn_one({"s": symbol})
        twin.learn(place)
        state = learner.get_state()
        got = np.moveaxis(state["S"], 1, 2)
        np.testing.assert_allclose(got, np.array(twin.S)[:, : len(places)], atol=1e-9)
        np.testing.assert_allclose(state["weights"], twin.weights, atol=1e-9)


def test_a_cycle_is_known_after_its_first_round() -> None:
    assert accept.cycle(np.random.default_rng(1)) == (1.0, 1.0)


def test_it_is_the_attention_over_all_that_came() -> None:
    assert accept.from_attention(np.random.default_rng(2), 80) < 1e-10


def test_the_published_layer_is_a_recurrence() -> None:
    assert accept.published_layers(np.random.default_rng(3)) < 1e-10


def test_a_noisy_table_is_learned_about_as_well_as_counted() -> None:
    right, bits, counted = accept.noisy_table(np.random.default_rng(4), 4_000)
    assert right > counted - 0.03
    assert bits < 1.35


def test_words_and_what_was_never_there() -> None:
    learner = DragonHatchling(orders=(1,), units=256, active=16)
    for _ in range(20):
        for word in ("login", "read", "logout"):
            learner.learn_one({"event": word})
    said = learner.predict({"event": "read"})
    assert (said.label, said.expected) == ("login", None)
    assert (said.score or 0.0) > 3.0
    assert learner.forecast(1) == []
    new = learner.score_one({"event": "sudo"})
    assert new == pytest.approx(math.log2(63 / 3))
    assert (learner.score_one({"event": "login"}) or 0.0) < 0.5
    learner.follow_one({"event": "login"})
    assert learner.predict_one({"event": None}) == "read"
    assert learner.signals()["hatchling_symbols"] == 3


def test_numbers_are_rounded_and_forecast() -> None:
    learner = DragonHatchling(orders=(1,))
    for i in range(60):
        learner.learn_one({"n": i % 4 + 0.2})
    said = learner.predict({"n": 0.0})
    assert (said.label, said.expected) == (0.0, {"n": 0.0})
    (found,) = learner.forecast(3)
    assert (found.horizon, found.value, found.lower, found.upper) == (1, 0.0, 0.0, 0.0)
    assert learner.signals()["hatchling_right"] > 0.9
    assert learner.signals()["hatchling_bits"] < 0.5


def test_a_changed_rule_is_learned_anew() -> None:
    learner = DragonHatchling(orders=(1,))
    for _ in range(50):
        for word in "abc":
            learner.learn_one({"s": word})
    for _ in range(20):
        for word in "acb":
            learner.learn_one({"s": word})
    assert learner.predict_one({"s": None}) == "a"
    learner.follow_one({"s": "a"})
    assert learner.predict_one({"s": None}) == "c"


def test_symbols_beyond_its_room_are_one() -> None:
    learner = DragonHatchling(**SMALL)
    for i in range(400):
        learner.learn_one({"s": i})
    assert learner.signals()["hatchling_symbols"] == 6
    assert learner.held_bytes() <= DragonHatchling.memory_bytes(**SMALL)
    assert (learner.score_one({"s": 1_000}) or 0.0) < 1.0


def test_many_symbols_are_told_in_part() -> None:
    learner = DragonHatchling(units=64, active=8)
    for i in range(40):
        learner.learn_one({"s": i})
    assert len(learner.predict({"s": 0}).proba or {}) == 16


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, -(10**4_000), "x" * 2_000])
def test_bad_symbols_change_nothing(value: Any) -> None:
    learner = DragonHatchling(**SMALL)
    learner.learn_one({"s": 1})
    before = learner.get_state()
    for x in ({"s": value}, {"s": 1.0, "r": 2.0}):
        for act in (learner.learn_one, learner.predict, learner.follow_one):
            with pytest.raises(InvalidEvent):
                act(x)
    after = learner.get_state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_arrays_from_a_stranger(data: st.DataObject) -> None:
    learner = DragonHatchling(**SMALL)
    drive(learner, data.draw(st.integers(0, 25)))
    good, bad = learner.get_state(), learner.get_state()
    for _ in range(data.draw(st.integers(1, 3))):
        array = bad[data.draw(st.sampled_from(sorted(bad)))].reshape(-1)
        if not array.size:
            continue
        at = data.draw(st.integers(0, array.size - 1))
        if array.dtype == np.float64:
            array[at] = data.draw(st.one_of(st.sampled_from([math.nan, 1e7, 0.5]), st.floats()))
        else:
            array[at] = data.draw(st.integers(0, int(np.iinfo(array.dtype).max)))
    try:
        learner.set_state(bad)
    except StateError:
        for name, kept in learner.get_state().items():
            assert kept.tobytes() == good[name].tobytes()
        return
    for _ in range(3):
        drive(learner, 15)
        learner.set_state(learner.get_state())


def drive(learner: DragonHatchling, n: int) -> None:
    for i in range(n):
        symbols: list[float | str | None] = [float(i % 3), "word", 1e308, None, -0.0]
        said = learner.step_one({"s": symbols[i % 5]})
        numbers = [*learner.signals().values(), *(said.proba or {}).values(), said.score or 0.0]
        assert all(map(math.isfinite, numbers))


@pytest.mark.parametrize(
    "params",
    [
        {"feature": ""},
        {"symbols": 1},
        {"orders": ()},
        {"orders": (0,)},
        {"units": 1},
        {"active": 0},
        {"rate": 0.0},
        {"gain": 0.0},
        {"seed": -1},
    ],
)
def test_silly_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        DragonHatchling(**params)
