"""The paper's own protocol on the taxi series, from our pooler and memory and its classifier.

The pooler is trained five times over records 0-4999, then frozen; one pass follows with the
memory and the classifier learning. Source: Cui, Ahmad and Hawkins 2016, table 1 and Fig 10, and
its authors' parameters of that time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmarks.taxi_series import AHEAD, BUCKETS, TOP, Floats, Made, Series, bucket
from learners.kernels.encoders import set_periodic_bits
from learners.kernels.jit import njit
from learners.spatial_pooler import SpatialPooler
from learners.temporal_memory import TemporalMemory

PASSES, TRAINED_ON = 5, 5_000
COLUMNS, CELLS = 2048, 32
RATE, VALUE_RATE = 0.005, 0.3

VALUE_BITS, TIME_BITS, DAY_BITS, ON = 109, 600, 100, 29
MINUTES = 1_411


def encoded(series: Series) -> NDArray[np.uint8]:
    """Return the code uint8[n, 809] of each record: value, time of day, day of the week."""
    bits = np.zeros((len(series.value), VALUE_BITS + TIME_BITS + DAY_BITS), np.uint8)
    buckets = VALUE_BITS - ON
    at = np.floor(np.clip(series.value, 0.0, TOP) / (TOP / buckets) + 0.5).astype(np.int64)
    minutes = (series.t % 86_400.0) // 60.0
    days = (series.t // 86_400.0 + 3.0) % 7.0
    for row, first, minute, day in zip(bits, at, minutes, days, strict=True):
        row[first : first + ON] = 1
        set_periodic_bits(row, VALUE_BITS, TIME_BITS, ON, minute / MINUTES)
        set_periodic_bits(row, VALUE_BITS + TIME_BITS, DAY_BITS, ON, day / 7.0)
    return bits


def forecasts(series: Series, seed: int) -> Made:
    """Return the forecasts of the whole series by the paper's protocol."""
    bits = encoded(series)
    pooler, memory = _pooler(bits.shape[1], seed), _memory(seed)
    for _ in range(PASSES):
        for row in bits[:TRAINED_ON]:
            pooler.compute(row)
    weight = np.zeros((COLUMNS * CELLS, BUCKETS))
    middle, seen = np.zeros(BUCKETS), np.zeros(BUCKETS, np.bool_)
    made = Made(np.zeros(len(bits)), np.zeros((len(bits), BUCKETS)))
    patterns: list[NDArray[np.int32]] = []
    for i, (row, value) in enumerate(zip(bits, series.value, strict=True)):
        memory.compute(pooler.compute(row, learn=False))
        patterns.append(memory.active_cells)
        made.mass[i] = likely(weight, patterns[-1])
        b = int(bucket(value))
        if len(patterns) > AHEAD:
            toward(weight, patterns.pop(0), b)
        middle[b] += VALUE_RATE * (value - middle[b]) if seen[b] else value
        seen[b] = True
        made.value[i] = middle[np.argmax(np.where(seen, made.mass[i], -1.0))]
    return made


def _pooler(inputs: int, seed: int) -> SpatialPooler:
    return SpatialPooler(
        inputs=inputs,
        columns=COLUMNS,
        potential=0.8,
        increment=0.0001,
        decrement=0.0005,
        connected=0.5,
        seed=seed,
    )


def _memory(seed: int) -> TemporalMemory:
    return TemporalMemory(
        columns=COLUMNS,
        cells_per_column=CELLS,
        activation_threshold=15,
        matching_threshold=15,
        initial_permanence=0.21,
        permanence_increment=0.1,
        permanence_decrement=0.1,
        predicted_decrement=0.01,
        new_synapses=32,
        max_synapses=128,
        max_segments_per_cell=128,
        seed=seed,
    )


@njit
def likely(weight: Floats, cells: NDArray[np.int32]) -> Floats:
    """Return the softmax of the cells' summed weights, rows of float64[C, K]."""
    mass = np.zeros(weight.shape[1])
    for cell in cells:
        for b in range(mass.shape[0]):
            mass[b] += weight[cell, b]
    top = mass.max()
    for b in range(mass.shape[0]):
        mass[b] = math.exp(mass[b] - top)
    total = mass.sum()
    for b in range(mass.shape[0]):
        mass[b] /= total
    return mass


@njit
def toward(weight: Floats, cells: NDArray[np.int32], b: int) -> None:
    """Move the cells' weights by one gradient step toward bucket `b`."""
    change = -RATE * likely(weight, cells)
    change[b] += RATE
    for cell in cells:
        for k in range(change.shape[0]):
            weight[cell, k] += change[k]
