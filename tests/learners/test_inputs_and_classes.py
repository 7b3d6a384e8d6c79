"""Features become vectors and labels become indices, whatever comes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.base import InvalidEvent, StateError
from learners.classes import LONGEST_LABEL, Classes
from learners.inputs import MOST_DEVIATIONS, Inputs
from learners.parameters import text_array
from learners.river.adapter import RiverEstimator
from tests import naive

NUMBERS = st.floats(-1e6, 1e6)


def test_each_new_name_takes_the_next_place() -> None:
    inputs = Inputs(4)
    assert inputs.learn({"b": 2.0, "a": 1.0}).tolist() == [2.0, 1.0, 0.0, 0.0]
    assert inputs.learn({"color": "red", "a": 3.0}).tolist() == [0.0, 3.0, 1.0, 0.0]
    assert inputs.learn({"color": "blue", "b": None}).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert inputs.learn({"late": 9.0, "b": 5.0}).tolist() == [5.0, 0.0, 0.0, 0.0]
    assert inputs.known == 4


def test_reading_gives_no_place_and_changes_nothing() -> None:
    inputs = Inputs(3, standardize=True)
    inputs.learn({"a": 1.0})
    before = {name: each.tobytes() for name, each in inputs.get_state().items()}
    assert inputs.read({"z": 1.0, "a": 1.0}).tolist() == [0.0, 0.0, 0.0]
    assert {name: each.tobytes() for name, each in inputs.get_state().items()} == before


@given(st.lists(NUMBERS, min_size=2, max_size=50))
def test_standardized_numbers_are_deviations_from_the_mean(values: list[float]) -> None:
    inputs = Inputs(1, standardize=True)
    for value in values:
        got = float(inputs.learn({"a": value})[0])
    deviation = float(np.std(values))
    if deviation > 1e-6 * max(map(abs, values)):
        ref = (values[-1] - float(np.mean(values))) / deviation
        assert got == pytest.approx(np.clip(ref, -MOST_DEVIATIONS, MOST_DEVIATIONS), abs=1e-6)


def test_strings_are_seen_beside_standardized_numbers() -> None:
    inputs = Inputs(3, standardize=True)
    for value in (1.0, 3.0):
        inputs.learn({"place": "north", "a": value})
    assert inputs.read({"place": "north", "a": 3.0}).tolist() == [1.0, 1.0, 0.0]
    assert inputs.learn({"place": "south"}).tolist() == [0.0, 0.0, 1.0]


FEATURES = st.dictionaries(
    st.sampled_from("abcdef"), NUMBERS | st.none() | st.sampled_from(["red", "blue"]), max_size=6
)


@given(st.lists(st.tuples(st.booleans(), FEATURES), max_size=30), st.booleans())
def test_inputs_equal_their_naive_twin(
    events: list[tuple[bool, dict[str, float | str | None]]], standardize: bool
) -> None:
    ref, got = naive.Inputs(5, standardize), Inputs(5, standardize)
    for learns, x in events:
        if learns:
            assert got.learn(x).tolist() == ref.learn(x)
        assert got.read(x).tolist() == ref.read(x)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_before_anything_changes(bad: float) -> None:
    inputs = Inputs(3, standardize=True)
    with pytest.raises(InvalidEvent, match="expected a finite number"):
        inputs.learn({"a": 1.0, "b": bad})
    assert inputs.known == 0


def test_absurd_numbers_stay_finite() -> None:
    inputs = Inputs(1, standardize=True)
    for value in (1e308, -1e308, 0.0, 1e308, 5.0):
        assert abs(inputs.learn({"a": value})[0]) <= MOST_DEVIATIONS


def test_inputs_resume_and_refuse_what_does_not_fit() -> None:
    inputs, other = Inputs(3, standardize=True), Inputs(3, standardize=True)
    for value in (1.0, 4.0, -2.0):
        inputs.learn({"a": value, "kind": "x"})
    other.set_state(inputs.get_state())
    assert other.learn({"a": 7.0, "b": 1.0}).tolist() == inputs.learn({"a": 7.0, "b": 1.0}).tolist()
    with pytest.raises(StateError, match="got 3 names"):
        Inputs(2).set_state(inputs.get_state())
    with pytest.raises(StateError, match="expected 3 rows"):
        other.set_state(inputs.get_state() | {"seen": np.zeros(1, np.int64)})
    with pytest.raises(StateError, match="seen"):
        other.set_state(inputs.get_state() | {"seen": np.full(3, -1)})


def test_labels_are_numbered_as_they_come() -> None:
    classes = Classes(3)
    assert [classes.index(y) for y in (7, "cat", 7.0, "7", 2.5)] == [0, 1, 0, 0, 2]
    assert [classes.label(i) for i in range(len(classes))] == [7, "cat", 2.5]
    with pytest.raises(InvalidEvent, match="beside 3 labels"):
        classes.index("dog")


@pytest.mark.parametrize("bad", [math.nan, math.inf, "x" * (LONGEST_LABEL + 1)])
def test_labels_that_cannot_be_kept_are_refused(bad: float | str) -> None:
    classes = Classes(3)
    with pytest.raises(InvalidEvent):
        classes.index(bad)
    assert len(classes) == 0


def test_the_answer_is_the_most_probable_label() -> None:
    classes = Classes(4)
    assert classes.answer([0.25] * 4) == (None, None)
    classes.index("a")
    classes.index(2)
    assert classes.answer([0.4, 0.6, 0.0, 0.0]) == (2, {"a": 0.4, "2": 0.6})


def test_classes_resume_and_refuse_what_does_not_fit() -> None:
    classes, other = Classes(3), Classes(3)
    for y in ("a", 2.5, "b"):
        classes.index(y)
    other.set_state(classes.get_state())
    assert [other.index(y) for y in ("b", 2.5)] == [2, 1]
    with pytest.raises(StateError, match="got 3 labels"):
        Classes(2).set_state(classes.get_state())
    for labels in (["a", "a"], ["x" * 2_000]):
        with pytest.raises(StateError, match="labels"):
            other.set_state({"labels": text_array(labels)})


def test_a_late_label_teaches_a_classifier_and_nothing_else() -> None:
    at_once, later = (RiverEstimator("naive_bayes.GaussianNB") for _ in range(2))
    for i in range(40):
        x, y = {"a": float(i % 2), "b": 0.1 * i}, ("even", "odd")[i % 2]
        at_once.learn_one(x, y)
        later.learn_one(x)
        later.learn_label(x, y)
    assert later.learns_labels
    assert later.predict({"a": 1.0, "b": 2.0}) == at_once.predict({"a": 1.0, "b": 2.0})
    assert not RiverEstimator("anomaly.HalfSpaceTrees").learns_labels
