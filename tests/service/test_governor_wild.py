"""A hundred thousand events of anything, held, paused and judged: all that is said stays finite."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from service.schemas import Event, StreamSpec
from service.snapshots import revived, snapshot
from service.stream import Stream

SPEC: dict[str, Any] = {
    "learner": {"kind": "river", "estimator": "tree.HoeffdingTreeClassifier"},
    "indicators": [
        {"kind": "value_range"},
        {"kind": "novelty"},
        {"kind": "anomaly_likelihood", "watch": "x.v"},
        {"kind": "early_stopping", "block_losses": 100},
        {"kind": "adwin", "watch": "error"},
    ],
    "governor": {
        "pause": {"block_losses": 100, "rise": 0.1, "correlation": 0.0, "probe_blocks": 2},
        "hold": {"limit_events": 300},
    },
}


def events(n: int) -> list[Event]:
    draw = np.random.default_rng(3)
    wild: list[float | None] = [None, 0.0, 1e308, -1e308, 5e-324, 7.0]
    out = []
    for i in range(n):
        kind = i // 1_000 % 5
        value = wild[int(draw.integers(6))] if kind == 4 else float(draw.normal()) * (kind != 3)
        label = f"c{int(draw.integers(3))}" if i % 7 else None
        out.append(Event(x={"v": value, "w": float(i % 10)}, y=label))
    return out


@pytest.mark.parametrize(
    "n", [10_000, pytest.param(100_000, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_anything_may_come(n: int) -> None:
    stream, paused = Stream(StreamSpec.model_validate(SPEC)), set()
    for i, event in enumerate(events(n)):
        said = json.loads(stream.step(event, 60.0 * i).line)
        paused.add(said.get("paused_by"))
        if i % 1_000 == 0:
            assert all(map(math.isfinite, stream.signals().values()))
            stream = revived(snapshot(stream), 1 << 30)
    assert paused >= {None, "anomaly"}
    twin = revived(snapshot(stream), 1 << 30)
    for i, event in enumerate(events(1_000)):
        assert stream.step(event, 1e9 + i).line == twin.step(event, 1e9 + i).line
    assert snapshot(stream) == snapshot(twin)
