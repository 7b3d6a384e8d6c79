"""Replicas come and go under load: not one update is lost or doubled."""

from __future__ import annotations

import json
import signal
import sys
import time
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
        measured["fenced"] = said.count("'reason': 'fenced'") + said.count('"reason":"fenced"')
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
    assert measured["takeover_seconds_after_kill"] < LEASE_SECONDS + 2
    assert measured["partitions_lost"] > 0


@pytest.mark.long
def test_without_the_fence_the_same_run_reports_a_violation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "tests.acceptance.unfenced"]

    def try_again() -> None:
        for attempt in range(5):
            come_and_go(tmp_path / str(attempt), command)

    with pytest.raises(AssertionError) as violation:
        try_again()
    with capsys.disabled():
        print(f"\nviolation: {str(violation.value)[:500]}")


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
