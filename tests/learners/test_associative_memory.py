"""Associations of keys with labels: the rules, their laws, and what is remembered of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accept import associative_memory as accept
from benchmarks.images import digits
from learners.base import Features
from learners.kernels import sparse_code
from learners.memories.associative_memory import AssociativeMemory, Code, Rule
from tests import naive_memories as naive


def named(row: Any) -> Features:
    return {f"f{i}": float(value) for i, value in enumerate(row)}


@settings(deadline=None, max_examples=200)
@given(
    values=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 3.5]), min_size=1, max_size=40),
    most=st.integers(1, 40),
)
def test_the_largest_are_kept(values: list[float], most: int) -> None:
    array = np.array(values)
    scratch, places = np.zeros(len(array)), np.zeros(len(array), np.int64)
    kept = sparse_code.keep_largest(array, most, scratch, places)
    assert places[:kept].tolist() == naive.keep_largest(array, most)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 1_000),
    rule=st.sampled_from(["delta", "hebb"]),
    code=st.sampled_from(["sparse", "unit", "plain"]),
)
def test_same_as_the_twin(seed: int, rule: Rule, code: Code) -> None:
    draw = np.random.default_rng(seed)
    learner = AssociativeMemory(
        rule, 0.4, 0.9, code, keys=20, active=4, scaling="none", classes=3, max_features=5
    )
    for label in "012":
        # Labels get their places; an event of zeros is associated with nothing.
        learner.learn_one(named(np.zeros(5)), label)
    twin = naive.Associations(3, 20 if code == "sparse" else 5, rule, 0.4, 0.9)
    P = np.array([np.random.default_rng((1, j)).standard_normal(20) for j in range(5)])
    for _ in range(30):
        x, truth = draw.normal(size=5) * (draw.random(5) > 0.2), int(draw.integers(3))
        key = naive.sparse_key(x @ P, 4) if code == "sparse" else x
        if code == "unit" and x.any():
            key = x / np.linalg.norm(x)
        said = learner.predict(named(x))
        assert said.proba is not None
        np.testing.assert_allclose(
            list(said.proba.values()), twin.probabilities(key), rtol=1e-7, atol=1e-12
        )
        if key.any():
            familiar = min(max(float(twin.responses(key).max()), 0.0), 1.0)
            assert said.score == pytest.approx(1.0 - familiar, abs=1e-9)
        learner.learn_one(named(x), str(truth))
        twin.learn(key, truth)
        np.testing.assert_allclose(learner.get_state()["S"], twin.S, rtol=1e-7, atol=1e-12)
    signals = learner.signals()
    assert signals["memory_norm"] == pytest.approx(np.linalg.norm(twin.S))
    assert signals["memory_error"] == pytest.approx(twin.error)
    assert signals["memory_gain"] == pytest.approx(twin.gain)
    assert signals["memory_writes"] == twin.writes


def test_what_is_predicted_already_is_not_learned_again() -> None:
    learner = AssociativeMemory(rate=1.0, code="plain", scaling="none")
    for _ in range(3):
        learner.learn_one({"tone": 1.0}, "food")
    alone = learner.get_state()["S"][0, 0]
    for _ in range(5):
        learner.learn_one({"tone": 1.0, "light": 1.0}, "food")
    assert alone == pytest.approx(1.0)
    assert learner.get_state()["S"][0, :2].tolist() == pytest.approx([1.0, 0.0], abs=1e-9)


def test_a_label_is_overwritten_by_the_delta_rule_alone() -> None:
    said = {}
    for rule in ("delta", "hebb"):
        learner = AssociativeMemory(rule, rate=1.0, retention=1.0, scaling="none")
        for label in ("old", "old", "new"):
            learner.learn_one({"a": 1.0, "b": -2.0}, label)
        said[rule] = learner.predict_one({"a": 1.0, "b": -2.0})
    assert said == {"delta": "new", "hebb": "old"}


def test_digits_are_told_apart() -> None:
    images = digits().shuffled(1)
    learner = AssociativeMemory(scaling="center", classes=10)
    pairs = zip(images.x, images.y, strict=True)
    right = [learner.step_one(named(x), str(y)).label == str(y) for x, y in pairs]
    assert np.mean(right) > 0.91
    assert 0.0 < learner.signals()["memory_error"] < 0.3
    known, noise = images.x[-1], np.random.default_rng(0).permutation(images.x[-1])
    familiar, strange = learner.score_one(named(known)), learner.score_one(named(noise))
    assert familiar is not None
    assert strange is not None
    assert familiar < 0.3 < strange


def test_a_late_label_teaches_the_same() -> None:
    first, second = AssociativeMemory(scaling="none"), AssociativeMemory(scaling="none")
    for i in range(30):
        x: Features = {"a": float(i % 3), "b": float(i % 5)}
        first.learn_one(x, i % 3)
        second.learn_one(x)
        second.learn_label(x, i % 3)
    for name, array in first.get_state().items():
        np.testing.assert_array_equal(array, second.get_state()[name])


def test_nothing_to_say_before_a_label() -> None:
    learner = AssociativeMemory()
    learner.learn_one({"a": 1.0})
    assert learner.predict({"a": 2.0}).score is None
    assert learner.predict({"a": 2.0}).label is None


@pytest.mark.parametrize("n", [16, 64])
def test_the_error_of_hebb_follows_its_law(n: int) -> None:
    error, right = accept.recalled(np.random.default_rng(n), n, delta=False, times=20)
    assert error == pytest.approx((n - 1) / 64, rel=0.06)
    assert right > 0.97


def test_old_keys_fade_by_their_law() -> None:
    left = accept.retained(np.random.default_rng(1), rate=0.5, m=32, times=100)
    assert left == pytest.approx((1 - 0.5 / 64) ** 32, rel=0.03)


def test_what_is_blocked() -> None:
    assert [row.verdict for row in accept.conditioning()] == ["met"] * 3
