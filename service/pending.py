"""Events that wait for their label: what it takes to judge and to learn once it comes.

Bounded in number, bytes and age, and part of a stream's state. An event waits as its own result,
which holds its features and all that was predicted of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from learners.base import Arrays, Prediction, StateError, Target
from service.duplicates import DuplicateRing
from service.errors import LabelConflict, LabelNotAwaited
from service.schemas import Label, LabelPolicy

EVENT_BYTES = 400
"""What an event that waits takes beside its result."""
_COUNTS = ("taken", "expired", "displaced")
_LARGEST = 2**53


class Foreseen(BaseModel):
    """What a result says of an event and of what was predicted of it."""

    model_config = ConfigDict(strict=True)

    event_id: str
    offset: int = Field(ge=1, le=_LARGEST)
    x: dict[str, float | str | None]
    prediction: bool | float | str | None = None
    proba: dict[str, float | None] | None = None
    anomaly_score: float | None
    is_anomaly: bool

    def as_predicted(self) -> Prediction:
        """Return the prediction, as far as a label can judge it."""
        proba = self.proba
        known = proba is not None and None not in proba.values()
        return Prediction(label=self.prediction, proba=proba if known else None)  # type: ignore[arg-type]


_read = Foreseen.__pydantic_validator__.validate_json


@dataclass(slots=True)
class Waiting:
    """An event without a label: its time, when it was received, and its result."""

    t: float
    received_at: float
    result: bytes

    def foreseen(self) -> Foreseen:
        """Return what the result says."""
        found: Foreseen = _read(self.result)
        return found


class Pending:
    """The events of one stream that wait for their labels, and the ids of those that had one."""

    def __init__(self, policy: LabelPolicy, remembered: int) -> None:
        self.policy = policy
        self.taken = 0
        self.expired = 0
        self.displaced = 0
        self.held = 0
        """Bytes of the events that wait."""
        self._waiting: dict[str, Waiting] = {}
        self._labeled = DuplicateRing(remembered)

    def __len__(self) -> int:
        return len(self._waiting)

    def hold(self, event_id: str, event: Waiting) -> None:
        """Have an event wait; the oldest make room for it."""
        self._expire(event.received_at)
        size = _size(event)
        if size > self.policy.pending_bytes or not self.policy.pending:
            self.displaced += 1
            return
        while len(self) >= self.policy.pending or self.held + size > self.policy.pending_bytes:
            self._drop_oldest()
            self.displaced += 1
        self._waiting[event_id] = event
        self.held += size

    def remember(self, event_id: str, y: Target) -> None:
        """Note which label an event had, so that a second one is known as such."""
        self._labeled.add(event_id, _mark(y))

    def find(self, label: Label, received_at: float) -> Waiting | None:
        """Return the event a label is for, or `None` if it was labeled so before.

        Changes nothing. Raises `LabelConflict` if it was labeled otherwise before, and
        `LabelNotAwaited` if it does not wait.
        """
        event = self._waiting.get(label.event_id)
        if event is not None and not self._is_old(event, received_at):
            return event
        mark = self._labeled.offset_of(label.event_id)
        if mark is None:
            raise LabelNotAwaited(
                f"event_id: got {label.event_id!r}, whose event does not wait for a label: it "
                "expired, made room for others, or was not learned from",
            )
        if mark != _mark(label.y):
            raise LabelConflict(
                f"y: got {label.y!r}, expected the label that the event had before: "
                "a stream learns once from each event"
            )
        return None

    def take(self, event_id: str, y: Target, received_at: float) -> None:
        """Let an event go whose label has come."""
        self.held -= _size(self._waiting.pop(event_id))
        self.remember(event_id, y)
        self.taken += 1
        self._expire(received_at)

    def _is_old(self, event: Waiting, now: float) -> bool:
        return now - event.received_at > self.policy.expire_seconds

    def _expire(self, now: float) -> None:
        while self._waiting and self._is_old(next(iter(self._waiting.values())), now):
            self._drop_oldest()
            self.expired += 1

    def _drop_oldest(self) -> None:
        self.held -= _size(self._waiting.pop(next(iter(self._waiting))))

    def resized(self, policy: LabelPolicy, remembered: int) -> Pending:
        """Return a table under another policy, with the newest of these events."""
        other = Pending(policy, remembered)
        for name in _COUNTS:
            setattr(other, name, getattr(self, name))
        other._labeled = self._labeled.resized(remembered)
        for event_id, event in self._waiting.items():
            other.hold(event_id, event)
        return other

    def held_bytes(self) -> int:
        """Return about how many bytes it holds."""
        return self.held + self._labeled.held_bytes()

    def report(self) -> dict[str, Any]:
        """Return what a client sees."""
        return {
            "pending": len(self),
            "pending_bytes": self.held,
            "taken": self.taken,
            "expired": self.expired,
            "displaced": self.displaced,
        }

    # State

    def get_state(self) -> Arrays:
        """Return events, oldest first, their ids being in their results; and what is counted."""
        events = list(self._waiting.values())
        results = b"".join(event.result for event in events)
        own: Arrays = {
            "times": np.array([(e.t, e.received_at) for e in events], np.float64).reshape(-1, 2),
            "lengths": np.array([len(event.result) for event in events], np.int64),
            "results": np.frombuffer(results, np.uint8).copy(),
            "counts": np.array([getattr(self, name) for name in _COUNTS], np.int64),
        }
        return own | self._labeled.get_state()

    def set_state(self, arrays: Mapping[str, Any]) -> None:
        """Take over a table, or raise `StateError` or `ValueError`."""
        fresh = Pending(self.policy, self._labeled.capacity)
        rest = dict(arrays)
        times, lengths, results, counts = (
            rest.pop(name) for name in ("times", "lengths", "results", "counts")
        )
        fresh._labeled.set_state(rest)
        _check_state(times, lengths, results, counts)
        for name, count in zip(_COUNTS, counts.tolist(), strict=True):
            setattr(fresh, name, count)
        body, begin = results.tobytes(), 0
        for (t, received_at), length in zip(times.tolist(), lengths.tolist(), strict=True):
            event = Waiting(t, received_at, body[begin : begin + length])
            event_id = event.foreseen().event_id
            fresh._waiting[event_id] = event
            fresh.held += _size(event)
            begin += length
        if len(fresh) != len(lengths) or len(fresh) > self.policy.pending:
            raise StateError(f"lengths: got {len(lengths)} events, expected fewer, each once")
        self.__dict__ = fresh.__dict__


def _check_state(times: Any, lengths: Any, results: Any, counts: Any) -> None:
    wanted = (
        ("times", times, np.float64, (len(lengths), 2)),
        ("lengths", lengths, np.int64, (len(lengths),)),
        ("results", results, np.uint8, (int(lengths.sum()),)),
        ("counts", counts, np.int64, (len(_COUNTS),)),
    )
    for name, array, dtype, shape in wanted:
        if array.dtype != dtype or array.shape != shape:
            raise StateError(
                f"{name}: got {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}"
                f"{list(shape)}"
            )
    if np.any(lengths < 0) or np.any(counts < 0) or not np.all(np.isfinite(times)):
        raise StateError("times, lengths, counts: expected finite times, and no negative count")


def _size(event: Waiting) -> int:
    return EVENT_BYTES + len(event.result)


def _mark(y: Target) -> int:
    """Return 63 bits that tell labels apart."""
    said = repr(y if isinstance(y, str) else float(y or 0.0)).encode()
    return int.from_bytes(blake2b(said, digest_size=8).digest(), "little") >> 1
