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
    """Forecasts a value, `horizons` events ahead, from active columns and predicted cells.

    A softmax over value buckets for each horizon. The point forecast is the median, the band the
    quantiles at `coverage`. It fails on values outside the buckets, which it sees as the end
    ones, and while few buckets have been seen, for it knows no others.

    Parameters
    ----------
    columns, cells, active_columns
        N, C and k.
    horizons
        Events ahead, each at least 1, increasing.
    buckets, rows
        K; how many cells may have weights of their own, first come, first served.
    rate, coverage
        Of the gradient step; of the band, in (0, 1).
    """

    def __init__(
        self,
        columns: int,
        cells: int,
        active_columns: int,
        horizons: Sequence[int] = (1,),
        buckets: int = 32,
        rows: int = 16_384,
        rate: float = 0.02,
        coverage: float = 0.9,
    ) -> None:
        increasing = all(a < b for a, b in itertools.pairwise(horizons))
        good = bool(horizons) and horizons[0] >= 1 and horizons[-1] <= 10_000 and increasing
        require(good, "horizons", tuple(horizons), "increasing integers in 1..10000")
        require(2 <= buckets <= 4096, "decoder_buckets", buckets, "2..4096")
        require(0 <= rows < 2**31, "decoder_rows", rows, "0 or more")
        require(0 < rate <= 1, "decoder_rate", rate, "in (0, 1]")
        require(0 < coverage < 1, "coverage", coverage, "in (0, 1)")
        self.columns = columns
        self.cells = cells
        self._layout = _layout(
            columns, cells, active_columns, len(horizons), horizons[-1], buckets, rows
        )
        self.arrays = kernels.Decoder(**allocate(self._layout))
        self.arrays.horizons[:] = horizons
        self.arrays.settings[:] = rate, coverage
        self.arrays.edges[1] = 1.0

    @staticmethod
    def memory_bytes(
        columns: int,
        cells: int,
        active_columns: int,
        horizons: Sequence[int] = (1,),
        buckets: int = 32,
        rows: int = 16_384,
    ) -> int:
        """Return the bytes of all arrays."""
        return layout_bytes(
            _layout(columns, cells, active_columns, len(horizons), max(horizons), buckets, rows)
        )

    def get_state(self) -> Arrays:
        """Return weights in use, patterns kept, bucket values and counters."""
        d = self.arrays
        rows = int(d.counts[kernels.ROWS])
        state = {name: getattr(d, name).copy() for name in _WHOLE}
        state["cell_weight"] = d.cell_weight[:rows].copy()
        state["row_cell"] = d.row_cell[:rows].copy()
        return state

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` can take `arrays` safely."""
        d = self.arrays
        like: Layout = {name: self._layout[name] for name in _WHOLE}
        like["cell_weight"] = ((-1, d.cell_weight.shape[1]), np.float32)
        like["row_cell"] = ((-1,), np.int32)
        check_state_arrays(arrays, like)
        rows = int(arrays["counts"][kernels.ROWS])
        require_state(0 <= rows <= len(d.row_cell), "counts", f"got {rows} rows")
        for name in ("cell_weight", "row_cell"):
            require_state(len(arrays[name]) == rows, name, f"expected {rows} rows")
        check_range("counts", arrays["counts"], 0, 2**62)
        check_range("learned", arrays["learned"], 0, 2**62)
        check_range("row_cell", arrays["row_cell"], 0, self.cells - 1)
        require_state(len(np.unique(arrays["row_cell"])) == rows, "row_cell", "a cell has two rows")
        check_range("pattern_columns", arrays["pattern_columns"], 0, self.columns - 1)
        check_range("pattern_cells", arrays["pattern_cells"], 0, self.cells - 1)
        check_range("pattern_n", arrays["pattern_n"], 0, d.pattern_cells.shape[1])
        check_range("bucket_seen", arrays["bucket_seen"], 0, 1)
        require_state(
            bool(arrays["bucket_seen"].any()) or not arrays["learned"].any(),
            "learned",
            "updates without any bucket seen",
        )
        for name in ("column_weight", "cell_weight"):
            check_range(name, arrays[name], -1e30, 1e30)
        for name in ("bucket_value", "edges"):
            check_range(name, arrays[name], -LARGEST, LARGEST)
        require_state(arrays["edges"][1] > 0, "edges", "expected a width above zero")

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        d = self.arrays
        for name in _WHOLE:
            getattr(d, name)[...] = arrays[name]
        rows = len(arrays["row_cell"])
        d.cell_weight[:] = 0.0
        d.cell_weight[:rows] = arrays["cell_weight"]
        d.row_cell[:rows] = arrays["row_cell"]
        d.cell_row[:] = 0
        d.cell_row[arrays["row_cell"]] = np.arange(1, rows + 1)


_WHOLE = (
    "column_weight",
    "pattern_columns",
    "pattern_cells",
    "pattern_n",
    "bucket_value",
    "bucket_seen",
    "learned",
    "edges",
    "counts",
)


def _layout(
    columns: int, cells: int, k: int, horizons: int, farthest: int, buckets: int, rows: int
) -> Layout:
    return {
        "column_weight": ((columns, horizons * buckets), np.float32),
        "cell_weight": ((rows, horizons * buckets), np.float32),
        "cell_row": ((cells,), np.int32),
        "row_cell": ((rows,), np.int32),
        "pattern_columns": ((farthest, k), np.int32),
        "pattern_cells": ((farthest, k), np.int32),
        "pattern_n": ((farthest,), np.int32),
        "bucket_value": ((buckets,), np.float64),
        "bucket_seen": ((buckets,), np.uint8),
        "learned": ((horizons,), np.int64),
        "edges": ((2,), np.float64),
        "counts": ((2,), np.int64),
        "horizons": ((horizons,), np.int64),
        "settings": ((2,), np.float64),
        "score": ((horizons * buckets,), np.float64),
    }
