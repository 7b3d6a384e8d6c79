"""A stream: one learner, the indicators over it, and the receipt. Pure and synchronous.

The same entries give the same results and the same digest, wherever they are applied: in the
service, in a replay after a crash, or in `synaptide score`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import blake2b
from typing import Any, Literal

from pydantic_core import to_json

from learners.base import Features, Indicator, InvalidEvent, Learner, Prediction, Scorer, Target
from service import catalog
from service.calibration import Temperature
from service.duplicates import DuplicateRing
from service.errors import (
    InvalidInput,
    LabelNotAwaited,
    LabelsNotKept,
    LateEvent,
    UnfitEvent,
    UnknownEvent,
)
from service.pending import Pending, Waiting
from service.quality import Quality
from service.schemas import Damaged, Event, Label, StreamSpec
from service.specs import label_policy, meaning, same_learner
from service.standing import LATEST, Standing, iso, shown
from service.tutor import Asked, Tutor

BARE_BYTES = 30_000
"""What the objects of a stream take beside arrays."""
Learning = Literal["warming", "learning", "paused", "quarantined"]
_SILENT = Prediction()


class Fate(Enum):
    """What became of an entry."""

    APPLIED = "applied"
    LABELED = "labeled"
    DUPLICATE = "duplicate"
    REPEATED = "labeled before"
    REFUSED = "refused"
    SET_ASIDE = "set aside"


@dataclass(slots=True)
class Reply:
    """The answer to one entry: a JSON object, and for a duplicate the first result's offset."""

    fate: Fate
    line: bytes
    offset: int
    refusal: str = ""
    """The code of the problem, if it is one."""


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
        self.pending = self._pending_under(spec)
        self.calibration = Temperature() if spec.calibrate else None
        self.tutor = Tutor(spec)
        self._scorers = [each for each in self.indicators if isinstance(each, Scorer)]
        self._others = [each for each in self.indicators if not isinstance(each, Scorer)]
        self._detectors = _overriding("drifts", self._others)
        self._withholding = _overriding("withholds", self._others)

    @property
    def keeps_state(self) -> bool:
        """Whether a snapshot can be taken; if not, the stream is recovered from its whole log."""
        return self.learner.keeps_state

    def held_bytes(self) -> int:
        """Return about how many bytes the stream holds in memory."""
        parts: tuple[Learner | Indicator, ...] = (self.learner, *self.indicators)
        rings = self.seen.held_bytes() + (self.pending.held_bytes() if self.pending else 0)
        rings += self.tutor.held_bytes()
        return BARE_BYTES + rings + sum(part.held_bytes() for part in parts)

    def _pending_under(self, spec: StreamSpec) -> Pending | None:
        policy = label_policy(spec, self.learner.learns_labels)
        return None if policy is None else Pending(policy, spec.duplicates_remembered)

    def apply(self, entry: Event | Label, received_at: float) -> Reply:
        """Apply an entry of the log that is no command."""
        if type(entry) is Label:
            return self.label(entry, received_at)
        return self.step(entry, received_at)  # type: ignore[arg-type]

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
            return self._refuse(event.id, LateEvent(f"ts: got {iso(t)}, expected {want}"))
        try:
            prediction = self._predict(event, t, late)
        except InvalidEvent as error:
            return self._refuse(event.id, UnfitEvent(str(error)))
        return self._seal(event, t, received_at, late, prediction)

    def _predict(self, event: Event, t: float, late: bool) -> Prediction:
        if self.learning == "quarantined":
            return _SILENT
        if late:
            return self._calibrated(self.learner.predict(event.x, t))
        if self.tutor.looks_first:
            return self._look_first(event.x, event.y, t)
        prediction = self._calibrated(self._learn(event.x, event.y, t))
        for indicator in self.indicators:
            indicator.update(prediction, event.x, event.y, t)
        return prediction

    def _calibrated(self, prediction: Prediction) -> Prediction:
        return prediction if self.calibration is None else self.calibration.apply(prediction)

    def _look_first(self, x: Features, y: Target, t: float) -> Prediction:
        """Judge an event, then learn from it unless it is held; what is held leaves no mark."""
        prediction = self._calibrated(self.learner.predict(x, t))
        for scorer in self._scorers:
            scorer.judge(prediction, x, y, t, self.tutor.holding)
        score, warming = self._score(prediction)
        if self.tutor.holds(not warming and self._is_strange(score), t):
            self.learner.follow_one(x, t)
        else:
            self._learn(x, y, t, prediction)
            for scorer in self._scorers:
                scorer.absorb(prediction, x, y, t)
        for indicator in self._others:
            indicator.update(prediction, x, y, t)
        return prediction

    # What the learner is taught comes through the next two, and nowhere else.

    def _learn(
        self, x: Features, y: Target, t: float, made: Prediction | None = None
    ) -> Prediction:
        """Have the learner take an event; `made` is its prediction, if there is one already.

        Raises `InvalidEvent` before the learner changed.
        """
        taught = None if y is None or self._withheld() else y
        if self.tutor.skips:
            made = made or self.learner.predict(x, t)
            self.learner.follow_one(x, t)
        elif made is None:
            made = self.learner.step_one(x, taught, t)
        else:
            self.learner.learn_one(x, taught, t)
        self.tutor.took(self.learner, made, y)
        return made

    def _learn_label(self, x: Features, y: float | str, t: float, foreseen: Prediction) -> bool:
        """Have the learner take the label of an earlier event; return whether it learned from it.

        Raises `InvalidEvent` before the learner changed.
        """
        learns = self.learner.learns_labels and not (self.tutor.skips or self._withheld())
        if learns:
            self.learner.learn_label(x, y, t)
        self.tutor.took(self.learner, foreseen, y)
        return learns

    def _withheld(self) -> bool:
        """Whether the label at hand is a canary's."""
        return self.tutor.withholds or any(each.withholds for each in self._withholding)

    def _score(self, prediction: Prediction) -> tuple[float | None, bool]:
        """Return the score on the common scale, and whether there is too little to judge it by."""
        raw = _finite(prediction.score)
        if self._scorers:
            said = [each.value() for each in self._scorers if each.fresh]
            score = max((value for value in said if value is not None), default=None)
            warming = any(each.warming for each in self._scorers)
        else:
            score = None if raw is None else min(max(raw, 0.0), 1.0)
            warming = raw is None and self.learning == "warming"
        # Who tells labels apart may never have a score, and has no need to wait for one.
        return score, warming and prediction.label is None

    def _is_strange(self, score: float | None) -> bool:
        return score is not None and score >= self.spec.threshold

    def _seal(
        self, event: Event, t: float, received_at: float, late: bool, prediction: Prediction
    ) -> Reply:
        raw = _finite(prediction.score)
        score: float | None = None
        warming, paused_by = self.learning == "warming", self.tutor.paused_by
        if self.learning != "quarantined" and not late:
            score, warming = self._score(prediction)
            self.learning = "paused" if paused_by else "warming" if warming else "learning"
        is_anomaly = not warming and self._is_strange(score)
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
        if self.learning == "paused":
            result["paused_by"] = paused_by
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
                self._note_drifts(result, event_id, offset, t)
        body = to_json(result, inf_nan_mode="null")
        self.seal(event.to_json() + body)
        judged = b""
        if event.y is not None and not late:
            judged = self._judge(prediction, score, is_anomaly, event.y)
        if self.pending is not None and not late and self.learning != "quarantined":
            if event.y is None:
                self.pending.hold(event_id, Waiting(t, received_at, body))
            else:
                self.pending.remember(event_id, event.y)
        line = b'%b%b,"digest":"%b"}' % (body[:-1], judged, self.digest.hex().encode())
        return Reply(Fate.APPLIED, line, offset)

    def _note_drifts(self, result: dict[str, Any], event_id: str, offset: int, t: float) -> None:
        drifts = [drift for each in self._detectors for drift in each.drifts()]
        if drifts:
            result["drift"] = [shown(drift) for drift in drifts]
            self.tutor.drifted()
            self.standing.note(drifts, event_id, offset, t)

    def _judge(
        self, prediction: Prediction, score: float | None, is_anomaly: bool, y: Target
    ) -> bytes:
        """Return the quality so far, which stands outside the digest.

        Its figures sum over classes in an order that differs from process to process.
        """
        if self.calibration is not None:
            self.calibration.learn(prediction.proba, y)
        figures = self.quality.update(prediction, score, is_anomaly, y)
        if figures is None:
            return b""
        rounded = {name: round(value, 6) for name, value in figures.items()}
        return b',"quality":' + to_json(rounded, inf_nan_mode="null")

    def _refuse(self, event_id: str | None, error: InvalidInput) -> Reply:
        problem = error.problem() | {"event_id": event_id}
        line = to_json({"status": error.status} | problem)
        return Reply(Fate.REFUSED, line, self.offset, error.code)

    # One label

    def label(self, label: Label, received_at: float) -> Reply:
        """Apply the label of an earlier event: judge, learn, seal the receipt.

        Judged is what was predicted when the event came. A label that is refused changes nothing.
        """
        try:
            waiting = self._waiting(label, received_at)
            if waiting is None:
                line = to_json({"event_id": label.event_id, "y": label.y, "duplicate": True})
                return Reply(Fate.REPEATED, line, self.offset)
            return self._take(label, waiting, received_at)
        except InvalidEvent as error:
            return self._refuse(label.event_id, UnfitEvent(str(error)))
        except InvalidInput as error:
            return self._refuse(label.event_id, error)

    def _waiting(self, label: Label, received_at: float) -> Waiting | None:
        """Return the event a label is for, `None` if it had this label; else raise why not."""
        if self.pending is None:
            raise LabelsNotKept(
                f"labels: got one for a stream of {self.spec.learner.kind}, which does not learn "
                'from them; to have predictions judged by them, put "labels": {} into its spec'
            )
        try:
            return self.pending.find(label, received_at)
        except LabelNotAwaited:
            if self._had(label.event_id):
                raise
        raise UnknownEvent(
            f"event_id: got {label.event_id!r}, expected the id of an event that came before its "
            f"label, one of the last {self.spec.duplicates_remembered}"
        )

    def _had(self, event_id: str) -> bool:
        """Return whether an event of this id is known to have come."""
        own = event_id.removeprefix("@")
        if own != event_id:
            return own.isascii() and own.isdigit() and 1 <= int(own) <= self.offset
        return self.seen.offset_of(event_id) is not None

    def _take(self, label: Label, waiting: Waiting, received_at: float) -> Reply:
        assert self.pending is not None
        event, learned = waiting.foreseen(), self.learning != "quarantined"
        prediction = event.as_predicted()
        if learned:
            learned = self._learn_label(event.x, label.y, waiting.t, prediction)
        self.pending.take(label.event_id, label.y, received_at)
        result: dict[str, Any] = {"event_id": label.event_id, "offset": event.offset, "y": label.y}
        if prediction.label is not None:
            result["prediction"] = prediction.label
        result["learned"] = learned
        if self.learning != "quarantined":
            for indicator in self.indicators:
                indicator.update_label(prediction, event.x, label.y, waiting.t)
            if self._detectors:
                self._note_drifts(result, label.event_id, event.offset, waiting.t)
        body = to_json(result)
        self.seal(label.to_json() + body)
        judged = self._judge(prediction, event.anomaly_score, event.is_anomaly, label.y)
        line = b'%b%b,"digest":"%b"}' % (body[:-1], judged, self.digest.hex().encode())
        return Reply(Fate.LABELED, line, self.offset)

    # Commands

    def configure(self, spec: StreamSpec) -> None:
        """Take on a spec with the same learner and indicators."""
        conflict = same_learner(self.spec, spec)
        if conflict:
            raise ValueError(conflict)
        if spec.duplicates_remembered != self.spec.duplicates_remembered:
            self.seen = self.seen.resized(spec.duplicates_remembered)
        policy = label_policy(spec, self.learner.learns_labels)
        if policy is None or self.pending is None:
            self.pending = self._pending_under(spec)
        else:
            self.pending = self.pending.resized(policy, spec.duplicates_remembered)
        if not spec.calibrate:
            self.calibration = None
        elif self.calibration is None:
            self.calibration = Temperature()
        self.tutor = self.tutor.under(spec)
        self.spec = spec
        self.seal(b"configure" + meaning(spec))

    def quarantine(self, entry: Event | Label | Damaged) -> None:
        """Stop learning because of this entry, which is passed over."""
        self.learning = "quarantined"
        self.seal(b"quarantine" + entry.to_json())

    def ask(self, state: Asked) -> None:
        """Learn, pause, or leave it to the governor; what was quarantined learns again."""
        self.tutor.ask(state)
        if state != "paused":
            self.learning = "warming"
        elif self.learning != "quarantined":
            self.learning = "paused"
        self.seal(b"learning " + state.encode())

    def resume(self) -> None:
        """Learn again after a quarantine, as logs from before `ask` have it."""
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
            "governor": self.tutor.report(),
            **self.standing.report(),
            "labeled": self.quality.labeled,
            "quality": self.quality.report(),
            **({} if self.pending is None else {"labels": self.pending.report()}),
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
        if self.calibration is not None:
            signals["temperature"] = self.calibration.temperature
        return signals | self.tutor.signals()


def _overriding(name: str, indicators: Sequence[Indicator]) -> list[Indicator]:
    default = getattr(Indicator, name)
    return [each for each in indicators if getattr(type(each), name) is not default]


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


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
