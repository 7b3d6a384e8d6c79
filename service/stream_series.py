"""The series of each stream, written as text when scraped.

They are read from the journal's rows, so that a stream that is quiet, and not in memory, keeps its
series, and a deleted one loses them. prometheus_client needs some 6 microseconds a sample, which
hundreds of streams with dozens of samples would make a third of a second; plain strings do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Literal

from service.catalog import INDICATORS
from service.journal.base import StreamRow
from service.specs import shown_spec

STATES = ("warming", "learning", "paused", "quarantined")
MAX_SIGNALS = 32
"""Of a stream: some indicators have one for each feature."""
MAX_EXEMPLAR_CHARACTERS = 128
"""Of the names and values of an exemplar's labels together, says OpenMetrics."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What series take from a spec."""

    threshold: float
    detectors: dict[str, int]
    """The detectors of drift, each with the count it begins with."""


@lru_cache(maxsize=16_384)
def _facts(spec: bytes) -> Facts:
    said = shown_spec(spec)
    kinds = [each.get("kind") for each in said["indicators"] if isinstance(each, dict)]
    detectors = [getattr(INDICATORS.get(str(kind)), "detector", None) for kind in kinds]
    return Facts(float(said["threshold"]), {each: 0 for each in detectors if each is not None})


@dataclass(slots=True)
class Seen:
    """A stream as a scrape sees it."""

    name: str
    offset: int
    facts: Facts
    status: Mapping[str, Any]
    peak: float | None


def see(row: StreamRow, peak: float | None) -> Seen:
    """Read a row once, because the event loop may write to it meanwhile."""
    return Seen(row.name, row.offset, _facts(row.spec), row.shown, peak)


Sample = tuple[str, float | None]
"""Labels besides the stream's, as text that begins with a comma, and a value."""
Samples = Callable[[Seen], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric of streams: its name, and how its samples are found."""

    name: str
    kind: Literal["gauge", "counter"]
    documentation: str
    samples: Samples

    def lines(self, streams: Sequence[Seen], modern: bool) -> Iterator[str]:
        """Write the family in the text format, or if `modern` in that of OpenMetrics."""
        suffix = "_total" if self.kind == "counter" else ""
        full = f"synaptide_{self.name}{suffix}"
        shown = f"synaptide_{self.name}" if modern else full
        yield f"# HELP {shown} {self.documentation}\n# TYPE {shown} {self.kind}\n"
        exemplars = modern and self.name == "anomalies"
        for stream in streams:
            begin = f'{full}{{stream="{stream.name}"'
            tail = _exemplar(stream) if exemplars else ""
            for labels, value in self.samples(stream):
                if value is not None and math.isfinite(value):
                    yield f"{begin}{labels}}} {value!r}{tail}\n"


def text(streams: Sequence[Seen], modern: bool) -> str:
    """Return the series of streams."""
    return "".join(line for family in FAMILIES for line in family.lines(streams, modern))


def exemplar_labels(event_id: str, stream: str) -> dict[str, str] | None:
    """Return what leads from a metric to an event, as far as there is room for it.

    An id with characters to be escaped has none: not every reader of OpenMetrics gets that right.
    """
    room = MAX_EXEMPLAR_CHARACTERS - len("event_id") - len(event_id)
    if room < 0 or '"' in event_id or "\\" in event_id:
        return None
    named = {"event_id": event_id}
    return named | {"stream": stream} if room >= len("stream") + len(stream) else named


def _exemplar(stream: Seen) -> str:
    """Return the exemplar that names the newest anomaly."""
    anomaly = stream.status.get("last_anomaly")
    labels = anomaly and exemplar_labels(str(anomaly["event_id"]), stream.name)
    if not labels:
        return ""
    said = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f" # {{{said}}} 1.0"


@lru_cache(maxsize=4_096)
def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f',{name}="{escaped}"'


# How samples are found


def _status(key: str, seen: Seen) -> Iterable[Sample]:
    return (("", seen.status.get(key)),)


def _count(key: str, seen: Seen) -> Iterable[Sample]:
    return (("", seen.status.get(key, 0)),)


def _forecast(key: str, seen: Seen) -> Iterable[Sample]:
    return (("", (seen.status.get("forecast") or {}).get(key)),)


def _time(key: str, seen: Seen) -> Iterable[Sample]:
    said = seen.status.get(key)
    return (("", None if said is None else datetime.fromisoformat(said).timestamp()),)


def _drifts(seen: Seen) -> Iterable[Sample]:
    for detector, count in (seen.facts.detectors | seen.status.get("drifts", {})).items():
        yield _label("detector", detector), count


def _labels(key: str, seen: Seen) -> Iterable[Sample]:
    return (("", (seen.status.get("labels") or {}).get(key)),)


def _signals(seen: Seen) -> Iterable[Sample]:
    for name, value in islice(seen.status.get("signals", {}).items(), MAX_SIGNALS):
        yield _label("signal", name), value


def _quality(seen: Seen) -> Iterable[Sample]:
    quality = seen.status.get("quality") or {}
    for scope in ("overall", "window"):
        for metric, value in quality.get(scope, {}).items():
            yield _label("metric", metric) + _label("scope", scope), value


def _error_ratio(seen: Seen) -> Iterable[Sample]:
    accuracy = ((seen.status.get("quality") or {}).get("window") or {}).get("accuracy")
    return (("", None if accuracy is None else 1.0 - accuracy),)


def _learning(seen: Seen) -> Iterable[Sample]:
    state = seen.status.get("learning", "warming")
    return ((_label("state", each), float(each == state)) for each in STATES)


def _should_stop(seen: Seen) -> Iterable[Sample]:
    said = seen.status.get("signals", {}).get("should_stop", 0.0)
    return (("", float(said > 0 or seen.status.get("learning") == "paused")),)


FAMILIES = (
    Family(
        "anomaly_score",
        "gauge",
        "Score of the last event, 0 to 1.",
        partial(_status, "anomaly_score"),
    ),
    Family(
        "anomaly_score_max",
        "gauge",
        "Highest score of the last 60 to 70 seconds, so that no scrape misses a spike.",
        lambda seen: (("", seen.peak),),
    ),
    Family(
        "anomaly_threshold",
        "gauge",
        "Score from which an event is an anomaly.",
        lambda seen: (("", seen.facts.threshold),),
    ),
    Family("anomalies", "counter", "Events that were anomalies.", partial(_count, "anomalies")),
    Family(
        "stream_events",
        "counter",
        "Events applied to the stream.",
        lambda seen: (("", seen.offset),),
    ),
    Family(
        "stream_last_event_timestamp_seconds",
        "gauge",
        "When the service received the newest event.",
        partial(_time, "received_at"),
    ),
    Family(
        "stream_newest_event_time_seconds",
        "gauge",
        "The newest event's own time, which may lie far back when history is replayed.",
        partial(_time, "newest_ts"),
    ),
    Family(
        "learning_state",
        "gauge",
        "1 for what the stream is doing, 0 for the other states.",
        _learning,
    ),
    Family(
        "stream_should_stop",
        "gauge",
        "1 while early stopping holds that learning does not pay.",
        _should_stop,
    ),
    Family(
        "observed",
        "gauge",
        "Value of the first feature in the last event.",
        partial(_forecast, "observed"),
    ),
    Family(
        "prediction",
        "gauge",
        "What was predicted of that value, one event ahead.",
        partial(_forecast, "yhat"),
    ),
    Family(
        "prediction_lower",
        "gauge",
        "Lower end of the band predicted for that value.",
        partial(_forecast, "yhat_lower"),
    ),
    Family(
        "prediction_upper",
        "gauge",
        "Upper end of the band predicted for that value.",
        partial(_forecast, "yhat_upper"),
    ),
    Family("drifts_detected", "counter", "Drifts, by detector.", _drifts),
    Family(
        "labeled_events", "counter", "Events judged by their label.", partial(_count, "labeled")
    ),
    Family(
        "labels_pending",
        "gauge",
        "Events that wait for their label.",
        partial(_labels, "pending"),
    ),
    Family(
        "labels_taken",
        "counter",
        "Labels that came after their event and were taken.",
        partial(_labels, "taken"),
    ),
    Family(
        "labels_expired",
        "counter",
        "Events whose label did not come in time.",
        partial(_labels, "expired"),
    ),
    Family(
        "labels_displaced",
        "counter",
        "Events that no longer wait for a label because newer ones do.",
        partial(_labels, "displaced"),
    ),
    Family(
        "quality",
        "gauge",
        "Prequential quality over all labeled events or over the last 1000.",
        _quality,
    ),
    Family(
        "stream_error_rolling_ratio",
        "gauge",
        "Share of the last 1000 labeled events that were given the wrong class.",
        _error_ratio,
    ),
    Family(
        "signal",
        "gauge",
        "A learner's or an indicator's own signal.",
        _signals,
    ),
)
