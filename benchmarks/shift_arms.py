"""What is compared: learners by name, each run over whole streams by its own kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.shift_streams import SHIFTS, Stream
from learners.homeostatic import Homeostatic
from learners.kernels import homeostasis as kernels
from learners.kernels import homeostasis_body as places

Params = Mapping[str, Any]

NONE = 1e9
GRID = (0.003, 0.01, 0.02, 0.03, 0.05, 0.07)
AS_PUBLISHED: dict[str, Any] = {"rate": 0.01, "rehearsal": 0.0}
CONSTANT = AS_PUBLISHED | {"rule": "constant"}
ARMS: Mapping[str, Params] = {
    "random": AS_PUBLISHED | {"rule": "random", "ceiling": NONE},
    "literal": AS_PUBLISHED | {"rule": "literal", "floor": 0.0, "ceiling": NONE},
    "memory gradient": AS_PUBLISHED | {"rule": "memory_gradient"},
    "per neuron": {"rule": "per_neuron"},
    "balance, no rehearsal": {"rehearsal": 0.0},
    "balance": {},
}
"""Beside the constant rates. The last is the learner as it comes, nothing set."""
HIGH = AS_PUBLISHED | {"rule": "memory_gradient", "rate": 0.03}
DIGITS_ONLY: Mapping[str, Params] = {
    "memory gradient, no ceiling": {**ARMS["memory gradient"], "ceiling": NONE},
    "memory gradient from .03": HIGH,
    "memory gradient from .03, unguarded": HIGH | {"ceiling": NONE},
    "balance from .001": {"rate": 0.001},
}
SOME_SHIFTS = {
    "memory gradient, no ceiling": ("never", "every 100"),
    "memory gradient from .03": ("every 100",),
    "memory gradient from .03, unguarded": ("every 100",),
}
"""Shifts of the arms that stand for one line each."""
UNGUARDED = "unguarded"


@dataclass(frozen=True)
class Run:
    """What one learner did on one stream: shares right, rates at the end, cost an event."""

    accuracy: float
    last_quarter: float
    least_rate: float
    end_rate: float
    rehearsals: float
    rollbacks: int
    microseconds: float


def build(inputs: int, seed: int, params: Params) -> Homeostatic:
    """Return a fresh learner for images; its weights come from the seed alone."""
    return Homeostatic(inputs=inputs, standardize=False, seed=seed + 1, **params)


def run_arm(stream: Stream, shift: str, seed: int, name: str, params: Params) -> Run:
    """Run one learner over one stream."""
    learner = build(stream.x.shape[1], seed, params)
    if name.endswith(UNGUARDED):
        learner.body.settings[places.PATIENCE] = NONE
    events = len(stream.x)
    hits, rates = np.zeros(events, np.uint8), np.zeros(events)
    begun = time.thread_time()
    kernels.run(learner.body, stream.x, stream.y[shift], hits, rates)
    taken = time.thread_time() - begun
    counts = learner.body.counts
    return Run(
        accuracy=float(hits.mean()),
        last_quarter=float(hits[-(events // 4) :].mean()),
        least_rate=float(rates.min()),
        end_rate=float(rates[-1]),
        rehearsals=int(counts[places.REHEARSED]) / events,
        rollbacks=int(counts[places.ROLLBACKS]),
        microseconds=taken / events * 1e6,
    )


def run_all(stream: Stream, seed: int, arms: Mapping[str, Params]) -> dict[tuple[str, str], Run]:
    """Return the run of every learner on every shift of a stream, a few side by side."""
    names = [(arm, shift) for arm in arms for shift in SOME_SHIFTS.get(arm, SHIFTS)]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
        runs = pool.map(lambda n: run_arm(stream, n[1], seed, n[0], arms[n[0]]), names)
        return dict(zip(names, runs, strict=True))


def constants(rates: Iterable[float] = GRID) -> dict[str, Params]:
    """Return an arm for each constant rate."""
    return {f"constant {rate:g}": CONSTANT | {"rate": rate} for rate in rates}
