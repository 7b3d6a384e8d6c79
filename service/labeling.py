"""The command `label`: a file's labels, posted to a stream of a running service."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from service.client import Client, is_refused
from service.progress import Tick, progress
from service.replay import chunked
from service.rows import EventFile, InputError, Row, place


class LabelFile(EventFile):
    """A file of labels: CSV with columns for the event's id and the label, or JSON lines of labels.

    In CSV a label that reads as a number is one. Raises `InputError` as `EventFile` does.
    """

    def __init__(self, path: Any, event_id: str = "event_id", y: str = "y") -> None:
        super().__init__(path)
        self._columns = (event_id, y)

    def _begin_table(self, rows: Iterator[tuple[int, list[str]]]) -> None:
        _, header = next(rows)
        names = [name.strip() for name in header]
        event_id, y = (place(self.path, name, names) for name in self._columns)
        self._rows = self._labels(rows, len(names), event_id, y)

    def _begin_json(self, objects: Iterator[tuple[int, dict[str, Any]]]) -> None:
        self._rows = (Row(line, "", each) for line, each in objects)

    def _labels(
        self, rows: Iterator[tuple[int, list[str]]], width: int, event_id: int, y: int
    ) -> Iterator[Row]:
        for line, cells in rows:
            if len(cells) != width:
                raise InputError(f"{self.path}:{line}: got {len(cells)} cells, expected {width}")
            label = {"event_id": cells[event_id].strip(), "y": _read(cells[y].strip())}
            yield Row(line, "", label)


def _read(cell: str) -> float | str:
    try:
        value = float(cell)
    except ValueError:
        return cell
    return value if math.isfinite(value) else cell


@dataclass(slots=True)
class Summary:
    """What the labeling came to."""

    labels: int = 0
    """Labels that were taken."""
    seconds: float = 0.0
    duplicates: int = 0
    refused: int = 0
    digest: str = ""


def label(arguments: argparse.Namespace) -> int:
    """Post the labels, say which were refused, and print the summary."""
    with (
        LabelFile(arguments.file, arguments.id, arguments.y) as rows,
        Client(arguments.url) as client,
        progress(arguments.stream, rows.size) as tick,
    ):
        client.stream(arguments.stream)
        summary = _post(client, arguments, rows, tick)
    print(json.dumps(asdict(summary)))
    return 2 if summary.refused else 0


def _post(client: Client, arguments: argparse.Namespace, rows: LabelFile, tick: Tick) -> Summary:
    summary, begun = Summary(), time.monotonic()
    for chunk in chunked(rows):
        labels = (row.event for row in chunk)
        answers = client.label_ndjson(arguments.stream, labels, batch=len(chunk))
        for row, answer in zip(chunk, answers, strict=True):
            if is_refused(answer):
                summary.refused += 1
                said = f"refused: {answer.get('detail', answer['status'])}"
                print(f"{arguments.file}:{row.line}: {said}", file=sys.stderr)
            elif answer.get("duplicate"):
                summary.duplicates += 1
            else:
                summary.labels += 1
        tick(rows.position, summary.labels)
    summary.seconds = round(time.monotonic() - begun, 6)
    summary.digest = client.state(arguments.stream)["digest"]
    return summary
