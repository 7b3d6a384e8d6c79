"""How a figure came out over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def spread(values: Sequence[float]) -> Json:
    """Return the mean, the least and the most of some values, to six significant digits."""
    found = {"mean": statistics.fmean(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.6g}") for name, value in found.items()}
