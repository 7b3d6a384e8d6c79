"""The taxi series, and how a forecast of it is judged.

Source: Cui, Ahmad and Hawkins 2016, Neural Computation 28(11), Figs 10 and 11, and its authors'
scripts. y is the value `AHEAD` records after the forecast was made.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AHEAD = 5
SCORED_FROM = 10_000
CHANGE = 13_152
DAY, WEEK = 48, 336
BUCKETS, TOP = 22, 40_000.0
FLOOR = 0.01

FORMATS = ("%Y-%m-%d %H:%M:%S", "%m/%d/%y %H:%M")


@dataclass(frozen=True, slots=True)
class Series:
    """A series of values and the seconds since 1970 at which they came, as if in UTC."""

    value: Floats
    t: Floats

    def head(self, n: int) -> Series:
        """Return its first `n` records."""
        return Series(self.value[:n], self.t[:n])


class Made(NamedTuple):
    """What was forecast at each record for `AHEAD` records later; NaN where there was nothing."""

    value: Floats  # [n]
    mass: Floats  # [n, 22]
    lower: Floats | None = None  # [n]
    upper: Floats | None = None  # [n]


def read(path: Path) -> Series:
    """Read timestamp and value from the first two columns of a CSV file, maybe gzipped."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    rows = [row for row in csv.reader(text.splitlines()) if row and row[0][:1].isdigit()]
    kind = FORMATS[0] if "-" in rows[0][0] else FORMATS[1]
    times = [datetime.strptime(row[0][:19], kind).replace(tzinfo=UTC) for row in rows]
    return Series(
        np.array([float(row[1]) for row in rows]), np.array([t.timestamp() for t in times])
    )


def bucket(value: Any) -> Any:
    """Return the number in 0..21 of a value's bucket, 40000/21 wide and centered on its value."""
    return np.clip(np.floor(np.asarray(value) / (TOP / 21) + 0.5), 0, BUCKETS - 1).astype(np.int64)


def bucket_edges() -> Floats:
    """Return the 21 inner edges between the buckets."""
    return np.asarray((np.arange(1, BUCKETS) - 0.5) * TOP / 21)


def mape(y: Floats, forecast: Floats) -> float:
    """Return the sum of absolute errors over the sum of absolute values."""
    return float(np.abs(y - forecast).sum() / np.abs(y).sum())


def nll(y: Floats, mass: Floats) -> Floats:
    """Return -ln of the mass float[n, 22] on each true bucket, no less than ln of the floor."""
    return np.asarray(-np.log(np.maximum(mass[np.arange(len(y)), bucket(y)], FLOOR)))


def pairs(value: Floats, forecast: Floats, span: slice) -> tuple[Floats, Floats]:
    """Return truth and forecast for the forecasts made in a span of records."""
    return value[AHEAD:][span], forecast[: len(value) - AHEAD][span]


def judged(
    value: Floats, span: slice, forecast: Floats, mass: Floats | None = None
) -> dict[str, float]:
    """Return MAPE, NRMSE and, with bucket masses, NLL of the forecasts made in a span."""
    y, made = pairs(value, forecast, span)
    found = {
        "mape": mape(y, made),
        "nrmse": float(np.sqrt(np.mean((y - made) ** 2)) / np.std(value)),
    }
    if mass is not None:
        found["nll"] = float(nll(y, pairs(value, mass, span)[1]).mean())
    return found


def banded(
    value: Floats, span: slice, lower: Floats, upper: Floats, coverage: float
) -> dict[str, float]:
    """Return how often bands held the truth, over all and in the worst 500, and their width.

    The Winkler score adds to the width 2 / (1 - coverage) times how far the truth lay outside.
    """
    y, low = pairs(value, lower, span)
    _, high = pairs(value, upper, span)
    inside = (y >= low) & (y <= high)
    window = min(500, len(y))
    sums = np.concatenate([[0.0], np.cumsum(inside)])
    outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    return {
        "coverage": float(inside.mean()),
        "worst_500": float((sums[window:] - sums[:-window]).min() / window),
        "width": float((high - low).mean()),
        "winkler": float((high - low + 2.0 / (1.0 - coverage) * outside).mean()),
    }


def absolute(value: Floats, forecast: Floats) -> Floats:
    """Return the error of the forecast made at each record, float[n - AHEAD]."""
    return np.asarray(np.abs(value[AHEAD:] - forecast[: len(value) - AHEAD]))


def shifted(value: Floats, lag: int) -> Floats:
    """Return, as a forecast of what comes `AHEAD` records later, the value `lag` before that."""
    back = min(lag - AHEAD, len(value))
    return np.concatenate([np.full(back, value[0]), value[: len(value) - back]])


def baselines(value: Floats, span: slice) -> Mapping[str, dict[str, float]]:
    """Return how well the last value and the same time a day and a week before do."""
    lags = {"last_value": AHEAD, "same_time_yesterday": DAY, "same_time_last_week": WEEK}
    return {name: judged(value, span, shifted(value, lag)) for name, lag in lags.items()}


def trailing(errors: Floats, window: int) -> Floats:
    """Return the mean of the last `window` entries at each place, of fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(errors)])
    ends = np.arange(1, len(errors) + 1)
    starts = np.maximum(ends - window, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))
