"""Several patterns at once: the twin, amplitudes by their law, labels that are joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accept import multitasking_memory as accept
from learners.base import Features, InvalidEvent
from learners.kernels import multitasking_memory as kernels
from learners.memories.multitasking_memory import MultitaskingMemory
from tests import naive_memories as naive


def named(row: Any) -> Features:
    return {f"s{i}": float(value) for i, value in enumerate(row)}


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1_000), fill=st.booleans(), most=st.sampled_from([0, 1, 8]))
def test_same_as_the_twin(seed: int, fill: bool, most: int) -> None:
    draw = np.random.default_rng(seed)
    A = np.round(draw.uniform(-1, 1, (12, 3)), 1) * (draw.random((12, 3)) < 0.5)
    s = draw.integers(-1, 2, 12).astype(np.float64)
    ref = naive.Amplitudes(A)
    want, sweeps = ref.settle(s, fill, most)
    got = accept.holding(A, s.copy())
    np.testing.assert_allclose(got.strength, ref.strength, atol=1e-12)
    assert kernels.settle(got, 12, 3, fill, most, np.zeros(1, np.uint64)) == sweeps
    np.testing.assert_array_equal(got.s, want)
    np.testing.assert_allclose(got.m, ref.of(want), atol=1e-9)
    fields = (A @ ref.of(want))[s != 0]
    size = float(np.linalg.norm(fields) * np.linalg.norm(s))
    agrees = float(fields @ s[s != 0]) / size if size else 0.0
    assert kernels.agreement(got, 12, 3, s, 0.5) == pytest.approx(agrees, abs=1e-9)


def test_a_pattern_is_the_mean_of_its_events() -> None:
    draw = np.random.default_rng(1)
    learner = MultitaskingMemory(0.5, scaling="none", max_features=6)
    rows = draw.integers(-1, 2, (40, 6))
    for i, row in enumerate(rows):
        learner.learn_one(named(row), ("a", "b", "a+b")[i % 3])
    A = learner.get_state()["A"]
    of_a = [row for i, row in enumerate(rows) if i % 3 != 1]
    np.testing.assert_allclose(A[:, 0], np.mean(of_a, axis=0), atol=1e-12)
    assert learner.signals()["multitasking_dilution"] == pytest.approx(np.mean(rows == 0))


def test_amplitudes_follow_their_law() -> None:
    found = np.mean(
        [accept.amplitudes(np.random.default_rng(s), 3_000, 3, 0.4, 0.0, 50) for s in (1, 2)],
        axis=0,
    )
    np.testing.assert_allclose(found, [1.0, 0.4, 0.16], atol=0.06)


def test_noise_makes_diluted_patterns_alike_and_leaves_dense_ones_apart() -> None:
    draw = np.random.default_rng(2)
    alike = accept.amplitudes(draw, 20_000, 3, 0.85, 0.5, 60)
    assert accept.equal_amplitude(0.85, 0.5) == pytest.approx(0.805, abs=0.001)
    np.testing.assert_allclose(alike, 0.805, atol=0.07)
    apart = accept.amplitudes(draw, 6_000, 3, 0.4, 0.7, 60)
    assert apart[0] > 4 * apart[1]


def test_a_pattern_is_learned_from_examples() -> None:
    taught, untaught = accept.archetypes(np.random.default_rng(3), 0.6, 20)
    assert min(taught, untaught) > 0.93


def test_several_labels_are_told_at_once() -> None:
    assert accept.labels_told(np.random.default_rng(4), 10) > 0.93
    learner = MultitaskingMemory(0.5, scaling="none")
    for _ in range(5):
        learner.learn_one({"a": 1.0, "b": -1.0, "c": 0.0, "d": 0.0}, "left")
        learner.learn_one({"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}, 7.0)
    both = learner.predict({"a": 1.0, "b": -1.0, "c": 1.0, "d": 1.0})
    assert both.label == "7+left"
    assert both.score == pytest.approx(0.0)
    assert learner.predict_one({"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}) == 7.0
    strange = learner.predict({"a": -1.0, "b": -1.0, "c": 1.0, "d": -1.0})
    assert (strange.score or 0.0) > 0.5
    assert learner.predict({"a": 0.0}).score == 0.0
    assert MultitaskingMemory().predict({"a": 1.0}).score is None
    assert learner.signals()["multitasking_active"] == 1.0


def test_without_separator_one_label_is_told() -> None:
    learner = MultitaskingMemory(0.5, separator="", scaling="none")
    for _ in range(3):
        learner.learn_one({"a": 1.0, "b": 0.0}, "x+y")
        learner.learn_one({"a": 0.0, "b": 1.0}, "z")
    assert learner.predict_one({"a": 1.0, "b": 1.0}) in ("x+y", "z")
    assert set(learner.predict_proba_one({"a": 1.0})) == {"x+y", "z"}
    learner.learn_one({"a": 1.0, "b": 1.0}, "C++")
    assert "C++" in learner.predict_proba_one({"a": 1.0})


def test_labels_too_many_or_none_are_refused() -> None:
    learner = MultitaskingMemory(classes=3)
    learner.learn_one({"a": 1.0}, "a+b")
    before = learner.get_state()
    for label in ("c+d", "+", "", "C++", "+a", "a+"):
        with pytest.raises(InvalidEvent):
            learner.learn_one({"a": 1.0}, label)
        with pytest.raises(InvalidEvent):
            learner.learn_label({"a": 1.0}, label)
    after = learner.get_state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_a_late_label_teaches_the_same() -> None:
    first, second = (MultitaskingMemory(scaling="none") for _ in range(2))
    for i in range(20):
        x: Features = {"a": float(i % 3 - 1), "b": float(i % 5 - 2)}
        first.learn_one(x, "xy"[i % 2])
        second.learn_one(x)
        second.learn_label(x, "xy"[i % 2])
    np.testing.assert_array_equal(first.get_state()["A"], second.get_state()["A"])


def test_the_mean_forgets() -> None:
    learner = MultitaskingMemory(0.5, window=10, scaling="none")
    for i in range(100):
        learner.learn_one({"a": 1.0 if i < 50 else -1.0}, "x")
    assert learner.get_state()["A"][0, 0] < -0.9
