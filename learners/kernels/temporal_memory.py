"""Temporal memory: which cells of the active columns fire, and what they predict next.

What a step does never depends on the order inside the inverted lists, nor on how much room the
arrays have: segments are looked at in the order of their slots. So both can be made anew.
Source: Cui, Ahmad and Hawkins 2016, section 2, with growth in predicted columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.kernels.bits import (
    ONE,
    add_bits,
    any_bit,
    bits_from,
    clear_bit,
    first_bits,
    has_bit,
    lowest_bit,
    set_bit,
    whole,
)
from learners.kernels.bridging import bridge, reckon
from learners.kernels.dendrites import activate_dendrites
from learners.kernels.inverted_lists import BLOCK, BLOCKS, FREE_BLOCKS
from learners.kernels.jit import inlined_njit, lean_njit
from learners.kernels.segments import (
    ACTIVE,
    AHEAD_CELLS,
    AHEAD_SEGMENTS,
    BRIDGING,
    CELLS,
    FREE,
    LOST,
    MATCHING,
    MAX_SEGMENTS,
    NEW_SYNAPSES,
    NEXT_WINNERS,
    PREDICTING,
    PUNISHMENT,
    SLOTS,
    WINNERS,
    Memory,
    create_segment,
    grow_synapses,
    least_used_cell,
    link,
    punish,
    reinforce,
)

ROOM, NO_SEGMENT, NO_BLOCK = 0, 1, 2


@lean_njit
def lack(m: Memory, n_columns: int) -> int:
    """Return what a step with so many active columns might run out of: ROOM is nothing.

    A column makes one segment at most. A cell that won at the last step gets at most one synapse
    from each segment that learns, those that predict and one of each bursting column.
    """
    slots, blocks = m.seg_cell.shape[0], m.block_next.shape[0]
    left = slots - m.counts[SLOTS] + m.counts[FREE]
    if left < n_columns and slots < m.settings[MAX_SEGMENTS]:
        return NO_SEGMENT
    learning = max(m.counts[PREDICTING], m.counts[AHEAD_SEGMENTS]) + n_columns
    needed = max(m.counts[WINNERS], m.counts[AHEAD_CELLS]) * ((learning + BLOCK - 1) // BLOCK)
    most = m.settings[MAX_SEGMENTS] * m.syn_cell.shape[1] // BLOCK + m.cell_n.shape[0]
    if blocks - m.counts[BLOCKS] + m.counts[FREE_BLOCKS] < needed and blocks < most:
        return NO_BLOCK
    return ROOM


@inlined_njit
def learn_on(m: Memory, slot: int) -> None:
    """Reinforce a segment and let it grow to the wanted number of active synapses."""
    seen = whole(m.potential[slot])
    if seen == 0:
        return  # destroyed, or destroyed and reused, earlier in this step
    reinforce(m, slot)
    if m.seg_n[slot] > 0 and seen < m.settings[NEW_SYNAPSES]:
        grow_synapses(m, slot, m.settings[NEW_SYNAPSES] - seen)


@lean_njit
def add_winner(m: Memory, cell: int) -> None:
    """Make a cell one of the winners of this step."""
    m.next_winners[m.counts[NEXT_WINNERS]] = cell
    m.counts[NEXT_WINNERS] += 1


@inlined_njit
def activate_predicted(m: Memory, column: int, start: int, stop: int, learn: bool) -> None:
    """Make the predicted cells of `column` win, and their active segments learn (eq. 1 and 3).

    grouped[start:stop] are the column's matching segments.
    """
    cells = m.settings[CELLS]
    if learn:
        for i in range(start, stop):
            if m.grouped[i] & 1:
                learn_on(m, whole(m.grouped[i] >> 1))
    for first in range(column * cells, (column + 1) * cells, 64):
        found = bits_from(m.is_predicted, first, min(64, (column + 1) * cells - first))
        while found != 0:
            add_winner(m, first + lowest_bit(found))
            found &= found - np.uint64(1)


@inlined_njit
def burst(m: Memory, column: int, start: int, stop: int, learn: bool) -> None:
    """Find the winner of a column that nothing predicted, and let it learn (eq. 1 and 5).

    grouped[start:stop] are the column's matching segments.
    """
    best, best_seen = whole(-1), whole(0)
    for i in range(start, stop):
        slot = whole(m.grouped[i] >> 1)
        if m.potential[slot] > best_seen:
            best, best_seen = slot, whole(m.potential[slot])
    if best >= 0:
        add_winner(m, m.seg_cell[best])
        if learn:
            learn_on(m, best)
        return
    cell = least_used_cell(m, column)
    add_winner(m, cell)
    if learn and m.counts[WINNERS] > 0:
        slot = create_segment(m, cell)
        grow_synapses(m, slot, m.settings[NEW_SYNAPSES])


@inlined_njit
def column_of(m: Memory, slot: int) -> int:
    """Return the column of a segment, by a division of 32 bits, which is faster than of 64."""
    return whole(np.uint32(m.seg_cell[slot]) // np.uint32(m.settings[CELLS]))


@lean_njit
def group_matching(m: Memory, columns: NDArray[np.int32]) -> None:
    """Sort the matching segments of active columns by column; each group in order of slots."""
    for i in range(columns.shape[0]):
        m.place[columns[i]] = i + 1
        m.group_end[i] = 0
    for i in range(m.counts[MATCHING]):
        at = whole(m.place[column_of(m, whole(m.matching[i] >> 1))])
        if at > 0:
            m.group_end[at - 1] += 1
    total = whole(0)
    for i in range(columns.shape[0]):
        total += m.group_end[i]
        m.group_end[i] = total - m.group_end[i]
    for i in range(m.counts[MATCHING]):
        at = whole(m.place[column_of(m, whole(m.matching[i] >> 1))])
        if at > 0:
            m.grouped[m.group_end[at - 1]] = m.matching[i]
            m.group_end[at - 1] += 1


@lean_njit
def punish_silent(m: Memory) -> None:
    """Weaken the segments that matched in columns that stayed silent (eq. 4)."""
    for i in range(m.counts[MATCHING]):
        slot = whole(m.matching[i] >> 1)
        if m.place[column_of(m, slot)] == 0:
            punish(m, slot)


@lean_njit
def activate_cells(m: Memory, columns: NDArray[np.int32], learn: bool) -> None:
    """Turn sorted active columns into active and winner cells, and learn from the last step."""
    cells = m.settings[CELLS]
    m.counts[NEXT_WINNERS] = 0
    group_matching(m, columns)
    if learn and m.settings[PUNISHMENT] > 0:
        punish_silent(m)
    start = whole(0)
    for i in range(columns.shape[0]):
        column, stop = whole(columns[i]), whole(m.group_end[i])
        if any_bit(m.is_predicted, column * cells, (column + 1) * cells):
            activate_predicted(m, column, start, stop, learn)
        else:
            burst(m, column, start, stop, learn)
        m.place[column] = 0
        start = stop
    install_cells(m, columns)


@lean_njit
def install_cells(m: Memory, columns: NDArray[np.int32]) -> None:
    """Make the cells of `columns` active, the predicted ones or else all, and the winners win."""
    for i in range(m.counts[WINNERS]):
        clear_bit(m.is_winner, m.winners[i])
    m.is_active[:] = 0
    cells, n = m.settings[CELLS], whole(0)
    for i in range(columns.shape[0]):
        first = whole(columns[i]) * cells
        bursts = not any_bit(m.is_predicted, first, first + cells)
        for start in range(first, first + cells, 64):
            width = min(64, first + cells - start)
            fires = first_bits(width) if bursts else bits_from(m.is_predicted, start, width)
            add_bits(m.is_active, start, fires)
            while fires != 0:
                m.active[n] = start + lowest_bit(fires)
                n += 1
                fires &= fires - ONE
    m.counts[ACTIVE] = n
    m.counts[WINNERS] = m.counts[NEXT_WINNERS]
    for i in range(m.counts[WINNERS]):
        m.winners[i] = m.next_winners[i]
        set_bit(m.is_winner, m.winners[i])


@lean_njit
def memory_step(m: Memory, columns: NDArray[np.int32], learn: bool) -> None:
    """Take in the sorted active columns of one event and predict those of the next."""
    if m.settings[BRIDGING] > 0:
        bridge(m, columns)
    activate_cells(m, columns, learn)
    if m.counts[LOST] > 0:
        reckon(m)
    activate_dendrites(m, learn)


@lean_njit
def reset_memory(m: Memory) -> None:
    """Begin a new sequence: nothing is active, nothing is predicted."""
    for i in range(m.counts[ACTIVE]):
        clear_bit(m.is_active, m.active[i])
    for i in range(m.counts[WINNERS]):
        clear_bit(m.is_winner, m.winners[i])
    m.counts[ACTIVE] = 0
    m.counts[WINNERS] = 0
    m.counts[LOST] = 0
    activate_dendrites(m, False)


@lean_njit
def predicted_cells(
    m: Memory, columns: NDArray[np.int32], cells: NDArray[np.int32], per_column: int
) -> tuple[int, int]:
    """Compare sorted active columns with what was predicted; nothing but `cells` changes.

    Returns how many of the columns were predicted, and how many cells stand in `cells`: those
    that predicted an active column, except in a column where more than `per_column` did.
    """
    size = m.settings[CELLS]
    hits = n = whole(0)
    for i in range(columns.shape[0]):
        first = whole(columns[i]) * size
        if not any_bit(m.is_predicted, first, first + size):
            continue
        hits += 1
        found = whole(0)
        for start in range(first, first + size, 64):
            bits = bits_from(m.is_predicted, start, min(64, first + size - start))
            while bits != 0:
                if found < per_column:
                    cells[n + found] = start + lowest_bit(bits)
                found += 1
                bits &= bits - ONE
        if found <= per_column:
            n += found
    return hits, n


@lean_njit
def count_predicted_columns(m: Memory) -> int:
    """Return how many columns are predicted for the next event."""
    n, cells = whole(0), m.settings[CELLS]
    for column in range(m.place.shape[0]):
        n += any_bit(m.is_predicted, column * cells, (column + 1) * cells)
    return n


@lean_njit
def rebuild_links(m: Memory) -> None:
    """Rebuild the lists of every cell from segments, active and winner cells, all checked."""
    for slot in range(m.counts[SLOTS]):
        if m.seg_n[slot] > 0:
            m.cell_n[m.seg_cell[slot]] += 1
        for i in range(whole(m.seg_n[slot])):
            link(m, m.syn_cell[slot, i], slot)
    for i in range(m.counts[ACTIVE]):
        set_bit(m.is_active, m.active[i])
    for i in range(m.counts[WINNERS]):
        set_bit(m.is_winner, m.winners[i])
    if m.counts[LOST] > 0:
        reckon(m)
    activate_dendrites(m, False)


@lean_njit
def has_duplicates(seg_n: NDArray[np.uint8], syn_cell: NDArray[Any], marked: Any) -> bool:
    """Return whether a segment has two synapses on one cell; `marked` is scratch, bits [C]."""
    at = 0
    for slot in range(seg_n.shape[0]):
        stop = at + whole(seg_n[slot])
        twice = False
        for i in range(at, stop):
            twice |= has_bit(marked, syn_cell[i]) == 1
            set_bit(marked, syn_cell[i])
        for i in range(at, stop):
            clear_bit(marked, syn_cell[i])
        if twice:
            return True
        at = stop
    return False
