"""The taxi series as the service would see it: one pass, nothing known in advance.

The learner is `sequence_memory` with its default parameters but the horizon and the feature. It
finds the scale of the values as they come; no record is seen twice and none early.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.taxi_series import AHEAD, BUCKETS, Floats, Made, Series, bucket_edges
from learners.decoder import Decoder
from learners.sequence_memory import SequenceMemory

PARAMETERS: dict[str, Any] = {"horizons": (AHEAD,), "feature": "passenger_count"}


def forecasts(series: Series, seed: int) -> Made:
    """Return the forecasts of the whole series in one pass, NaN where there was none yet."""
    learner = SequenceMemory(seed=seed, **PARAMETERS)
    n = len(series.value)
    middle, lower, upper = np.full((3, n), np.nan)
    masses = np.full((n, BUCKETS), 1 / BUCKETS)
    for i, (value, t) in enumerate(zip(series.value.tolist(), series.t.tolist(), strict=True)):
        x = {"passenger_count": value}
        for forecast in learner.predict(x, t).forecast:
            middle[i], lower[i], upper[i] = forecast.value, forecast.lower, forecast.upper
            masses[i] = mass(learner._forecaster.decoder)
        learner.learn_one(x, None, t)
    return Made(middle, masses, lower, upper)


def mass(decoder: Decoder) -> Floats:
    """Return the probabilities of the 22 buckets by the decoder's own, even inside each."""
    d = decoder.arrays
    own = d.edges[0] + d.edges[1] * np.arange(len(d.bucket_value) + 1)
    below = np.interp(bucket_edges(), own, np.concatenate([[0.0], np.cumsum(d.mass[0])]))
    return np.diff(below, prepend=0.0, append=1.0)
