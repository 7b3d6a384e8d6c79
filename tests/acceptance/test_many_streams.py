"""Two thousand streams in one process: memory for each, a quick scrape, and memory given back."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from service.client import Client

ROOT = Path(__file__).parents[2]
STREAMS = 2_000
EVENTS = 30
SPEC = {"learner": {"kind": "rolling_zscore", "window": 50}}


@contextmanager
def program(data_dir: Path, **settings: str) -> Iterator[tuple[Client, int]]:
    """Run the service as a process; yield a client and its process id."""
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    chosen = {f"SYNAPTIDE_{name.upper()}": value for name, value in settings.items()}
    with subprocess.Popen(
        [*command, "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=os.environ | chosen,
    ) as process:
        assert process.stdout is not None
        with Client(process.stdout.readline().split()[-1]) as client:
            client.wait_until_ready()
            try:
                yield client, process.pid
            finally:
                process.terminate()
                process.wait(60)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def scraped(client: Client, modern: bool = False) -> tuple[float, str]:
    """Return how long a scrape takes, and what it says."""
    kind = "application/openmetrics-text" if modern else "text/plain"
    begun = time.perf_counter()
    with urlopen(Request(f"{client.url}/metrics", headers={"Accept": kind})) as reply:
        text = reply.read().decode()
    return time.perf_counter() - begun, text


def sample(text: str, name: str) -> float:
    (line,) = (each for each in text.splitlines() if each.startswith(f"{name} "))
    return float(line.split()[1])


def names(count: int) -> list[str]:
    return [f"sensor-{i:04}" for i in range(count)]


def events(begin: int, count: int) -> list[dict[str, object]]:
    return [
        {"ts": 1_700_000_000 + 60 * i, "x": {"v": i * 37 % 101 / 7}}
        for i in range(begin, begin + count)
    ]


def post_to_all(client: Client, count: int, begin: int, each: int) -> None:
    batch = events(begin, each)
    for name in names(count):
        client.post(name, batch)


def digests(client: Client) -> dict[str, tuple[int, str]]:
    return {each["name"]: (each["offset"], each["digest"]) for each in client.streams()}


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_two_thousand_streams_take_little_and_give_it_back(tmp_path: Path) -> None:
    with program(tmp_path) as (client, pid):
        client.put_template("sensors", "sensor-*", SPEC)
        client.post("sensor-first", events(0, EVENTS))
        before = resident_bytes(pid)
        post_to_all(client, STREAMS, 0, EVENTS)
        held = resident_bytes(pid) - before
        seconds = {kind: [scraped(client, kind)[0] for _ in range(7)] for kind in (False, True)}
        _, text = scraped(client)
        series = text.count("synaptide_anomaly_threshold{")
        assert sample(text, "synaptide_streams") == STREAMS + 1
        assert sample(text, "synaptide_streams_not_exported") == STREAMS + 1 - series
        for name in names(STREAMS):
            client.delete_stream(name)
        deadline = time.monotonic() + 30
        while resident_bytes(pid) - before > 0.4 * held and time.monotonic() < deadline:
            time.sleep(0.2)  # The service lets go once a second.
        left = resident_bytes(pid) - before
        _, text = scraped(client)
        figures = {
            "streams": STREAMS,
            "kilobytes_each": round(held / STREAMS / 1e3, 1),
            "scrape_seconds_text": round(statistics.median(seconds[False]), 3),
            "scrape_seconds_openmetrics": round(statistics.median(seconds[True]), 3),
            "series_of": series,
            "left_after_deletion": round(left / held, 3),
        }
        print(json.dumps(figures))
        assert statistics.median(seconds[False]) < 0.25
        assert statistics.median(seconds[True]) < 0.25
        assert held / STREAMS < 500_000
        assert left < held / 2
        assert 'stream="sensor-0' not in text
        assert sample(text, "synaptide_streams") == 1


def test_with_too_little_memory_streams_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    count = 150
    with program(tmp_path / "plenty") as (client, _):
        client.put_template("sensors", "sensor-*", SPEC)
        for begin in range(0, 3 * EVENTS, EVENTS):
            post_to_all(client, count, begin, EVENTS)
        _, text = scraped(client)
        assert sample(text, "synaptide_streams_in_memory") == count
        each = sample(text, "synaptide_learners_memory_bytes") / count
        want = digests(client)
    limit = str(round(20.5 * each))
    with program(tmp_path / "little", max_learners_bytes=limit) as (client, _):
        client.put_template("sensors", "sensor-*", SPEC)
        for begin in range(0, 3 * EVENTS, EVENTS):
            post_to_all(client, count, begin, EVENTS)
        _, text = scraped(client)
        in_memory = sample(text, "synaptide_streams_in_memory")
        print(json.dumps({"streams": count, "in_memory": in_memory, "bytes_each": round(each)}))
        assert in_memory <= 21
        assert digests(client) == want
    with program(tmp_path / "little", max_learners_bytes=limit) as (client, _):
        post_to_all(client, count, 3 * EVENTS, EVENTS)
        again = digests(client)
    with program(tmp_path / "plenty") as (client, _):
        post_to_all(client, count, 3 * EVENTS, EVENTS)
        assert digests(client) == again
