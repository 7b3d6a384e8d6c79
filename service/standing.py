"""Where a stream stands: what a person, a page or a metric would ask about it.

It depends on the entries alone, as the stream does, and is kept in its snapshots.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from learners.base import Drift, Features, Forecast, Prediction
from service.schemas import Wire

RECENT_SCORES = 48
LATE = {"recent", "forecast", "ahead"}
"""Fields of the state that are made when it is asked for."""
Band = tuple[float | None, float | None, float | None]
"""Value, lower and upper."""
EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()
LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


class Mark(Wire):
    """An event worth finding again."""

    event_id: str
    offset: int = Field(ge=0, le=2**53)
    ts: float = Field(ge=EARLIEST, le=LATEST)
    anomaly_score: float | None = None
    detector: str | None = None
    watch: str | None = None
    before: float | None = None
    after: float | None = None
    size: float | None = None

    def shown(self) -> dict[str, Any]:
        """Return it as a client sees it."""
        return self.model_dump(exclude_none=True) | {"ts": iso(self.ts)}


class Observed(Wire):
    """The first feature of the newest event beside what was forecast of it."""

    feature: str
    observed: float | None
    yhat: float | None
    yhat_lower: float | None
    yhat_upper: float | None


class StandingState(Wire):
    """All of it, in a form that is checked when it is read."""

    anomaly_score: float | None = Field(ge=0, le=1)
    raw_score: float | None
    is_anomaly: bool
    anomalies: int = Field(ge=0, le=2**53)
    newest: float | None = Field(ge=EARLIEST, le=LATEST)
    received: float | None = Field(ge=EARLIEST, le=LATEST)
    forecast: Observed | None
    ahead: Band | None = Field(strict=False)
    last_anomaly: Mark | None
    last_drift: Mark | None
    drifts: dict[str, int]
    recent: list[float | None] = Field(max_length=RECENT_SCORES)


class Standing:
    """The newest scores, forecasts, marks and counts of a stream."""

    def __init__(self) -> None:
        self.anomaly_score: float | None = None
        self.raw_score: float | None = None
        self.is_anomaly = False
        self.anomalies = 0
        self.newest: float | None = None
        self.received: float | None = None
        self._x: Features = {}
        self._prediction = Prediction()
        self._ahead: Sequence[Forecast] = ()
        self.last_anomaly: Mark | None = None
        self.last_drift: Mark | None = None
        self.drifts: dict[str, int] = {}
        self.recent: deque[float | None] = deque(maxlen=RECENT_SCORES)
        self.peak: float | None = None
        """The largest score since someone last asked; not kept in snapshots."""

    def take(
        self,
        event_id: str,
        offset: int,
        t: float,
        received_at: float,
        score: float | None,
        raw: float | None,
        is_anomaly: bool,
    ) -> None:
        """Take in one event that was applied in its turn."""
        if self.newest is None or t > self.newest:
            self.newest = t
        self.received = received_at
        self.anomaly_score, self.raw_score, self.is_anomaly = score, raw, is_anomaly
        self.recent.append(score)
        if score is not None and (self.peak is None or score > self.peak):
            self.peak = score
        if is_anomaly:
            self.anomalies += 1
            self.last_anomaly = Mark.model_construct(
                event_id=event_id, offset=offset, ts=t, anomaly_score=score
            )

    def compare(self, x: Features, prediction: Prediction) -> None:
        """Keep an event and what was forecast of it, to be set side by side when asked."""
        self._ahead = self._prediction.forecast
        self._x, self._prediction = x, prediction

    def note(self, drifts: Sequence[Drift], event_id: str, offset: int, t: float) -> None:
        """Count drifts, and keep the last."""
        for drift in drifts:
            self.drifts[drift.detector] = self.drifts.get(drift.detector, 0) + 1
            self.last_drift = Mark(event_id=event_id, offset=offset, ts=t, **shown(drift))

    def take_peak(self) -> float | None:
        """Return the largest score since this was last asked, and begin again."""
        peak, self.peak = self.peak, None
        return peak

    def report(self) -> dict[str, Any]:
        """Return what a client sees, cheaply."""
        return {
            "anomaly_score": self.anomaly_score,
            "raw_score": self.raw_score,
            "is_anomaly": self.is_anomaly,
            "anomalies": self.anomalies,
            "newest_ts": None if self.newest is None else iso(self.newest),
            "received_at": None if self.received is None else iso(self.received),
            "last_anomaly": None if self.last_anomaly is None else self.last_anomaly.shown(),
            "drifts": dict(self.drifts),
            "last_drift": None if self.last_drift is None else self.last_drift.shown(),
            "forecast": self._forecast(),
            "recent": [None if each is None else round(each, 4) for each in self.recent],
        }

    def _forecast(self) -> dict[str, Any] | None:
        """Set the first feature beside what was forecast of it, one event ago or now."""
        expected = self._prediction.expected or {}
        feature = _first(expected) or _first(self._x)
        if feature is None:
            return None
        value = self._x.get(feature)
        band = _next(self._ahead) or (_finite(expected.get(feature)), None, None)
        return {
            "feature": feature,
            "observed": None if isinstance(value, str) else value,
            "yhat": band[0],
            "yhat_lower": band[1],
            "yhat_upper": band[2],
        }

    def get_state(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        state = {name: getattr(self, name) for name in StandingState.model_fields.keys() - LATE}
        observed = self._forecast()
        state["recent"] = list(self.recent)
        state["forecast"] = None if observed is None else Observed.model_construct(**observed)
        state["ahead"] = _next(self._prediction.forecast)
        return StandingState.model_construct(**state).model_dump()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state, or raise `ValueError`."""
        checked = StandingState.model_validate(state)
        for name in StandingState.model_fields.keys() - LATE:
            setattr(self, name, getattr(checked, name))
        self.recent = deque(checked.recent, maxlen=RECENT_SCORES)
        self._x, self._prediction, self._ahead = {}, Prediction(), ()
        if checked.forecast is not None:
            shown = checked.forecast
            self._x = {shown.feature: shown.observed}
            self._ahead = _forecasts((shown.yhat, shown.yhat_lower, shown.yhat_upper))
        if checked.ahead is not None:
            self._prediction = Prediction(forecast=_forecasts(checked.ahead))


def shown(drift: Drift) -> dict[str, Any]:
    """Return a drift as a client sees it."""
    return {
        "detector": drift.detector,
        "watch": drift.watch,
        "before": drift.before,
        "after": drift.after,
        "size": drift.size,
    }


def iso(t: float) -> str:
    """Return a time as RFC 3339 has it."""
    return datetime.fromtimestamp(t, UTC).isoformat().replace("+00:00", "Z")


def _first(x: Mapping[str, float | str | None]) -> str | None:
    return next((name for name, value in x.items() if not isinstance(value, str)), None)


def _next(forecast: Sequence[Forecast]) -> Band | None:
    if not forecast or forecast[0].horizon != 1:
        return None
    first = forecast[0]
    return _finite(first.value), _finite(first.lower), _finite(first.upper)


def _forecasts(band: Band) -> tuple[Forecast, ...]:
    value, lower, upper = (math.nan if each is None else each for each in band)
    return (Forecast(1, value, lower, upper),)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
