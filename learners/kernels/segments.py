"""Segments of a temporal memory: create, reinforce, grow, evict.

Shapes: N columns of M cells, C = N M cells, S segments of at most SM synapses, B blocks.
Permanences are fixed point, units of 1/65535. Heads and links hold an id + 1, so that zero is
none and a fresh array is an empty one. Source: Cui, Ahmad and Hawkins 2016, section 2.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.inverted_lists import drop_link, push_link
from learners.kernels.jit import njit
from learners.kernels.random import below

FULL = 65_535
CANDIDATES = 16
LEAST_USEFUL, LEAST_RECENT = 0, 1

# Memory.counts
ACTIVE, WINNERS, PREDICTING, MATCHING, TOUCHED = 0, 1, 2, 3, 4
SLOTS, FREE, HAND, ITERATION, EVICTIONS, SYNAPSES = 5, 6, 7, 8, 9, 10
NEXT_ACTIVE, NEXT_WINNERS = 13, 14
COUNTS = 15  # 11 and 12 belong to inverted_lists

# Memory.settings
CELLS, ACTIVATION, MATCH, INITIAL, CONNECTED, INCREMENT, DECREMENT = 0, 1, 2, 3, 4, 5, 6
PUNISHMENT, NEW_SYNAPSES, CELL_SEGMENTS, EVICTION = 7, 8, 9, 10
SETTINGS = 11


class Memory(NamedTuple):
    """Arrays of a temporal memory."""

    seg_cell: NDArray[np.int32]  # [S]
    seg_n: NDArray[np.uint16]  # [S] synapses; 0 in a free slot
    seg_used: NDArray[np.int64]  # [S] iteration when last active
    syn_cell: NDArray[np.unsignedinteger]  # [S, SM]
    syn_perm: NDArray[np.uint16]  # [S, SM]
    potential: NDArray[np.uint16]  # [S] synapses on active cells at the last step
    cell_head: NDArray[np.int32]  # [C] first segment of a cell
    seg_next: NDArray[np.int32]  # [S] next segment of the same cell
    cell_n: NDArray[np.uint16]  # [C] segments of a cell
    free: NDArray[np.int32]  # [S] stack of free slots below counts[SLOTS]
    link_head: NDArray[np.int32]  # [C] first block of segments that a cell drives
    link_fill: NDArray[np.uint8]  # [C] entries in that block; the others are full
    block: NDArray[np.int32]  # [B, 8] segments
    block_next: NDArray[np.int32]  # [B]
    free_blocks: NDArray[np.int32]  # [B]
    is_active: NDArray[np.uint8]  # [C] at the last step
    is_winner: NDArray[np.uint8]  # [C]
    active: NDArray[np.int32]  # [C] sorted
    winners: NDArray[np.int32]  # [C] sorted
    predicting: NDArray[np.int64]  # [S] keys of active segments, sorted
    matching: NDArray[np.int64]  # [S] keys, sorted
    touched: NDArray[np.int32]  # [S]
    next_active: NDArray[np.int32]  # [C] scratch
    next_winners: NDArray[np.int32]  # [C] scratch
    marked: NDArray[np.uint8]  # [C] scratch, zero between uses
    candidates: NDArray[np.int32]  # [C] scratch
    rng: NDArray[np.uint64]  # [1]
    counts: NDArray[np.int64]
    settings: NDArray[np.int64]


@njit
def link(memory: Memory, cell: int, slot: int) -> None:
    """Record that `cell` drives the segment in `slot`."""
    m = memory
    push_link(m.link_head, m.link_fill, m.block, m.block_next, m.free_blocks, m.counts, cell, slot)


@njit
def unlink(memory: Memory, cell: int, slot: int) -> None:
    """Forget that `cell` drives the segment in `slot`."""
    m = memory
    drop_link(m.link_head, m.link_fill, m.block, m.block_next, m.free_blocks, m.counts, cell, slot)


@njit
def destroy_segment(m: Memory, slot: int) -> None:
    """Free a slot; zero potential marks it as gone in the lists of this step."""
    for i in range(np.int64(m.seg_n[slot])):
        unlink(m, m.syn_cell[slot, i], slot)
    m.counts[SYNAPSES] -= m.seg_n[slot]
    m.seg_n[slot] = 0
    m.potential[slot] = 0
    cell = m.seg_cell[slot]
    m.cell_n[cell] -= 1
    if m.cell_head[cell] == slot + 1:
        m.cell_head[cell] = m.seg_next[slot]
    else:
        before = m.cell_head[cell] - 1
        while m.seg_next[before] != slot + 1:
            before = m.seg_next[before] - 1
        m.seg_next[before] = m.seg_next[slot]
    m.free[m.counts[FREE]] = slot
    m.counts[FREE] += 1


@njit
def worth(m: Memory, slot: int) -> int:
    """Return what eviction compares: last use, or the sum of squared permanences."""
    if m.settings[EVICTION] == LEAST_RECENT:
        return m.seg_used[slot]  # type: ignore[no-any-return]
    total = np.int64(0)
    for i in range(np.int64(m.seg_n[slot])):
        total += np.int64(m.syn_perm[slot, i]) * np.int64(m.syn_perm[slot, i])
    return total  # type: ignore[return-value]


@njit
def evict_from_cell(m: Memory, cell: int) -> None:
    """Destroy the cell's segment of least worth, the lowest slot on a tie."""
    slot = m.cell_head[cell] - 1
    best, best_worth = slot, worth(m, slot)
    while m.seg_next[slot] != 0:
        slot = m.seg_next[slot] - 1
        value = worth(m, slot)
        if value < best_worth or (value == best_worth and slot < best):
            best, best_worth = slot, value
    destroy_segment(m, best)
    m.counts[EVICTIONS] += 1


@njit
def evict_from_all(m: Memory) -> None:
    """Destroy the segment of least worth among the next 16 under a clock hand.

    Called only when every slot is in use. The hand goes round, so each segment is looked at
    once in S / 16 evictions and no step scans them all.
    """
    slots = m.seg_cell.shape[0]
    hand = m.counts[HAND]
    best, best_worth = hand, worth(m, hand)
    for i in range(1, min(CANDIDATES, slots)):
        slot = (hand + i) % slots
        value = worth(m, slot)
        if value < best_worth:
            best, best_worth = slot, value
    m.counts[HAND] = (hand + CANDIDATES) % slots
    destroy_segment(m, best)
    m.counts[EVICTIONS] += 1


@njit
def create_segment(m: Memory, cell: int) -> int:
    """Return the slot of a new segment on `cell`; the caller must grow a synapse on it."""
    while m.cell_n[cell] >= m.settings[CELL_SEGMENTS]:
        evict_from_cell(m, cell)
    if m.counts[FREE] == 0 and m.counts[SLOTS] == m.seg_cell.shape[0]:
        evict_from_all(m)
    if m.counts[FREE] > 0:
        m.counts[FREE] -= 1
        slot = m.free[m.counts[FREE]]
    else:
        slot = np.int32(m.counts[SLOTS])
        m.counts[SLOTS] += 1
    m.seg_cell[slot] = cell
    m.seg_used[slot] = m.counts[ITERATION]
    m.seg_next[slot] = m.cell_head[cell]
    m.cell_head[cell] = slot + 1
    m.cell_n[cell] += 1
    return np.int64(slot)  # type: ignore[return-value]


@njit
def adapt_segment(m: Memory, slot: int, increment: int, decrement: int) -> None:
    """Move permanences by the last active cells (eq. 3 and 4); drop what reaches zero."""
    n = np.int64(m.seg_n[slot])
    cells, perms = m.syn_cell[slot], m.syn_perm[slot]
    swing = increment + decrement
    lost = False
    for i in range(n):
        moved = np.int64(perms[i]) - decrement + swing * np.int64(m.is_active[cells[i]])
        moved = min(max(moved, np.int64(0)), np.int64(FULL))
        lost |= moved == 0
        perms[i] = moved
    if not lost:
        return
    kept = 0
    for i in range(n):
        if perms[i] == 0:
            unlink(m, cells[i], slot)
            continue
        cells[kept] = cells[i]
        perms[kept] = perms[i]
        kept += 1
    if kept == 0:
        # destroy_segment walks the synapses that are left: none.
        m.seg_n[slot] = 0
        m.counts[SYNAPSES] -= n
        destroy_segment(m, slot)
        return
    m.seg_n[slot] = kept
    m.counts[SYNAPSES] -= n - kept


@njit
def make_room(m: Memory, slot: int, overflow: int) -> None:
    """Drop up to `overflow` weakest synapses on cells that did not win, oldest on a tie."""
    for _ in range(overflow):
        weakest, weakest_perm = -1, np.int64(FULL + 1)
        for i in range(np.int64(m.seg_n[slot])):
            if not m.is_winner[m.syn_cell[slot, i]] and m.syn_perm[slot, i] < weakest_perm:
                weakest, weakest_perm = i, np.int64(m.syn_perm[slot, i])
        if weakest < 0:
            return
        unlink(m, m.syn_cell[slot, weakest], slot)
        for i in range(weakest, np.int64(m.seg_n[slot]) - 1):
            m.syn_cell[slot, i] = m.syn_cell[slot, i + 1]
            m.syn_perm[slot, i] = m.syn_perm[slot, i + 1]
        m.seg_n[slot] -= 1
        m.counts[SYNAPSES] -= 1


@njit
def grow_synapses(m: Memory, slot: int, wanted: int) -> None:
    """Connect the segment to up to `wanted` random cells that won at the last step."""
    for i in range(np.int64(m.seg_n[slot])):
        m.marked[m.syn_cell[slot, i]] = 1
    found = 0
    for i in range(m.counts[WINNERS]):
        if not m.marked[m.winners[i]]:
            m.candidates[found] = m.winners[i]
            found += 1
    for i in range(np.int64(m.seg_n[slot])):
        m.marked[m.syn_cell[slot, i]] = 0

    room = m.syn_cell.shape[1]
    n = min(wanted, found)
    if m.seg_n[slot] + n > room:
        make_room(m, slot, m.seg_n[slot] + n - room)
    n = min(n, room - m.seg_n[slot])
    for i in range(n):
        if n < found:
            j = i + below(m.rng, found - i)
            m.candidates[i], m.candidates[j] = m.candidates[j], m.candidates[i]
        at = np.int64(m.seg_n[slot])
        m.syn_cell[slot, at] = m.candidates[i]
        m.syn_perm[slot, at] = m.settings[INITIAL]
        m.seg_n[slot] = at + 1
        link(m, m.candidates[i], slot)
    m.counts[SYNAPSES] += n


@njit
def least_used_cell(m: Memory, column: int) -> int:
    """Return the column's cell with the fewest segments, ties broken uniformly at random."""
    cells = m.settings[CELLS]
    first = column * cells
    fewest, tied = np.int64(m.cell_n[first]), 0
    for cell in range(first, first + cells):
        if m.cell_n[cell] < fewest:
            fewest, tied = np.int64(m.cell_n[cell]), 1
        elif m.cell_n[cell] == fewest:
            tied += 1
    pick = below(m.rng, tied) if tied > 1 else 0
    for cell in range(first, first + cells):
        if m.cell_n[cell] == fewest:
            if pick == 0:
                return cell
            pick -= 1
    return first  # type: ignore[no-any-return]
