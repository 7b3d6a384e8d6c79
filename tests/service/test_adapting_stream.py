"""Hebbian adaptation in a stream: labels late, labels gone, and a snapshot taken elsewhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from service.schemas import Event, Label, StreamSpec, parse_spec
from service.snapshots import restored, snapshot
from service.stream import Stream

LIMIT = 1 << 26
CENTERS = np.random.default_rng(3).normal(size=(3, 12))
LEARNER = {
    "kind": "hebbian_adaptation",
    "inputs": 12,
    "hidden": 16,
    "inputs_alike": True,
    "labels_stop_after": 30,
    "learning_rate": 0.05,
}


def spec() -> StreamSpec:
    return parse_spec(json.dumps({"learner": LEARNER, "indicators": []}).encode())


def event(i: int, sign: float = 1.0) -> tuple[Event, str]:
    of = i * 7 % 3
    x = sign * (CENTERS[of] + 0.2 * np.random.default_rng(i).normal(size=12) + 1.0)
    return Event(id=f"e{i}", x={f"x{j}": v for j, v in enumerate(x.tolist())}), "abc"[of]


def post(stream: Stream, event: Event) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(stream.step(event, 0.0).line)
    return answer


def taught() -> Stream:
    """Return a stream of 500 events whose labels came ten events late."""
    stream = Stream(spec())
    for i in range(500):
        post(stream, event(i)[0])
        if i >= 10:
            stream.label(Label(event_id=f"e{i - 10}", y=event(i - 10)[1]), 0.0)
    return stream


def hits(stream: Stream, first: int, count: int, sign: float) -> float:
    pairs = [event(i, sign) for i in range(first, first + count)]
    return float(np.mean([post(stream, one)["prediction"] == y for one, y in pairs]))


def test_late_labels_teach_and_adaptation_begins_when_they_stop() -> None:
    stream = taught()
    assert stream.status()["signals"]["adapting"] == 0.0
    assert hits(stream, 500, 100, sign=1.0) > 0.95
    assert stream.status()["signals"]["adapting"] == 1.0
    hits(stream, 600, 50, sign=-1.0)
    assert hits(stream, 650, 100, sign=-1.0) > 0.95
    assert stream.status()["signals"]["conditions"] == 2.0
    answer = post(stream, event(750, -1.0)[0])
    assert 0.0 <= answer["raw_score"] <= 1.0
    assert set(answer["proba"]) == {"a", "b", "c"}


def test_a_snapshot_brings_the_source_to_another_stream() -> None:
    first = taught()
    second = restored(Stream(spec()), snapshot(first), LIMIT)
    for i in range(500, 700):
        one = event(i, -1.0)[0]
        assert post(first, one) == post(second, one)
    assert second.status()["signals"] == first.status()["signals"]
