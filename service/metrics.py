"""Metrics: counters kept as things happen, and a collector that reads live streams when scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.journal.base import Journal
from service.stream import Stream

disable_created_metrics()  # type: ignore[no-untyped-call]

MAX_STREAMS = 500
STEP_SECONDS = (100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 1, 2.5)

LiveStreams = Callable[[], Iterable[tuple[str, Stream]]]


class Metrics:
    """Every counter of the process, in one registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ingested = self._counter(
            "events_ingested", "Events taken into the journal.", "transport"
        )
        self.rejected = self._counter("events_rejected", "Events not learned from.", "reason")
        self.scored = self._counter("events_scored", "Events applied, by kind of learner.", "kind")
        self.dead_lettered = self._counter(
            "events_dead_lettered", "Events set aside because a learner failed on them.", "reason"
        )
        self.commits_rejected = self._counter(
            "commits_rejected", "Commits that failed, after which the worker began again.", "reason"
        )
        self.sockets = Gauge(
            "synaptide_websocket_connections", "Open WebSockets.", registry=self.registry
        )
        self.step_duration = Histogram(
            "synaptide_step_duration_seconds",
            "Time a learner takes for an event, as the mean of the batch it came in.",
            ["kind"],
            buckets=STEP_SECONDS,
            registry=self.registry,
        )

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"synaptide_{name}", documentation, labels, registry=self.registry)

    def stepped(self, kind: str, entries: int, seconds: float) -> None:
        """Count a batch of steps."""
        self.scored.labels(kind=kind).inc(entries)
        self.step_duration.labels(kind=kind).observe(seconds / entries)

    def watch(self, journal: Journal, live: LiveStreams) -> None:
        """Report the journal and the live streams whenever scraped."""
        self.registry.register(StreamCollector(journal, live))


class StreamCollector(Collector):
    """Reads the streams when asked, so that a deleted stream's series vanish by themselves."""

    def __init__(self, journal: Journal, live: LiveStreams) -> None:
        self._journal = journal
        self._live = live

    def collect(self) -> Iterator[Metric]:
        """Yield one family at a time."""
        yield GaugeMetricFamily(
            "synaptide_partition_lag_events",
            "Events in the journal that are not yet applied.",
            value=self._journal.depth(),
        )
        yield GaugeMetricFamily(
            "synaptide_streams", "Streams that exist.", value=len(self._journal.streams())
        )
        streams = dict(self._live())
        yield GaugeMetricFamily(
            "synaptide_streams_not_exported",
            "Live streams without series of their own, beyond the limit.",
            value=max(0, len(streams) - MAX_STREAMS),
        )
        loudest = sorted(streams.items(), key=lambda item: -(item[1].standing.anomaly_score or 0.0))
        yield from _families(dict(loudest[:MAX_STREAMS]))


def _families(streams: Mapping[str, Stream]) -> Iterator[Metric]:
    score = GaugeMetricFamily(
        "synaptide_anomaly_score", "Score of the last event, 0 to 1.", labels=["stream"]
    )
    threshold = GaugeMetricFamily(
        "synaptide_anomaly_threshold",
        "Score from which an event is an anomaly.",
        labels=["stream"],
    )
    anomalies = CounterMetricFamily(
        "synaptide_anomalies", "Events that were anomalies.", labels=["stream"]
    )
    offset = CounterMetricFamily(
        "synaptide_stream_events", "Events applied to the stream.", labels=["stream"]
    )
    newest = GaugeMetricFamily(
        "synaptide_stream_last_event_timestamp_seconds",
        "Time of the newest event.",
        labels=["stream"],
    )
    signal = GaugeMetricFamily(
        "synaptide_signal",
        "A learner's or an indicator's own signal.",
        labels=["stream", "signal"],
    )
    for name, stream in streams.items():
        if stream.standing.anomaly_score is not None:
            score.add_metric([name], stream.standing.anomaly_score)
        threshold.add_metric([name], stream.spec.threshold)
        anomalies.add_metric([name], stream.standing.anomalies)
        offset.add_metric([name], stream.offset)
        if stream.standing.newest is not None:
            newest.add_metric([name], stream.standing.newest)
        for key, value in stream.signals().items():
            signal.add_metric([name, key], value)
    yield from (score, threshold, anomalies, offset, newest, signal)
