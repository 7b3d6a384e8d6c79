"""Streams whose learner's state cannot be taken out: recovered from their whole log."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serving
from tests.service.test_api import Hand, same_as_alone

FOREST = {
    "kind": "river",
    "estimator": "forest.ARFClassifier",
    "params": {"n_models": 3, "seed": 7},
}
SPEC: dict[str, Any] = {"learner": FOREST, "indicators": [], "threshold": 0.5}


def labeled(count: int, begin: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(begin)
    rows = []
    for i in range(begin, begin + count):
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        ts = f"2026-01-01T{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z"
        rows.append({"ts": ts, "x": {"a": a, "b": b}, "y": "up" if a + b > 0 else "down"})
    return rows


def test_a_replayed_stream_goes_on_after_a_restart(serving: Serving, tmp_path: Path) -> None:
    first, second = labeled(300), labeled(200, 300)
    with serving(tmp_path) as url:
        hand = Hand(url, "forest")
        assert hand.put(SPEC)["recovery"] == "replay"
        assert hand.ask("estimate", 200, SPEC).json["recovery"] == "replay"
        hand.post(first)
        receipt, judged = hand.receipt(), hand.ask("get_metrics_of", 200).json
        assert judged["task"] == "classification"
        assert judged["overall"]["accuracy"] > 0.7
    with serving(tmp_path) as url:
        hand = Hand(url, "forest")
        assert hand.receipt() == receipt
        hand.post(second)
        same_as_alone(hand, SPEC, first + second)
        assert hand.ask("get_metrics_of", 200).json["labeled"] > judged["labeled"]


def test_what_changes_a_replayed_stream_is_replayed_too(serving: Serving, tmp_path: Path) -> None:
    rows = labeled(90)
    with serving(tmp_path) as url:
        hand = Hand(url, "changed")
        hand.put(SPEC)
        hand.post(rows[:30])
        assert hand.put(SPEC | {"threshold": 0.7}, status=200)["spec"]["threshold"] == 0.7
        hand.post(rows[30:60])
        receipt = hand.receipt()
    with serving(tmp_path) as url:
        hand = Hand(url, "changed")
        twin = Hand(url, "twin")
        twin.put(SPEC)
        twin.post(rows[:30])
        twin.put(SPEC | {"threshold": 0.7}, status=200)
        twin.post(rows[30:60])
        assert twin.receipt() == hand.receipt() == receipt
        for each in (hand, twin):
            each.post(rows[60:])
        assert twin.receipt() == hand.receipt()


@pytest.mark.parametrize("seconds", [0.2])
def test_no_snapshot_is_taken_of_it(serving: Serving, tmp_path: Path, seconds: float) -> None:
    with serving(tmp_path, snapshot_every_seconds=seconds) as url:
        hand = Hand(url, "bare")
        hand.put(SPEC | {"snapshot_every_events": 10})
        for begin in range(0, 60, 20):
            hand.post(labeled(20, begin))
        assert hand.ask("list_snapshots", 200).json["snapshots"] == []
        assert hand.ask("post_snapshot", 409).json["code"] == "no-snapshots"
        assert hand.ask("restore_stream", 422, b"nonsense").json["code"] == "bad-snapshot"
        assert hand.post(labeled(1, 60))[0]["offset"] == 61
