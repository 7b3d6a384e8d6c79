"""The presynaptic pool: a tick at a time against a twin that remembers everything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from learners.base import InvalidEvent, StateError
from learners.plastic.presynaptic_pool import DIFFERENCE, DISTANCE, RATE, PresynapticPool
from tests import naive

SPEC: dict[str, Any] = {"inputs": 6, "window": 2, "lookback": 4, "pool": 0.5, "amount": 0.2}


def tick(spikes: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, float]:
    return {f"i{i}": float(spike) for i, spike in enumerate(spikes)}


class Twin:
    """The same from lists of all ticks there ever were."""

    def __init__(self, weights: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> None:
        self.w, self.random, self.v = weights.copy(), naive.Random(seed), 0.0
        self.spikes: list[np.ndarray[Any, np.dtype[np.bool_]]] = []
        self.fired: list[bool] = []
        self.wanted: list[bool | None] = []

    def uniform(self) -> float:
        return (self.random.next_u64() >> 11) * 2.0**-53

    def step(self, spikes: np.ndarray[Any, np.dtype[np.bool_]], wanted: bool | None) -> bool:
        self.v = self.v * math.exp(-1 / 10) + float(self.w[spikes].sum())
        fires = self.v >= 1
        self.v = 0.0 if fires else self.v
        self.spikes.append(spikes)
        self.fired.append(fires)
        self.wanted.append(wanted)
        at = len(self.fired) - 3
        around = slice(at - 2, at + 3)
        if at >= 2 and None not in self.wanted[around]:
            missed = self.wanted[at] and not any(self.fired[around])
            extra = self.fired[at] and not any(self.wanted[around])
            if missed or extra:
                recent = np.array(self.spikes[max(at - 3, 0) : at + 1]).any(axis=0)
                for i in np.flatnonzero(recent):
                    chosen, by = self.uniform() < 0.5, 0.2 * self.uniform()
                    if chosen:
                        self.w[i] += by if missed else -by
        return fires


def test_pools_are_moved_as_by_a_twin_that_remembers_all() -> None:
    draw = np.random.default_rng(3)
    learner = PresynapticPool(**SPEC, first=0.3, seed=7)
    learner.learn_one(tick(np.zeros(6, bool)))
    twin = Twin(learner.synapses, 7)
    twin.step(np.zeros(6, bool), None)
    for i in range(400):
        spikes = draw.random(6) < 0.2
        wanted = None if i % 50 == 49 else bool(draw.random() < 0.1)
        would = learner.predict(tick(spikes)).label
        ref = twin.step(spikes, wanted)
        learner.learn_one(tick(spikes), None if wanted is None else float(wanted))
        assert learner.fired[-1] == ref == would
        np.testing.assert_allclose(learner.synapses, twin.w, rtol=1e-10)
    assert learner.signals()["misses"] > 5
    assert learner.signals()["extras"] > 5


def test_it_learns_to_fire_with_one_of_its_inputs() -> None:
    draw = np.random.default_rng(5)
    learner = PresynapticPool(**SPEC | {"amount": 0.05}, first=0.2)
    before: list[float] = []
    for i in range(6_000):
        spikes = draw.random(6) < 0.04
        learner.learn_one(tick(spikes), float(spikes[0]))
        if i == 600:
            before.append(learner.signals()["coincidence_f1"])
    assert learner.signals()["coincidence_f1"] > before[0] + 0.1
    assert learner.synapses[0] == learner.synapses.max()


def test_homeostasis_brings_firing_to_what_is_wanted() -> None:
    draw = np.random.default_rng(5)
    spec = SPEC | {"amount": 1e-9, "first": 0.5}
    free, held = PresynapticPool(**spec), PresynapticPool(**spec, homeostasis=0.01)
    for i in range(3_000):
        spikes = draw.random(6) < 0.2
        for learner in (free, held):
            learner.learn_one(tick(spikes), float(i % 20 == 0))
    assert free.signals()["firing_rate"] > 0.2
    assert held.signals()["firing_rate"] < 0.1


def test_following_moves_the_potential_alone() -> None:
    learner = PresynapticPool(**SPEC, first=0.1)
    learner.learn_one(tick(np.ones(6, bool)))
    before = learner.synapses.copy()
    learner.follow_one(tick(np.zeros(6, bool)))
    assert (learner.synapses == before).all()
    assert learner.counts[0] == 2


@pytest.mark.parametrize(
    "params",
    [
        {"inputs": 0}, {"time_constant": 0.0}, {"window": -1}, {"lookback": 0}, {"pool": 0.0},
        {"amount": 11.0}, {"homeostasis": 2.0}, {"first": -1.0}, {"seed": -1},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        PresynapticPool(**params)


@pytest.mark.parametrize(
    ("name", "value"),
    [("synapses", np.nan), ("wanted", 2), ("gauges", np.inf), ("counts", -1)],
)
def test_a_state_that_cannot_have_come_about_is_refused(name: str, value: float) -> None:
    learner = PresynapticPool(**SPEC)
    state = learner.get_state()
    state[name][0] = value
    with pytest.raises(StateError, match=name):
        learner.set_state(state)


def test_a_label_that_is_no_number_at_all_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="y: got nan"):
        PresynapticPool(**SPEC).learn_one({"i0": 1.0}, math.nan)


@pytest.mark.parametrize("gauge", [DIFFERENCE, DISTANCE, RATE])
def test_gauges_that_no_trains_of_spikes_come_to_are_refused(gauge: int) -> None:
    learner = PresynapticPool(**SPEC)
    state = learner.get_state()
    state["gauges"][gauge] = 1e12
    with pytest.raises(StateError, match="gauges"):
        learner.set_state(state)


def test_the_farthest_two_trains_can_be_apart_is_taken_back() -> None:
    learner = PresynapticPool(inputs=2, time_constant=3.0, first=0.0, amount=1e-9)
    for _ in range(300):
        learner.learn_one({"a": 0.0}, 1.0)
    PresynapticPool(inputs=2, time_constant=3.0).set_state(learner.get_state())
