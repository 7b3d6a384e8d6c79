"""How a step of the temporal memory grows with its segments, on a noisy sequence of columns."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.htm_stages import remember_some
from learners.temporal_memory import TemporalMemory

COLUMNS, ACTIVE = 2048, 40
REPLACED = 4
JUMPS = 0.02
CHUNK, CHUNKS = 100, 7
SIZES = {1_000: 25, 20_000: 400, 50_000: 400, 100_000: 400, 200_000: 400}
"""Segments to measure at, and the length of the sequence that gets there."""


def growth(quick: bool) -> list[dict[str, Any]]:
    """Return microseconds a learning step at each size: median and range of 7 times 100 steps.

    The stream repeats a sequence of random sets of 40 of 2048 columns; 4 of the 40 are replaced
    at random in every event, and in 2 % of the events it jumps to another place.
    """
    sizes = {size: n for size, n in SIZES.items() if not quick or size <= 20_000}
    return [_at(size, length) for size, length in sizes.items()]


def _at(size: int, length: int) -> dict[str, Any]:
    memory = TemporalMemory(
        max_synapses=32, max_segments=262_144, active_columns=ACTIVE, predicted_decrement=0.001
    )
    stream = _Stream(length)
    while memory.segments < size:
        _learn(memory, stream.columns(1 if size < 10_000 else CHUNK))
    steps, bursting = [], []
    for _ in range(CHUNKS):
        columns = stream.columns(CHUNK)
        bursting.append(memory.anomaly(columns[0]))
        steps.append(1e6 * _learn(memory, columns) / CHUNK)
    return {
        "segments": memory.segments,
        "synapses": memory.synapses,
        "microseconds": {
            "median": round(statistics.median(steps), 1),
            "min": round(min(steps), 1),
            "max": round(max(steps), 1),
        },
        "bursting": round(statistics.mean(bursting), 2),
    }


def _learn(memory: TemporalMemory, columns: NDArray[np.int32]) -> float:
    """Return the seconds of the steps alone, without those that take memory."""
    at, spent = 0, 0.0
    while at < len(columns):
        memory.make_room(ACTIVE)
        begun = time.thread_time()
        at = remember_some(memory.arrays, columns, at)
        spent += time.thread_time() - begun
    return spent


class _Stream:
    def __init__(self, length: int) -> None:
        self._draw = np.random.default_rng(1)
        self._sequence = [self._draw.choice(COLUMNS, ACTIVE, replace=False) for _ in range(length)]
        self._at = 0

    def columns(self, n: int) -> NDArray[np.int32]:
        """Return the next n events, each sorted."""
        out = np.empty((n, ACTIVE), np.int32)
        for row in out:
            if self._draw.random() < JUMPS:
                self._at = int(self._draw.integers(len(self._sequence)))
            code = self._sequence[self._at % len(self._sequence)].copy()
            others = np.setdiff1d(self._draw.choice(COLUMNS, 4 * ACTIVE, replace=False), code)
            code[self._draw.choice(ACTIVE, REPLACED, replace=False)] = others[:REPLACED]
            row[:] = np.sort(code)
            self._at += 1
        return out
