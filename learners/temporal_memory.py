"""Temporal memory as an object: owns the arrays that the kernels work on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Stateful
from learners.kernels import segments
from learners.kernels import temporal_memory as kernels
from learners.kernels.bits import set_bit
from learners.kernels.inverted_lists import BLOCK
from learners.kernels.lanes import PAGE
from learners.kernels.segments import Memory
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    fixed_point,
    layout_bytes,
    require,
    require_state,
)
from learners.temporal_memory_layout import (
    ahead_layout,
    index_type,
    memory_layout,
    most_blocks,
    words,
)

EVICTIONS = ("least_useful", "least_recently_used")
SCALARS = (
    segments.HAND,
    segments.ITERATION,
    segments.EVICTIONS,
    segments.LOST,
    segments.BRIDGED,
)
MOST_BRIDGED = 16


class TemporalMemory(Stateful):
    """Learns which sets of columns follow which, in context, without supervision.

    Each column has `cells_per_column` cells; the column stands for the input, the cell for what
    came before it. Cells predict by segments, sets of synapses on cells active at the last step.

    It fails on one corrupted element of a sequence, unless `bridging` is given: the context is
    lost until the sequence begins again. It predicts the next step only.

    Parameters
    ----------
    columns, cells_per_column
        N and M.
    activation_threshold
        Connected synapses on active cells for a segment to predict its cell.
    matching_threshold
        Synapses, connected or not, on active cells for a segment to learn.
    initial_permanence, connected_permanence
        Of a new synapse; of one that counts.
    permanence_increment, permanence_decrement
        Learning of a segment whose cell became active, on active and on silent inputs.
    predicted_decrement
        Forgetting of a segment whose column did not become active.
    new_synapses
        Active synapses a learning segment grows to have.
    max_synapses, max_segments_per_cell, max_segments
        Caps: of a segment (at most 255), of a cell (at most 255), of all. At the last one a
        segment of little worth goes.
    eviction
        `least_useful` (smallest sum of squared permanences) or `least_recently_used`.
    active_columns
        Most active columns that an event has; any number if it is not given.
    bridging
        How many unpredicted events in a row, replaced or inserted, a sequence may go on behind;
        0 takes none for an error of the input. What was predicted instead is followed meanwhile as
        if its cells had fired, and taken up when an event stands in it. Elements left out of the
        input are not bridged.
    seed
        Of ties and of the choice of inputs.

    References
    ----------
    Cui, Ahmad and Hawkins 2016, Continuous online sequence learning with an unsupervised neural
    network model, Neural Computation 28(11).
    """

    def __init__(
        self,
        columns: int = 2048,
        cells_per_column: int = 32,
        activation_threshold: int = 13,
        matching_threshold: int = 10,
        initial_permanence: float = 0.21,
        connected_permanence: float = 0.5,
        permanence_increment: float = 0.1,
        permanence_decrement: float = 0.1,
        predicted_decrement: float = 0.0,
        new_synapses: int = 20,
        max_synapses: int = 40,
        max_segments_per_cell: int = 128,
        max_segments: int = 65_536,
        eviction: str = "least_useful",
        active_columns: int | None = None,
        bridging: int = 0,
        seed: int = 0,
    ) -> None:
        require(columns >= 1, "columns", columns, "at least 1")
        require(1 <= cells_per_column <= 65_535, "cells_per_column", cells_per_column, "1..65535")
        require(columns * cells_per_column < 2**28, "cells", columns * cells_per_column, "< 2**28")
        require(1 <= max_synapses <= 255, "max_synapses", max_synapses, "1..255")
        most = columns if active_columns is None else active_columns
        require(1 <= most <= columns, "active_columns", most, f"1..columns ({columns})")
        require(
            1 <= activation_threshold <= new_synapses,
            "activation_threshold",
            activation_threshold,
            f"1..new_synapses ({new_synapses}), or nothing is ever predicted",
        )
        require(
            new_synapses <= max_synapses,
            "new_synapses",
            new_synapses,
            f"at most max_synapses ({max_synapses})",
        )
        require(
            1 <= matching_threshold <= activation_threshold,
            "matching_threshold",
            matching_threshold,
            f"1..activation_threshold ({activation_threshold})",
        )
        for name, value in (
            ("initial_permanence", initial_permanence),
            ("connected_permanence", connected_permanence),
        ):
            require(fixed_point(value) >= 1 and value <= 1, name, value, "in (0, 1]")
        for name, value in (
            ("permanence_increment", permanence_increment),
            ("permanence_decrement", permanence_decrement),
            ("predicted_decrement", predicted_decrement),
        ):
            require(0 <= value <= 1, name, value, "in [0, 1]")
        require(
            1 <= max_segments_per_cell <= 255,
            "max_segments_per_cell",
            max_segments_per_cell,
            "1..255",
        )
        require(
            max_segments >= 1 and max_segments * max_synapses < 2**31,
            "max_segments",
            max_segments,
            f"1 or more, times max_synapses ({max_synapses}) below 2**31",
        )
        require(eviction in EVICTIONS, "eviction", eviction, f"one of {EVICTIONS}")
        require(0 <= bridging <= MOST_BRIDGED, "bridging", bridging, f"0..{MOST_BRIDGED}")
        require(0 <= seed < 2**63, "seed", seed, "in [0, 2**63)")
        self.columns = columns
        self.cells_per_column = cells_per_column
        self.most_columns = most
        self._few = f"at most {most} active columns"
        self.bridging = bridging
        self.max_synapses = max_synapses
        self.max_segments = max_segments
        self.max_segments_per_cell = max_segments_per_cell
        self._settings = np.array(
            [
                cells_per_column,
                activation_threshold,
                matching_threshold,
                fixed_point(initial_permanence),
                fixed_point(connected_permanence),
                fixed_point(permanence_increment),
                fixed_point(permanence_decrement),
                fixed_point(predicted_decrement),
                new_synapses,
                max_segments_per_cell,
                EVICTIONS.index(eviction),
                max_segments,
                bridging,
            ],
            np.int64,
        )
        self.arrays = Memory(**self._allocate(0, 0))
        self.arrays.rng[0] = seed

    @staticmethod
    def memory_bytes(
        columns: int = 2048,
        cells_per_column: int = 32,
        max_synapses: int = 40,
        max_segments: int = 65_536,
        active_columns: int | None = None,
        bridging: int = 0,
        **_: Any,
    ) -> int:
        """Return the bytes of all arrays when every cap is reached and every list is at worst."""
        cells = columns * cells_per_column
        blocks = most_blocks(cells, max_segments, max_synapses)
        listed = (active_columns or columns) * cells_per_column
        layout = memory_layout(
            columns, cells, listed, max_segments, max_segments, max_synapses, blocks
        )
        layout |= ahead_layout(cells, bridging)
        return layout_bytes(layout)

    def make_room(self, n_columns: int) -> None:
        """Take more memory, if an event with so many active columns might need it."""
        while missing := kernels.lack(self.arrays, n_columns):
            slots, blocks = len(self.arrays.seg_cell), len(self.arrays.block_next)
            if missing == kernels.NO_SEGMENT:
                slots = min(_grown(slots, n_columns), self.max_segments)
            else:
                most = most_blocks(len(self.arrays.cell_n), self.max_segments, self.max_synapses)
                blocks = min(_grown(blocks, n_columns), most)
            grown = self._allocate(slots, blocks)
            for name, array in self.arrays._asdict().items():
                grown[name][: len(array)] = array
            self.arrays = Memory(**grown)

    def compute(self, columns: NDArray[np.int32], learn: bool = True) -> float:
        """Take in the active columns of one event and return the raw anomaly score.

        Parameters
        ----------
        columns
            int32, sorted, distinct, each in [0, N).
        learn
            Whether synapses change.
        """
        require(len(columns) <= self.most_columns, "columns", len(columns), self._few)
        self.make_room(len(columns))
        score = self.anomaly(columns)
        kernels.memory_step(self.arrays, columns, learn)
        return score

    def anomaly(self, columns: NDArray[np.int32]) -> float:
        """Return the share of `columns` that was not predicted; 0 if there are none."""
        if len(columns) == 0:
            return 0.0
        hits, _ = kernels.predicted_cells(self.arrays, columns, _NO_CELLS, 0)
        return 1.0 - hits / len(columns)

    def reset(self) -> None:
        """Begin a new sequence: nothing is active, nothing is predicted."""
        kernels.reset_memory(self.arrays)

    def kill_cells(self, cells: NDArray[np.int32]) -> None:
        """Destroy the segments of `cells` and every synapse from them, as a lesion would.

        While learning is off the dead cells then predict nothing and drive nothing, though a
        burst still lists them among the active cells. Learning would wire them up again.

        Parameters
        ----------
        cells
            int, distinct, each in [0, N M).
        """
        dead = np.zeros(self.columns * self.cells_per_column, bool)
        dead[cells] = True
        state = self.get_state()
        slots = len(state["seg_n"])
        owner = np.repeat(np.arange(slots), state["seg_n"])
        lives = ~(dead[state["syn_cell"]] | dead[state["seg_cell"]][owner])
        left = np.bincount(owner[lives], minlength=slots).astype(state["seg_n"].dtype)
        emptied = np.flatnonzero((left == 0) & (state["seg_n"] > 0))
        state["seg_n"] = left
        state["free"] = np.concatenate((state["free"], emptied.astype(state["free"].dtype)))
        for name in ("syn_cell", "syn_perm"):
            state[name] = state[name][lives]
        for name in ("active", "winners"):
            state[name] = state[name][~dead[state[name]]]
        self.set_state(state)

    @property
    def active_cells(self) -> NDArray[np.int32]:
        """The sorted active cells; cell = column M + i."""
        return self.arrays.active[: self.arrays.counts[segments.ACTIVE]].astype(np.int32)

    @property
    def winner_cells(self) -> NDArray[np.int32]:
        """The sorted cells that segments may grow to at the next step."""
        return self.arrays.winners[: self.arrays.counts[segments.WINNERS]].astype(np.int32)

    @property
    def predictive_cells(self) -> NDArray[np.int64]:
        """The sorted cells predicted for the next event."""
        return _members(self.arrays.is_predicted)

    @property
    def predicted_columns(self) -> NDArray[np.int64]:
        """The sorted columns predicted for the next event."""
        return np.unique(self.predictive_cells // self.cells_per_column)

    @property
    def segments(self) -> int:
        """How many segments there are."""
        counts = self.arrays.counts
        return int(counts[segments.SLOTS] - counts[segments.FREE])

    @property
    def synapses(self) -> int:
        """How many synapses there are."""
        return int(self.arrays.counts[segments.SYNAPSES])

    @property
    def evictions(self) -> int:
        """How many segments were destroyed to make room."""
        return int(self.arrays.counts[segments.EVICTIONS])

    @property
    def bridged(self) -> int:
        """How often a lost context was taken up again."""
        return int(self.arrays.counts[segments.BRIDGED])

    def _lost_cells(self) -> NDArray[np.int32]:
        """Return what was predicted when the context was lost; nothing while there is one."""
        lost = self.arrays.counts[segments.LOST] > 0
        return _members(self.arrays.ahead[0]).astype(np.int32) if lost else _NO_CELLS.copy()

    def get_state(self) -> Arrays:
        """Return segments, synapses in their order, cells and counters, without spare room."""
        m, counts = self.arrays, self.arrays.counts
        slots = int(counts[segments.SLOTS])
        used = np.arange(self.max_synapses) < m.seg_n[:slots, None]
        return {
            "seg_cell": np.where(m.seg_n[:slots] > 0, m.seg_cell[:slots], 0),
            "seg_n": m.seg_n[:slots].copy(),
            "seg_used": np.where(m.seg_n[:slots] > 0, m.seg_used[:slots], 0),
            "syn_cell": m.syn_cell[:slots][used],
            "syn_perm": m.syn_perm[:slots][used],
            "free": m.free[: counts[segments.FREE]].copy(),
            "active": self.active_cells,
            "winners": self.winner_cells,
            "ahead": self._lost_cells(),
            "rng": m.rng.copy(),
            "scalars": counts[list(SCALARS)],
        }

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` can take `arrays` safely."""
        cell = index_type(self.columns * self.cells_per_column)
        like: Layout = {
            "seg_cell": ((-1,), cell),
            "seg_n": ((-1,), np.uint8),
            "seg_used": ((-1,), np.uint32),
            "syn_cell": ((-1,), cell),
            "syn_perm": ((-1,), np.uint16),
            "free": ((-1,), index_type(self.max_segments)),
            "active": ((-1,), np.int32),
            "winners": ((-1,), np.int32),
            "ahead": ((-1,), np.int32),
            "rng": ((1,), np.uint64),
            "scalars": ((len(SCALARS),), np.int64),
        }
        check_state_arrays(arrays, like)
        cells = self.columns * self.cells_per_column
        seg_n, free = arrays["seg_n"], arrays["free"]
        slots, synapses = len(seg_n), len(arrays["syn_cell"])
        require_state(slots <= self.max_segments, "seg_n", f"got {slots} segments")
        for name in ("seg_cell", "seg_used"):
            require_state(len(arrays[name]) == slots, name, f"expected {slots} entries")
        check_range("seg_n", seg_n, 0, self.max_synapses)
        require_state(
            int(seg_n.sum(dtype=np.int64)) == synapses == len(arrays["syn_perm"]),
            "syn_cell",
            "expected as many synapses as seg_n counts",
        )
        require_state(
            np.array_equal(np.sort(free), np.flatnonzero(seg_n == 0)),
            "free",
            "expected the segments without synapses, each once",
        )
        for name in ("seg_cell", "syn_cell", "active", "winners", "ahead"):
            check_range(name, arrays[name], 0, cells - 1)
        owned = np.bincount(arrays["seg_cell"][seg_n > 0], minlength=1)
        check_range("seg_cell", owned, 0, self.max_segments_per_cell)
        check_range("syn_perm", arrays["syn_perm"], 1, 65_535)
        for name in ("active", "winners", "ahead"):
            require_state(bool(np.all(np.diff(arrays[name]) > 0)), name, "expected sorted cells")
        for name in ("active", "winners"):
            require_state(
                len(arrays[name]) <= self.most_columns * self.cells_per_column,
                name,
                "got more cells than active columns have",
            )
        hand, iteration, evictions, lost, bridged = arrays["scalars"]
        require_state(0 <= hand < self.max_segments, "scalars", f"got hand {hand}")
        least = min(iteration, evictions, lost, bridged)
        require_state(least >= 0, "scalars", "expected no negative count")
        require_state(lost <= self.bridging, "scalars", f"got {lost} events without a context")
        agrees = (lost > 0) == (len(arrays["ahead"]) > 0)
        require_state(agrees, "ahead", "expected cells if the context is lost, else none")
        require_state(
            not kernels.has_duplicates(
                seg_n, arrays["syn_cell"], np.zeros(words(cells), np.uint64)
            ),
            "syn_cell",
            "a segment has two synapses on one cell",
        )

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        slots = len(arrays["seg_n"])
        listed = np.unique(np.bincount(arrays["syn_cell"], minlength=1), return_counts=True)
        blocks = int(-(-listed[0] // BLOCK) @ listed[1])
        m = Memory(**self._allocate(slots, blocks))
        for name in ("seg_cell", "seg_n", "seg_used"):
            getattr(m, name)[:slots] = arrays[name]
        used = np.arange(self.max_synapses) < m.seg_n[:slots, None]
        for name in ("syn_cell", "syn_perm"):
            getattr(m, name)[:slots][used] = arrays[name]
        for name in ("free", "active", "winners"):
            getattr(m, name)[: len(arrays[name])] = arrays[name]
        for cell in arrays["ahead"].tolist():
            set_bit(m.ahead[0], cell)
        m.rng[:] = arrays["rng"]
        m.counts[list(SCALARS)] = arrays["scalars"]
        m.counts[segments.SLOTS] = slots
        m.counts[segments.FREE] = len(arrays["free"])
        m.counts[segments.ACTIVE] = len(arrays["active"])
        m.counts[segments.WINNERS] = len(arrays["winners"])
        m.counts[segments.SYNAPSES] = len(arrays["syn_cell"])
        kernels.rebuild_links(m)
        self.arrays = m

    def _allocate(self, slots: int, blocks: int) -> dict[str, NDArray[Any]]:
        cells = self.columns * self.cells_per_column
        listed = self.most_columns * self.cells_per_column
        layout = memory_layout(
            self.columns, cells, listed, slots, self.max_segments, self.max_synapses, blocks
        )
        arrays = allocate(layout | ahead_layout(cells, self.bridging))
        arrays["settings"][:] = self._settings
        return arrays


_NO_CELLS = np.zeros(0, np.int32)


def _members(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return what is in a set of bits, sorted."""
    return np.flatnonzero(np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little"))


def _grown(room: int, needed: int) -> int:
    """Return more room, by a quarter or at least by what is needed."""
    return room + max(room // 4, needed, PAGE)
