"""Spatial pooler: any binary vector to exactly k active columns, learning as it goes.

Shapes: N columns, I input bits, W = ceil(I / 64) words, k active columns. Permanences are fixed
point, units of 1/65535. Source: Cui, Ahmad and Hawkins 2017, with global inhibition.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.random import below, next_u64

FULL = 65_535
SURE_DUTY_EVENTS = 1000


class Pooler(NamedTuple):
    """Arrays of a pooler; `overlap` and what follows it are scratch."""

    pool: NDArray[np.uint8]  # [N, I] 1 where a column may connect
    permanence: NDArray[np.uint16]  # [N, I] 0 outside the pool
    connected: NDArray[np.uint64]  # [N, W] packed permanence >= connected
    duty: NDArray[np.float32]  # [N] how often a column wins
    boost: NDArray[np.float32]  # [N]
    events: NDArray[np.int64]  # [1] learned events
    settings: NDArray[np.int64]  # [3] increment, decrement, connected
    boost_strength: NDArray[np.float64]  # [1]
    overlap: NDArray[np.int32]  # [N]
    boosted: NDArray[np.float32]  # [N]
    tally: NDArray[np.int32]  # [I + 1] columns by overlap
    words: NDArray[np.uint64]  # [W] packed input
    change: NDArray[np.int32]  # [I]
    winners: NDArray[np.int32]  # [k] sorted


@lean_njit
def popcount(x: np.uint64) -> np.uint64:
    """Return the number of ones in a 64-bit word (Warren, Hacker's Delight, 5-1)."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@lean_njit
def draw_pool(
    rng: NDArray[np.uint64],
    pool: NDArray[np.uint8],
    permanence: NDArray[np.uint16],
    order: NDArray[np.int32],
    size: int,
    connected: int,
) -> None:
    """Give each column `size` random inputs; half of them start connected.

    A permanence is uniform in [connected, 1] with probability 1/2, else in [1/65535, connected).
    """
    columns, inputs = pool.shape
    for column in range(columns):
        for i in range(inputs):
            order[i] = i
        for i in range(size):
            j = i + below(rng, inputs - i)
            order[i], order[j] = order[j], order[i]
            pool[column, order[i]] = 1
            if next_u64(rng) >> np.uint64(63) == 1:
                permanence[column, order[i]] = connected + below(rng, FULL + 1 - connected)
            else:
                permanence[column, order[i]] = 1 + below(rng, connected - 1)


@lean_njit
def pack_column(pooler: Pooler, column: int) -> None:
    """Rebuild the packed connected bits of one column."""
    inputs = pooler.permanence.shape[1]
    threshold = pooler.settings[2]
    for w in range(pooler.connected.shape[1]):
        word = np.uint64(0)
        for i in range(64 * w, min(64 * w + 64, inputs)):
            bit = np.uint64(pooler.permanence[column, i] >= threshold)
            word |= bit << np.uint64(i - 64 * w)
        pooler.connected[column, w] = word


@lean_njit
def pack_columns(pooler: Pooler) -> None:
    """Rebuild the packed connected bits of every column."""
    for column in range(pooler.permanence.shape[0]):
        pack_column(pooler, column)


@lean_njit
def compute_overlaps(bits: NDArray[np.uint8], pooler: Pooler) -> None:
    """Count, for each column, its connected inputs that are on."""
    pooler.words[:] = 0
    for i in range(bits.shape[0]):
        pooler.words[i >> 6] |= np.uint64(bits[i]) << np.uint64(i & 63)
    for column in range(pooler.connected.shape[0]):
        total = np.uint64(0)
        for w in range(pooler.words.shape[0]):
            total += popcount(pooler.connected[column, w] & pooler.words[w])
        pooler.overlap[column] = total


@lean_njit
def take_largest(scores: NDArray[np.float32], winners: NDArray[np.int32]) -> None:
    """Put where the largest scores are in `winners`, sorted; `scores` loses them."""
    for _ in range(winners.shape[0]):
        best = 0
        for i in range(scores.shape[0]):
            if scores[i] >= scores[best]:
                best = i
        scores[best] = -1.0
    at = 0
    for i in range(scores.shape[0]):
        if scores[i] < 0.0:
            winners[at] = i
            at += 1


@lean_njit
def choose_winners(pooler: Pooler) -> None:
    """Take the k columns of largest (boosted) overlap, the higher index on a tie."""
    overlap, winners = pooler.overlap, pooler.winners
    columns, k = overlap.shape[0], winners.shape[0]
    if pooler.boost_strength[0] > 0.0:
        for column in range(columns):
            pooler.boosted[column] = overlap[column] * pooler.boost[column]
        take_largest(pooler.boosted, winners)
        return
    pooler.tally[:] = 0
    for column in range(columns):
        pooler.tally[overlap[column]] += 1
    level = pooler.tally.shape[0] - 1
    above = 0
    while above + pooler.tally[level] < k:
        above += pooler.tally[level]
        level -= 1
    tied = k - above
    at = k
    for column in range(columns - 1, -1, -1):
        take = overlap[column] > level
        if overlap[column] == level and tied > 0:
            tied -= 1
            take = True
        if take:
            at -= 1
            winners[at] = column


@lean_njit
def pooler_infer(bits: NDArray[np.uint8], pooler: Pooler) -> None:
    """Put the active columns of `bits` in `pooler.winners`; nothing but scratch changes."""
    compute_overlaps(bits, pooler)
    choose_winners(pooler)


@lean_njit
def pooler_learn(bits: NDArray[np.uint8], pooler: Pooler) -> None:
    """Move the winners' permanences toward `bits`; an input without any bit teaches nothing."""
    increment, decrement = pooler.settings[0], pooler.settings[1]
    inputs = bits.shape[0]
    seen = False
    for i in range(inputs):
        seen |= bits[i] != 0
        pooler.change[i] = increment if bits[i] else -decrement
    if not seen:
        return
    for column in pooler.winners:
        row, pool = pooler.permanence[column], pooler.pool[column]
        for i in range(inputs):
            moved = np.int32(row[i]) + pooler.change[i] * np.int32(pool[i])
            row[i] = min(max(moved, 0), FULL)
        pack_column(pooler, column)
    pooler.events[0] += 1
    if pooler.boost_strength[0] > 0.0:
        update_boost(pooler)


@lean_njit
def update_boost(pooler: Pooler) -> None:
    """Track how often columns win over 1000 events; boost = exp(strength (density - duty))."""
    columns = pooler.duty.shape[0]
    period = np.float32(min(SURE_DUTY_EVENTS, pooler.events[0]))
    for column in range(columns):
        pooler.duty[column] *= (period - np.float32(1)) / period
    for column in pooler.winners:
        pooler.duty[column] += np.float32(1) / period
    density = pooler.winners.shape[0] / columns
    for column in range(columns):
        gain = pooler.boost_strength[0] * (density - pooler.duty[column])
        pooler.boost[column] = math.exp(gain)
