"""A stream: one learner, the indicators over it, and the receipt. Pure and synchronous.

The same entries give the same results and the same digest, wherever they are applied: in the
service, in a replay after a crash, or in `synaptide score`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import blake2b
from typing import Any, Literal

from pydantic_core import to_json

from learners.base import Indicator, InvalidEvent, Learner, Prediction, Scorer, Target
from service import catalog
from service.duplicates import DuplicateRing
from service.errors import InvalidInput, LateEvent, UnfitEvent
from service.quality import Quality
from service.schemas import Event, StreamSpec
from service.specs import meaning, same_learner
from service.standing import LATEST, Standing, iso, shown

BARE_BYTES = 30_000
"""What the objects of a stream take beside arrays."""
Learning = Literal["warming", "learning", "paused", "quarantined"]
_SILENT = Prediction()


class Fate(Enum):
    """What became of an entry."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    SET_ASIDE = "set aside"


@dataclass(slots=True)
class Reply:
    """The answer to one entry: a JSON object, and for a duplicate the first result's offset."""

    fate: Fate
    line: bytes
    offset: int


def time_of(event: Event, received_at: float) -> float:
    """Return the event's time in seconds since 1970-01-01 UTC."""
    # The last microseconds of the year 9999 round up to a time that no date has.
    return received_at if event.ts is None else min(event.ts.timestamp(), LATEST)


class Stream:
    """State machine of one stream."""

    def __init__(self, spec: StreamSpec) -> None:
        self.spec = spec
        self.learner = catalog.build_learner(spec.learner)
        self.indicators = [catalog.build_indicator(params) for params in spec.indicators]
        self.offset = 0
        self.learning: Learning = "warming"
        self.standing = Standing()
        self.quality = Quality()
        self.digest = blake2b(meaning(spec), digest_size=16).digest()
        self.seen = DuplicateRing(spec.duplicates_remembered)
        self._scorers = [each for each in self.indicators if isinstance(each, Scorer)]
        self._detectors = [
            each for each in self.indicators if type(each).drifts is not Indicator.drifts
        ]

    @property
    def keeps_state(self) -> bool:
        """Whether a snapshot can be taken; if not, the stream is recovered from its whole log."""
        return self.learner.keeps_state

    def held_bytes(self) -> int:
        """Return about how many bytes the stream holds in memory."""
        parts: tuple[Learner | Indicator, ...] = (self.learner, *self.indicators)
        return BARE_BYTES + self.seen.held_bytes() + sum(part.held_bytes() for part in parts)

    # One event

    def step(self, event: Event, received_at: float) -> Reply:
        """Apply one event: predict, learn, update the indicators, seal the receipt."""
        if event.id is not None:
            first = self.seen.offset_of(event.id)
            if first is not None:
                return Reply(Fate.DUPLICATE, _duplicate_line(event.id, first), first)
        t = time_of(event, received_at)
        newest = self.standing.newest
        earliest = -math.inf if newest is None else newest - self.spec.late.tolerance_seconds
        late = t < earliest
        if late and self.spec.late.policy == "rejected":
            want = f"{iso(earliest)} or later"
            return self._refuse(event, LateEvent(f"ts: got {iso(t)}, expected {want}"))
        try:
            prediction = self._predict(event, t, late)
        except InvalidEvent as error:
            return self._refuse(event, UnfitEvent(str(error)))
        return self._seal(event, t, received_at, late, prediction)

    def _predict(self, event: Event, t: float, late: bool) -> Prediction:
        if self.learning == "quarantined":
            return _SILENT
        if late:
            return self.learner.predict(event.x, t)
        prediction = self.learner.step_one(event.x, event.y, t)
        for indicator in self.indicators:
            indicator.update(prediction, event.x, event.y, t)
        return prediction

    def _score(self, raw: float | None, prediction: Prediction) -> tuple[float | None, Learning]:
        """Return the score on the common scale and what the stream is doing."""
        if self._scorers:
            said = [each.value() for each in self._scorers if each.fresh]
            score = max((value for value in said if value is not None), default=None)
            warming = any(each.warming for each in self._scorers)
        else:
            score = None if raw is None else min(max(raw, 0.0), 1.0)
            warming = raw is None and self.learning == "warming"
        # Who tells labels apart may never have a score, and has no need to wait for one.
        warming = warming and prediction.label is None
        return score, "warming" if warming else "learning"

    def _seal(
        self, event: Event, t: float, received_at: float, late: bool, prediction: Prediction
    ) -> Reply:
        raw = prediction.score
        if raw is not None and not math.isfinite(raw):
            raw = None
        score: float | None = None
        if self.learning != "quarantined" and not late:
            score, self.learning = self._score(raw, prediction)
        is_anomaly = (
            score is not None and self.learning != "warming" and score >= self.spec.threshold
        )
        self.offset = offset = self.offset + 1
        if event.id is not None:
            self.seen.add(event.id, offset)
        event_id = event.id or f"@{offset}"
        result: dict[str, Any] = {
            "event_id": event_id,
            "offset": offset,
            "ts": event.ts or datetime.fromtimestamp(t, UTC),
            "anomaly_score": score,
            "raw_score": raw,
            "is_anomaly": is_anomaly,
            "learning": self.learning,
            "x": event.x,
        }
        if event.y is not None:
            result["y"] = event.y
        if prediction is not _SILENT:
            _describe(result, prediction)
        if late:
            result["late"] = True
        else:
            standing = self.standing
            standing.take(event_id, offset, t, received_at, score, raw, is_anomaly)
            standing.compare(event.x, prediction)
            if self._detectors:
                self._note_drifts(result, event_id, t)
        body = to_json(result, inf_nan_mode="null")
        self.seal(event.to_json() + body)
        judged = b""
        if event.y is not None and not late:
            judged = self._judge(prediction, score, is_anomaly, event.y)
        line = b'%b%b,"digest":"%b"}' % (body[:-1], judged, self.digest.hex().encode())
        return Reply(Fate.APPLIED, line, offset)

    def _note_drifts(self, result: dict[str, Any], event_id: str, t: float) -> None:
        drifts = [drift for each in self._detectors for drift in each.drifts()]
        if drifts:
            result["drift"] = [shown(drift) for drift in drifts]
            self.standing.note(drifts, event_id, self.offset, t)

    def _judge(
        self, prediction: Prediction, score: float | None, is_anomaly: bool, y: Target
    ) -> bytes:
        """Return the quality so far, which stands outside the digest.

        Its figures sum over classes in an order that differs from process to process.
        """
        figures = self.quality.update(prediction, score, is_anomaly, y)
        if figures is None:
            return b""
        rounded = {name: round(value, 6) for name, value in figures.items()}
        return b',"quality":' + to_json(rounded, inf_nan_mode="null")

    def _refuse(self, event: Event, error: InvalidInput) -> Reply:
        problem = error.problem() | {"event_id": event.id}
        return Reply(Fate.REFUSED, to_json({"status": error.status} | problem), self.offset)

    # Commands

    def configure(self, spec: StreamSpec) -> None:
        """Take on a spec with the same learner and indicators."""
        conflict = same_learner(self.spec, spec)
        if conflict:
            raise ValueError(conflict)
        if spec.duplicates_remembered != self.spec.duplicates_remembered:
            self.seen = self.seen.resized(spec.duplicates_remembered)
        self.spec = spec
        self.seal(b"configure" + meaning(spec))

    def quarantine(self, event: Event) -> None:
        """Stop learning because of this event, which is passed over."""
        self.learning = "quarantined"
        self.seal(b"quarantine" + event.to_json())

    def resume(self) -> None:
        """Learn again."""
        self.learning = "warming"
        self.seal(b"resume")

    def seal(self, change: bytes) -> None:
        """Add a link to the digest's chain."""
        self.digest = blake2b(self.digest + change, digest_size=16).digest()

    # State

    def status(self) -> dict[str, Any]:
        """Return what a person would ask about the stream, cheaply."""
        return {
            "learning": self.learning,
            **self.standing.report(),
            "labeled": self.quality.labeled,
            "quality": self.quality.report(),
            "signals": {
                name: value for name, value in self.signals().items() if math.isfinite(value)
            },
        }

    def signals(self) -> Mapping[str, float]:
        """Return the signals of the learner and of its indicators, as far as they have any."""
        signals: dict[str, float] = {}
        parts: tuple[Learner | Indicator, ...] = (self.learner, *self.indicators)
        for part in parts:
            # One that cannot say how it does may still do it.
            with suppress(Exception):
                signals |= part.signals()
        return signals


def _describe(result: dict[str, Any], prediction: Prediction) -> None:
    if prediction.label is not None:
        result["prediction"] = prediction.label
    if prediction.proba is not None:
        result["proba"] = dict(prediction.proba)
    if prediction.expected is not None:
        result["expected_values"] = dict(prediction.expected)
    if prediction.forecast:
        result["forecast"] = [
            {
                "horizon": each.horizon,
                "yhat": each.value,
                "yhat_lower": each.lower,
                "yhat_upper": each.upper,
            }
            for each in prediction.forecast
        ]


def _duplicate_line(event_id: str, offset: int) -> bytes:
    return to_json({"event_id": event_id, "offset": offset, "duplicate": True})
