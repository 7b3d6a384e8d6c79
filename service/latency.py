"""How long answers take: a histogram on the way of every request, so all it does is count."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import Exemplar, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.stream_series import exemplar_labels

BOUNDS = (1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SHOWN = (*(str(float(bound)) for bound in BOUNDS), "+Inf")
_EVENT_ID = b'{"event_id":"'

Slow = tuple[bytes, str, float, float]
"""The last result of a request, its stream, the seconds it took, and when."""


class Latency(Collector):
    """Counts by transport. Exemplars are made of the newest answer in a bucket when scraped."""

    def __init__(self, transports: Sequence[str]) -> None:
        buckets = len(BOUNDS) + 1
        self._counts = {each: [0] * buckets for each in transports}
        self._newest: dict[str, list[Slow | None]] = {each: [None] * buckets for each in transports}
        self._seconds = dict.fromkeys(transports, 0.0)

    def observe(self, transport: str, stream: str, line: bytes, seconds: float) -> None:
        """Take in how long a request took whose last result this is."""
        bucket = bisect_left(BOUNDS, seconds)
        self._counts[transport][bucket] += 1
        self._newest[transport][bucket] = (line, stream, seconds, time.time())
        self._seconds[transport] += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the histogram."""
        family = HistogramMetricFamily(
            "synaptide_event_latency_seconds",
            "Time from an event's acceptance to its result, once for each request or frame.",
            labels=["transport"],
        )
        for transport, counts in self._counts.items():
            total, buckets = 0, list[tuple[str, float] | tuple[str, float, Exemplar]]()
            for bound, count, newest in zip(_SHOWN, counts, self._newest[transport], strict=True):
                total += count
                exemplar = _exemplar(newest)
                buckets.append((bound, total) if exemplar is None else (bound, total, exemplar))
            family.add_metric([transport], buckets, self._seconds[transport])
        yield family


def _exemplar(slow: Slow | None) -> Exemplar | None:
    """Return what names the event of an answer, unless it was refused."""
    if slow is None or not slow[0].startswith(_EVENT_ID):
        return None
    line, stream, seconds, moment = slow
    event_id = line[len(_EVENT_ID) : line.index(b'"', len(_EVENT_ID))]
    labels = exemplar_labels(event_id.decode(), stream)
    return None if labels is None else Exemplar(labels, seconds, moment)
