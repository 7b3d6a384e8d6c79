"""State of the forecasters: HoltWinters and SNARIMAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from river import base, compose

from learners.base import Arrays
from learners.parameters import (
    Layout,
    check_range,
    check_state_arrays,
    require_state,
    with_prefix,
    without_prefix,
)
from learners.river.codec import (
    ESTIMATOR_BYTES,
    Codec,
    Size,
    floats,
    is_int,
    is_number,
    require_each,
    require_param,
)

VALUE_BYTES = 64
LONGEST = 100_000
MOST_LAGS = 1_000
MOST_DIFFERENCES = 10
REGRESSOR = "regressor/"


class HoltWinters(Codec):
    """Arrays: first_values float64[k], level float64[l], trend float64[l], season float64[s].

    `first_values` are those the components start from; each component holds its latest values,
    oldest first, and none before the start.
    """

    fields = frozenset(
        {
            "alpha",
            "beta",
            "gamma",
            "seasonality",
            "multiplicative",
            "level",
            "trend",
            "season",
            "_first_values",
            "_initialized",
        }
    )

    def check(self, estimator: Any) -> None:
        """Raise `ValueError` unless the smoothing parameters lie in [0, 1]."""
        for name in ("alpha", "beta", "gamma"):
            value = getattr(estimator, name)
            good = (value is None and name != "alpha") or is_number(value, 0, 1)
            require_param(good, name, value, "a number in 0..1")
        season = estimator.seasonality
        require_param(is_int(season, 0, LONGEST), "seasonality", season, f"0..{LONGEST}")
        good = not season or estimator.trend is not None
        require_param(good, "beta", estimator.beta, "more than 0, as there is a season")

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return the bytes of a season and the values before it."""
        return int(ESTIMATOR_BYTES + 2 * (estimator.seasonality + 8) * VALUE_BYTES)

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return the values of each component."""
        return {
            "first_values": floats(estimator._first_values),
            "level": floats(estimator.level),
            "trend": floats(estimator.trend or ()),
            "season": floats(estimator.season or ()),
        }

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write the components; raises `StateError` unless all have started or none."""
        parts = ("first_values", "level", "trend", "season")
        check_state_arrays(arrays, dict.fromkeys(parts, ((-1,), np.float64)))
        first, level, trend, season = (arrays[name].tolist() for name in parts)
        start = max(2, estimator.seasonality)
        require_state(len(first) <= start, "first_values", f"got {len(first)} values")
        started = len(first) == start
        lengths = (1, 2) if started else (0,)
        require_state(len(level) in lengths, "level", f"got {len(level)} values")
        wanted = 0 if estimator.trend is None else len(level)
        require_state(len(trend) == wanted, "trend", f"got {len(trend)} values")
        wanted = len(level) and estimator.seasonality and estimator.seasonality + len(level) - 1
        require_state(len(season) == wanted, "season", f"got {len(season)} values")
        estimator._first_values = first
        estimator._initialized = started
        estimator.level.extend(level)
        for component, values in ((estimator.trend, trend), (estimator.season, season)):
            if component is not None:
                component.extend(values)


class Snarimax(Codec):
    """Arrays: value float64[h], difference float64[d], error float64[e], newest first.

    Those of the regressor that predicts from them stand beside them under `regressor/`.
    """

    fields = frozenset(
        {"p", "d", "q", "m", "sp", "sd", "sq", "regressor", "differencer"}
        | {"y_hist", "y_diff", "errors"}
    )

    def __init__(self, codec_of: Callable[[Any], Codec | None]) -> None:
        self._codec_of = codec_of

    def _inner(self, estimator: Any) -> Codec:
        codec = self._codec_of(estimator.regressor)
        assert codec is not None
        return codec

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Raise `ValueError` unless the orders are small whole numbers: River counts up to them."""
        for name in ("p", "d", "q", "m", "sp", "sd", "sq"):
            if name in params:
                most = MOST_DIFFERENCES if name in ("d", "sd") else MOST_LAGS
                least = int(name == "m")
                value = params[name]
                require_param(is_int(value, least, most), name, value, f"{least}..{most}")

    def check(self, estimator: Any) -> None:
        """Raise `ValueError` unless there are lags to learn from, and not too many."""
        lags = estimator.p + estimator.q + estimator.sp + estimator.sq
        require_param(1 <= lags <= MOST_LAGS, "p", estimator.p, f"1..{MOST_LAGS} lags in all")
        past = estimator.m * max(estimator.sp, estimator.sd, estimator.sq)
        require_param(past <= LONGEST, "m", estimator.m, f"a past of {LONGEST} values at most")
        good = isinstance(estimator.regressor, base.Regressor | compose.Pipeline)
        require_param(good, "regressor", estimator.regressor, "a regressor")
        inner = self._codec_of(estimator.regressor)
        if inner is not None:
            inner.check(estimator.regressor)

    def keeps(self, estimator: Any) -> bool:
        """Return whether the regressor keeps its state, too."""
        inner = self._codec_of(estimator.regressor)
        return inner is not None and inner.keeps(estimator.regressor)

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return the bytes of the past and of a regressor with as many features as lags."""
        lags = estimator.p + estimator.q + estimator.sp + estimator.sq
        past = estimator.p + estimator.q + estimator.m * (estimator.sp + estimator.sq)
        past += estimator.d + estimator.m * estimator.sd + estimator.m + 8
        inner = self._inner(estimator).memory_bytes(estimator.regressor, Size(lags, 0))
        return int(ESTIMATOR_BYTES + past * VALUE_BYTES + inner)

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return the past and the regressor's own arrays."""
        inner = self._inner(estimator).to_arrays(estimator.regressor)
        return {
            "value": floats(estimator.y_hist),
            "difference": floats(estimator.y_diff),
            "error": floats(estimator.errors),
        } | with_prefix(REGRESSOR, inner)

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write the past; raises `StateError` if there is more of it than the orders allow."""
        inner = without_prefix(REGRESSOR, arrays)
        own = {name: a for name, a in arrays.items() if not name.startswith(REGRESSOR)}
        layout: Layout = dict.fromkeys(("value", "difference", "error"), ((-1,), np.float64))
        check_state_arrays(own, layout)
        pasts = (estimator.y_hist, estimator.y_diff, estimator.errors)
        for past, name in zip(pasts, layout, strict=True):
            length = len(own[name])
            require_state(length <= past.maxlen, name, f"got {length} values")
        check_range("value", own["value"], -1e300, 1e300)
        require_each("difference", own["difference"], -1e300, 1e300)
        self._inner(estimator).from_arrays(estimator.regressor, inner)
        for past, name in zip(pasts, layout, strict=True):
            past.extend(own[name].tolist())
