"""What an estimator is asked, how its answers become a prediction, and what it learns from.

River's estimators come in families that answer in different verbs. A role is one family: it asks
and teaches in the order in which a plain loop over River would, which is to predict first and to
learn after, and it lets no NaN and no infinity out.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from learners.base import Arrays, Features, Forecast, InvalidEvent, Prediction, Target
from learners.parameters import check_state_arrays
from learners.river.codec import Label

LARGEST = 1e100
FINITE = 1.7976931348623157e308

Values = dict[str, Any]


def number(name: str, value: object) -> float:
    """Return a finite number, at most 1e100 either way, or raise `InvalidEvent` naming it."""
    if isinstance(value, str) or not -FINITE <= value <= FINITE:  # type: ignore[operator]
        raise InvalidEvent(f"{name}: got {value!r}, expected a finite number or null")
    found = float(value)  # type: ignore[arg-type]
    return found if -LARGEST <= found <= LARGEST else math.copysign(LARGEST, found)


def finite(value: Any) -> float | None:
    """Return the value as a float if it is a finite real number."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def features_of(x: Features, takes_text: bool) -> Values:
    """Return the features that are there, as River takes them, or raise `InvalidEvent`."""
    values: Values = {}
    for name, value in x.items():
        if value is None:
            continue
        plain = type(value) is float and -LARGEST <= value <= LARGEST
        text = takes_text and isinstance(value, str)
        values[name] = value if plain or text else number(name, value)
    return values


class Role:
    """A family of estimators: `model` is the whole pipeline, `final` its last step."""

    one_value: ClassVar[bool] = False
    """Whether the estimator sees the value of one feature, rather than all features by name."""

    needs_label: ClassVar[bool] = False
    learns_classes: bool = False
    """Whether each new label makes the estimator larger."""

    def __init__(self, model: Any, final: Any) -> None:
        self.model = model
        self.final = final

    def predict(self, x: Values) -> Prediction:
        """Return the answer for the features of one event."""
        raise NotImplementedError

    def label(self, y: Target) -> Label:
        """Return a label as the estimator takes it, or raise `InvalidEvent`."""
        raise NotImplementedError

    def refusal(self, x: Values) -> str:
        """Say why River could not learn from these values, or return nothing."""
        return ""

    def learn(self, x: Values, y: Label | None) -> None:
        """Teach one event; `y` is `None` for a role that needs no label."""
        self.model.learn_one(x)

    def step(self, known: Values, x: Values, y: Label | None) -> Prediction:
        """Predict from what is known of an event, then teach all of it."""
        prediction = self.predict(known)
        self.learn(x, y)
        return prediction

    def forecast(self, horizon: int) -> list[Forecast]:
        """Return the values of the next events, if this is what the estimator does."""
        return []

    def get_state(self) -> Arrays:
        """Return what is remembered beside the estimator."""
        return {}

    def set_state(self, arrays: Arrays) -> None:
        """Write what `get_state` returns, or raise `StateError`."""
        check_state_arrays(arrays, {})
