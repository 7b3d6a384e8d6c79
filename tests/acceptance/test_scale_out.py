"""Replicas come and go under load: not one update is lost or doubled."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from service.client import Client
from tests import valkey
from tests.acceptance.fleet import (
    LEASE_SECONDS,
    fleet,
    owners,
    shared_out,
    takeover_seconds,
    until_applied,
)
from tests.acceptance.test_kill import STREAMS, Feeder, check


def come_and_go(folder: Path, command: list[str] | None = None) -> dict[str, Any]:
    """Kill one worker, stop one for longer than its lease, and tell one to end, under load.

    Return what was measured.
    """
    measured: dict[str, Any] = {}
    with (
        valkey.running(folder / "valkey") as server,
        fleet(folder, server.url, command or ()) as ours,
    ):
        apis = [ours.start("api") for _ in range(2)]
        workers = [ours.start("worker") for _ in range(3)]
        for member in (*workers, *apis):
            member.wait_until_ready()
        shared_out(server, workers)
        with Client(apis[0].url, max_retries=1_000, reconnect_seconds=60) as client:
            for stream, spec in STREAMS.items():
                client.create_stream(stream, spec)
        feeders = [
            Feeder(apis[i % 2].url, stream, seed=i) for i, stream in enumerate(sorted(STREAMS))
        ]
        for feeder in feeders:
            feeder.start()
        killed, stopped, ended = workers
        time.sleep(1)
        killed.send(signal.SIGKILL)
        measured["takeover_seconds_after_kill"] = takeover_seconds(server, killed)
        time.sleep(0.5)
        stopped.send(signal.SIGSTOP)
        measured["takeover_seconds_after_stop"] = takeover_seconds(server, stopped)
        time.sleep(0.5)
        stopped.send(signal.SIGCONT)
        shared_out(server, [stopped, ended])
        time.sleep(0.5)
        ended.send(signal.SIGTERM)
        measured["takeover_seconds_after_term"] = takeover_seconds(server, ended)
        assert ended.process.wait(30) == 0
        for feeder in feeders:
            feeder.stopping.set()
        for feeder in feeders:
            feeder.join(60)
            assert feeder.error is None, (feeder.name, feeder.error)
        waiting = until_applied(server)
        assert set(waiting.values()) == {0}, f"entries that wait, by partition: {waiting}"
        # Each stream is asked for where it was not posted.
        with (
            Client(apis[0].url, reconnect_seconds=60) as one,
            Client(apis[1].url, reconnect_seconds=60) as two,
        ):
            measured["events"] = sum(
                check(two if i % 2 == 0 else one, feeder) for i, feeder in enumerate(feeders)
            )
        measured["acknowledged"] = {feeder.stream: feeder.acknowledged for feeder in feeders}
        measured["epochs"] = sum(epoch for _, epoch in owners(server).values())
        said = ours.said()
        fenced = [said.count(f'"reason":{space}"fenced"') for space in ("", " ")]
        measured["fenced"] = sum(fenced)
        measured["partitions_lost"] = said.count("partition lost")
        assert "Traceback" not in said
    return measured


def test_replicas_come_and_go_and_nothing_is_lost_or_doubled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = come_and_go(tmp_path)
    with capsys.disabled():
        print(f"\n{json.dumps(measured)}")
    assert measured["events"] > 500
    # Two seconds on top where nothing else runs; tests share their machine with others.
    assert measured["takeover_seconds_after_kill"] < LEASE_SECONDS + 4
    assert measured["partitions_lost"] > 0


HESITANT = [sys.executable, "-m", "tests.acceptance.hesitant"]


@pytest.mark.long
def test_workers_that_come_back_too_late_are_fenced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = come_and_go(tmp_path, HESITANT)
    with capsys.disabled():
        print(f"\n{json.dumps(measured)}")
    assert measured["fenced"] > 0


@pytest.mark.long
def test_an_event_that_ends_every_process_is_set_aside(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.acceptance.poisoned"]
    with (
        valkey.running(tmp_path / "valkey") as server,
        fleet(tmp_path, server.url, command) as ours,
    ):
        api, worker = ours.start("api"), ours.start("worker")
        with Client(api.url, max_retries=1_000, reconnect_seconds=120) as client:
            client.wait_until_ready()
            client.create_stream("s", STREAMS["single"])
            events = [{"id": f"e{i}", "x": {"value": float(i % 7)}} for i in range(100)]
            events[40]["x"] = {"value": 666.0}
            client.post("s", events, "logged")
            deaths = 0
            while client.state("s")["offset"] < 99:
                if worker.process.poll() is not None:
                    assert worker.process.returncode == -signal.SIGKILL
                    deaths += 1
                    assert deaths < 8
                    worker = ours.start("worker")
                time.sleep(0.1)
        with urlopen(f"{api.url}/v1/streams/s/dead-letters") as reply:
            (letter,) = json.load(reply)["dead_letters"]
    assert deaths == 4  # Twice before anybody took care, and twice with a note of it.
    assert letter["event"]["id"] == "e40"


class Visitor(threading.Thread):
    """Posts one event to each of many streams in turn, and notes how long answers took."""

    def __init__(self, url: str, names: Sequence[str]) -> None:
        super().__init__(name=names[0])
        self.url, self.names = url, names
        self.seconds: list[float] = []
        self.rounds = 0
        self.stopping = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Visit until told to stop, at the end of a round."""
        try:
            with Client(self.url, max_retries=1_000, reconnect_seconds=60) as client:
                while not self.stopping.is_set():
                    self.rounds += 1
                    for name in self.names:
                        begun = time.monotonic()
                        posted = {"id": f"event-{self.rounds}", "x": {"value": self.rounds % 7}}
                        assert client.post(name, [posted])[0]["offset"] == self.rounds
                        self.seconds.append(time.monotonic() - begun)
        except BaseException as error:
            self.error = error


@pytest.mark.long
def test_two_thousand_streams_move_while_events_flow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partitions, lease_seconds = 64, 10.0
    with (
        valkey.running(tmp_path / "valkey") as server,
        fleet(tmp_path, server.url, (), partitions, lease_seconds) as ours,
    ):
        api, first = ours.start("api"), ours.start("worker")
        first.wait_until_ready()
        api.wait_until_ready()
        with Client(api.url) as client:
            client.put_template("all", "s-*", {"learner": {"kind": "rolling_zscore"}})
        names = [f"s-{i}" for i in range(2_000)]
        visitors = [Visitor(api.url, names[i::4]) for i in range(4)]
        for visitor in visitors:
            visitor.start()
        while any(visitor.rounds < 2 for visitor in visitors):
            assert all(visitor.error is None for visitor in visitors), visitors[0].error
            time.sleep(0.1)
        begun = time.monotonic()
        others = [ours.start("worker") for _ in range(2)]
        shared_out(server, [first, *others], 120, partitions)
        shared_out_after = time.monotonic() - begun
        time.sleep(3)
        begun = time.monotonic()
        for each in others:
            each.send(signal.SIGTERM)
        shared_out(server, [first], 60, partitions)
        back_after = time.monotonic() - begun
        for visitor in visitors:
            visitor.stopping.set()
        for visitor in visitors:
            visitor.join(120)
            assert visitor.error is None, visitor.error
        seconds = sorted(each for visitor in visitors for each in visitor.seconds)
    with capsys.disabled():
        print(
            json.dumps(
                {
                    "events": len(seconds),
                    "median_seconds": round(seconds[len(seconds) // 2], 4),
                    "longest_seconds": round(seconds[-1], 3),
                    "shared_out_after_seconds": round(shared_out_after, 1),
                    "back_with_one_after_seconds": round(back_after, 2),
                }
            )
        )
    assert seconds[-1] < lease_seconds
