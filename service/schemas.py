"""Wire types: what clients send, what the log holds, and how both are read and written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from service import catalog
from service.errors import InvalidInput, MalformedBody, UnknownKind

MAX_FEATURES = 1_000
STREAM_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"


def _to_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("time is outside the years 1 to 9999 in UTC") from None


EventId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^@\x00-\x1f]")]
AnyEventId = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")
]
"""Also one that a stream gave."""
FeatureName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=1_000)]
Moment = Annotated[datetime, Strict(False), AfterValidator(_to_utc)]


class Wire(BaseModel):
    """Strict by default: no unknown fields, no coercion, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    def to_json(self) -> bytes:
        """Return the canonical bytes: fields in declared order, absent ones left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class Event(Wire):
    """One observation of a stream."""

    id: EventId | None = Field(
        default=None, description="Yours; the same id again is answered, not learned from again."
    )
    ts: Moment | None = Field(
        default=None,
        description="When it happened: RFC 3339, UTC if it has no zone, or Unix seconds "
        "(milliseconds above 2e10). Absent: when the service received it.",
    )
    x: Annotated[
        dict[FeatureName, float | Text | None], Field(min_length=1, max_length=MAX_FEATURES)
    ] = Field(description="Features by name; null is a missing value.")
    y: float | Text | None = Field(default=None, description="The label, if it is known already.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"ts": "2014-07-01T00:00:00Z", "x": {"passengers": 10844}},
                {"id": "reading-17", "x": {"temperature": 21.5, "valve": "open"}, "y": "ok"},
            ]
        }
    )


class Label(Wire):
    """What was true of an event, said after it."""

    event_id: AnyEventId = Field(
        description="The event's own id, or the `event_id` of the answer to it."
    )
    y: float | Text = Field(description="The label.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"event_id": "reading-17", "y": "ok"}]}
    )


class EventsFrame(Wire):
    """Events sent over a WebSocket, with a number that the results will carry."""

    type: Literal["events"]
    seq: int = Field(ge=-(2**63), lt=2**63)
    events: list[Event]


class Command(Wire):
    """A change to a stream that is not an event; it takes its place in the log."""

    command: Literal["restore", "configure", "resume", "snapshot", "revive", "learning"]
    snapshot: int | None = None
    spec: dict[str, Any] | None = None
    state: Literal["learning", "paused", "auto"] | None = None


class Damaged:
    """A line of the log that this build cannot read."""

    id = None

    def __init__(self, line: bytes, reason: str) -> None:
        self.line, self.reason = line, reason

    def to_json(self) -> bytes:
        """Return the line as it is, whatever it is."""
        return self.line


Entry = Event | Label | Command | Damaged


class LatePolicy(Wire):
    """What becomes of an event whose time lies before the newest one seen."""

    tolerance_seconds: float = Field(default=0.0, ge=0)
    policy: Literal["scored_only", "rejected"] = "scored_only"


class LabelPolicy(Wire):
    """How many events wait for a label that comes after them, and how long."""

    pending: int = Field(
        default=10_000, ge=0, le=1_000_000, description="Events; the oldest make room. 0: none."
    )
    pending_bytes: int = Field(
        default=16 << 20, ge=0, le=1 << 34, description="Bytes they take; the oldest make room."
    )
    expire_seconds: float = Field(
        default=7 * 86_400.0, gt=0, description="From the event's receipt to its label's."
    )


class PausePolicy(Wire):
    """When learning pauses by itself, told by labels that are never learned from."""

    canary_every: int = Field(
        default=10, ge=2, le=1_000, description="One label in so many is a canary's."
    )
    block_losses: int = Field(
        default=1_000, ge=20, le=10_000_000, description="Labels between two decisions."
    )
    rise: float = Field(
        default=2.5,
        gt=0,
        le=100,
        description="Standard errors by which canaries must have got worse than the rest.",
    )
    resume: float = Field(
        default=4.0, gt=0, le=100, description="Standard errors of a rise that ends a pause."
    )
    probe_blocks: int = Field(
        default=20, ge=0, le=1_000_000, description="Paused blocks before a probe; 0: none."
    )
    correlation: float = Field(
        default=0.5, ge=0, lt=1, description="Above which rules fire for one cause."
    )
    watch: Literal["label", "score"] = Field(
        default="label", description="What the loss is: of the label, or the learner's own score."
    )

    def values(self) -> dict[str, Any]:
        """Return the parameters of the governor."""
        return self.model_dump(exclude={"watch"})


class HoldPolicy(Wire):
    """How long what comes during an incident is kept from becoming normal."""

    limit_seconds: float = Field(
        default=259_200.0, gt=0, le=1e9, description="At most, in the events' own time."
    )
    limit_events: int = Field(default=10_000, ge=1, le=1_000_000_000, description="At most.")
    release_events: int = Field(
        default=12, ge=1, le=1_000_000, description="Events in a row without anomaly that end it."
    )


class GovernorPolicy(Wire):
    """What keeps a stream from learning; by default nothing but a request."""

    pause: PausePolicy | None = Field(
        default=None, description="Pause when learning harms; `{}` is by default."
    )
    hold: HoldPolicy | None = Field(
        default=None, description="Hold while the stream is anomalous; `{}` is by default."
    )


class StreamSpec(Wire):
    """What a stream is: its learner, the indicators over it, and when a score is an anomaly."""

    learner: catalog.LearnerParams
    indicators: list[catalog.IndicatorParams] = Field(
        default_factory=catalog.default_indicators, max_length=8
    )
    threshold: float = Field(
        default=0.5, ge=0, le=1, description="`is_anomaly` is `anomaly_score >= threshold`."
    )
    title: Text | None = Field(default=None, description="A name for people.")
    late: LatePolicy = Field(default_factory=LatePolicy)
    duplicates_remembered: int = Field(default=4_096, ge=0, le=1_000_000)
    snapshot_every_events: int = Field(default=10_000, ge=1)
    labels: LabelPolicy | None = Field(
        default=None,
        description="How events wait for their labels. Absent: as by default if the learner learns "
        "from labels, and else not at all.",
    )
    calibrate: bool = Field(
        default=False,
        description="Whether probabilities are brought, label by label, to what comes true.",
    )

    governor: GovernorPolicy | None = Field(
        default=None, description="When it does not learn. Absent: it always does."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"learner": {"kind": "sequence_memory"}},
                {"learner": {"kind": "rolling_zscore", "window": 500}, "threshold": 0.6},
            ]
        }
    )

    def to_json(self) -> bytes:
        """Return the whole spec, defaults written out, so that a later default changes nothing."""
        return self.__pydantic_serializer__.to_json(self)


_read_event = Event.__pydantic_validator__.validate_json
_read_events = TypeAdapter(list[Event]).validator.validate_json
_read_label = Label.__pydantic_validator__.validate_json
_read_labels = TypeAdapter(list[Label]).validator.validate_json
_read_frame = EventsFrame.__pydantic_validator__.validate_json
_read_command = Command.__pydantic_validator__.validate_json


def parse_event(line: bytes) -> Event:
    """Read one event as a client sent it, or raise `InvalidInput`."""
    try:
        event: Event = _read_event(line)
    except ValidationError as error:
        raise invalid(error) from None
    if line.count(b":") != _tidy(event) or b"\\" in line:
        _refuse_duplicate_keys(line)
    return event


def parse_events(body: bytes) -> list[Event] | None:
    """Read an array of events at one go, or return `None` if it takes a closer look."""
    try:
        events = _read_events(body)
    except ValidationError:
        return None
    plain = body.count(b":") == sum(map(_tidy, events)) and b"\\" not in body
    return events if plain else None


def parse_label(line: bytes) -> Label:
    """Read one label as a client sent it, or raise `InvalidInput`."""
    try:
        label: Label = _read_label(line)
    except ValidationError as error:
        raise invalid(error) from None
    if line.count(b":") != _colons(label) or b"\\" in line:
        _refuse_duplicate_keys(line)
    return label


def parse_labels(body: bytes) -> list[Label] | None:
    """Read an array of labels at one go, or return `None` if it takes a closer look."""
    try:
        labels = _read_labels(body)
    except ValidationError:
        return None
    plain = body.count(b":") == sum(map(_colons, labels)) and b"\\" not in body
    return labels if plain else None


def _colons(label: Label) -> int:
    """Return how many colons its text has if no key stands twice and none is escaped."""
    return 2 + label.event_id.count(":") + (label.y.count(":") if type(label.y) is str else 0)


def parse_frame(text: bytes) -> EventsFrame | None:
    """Read a frame of events at one go, or return `None` if it takes a closer look."""
    try:
        frame: EventsFrame = _read_frame(text)
    except ValidationError:
        return None
    plain = text.count(b":") == 3 + sum(map(_tidy, frame.events)) and b"\\" not in text
    return frame if plain else None


def _tidy(event: Event) -> int:
    """Sort the features, so that an event is the same however it was written.

    Return how many colons its text has if no key stands twice and none is escaped.
    """
    features = event.x
    count = len(event.__pydantic_fields_set__) + len(features)
    if len(features) > 1:
        event.x = dict(sorted(features.items()))
    for name, value in features.items():
        count += name.count(":")
        if type(value) is str:
            count += value.count(":")
    # The only time whose text has a known number of colons is one written as a number.
    if event.ts is not None:
        count += 2
    if event.id is not None:
        count += event.id.count(":")
    if type(event.y) is str:
        count += event.y.count(":")
    return count


def _refuse_duplicate_keys(line: bytes) -> None:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        if len(set(keys)) < len(keys):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            detail = f"keys: got {', '.join(map(repr, twice))} more than once, expected each once"
            raise InvalidInput(detail, errors=[{"pointer": "", "detail": detail}])
        return dict(items)

    json.loads(line, object_pairs_hook=pairs)


def parse_spec(body: bytes) -> StreamSpec:
    """Read a stream's spec as a client sent it, or raise `InvalidInput`."""
    try:
        spec = StreamSpec.model_validate_json(body)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["type"] in {"union_tag_invalid", "union_tag_not_found"}:
                known = catalog.kinds(str(item["loc"][0]))
                raise UnknownKind(
                    f"{item['loc'][0]}.kind: got {item.get('ctx', {}).get('tag', 'nothing')!r}, "
                    f"expected one of {', '.join(known)}",
                    errors=_items(error),
                    known=known,
                ) from None
        raise invalid(error) from None
    _refuse_duplicate_keys(body)
    return spec


def invalid(error: ValidationError) -> InvalidInput:
    """Say what pydantic found in our own words, and never echo the input back whole."""
    items = _items(error)
    first = items[0]
    kind = MalformedBody if error.errors(include_url=False)[0]["type"] == "json_invalid" else None
    where = first["pointer"] or "body"
    return (kind or InvalidInput)(f"{where}: {first['detail']}", errors=items)


def _items(error: ValidationError) -> list[dict[str, Any]]:
    said: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False)[:20]:
        said.setdefault(_pointer(item["loc"]), []).append(item["msg"])
    return [{"pointer": pointer, "detail": "; ".join(details)} for pointer, details in said.items()]


_BRANCHES = {
    "learner": slice(1, 2),
    "indicators": slice(2, 3),
    "x": slice(2, None),
    "y": slice(1, None),
}
"""Where a place names, beside the way through the JSON, the type that was tried."""


def _pointer(place: Sequence[int | str]) -> str:
    """Return the JSON Pointer (RFC 6901) of a place."""
    parts = list(place)
    if parts and parts[0] in _BRANCHES:
        del parts[_BRANCHES[str(parts[0])]]
    return "".join(f"/{_escape(part)}" for part in parts)


def _escape(part: object) -> str:
    text = str(part)
    shown = text if len(text) <= 100 else text[:100] + "…"
    return shown.replace("~", "~0").replace("/", "~1")


def encode_entry(entry: Entry) -> bytes:
    """Return the entry as one line of the log."""
    return entry.to_json()


def decode_entry(line: bytes) -> Entry:
    """Read one line of the log; one that cannot be read comes back as `Damaged`."""
    try:
        return _decode(line)
    except ValidationError as error:
        return Damaged(line, invalid(error).detail)


def _decode(line: bytes) -> Entry:
    if line.startswith(b'{"command"'):
        command: Command = _read_command(line)
        return command
    if line.startswith(b'{"event_id"'):
        label: Label = _read_label(line)
        return label
    event: Event = _read_event(line)
    return event
