"""A stream: one learner, the indicators over it, and the receipt. Pure and synchronous.

The same entries give the same results and the same digest, wherever they are applied: in the
service, in a replay after a crash, or in `synaptide score`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json

from learners.base import Indicator, InvalidEvent, Learner, Prediction, StateError
from learners.indicators.anomaly_likelihood import AnomalyLikelihood
from service import catalog, container
from service.duplicates import DuplicateRing
from service.errors import InvalidInput, LateEvent, SnapshotError, UnfitEvent
from service.schemas import Event, StreamSpec

SNAPSHOT_FORMAT = 1
Learning = Literal["warming", "learning", "paused", "quarantined"]
_SILENT = Prediction()
_EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()
_LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


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
    return received_at if event.ts is None else min(event.ts.timestamp(), _LATEST)


class Stream:
    """State machine of one stream."""

    def __init__(self, spec: StreamSpec) -> None:
        self.spec = spec
        self.learner = catalog.build_learner(spec.learner)
        self.indicators = [catalog.build_indicator(params) for params in spec.indicators]
        self.offset = 0
        self.learning: Learning = "warming"
        self.anomalies = 0
        self.newest: float | None = None
        self.last_score: float | None = None
        self.last_raw_score: float | None = None
        self.digest = blake2b(_meaning(spec), digest_size=16).digest()
        self._seen = DuplicateRing(spec.duplicates_remembered)
        self._scorer = next(
            (each for each in self.indicators if isinstance(each, AnomalyLikelihood)), None
        )

    # One event

    def step(self, event: Event, received_at: float) -> Reply:
        """Apply one event: predict, learn, update the indicators, seal the receipt."""
        if event.id is not None:
            first = self._seen.offset_of(event.id)
            if first is not None:
                return Reply(Fate.DUPLICATE, _duplicate_line(event.id, first), first)
        t = time_of(event, received_at)
        earliest = -math.inf if self.newest is None else self.newest
        earliest -= self.spec.late.tolerance_seconds
        late = t < earliest
        if late and self.spec.late.policy == "rejected":
            want = f"{_iso(earliest)} or later"
            return self._refuse(event, LateEvent(f"ts: got {_iso(t)}, expected {want}"))
        try:
            prediction = self._predict(event, t, late)
        except InvalidEvent as error:
            return self._refuse(event, UnfitEvent(str(error)))
        return self._seal(event, t, late, prediction)

    def _predict(self, event: Event, t: float, late: bool) -> Prediction:
        if self.learning == "quarantined":
            return _SILENT
        if late:
            return self.learner.predict(event.x, t)
        prediction = self.learner.step_one(event.x, event.y, t)
        for indicator in self.indicators:
            indicator.update(prediction, event.x, event.y, t)
        return prediction

    def _score(self, raw: float | None) -> tuple[float | None, Learning]:
        """Return the score on the common scale and what the stream is doing."""
        if self._scorer is None:
            score = None if raw is None else min(max(raw, 0.0), 1.0)
            return score, "warming" if raw is None else "learning"
        if raw is None:
            return None, "warming"
        return self._scorer.value(), "warming" if self._scorer.warming else "learning"

    def _seal(self, event: Event, t: float, late: bool, prediction: Prediction) -> Reply:
        raw = prediction.score
        if raw is not None and not math.isfinite(raw):
            raw = None
        score: float | None = None
        if self.learning != "quarantined" and not late:
            score, self.learning = self._score(raw)
        is_anomaly = (
            score is not None and self.learning != "warming" and score >= self.spec.threshold
        )
        self.offset = offset = self.offset + 1
        if not late:
            self.newest = t if self.newest is None or t > self.newest else self.newest
            self.anomalies += is_anomaly
            self.last_score, self.last_raw_score = score, raw
        if event.id is not None:
            self._seen.add(event.id, offset)
        result: dict[str, Any] = {
            "event_id": event.id or f"@{offset}",
            "offset": offset,
            "ts": event.ts or datetime.fromtimestamp(t, UTC),
            "anomaly_score": score,
            "raw_score": raw,
            "is_anomaly": is_anomaly,
            "learning": self.learning,
        }
        if prediction is not _SILENT:
            _describe(result, prediction)
        if late:
            result["late"] = True
        body = to_json(result, inf_nan_mode="null")
        self._chain(event.to_json() + body)
        line = b'%b,"digest":"%b"}' % (body[:-1], self.digest.hex().encode())
        return Reply(Fate.APPLIED, line, offset)

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
            self._seen = self._seen.resized(spec.duplicates_remembered)
        self.spec = spec
        self._chain(b"configure" + _meaning(spec))

    def quarantine(self, event: Event) -> None:
        """Stop learning because of this event, which is passed over."""
        self.learning = "quarantined"
        self._chain(b"quarantine" + event.to_json())

    def resume(self) -> None:
        """Learn again."""
        self.learning = "warming"
        self._chain(b"resume")

    def _chain(self, change: bytes) -> None:
        self.digest = blake2b(self.digest + change, digest_size=16).digest()

    # State

    def status(self) -> dict[str, Any]:
        """Return what a person would ask about the stream, cheaply."""
        return {
            "learning": self.learning,
            "anomaly_score": self.last_score,
            "raw_score": self.last_raw_score,
            "anomalies": self.anomalies,
            "newest_ts": None if self.newest is None else _iso(self.newest),
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

    def snapshot(self) -> bytes:
        """Return the whole state as a container."""
        header = {
            "format": SNAPSHOT_FORMAT,
            "kind": self.spec.learner.kind,
            "state_schema": self.learner.state_schema,
            "spec": self.spec.model_dump(mode="json"),
            "offset": self.offset,
            "digest": self.digest.hex(),
            "learning": self.learning,
            "anomalies": self.anomalies,
            "newest": self.newest,
            "last_score": self.last_score,
            "last_raw_score": self.last_raw_score,
            "numpy": np.__version__,
        }
        arrays = {f"learner/{name}": array for name, array in self.learner.get_state().items()}
        for i, indicator in enumerate(self.indicators):
            state = indicator.get_state()
            arrays |= {f"indicator{i}/{name}": array for name, array in state.items()}
        arrays |= {f"stream/{name}": array for name, array in self._seen.get_state().items()}
        return container.pack(header, arrays)

    def restore(self, blob: bytes, max_bytes: int) -> None:
        """Take over a snapshot's learner and indicators, or raise `SnapshotError`.

        A stream that has applied nothing becomes the stream the snapshot was taken of, with its
        offset and digest; any other keeps its own and records the change in its digest. After an
        error this object is to be thrown away.
        """
        header, arrays = container.unpack(blob, max_bytes)
        spec = spec_in(header)
        conflict = same_learner(self.spec, spec)
        if conflict:
            raise SnapshotError(f"snapshot: {conflict}")
        try:
            self._take(header, arrays, whole=self.offset == 0)
        except (StateError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise SnapshotError(f"snapshot: does not fit: {error}") from None
        if self.offset != int(header["offset"]) or self.digest.hex() != header["digest"]:
            self._chain(b"restore" + blake2b(blob, digest_size=16).digest())

    def _take(self, header: dict[str, Any], arrays: dict[str, Any], whole: bool) -> None:
        if header["format"] != SNAPSHOT_FORMAT:
            raise ValueError(f"format: got {header['format']!r}, expected {SNAPSHOT_FORMAT}")
        if header["state_schema"] != self.learner.state_schema:
            raise ValueError(
                f"state_schema: got {header['state_schema']!r}, "
                f"expected {self.learner.state_schema}"
            )
        if header["learning"] not in ("warming", "learning", "paused", "quarantined"):
            raise ValueError(f"learning: got {header['learning']!r}")
        _check_numbers(header)
        parts = _by_owner(arrays)
        self.learner.set_state(parts.pop("learner", {}))
        for i, indicator in enumerate(self.indicators):
            indicator.set_state(parts.pop(f"indicator{i}", {}))
        seen = parts.pop("stream", {})
        if parts:
            raise StateError(f"arrays: got {sorted(parts)} besides what the stream has")
        self.learning = header["learning"]
        self.newest = None if header["newest"] is None else float(header["newest"])
        if whole:
            self.offset = int(header["offset"])
            self.digest = bytes.fromhex(header["digest"])
            self.anomalies = int(header["anomalies"])
            self.last_score, self.last_raw_score = header["last_score"], header["last_raw_score"]
            self._seen.set_state(seen)


def revived(blob: bytes, max_bytes: int) -> Stream:
    """Build the stream a snapshot was taken of, or raise `SnapshotError`."""
    header, _ = container.unpack(blob, max_bytes)
    stream = Stream(spec_in(header))
    stream.restore(blob, max_bytes)
    return stream


def restored(stream: Stream, blob: bytes, max_bytes: int) -> Stream:
    """Return a copy of a stream that has taken over a snapshot, or raise `SnapshotError`."""
    copy = Stream(stream.spec)
    if stream.offset:
        copy.restore(stream.snapshot(), max_bytes)
    copy.restore(blob, max_bytes)
    return copy


def same_learner(old: StreamSpec, new: StreamSpec) -> str:
    """Say why a stream of the old spec cannot go on under the new one, or return nothing."""
    for name in ("learner", "indicators"):
        before, after = (getattr(spec, name) for spec in (old, new))
        if before != after:
            return f"{name}: got {_shown(after)}, expected {_shown(before)}"
    return ""


def spec_in(header: dict[str, Any]) -> StreamSpec:
    """Return the spec a snapshot's header holds, or raise `SnapshotError`."""
    try:
        return StreamSpec.model_validate_json(to_json(header.get("spec")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SnapshotError(f"snapshot: spec: {first['msg']} at {first['loc']}") from None


def estimate_bytes(spec: StreamSpec) -> int:
    """Return the most bytes a stream of this spec will hold in memory."""
    ring = 16 * spec.duplicates_remembered + 120 * spec.duplicates_remembered
    return ring + sum(catalog.memory_bytes(part) for part in (spec.learner, *spec.indicators))


def _meaning(spec: StreamSpec) -> bytes:
    """Return the part of a spec that results depend on, as canonical bytes."""
    return to_json(spec.model_dump(mode="json", exclude={"title", "snapshot_every_events"}))


def _shown(part: Any) -> str:
    parts = part if isinstance(part, list) else [part]
    return to_json([each.model_dump(mode="json") for each in parts]).decode()


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


def _check_numbers(header: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless a header's numbers are such as a stream has."""
    limits = {
        "offset": (0, 2**53),
        "anomalies": (0, 2**53),
        "newest": (_EARLIEST, _LATEST),
        "last_score": (0.0, 1.0),
        "last_raw_score": (-math.inf, math.inf),
    }
    for name, (least, most) in limits.items():
        got = header[name]
        number = type(got) is int if name in ("offset", "anomalies") else type(got) in (int, float)
        absent = got is None and name not in ("offset", "anomalies")
        if not absent and not (number and least <= got <= most):
            raise ValueError(f"{name}: got {str(got)[:40]}, expected {least} to {most}")
    if not re.fullmatch("[0-9a-f]{32}", str(header["digest"])):
        raise ValueError("digest: expected 16 bytes in hexadecimal")


def _by_owner(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    owners: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        owner, _, own_name = name.partition("/")
        owners.setdefault(owner, {})[own_name] = array
    return owners


def _iso(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).isoformat().replace("+00:00", "Z")
