"""Bridging: where a sequence would stand by now, had its context not been lost.

When an event is not predicted, what was predicted instead is kept and followed as if its cells
had fired, one event after another (dead reckoning). When a later event stands in that chain, the
context is taken up from there: the events between replaced elements, or were inserted.
"""

import numpy as np
from numpy.typing import NDArray

from learners.kernels.bits import Words, any_bit, clear_bit, lowest_bit, set_bit, whole
from learners.kernels.dendrites import activate_dendrites, count_potential
from learners.kernels.jit import lean_njit
from learners.kernels.segments import (
    ACTIVATION,
    ACTIVE,
    AHEAD_CELLS,
    AHEAD_SEGMENTS,
    BRIDGED,
    BRIDGING,
    CELLS,
    LOST,
    MATCHING,
    PREDICTING,
    SLOTS,
    WINNERS,
    Memory,
    connected_count,
)


@lean_njit
def list_cells(cells: Words, listed: NDArray[np.uint32]) -> int:
    """Write a set's cells in order; return how many, -1 if there is no room for them."""
    n = whole(0)
    for at in range(cells.shape[0]):
        word = cells[at]
        while word != 0:
            if n == listed.shape[0]:
                return whole(-1)
            listed[n] = 64 * at + lowest_bit(word)
            n += 1
            word &= word - np.uint64(1)
    return n


@lean_njit
def copy_cells(source: Words, target: Words) -> None:
    """Make `target` the same set as `source`."""
    for at in range(source.shape[0]):
        target[at] = source[at]


@lean_njit
def covers(cells: Words, columns: NDArray[np.int32], per_column: int) -> bool:
    """Return whether a set has cells in more than half of `columns`."""
    hits = whole(0)
    for i in range(columns.shape[0]):
        first = whole(columns[i]) * per_column
        hits += any_bit(cells, first, first + per_column)
    return 2 * hits > columns.shape[0]  # type: ignore[no-any-return]


@lean_njit
def reckon(m: Memory) -> None:
    """Fill ahead[i + 1] with what ahead[i] predicts, as if its cells were the active ones.

    A set of more cells than can be active predicts nothing. AHEAD_CELLS and AHEAD_SEGMENTS tell
    how much could win and learn at most if the context were taken up.
    """
    slots, activation = m.counts[SLOTS], m.settings[ACTIVATION]
    for step in range(m.ahead.shape[0] - 1):
        fired, expected = m.ahead[step], m.ahead[step + 1]
        expected[:] = 0
        n = list_cells(fired, m.candidates)
        if n <= 0:
            continue
        m.potential[:slots] = 0
        count_potential(m.candidates[:n], m.link_head, m.block, m.block_next, m.potential)
        predicting = whole(0)
        for slot in range(slots):
            if m.potential[slot] >= activation and connected_count(m, slot, fired) >= activation:
                set_bit(expected, m.seg_cell[slot])
                predicting += 1
        m.counts[AHEAD_CELLS] = max(m.counts[AHEAD_CELLS], n)
        m.counts[AHEAD_SEGMENTS] = max(m.counts[AHEAD_SEGMENTS], predicting)


@lean_njit
def place_ahead(m: Memory, columns: NDArray[np.int32]) -> int:
    """Return where an event stands in what lay ahead when the context was lost, -1 if nowhere.

    As many places on as events went by: each of them replaced an element. Nearer: some of them
    were inserted. Farther is not looked at, for there many a false start would fit.
    """
    for at in range(m.counts[LOST], -1, -1):
        if covers(m.ahead[at], columns, m.settings[CELLS]):
            return whole(at)
    return whole(-1)


@lean_njit
def take_up(m: Memory, at: int) -> None:
    """Make the context the one in which ahead[at] is predicted.

    For the first place that context is gone; what it predicted is, and nothing learns from it.
    """
    if at == 0:
        copy_cells(m.ahead[0], m.is_predicted)
        m.counts[MATCHING] = 0
        m.counts[PREDICTING] = 0
        return
    for i in range(m.counts[WINNERS]):
        clear_bit(m.is_winner, m.winners[i])
    copy_cells(m.ahead[at - 1], m.is_active)
    n = list_cells(m.is_active, m.active)
    for i in range(n):
        m.winners[i] = m.active[i]
        set_bit(m.is_winner, m.winners[i])
    m.counts[ACTIVE] = n
    m.counts[WINNERS] = n
    activate_dendrites(m, False)


@lean_njit
def bridge(m: Memory, columns: NDArray[np.int32]) -> None:
    """Before an event is taken in, take up a lost context, or note that it is lost."""
    m.counts[AHEAD_CELLS] = 0
    m.counts[AHEAD_SEGMENTS] = 0
    if m.counts[LOST] > 0:
        at = place_ahead(m, columns)
        if at >= 0:
            take_up(m, at)
            m.counts[LOST] = 0
            m.counts[BRIDGED] += 1
            return
    if covers(m.is_predicted, columns, m.settings[CELLS]):
        m.counts[LOST] = 0
    elif 0 < m.counts[LOST] < m.settings[BRIDGING]:
        m.counts[LOST] += 1
    else:
        copy_cells(m.is_predicted, m.ahead[0])
        m.counts[LOST] = whole(m.counts[PREDICTING] > 0)
