"""kill -9 at any moment: every acknowledged event is applied exactly once, and in order."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from service.client_socket import EventSocket
from service.schemas import StreamSpec, parse_event
from service.stream import Fate, Stream
from service.transport import Problem, Unreachable

ROOT = Path(__file__).parents[2]
ZSCORE = {"kind": "rolling_zscore", "window": 50}
MEMORY = {
    "kind": "sequence_memory",
    "columns": 256,
    "active_columns": 8,
    "cells_per_column": 4,
    "activation_threshold": 5,
    "matching_threshold": 3,
    "new_synapses": 8,
    "max_synapses": 12,
    "max_segments": 2_000,
    "value_bits": 150,
    "value_on_bits": 11,
}
STREAMS = {
    "single": {"learner": ZSCORE, "snapshot_every_events": 50},
    "lines": {"learner": ZSCORE, "snapshot_every_events": 700},
    "socket": {"learner": ZSCORE, "snapshot_every_events": 1_000_000},
    "memory": {"learner": MEMORY, "snapshot_every_events": 300},
}


def event(i: int) -> dict[str, Any]:
    """The i-th event of every stream, which has all it takes to be the same at any time."""
    value = (i * 7) % 24 + (40.0 if i % 97 == 0 else 0.0)
    return {"id": f"event-{i}", "ts": f"{1_700_000_000 + 60 * i}", "x": {"value": value}}


class Feeder(threading.Thread):
    """Posts a stream's events in order, and each again until it is acknowledged."""

    def __init__(self, url: str, stream: str, seed: int) -> None:
        super().__init__(name=stream)
        self.url, self.stream = url, stream
        self.acknowledged = 0
        self.duplicates = 0
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        self._random = random.Random(f"{stream} {seed}")

    def run(self) -> None:
        """Feed until told to stop, or until something is not as it should be."""
        try:
            with Client(self.url, max_retries=1_000, reconnect_seconds=300) as client:
                while not self.stopping.is_set():
                    getattr(self, f"_post_{self.stream}")(client)
        except BaseException as error:
            self.error = error

    def _next(self, most: int) -> list[dict[str, Any]]:
        n = self._random.randint(1, most)
        return [event(i) for i in range(self.acknowledged + 1, self.acknowledged + n + 1)]

    def _post_single(self, client: Client) -> None:
        (one,) = self._next(1)
        self._take([client.post(self.stream, one)], 1)

    def _post_lines(self, client: Client) -> None:
        events = self._next(200)
        if self._random.random() < 0.5:
            self._take(client.post(self.stream, events), len(events))
        else:
            assert client.post(self.stream, events, "logged") == {"accepted": len(events)}
            self.acknowledged += len(events)

    def _post_memory(self, client: Client) -> None:
        events = self._next(20)
        self._take(client.post(self.stream, events), len(events))

    def _post_socket(self, client: Client) -> None:
        try:
            with client.socket(self.stream) as opened:
                self._converse(opened)
        except Unreachable:
            client.wait_until_ready()
        except Problem as problem:
            if problem.status != 503:  # It says to send again what has no answer.
                raise
            client.wait_until_ready()

    def _converse(self, opened: EventSocket) -> None:
        """Keep three frames in flight."""
        sent = self.acknowledged
        in_flight: list[int] = []
        while not self.stopping.is_set():
            while len(in_flight) < 3:
                n = self._random.randint(1, 30)
                opened.send([event(i) for i in range(sent + 1, sent + n + 1)])
                in_flight.append(n)
                sent += n
            self._take(opened.receive().results, in_flight.pop(0))

    def _take(self, results: list[dict[str, Any]], n: int) -> None:
        expected = [event(self.acknowledged + 1 + i)["id"] for i in range(n)]
        assert [each["event_id"] for each in results] == expected
        self.duplicates += sum("duplicate" in each for each in results)
        self.acknowledged += n


@contextmanager
def serving(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process of its own, and kill it at the latest in the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env=os.environ | {"SYNAPTIDE_RESULTS_KEPT": "100000000"},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_to_kill(process: subprocess.Popen[bytes], client: Client, rng: random.Random) -> None:
    """Let some time pass, in which a server starts, recovers, works or stops."""
    kind = rng.random()
    if kind < 0.25:
        time.sleep(rng.uniform(0.3, 2.5))  # Before, while or just after it recovers.
        return
    client.wait_until_ready()
    time.sleep(rng.uniform(0.0, 0.8))
    if kind < 0.4:
        process.send_signal(signal.SIGTERM)
        time.sleep(rng.uniform(0.0, 0.3))


def kill_again_and_again(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill a server under load so many times; return what was done, for a person to read."""
    rng, begun = random.Random(seed), time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, tally, log = f"http://127.0.0.1:{port}", folder / "tally", folder / "log"
    command = [sys.executable, "-m", "tests.acceptance.resending", str(tally)]
    command += ["--port", str(port), "--data-dir", str(folder / "data")]
    feeders = [Feeder(url, stream, seed) for stream in STREAMS]
    with Client(url, max_retries=1_000, reconnect_seconds=300) as client:
        with serving(command, log) as process:
            client.wait_until_ready()
            for stream, spec in STREAMS.items():
                client.create_stream(stream, spec)
            for feeder in feeders:
                feeder.start()
            time.sleep(1)
        for _ in range(kills - 1):
            with serving(command, log) as process:
                wait_to_kill(process, client, rng)
        with serving(command, log):
            client.wait_until_ready()
            for feeder in feeders:
                feeder.stopping.set()
            for feeder in feeders:
                feeder.join(300)
                assert feeder.error is None, (feeder.name, feeder.error)
            events = sum(check(client, feeder) for feeder in feeders)
    refused, taken = (tally.read_text().count(word) for word in ("refused", "taken"))
    assert "Traceback" not in log.read_text()
    assert taken == 0
    assert refused > kills
    return {
        "kills": kills,
        "events": events,
        "acknowledged": {feeder.stream: feeder.acknowledged for feeder in feeders},
        "answered_as_duplicates": sum(feeder.duplicates for feeder in feeders),
        "second_commits_refused": refused,
        "seconds": round(time.monotonic() - begun, 1),
    }


def check(client: Client, feeder: Feeder) -> int:
    """Compare a stream with an unbroken run over its events, line by line."""
    name, after = feeder.stream, 0
    unbroken = Stream(StreamSpec.model_validate(STREAMS[name]))
    while page := client.results(name, after):
        for result in page:
            after += 1
            posted = json.dumps(event(after)).encode()
            reply = unbroken.step(parse_event(posted), 0.0)
            assert reply.fate is Fate.APPLIED
            assert result == json.loads(reply.line), (name, after)
    assert after >= feeder.acknowledged
    state = client.state(name)
    assert (state["offset"], state["digest"]) == (after, unbroken.digest.hex())
    return after


def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    assert kill_again_and_again(tmp_path, kills=12, seed=1)["events"] > 1_000


@pytest.mark.long
def test_nothing_acknowledged_is_lost_or_doubled_in_two_hundred_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = kill_again_and_again(tmp_path, kills=200, seed=int(os.environ.get("SEED", "2")))
    with capsys.disabled():
        print(f"\n{json.dumps(done)}")
    assert done["events"] > 20_000
