"""Probabilities made believable while the stream goes on: temperature scaling, learned online."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from learners.base import Prediction, Target, class_name
from service.schemas import Wire

FIRST_RATE, LAST_RATE = 0.5, 0.01
"""How far a usual label moves the logarithm of the exponent: the first, and all in the end."""
_REMEMBERED = 0.01
"""Weight of a label in the usual size of a slope, in the end."""
_LEAST_SLOPE = 0.01
LEAST, MOST = -5.0, 2.0
"""Between these it stays: exponents from 1/148 to 7.4."""
_FLOOR = 1e-12
"""What a class that was ruled out is given, so that it can be taken back in."""


class TemperatureState(Wire):
    """All of it, checked when it is read."""

    log_exponent: float = Field(ge=LEAST, le=MOST)
    labels: int = Field(ge=0, le=2**53)
    mean_square: float = Field(ge=0)


class Temperature:
    """Raises probabilities to one exponent for all classes, and makes them sum to 1 again.

    The one number is the logarithm of the exponent, the inverse of the temperature of Guo, Pleiss,
    Sun and Weinberger 2017 (On calibration of modern neural networks, section 4.2), there fitted
    once. Here each label moves it down the gradient of its log loss, which is the surprise of the
    true class less the entropy of what was stated: stated too surely, it falls. It never changes
    which class is most probable. It fails where classes are wrong in different ways: one number
    cannot make one class surer and another less sure.
    """

    def __init__(self) -> None:
        self.log_exponent = 0.0
        self.labels = 0
        self.mean_square = 0.0
        """Of the slopes: what a step is measured by, so that no learner's scale matters."""

    @property
    def temperature(self) -> float:
        """The inverse of the exponent: above 1 the learner was too sure, below 1 not enough."""
        return math.exp(-self.log_exponent)

    def apply(self, prediction: Prediction) -> Prediction:
        """Return a prediction with probabilities as they can be believed."""
        proba = prediction.proba
        if not proba or not all(p >= 0 for p in proba.values()):
            return prediction
        exponent = math.exp(self.log_exponent)
        powers = {name: max(p, _FLOOR) ** exponent for name, p in proba.items()}
        total = math.fsum(powers.values())
        if not math.isfinite(total):
            return prediction
        scaled = {name: power / total for name, power in powers.items()}
        return Prediction(
            score=prediction.score,
            label=prediction.label,
            proba=scaled,
            forecast=prediction.forecast,
            expected=prediction.expected,
        )

    def learn(self, proba: Mapping[str, float] | None, y: Target) -> None:
        """Take in the label of an event and what `apply` had made of its probabilities."""
        if not proba or y is None:
            return
        true = proba.get(class_name(y))
        # Of a class that was never heard of, no exponent could have known.
        if true is None or not true > 0:
            return
        entropy = -math.fsum(p * math.log(p) for p in proba.values() if p > 0)
        slope = -math.log(true) - entropy
        if not math.isfinite(slope):
            return
        self.labels += 1
        weight = max(1.0 / self.labels, _REMEMBERED)
        self.mean_square += weight * (slope * slope - self.mean_square)
        rate = max(LAST_RATE, FIRST_RATE / math.sqrt(self.labels))
        step = rate * slope / (math.sqrt(self.mean_square) + _LEAST_SLOPE)
        self.log_exponent = min(max(self.log_exponent - step, LEAST), MOST)

    def get_state(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        return {name: getattr(self, name) for name in TemperatureState.model_fields}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state, or raise `ValueError`."""
        checked = TemperatureState.model_validate(state)
        for name in TemperatureState.model_fields:
            setattr(self, name, getattr(checked, name))
