"""Stored patterns: recall and its laws, what is written, merged and forgotten, what it tells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accept import hopfield_memory as accept
from benchmarks.images import digits
from learners.base import Features
from learners.memories.hopfield_memory import HopfieldMemory
from tests import naive_memories as naive


def named(row: Any) -> Features:
    return {f"f{i}": float(value) for i, value in enumerate(row)}


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1_000),
    iterations=st.sampled_from([1, 3]),
    repair=st.sampled_from([0.0, 0.5]),
    merge_at=st.sampled_from([0.8, 2.0]),
)
def test_same_as_the_twin(seed: int, iterations: int, repair: float, merge_at: float) -> None:
    draw = np.random.default_rng(seed)
    chosen: dict[str, Any] = {"iterations": iterations, "repair": repair, "merge_at": merge_at}
    learner = HopfieldMemory(6, 4.0, sure=0.7, classes=3, max_features=4, scaling="none", **chosen)
    twin = naive.Patterns(6, 3, 4.0, sure=0.7, use_rate=0.1 / 6, **chosen)
    for label in "012":
        learner.learn_one(named(np.zeros(4)), label)
    twin.events = 0
    for i in range(50):
        x, truth = draw.normal(size=4), int(draw.integers(-1, 3))
        said = learner.predict(named(x))
        if i:
            assert said.proba is not None
            assert said.expected is not None
            np.testing.assert_allclose(list(said.proba.values()), twin.probabilities(x), rtol=1e-7)
            assert said.score == pytest.approx(twin.distance(x), abs=1e-9)
            back = twin.recall(x)[1] * np.linalg.norm(x)
            np.testing.assert_allclose(list(said.expected.values()), back, atol=1e-9)
        else:
            assert (said.score, said.expected) == (None, None)
        learner.learn_one(named(x), str(truth) if truth >= 0 else None)
        twin.learn(x, truth)
        state = learner.get_state()
        np.testing.assert_allclose(state["X"], np.array(twin.rows), atol=1e-9)
        np.testing.assert_allclose(state["Y"], np.array(twin.meanings), atol=1e-9)
        np.testing.assert_allclose(state["use"], np.array(twin.use), rtol=1e-7)
        assert state["born"].tolist() == twin.born
        assert state["merged"].tolist() == twin.merged


def test_what_is_missing_is_filled_in() -> None:
    learner = HopfieldMemory(scaling="standardize", beta=50.0)
    draw = np.random.default_rng(0)
    for _ in range(200):
        sign = float(draw.choice([-1.0, 1.0]))
        near = draw.normal(0, 0.1, 3)
        learner.learn_one({"a": 10 + sign + near[0], "b": 5 * sign, "c": 100 - 20 * sign})
    said = learner.predict({"a": 11.0, "b": 5.0, "c": None}).expected
    assert said is not None
    assert said["c"] == pytest.approx(80.0, abs=8.0)


def test_a_stranger_scores_high_and_is_stored() -> None:
    learner = HopfieldMemory(scaling="none", max_features=3)
    for i in range(200):
        learner.learn_one({"a": 1.0, "b": i % 7 / 100, "c": 0.0})
    stored = learner.signals()["hopfield_patterns"]
    usual, strange = ({"a": 1.0, "b": 0.03, "c": 0.0}, {"a": 0.0, "b": 0.0, "c": 1.0})
    assert (learner.score_one(usual) or 0.0) < 0.01
    assert (learner.score_one(strange) or 0.0) > 0.9
    learner.learn_one(usual)
    assert learner.signals()["hopfield_patterns"] == stored
    learner.learn_one(strange)
    assert learner.signals()["hopfield_patterns"] == stored + 1
    assert (learner.score_one(strange) or 0.0) < 0.01


def test_the_energy_is_a_score_too() -> None:
    learner = HopfieldMemory(scaling="none", score="energy", write="all", max_features=2)
    for i in range(20):
        learner.learn_one({"a": 1.0, "b": i / 100})
    near, far = learner.score_one({"a": 1.0, "b": 0.1}), learner.score_one({"a": -1.0, "b": 0.0})
    assert near is not None
    assert far is not None
    assert near < 0.1 < 1.5 < far <= 2.0


def test_the_last_of_a_label_is_not_forgotten() -> None:
    learner = HopfieldMemory(5, scaling="none", write="all", merge_at=2.0, max_features=3)
    learner.learn_one({"a": 0.0, "b": 1.0, "c": 0.0}, "rare")
    for i in range(300):
        learner.learn_one({"a": 1.0, "b": 0.0, "c": math.sin(i)}, "frequent")
    assert learner.signals()["hopfield_evictions"] == 296
    assert learner.predict_one({"a": 0.0, "b": 1.0, "c": 0.0}) == "rare"


def test_a_late_label_names_what_is_stored() -> None:
    learner = HopfieldMemory(scaling="none", repair=0.0)
    learner.learn_one({"a": 1.0, "b": 0.5})
    assert learner.predict({"a": 1.0, "b": 0.5}).label is None
    learner.learn_label({"a": 1.0, "b": 0.5}, "x")
    said = learner.predict({"a": 1.0, "b": 0.5})
    assert said.label == "x"
    assert (said.proba or {})["x"] > 0.9
    assert learner.signals()["hopfield_patterns"] == 1


def test_digits_are_told_apart_by_few_writes() -> None:
    images = digits().shuffled(1)
    learner = HopfieldMemory(classes=10, scaling="center")
    pairs = list(zip(images.x, images.y, strict=True))[:1_000]
    right = [learner.step_one(named(x), str(y)).label == str(y) for x, y in pairs]
    assert np.mean(right) > 0.92
    assert learner.signals()["hopfield_writes"] < 500


def test_one_step_brings_back_by_its_law() -> None:
    found = accept.recalled(np.random.default_rng(3), 256, 19, beta=1.0, cues=400)
    assert found == pytest.approx(accept.law(256, 19), abs=0.07)
    assert accept.recalled(np.random.default_rng(3), 64, 6, beta=0.01, cues=50) == 0.0


def test_the_energy_never_rises_and_the_bound_holds() -> None:
    draw = np.random.default_rng(5)
    assert accept.rises(draw, 100) == 0
    assert accept.beyond_bound(draw, 100) == 0
