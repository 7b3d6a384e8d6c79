"""Rehearsal: what is stored, what is drawn from it, and the gate that watches it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork
from learners.plastic.option import Floats
from learners.plastic.options.rehearsal import Rehearsal
from tests import naive_plastic as naive

CENTERS = np.eye(4, 6) * 3.0


def network(seed: int = 3, **params: Any) -> tuple[Body, Rehearsal]:
    learner = PlasticNetwork(
        6, 4, hidden=(5,), standardize=False, rate=0.05, options={"rehearsal": params}, seed=seed
    )
    option = learner.body.options["rehearsal"]
    assert isinstance(option, Rehearsal)
    return learner.body, option


def exchanged(events: int, every: int, noise: float = 0.0) -> Iterator[tuple[Floats, int]]:
    """Yield four clusters, the labels of two of which are exchanged ever again."""
    draw = np.random.default_rng(1)
    for i in range(events):
        cluster = int(draw.integers(4))
        y = (1, 0, 3, 2)[cluster] if i // every % 2 else cluster
        if draw.random() < noise:
            y = int(draw.integers(4))
        yield np.float32(CENTERS[cluster] + draw.normal(size=6) * 0.5).astype(float), y


def new_classes(each: int) -> Iterator[tuple[Floats, int]]:
    draw = np.random.default_rng(2)
    for first in (0, 2):
        for _ in range(each):
            y = first + int(draw.integers(2))
            yield CENTERS[y] + draw.normal(size=6) * 0.5, y


@pytest.mark.parametrize(
    ("action", "fired"), [("flush", 3), ("drop", 10), ("alert", 2), ("keep", 0)]
)
def test_store_and_gate_do_as_their_slow_twin(
    action: str, fired: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, option = network(capacity=40, on_contradiction=action)
    ref = naive.Rehearsed(40, action, seed=3)
    replayed: list[int] = []
    update = body.update

    def heard(x: Floats, y: int) -> float:
        if not body.fresh:
            at = (option.arrays["x"][: option.held] == np.float32(x)).all(axis=1)
            replayed.append(int(option.arrays["at"][: option.held][at][0]))
        return update(x, y)

    monkeypatch.setattr(body, "update", heard)
    for x, y in exchanged(1_200, 300, 0.05):
        body.learn(x, y)
        ref.event(x, y)
    assert len(ref.fired) >= fired
    assert option.arrays["tally"].tolist() == [len(ref.stored), ref.seen, len(ref.fired), ref.asked]
    assert option.arrays["y"][: option.held].tolist() == [y for _, y, _ in ref.stored]
    assert option.arrays["at"][: option.held].tolist() == [at for _, _, at in ref.stored]
    assert replayed == ref.replayed
    for row, (high, low, *_) in ref.shares.items():
        np.testing.assert_allclose(option.arrays["shares"][row], (high, low))


def test_distances_are_those_of_matrices() -> None:
    body, option = network(capacity=30)
    events = list(exchanged(30, 30))
    for x, y in events:
        body.learn(x, y)
    x = events[0][0] + 0.1
    ref = ((np.array([each for each, _ in events]) - x) ** 2).sum(axis=1)
    np.testing.assert_allclose(option.distances(x), ref, rtol=1e-5, atol=1e-4)
    assert option.distances(events[4][0]).argmin() == 4


@pytest.mark.parametrize("action", ["flush", "drop", "alert"])
def test_new_classes_are_no_contradiction(action: str) -> None:
    body, _ = network(capacity=60, on_contradiction=action)
    for x, y in new_classes(400):
        body.learn(x, y)
    assert body.signals()["rehearsal_meaning_drift"] == 0.0
    assert body.signals()["rehearsal_label_entropy"] > 1.0


def test_a_flush_announces_a_shift_and_a_drop_keeps_other_labels() -> None:
    body, option = network(capacity=60)
    for x, y in exchanged(450, 300):
        body.learn(x, y)
    assert body.signals()["rehearsal_meaning_drift"] == body.counts[2] == 1
    assert option.arrays["at"][: option.held].min() > 300
    body, option = network(capacity=60, on_contradiction="drop")
    for x, y in exchanged(320, 300):
        body.learn(x, y)
    before = np.bincount(option.labels(), minlength=4)
    draw = np.random.default_rng(9)
    for _ in range(200):
        body.learn(CENTERS[1] + draw.normal(size=6) * 0.5, 0)
        if body.signals()["rehearsal_meaning_drift"]:
            break
    after = np.bincount(option.labels(), minlength=4)
    assert (after[1], body.counts[2]) == (0, 0)
    assert (after[[2, 3]] >= before[[2, 3]] - 2).all()


def test_inputs_that_change_as_a_whole_are_no_contradiction() -> None:
    body, _ = network(capacity=60)
    for i, (x, y) in enumerate(exchanged(1_200, 10_000)):
        body.learn(x if i < 600 else -x[::-1], (y + 1) % 4 if i >= 600 else y)
    assert body.signals()["rehearsal_meaning_drift"] == 0.0


def test_what_is_stored_is_a_fair_sample_of_all_events() -> None:
    body, option = network(capacity=50, on_contradiction="keep", draws=0)
    kept = np.zeros(20)
    for seed in range(20):
        body.rng[0] = seed
        option.arrays["tally"][:] = 0
        for i in range(1_000):
            body.counts[0] = i + 1
            option.after(body, CENTERS[i % 4], i % 4, 0.0)
        kept += np.bincount((option.arrays["at"] - 1) // 50, minlength=20)
    assert kept.sum() == 20 * 50
    assert (np.abs(kept - 50) < 4 * np.sqrt(50)).all()


@pytest.mark.parametrize("decay", [0.5, 2.0])
def test_draws_fall_with_age_as_a_power(decay: float) -> None:
    body, option = network(capacity=5, decay=decay, age_offset=10.0)
    body.counts[0] = 1
    for i in range(5):
        option.after(body, CENTERS[i % 4], i % 4, 0.0)
    body.counts[0] = 100
    option.arrays["at"][:] = (0, 40, 70, 90, 100)
    weights = np.array([110.0, 70.0, 40.0, 20.0, 10.0]) ** -decay
    drawn = np.bincount([option._draw(body) for _ in range(4_000)], minlength=5)
    np.testing.assert_allclose(drawn / 4_000, weights / weights.sum(), atol=0.03)


@pytest.mark.parametrize(("priority", "drawn"), [("cycle", {3, 4}), ("hard", {0, 1})])
def test_a_pool_goes_from_all_to_a_quarter_and_back(priority: str, drawn: set[int]) -> None:
    body, option = network(capacity=8, priority=priority)
    body.counts[0] = 1
    for i in range(8):
        option.after(body, CENTERS[i % 4], i % 4, 0.0)
    option.arrays["loss"][:] = (9, 8, 5, 1, 0, 6, 5, 7)
    sizes = []
    for _ in range(12):
        option._turn()
        sizes.append(float(option.arrays["gauges"][2]))
    assert min(sizes) == 0.25
    assert max(sizes) == 1.0
    option.arrays["gauges"][2] = 0.25
    assert {option._draw(body) for _ in range(100)} == drawn


def test_it_remembers_classes_that_come_no_more() -> None:
    right = []
    for options in ({}, {"rehearsal": {"capacity": 60}}):
        body = PlasticNetwork(6, 4, hidden=(8,), standardize=False, rate=0.05, options=options).body
        for x, y in new_classes(300):
            body.learn(x + 2.0, y)
        said = [int(body.look(CENTERS[y] + 2.0).argmax()) for y in range(4)]
        right.append(sum(each == y for y, each in enumerate(said)))
    assert right == [2, 4]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"capacity": 0}, "capacity: got 0"),
        ({"draws": 17}, "draws: got 17"),
        ({"decay": -0.5}, "decay: got -0.5"),
        ({"age_offset": 0.0}, "age_offset: got 0.0"),
        ({"on_contradiction": "shout"}, "on_contradiction: got 'shout', expected flush"),
        ({"known": 0}, "known: got 0"),
        ({"priority": "low"}, "priority: got 'low', expected uniform"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        network(**params)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("x", (0, 0), np.nan),
        ("y", 0, 4),
        ("at", 0, -1),
        ("at", 0, 2),
        ("loss", 0, np.inf),
        ("tally", 0, 9),
        ("gauges", 0, -1.0),
        ("gauges", 2, 0.1),
        ("gauges", 3, 2.0),
        ("gauges", 4, -1.0),
        ("shares", (0, 0), 1.5),
        ("counts", (0, 0), -1),
        ("established", 0, -1),
        ("label_count", 0, -1),
    ],
)
def test_a_store_that_cannot_have_come_about_is_refused(name: str, at: Any, value: float) -> None:
    learner = PlasticNetwork(6, 4, options={"rehearsal": {"capacity": 8}})
    learner.learn_one({"a": 1.0}, "yes")
    state = learner.get_state()
    state[f"rehearsal_{name}"][at] = value
    with pytest.raises(StateError, match=name):
        learner.set_state(state)
