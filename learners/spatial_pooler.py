"""Spatial pooler as an object: owns the arrays that the kernels work on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Stateful
from learners.kernels import spatial_pooler as kernels
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
        self.arrays = kernels.Pooler(**allocate(_layout(inputs, columns, active_columns)))
        self.arrays.settings[:] = [fixed_point(p) for p in (increment, decrement, connected)]
        self.arrays.boost_strength[0] = boost
        self.arrays.boost[:] = 1.0
        self._draw(self.arrays.pool, self.arrays.permanence)
        kernels.pack_columns(self.arrays)

    @staticmethod
    def memory_bytes(inputs: int, columns: int = 2048, active_columns: int = 40) -> int:
        """Return the bytes of all arrays."""
        return layout_bytes(_layout(inputs, columns, active_columns))

    def compute(self, bits: NDArray[np.uint8], learn: bool = True) -> NDArray[np.int32]:
        """Return the sorted active columns, int32[k], of `bits`, uint8[I] of zeros and ones."""
        kernels.pooler_infer(bits, self.arrays)
        if learn:
            kernels.pooler_learn(bits, self.arrays)
        return self.arrays.winners.copy()

    def get_state(self) -> Arrays:
        """Return what learning changed; the first permanences follow from the seed."""
        pool, first = np.zeros_like(self.arrays.pool), np.zeros_like(self.arrays.permanence)
        self._draw(pool, first)
        return {
            "change": self.arrays.permanence - first,
            "duty": self.arrays.duty.copy(),
            "boost": self.arrays.boost.copy(),
            "events": self.arrays.events.copy(),
        }

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` can take `arrays` safely."""
        like: Layout = {
            "change": ((self.columns, self.inputs), np.uint16),
            "duty": ((self.columns,), np.float32),
            "boost": ((self.columns,), np.float32),
            "events": ((1,), np.int64),
        }
        check_state_arrays(arrays, like)
        outside = arrays["change"][self.arrays.pool == 0]
        require_state(not outside.any(), "change", "a permanence outside the potential pool")
        check_range("duty", arrays["duty"], 0.0, 1.001)
        check_range("boost", arrays["boost"], 0.0, float(np.finfo(np.float32).max))
        check_range("events", arrays["events"], 0, 2**62)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        pool = np.zeros_like(self.arrays.pool)
        self.arrays.permanence[:] = 0
        self._draw(pool, self.arrays.permanence)
        self.arrays.permanence[:] += arrays["change"]
        for name in ("duty", "boost", "events"):
            getattr(self.arrays, name)[:] = arrays[name]
        kernels.pack_columns(self.arrays)

    def _draw(self, pool: NDArray[np.uint8], permanence: NDArray[np.uint16]) -> None:
        rng = np.array([self._seed], np.uint64)
        order = np.zeros(self.inputs, np.int32)
        connected = int(self.arrays.settings[2])
        kernels.draw_pool(rng, pool, permanence, order, self._pool_size, connected)


def _layout(inputs: int, columns: int, k: int) -> dict[str, Any]:
    words = (inputs + 63) // 64
    return {
        "pool": ((columns, inputs), np.uint8),
        "permanence": ((columns, inputs), np.uint16),
        "connected": ((columns, words), np.uint64),
        "duty": ((columns,), np.float32),
        "boost": ((columns,), np.float32),
        "events": ((1,), np.int64),
        "settings": ((3,), np.int64),
        "boost_strength": ((1,), np.float64),
        "overlap": ((columns,), np.int32),
        "boosted": ((columns,), np.float32),
        "tally": ((inputs + 1,), np.int32),
        "words": ((words,), np.uint64),
        "change": ((inputs,), np.int32),
        "winners": ((k,), np.int32),
    }
