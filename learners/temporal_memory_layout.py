"""The arrays of a temporal memory: their shapes and types, for so many columns and segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from learners.kernels import segments
from learners.kernels.inverted_lists import BLOCK
from learners.kernels.lanes import LANES, PAGE
from learners.parameters import Layout


def index_type(n: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest type of the kernels that holds 0 ... n - 1."""
    return np.uint16 if n <= 65_536 else np.uint32


def words(n: int) -> int:
    """Return how many words hold n bits, with one to spare."""
    return n // 64 + 2


def most_blocks(cells: int, max_segments: int, max_synapses: int) -> int:
    """Return how many blocks suffice in the worst case: only a cell's first one has room."""
    return max_segments * max_synapses // BLOCK + cells


def ahead_layout(cells: int, bridging: int) -> Layout:
    """Return the array of what was predicted ahead, of no length without bridging."""
    return {"ahead": ((bridging + 1 if bridging else 0, words(cells)), np.uint64)}


def memory_layout(
    columns: int, cells: int, listed: int, slots: int, max_segments: int, room: int, blocks: int
) -> Layout:
    """Return all other arrays; `listed` cells are active at most, segments have `room` synapses."""
    cell, slot = index_type(cells), index_type(max_segments)
    pages, rows = -(-slots // PAGE), slots - (-LANES // room)
    return {
        "seg_cell": ((slots,), cell),
        "seg_n": ((slots,), np.uint8),
        "seg_used": ((slots,), np.uint32),
        "syn_cell": ((rows, room), cell),
        "syn_perm": ((rows, room), np.uint16),
        "free": ((slots,), slot),
        "potential": ((pages * PAGE,), np.uint8),
        "hits": ((slots, -(-room // LANES)), np.uint16),
        "matching": ((slots,), np.uint32),
        "grouped": ((slots,), np.uint32),
        "block": ((blocks * BLOCK,), slot),
        "block_next": ((blocks,), np.uint32),
        "link_head": ((cells,), np.uint32),
        "cell_n": ((cells,), np.uint8),
        "is_active": ((words(cells),), np.uint64),
        "is_winner": ((words(cells),), np.uint64),
        "is_predicted": ((words(cells),), np.uint64),
        "marked": ((words(cells),), np.uint64),
        "active": ((listed,), np.uint32),
        "winners": ((listed,), np.uint32),
        "next_winners": ((listed,), np.uint32),
        "candidates": ((listed,), np.uint32),
        "place": ((columns,), np.uint32),
        "group_end": ((columns,), np.uint32),
        "scratch": ((room,), np.uint32),
        "rng": ((1,), np.uint64),
        "counts": ((segments.COUNTS,), np.int64),
        "settings": ((segments.SETTINGS,), np.int64),
    }
