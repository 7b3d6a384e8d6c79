"""Soft Hebbian units: their rule, what they read out, and what strangers may send them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.images import digits
from learners.base import Features, InvalidEvent, StateError
from learners.soft_hebbian import SoftHebbian
from tests import naive_hebbian as naive

WILD = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 0.5, -1.0, 1e99, 1e119, 1e308]
PLAIN: dict[str, Any] = {"standardize": False, "units": 8, "max_features": 5, "classes": 3}


def named(row: Any) -> Features:
    return {f"f{i}": float(value) for i, value in enumerate(row)}


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1_000),
    anti=st.booleans(),
    readout=st.sampled_from(["softmax", "votes"]),
    sharpness=st.sampled_from([1.0, 12.0]),
)
def test_same_as_the_twin(seed: int, anti: bool, readout: Any, sharpness: float) -> None:
    draw = np.random.default_rng(seed)
    xs = draw.random((30, 5)) * (draw.random((30, 5)) > 0.2)
    ys = draw.integers(0, 3, 30)
    learner = SoftHebbian(
        **PLAIN, seed=seed, anti_hebbian=anti, readout=readout, sharpness=sharpness
    )
    # The first event names all features, which gives them their weights.
    learner.learn_one(named(np.zeros(5)), "0")
    for label in "12":
        learner.learn_label(named(np.zeros(5)), label)
    W = learner.get_state()["W"]
    twin = (naive.Softmax if readout == "softmax" else naive.Votes)(8, 3, 2.0)
    twin.V[:] = learner.get_state()["V"]
    if isinstance(twin, naive.Softmax):
        twin.bias[:] = learner.get_state()["bias"]
    for x, truth in zip(xs, ys.tolist(), strict=True):
        said = learner.predict(named(x))
        y = naive.features(W @ x, readout == "votes")
        assert said.proba is not None
        np.testing.assert_allclose(list(said.proba.values()), twin.read(y), rtol=1e-6, atol=1e-9)
        if x.any():
            winner = W[np.argmax(W @ x)]
            cosine = winner @ x / np.linalg.norm(winner) / np.linalg.norm(x)
            assert said.score == pytest.approx(1 - max(cosine, 0.0), abs=1e-9)
            assert learner.winner_one(named(x)) == np.argmax(W @ x)
        else:
            assert said.score is None
        learner.learn_one(named(x), str(truth))
        twin.learn(y, truth)
        if x.any():
            W = naive.hebbian_update(W, x, sharpness, 0.045, 0.2, anti)
        np.testing.assert_allclose(learner.get_state()["W"], W, rtol=1e-6, atol=1e-9)
        norms = learner.get_state()["norms"]
        np.testing.assert_allclose(norms, np.linalg.norm(W, axis=1), rtol=1e-6)
        W = learner.get_state()["W"]


def prequential(learner: SoftHebbian, rows: Any, classes: Any) -> float:
    events = zip(rows, classes, strict=True)
    right = [learner.step_one(named(x), str(y)).label == str(y) for x, y in events]
    return float(np.mean(right))


@pytest.mark.parametrize(
    ("readout", "standardize", "anti", "least"),
    [
        ("softmax", True, False, 0.85),
        ("softmax", True, True, 0.85),
        ("softmax", False, False, 0.85),
        ("votes", False, False, 0.83),
    ],
)
def test_digits_are_told_apart(readout: Any, standardize: bool, anti: bool, least: float) -> None:
    images = digits().shuffled(1)
    learner = SoftHebbian(
        units=100, standardize=standardize, classes=10, readout=readout, anti_hebbian=anti
    )
    assert prequential(learner, images.x, images.y) > least
    signals = learner.signals()
    assert signals["hebb_features"] == 64
    assert 0.95 < signals["hebb_norm_mean"] < 1.7
    assert signals["hebb_winner_entropy"] > 0.7
    assert signals["hebb_dead_units"] < 30


def test_features_need_no_label_and_labels_do_not_touch_them() -> None:
    images = digits()
    with_labels, without = (SoftHebbian(units=20, standardize=False) for _ in range(2))
    for x, y in zip(images.x[:200], images.y[:200], strict=True):
        with_labels.learn_one(named(x), str(y))
        without.learn_one(named(x))
    for name in ("W", "norms", "wins"):
        np.testing.assert_array_equal(
            with_labels.get_state()[name], without.get_state()[name], err_msg=name
        )
    before = without.get_state()
    assert without.predict(named(images.x[0])).label is None
    for x, y in zip(images.x[:200], images.y[:200], strict=True):
        without.learn_label(named(x), str(y))
    after = without.get_state()
    assert all(before[n].tobytes() == after[n].tobytes() for n in ("W", "norms", "wins"))
    assert without.predict(named(images.x[0])).label == str(images.y[0])
    assert without.learns_labels


def test_standardized_numbers_of_any_size() -> None:
    draw = np.random.default_rng(4)
    centers = {"a": (1e6, 0.0, -3.0), "b": (1.01e6, 1e-3, 3.0)}
    learner = SoftHebbian(units=20)
    right = []
    for i in range(600):
        y = "ab"[i % 2]
        x = np.array(centers[y]) + draw.normal(0, 1, 3) * (2e3, 2e-4, 0.5)
        right.append(learner.step_one(named(x), y).label == y)
    assert np.mean(right[300:]) > 0.95


@pytest.mark.parametrize("standardize", [False, True])
def test_strings_are_features(standardize: bool) -> None:
    learner = SoftHebbian(units=50, standardize=standardize, max_features=4)
    places = ["north", "south"]
    for i in range(100):
        learner.learn_one({"place": places[i % 2]}, i % 2)
    assert [learner.predict_one({"place": each}) for each in places] == [0, 1]


def test_an_event_unlike_all_before_scores_high() -> None:
    learner = SoftHebbian(units=10, standardize=False, max_features=4)
    for i in range(300):
        learner.learn_one({"a": 1.0, "b": 0.1 + i % 3 / 10, "c": 0.0})
    usual, strange = learner.score_one({"a": 1.0, "b": 0.2}), learner.score_one({"c": 1.0})
    assert usual is not None
    assert strange is not None
    assert usual < 0.1
    assert strange > 0.5


def test_nothing_to_say_at_first() -> None:
    learner = SoftHebbian()
    assert learner.predict({"a": 1.0}) == learner.predict({})
    assert learner.predict({"a": 1.0}).score is None
    learner.learn_one({})
    assert learner.signals()["hebb_features"] == 0


def test_bad_events_change_nothing() -> None:
    learner = SoftHebbian(**PLAIN)
    for y in ("a", "b", "c"):
        learner.learn_one({"f0": 1.0}, y)
    before = learner.get_state()
    with pytest.raises(InvalidEvent):
        learner.learn_one({"f0": 1.0}, "d")
    with pytest.raises(InvalidEvent):
        learner.learn_label({"f0": 1.0}, "d")
    with pytest.raises(InvalidEvent):
        learner.learn_one({"f1": math.inf}, "a")
    with pytest.raises(InvalidEvent):
        learner.learn_label({"f1": math.inf}, "a")
    after = learner.get_state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


@pytest.mark.parametrize("readout", ["softmax", "votes"])
def test_goes_on_alike_when_restored(readout: Any) -> None:
    images = digits()
    first = SoftHebbian(units=30, readout=readout)
    prequential(first, images.x[:300], images.y[:300])
    second = SoftHebbian(units=30, readout=readout)
    prequential(second, images.x[300:400], images.y[300:400])
    second.set_state(first.get_state())
    for x, y in zip(images.x[400:], images.y[400:], strict=True):
        said = [dataclasses.asdict(each.step_one(named(x), str(y))) for each in (first, second)]
        assert said[0] == said[1]
    for name, array in first.get_state().items():
        assert array.tobytes() == second.get_state()[name].tobytes()


def test_holds_no_more_than_promised() -> None:
    params: dict[str, Any] = {"units": 16, "max_features": 8, "classes": 4}
    learner = SoftHebbian(**params)
    draw = np.random.default_rng(0)
    for i in range(2_000):
        x: Features = {f"f{draw.integers(0, 50)}": float(draw.normal()) for _ in range(5)}
        learner.step_one(x, str(i % 4))
    assert learner.held_bytes() <= SoftHebbian.memory_bytes(**params)
    assert learner.signals()["hebb_features"] == 8


@pytest.mark.parametrize("standardize", [False, True])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_arrays_from_a_stranger(standardize: bool, data: st.DataObject) -> None:
    params: dict[str, Any] = PLAIN | {"standardize": standardize}
    params["readout"] = data.draw(st.sampled_from(["softmax", "votes"]))
    params["anti_hebbian"] = data.draw(st.booleans())
    learner = SoftHebbian(**params)
    drive(learner, data.draw(st.integers(0, 40)))
    good, bad = learner.get_state(), learner.get_state()
    for _ in range(data.draw(st.integers(1, 3))):
        array = bad[data.draw(st.sampled_from(sorted(bad)))].reshape(-1)
        if not array.size:
            continue
        at = data.draw(st.integers(0, array.size - 1))
        if array.dtype == np.float64:
            array[at] = data.draw(st.one_of(st.sampled_from(WILD), st.floats()))
        else:
            most = int(np.iinfo(array.dtype).max)
            array[at] = data.draw(st.one_of(st.integers(0, most // 4), st.just(most)))
    try:
        learner.set_state(bad)
    except StateError:
        for name, kept in learner.get_state().items():
            assert kept.tobytes() == good[name].tobytes()
        return
    for _ in range(3):
        drive(learner, 20)
        learner.set_state(learner.get_state())


def drive(learner: SoftHebbian, n: int) -> None:
    for i in range(n):
        size = [float(i % 5), 1e308, -1e308, 1e-300, 1.0][i % 17 % 5]
        x: Features = {"f0": None if i % 3 else size, "f1": size, "f2": 1.0}
        said = learner.step_one(x, "abc"[i % 3] if i % 2 else None)
        assert all(0.0 <= share <= 1.0 for share in (said.proba or {}).values())
        numbers = [*learner.signals().values()]
        numbers += [] if said.score is None else [said.score]
        assert all(map(math.isfinite, numbers))


@pytest.mark.parametrize(
    "params",
    [
        {"units": 1},
        {"sharpness": 0.0},
        {"learning_rate": -1.0},
        {"power": 3.0},
        {"first_norm": 0.0},
        {"readout": "oracle"},
        {"readout_rate": 0.0},
        {"classes": 1},
        {"max_features": 0},
        {"seed": -1},
    ],
)
def test_silly_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        SoftHebbian(**params)
