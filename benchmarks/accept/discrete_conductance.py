"""Discrete conductances: digits on linear devices, and which way of writing bears bent ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accept.rows import Row, at_least, never
from benchmarks.plastic_streams import accuracy, digit_parts, learn, network

LEVELS = 64


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield what was measured of it before, and that devices stay on their levels."""
    every = range(1, seeds + 1)
    off: list[float] = []
    linear, one_way = (
        [_run(seed, {"one_way": each}, off) for seed in every] for each in (False, True)
    )
    name = f"digits, 3 passes, rate .01, {LEVELS} linear levels"
    yield at_least(f"{name}: test accuracy", 0.93, linear)
    yield at_least("the same, written one way", 0.92, one_way)
    yield never("the same: devices off a level", off)
    bent = [_run(seed, {"bend": 6.0}, []) for seed in every]
    above = [
        _run(seed, {"bend": 6.0, "one_way": True}, []) - other
        for seed, other in zip(every, bent, strict=True)
    ]
    yield at_least("digits, bend 6: one way above both ways", 0.02, above)


def _run(seed: int, params: dict[str, Any], off: list[float]) -> float:
    images, tested = digit_parts()
    spec: dict[str, Any] = {"rule": "discrete_conductance", "rate": 0.01, "rule_params": params}
    body = network(images, hidden=(64,), seed=seed, **spec)
    learn(body, images, 3, seed)
    levels = LEVELS * np.stack([body.rule.arrays[part] for part in ("plus", "minus")])
    beyond = (np.abs(levels - np.round(levels)) > 1e-9) | (levels < 0.0) | (levels > LEVELS)
    off.append(float(beyond.sum()))
    return accuracy(body, tested)
