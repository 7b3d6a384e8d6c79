"""Forecaster as an object: decoder, seasons, linear head and bands, one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from learners.base import Arrays, Stateful
from learners.decoder import Decoder
from learners.intervals import Intervals
from learners.kernels import forecaster as kernels
from learners.kernels import seasons
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require_state,
    with_prefix,
    without_prefix,
)

LARGEST = float(np.finfo(np.float64).max)


class Forecaster(Stateful):
    """Forecasts one value `horizons` events ahead from predicted cells, the value and its time.

    A decoder reads the cells, the value and its time; a linear head, learned by recursive least
    squares, reads the decoder, the last steps and what followed one and two seasons ago, a season
    being the lag after which values were found to repeat; last value, decoder and head are mixed
    by their errors of late, and bands hold the stated share. All of it learns online.

    It fails where the next value depends on what none of these see, and then says little more
    than the last value; a season longer than 2048 events is not found.

    Parameters
    ----------
    active_columns, horizons, buckets, rows, rate, coverage
        See `Decoder` and `Intervals`.
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
        self.decoder = Decoder(active_columns, horizons, buckets, rows, rate, coverage)
        self._intervals = Intervals(horizons, coverage)
        self._seasons_layout = _seasons_layout(horizons[-1])
        self._head_layout = _head_layout(len(horizons), horizons[-1])
        self._seasons = seasons.Seasons(**allocate(self._seasons_layout))
        self._head = kernels.Head(**allocate(self._head_layout))
        self._head.past[:] = math.nan
        self.arrays = kernels.Forecaster(
            self.decoder.arrays, self._seasons, self._head, self._intervals.arrays
        )
        for h in range(len(horizons)):
            kernels.reset_variance(self._head.variance, h)

    @staticmethod
    def memory_bytes(
        active_columns: int, horizons: Sequence[int] = (1,), buckets: int = 32, rows: int = 4096
    ) -> int:
        """Return the bytes of all arrays."""
        return (
            Decoder.memory_bytes(active_columns, horizons, buckets, rows)
            + Intervals.memory_bytes(horizons)
            + layout_bytes(_seasons_layout(max(horizons)))
            + layout_bytes(_head_layout(len(horizons), max(horizons)))
        )

    @property
    def season(self) -> int:
        """The lag in events after which values repeat, 0 while none was found."""
        return int(self._seasons.counts[seasons.LAG])

    def get_state(self) -> Arrays:
        """Return copies of all state arrays, without what the event under way left there."""
        state = (
            with_prefix("decoder_", self.decoder.get_state())
            | with_prefix("intervals_", self._intervals.get_state())
            | {f"seasons_{name}": getattr(self._seasons, name).copy() for name in _SEASONS}
            | {f"head_{name}": getattr(self._head, name).copy() for name in _HEAD}
        )
        ring, past = state["seasons_ring"], state["head_past"]
        events = int(self._seasons.counts[seasons.EVENTS])
        ring[events % len(ring)] = 0.0
        past[:, events % past.shape[1]] = math.nan
        return state

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` can take `arrays` safely."""
        known = ("decoder_", "intervals_", "seasons_", "head_")
        strange = sorted(name for name in arrays if not name.startswith(known))
        require_state(not strange, "arrays", f"got {strange}, expected none of them")
        self.decoder.check_state(without_prefix("decoder_", arrays))
        self._intervals.check_state(without_prefix("intervals_", arrays))
        self._check_seasons(without_prefix("seasons_", arrays))
        self._check_head(without_prefix("head_", arrays))

    def _check_seasons(self, arrays: Arrays) -> None:
        check_state_arrays(arrays, {name: self._seasons_layout[name] for name in _SEASONS})
        check_range("seasons_ring", arrays["ring"], -kernels.LARGEST, kernels.LARGEST)
        check_range("seasons_off", arrays["off"], 0.0, seasons.FAR)
        check_range("seasons_looks", arrays["looks"], 0.0, seasons.MEMORY)
        check_range("seasons_step", arrays["step"], 0.0, LARGEST)
        check_range("seasons_counts", arrays["counts"], 0, 2**62)
        lag = arrays["counts"][seasons.LAG]
        require_state(lag <= seasons.LAGS, "seasons_counts", f"got a lag of {lag}")

    def _check_head(self, arrays: Arrays) -> None:
        check_state_arrays(arrays, {name: self._head_layout[name] for name in _HEAD})
        for name in ("weight", "variance"):
            check_range(f"head_{name}", arrays[name], -1e30, 1e30)
        for name in ("late", "loss", "usual"):
            check_range(f"head_{name}", arrays[name], 0.0, LARGEST)
        check_range("head_learned", arrays["learned"], 0, 2**62)
        past = arrays["past"]
        check_range("head_past", past[~np.isnan(past)], -LARGEST, LARGEST)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        self.decoder.set_state(without_prefix("decoder_", arrays))
        self._intervals.set_state(without_prefix("intervals_", arrays))
        for name in _SEASONS:
            getattr(self._seasons, name)[...] = arrays[f"seasons_{name}"]
        for name in _HEAD:
            getattr(self._head, name)[...] = arrays[f"head_{name}"]


_SEASONS = ("ring", "off", "looks", "step", "counts")
_HEAD = ("weight", "variance", "late", "loss", "usual", "learned", "past")


def _seasons_layout(farthest: int) -> Layout:
    return {
        "ring": ((seasons.KEPT + 2 * farthest,), np.float64),
        "off": ((seasons.LAGS,), np.float32),
        "looks": ((seasons.LAGS,), np.float32),
        "step": ((1,), np.float64),
        "counts": ((2,), np.int64),
    }


def _head_layout(horizons: int, farthest: int) -> Layout:
    p = kernels.FEATURES
    return {
        "weight": ((horizons, p), np.float64),
        "variance": ((horizons, p, p), np.float64),
        "late": ((horizons,), np.float64),
        "loss": ((horizons, kernels.EXPERTS), np.float64),
        "usual": ((horizons,), np.float64),
        "learned": ((horizons,), np.int64),
        "past": ((horizons, 2 * farthest + 3, 4), np.float64),
        "x": ((p,), np.float64),
        "gain": ((p,), np.float64),
        "off": ((kernels.EXPERTS,), np.float64),
        "ends": ((2,), np.float64),
    }
