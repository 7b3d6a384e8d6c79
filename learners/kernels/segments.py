"""Segments of a temporal memory: create, reinforce, grow, evict.

Shapes: N columns of M cells, C = N M cells, S segments of at most SM synapses, B blocks, A cells
that may be active at a time. S and B grow by and by, between steps, so that a step never takes
memory. Permanences are fixed point, units of 1/65535. Cells and slots are uint16 where that
suffices, else uint32. Source: Cui, Ahmad and Hawkins 2016, section 2.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.bits import ONE, Words, has_bit, lowest_bit, popcount, set_bit, whole
from learners.kernels.inverted_lists import drop_link, push_link
from learners.kernels.jit import inlined_njit, lean_njit
from learners.kernels.lanes import LANES, first_lanes, lanes_from, lanes_in, move_lanes
from learners.kernels.random import below

CANDIDATES = 16
AGES = 0xFFFFFFFF
LEAST_USEFUL, LEAST_RECENT = 0, 1

# Memory.counts; 11, 12 and 15 belong to inverted_lists
ACTIVE, WINNERS, NEXT_WINNERS, PREDICTING, MATCHING = 0, 1, 2, 3, 4
SLOTS, FREE, HAND, ITERATION, EVICTIONS, SYNAPSES = 5, 6, 7, 8, 9, 10
LOST, BRIDGED, AHEAD_CELLS, AHEAD_SEGMENTS = 16, 17, 18, 19
COUNTS = 20

# Memory.settings
CELLS, ACTIVATION, MATCH, INITIAL, CONNECTED, INCREMENT, DECREMENT = 0, 1, 2, 3, 4, 5, 6
PUNISHMENT, NEW_SYNAPSES, CELL_SEGMENTS, EVICTION, MAX_SEGMENTS = 7, 8, 9, 10, 11
BRIDGING = 12
SETTINGS = 13


class Memory(NamedTuple):
    """Arrays of a temporal memory."""

    seg_cell: NDArray[Any]  # [S]
    seg_n: NDArray[np.uint8]  # [S] synapses; 0 in a free slot
    seg_used: NDArray[np.uint32]  # [S] iteration when last active, mod 2**32
    syn_cell: NDArray[Any]  # [S, SM], and room for 16 more
    syn_perm: NDArray[np.uint16]  # [S, SM], and room for 16 more
    free: NDArray[Any]  # [S] stack of free slots below counts[SLOTS]
    potential: NDArray[np.uint8]  # [S] synapses on active cells at the last step
    hits: NDArray[np.uint16]  # [S, SM / 16] masks: synapses on those cells, if it matches
    matching: NDArray[np.uint32]  # [S] 2 slot + whether it is active, by slot
    grouped: NDArray[np.uint32]  # [S] scratch: those in active columns, by column
    block: NDArray[Any]  # [8 B] slots of segments that a cell drives
    block_next: NDArray[np.uint32]  # [B]
    link_head: NDArray[np.uint32]  # [C]
    cell_n: NDArray[np.uint8]  # [C] segments of a cell
    is_active: Words  # [C] bits, at the last step
    is_winner: Words  # [C] bits
    is_predicted: Words  # [C] bits, for the next step
    ahead: Words  # [H, C] bits: predicted when the context was lost, and for each step on
    marked: Words  # [C] bits, scratch, zero between uses
    active: NDArray[np.uint32]  # [A] sorted
    winners: NDArray[np.uint32]  # [A] sorted
    next_winners: NDArray[np.uint32]  # [A] scratch
    candidates: NDArray[np.uint32]  # [A] scratch
    place: NDArray[np.uint32]  # [N] scratch, zero between uses: 1 + place among active columns
    group_end: NDArray[np.uint32]  # [N] scratch
    scratch: NDArray[np.uint32]  # [SM] of one segment's synapses
    rng: NDArray[np.uint64]  # [1]
    counts: NDArray[np.int64]
    settings: NDArray[np.int64]


@lean_njit
def link(m: Memory, cell: int, slot: int) -> None:
    """Record that `cell` drives the segment in `slot`."""
    push_link(m.link_head, m.block, m.block_next, m.counts, cell, slot)


@lean_njit
def unlink(m: Memory, cell: int, slot: int) -> None:
    """Forget that `cell` drives the segment in `slot`."""
    drop_link(m.link_head, m.block, m.block_next, m.counts, cell, slot)


@lean_njit
def destroy_segment(m: Memory, slot: int) -> None:
    """Free a slot; zero potential marks it as gone in the lists of this step."""
    for i in range(whole(m.seg_n[slot])):
        unlink(m, m.syn_cell[slot, i], slot)
    m.counts[SYNAPSES] -= m.seg_n[slot]
    m.seg_n[slot] = 0
    m.potential[slot] = 0
    m.cell_n[m.seg_cell[slot]] -= 1
    m.free[m.counts[FREE]] = slot
    m.counts[FREE] += 1


@lean_njit
def worth(m: Memory, slot: int) -> int:
    """Return what eviction compares: minus the age, or the sum of squared permanences."""
    if m.settings[EVICTION] == LEAST_RECENT:
        return -((m.counts[ITERATION] - whole(m.seg_used[slot])) & AGES)  # type: ignore[no-any-return]
    total = whole(0)
    for i in range(whole(m.seg_n[slot])):
        total += whole(m.syn_perm[slot, i]) * whole(m.syn_perm[slot, i])
    return total


@lean_njit
def evict_from_cell(m: Memory, cell: int) -> None:
    """Destroy the cell's segment of least worth, the lowest slot on a tie.

    Looks at every slot for those of the cell, which is rare: only a cell that has as many
    segments as it may have asks for it.
    """
    best, best_worth = whole(-1), whole(0)
    for slot in range(m.counts[SLOTS]):
        if m.seg_cell[slot] == cell and m.seg_n[slot] > 0:
            value = worth(m, slot)
            if best < 0 or value < best_worth:
                best, best_worth = slot, value
    destroy_segment(m, best)
    m.counts[EVICTIONS] += 1


@lean_njit
def evict_from_all(m: Memory) -> None:
    """Destroy the segment of least worth among the next 16 under a clock hand.

    Called only when every slot is in use. The hand goes round, so each segment is looked at
    once in S / 16 evictions and no step scans them all.
    """
    slots = m.settings[MAX_SEGMENTS]
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


@lean_njit
def create_segment(m: Memory, cell: int) -> int:
    """Return the slot of a new segment on `cell`; the caller must grow a synapse on it."""
    while m.cell_n[cell] >= m.settings[CELL_SEGMENTS]:
        evict_from_cell(m, cell)
    if m.counts[FREE] == 0 and m.counts[SLOTS] == m.settings[MAX_SEGMENTS]:
        evict_from_all(m)
    if m.counts[FREE] > 0:
        m.counts[FREE] -= 1
        slot = whole(m.free[m.counts[FREE]])
    else:
        slot = m.counts[SLOTS]
        m.counts[SLOTS] += 1
    m.seg_cell[slot] = cell
    m.seg_used[slot] = m.counts[ITERATION] & AGES
    m.cell_n[cell] += 1
    return slot


@inlined_njit
def find_hits(m: Memory, slot: int) -> int:
    """Note which synapses lie on active cells; return how many of those are connected (eq. 2).

    Until the next event what is noted stays true of a segment that does not learn.
    """
    n, cells, perms, hits = whole(m.seg_n[slot]), m.syn_cell[slot], m.syn_perm[slot], m.hits[slot]
    connected = whole(0)
    for at in range(0, n, LANES):
        found = lanes_in(m.is_active, cells, at) & first_lanes(n - at)
        hits[at // LANES] = found
        connected += popcount(found & lanes_from(perms, at, m.settings[CONNECTED]))
    return connected


@lean_njit
def connected_count(m: Memory, slot: int, active: Words) -> int:
    """Return how many connected synapses of a segment lie on `active` cells (eq. 2)."""
    n, cells, perms = whole(m.seg_n[slot]), m.syn_cell[slot], m.syn_perm[slot]
    connected = whole(0)
    for at in range(0, n, LANES):
        found = lanes_in(active, cells, at) & first_lanes(n - at)
        connected += popcount(found & lanes_from(perms, at, m.settings[CONNECTED]))
    return connected


@inlined_njit
def reinforce(m: Memory, slot: int) -> None:
    """Raise permanences of synapses on the last active cells, lower the others (eq. 3)."""
    n, perms, hits = whole(m.seg_n[slot]), m.syn_perm[slot], m.hits[slot]
    zeros = np.uint64(0)
    for at in range(0, n, LANES):
        every, found = first_lanes(n - at), np.uint64(hits[at // LANES])
        rest = every & ~found
        zeros |= every & move_lanes(
            perms, at, found, m.settings[INCREMENT], rest, m.settings[DECREMENT]
        )
    if zeros != 0:
        drop_zeros(m, slot)


@inlined_njit
def punish(m: Memory, slot: int) -> None:
    """Lower permanences of synapses on the last active cells (eq. 4)."""
    n, perms, hits = whole(m.seg_n[slot]), m.syn_perm[slot], m.hits[slot]
    zeros, none = np.uint64(0), np.uint64(0)
    for at in range(0, n, LANES):
        found = np.uint64(hits[at // LANES])
        zeros |= found & move_lanes(perms, at, none, 0, found, m.settings[PUNISHMENT])
    if zeros != 0:
        drop_zeros(m, slot)


@lean_njit
def drop_zeros(m: Memory, slot: int) -> None:
    """Remove synapses of permanence zero, and the segment when none is left."""
    n, cells, perms = whole(m.seg_n[slot]), m.syn_cell[slot], m.syn_perm[slot]
    kept, dropped = whole(0), whole(0)
    for i in range(n):  # always written, so that nothing is guessed by the processor
        cell, perm = cells[i], perms[i]
        m.scratch[dropped] = cell
        dropped += perm == 0
        cells[kept] = cell
        perms[kept] = perm
        kept += perm != 0
    m.seg_n[slot] = kept
    m.counts[SYNAPSES] -= dropped
    for i in range(dropped):
        unlink(m, whole(m.scratch[i]), slot)
    if kept == 0:
        destroy_segment(m, slot)


@inlined_njit
def make_room(m: Memory, slot: int, overflow: int) -> None:
    """Drop up to `overflow` weakest synapses on cells that did not win, oldest on a tie."""
    n, cells, perms = whole(m.seg_n[slot]), m.syn_cell[slot], m.syn_perm[slot]
    losers = whole(0)
    for at in range(0, n, LANES):
        rest = ~lanes_in(m.is_winner, cells, at) & first_lanes(n - at)
        while rest != 0:
            i = at + lowest_bit(rest)
            m.scratch[losers] = (whole(perms[i]) << 8) | i
            losers += 1
            rest &= rest - ONE
    for first in range(min(overflow, losers)):
        weakest = first
        for i in range(first + 1, losers):
            weakest = i if m.scratch[i] < m.scratch[weakest] else weakest
        perms[m.scratch[weakest] & 255] = 0
        m.scratch[weakest] = m.scratch[first]
    drop_zeros(m, slot)


@inlined_njit
def find_candidates(m: Memory, slot: int) -> int:
    """List the cells that won at the last step and do not drive the segment; return how many."""
    n, cells = whole(m.seg_n[slot]), m.syn_cell[slot]
    for i in range(n):
        set_bit(m.marked, cells[i])
    found = whole(0)
    for i in range(m.counts[WINNERS]):
        m.candidates[found] = m.winners[i]
        found += 1 - has_bit(m.marked, m.winners[i])
    for i in range(n):
        m.marked[cells[i] >> 6] = 0
    return found


@lean_njit
def grow_synapses(m: Memory, slot: int, wanted: int) -> None:
    """Connect the segment to up to `wanted` random cells that won at the last step."""
    found, room = find_candidates(m, slot), m.syn_cell.shape[1]
    n = min(wanted, found)
    if m.seg_n[slot] + n > room:
        make_room(m, slot, m.seg_n[slot] + n - room)
    n = min(n, room - whole(m.seg_n[slot]))
    at = whole(m.seg_n[slot])
    for i in range(n):
        if n < found:
            j = i + below(m.rng, found - i)
            m.candidates[i], m.candidates[j] = m.candidates[j], m.candidates[i]
        m.syn_cell[slot, at + i] = m.candidates[i]
        m.syn_perm[slot, at + i] = m.settings[INITIAL]
        link(m, m.candidates[i], slot)
    m.seg_n[slot] = at + n
    m.counts[SYNAPSES] += n


@lean_njit
def least_used_cell(m: Memory, column: int) -> int:
    """Return the column's cell with the fewest segments, ties broken uniformly at random."""
    cells = m.settings[CELLS]
    first = column * cells
    fewest, tied = whole(m.cell_n[first]), whole(0)
    for cell in range(first, first + cells):
        fewest = min(fewest, whole(m.cell_n[cell]))
    for cell in range(first, first + cells):
        tied += m.cell_n[cell] == fewest
    pick = below(m.rng, tied) if tied > 1 else whole(0)
    for cell in range(first, first + cells):
        if m.cell_n[cell] == fewest:
            if pick == 0:
                return cell
            pick -= 1
    return first  # type: ignore[no-any-return]
