"""Spatial pooler without permanences: a synapse is connected or not, and changes by chance."""

from __future__ import annotations

from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Stateful
from learners.kernels import spatial_pooler as kernels
from learners.kernels.bits import set_first
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    require_state,
)
from learners.spatial_pooler import pooler_layout, word_count


class BinaryPooler(Stateful):
    """Maps a binary vector to exactly k of N columns, so that like vectors share columns.

    The columns with the largest number of connected inputs that are on win, the higher index on
    a tie. Where `SpatialPooler` moves a permanence until it crosses the threshold, a synapse
    here crosses at once with the probability that a move of a permanence would, which needs one
    bit a synapse instead of two bytes, and work for changes alone. An input with no bit on has
    k winners all the same and teaches nothing.

    Without rates and boost it is a fixed random projection without state, of which all of the
    same size and seed share one table. It fails where inputs hardly repeat: what a column has
    come to stand for is then soon overwritten.

    Parameters
    ----------
    inputs, columns, active_columns
        Bits of an input; N; k.
    potential
        Share of the inputs a column may connect to; half of them are connected at first.
    connect, disconnect
        Probability that a winner connects to an input of its pool that is on, and that it lets
        go of one that is off.
    boost
        Strength by which columns that rarely win are favored; 0 is off.
    seed
        Of the pool and of chance.

    References
    ----------
    Cui, Ahmad and Hawkins 2017, The HTM spatial pooler, Frontiers in Computational Neuroscience;
    Fusi, Drew and Abbott 2005, Cascade models of synaptically stored memories, Neuron 45, for
    binary synapses that change by chance.
    """

    def __init__(
        self,
        inputs: int,
        columns: int = 2048,
        active_columns: int = 40,
        potential: float = 0.8,
        connect: float = 0.01,
        disconnect: float = 0.0007,
        boost: float = 0.0,
        seed: int = 0,
    ) -> None:
        require(inputs >= 1, "inputs", inputs, "at least 1")
        require(columns >= 1, "columns", columns, "at least 1")
        require(1 <= active_columns <= columns, "active_columns", active_columns, f"1..{columns}")
        require(0 < potential <= 1, "potential", potential, "in (0, 1]")
        for name, value in (("connect", connect), ("disconnect", disconnect)):
            require(0 <= value <= 1, name, value, "in [0, 1]")
        require(0 <= boost <= 1000, "boost", boost, "in [0, 1000]")
        require(0 <= seed < 2**63, "seed", seed, "in [0, 2**63)")
        self._learns = connect > 0 or disconnect > 0
        self._table = _table(seed, inputs, columns, max(1, round(potential * inputs)))
        arrays = allocate(pooler_layout(inputs, columns, active_columns, boost > 0))
        arrays["pool"], arrays["connected"] = self._table[0], self._table[1]
        if self._learns:
            arrays["connected"] = self._table[1].copy()
        self.arrays = kernels.Pooler(**arrays)
        set_first(self.arrays.columns, columns)
        self.arrays.rates[:] = [connect, disconnect, boost]
        self.arrays.boost[:] = 1.0
        self.arrays.rng[0] = seed

    @staticmethod
    def memory_bytes(inputs: int, columns: int = 2048, active_columns: int = 40) -> int:
        """Return the bytes of all arrays, with the tables that it may share."""
        return layout_bytes(pooler_layout(inputs, columns, active_columns, True))

    def compute(self, bits: NDArray[np.uint8], learn: bool = True) -> NDArray[np.int32]:
        """Return the sorted active columns, int32[k], of `bits`, uint8[I] of zeros and ones."""
        kernels.pooler_infer(bits, self.arrays)
        if learn:
            kernels.pooler_learn(bits, self.arrays)
        return self.arrays.winners.copy()

    def get_state(self) -> Arrays:
        """Return what learning changed; the first connections follow from the seed."""
        flipped = self.arrays.connected ^ self._table[1]
        return {"flipped": flipped if self._learns else flipped[:0]} | {
            name: getattr(self.arrays, name).copy() for name in _STATE
        }

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` can take `arrays` safely."""
        a = self.arrays
        like: Layout = {name: (getattr(a, name).shape, getattr(a, name).dtype) for name in _STATE}
        inputs, words = a.connected.shape
        like["flipped"] = ((inputs if self._learns else 0, words), np.uint64)
        check_state_arrays(arrays, like)
        outside = arrays["flipped"] & ~a.pool[: len(arrays["flipped"])]
        require_state(not outside.any(), "flipped", "a synapse outside the potential pool")
        check_range("duty", arrays["duty"], 0.0, 1.001)
        check_range("boost", arrays["boost"], 0.0, float(np.finfo(np.float32).max))
        check_range("events", arrays["events"], 0, 2**62)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        for name in _STATE:
            getattr(self.arrays, name)[:] = arrays[name]
        if self._learns:
            np.bitwise_xor(self._table[1], arrays["flipped"], out=self.arrays.connected)


_STATE = ("rng", "duty", "boost", "events")
_TABLES: WeakValueDictionary[tuple[int, ...], NDArray[np.uint64]] = WeakValueDictionary()


def _table(seed: int, inputs: int, columns: int, size: int) -> NDArray[np.uint64]:
    """Return pool and first connections, [2, I, V], one array for all that are drawn alike.

    What is returned is a view, so that no owner counts it as its own; the array lives as long
    as one of its views does.
    """
    key = (seed, inputs, columns, size)
    table = _TABLES.get(key)
    if table is None:
        table = np.zeros((2, inputs, word_count(columns)), np.uint64)
        order = np.zeros(inputs, np.int32)
        rng = np.array([seed], np.uint64)
        kernels.draw_tables(rng, table[0], table[1], order, columns, size)
        table = _TABLES.setdefault(key, table)
    return table.view()
