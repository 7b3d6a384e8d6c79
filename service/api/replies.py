"""What the routes answer, as models: for the documentation alone, replies are written directly."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.schemas import Event, Label, StreamSpec
from service.stream import Learning
from service.tallies import Task
from service.tutor import Asked, PausedBy

Recovery = Literal["snapshot", "replay"]

_RESULT: dict[str, Any] = {
    "event_id": "reading-17",
    "offset": 389,
    "ts": "2026-01-01T12:00:00Z",
    "anomaly_score": 0.03,
    "raw_score": 0.25,
    "is_anomaly": False,
    "learning": "learning",
    "x": {"temperature": 21.5},
    "expected_values": {"temperature": 21.4},
    "forecast": [{"horizon": 1, "yhat": 21.6, "yhat_lower": 21.1, "yhat_upper": 22.0}],
    "digest": "0d5f9c3a7b1e4f6088a2d4c6e8f0a1b2",
}


class Answer(BaseModel):
    """Nothing but the declared fields."""

    model_config = ConfigDict(extra="forbid")


class Place(Answer):
    """What is wrong, and where."""

    pointer: str = Field(description="JSON Pointer into the event or the body; empty for all.")
    detail: str
    line: int | None = Field(None, description="Line or place of the event, counted from 1.")


class Problem(BaseModel):
    """A refusal, as RFC 9457 has it; some kinds carry facts of their own."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Place] = []
    instance: str | None = None
    line: int | None = None

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:synaptide:problem:invalid-input",
                    "title": "The request does not say what it must",
                    "status": 422,
                    "detail": "/x: Field required",
                    "code": "invalid-input",
                    "errors": [{"pointer": "/x", "detail": "Field required"}],
                }
            ]
        },
    )


class Forecast(Answer):
    """The value expected some events ahead, and the band around it."""

    horizon: int
    yhat: float | None
    yhat_lower: float | None
    yhat_upper: float | None


class DriftView(Answer):
    """A change of distribution that an indicator found."""

    detector: str
    watch: str = Field(description="`score`, `error`, or `x.` and the name of a feature.")
    before: float
    after: float
    size: float = Field(description="`after` less `before`.")


class Result(Answer):
    """What the learner thought of an event before it learned from it, and the receipt."""

    event_id: str
    offset: int = Field(ge=1, description="How many events the stream has applied with this one.")
    ts: datetime
    anomaly_score: float | None = Field(ge=0, le=1, description="null while the stream warms up.")
    raw_score: float | None = Field(description="In the learner's own scale.")
    is_anomaly: bool
    learning: Learning
    paused_by: PausedBy | None = Field(None, description="Why the event was not learned from.")
    x: dict[str, float | str | None] = Field(description="What was observed.")
    y: float | str | None = Field(None, description="The label, if it came with the event.")
    prediction: float | str | None = None
    proba: dict[str, float | None] | None = None
    expected_values: dict[str, float | None] | None = None
    forecast: list[Forecast] | None = None
    drift: list[DriftView] = Field([], description="Changes that this event revealed.")
    late: bool = False
    quality: dict[str, float | None] | None = Field(
        None, description="Prequential quality with this labeled event; not part of the digest."
    )
    digest: str = Field(description="Chained over every event and result of the stream.")
    duplicate: bool = Field(False, description="The first result of an id that came again.")

    model_config = ConfigDict(json_schema_extra={"examples": [_RESULT]})


class Duplicate(Answer):
    """An event whose id came before, and whose first result is no longer kept."""

    event_id: str
    offset: int
    duplicate: Literal[True]


class Labeled(Answer):
    """What a label came to: where its event stands, what was predicted then, and the receipt."""

    event_id: str
    offset: int = Field(ge=1, description="The event's.")
    y: float | str
    prediction: float | str | None = Field(None, description="What was predicted of the event.")
    learned: bool = Field(
        description="Whether the learner took it; if not, it was only judged by it."
    )
    drift: list[DriftView] = Field([], description="Changes of the error that it revealed.")
    quality: dict[str, float | None] | None = Field(
        None, description="Prequential quality with this label; not part of the digest."
    )
    digest: str = Field(description="Chained over every entry of the stream.")


class LabeledBefore(Answer):
    """A label whose event had the same one before; nothing was learned again."""

    event_id: str
    y: float | str
    duplicate: Literal[True]


class Accepted(Answer):
    """How many events or labels were taken, where what came of them was not waited for."""

    accepted: int
    refused: list[Problem] = []


class ResultsPage(Answer):
    """Results in order."""

    results: list[Result]
    next: int = Field(description="The `after` of the next page.")


class Mark(Answer):
    """An event worth finding again: an anomaly or a drift."""

    event_id: str
    offset: int
    ts: datetime
    anomaly_score: float | None = None
    detector: str | None = None
    watch: str | None = None
    before: float | None = None
    after: float | None = None
    size: float | None = None


class Observed(Answer):
    """The first feature of the newest event beside what was forecast of it."""

    feature: str
    observed: float | None
    yhat: float | None
    yhat_lower: float | None
    yhat_upper: float | None


class Confusion(Answer):
    """What was taken for what: a row for each true class, a column for each that was predicted."""

    classes: list[float | str] = Field(description="Rows and columns; the 20 most frequent.")
    overall: list[list[int]]
    window: list[list[int]]
    latest: list[list[int]]
    others: dict[str, int] = Field(description="Events the tables leave out.")


class JudgedConfusion(Answer):
    """What was taken for what, overall and over the window."""

    classes: list[float | str] = Field(description="Rows and columns; the 20 most frequent.")
    overall: list[list[int]]
    window: list[list[int]]
    others: dict[str, int] = Field(description="Events the tables leave out.")


class Quality(Answer):
    """Prequential figures, by name."""

    task: Task | None = Field(description="What the labels judge; null before the first label.")
    overall: dict[str, float | None]
    window: dict[str, float | None] = Field(description="Over the last 1000 labeled events.")
    latest: dict[str, float | None] = Field({}, description="Over the last 100.")
    confusion: Confusion | None = None


class Judged(Answer):
    """Prequential quality, and of how many events."""

    task: Task | None
    overall: dict[str, float | None]
    window: dict[str, float | None] = Field(description="Over the last `window_size`.")
    confusion: JudgedConfusion | None = None

    events: int
    labeled: int
    window_size: int


class LabelsView(Answer):
    """Events that wait for their label, and what became of others."""

    pending: int = Field(description="Events that wait.")
    pending_bytes: int
    taken: int = Field(description="Labels that came after their event and were taken.")
    expired: int = Field(description="Events whose label did not come in time.")
    displaced: int = Field(description="Events that made room for newer ones.")


class Governed(Answer):
    """What was asked of a stream's learning, and why nothing is learned, if so."""

    asked: Asked
    paused_by: PausedBy | None


class Status(Answer):
    """What a stream is doing; without the details before its first event."""

    learning: Learning = "warming"
    reason: str | None = Field(None, description="Why the stream cannot be brought back, if so.")
    governor: Governed | None = None
    anomaly_score: float | None = None
    raw_score: float | None = None
    is_anomaly: bool = False
    anomalies: int = 0
    newest_ts: datetime | None = None
    received_at: datetime | None = None
    last_anomaly: Mark | None = None
    drifts: dict[str, int] = Field({}, description="How many were found, by detector.")
    last_drift: Mark | None = None
    forecast: Observed | None = None
    recent: list[float | None] = Field([], description="The last scores, oldest first.")
    labeled: int = 0
    quality: Quality | None = None
    labels: LabelsView | None = Field(None, description="Absent if the stream keeps none.")
    signals: dict[str, float] = {}


class StreamView(Answer):
    """A stream: what it is, and where it stands."""

    name: str
    spec: StreamSpec | dict[str, Any] = Field(description="As stored.")
    version: int = Field(description="Raised with every change of the spec; also the ETag.")
    created_at: datetime
    offset: int
    digest: str
    memory_bytes_estimate: int = Field(description="0 if this build cannot read the spec.")
    recovery: Recovery
    status: Status


class Streams(Answer):
    """Every stream, by name."""

    streams: list[StreamView]


class Glance(Answer):
    """What a list of streams shows of one."""

    name: str
    title: str | None
    kind: str
    threshold: float
    state: Learning
    offset: int
    anomaly_score: float | None
    is_anomaly: bool
    anomalies: int
    newest_ts: datetime | None
    received_at: datetime | None
    drifts: int
    last_anomaly: Mark | None
    last_drift: Mark | None
    silence_after_seconds: float | None
    recent: list[float | None]


class Overview(Answer):
    """What changed since a cursor."""

    cursor: str = Field(description="The `since` of the next request.")
    full: bool = Field(description="Whether `streams` holds all there are.")
    now: datetime
    total: int
    gone: list[str]
    streams: list[Glance]


class TemplateView(Answer):
    """A template."""

    name: str
    pattern: str
    spec: StreamSpec | dict[str, Any] = Field(description="As stored.")
    created_at: datetime
    memory_bytes_estimate: int
    recovery: Recovery


class Templates(Answer):
    """Every template, by name."""

    templates: list[TemplateView]


class Estimate(Answer):
    """What a stream would take."""

    memory_bytes_estimate: int
    max_stream_bytes: int
    recovery: Recovery


class SnapshotPlace(Answer):
    """The newest snapshot."""

    id: int
    offset: int


class State(Status):
    """What a stream is doing, with its receipt."""

    offset: int
    digest: str
    last_snapshot: SnapshotPlace | None


class Changed(Answer):
    """A command that was carried out, and where the stream then stood."""

    command: Literal["restore", "learning"]
    offset: int
    digest: str
    size_bytes: int


class SnapshotTaken(Answer):
    """A snapshot that was asked for."""

    id: int
    offset: int
    digest: str
    size_bytes: int


class SnapshotView(Answer):
    """A snapshot without its bytes."""

    id: int
    offset: int
    size_bytes: int
    kept: bool = Field(description="Asked for, and so kept until the stream is deleted.")
    created_at: datetime


class Snapshots(Answer):
    """A stream's snapshots, newest first."""

    snapshots: list[SnapshotView]


class DeadLetterView(Answer):
    """An event or a label that could not be applied."""

    reason: Literal["invalid", "late", "raised"]
    detail: str
    event: Event | str | None = Field(
        None, description="As text, if it could not be read from the log."
    )
    label: Label | None = None
    received_at: datetime


class DeadLetters(Answer):
    """Events and labels that could not be applied, oldest first."""

    dead_letters: list[DeadLetterView]


class Health(Answer):
    """The process answers, or is ready."""

    status: Literal["alive", "ready"]


class VersionView(Answer):
    """What is running."""

    version: str
    python: str
    snapshot_format: int


def _problems(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": _problems("Refused; the problem says why, and where."),
    "5XX": _problems("Not now: starting, stopping, or the disk is full; or a mistake of ours."),
}
"""What every route may answer instead."""
