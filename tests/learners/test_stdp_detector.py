"""The STDP detector: when it fires, against counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.plastic.stdp_detector import StdpDetector


def bits(*active: int) -> dict[str, float]:
    return {f"b{i}": float(i in active) for i in range(8)}


@pytest.mark.parametrize(("overlap", "least"), [(0.5, 2), (0.75, 3), (1.0, 4)])
def test_it_fires_when_enough_of_what_was_taught_is_active(overlap: float, least: int) -> None:
    learner = StdpDetector(inputs=8, overlap=overlap)
    learner.learn_one(bits(0, 1, 2, 3), "door")
    for active in range(5):
        found = learner.predict(bits(*range(active), 6))
        assert (found.label == "door") == (active >= least)
        assert found.score == pytest.approx(1.0 - active / 4)


def test_weights_are_a_matter_of_what_was_active_alone() -> None:
    learner = StdpDetector(inputs=8, rate=0.2)
    ref = np.zeros(8)
    for active in ((0, 1), (1, 2), (1, 2, 3), (0, 1)):
        learner.learn_one(bits(*active), "door")
        taught = np.isin(np.arange(8), active).astype(float)
        ref = np.where(taught > 0, ref + 0.2 * (1 - ref), ref - 0.2 * ref)
        ref /= ref.sum()
        np.testing.assert_allclose(learner.synapses[0], ref, rtol=1e-12)


def test_a_word_is_a_feature_and_another_label_a_neuron() -> None:
    learner = StdpDetector(inputs=8)
    learner.learn_one({"state": "open", "lamp": "red"}, 1)
    learner.learn_one({"state": "shut", "lamp": "red"}, 2)
    assert learner.predict_one({"state": "open", "lamp": "red"}) == 1
    assert learner.predict_one({"state": "shut", "lamp": "red"}) == 2
    assert learner.predict_one({"state": "ajar", "lamp": "red"}) is None
    assert learner.shares({"state": "open", "lamp": "red"}) == {"1": 1.0, "2": 0.5}
    assert learner.signals()["pattern_overlap"] == 0.5
    assert learner.signals()["patterns"] == 2.0


def test_sharing_a_neuron_widens_its_threshold() -> None:
    learner = StdpDetector(inputs=8, rate=0.05)
    for _ in range(50):
        learner.learn_one(bits(0, 1, 2), "any")
        learner.learn_one(bits(3, 4, 5), "any")
    assert learner.predict_one(bits(0, 1, 2)) == "any"
    assert learner.predict_one(bits(3, 4, 5)) == "any"
    assert learner.predict_one(bits(0, 3, 6)) is None


def test_a_label_of_nothing_active_teaches_nothing() -> None:
    learner = StdpDetector(inputs=8)
    learner.learn_one(bits(), "nothing")
    assert learner.signals()["patterns"] == 0.0
    assert learner.predict(bits(1)).label is None


def test_a_late_label_teaches_as_well() -> None:
    learner = StdpDetector(inputs=8)
    learner.learn_one(bits(1, 2))
    learner.learn_label(bits(1, 2), "late")
    assert learner.predict_one(bits(1, 2)) == "late"


@pytest.mark.parametrize(
    "params", [{"inputs": 0}, {"overlap": 0.0}, {"rate": 1.1}, {"active_above": 1e101}]
)
def test_wrong_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        StdpDetector(**params)


@pytest.mark.parametrize("name", ["synapses", "least", "gauges"])
def test_a_state_that_cannot_have_come_about_is_refused(name: str) -> None:
    learner = StdpDetector(inputs=8)
    learner.learn_one(bits(1), "yes")
    state = learner.get_state()
    state[name].reshape(-1)[0] = np.nan
    with pytest.raises(StateError, match=name):
        learner.set_state(state)


@pytest.mark.parametrize(("name", "value"), [("least", 5e-324), ("synapses", 0.9)])
def test_a_state_whose_shares_would_know_no_bounds_is_refused(name: str, value: float) -> None:
    learner = StdpDetector(inputs=8)
    learner.learn_one(bits(1), "yes")
    state = learner.get_state()
    state[name][0] = value
    with pytest.raises(StateError, match=name):
        learner.set_state(state)


@pytest.mark.parametrize("rate", [1e-12, 1e-3])
def test_what_the_slowest_learner_comes_to_is_taken_back(rate: float) -> None:
    learner = StdpDetector(inputs=8, rate=rate)
    for i in range(20):
        learner.learn_one(bits(i), "yes")
    StdpDetector(inputs=8, rate=rate).set_state(learner.get_state())
