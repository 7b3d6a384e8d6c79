"""Loops over parts of sequence memory, jitted so that what is timed is the part alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Prediction
from learners.indicators.anomaly_likelihood import AnomalyLikelihood
from learners.kernels import sequence_step as steps
from learners.kernels.encoders import encode_event
from learners.kernels.jit import lean_njit
from learners.kernels.segments import Memory
from learners.kernels.spatial_pooler import Pooler, pooler_infer, pooler_learn
from learners.kernels.temporal_memory import ROOM, lack, memory_step
from learners.sequence_memory import SequenceMemory
from learners.temporal_memory import TemporalMemory

Floats = NDArray[np.float64]
Columns = NDArray[np.int32]

STAGES = ("encoder", "pooler", "memory", "decoder", "likelihood", "python")


@dataclass(frozen=True, slots=True)
class Series:
    """Values and their times in seconds."""

    name: str
    values: Floats
    times: Floats


@lean_njit
def encode_all(scale: steps.Scale, values: Floats, times: Floats, resolution: Floats) -> None:
    """Encode every event at the resolution it had."""
    for i in range(values.shape[0]):
        encode_event(scale.bits, scale.layout, values[i], times[i], resolution[i])


@lean_njit
def pool_all(
    scale: steps.Scale,
    pooler: Pooler,
    values: Floats,
    times: Floats,
    resolution: Floats,
    columns: Columns,
) -> None:
    """Encode and pool every event, learning; write down the active columns."""
    for i in range(values.shape[0]):
        encode_event(scale.bits, scale.layout, values[i], times[i], resolution[i])
        pooler_infer(scale.bits, pooler)
        pooler_learn(scale.bits, pooler)
        for j in range(pooler.winners.shape[0]):
            columns[i, j] = pooler.winners[j]


@lean_njit
def remember_some(memory: Memory, columns: Columns, start: int) -> int:
    """Step through columns from `start` until there is no room; return where that is."""
    for i in range(start, columns.shape[0]):
        if lack(memory, columns.shape[1]) != ROOM:
            return i
        memory_step(memory, columns[i], True)
    return columns.shape[0]  # type: ignore[no-any-return]


@lean_njit
def step_some(
    scale: steps.Scale,
    pooler: Pooler,
    memory: Memory,
    forecaster: Any,
    values: Floats,
    times: Floats,
    start: int,
) -> int:
    """Step through events from `start` until there is no room; return where that is."""
    for i in range(start, values.shape[0]):
        if steps.sequence_step(scale, pooler, memory, forecaster, values[i], times[i]) < 0.0:
            return i
    return values.shape[0]  # type: ignore[no-any-return]


def remember_all(memory: TemporalMemory, columns: Columns) -> float:
    """Return the seconds it takes to learn all columns, one event a row."""
    at, begun = 0, time.thread_time()
    while at < len(columns):
        at = remember_some(memory.arrays, columns, at)
        memory.make_room(columns.shape[1])
    return time.thread_time() - begun


def step_all(learner: SequenceMemory, series: Series) -> float:
    """Return the seconds it takes to step through a series without any Python between."""
    at, begun = 0, time.thread_time()
    while at < len(series.values):
        at = step_some(
            learner._scale,
            learner._pooler.arrays,
            learner._memory.arrays,
            learner._forecaster.arrays,
            series.values,
            series.times,
            at,
        )
        learner._memory.make_room(learner.active_columns)
    return time.thread_time() - begun


def whole(series: Series, seed: int) -> tuple[float, list[Prediction], Floats]:
    """Return the seconds of the plain loop a user would write, its answers and resolutions."""
    learner, likelihood = SequenceMemory(seed=seed), AnomalyLikelihood()
    events = list(zip(series.values.tolist(), series.times.tolist(), strict=True))
    resolution, state = np.empty(len(events)), learner._scale.state
    said = []
    spent = 0.0
    for i in range(0, len(events), 500):
        begun = time.thread_time()
        for value, t in events[i : i + 500]:
            x = {"value": value}
            prediction = learner.step_one(x, t=t)
            likelihood.update(prediction, x, t=t)
            likelihood.value()
            said.append(prediction)
        spent += time.thread_time() - begun
        resolution[i : i + 500] = state[steps.RESOLUTION]
    return spent, said, resolution


def likelihood_all(series: Series, said: list[Prediction]) -> float:
    """Return the seconds that the likelihood takes over a learner's answers."""
    likelihood = AnomalyLikelihood()
    events = [({"value": v}, t) for v, t in zip(series.values, series.times, strict=True)]
    begun = time.thread_time()
    for (x, t), prediction in zip(events, said, strict=True):
        likelihood.update(prediction, x, t=t)
        likelihood.value()
    return time.thread_time() - begun


def split(series: Series, seed: int) -> dict[str, float]:
    """Return seconds an event: of the whole, and of each stage by itself.

    The decoder, with its intervals and the scale, is what is left of the fused step without the
    other stages, and Python what is left of the whole. The encoder's resolution is known to 500
    events.
    """
    spent, said, resolution = whole(series, seed)
    learner = SequenceMemory(seed=seed)
    scale, pooler = learner._scale, learner._pooler.arrays
    columns = np.zeros((len(series.values), learner.active_columns), np.int32)
    begun = time.thread_time()
    encode_all(scale, series.values, series.times, resolution)
    encoded = time.thread_time()
    pool_all(scale, pooler, series.values, series.times, resolution, columns)
    pooled = time.thread_time()
    encoder = encoded - begun
    memory = remember_all(SequenceMemory(seed=seed)._memory, columns)
    fused = step_all(SequenceMemory(seed=seed), series)
    likelihood = likelihood_all(series, said)
    seconds = {
        "whole": spent,
        "encoder": encoder,
        "pooler": pooled - encoded - encoder,
        "memory": memory,
        "decoder": fused - memory - (pooled - encoded),
        "likelihood": likelihood,
        "python": spent - fused - likelihood,
    }
    return {stage: each / len(series.values) for stage, each in seconds.items()}
