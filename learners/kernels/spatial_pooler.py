"""Spatial pooler: any binary vector to exactly k active columns.

Shapes: N columns, I input bits, V = ceil(N / 64) words, k active columns, L = bits of I.
Overlaps are counted bit-sliced: plane b holds bit b of the overlap of every column, so that
adding an input to all columns is a few operations on each word. Source: Cui, Ahmad and Hawkins
2017, with global inhibition.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.bits import ONE, clear_bit, has_bit, lowest_bit, popcount, set_bit, whole
from learners.kernels.jit import lean_njit
from learners.kernels.random import below, next_u64

FULL = 65_535
SURE_DUTY_EVENTS = 1000

# Pooler.rates
CONNECT, DISCONNECT, BOOST = 0, 1, 2

Rows = NDArray[np.uint64]


class Pooler(NamedTuple):
    """Arrays of a pooler; `order` and what follows it are scratch."""

    pool: Rows  # [I, V] columns that may connect to an input
    connected: Rows  # [I, V] columns that do
    rates: NDArray[np.float64]  # [3] chance to connect, to disconnect; strength of boosting
    duty: NDArray[np.float32]  # [N] how often a column wins; this and boost only if it boosts
    boost: NDArray[np.float32]  # [N]
    events: NDArray[np.int64]  # [1] learned events
    rng: NDArray[np.uint64]  # [1]
    columns: Rows  # [V] a bit for each column
    order: NDArray[np.int32]  # [I] inputs that are on, then those that are off
    planes: Rows  # [L, V]
    carry: Rows  # [V]
    tied: Rows  # [V]
    boosted: NDArray[np.float32]  # [N]
    winners: NDArray[np.int32]  # [k] sorted


@lean_njit
def draw_tables(
    rng: NDArray[np.uint64],
    pool: Rows,
    connected: Rows,
    order: NDArray[np.int32],
    n: int,
    size: int,
) -> None:
    """Give each of `n` columns `size` random inputs, and connect half of them."""
    inputs = order.shape[0]
    for column in range(n):
        for i in range(inputs):
            order[i] = i
        for i in range(size):
            j = i + below(rng, inputs - i)
            order[i], order[j] = order[j], order[i]
            set_bit(pool[order[i]], column)
            if next_u64(rng) >> np.uint64(63) == 1:
                set_bit(connected[order[i]], column)


@lean_njit
def draw_permanences(
    rng: NDArray[np.uint64],
    permanence: NDArray[np.uint16],
    order: NDArray[np.int32],
    size: int,
    connected: int,
) -> None:
    """Give each column `size` random inputs; half of them start connected.

    A permanence is uniform in [connected, 1] with probability 1/2, else in [1/65535, connected).
    """
    columns, inputs = permanence.shape
    for column in range(columns):
        for i in range(inputs):
            order[i] = i
        for i in range(size):
            j = i + below(rng, inputs - i)
            order[i], order[j] = order[j], order[i]
            if next_u64(rng) >> np.uint64(63) == 1:
                permanence[column, order[i]] = connected + below(rng, FULL + 1 - connected)
            else:
                permanence[column, order[i]] = 1 + below(rng, connected - 1)


@lean_njit
def connect(permanence: NDArray[np.uint16], threshold: int, connected: Rows) -> None:
    """Find the columns that each input is connected to, from all permanences."""
    connected[:] = 0
    for column in range(permanence.shape[0]):
        for i in range(permanence.shape[1]):
            if permanence[column, i] >= threshold:
                set_bit(connected[i], column)


@lean_njit
def order_inputs(bits: NDArray[np.uint8], order: NDArray[np.int32]) -> int:
    """Put the inputs that are on first, in order, and those that are off last; count the first."""
    on, off = whole(0), bits.shape[0]
    for i in range(bits.shape[0]):
        if bits[i]:
            order[on] = i
            on += 1
    for i in range(bits.shape[0]):
        if not bits[i]:
            order[on + bits.shape[0] - off] = i
            off -= 1
    return on


@lean_njit
def count_overlaps(bits: NDArray[np.uint8], pooler: Pooler) -> int:
    """Count in planes, for each column, its connected inputs that are on; return the planes used.

    Each input is added to all counts at once, as a bit with carry.
    """
    planes, carry = pooler.planes, pooler.carry
    seen = used = whole(0)
    for i in range(bits.shape[0]):
        if bits[i] == 0:
            continue
        seen += 1
        if seen & (seen - 1) == 0:
            planes[used, :] = 0
            used += 1
        for w in range(carry.shape[0]):
            carry[w] = pooler.connected[i, w]
        for b in range(used):
            for w in range(carry.shape[0]):
                both = planes[b, w] & carry[w]
                planes[b, w] ^= carry[w]
                carry[w] = both
    return used


@lean_njit
def keep_highest(word: np.uint64, n: int) -> np.uint64:
    """Return a word with its `n` highest ones."""
    for _ in range(popcount(word) - n):
        word &= word - ONE
    return word


@lean_njit
def choose_winners(pooler: Pooler, used: int) -> None:
    """Take the k columns of largest overlap, the higher index on a tie, plane by plane.

    Of the columns tied so far, those with the bit of a plane win if there is room for all, else
    only they stay tied.
    """
    planes, tied, chosen = pooler.planes, pooler.tied, pooler.carry
    words, left = tied.shape[0], pooler.winners.shape[0]
    for w in range(words):
        tied[w] = pooler.columns[w]
        chosen[w] = 0
    for b in range(used - 1, -1, -1):
        n = whole(0)
        for w in range(words):
            n += popcount(tied[w] & planes[b, w])
        if n >= left:
            for w in range(words):
                tied[w] &= planes[b, w]
        else:
            left -= n
            for w in range(words):
                chosen[w] |= tied[w] & planes[b, w]
                tied[w] &= ~planes[b, w]
    for w in range(words - 1, -1, -1):
        n = min(left, popcount(tied[w]))
        chosen[w] |= keep_highest(tied[w], n)
        left -= n
    at = whole(0)
    for w in range(words):
        word = chosen[w]
        while word != 0:
            pooler.winners[at] = 64 * w + lowest_bit(word)
            at += 1
            word &= word - ONE


@lean_njit
def choose_boosted(pooler: Pooler, used: int) -> None:
    """Take the k columns of largest boosted overlap, the higher index on a tie."""
    for column in range(pooler.boosted.shape[0]):
        overlap = whole(0)
        for b in range(used):
            overlap += has_bit(pooler.planes[b], column) << b
        pooler.boosted[column] = overlap * pooler.boost[column]
    take_largest(pooler.boosted, pooler.winners)


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
def pooler_infer(bits: NDArray[np.uint8], pooler: Pooler) -> None:
    """Put the active columns of `bits` in `pooler.winners`; nothing but scratch changes."""
    used = count_overlaps(bits, pooler)
    if pooler.rates[BOOST] > 0.0:
        choose_boosted(pooler, used)
    else:
        choose_winners(pooler, used)


@lean_njit
def trials(rng: NDArray[np.uint64], expected: float) -> int:
    """Return a whole number that is `expected` on average: one of the two beside it."""
    part = (next_u64(rng) >> np.uint64(11)) * (1.0 / (1 << 53))
    return whole(math.floor(expected + part))


@lean_njit
def pooler_learn(bits: NDArray[np.uint8], pooler: Pooler) -> None:
    """Let winners connect to inputs that are on and disconnect from others, by chance.

    As many pairs of a winner and an input are drawn as the rates say, so that a step costs what
    changes and not what there is. An input without any bit teaches nothing.
    """
    on, k, rates = order_inputs(bits, pooler.order), pooler.winners.shape[0], pooler.rates
    if on == 0 or (rates[CONNECT] == 0.0 and rates[DISCONNECT] == 0.0 and rates[BOOST] == 0.0):
        return
    off = bits.shape[0] - on
    for _ in range(trials(pooler.rng, rates[CONNECT] * on * k)):
        i = pooler.order[below(pooler.rng, on)]
        column = whole(pooler.winners[below(pooler.rng, k)])
        bit = ONE << np.uint64(column & 63)
        pooler.connected[i, column >> 6] |= bit & pooler.pool[i, column >> 6]
    for _ in range(trials(pooler.rng, rates[DISCONNECT] * off * k)):
        i = pooler.order[on + below(pooler.rng, off)]
        clear_bit(pooler.connected[i], pooler.winners[below(pooler.rng, k)])
    pooler.events[0] += 1
    if rates[BOOST] > 0.0:
        update_boost(pooler)


@lean_njit
def move_permanences(
    bits: NDArray[np.uint8],
    pooler: Pooler,
    permanence: NDArray[np.uint16],
    settings: NDArray[np.int64],
) -> None:
    """Move the winners' permanences, [N, I], toward `bits`; without any bit they stay.

    One in the pool stays above zero, as zero means outside. Settings are increment, decrement
    and the least permanence of a connected synapse.
    """
    if order_inputs(bits, pooler.order) == 0:
        return
    increment, decrement, threshold = settings[0], settings[1], settings[2]
    for column in pooler.winners:
        for i in range(bits.shape[0]):
            before = whole(permanence[column, i])
            if before == 0:
                continue
            after = min(max(before + (increment if bits[i] else -decrement), 1), FULL)
            permanence[column, i] = after
            if (before >= threshold) != (after >= threshold):
                pooler.connected[i, column >> 6] ^= ONE << np.uint64(column & 63)
    pooler.events[0] += 1
    if pooler.rates[BOOST] > 0.0:
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
        gain = pooler.rates[BOOST] * (density - pooler.duty[column])
        pooler.boost[column] = math.exp(gain)
