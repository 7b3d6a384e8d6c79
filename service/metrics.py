"""Metrics: counters kept as things happen, and the rest read when scraped."""

from __future__ import annotations

import heapq
import platform
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service import stream_series
from service.catalog import LEARNERS
from service.errors import ResultsExpired, SynaptideError
from service.formats import FORMAT
from service.journal.base import Journal, StreamRow
from service.latency import Latency
from service.peaks import Peaks
from service.stream_series import see
from service.version import VERSION

disable_created_metrics()  # type: ignore[no-untyped-call]

MAX_STREAMS = 500
STEP_SECONDS = (100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 1, 2.5)
TAKEOVER_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
CHECKPOINT_BYTES = tuple(4.0**power for power in range(5, 15))
_EOF = b"# EOF\n"

Encode = Callable[[CollectorRegistry], bytes]


class Memory(Protocol):
    """The learners that a worker holds in memory."""

    held_bytes: int
    limit_bytes: int

    def __len__(self) -> int:
        """Return how many they are."""


class Metrics:
    """Every counter of the process, in one registry of its own."""

    def __init__(self, max_streams: int = MAX_STREAMS) -> None:
        self.registry = CollectorRegistry()
        self.max_streams = max_streams
        self.peaks = Peaks()
        self._journal: Journal | None = None
        self._count_events()
        self._count_operations()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _count_events(self) -> None:
        self.ingested = self._counter(
            "events_ingested", "Events taken into the journal.", transport=("http", "websocket")
        )
        self.rejected = self._counter(
            "events_rejected",
            "Events not learned from; a body that is too large counts as one.",
            reason=("duplicate", "invalid", "refused", "throttled", "too_large"),
        )
        self.labels_ingested = self._counter(
            "labels_ingested", "Labels taken into the journal.", transport=("http", "websocket")
        )
        self.labels_rejected = self._counter(
            "labels_rejected",
            "Labels not learned from, by the code of the problem.",
            reason=(
                "duplicate",
                "invalid",
                "invalid-event",
                "label-conflict",
                "label-not-awaited",
                "labels-not-kept",
                "throttled",
                "unknown-event",
            ),
        )
        self.scored = self._counter(
            "events_scored", "Events applied, by kind of learner.", kind=LEARNERS
        )
        self.dead_lettered = self._counter(
            "events_dead_lettered",
            "Events set aside: refused by a learner, or it failed on them.",
            reason=("invalid", "raised"),
        )
        self.step_duration = Histogram(
            "synaptide_step_duration_seconds",
            "Time a learner takes for an event or a label, as the mean of the batch it came in.",
            ["kind"],
            buckets=STEP_SECONDS,
            registry=self.registry,
        )
        self.latency = Latency(("http", "websocket"))
        self.registry.register(self.latency)
        for kind in LEARNERS:
            self.step_duration.labels(kind=kind)

    def _count_operations(self) -> None:
        self.commits_rejected = self._counter(
            "commits_rejected",
            "Commits that failed, after which the worker began again.",
            reason=("failed", "fenced", "journal-unavailable", "phantom", "stale"),
        )
        self.lease_losses = self._counter("lease_losses", "Partitions lost to another worker.")
        self.dropped = self._counter(
            "subscriber_dropped_results",
            "Results a live subscriber was too slow for: they were no longer kept.",
        )
        self.requests = self._counter(
            "http_requests", "Requests answered.", method=(), route=(), status=()
        )
        self.sockets = Gauge(
            "synaptide_websocket_connections", "Open WebSockets.", registry=self.registry
        )
        self.takeover = Histogram(
            "synaptide_takeover_duration_seconds",
            "Time from owning a partition to applying its log.",
            buckets=TAKEOVER_SECONDS,
            registry=self.registry,
        )
        self.checkpoint_bytes = Histogram(
            "synaptide_checkpoint_bytes",
            "Size of the snapshots that workers take.",
            buckets=CHECKPOINT_BYTES,
            registry=self.registry,
        )
        self.last_checkpoint = Gauge(
            "synaptide_last_checkpoint_timestamp_seconds",
            "When a stream of the partition was last written as a snapshot, or else the start.",
            ["partition"],
            registry=self.registry,
        )
        Info("synaptide_build", "What is running.", registry=self.registry).info(
            {
                "version": VERSION,
                "python": platform.python_version(),
                "snapshot_format": str(FORMAT),
            }
        )

    def _counter(self, name: str, documentation: str, **labels: Collection[str]) -> Counter:
        """Make a counter; what is known to be counted begins at 0, so that rates see the first."""
        made = Counter(f"synaptide_{name}", documentation, tuple(labels), registry=self.registry)
        if len(labels) == 1:
            for value in next(iter(labels.values())):
                made.labels(value)
        return made

    # What happens

    def took(self, what: str, transport: str, entries: int) -> None:
        """Count events or labels taken into the journal."""
        counter = self.labels_ingested if what == "labels" else self.ingested
        counter.labels(transport=transport).inc(entries)

    def refused(self, what: str, reason: str, entries: int) -> None:
        """Count events or labels that were not learned from."""
        counter = self.labels_rejected if what == "labels" else self.rejected
        counter.labels(reason=reason).inc(entries)

    def stepped(self, kind: str, events: int, entries: int, seconds: float) -> None:
        """Count a batch of steps, of which some may have been labels."""
        self.scored.labels(kind=kind).inc(events)
        self.step_duration.labels(kind=kind).observe(seconds / entries)

    def missed(self, error: SynaptideError, after: int) -> None:
        """Count what a subscriber missed, if that is why it was cut off."""
        if isinstance(error, ResultsExpired):
            self.dropped.inc(max(0, error.facts["oldest"] - 1 - after))

    def checkpointed(self, partition: int, size_bytes: int) -> None:
        """Count a snapshot."""
        self.checkpoint_bytes.observe(size_bytes)
        self.last_checkpoint.labels(partition).set(time.time())

    # What is read when scraped

    def watch(self, journal: Journal, memories: Sequence[Memory]) -> None:
        """Report the journal, its streams and the learners in memory whenever scraped."""
        self._journal = journal
        self.registry.register(EngineCollector(journal, memories, self.max_streams))

    def owns(self, partition: int) -> None:
        """Note that this process applies a partition from now on."""
        self.last_checkpoint.labels(partition).set(time.time())

    def let_go(self, partition: int) -> None:
        """Note that this process does not apply a partition any more."""
        with suppress(KeyError):
            self.last_checkpoint.remove(partition)

    def rows(self, everywhere: bool = False) -> list[StreamRow]:
        """Return the streams that this process applies, or all; for the event loop's thread."""
        journal = self._journal
        if journal is None:
            return []
        owned, rows = journal.owned, journal.streams()
        if everywhere or len(owned) == len(journal.partitions):
            return rows
        return [row for row in rows if journal.partition_of(row.uid) in owned]

    def expose(
        self,
        encode: Encode,
        modern: bool,
        rows: Sequence[StreamRow],
        names: Collection[str] = (),
    ) -> bytes:
        """Return everything as text, or the series of the named streams and nothing else.

        For any thread: it reads what the event loop replaces but never changes.
        """
        whole = b"" if names else encode(self.registry).removesuffix(_EOF)
        chosen = [row for row in rows if row.name in names] if names else self.chosen(rows)
        streams = [see(row, self.peaks.of(row.uid)) for row in chosen]
        return whole + stream_series.text(streams, modern).encode() + (_EOF if modern else b"")

    def chosen(self, rows: Sequence[StreamRow]) -> Sequence[StreamRow]:
        """Return as many streams as may have series, those that matter most."""
        if len(rows) <= self.max_streams:
            return rows
        return heapq.nlargest(self.max_streams, rows, key=self._urgency)

    def _urgency(self, row: StreamRow) -> tuple[bool, float]:
        score = row.status.get("anomaly_score") or 0.0
        peak = self.peaks.of(row.uid) or 0.0
        return row.shown.get("learning") == "quarantined", max(score, peak)


class EngineCollector(Collector):
    """The journal's partitions, how many streams there are, and the memory of learners."""

    def __init__(self, journal: Journal, memories: Sequence[Memory], max_streams: int) -> None:
        self._journal = journal
        self._memories = memories
        self._max_streams = max_streams

    def collect(self) -> Iterator[Metric]:
        """Yield one family at a time."""
        journal, owned = self._journal, self._journal.owned
        for name, documentation, values in (
            (
                "lag_events",
                "Events in the journal that are not yet applied.",
                {each: journal.depth(each) for each in journal.partitions},
            ),
            (
                "owned",
                "1 for a partition that this process applies.",
                {each: int(each in owned) for each in journal.partitions},
            ),
            (
                "format",
                "The format that it takes to read the partition's snapshots.",
                {each: journal.needed(each) for each in journal.partitions},
            ),
            (
                "epoch",
                "How often the partition has had an owner; it fences off former ones.",
                owned,
            ),
        ):
            family = GaugeMetricFamily(
                f"synaptide_partition_{name}", documentation, labels=["partition"]
            )
            for partition, value in values.items():
                family.add_metric([str(partition)], value)
            yield family
        total, memories = self._journal.stream_count(), self._memories
        for name, documentation, value in (
            ("streams", "Streams that exist.", total),
            ("streams_in_memory", "Streams whose learner is in memory.", sum(map(len, memories))),
            (
                "streams_unreadable",
                "Streams that this build cannot bring back.",
                self._journal.held_count(),
            ),
            (
                "streams_not_exported",
                "Streams without series of their own, beyond the limit.",
                max(0, total - self._max_streams),
            ),
            (
                "learners_memory_bytes",
                "Memory that the learners in memory hold.",
                sum(each.held_bytes for each in memories),
            ),
            (
                "learners_memory_limit_bytes",
                "Memory beyond which the streams that were quiet longest are written out.",
                sum(each.limit_bytes for each in memories),
            ),
        ):
            yield GaugeMetricFamily(f"synaptide_{name}", documentation, value=value)
