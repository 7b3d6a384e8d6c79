"""The command `replay`: a file's events, posted to a stream of a running service."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from service.client import Client, is_refused
from service.commands import read_spec
from service.progress import Tick, progress
from service.rows import EventFile, InputError, Row
from service.transport import Json, Problem

BATCH_EVENTS = 500


@dataclass(slots=True)
class Summary:
    """What a replay came to."""

    events: int = 0
    """Events that were answered with a result."""
    seconds: float = 0.0
    events_per_second: float = 0.0
    anomalies: int = 0
    refused: int = 0
    duplicates: int = 0
    digest: str = ""


def replay(arguments: argparse.Namespace) -> int:
    """Post the events, say which were refused, and print the summary."""
    spec = None if arguments.spec is None else read_spec(arguments.spec)
    with (
        EventFile(arguments.file, arguments.value, arguments.timestamp) as rows,
        Client(arguments.url) as client,
    ):
        ensure_stream(client, arguments.stream, spec)
        chunks = chunked(rows, None if arguments.speed is None else Pace(arguments.speed))
        if arguments.ids:
            chunks = ([_with_id(row, arguments.file) for row in chunk] for chunk in chunks)
        with progress(arguments.stream, rows.size) as tick:
            summary = _post(client, arguments, rows, chunks, tick)
    print(json.dumps(asdict(summary)))
    return 2 if summary.refused else 0


def ensure_stream(client: Client, name: str, spec: Json | None) -> None:
    """Make the stream if it is not there, and hold one that is to the spec if one is given."""
    if spec is None:
        try:
            client.stream(name)
        except Problem as problem:
            if problem.status != 404:
                raise
        else:
            return
    client.create_stream(name, read_spec(None) if spec is None else spec)


def _post(
    client: Client,
    arguments: argparse.Namespace,
    rows: EventFile,
    chunks: Iterable[list[Row]],
    tick: Tick,
) -> Summary:
    summary = Summary()
    begun = time.monotonic()
    for chunk in chunks:
        events = (row.event for row in chunk)
        results = client.post_ndjson(arguments.stream, events, batch=len(chunk))
        for row, result in zip(chunk, results, strict=True):
            _count(summary, result, f"{arguments.file}:{row.line}")
        tick(rows.position, summary.events)
    summary.seconds = round(time.monotonic() - begun, 6)
    summary.events_per_second = round(summary.events / max(summary.seconds, 1e-6), 1)
    summary.digest = client.state(arguments.stream)["digest"]
    return summary


def _count(summary: Summary, result: Json, place: str) -> None:
    if is_refused(result):
        summary.refused += 1
        print(f"{place}: refused: {result.get('detail', result['status'])}", file=sys.stderr)
        return
    summary.events += 1
    if result.get("duplicate"):
        summary.duplicates += 1
    elif result["is_anomaly"]:
        summary.anomalies += 1


def _with_id(row: Row, file: Path) -> Row:
    if row.event.get("id") is None:
        row.event = {"id": f"{file.name}:{row.line}"} | row.event
    return row


class Pace:
    """Holds events back, so that their times pass `speed` times as fast as they did."""

    def __init__(
        self,
        speed: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speed, self._clock, self._sleep = speed, clock, sleep
        self._first: tuple[float, float] | None = None

    def seconds_until(self, event: Json) -> float:
        """Return how long from now an event is due; one without a time is due at once."""
        moment = _seconds(event.get("ts"))
        if moment is None:
            return 0.0
        if self._first is None:
            self._first = moment, self._clock()
        first, begun = self._first
        return begun + (moment - first) / self._speed - self._clock()

    def wait_for(self, event: Json) -> None:
        """Sleep until an event is due."""
        if (seconds := self.seconds_until(event)) > 0:
            self._sleep(seconds)


def chunked(
    rows: Iterable[Row], pace: Pace | None = None, events: int = BATCH_EVENTS
) -> Iterator[list[Row]]:
    """Yield rows that are due together; those before one that cannot be used are not lost."""
    chunk: list[Row] = []
    try:
        for row in rows:
            if pace is not None and pace.seconds_until(row.event) > 0:
                if chunk:
                    yield chunk
                    chunk = []
                pace.wait_for(row.event)
            chunk.append(row)
            if len(chunk) == events:
                yield chunk
                chunk = []
    except InputError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _seconds(ts: Any) -> float | None:
    if isinstance(ts, int | float):
        return float(ts)
    try:
        return datetime.fromisoformat(str(ts)).timestamp()
    except (ValueError, OverflowError):
        return None
