"""The spatial pooler as published, with a permanence for each potential synapse."""

from __future__ import annotations

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
    fixed_point,
    layout_bytes,
    require,
    require_state,
)


class SpatialPooler(Stateful):
    """Maps a binary vector to exactly k of N columns, so that like vectors share columns.

    The columns with the largest number of connected inputs that are on win, the higher index on
    a tie; winners move their permanences toward the input. An input with no bit on still has k
    winners, always the same for the same permanences, and teaches nothing.

    Permanences take 2 bytes a potential synapse, 1.9 MB at 2048 columns and 454 inputs; a stream
    has the `BinaryPooler` instead.

    Parameters
    ----------
    inputs, columns, active_columns
        Bits of an input; N; k.
    potential
        Share of the inputs a column may connect to, drawn from `seed`.
    increment, decrement, connected
        Permanences, in [0, 1].
    boost
        Strength by which columns that rarely win are favored; 0 is off.

    References
    ----------
    Cui, Ahmad and Hawkins 2017, The HTM spatial pooler, Frontiers in Computational Neuroscience.
    """

    def __init__(
        self,
        inputs: int,
        columns: int = 2048,
        active_columns: int = 40,
        potential: float = 0.8,
        increment: float = 0.003,
        decrement: float = 0.0005,
        connected: float = 0.2,
        boost: float = 0.0,
        seed: int = 0,
    ) -> None:
        require(inputs >= 1, "inputs", inputs, "at least 1")
        require(columns >= 1, "columns", columns, "at least 1")
        require(1 <= active_columns <= columns, "active_columns", active_columns, f"1..{columns}")
        require(0 < potential <= 1, "potential", potential, "in (0, 1]")
        for name, value in (("increment", increment), ("decrement", decrement)):
            require(0 <= value <= 1, name, value, "in [0, 1]")
        require(fixed_point(connected) >= 2 and connected <= 1, "connected", connected, "(0, 1]")
        require(0 <= boost <= 1000, "boost", boost, "in [0, 1000]")
        require(0 <= seed < 2**63, "seed", seed, "in [0, 2**63)")
        self.inputs = inputs
        self.columns = columns
        self.active_columns = active_columns
        self._pool_size = max(1, round(potential * inputs))
        self._seed = seed
        arrays = allocate(pooler_layout(inputs, columns, active_columns, boost > 0))
        self.arrays = kernels.Pooler(**arrays)
        set_first(self.arrays.columns, columns)
        self.arrays.rates[kernels.BOOST] = boost
        self.arrays.boost[:] = 1.0
        self.settings = np.array([fixed_point(p) for p in (increment, decrement, connected)])
        self.permanence = np.zeros((columns, inputs), np.uint16)
        self._draw(self.permanence)
        self._connect()

    @staticmethod
    def memory_bytes(inputs: int, columns: int = 2048, active_columns: int = 40) -> int:
        """Return the bytes of all arrays."""
        layout = pooler_layout(inputs, columns, active_columns, True)
        return layout_bytes(layout) + 2 * inputs * columns

    def compute(self, bits: NDArray[np.uint8], learn: bool = True) -> NDArray[np.int32]:
        """Return the sorted active columns, int32[k], of `bits`, uint8[I] of zeros and ones."""
        kernels.pooler_infer(bits, self.arrays)
        if learn:
            kernels.move_permanences(bits, self.arrays, self.permanence, self.settings)
        return self.arrays.winners.copy()

    def get_state(self) -> Arrays:
        """Return what learning changed; the first permanences follow from the seed."""
        first = np.zeros_like(self.permanence)
        self._draw(first)
        return {"change": self.permanence - first} | {
            name: getattr(self.arrays, name).copy() for name in _STATE
        }

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` can take `arrays` safely."""
        a = self.arrays
        like: Layout = {name: (getattr(a, name).shape, getattr(a, name).dtype) for name in _STATE}
        check_state_arrays(arrays, like | {"change": (self.permanence.shape, np.uint16)})
        first = np.zeros_like(self.permanence)
        self._draw(first)
        kept = ((first + arrays["change"]) > 0) == (first > 0)
        require_state(bool(kept.all()), "change", "a permanence in or out of the potential pool")
        check_range("duty", arrays["duty"], 0.0, 1.001)
        check_range("boost", arrays["boost"], 0.0, float(np.finfo(np.float32).max))
        check_range("events", arrays["events"], 0, 2**62)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        self._draw(self.permanence)
        self.permanence += arrays["change"]
        for name in _STATE:
            getattr(self.arrays, name)[:] = arrays[name]
        self._connect()

    def _draw(self, permanence: NDArray[np.uint16]) -> None:
        rng = np.array([self._seed], np.uint64)
        order = np.zeros(self.inputs, np.int32)
        permanence[:] = 0
        kernels.draw_permanences(rng, permanence, order, self._pool_size, int(self.settings[2]))

    def _connect(self) -> None:
        kernels.connect(self.permanence, int(self.settings[2]), self.arrays.connected)


_STATE = ("duty", "boost", "events")


def word_count(bits: int) -> int:
    """Return how many words of 64 bits hold so many."""
    return (bits + 63) // 64


def pooler_layout(inputs: int, columns: int, k: int, boosts: bool) -> Layout:
    """Return the layout of `kernels.Pooler`."""
    words, boosted = word_count(columns), columns if boosts else 0
    return {
        "pool": ((inputs, words), np.uint64),
        "connected": ((inputs, words), np.uint64),
        "rates": ((3,), np.float64),
        "duty": ((boosted,), np.float32),
        "boost": ((boosted,), np.float32),
        "events": ((1,), np.int64),
        "rng": ((1,), np.uint64),
        "columns": ((words,), np.uint64),
        "order": ((inputs,), np.int32),
        "planes": ((inputs.bit_length(), words), np.uint64),
        "carry": ((words,), np.uint64),
        "tied": ((words,), np.uint64),
        "boosted": ((boosted,), np.float32),
        "winners": ((k,), np.int32),
    }
