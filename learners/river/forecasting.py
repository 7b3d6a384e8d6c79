"""The role of the forecasters."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
from river import time_series

from learners.base import Arrays, Forecast, Prediction
from learners.parameters import check_range, check_state_arrays
from learners.river.codec import Label, floats
from learners.river.role import LARGEST, Role, Values, finite

TAIL_5_PERCENT = 1.645
ENOUGH_ERRORS = 10


class Forecaster(Role):
    """Forecasters: the next values of one feature; the score is how far the last one was off.

    Bands are 1.645 times the root mean square of all errors one step ahead: 90 % if errors are
    normal, and too narrow further ahead. There is no forecast before ten errors.
    """

    one_value = True

    def __init__(self, model: Any, final: Any) -> None:
        super().__init__(model, final)
        self.horizon = 1
        self._errors = 0.0
        self._mean_square = 0.0

    def predict(self, x: Values) -> Prediction:
        """Return how far off the value is, what was expected, and what is to come."""
        return self._prediction(x, self._coming(self.horizon))

    def step(self, known: Values, x: Values, y: Label | None) -> Prediction:
        """Predict, then teach, asking River for the forecast once."""
        coming = self._coming(self.horizon)
        prediction = self._prediction(x, coming)
        self._teach(x, coming)
        return prediction

    def refusal(self, x: Values) -> str:
        """Say where HoltWinters would divide by nought, or return nothing."""
        ((name, value),) = x.items()
        if not isinstance(self.final, time_series.HoltWinters):
            return ""
        if _divides_by_nought(self.final, value):
            return f"{name}: got {value!r}, with which HoltWinters would divide by 0"
        return ""

    def learn(self, x: Values, y: Label | None) -> None:
        """Teach one value."""
        self._teach(x, self._coming(1))

    def forecast(self, horizon: int) -> list[Forecast]:
        """Return the next values and their bands, once there were errors to learn them from."""
        if horizon < 1 or self._errors < ENOUGH_ERRORS:
            return []
        return self._banded(self._coming(horizon))

    def get_state(self) -> Arrays:
        """Return errors float64[2]: how many, and their mean square."""
        return {"errors": floats([self._errors, self._mean_square])}

    def set_state(self, arrays: Arrays) -> None:
        """Write the errors, or raise `StateError`."""
        check_state_arrays(arrays, {"errors": ((2,), np.float64)})
        check_range("errors", arrays["errors"], 0.0, LARGEST * LARGEST)
        self._errors, self._mean_square = arrays["errors"].tolist()

    def _prediction(self, x: Values, coming: list[float]) -> Prediction:
        if not coming:
            return Prediction()
        forecast = self._banded(coming) if self._errors >= ENOUGH_ERRORS else ()
        if not x:
            return Prediction(forecast=forecast)
        ((name, value),) = x.items()
        score = finite(abs(value - coming[0]))
        return Prediction(score=score, forecast=forecast, expected={name: coming[0]})

    def _banded(self, coming: list[float]) -> list[Forecast]:
        half = TAIL_5_PERCENT * math.sqrt(self._mean_square)
        return [Forecast(i, v, v - half, v + half) for i, v in enumerate(coming, 1)]

    def _teach(self, x: Values, coming: list[float]) -> None:
        (value,) = x.values()
        self.model.learn_one(value)
        if coming:
            error = min(abs(value - coming[0]), LARGEST)
            self._errors += 1.0
            self._mean_square += (error * error - self._mean_square) / self._errors

    def _coming(self, horizon: int) -> list[float]:
        """Return the next values, or none before the estimator has started."""
        if not _has_started(self.final):
            return []
        coming = [finite(value) for value in self.model.forecast(horizon=horizon)]
        return [] if None in coming else coming  # type: ignore[return-value]


def _has_started(final: Any) -> bool:
    if isinstance(final, time_series.HoltWinters):
        return bool(final._initialized)
    return bool(final.y_diff or final.errors) if isinstance(final, time_series.SNARIMAX) else True


def _divides_by_nought(final: Any, value: float) -> bool:
    """Return whether the next `learn_one` of a HoltWinters divides by 0."""
    if final.season is None:
        return False
    if not final._initialized:
        last = len(final._first_values) + 1 == max(2, final.seasonality)
        return last and not statistics.mean((*final._first_values, value))
    if not final.multiplicative:
        return False
    return not final.season[-final.seasonality] or not final.level[-1] + final.trend[-1]
