"""Temporal memory: which cells of the active columns fire, and what they predict next.

What a step does never depends on the order inside the inverted lists: segments are sorted by
(cell, slot) before anything looks at them. So the lists can be rebuilt from the synapses.
Source: Cui, Ahmad and Hawkins 2016, section 2, with growth in predicted columns.
"""

import numpy as np
from numpy.typing import NDArray

from learners.kernels.inverted_lists import BLOCK
from learners.kernels.jit import njit
from learners.kernels.segments import (
    ACTIVATION,
    ACTIVE,
    CELLS,
    CONNECTED,
    DECREMENT,
    INCREMENT,
    ITERATION,
    MATCH,
    MATCHING,
    NEW_SYNAPSES,
    NEXT_ACTIVE,
    NEXT_WINNERS,
    PREDICTING,
    PUNISHMENT,
    SLOTS,
    TOUCHED,
    WINNERS,
    Memory,
    adapt_segment,
    create_segment,
    grow_synapses,
    least_used_cell,
    link,
)
from learners.kernels.sorting import sort_first


@njit
def key_slot(key: int) -> int:
    """Return the slot in a sort key."""
    return key & 0xFFFFFFFF


@njit
def key_cell(key: int) -> int:
    """Return the cell in a sort key."""
    return key >> 32


@njit
def learn_on(m: Memory, slot: int) -> None:
    """Reinforce a segment and let it grow to the wanted number of active synapses."""
    seen = np.int64(m.potential[slot])
    if seen == 0:
        return  # destroyed, or destroyed and reused, earlier in this step
    adapt_segment(m, slot, m.settings[INCREMENT], m.settings[DECREMENT])
    if m.seg_n[slot] > 0 and seen < m.settings[NEW_SYNAPSES]:
        grow_synapses(m, slot, m.settings[NEW_SYNAPSES] - seen)


@njit
def activate_predicted(m: Memory, start: int, stop: int, learn: bool) -> None:
    """Activate the owners of predicting[start:stop], all in one column (eq. 1, first case)."""
    last = -1
    for i in range(start, stop):
        cell = key_cell(m.predicting[i])
        if cell != last:
            m.next_active[m.counts[NEXT_ACTIVE]] = cell
            m.counts[NEXT_ACTIVE] += 1
            m.next_winners[m.counts[NEXT_WINNERS]] = cell
            m.counts[NEXT_WINNERS] += 1
            last = cell
        if learn:
            learn_on(m, key_slot(m.predicting[i]))


@njit
def burst(m: Memory, column: int, start: int, stop: int, learn: bool) -> int:
    """Activate every cell of `column` and return its winner (eq. 1, second case, and eq. 5).

    matching[start:stop] are the column's matching segments.
    """
    cells = m.settings[CELLS]
    for cell in range(column * cells, column * cells + cells):
        m.next_active[m.counts[NEXT_ACTIVE]] = cell
        m.counts[NEXT_ACTIVE] += 1
    best, best_seen = -1, np.int64(0)
    for i in range(start, stop):
        slot = key_slot(m.matching[i])
        if m.potential[slot] > best_seen:
            best, best_seen = slot, np.int64(m.potential[slot])
    if best >= 0:
        cell = m.seg_cell[best]
        if learn:
            learn_on(m, best)
        return cell  # type: ignore[no-any-return]
    cell = least_used_cell(m, column)
    if learn and m.counts[WINNERS] > 0:
        slot = create_segment(m, cell)
        grow_synapses(m, slot, m.settings[NEW_SYNAPSES])
    return cell


@njit
def punish(m: Memory, slot: int) -> None:
    """Weaken a segment that matched in a column that stayed silent (eq. 4)."""
    if m.potential[slot] > 0:
        adapt_segment(m, slot, -m.settings[PUNISHMENT], m.settings[PUNISHMENT] * 0)


@njit
def column_end(m: Memory, keys: NDArray[np.int64], start: int, n: int, column: int) -> int:
    """Return the first place from `start` in sorted `keys` that lies beyond `column`."""
    limit = (column + 1) * m.settings[CELLS]
    while start < n and key_cell(keys[start]) < limit:
        start += 1
    return start


@njit
def activate_cells(m: Memory, columns: NDArray[np.int32], learn: bool) -> None:
    """Turn sorted active columns into active and winner cells, and learn from the last step."""
    m.counts[NEXT_ACTIVE] = 0
    m.counts[NEXT_WINNERS] = 0
    n_predicting, n_matching = m.counts[PREDICTING], m.counts[MATCHING]
    teach_silence = learn and m.settings[PUNISHMENT] > 0
    a = s = 0
    for column in columns:
        a = column_end(m, m.predicting, a, n_predicting, column - 1)
        a_stop = column_end(m, m.predicting, a, n_predicting, column)
        silent = s
        s = column_end(m, m.matching, s, n_matching, column - 1)
        if teach_silence:
            for i in range(silent, s):
                punish(m, key_slot(m.matching[i]))
        s_stop = column_end(m, m.matching, s, n_matching, column)
        if a_stop > a:
            activate_predicted(m, a, a_stop, learn)
        else:
            winner = burst(m, column, s, s_stop, learn)
            m.next_winners[m.counts[NEXT_WINNERS]] = winner
            m.counts[NEXT_WINNERS] += 1
        a, s = a_stop, s_stop
    if teach_silence:
        for i in range(s, n_matching):
            punish(m, key_slot(m.matching[i]))
    install_cells(m)


@njit
def install_cells(m: Memory) -> None:
    """Make the next active and winner cells the last ones."""
    for i in range(m.counts[ACTIVE]):
        m.is_active[m.active[i]] = 0
    for i in range(m.counts[WINNERS]):
        m.is_winner[m.winners[i]] = 0
    m.counts[ACTIVE] = m.counts[NEXT_ACTIVE]
    m.counts[WINNERS] = m.counts[NEXT_WINNERS]
    for i in range(m.counts[ACTIVE]):
        m.active[i] = m.next_active[i]
        m.is_active[m.active[i]] = 1
    for i in range(m.counts[WINNERS]):
        m.winners[i] = m.next_winners[i]
        m.is_winner[m.winners[i]] = 1


@njit
def count_potential(m: Memory) -> None:
    """Count, for each segment, its synapses on active cells; remember which were touched."""
    for i in range(m.counts[TOUCHED]):
        m.potential[m.touched[i]] = 0
    touched = 0
    for i in range(m.counts[ACTIVE]):
        cell = m.active[i]
        at, n = m.link_head[cell] - 1, np.int64(m.link_fill[cell])
        while at >= 0:
            for j in range(n):
                slot = m.block[at, j]
                if m.potential[slot] == 0:
                    m.touched[touched] = slot
                    touched += 1
                m.potential[slot] += 1
            at, n = m.block_next[at] - 1, np.int64(BLOCK)
    m.counts[TOUCHED] = touched


@njit
def activate_dendrites(m: Memory, learn: bool) -> None:
    """Find the segments that the active cells match and activate (eq. 2)."""
    count_potential(m)
    n_predicting = n_matching = 0
    threshold = m.settings[CONNECTED]
    for i in range(m.counts[TOUCHED]):
        slot = m.touched[i]
        if m.potential[slot] < m.settings[MATCH]:
            continue
        key = (np.int64(m.seg_cell[slot]) << 32) | slot
        m.matching[n_matching] = key
        n_matching += 1
        connected = 0
        for j in range(np.int64(m.seg_n[slot])):
            connected += m.syn_perm[slot, j] >= threshold and m.is_active[m.syn_cell[slot, j]]
        if connected >= m.settings[ACTIVATION]:
            m.predicting[n_predicting] = key
            n_predicting += 1
            if learn:
                m.seg_used[slot] = m.counts[ITERATION]
    sort_first(m.predicting, n_predicting)
    sort_first(m.matching, n_matching)
    m.counts[PREDICTING] = n_predicting
    m.counts[MATCHING] = n_matching
    if learn:
        m.counts[ITERATION] += 1


@njit
def memory_step(m: Memory, columns: NDArray[np.int32], learn: bool) -> None:
    """Take in the sorted active columns of one event and predict those of the next."""
    activate_cells(m, columns, learn)
    activate_dendrites(m, learn)


@njit
def reset_memory(m: Memory) -> None:
    """Begin a new sequence: nothing is active, nothing is predicted."""
    m.counts[NEXT_ACTIVE] = 0
    m.counts[NEXT_WINNERS] = 0
    install_cells(m)
    activate_dendrites(m, False)


@njit
def predicted_cells(
    m: Memory, columns: NDArray[np.int32], cells: NDArray[np.int32], per_column: int
) -> tuple[int, int]:
    """Compare sorted active columns with what was predicted; nothing but `cells` changes.

    Returns how many of the columns were predicted, and how many cells stand in `cells`: those
    that predicted an active column, except in a column where more than `per_column` did.
    """
    n_predicting = m.counts[PREDICTING]
    a = hits = n = 0
    for column in columns:
        a = column_end(m, m.predicting, a, n_predicting, column - 1)
        stop = column_end(m, m.predicting, a, n_predicting, column)
        if stop == a:
            continue
        hits += 1
        found, last = 0, -1
        for i in range(a, stop):
            cell = key_cell(m.predicting[i])
            if cell == last:
                continue
            if found < per_column:
                cells[n + found] = cell
            found += 1
            last = cell
        if found <= per_column:
            n += found
        a = stop
    return hits, n


@njit
def count_predicted_columns(m: Memory) -> int:
    """Return how many columns are predicted for the next event."""
    n, last = 0, -1
    for i in range(m.counts[PREDICTING]):
        column = key_cell(m.predicting[i]) // m.settings[CELLS]
        n += column != last
        last = column
    return n


@njit
def rebuild_links(m: Memory) -> None:
    """Rebuild the lists of every cell from segments, active and winner cells, all checked."""
    for slot in range(m.counts[SLOTS]):
        if m.seg_n[slot] == 0:
            continue
        cell = m.seg_cell[slot]
        m.seg_next[slot] = m.cell_head[cell]
        m.cell_head[cell] = slot + 1
        m.cell_n[cell] += 1
        for i in range(np.int64(m.seg_n[slot])):
            link(m, m.syn_cell[slot, i], slot)
    for i in range(m.counts[ACTIVE]):
        m.is_active[m.active[i]] = 1
    for i in range(m.counts[WINNERS]):
        m.is_winner[m.winners[i]] = 1
    activate_dendrites(m, False)


@njit
def has_duplicates(
    seg_n: NDArray[np.uint16],
    syn_cell: NDArray[np.unsignedinteger],
    stamp: NDArray[np.int32],
) -> bool:
    """Return whether some segment has two synapses on one cell; `stamp` is zeros, int32[C]."""
    at = 0
    for slot in range(seg_n.shape[0]):
        for _ in range(np.int64(seg_n[slot])):
            if stamp[syn_cell[at]] == slot + 1:
                return True
            stamp[syn_cell[at]] = slot + 1
            at += 1
    return False
