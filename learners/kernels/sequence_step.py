"""One event through the whole of sequence memory: encode, pool, remember, forecast.

`look` changes nothing but scratch and gives what a prediction needs; `absorb` learns from what
`look` left there. So a fused step is the two in a row, and equals them by construction.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.decoder import rescale_decoder
from learners.kernels.encoders import encode_event
from learners.kernels.forecaster import (
    Forecaster,
    forecaster_learn,
    forecaster_look,
    forecaster_reset,
)
from learners.kernels.jit import lean_njit
from learners.kernels.segments import Memory
from learners.kernels.sorting import sort_first
from learners.kernels.spatial_pooler import Pooler, pooler_infer, pooler_learn
from learners.kernels.temporal_memory import ROOM, lack, memory_step, predicted_cells, reset_memory

PADDING = 0.2
STEPS = 130
BURST_RATE = 0.01
NO_ROOM = -1.0
FIRST_SURE = 16
LARGEST = np.finfo(np.float64).max / 4  # a range may then be as wide as it likes

# Scale.state
RESOLUTION, HALF, LOW, HIGH, BURSTS = 0, 1, 2, 3, 4


class Scale(NamedTuple):
    """The value's scale as found so far, and what a step hands out."""

    ring: NDArray[np.float64]  # [512] last values
    seen: NDArray[np.int64]  # [1] values so far, missing ones not counted
    state: NDArray[np.float64]  # [5] resolution, half the spread it was
    # made for, ends of the decoder's range (2), average burst share
    expected: NDArray[np.float64]  # [H, 3] the last event's forecasts
    layout: NDArray[np.int64]  # [8] of the code, see encode_event
    bits: NDArray[np.uint8]  # [I] scratch
    sorted: NDArray[np.float64]  # [512] scratch
    cells: NDArray[np.int32]  # [k] scratch: predicted cells of active columns
    forecast: NDArray[np.float64]  # [H, 3] scratch: this event's forecasts


@lean_njit
def resolution_of(low: float, high: float) -> float:
    """Return the width of a value step: the padded range / 130, above zero for a constant."""
    step = (high / STEPS - low / STEPS) * (1.0 + 2.0 * PADDING)
    largest = max(abs(low), abs(high))
    return max(step, largest * 1e-12) if step > 0.0 else max(largest, 1.0) * 1e-3


@lean_njit
def due(seen: int, room: int) -> bool:
    """Return whether the scale is looked at after `seen` values: 1..16, 32, ... 512, 1024, ..."""
    return seen <= FIRST_SURE or (seen < room and seen & (seen - 1) == 0) or seen % room == 0


@lean_njit
def rescale(scale: Scale, forecaster: Forecaster) -> None:
    """Find the scale anew if the spread of the last values left it by far.

    The spread is that of the 1st to the 99th percentile, of all values while there are few. The
    resolution is replaced when the spread is more than twice or less than a quarter of what it
    was made for; a flat line replaces nothing. The decoder's buckets follow the spread, also
    when it only moved, by more than half its width; they start afresh.
    """
    room = scale.ring.shape[0]
    n = min(scale.seen[0], room)
    for i in range(n):
        scale.sorted[i] = scale.ring[i]
    sort_first(scale.sorted, n)
    cut = n // 100
    low, high = scale.sorted[cut], scale.sorted[n - 1 - cut]
    half = 0.5 * high - 0.5 * low
    made_for = scale.state[HALF]
    width = 0.5 * scale.state[HIGH] - 0.5 * scale.state[LOW]
    first = scale.seen[0] == 1
    early = scale.seen[0] <= room
    more, less = (1.25, 0.8) if early else (2.0, 0.25)
    stretched = half > more * made_for or 0.0 < half < less * made_for
    moved = low < scale.state[LOW] - width or high > scale.state[HIGH] + width
    if not (first or stretched or (moved and half > 0.0)):
        return
    if first or stretched:
        scale.state[RESOLUTION] = resolution_of(low, high)
        scale.state[HALF] = half
    scale.state[LOW] = low
    scale.state[HIGH] = high
    pad = max(PADDING * (high - low), 0.5 * scale.state[RESOLUTION])
    low = min(max(low - pad, -LARGEST), 0.5 * LARGEST)
    high = max(min(high + pad, LARGEST), -0.5 * LARGEST)
    rescale_decoder(forecaster.decoder, low, high)


@lean_njit
def take_value(scale: Scale, forecaster: Forecaster, value: float) -> None:
    """Put a value in the ring and look at the scale when that is due."""
    room = scale.ring.shape[0]
    scale.ring[scale.seen[0] % room] = value
    scale.seen[0] += 1
    if due(scale.seen[0], room):
        rescale(scale, forecaster)


@lean_njit
def look(
    scale: Scale, pooler: Pooler, memory: Memory, forecaster: Forecaster, value: float, t: float
) -> int:
    """Return how many active columns were predicted.

    Leaves the code, the active columns, those cells and the forecasts in scratch.
    """
    encode_event(scale.bits, scale.layout, value, t, scale.state[RESOLUTION])
    pooler_infer(scale.bits, pooler)
    hits, n_cells = predicted_cells(memory, pooler.winners, scale.cells, 1)
    known = t if scale.layout[2] + scale.layout[4] + scale.layout[6] > 0 else math.nan
    forecaster_look(forecaster, value, known, scale.cells, n_cells, scale.forecast)
    return hits


@lean_njit
def absorb(
    scale: Scale,
    pooler: Pooler,
    memory: Memory,
    forecaster: Forecaster,
    value: float,
    hits: int,
) -> None:
    """Learn from the event that `look` just saw."""
    k = pooler.winners.shape[0]
    scale.state[BURSTS] += BURST_RATE * ((k - hits) / k - scale.state[BURSTS])
    for h in range(scale.forecast.shape[0]):
        for i in range(3):
            scale.expected[h, i] = scale.forecast[h, i]
    memory_step(memory, pooler.winners, True)
    forecaster_learn(forecaster, value, scale.forecast)
    pooler_learn(scale.bits, pooler)
    if not math.isnan(value):
        take_value(scale, forecaster, value)


@lean_njit
def sequence_look(
    scale: Scale, pooler: Pooler, memory: Memory, forecaster: Forecaster, value: float, t: float
) -> float:
    """Return the raw anomaly score, changing nothing but scratch."""
    hits = look(scale, pooler, memory, forecaster, value, t)
    return 1.0 - hits / pooler.winners.shape[0]  # type: ignore[no-any-return]


@lean_njit
def sequence_step(
    scale: Scale, pooler: Pooler, memory: Memory, forecaster: Forecaster, value: float, t: float
) -> float:
    """Return the raw anomaly score after learning from the event.

    NO_ROOM says that the memory first needs more room, and that nothing has changed.
    """
    if lack(memory, pooler.winners.shape[0]) != ROOM:
        return NO_ROOM
    hits = look(scale, pooler, memory, forecaster, value, t)
    absorb(scale, pooler, memory, forecaster, value, hits)
    return 1.0 - hits / pooler.winners.shape[0]  # type: ignore[no-any-return]


@lean_njit
def sequence_follow(
    scale: Scale, pooler: Pooler, memory: Memory, forecaster: Forecaster, value: float, t: float
) -> float:
    """Return the raw anomaly score, and move on past the event without learning from it.

    The memory's context moves on. To all that learns about values the event is a missing one.
    """
    hits = look(scale, pooler, memory, forecaster, value, t)
    for h in range(scale.forecast.shape[0]):
        for i in range(3):
            scale.expected[h, i] = scale.forecast[h, i]
    memory_step(memory, pooler.winners, False)
    forecaster_learn(forecaster, math.nan, scale.forecast)
    return 1.0 - hits / pooler.winners.shape[0]  # type: ignore[no-any-return]


@lean_njit
def sequence_reset(scale: Scale, memory: Memory, forecaster: Forecaster) -> None:
    """Begin a new sequence: no context, no pending forecast."""
    reset_memory(memory)
    forecaster_reset(forecaster)
    scale.expected[:] = np.nan
