"""The same events give the same scores and the same digest, whichever way they are sent."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import river.datasets

from service.cli import main
from service.client import Client
from service.rows import EventFile

SPEC = {"learner": {"kind": "sequence_memory"}}
TAXI = Path(__file__).parents[2].parent / "shared" / "data" / "taxi" / "nyc_taxi.csv.gz"
Post = Callable[[Client, str, list[dict[str, Any]]], Iterator[dict[str, Any]]]


def one_by_one(client: Client, stream: str, events: list[dict[str, Any]]) -> Iterator[Any]:
    for event in events:
        yield client.post(stream, event)


def in_arrays(client: Client, stream: str, events: list[dict[str, Any]]) -> Iterator[Any]:
    for i in range(0, len(events), 100):
        yield from client.post(stream, events[i : i + 100])


def in_lines(client: Client, stream: str, events: list[dict[str, Any]]) -> Iterator[Any]:
    yield from client.post_ndjson(stream, events, batch=777)


def over_the_socket(client: Client, stream: str, events: list[dict[str, Any]]) -> Iterator[Any]:
    with client.socket(stream) as socket:
        yield from socket.post_all(events, frame_events=37)


def number(cell: str) -> float | None:
    """What a cell holds; it is empty while a stream is warming."""
    return float(cell) if cell else None


def scores(path: Path) -> list[tuple[float | None, float | None]]:
    """The two scores of each row that `score` wrote."""
    with path.open(newline="") as file:
        return [(number(r["anomaly_score"]), number(r["raw_score"])) for r in csv.DictReader(file)]


def compare(
    server: str,
    path: Path,
    rows: int,
    ways: tuple[Post, ...],
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Send a file every way there is; return the digest they all end with."""
    out = path.with_suffix(".scores")
    assert main(["score", str(path), "--out", str(out)]) == 0
    summary = json.loads(capsys.readouterr().err.splitlines()[-1])
    digest = summary["digest"]
    expected = scores(out)
    assert len(expected) == rows
    assert all(raw is not None and math.isfinite(raw) for _, raw in expected)
    judged = [score for score, _ in expected if score is not None]
    assert len(judged) >= rows - 200
    assert all(map(math.isfinite, judged))
    with EventFile(path) as file, Client(server) as client:
        events = [row.event for row in file]
        for way in ways:
            stream = f"{path.stem}-{way.__name__}"
            client.create_stream(stream, SPEC)
            results = list(way(client, stream, events))
            got = [(each["anomaly_score"], each["raw_score"]) for each in results]
            assert got == expected, way.__name__
            assert client.state(stream)["digest"] == digest, way.__name__
        stream = f"{path.stem}-replay"
        assert main(["replay", str(path), "--stream", stream, "--url", server]) == 0
        replayed = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (replayed["events"], replayed["anomalies"]) == (rows, summary["anomalies"])
        assert client.state(stream)["digest"] == digest
    return str(digest)


def test_water_flow(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "water_flow.csv"
    lines = Path(river.datasets.__path__[0], "water-flow.csv").read_text().splitlines()
    path.write_text("\n".join(lines[:601]))
    ways = (one_by_one, in_arrays, in_lines, over_the_socket)
    compare(server, path, 600, ways, capsys)


@pytest.mark.long
@pytest.mark.skipif(not TAXI.exists(), reason="the taxi data is not beside the project")
def test_nyc_taxi(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nyc_taxi.csv"
    path.write_bytes(gzip.decompress(TAXI.read_bytes()))
    digest = compare(server, path, 17_520, (one_by_one, in_lines, over_the_socket), capsys)
    with capsys.disabled():
        print(f"\nnyc_taxi, 17520 rows, each way: {digest}")
