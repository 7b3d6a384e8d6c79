"""The command `score`: a file's events through the service's own pipeline, without a service."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from service.commands import UsageError, read_spec
from service.errors import InvalidInput
from service.progress import Tick, progress
from service.rows import EventFile, InputError, Row
from service.schemas import parse_event, parse_spec
from service.stream import Fate, Stream
from service.transport import Json

_TICK_EVERY_ROWS = 200
_SCORES = ("anomaly_score", "raw_score", "is_anomaly")


@dataclass(slots=True)
class Summary:
    """What the scoring came to."""

    rows: int = 0
    seconds: float = 0.0
    anomalies: int = 0
    refused: int = 0
    digest: str = ""


def score(arguments: argparse.Namespace) -> int:
    """Write a row of scores for each row of the file, and the summary to standard error."""
    stream = build_stream(arguments.spec)
    with (
        EventFile(arguments.file, arguments.value, arguments.timestamp) as rows,
        _output(arguments.out, arguments.file) as out,
        progress(arguments.file.name, rows.size, shown=not out.isatty()) as tick,
    ):
        summary = _score_all(stream, rows, csv.writer(out, lineterminator="\n"), tick)
    print(json.dumps(asdict(summary)), file=sys.stderr)
    return 2 if summary.refused else 0


def build_stream(path: Path | None) -> Stream:
    """Build the stream that a spec's file describes, or raise `InputError`."""
    where = path or "spec"
    try:
        return Stream(parse_spec(json.dumps(read_spec(path)).encode()))
    except (InvalidInput, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: {error}") from None


@contextmanager
def _output(path: Path | None, source: Path) -> Iterator[IO[str]]:
    if path is None:
        yield sys.stdout
        return
    if path.exists() and path.samefile(source):
        raise UsageError(f"--out: got {path}, which is the file to be scored")
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"{path}: --out: cannot be written: {error.strerror}") from None
    with file:
        yield file


def _score_all(stream: Stream, rows: EventFile, writer: Any, tick: Tick) -> Summary:
    summary = Summary()
    begun = time.monotonic()
    names: list[str] = []
    for row in rows:
        if not names:
            names = list(row.event["x"])
            writer.writerow(_header(names))
        result = _step(stream, row, summary.rows, rows.path)
        if result is None:
            summary.refused += 1
            result = {}
        summary.rows += 1
        summary.anomalies += bool(result.get("is_anomaly"))
        values = [_text(row.event["x"].get(name)) for name in names]
        writer.writerow([row.timestamp, *values, *(_text(result.get(name)) for name in _SCORES)])
        if summary.rows % _TICK_EVERY_ROWS == 0:
            tick(rows.position, summary.rows)
    if not names:
        writer.writerow(_header(["value"]))
    summary.seconds = round(time.monotonic() - begun, 6)
    summary.digest = stream.digest.hex()
    return summary


def _header(names: list[str]) -> list[str]:
    return ["timestamp", *(["value"] if len(names) == 1 else names), *_SCORES]


def _step(stream: Stream, row: Row, count: int, path: Path) -> Json | None:
    """Apply one event; say why, and return nothing, if it is refused."""
    try:
        event = parse_event(json.dumps(row.event).encode())
        # Without a clock of its own, a row that has no time comes a second after the one before.
        reply = stream.step(event, float(count))
        result: Json = json.loads(reply.line)
        if reply.fate is not Fate.REFUSED:
            return result
        detail = result["detail"]
    except InvalidInput as error:
        detail = error.detail
    print(f"{path}:{row.line}: refused: {detail}", file=sys.stderr)
    return None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
