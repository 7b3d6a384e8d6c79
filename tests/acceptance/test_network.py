"""Slow networks, lost packets, no network, and clocks that are wrong: nothing is doubled."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from tests import valkey
from tests.acceptance.fleet import LEASE_SECONDS, fleet, shared_out, takeover_seconds
from tests.acceptance.link import NEAR, link
from tests.acceptance.load import settled, under_load
from tests.acceptance.relay import Relay

SERVE = [sys.executable, "-m", "service.cli", "serve"]
LOSSY_SECONDS = 15.0
MOST_SECONDS_TO_TAKE_OVER = LEASE_SECONDS + 4
"""Two seconds less where nothing else runs; tests share their machine with others."""
BIND = ("--bind", "0.0.0.0", "--protected-mode", "no")


@pytest.mark.long
def test_a_worker_behind_a_bad_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """50 ms each way with 5 % of packets lost, and then no network for longer than the lease."""
    name = f"syn{os.getpid() % 100_000}"
    with (
        link(name) as wire,
        valkey.running(tmp_path / "valkey", *BIND) as server,
        fleet(tmp_path, server.url) as ours,
    ):
        api, *near = [ours.start(role) for role in ("api", "worker", "worker")]
        remote = ours.start(
            "worker", f"redis://{NEAR}:{server.port}", through=["ip", "netns", "exec", name]
        )
        for member in (api, *near):
            member.wait_until_ready()
        shared_out(server, [*near, remote])
        with under_load([api.url]) as posters:
            wire.delay_seconds, wire.loss = 0.05, 0.05
            time.sleep(LOSSY_SECONDS)
            wire.cut = True
            took = takeover_seconds(server, remote)
            time.sleep(max(0.0, MOST_SECONDS_TO_TAKE_OVER - took))
            dropped, carried = wire.dropped, wire.carried
            wire.cut, wire.delay_seconds, wire.loss = False, 0.0, 0.0
            healed = time.monotonic()
            shared_out(server, [*near, remote])
            back = time.monotonic() - healed
            time.sleep(2)
        remote.send(signal.SIGTERM)
        assert remote.process.wait(60) == 0
        outcome = settled(server, posters, ours, near)
        lost = ours.said().count("partition lost")
    with capsys.disabled():
        measured = {
            "takeover_seconds": round(took, 2),
            "back_after_seconds": round(back, 2),
            "packets": carried,
            "packets_dropped": dropped,
            "partitions_lost": lost,
        }
        print(f"\n{json.dumps(measured | asdict(outcome))}")
    assert outcome.violations == []
    assert outcome.acknowledged_and_lost == 0
    assert took < MOST_SECONDS_TO_TAKE_OVER
    assert lost + outcome.commits_refused["fenced"] > 0


@pytest.mark.long
def test_a_server_that_nobody_reaches_for_a_while(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No connection is closed: nothing comes, for longer than the lease and than any patience."""
    with (
        valkey.running(tmp_path / "valkey") as server,
        fleet(tmp_path, server.url) as ours,
    ):
        relays = [Relay(server.port) for _ in range(4)]
        roles = ("api", "worker", "worker", "worker")
        members = [ours.start(role, relay.url) for role, relay in zip(roles, relays, strict=True)]
        for member in members:
            member.wait_until_ready()
        with under_load([members[0].url]) as posters:
            time.sleep(3)
            for relay in relays:
                relay.hold()
            time.sleep(LEASE_SECONDS + 6)
            for relay in relays:
                relay.go_on()
            known, begun = sum(len(each.acknowledged) for each in posters), time.monotonic()
            while sum(len(each.acknowledged) for each in posters) == known:
                assert time.monotonic() < begun + 30
                time.sleep(0.01)
            back = time.monotonic() - begun
            time.sleep(5)
        outcome = settled(server, posters, ours, members[1:])
        for relay in relays:
            relay.close()
    with capsys.disabled():
        print(f"\n{json.dumps({'back_after_seconds': round(back, 2)} | asdict(outcome))}")
    assert outcome.violations == []
    assert outcome.acknowledged_and_lost == 0
    assert outcome.refused > 0


@pytest.mark.long
@pytest.mark.parametrize("offset", ["-1d", "+1d"])
def test_a_worker_whose_clock_is_a_day_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], offset: str
) -> None:
    """Leases are by the server's clock."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        if os.environ.get("CI"):
            pytest.fail("there is no libfaketime")
        pytest.skip("there is no libfaketime; `make env` brings it, where it may")
    with (
        valkey.running(tmp_path / "valkey") as server,
        fleet(tmp_path, server.url) as ours,
    ):
        api, right = ours.start("api"), ours.start("worker")
        wrong = ours.start("worker", through=["env", f"LD_PRELOAD={library}", f"FAKETIME={offset}"])
        for member in (api, right, wrong):
            member.wait_until_ready()
        shared_out(server, [right, wrong])
        with under_load([api.url]) as posters:
            time.sleep(5)
            right.end()
            took = takeover_seconds(server, right)
            right = ours.start("worker")
            shared_out(server, [right, wrong])
            wrong.end()
            took_back = takeover_seconds(server, wrong)
            time.sleep(2)
        outcome = settled(server, posters, ours, [right])
    with capsys.disabled():
        measured = {
            "clock": offset,
            "takeover_seconds_by_the_wrong": round(took, 2),
            "takeover_seconds_from_the_wrong": round(took_back, 2),
        }
        print(f"\n{json.dumps(measured | asdict(outcome))}")
    assert outcome.violations == []
    assert outcome.acknowledged_and_lost == 0
    assert max(took, took_back) < MOST_SECONDS_TO_TAKE_OVER
