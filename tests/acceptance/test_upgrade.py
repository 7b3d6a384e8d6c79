"""Two builds whose formats differ over one store: up, down, and in no order at all."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from service.formats import FORMAT
from service.journal.redis_keys import Keys
from service.journal.redis_server import Server
from service.journal.redis_upkeep import trim
from service.schemas import StreamSpec, parse_event
from service.stream import Stream
from tests import valkey
from tests.acceptance.fleet import (
    PARTITIONS,
    ROOT,
    Fleet,
    Member,
    fleet,
    formats,
    shared_out,
    until_applied,
)
from tests.acceptance.newer import NEWER, newer_build
from tests.acceptance.refold import refold
from tests.acceptance.relay import Relay
from tests.acceptance.test_kill import STREAMS, ZSCORE, Feeder, event
from tests.acceptance.test_unreadable import (
    EVERY_20,
    Service,
    events,
    forget,
    made,
    refused,
    undisturbed,
)

QUIET = [f"quiet-{i}" for i in range(24)]
QUIET_SPEC = {"learner": ZSCORE, "snapshot_every_events": 5}


class Patient(Feeder):
    """Notes the longest time between two answers, which is how long its stream stood still."""

    def __init__(self, url: str, stream: str) -> None:
        super().__init__(url, stream, seed=0)
        self.longest = 0.0
        self.answered_at = time.monotonic()

    def _take(self, results: list[dict[str, Any]], n: int) -> None:
        now = time.monotonic()
        self.longest = max(self.longest, now - self.answered_at)
        self.answered_at = now
        super()._take(results, n)


class Quiet:
    """Streams that have an event now and then."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.posted = 0

    def make(self) -> None:
        """Make them, each with a snapshot."""
        with Client(self.url, reconnect_seconds=60) as client:
            for name in QUIET:
                client.create_stream(name, QUIET_SPEC)
        for _ in range(7):
            self.post()

    def post(self) -> float:
        """Give each its next event; return the longest time an answer took."""
        self.posted += 1
        longest = 0.0
        with Client(self.url, max_retries=1_000, reconnect_seconds=60) as client:
            for name in QUIET:
                begun = time.monotonic()
                (result,) = client.post(name, [event(self.posted)])
                assert result["offset"] == self.posted
                longest = max(longest, time.monotonic() - begun)
        return longest


def until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until other processes have brought something about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def replaced(
    ours: Fleet, relay: Relay, members: Sequence[Member], tree: dict[str, Any]
) -> Iterator[list[Member]]:
    """Replace a fleet's processes one at a time, the `api` first, and yield all that are there."""
    api, *workers = members
    newcomer = ours.start("api", **tree)
    newcomer.wait_until_ready()
    relay.switch(int(newcomer.url.rpartition(":")[2]))
    api.stop()
    now = [newcomer, *workers]
    yield now
    for i, worker in enumerate(workers, 1):
        now[i] = ours.start("worker", **tree)
        now[i].wait_until_ready()
        worker.stop()
        yield now


@contextmanager
def under_load(url: str) -> Iterator[list[Patient]]:
    """Feed streams as long as the block."""
    feeders = [Patient(url, stream) for stream in sorted(STREAMS)]
    for feeder in feeders:
        feeder.start()
    yield feeders
    for feeder in feeders:
        feeder.stopping.set()
    for feeder in feeders:
        feeder.join(90)
        assert feeder.error is None, (feeder.name, feeder.error)


def are_in(server: valkey.Server, wanted: int) -> bool:
    """Say whether all partitions are in one format."""
    return formats(server) == {wanted}


@pytest.mark.long
def test_a_folder_goes_to_the_next_build_and_back(tmp_path: Path) -> None:
    service, newer = Service(tmp_path), newer_build(tmp_path / "newer")

    def is_format(wanted: int) -> bool:
        return f'format{{partition="0"}} {wanted}.0' in service.text("/metrics")

    made(service, s=EVERY_20)
    service.tree = newer
    with service.running(signal.SIGTERM) as client:
        for first in (61, 86):
            client.post("s", events(first, first + 24))
        assert is_format(NEWER)
    with service.database() as database:
        forget(database, "s")
    service.tree = ROOT
    with service.running() as client:
        assert f"format: got {NEWER}" in refused(client, "s", events(111, 111)[0]).detail
    service.tree, service.settings = newer, {"SYNAPTIDE_WRITE_FORMAT": str(FORMAT)}
    with service.running() as client:
        until(lambda: is_format(FORMAT))
    service.tree, service.settings = ROOT, {}
    with service.running() as client:
        client.post("s", events(111, 120))
        assert client.state("s")["digest"] == undisturbed(120, EVERY_20)


@pytest.mark.long
def test_one_process_at_a_time_is_replaced_there_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = {"tree": newer_build(tmp_path / "newer")}
    pinned = newer | {"SYNAPTIDE_WRITE_FORMAT": str(FORMAT)}
    measured: dict[str, Any] = {}
    with valkey.running(tmp_path / "valkey") as server, ExitStack() as stack:
        ours = stack.enter_context(fleet(tmp_path, server.url))
        members = [ours.start("api"), ours.start("worker"), ours.start("worker")]
        for member in members:
            member.wait_until_ready()
        shared_out(server, members[1:])
        relay = Relay(int(members[0].url.rpartition(":")[2]))
        stack.callback(relay.close)
        url = f"http://127.0.0.1:{relay.port}"
        quiet = Quiet(url)
        quiet.make()
        with Client(url) as client:
            for name, spec in STREAMS.items():
                client.create_stream(name, spec)
        with under_load(url) as feeders:
            for leg, tree, wanted in (
                ("up", newer, NEWER),
                ("down, lowered first", pinned, FORMAT),
                ("down", {}, FORMAT),
                ("up again", newer, NEWER),
                ("down in one step", {}, FORMAT),
            ):
                waits = []
                for feeder in feeders:
                    feeder.longest, feeder.answered_at = 0.0, time.monotonic()
                for now in replaced(ours, relay, members, tree):
                    members = now
                    assert formats(server) <= {FORMAT, NEWER}
                    waits.append(quiet.post())
                until(partial(are_in, server, wanted))
                waits.append(quiet.post())
                measured[leg] = {
                    "quiet": round(max(waits), 2),
                    **{feeder.stream: round(feeder.longest, 2) for feeder in feeders},
                }
        assert set(until_applied(server).values()) == {0}
        for member in members:
            member.stop()
        found = {name: refold(server.url, name) for name in [*STREAMS, *QUIET]}
        said = ours.said()
    with capsys.disabled():
        print(f"\n{json.dumps(measured)}")
    assert [each.violations for each in found.values() if each.violations] == []
    assert all(found[feeder.stream].events >= feeder.acknowledged for feeder in feeders)
    assert all(found[name].events == quiet.posted for name in QUIET)
    assert found["memory"].events > 100
    assert "stream quarantined" not in said
    assert "Traceback" not in said
    assert max(max(leg.values()) for leg in measured.values()) < 10


async def _forget_logs(url: str) -> None:
    """Let go of every record that recovery does not need, as retention does."""
    server = Server(url)
    await server.open()
    for partition in range(PARTITIONS):
        await trim(server, Keys("synaptide", partition), 0, time.time() + 1)
    await server.close()


def held(url: str, name: str, i: int) -> bool:
    """Post an event to a stream, and say whether it waits there because it cannot be read."""
    with Client(url, max_retries=1_000, reconnect_seconds=60) as client:
        (result,) = client.post(name, [event(i)])
    if result.get("code") == "unreadable":
        assert result["kept"]
        return True
    assert result["offset"] == i
    return False


@pytest.mark.long
def test_a_build_that_cannot_read_what_it_takes_over_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All newer processes die, and an older one is all there is, until a newer one comes."""
    tree = newer_build(tmp_path / "newer")
    measured: dict[str, float] = {}
    with valkey.running(tmp_path / "valkey") as server, fleet(tmp_path, server.url) as ours:
        api, newer = ours.start("api", tree=tree), ours.start("worker", tree=tree)
        newer.wait_until_ready()
        api.wait_until_ready()
        quiet = Quiet(api.url)
        quiet.make()
        for _ in range(7):
            quiet.post()
        until(partial(are_in, server, NEWER))
        asyncio.run(_forget_logs(server.url))
        newer.send(signal.SIGKILL)
        older = ours.start("worker")
        shared_out(server, [older])
        begun = time.monotonic()
        assert [held(api.url, name, 15) for name in QUIET] == [True] * len(QUIET)
        with Client(api.url) as client:
            client.create_stream("well", QUIET_SPEC)
        assert [held(api.url, "well", i) for i in range(1, 13)] == [False] * 12
        measured["others_and_held_seconds"] = round(time.monotonic() - begun, 2)
        assert {NEWER} <= formats(server) <= {NEWER, FORMAT}
        assert ours.said().count("stream quarantined") == len(QUIET)
        # It comes back by itself, with what waits, and both builds can read it from then on.
        newer = ours.start("worker", tree=tree)
        newer.wait_until_ready()
        begun = time.monotonic()
        with Client(api.url) as client:
            until(lambda: all(client.stream(name)["offset"] == 15 for name in QUIET))
            measured["back_seconds"] = round(time.monotonic() - begun, 2)
            until(partial(are_in, server, FORMAT))
            shared_out(server, [older, newer])
            newer.send(signal.SIGKILL)
            begun = time.monotonic()
            names = [*QUIET, "well"]
            last = {name: client.stream(name)["offset"] + 1 for name in names}
            assert [held(api.url, name, last[name]) for name in names] == [False] * len(names)
            measured["after_kill_seconds"] = round(time.monotonic() - begun, 2)
            for name in names:
                unbroken = Stream(StreamSpec.model_validate(QUIET_SPEC))
                lines = [
                    json.loads(unbroken.step(parse_event(json.dumps(event(i)).encode()), 0.0).line)
                    for i in range(1, last[name] + 1)
                ]
                assert client.state(name)["digest"] == unbroken.digest.hex()
                assert list(client.results(name, 0)) == lines
        assert ours.said().count("stream quarantined") == len(QUIET)
        assert "Traceback" not in ours.said()
    with capsys.disabled():
        print(f"\n{json.dumps(measured)}")
