"""Decoder as an object: owns the arrays that the kernels work on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from learners.base import Arrays, Stateful
from learners.kernels import decoder as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    require_state,
)

LARGEST = float(np.finfo(np.float64).max)


class Decoder(Stateful):
    """Reads a value, `horizons` events ahead, from predicted cells, the value and its time.

    A softmax over value buckets for each horizon; median, mean and spread of it are read. It
    fails on values outside the buckets, which it sees as the end ones, and while few buckets have
    been seen, for it knows no others. Features that share a row by chance blur each other: the
    more cells have ever been predicted for each row, the more.

    Parameters
    ----------
    active_columns
        k, the most cells that can be read at once.
    horizons
        Events ahead, each at least 1, increasing.
    buckets, rows
        K; R, rows of weights that features are hashed to.
    rate
        Of the gradient step, shared by the features that are on.
    coverage
        Of the band that the spread is read from, in (0, 1).
    """

    def __init__(
        self,
        active_columns: int,
        horizons: Sequence[int] = (1,),
        buckets: int = 32,
        rows: int = 4096,
        rate: float = 1.5,
        coverage: float = 0.9,
    ) -> None:
        increasing = all(a < b for a, b in itertools.pairwise(horizons))
        good = bool(horizons) and horizons[0] >= 1 and horizons[-1] <= 10_000 and increasing
        require(good, "horizons", tuple(horizons), "increasing integers in 1..10000")
        require(2 <= buckets <= 4096, "decoder_buckets", buckets, "2..4096")
        require(1 <= rows < 2**31, "decoder_rows", rows, "1 or more")
        require(0 < rate <= 4, "decoder_rate", rate, "in (0, 4]")
        require(0 < coverage < 1, "coverage", coverage, "in (0, 1)")
        self._layout = _layout(active_columns, len(horizons), horizons[-1], buckets, rows)
        self.arrays = kernels.Decoder(**allocate(self._layout))
        self.arrays.horizons[:] = horizons
        self.arrays.settings[:] = rate, coverage
        self.arrays.edges[1] = 1.0

    @staticmethod
    def memory_bytes(
        active_columns: int, horizons: Sequence[int] = (1,), buckets: int = 32, rows: int = 4096
    ) -> int:
        """Return the bytes of all arrays."""
        return layout_bytes(_layout(active_columns, len(horizons), max(horizons), buckets, rows))

    def get_state(self) -> Arrays:
        """Return weights in use, patterns kept, bucket values and counters."""
        d = self.arrays
        state = {name: getattr(d, name).copy() for name in _WHOLE}
        used = np.flatnonzero(d.weight.any(axis=(0, 2))).astype(np.int32)
        state["counts"][kernels.ROWS] = 0
        return state | {"row": used, "weight": d.weight[:, used]}

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` can take `arrays` safely."""
        d = self.arrays
        like: Layout = {name: self._layout[name] for name in _WHOLE}
        like["weight"] = ((len(d.horizons), -1, d.weight.shape[2]), np.int16)
        like["row"] = ((-1,), np.int32)
        check_state_arrays(arrays, like)
        row, last = arrays["row"], d.weight.shape[1] - 1
        rows = arrays["weight"].shape[1]
        require_state(rows == len(row), "weight", f"got {rows} rows, expected {len(row)}")
        check_range("row", row, 0, last)
        require_state(bool(np.all(np.diff(row) > 0)), "row", "expected sorted rows")
        check_range("weight", arrays["weight"], -kernels.FULL, kernels.FULL)
        check_range("counts", arrays["counts"], 0, 2**62)
        check_range("learned", arrays["learned"], 0, 2**62)
        check_range("pattern", arrays["pattern"], 0, last)
        check_range("pattern_n", arrays["pattern_n"], 0, d.pattern.shape[1])
        check_range("bucket_seen", arrays["bucket_seen"], 0, 1)
        require_state(
            bool(arrays["bucket_seen"].any()) or not arrays["learned"].any(),
            "learned",
            "updates without any bucket seen",
        )
        for name in ("bucket_value", "edges"):
            check_range(name, arrays[name], -LARGEST, LARGEST)
        require_state(arrays["edges"][1] > 0, "edges", "expected a width above zero")

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        d = self.arrays
        for name in _WHOLE:
            getattr(d, name)[...] = arrays[name]
        d.weight[:] = 0
        d.weight[:, arrays["row"]] = arrays["weight"]


_WHOLE = (
    "pattern",
    "pattern_n",
    "bucket_value",
    "bucket_seen",
    "learned",
    "edges",
    "counts",
)


def _layout(k: int, horizons: int, farthest: int, buckets: int, rows: int) -> Layout:
    features = kernels.TILES + kernels.SLOPES + k
    return {
        "weight": ((horizons, rows, buckets), np.int16),
        "pattern": ((farthest + 1, features), np.int32),
        "pattern_n": ((farthest + 1,), np.int32),
        "bucket_value": ((buckets,), np.float64),
        "bucket_seen": ((buckets,), np.uint8),
        "learned": ((horizons,), np.int64),
        "edges": ((2,), np.float64),
        "counts": ((2,), np.int64),
        "horizons": ((horizons,), np.int64),
        "settings": ((2,), np.float64),
        "rows": ((features,), np.int32),
        "total": ((buckets,), np.int32),
        "mass": ((horizons, buckets), np.float64),
        "reading": ((horizons, 3), np.float64),
    }
