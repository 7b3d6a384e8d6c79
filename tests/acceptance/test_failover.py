"""Failovers under load: what is left is consistent, and what was lost is counted."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pytest

from service.client import Client
from service.transport import ClientError
from tests.acceptance.fleet import Member, fleet, until_applied
from tests.acceptance.hesitant import HESITATED
from tests.acceptance.nemesis import Nemesis
from tests.acceptance.refold import refold
from tests.acceptance.site import Site
from tests.acceptance.test_kill import MEMORY, ZSCORE

STREAMS = {
    **{f"often-{i}": {"learner": ZSCORE, "snapshot_every_events": 200} for i in range(4)},
    **{f"seldom-{i}": {"learner": ZSCORE, "snapshot_every_events": 5_000} for i in range(2)},
    "memory": {"learner": MEMORY, "snapshot_every_events": 300},
}
HESITANT = [sys.executable, "-m", "tests.acceptance.hesitant"]
FAILOVERS = 3
PAUSE_SECONDS = 0.05
"""After each post: what is posted has to be applied twice, and by one process the second time."""


class Poster(threading.Thread):
    """Posts a stream's events, each with an id, and notes which were acknowledged.

    What is not acknowledged by one process it posts to the next.
    """

    def __init__(
        self, urls: Sequence[str], stream: str, ack: Literal["logged", "replicated"]
    ) -> None:
        super().__init__(name=stream)
        self.urls, self.stream, self.ack = urls, stream, ack
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        self._random = random.Random(stream)

    def run(self) -> None:
        """Post until told to stop."""
        try:
            with ExitStack() as stack:
                self._post(
                    [
                        stack.enter_context(Client(url, max_retries=0, reconnect_seconds=0))
                        for url in self.urls
                    ]
                )
        except BaseException as error:
            self.error = error

    def _post(self, clients: Sequence[Client]) -> None:
        first, turn = 1, len(self.stream)
        while not self.stopping.is_set():
            n = self._random.randint(1, 20)
            events = [
                {"id": f"e{i}", "ts": f"{1_700_000_000 + 60 * i}", "x": {"value": i * 7 % 24}}
                for i in range(first, first + n)
            ]
            try:
                clients[turn % len(clients)].post(self.stream, events, self.ack)
            except ClientError:
                self.refused += 1
                turn += 1
                time.sleep(0.05)
                continue  # The same events once more, and maybe others after them.
            self.acknowledged |= {str(event["id"]) for event in events}
            first += n
            self.stopping.wait(PAUSE_SECONDS)


def everything_at_once(
    folder: Path,
    ack: Literal["logged", "replicated"] = "logged",
    careful: bool = False,
    guarded: bool = True,
) -> dict[str, Any]:
    """Kill and stop processes and promote replicas under load; return what was found."""
    seconds, seed = float(os.environ.get("SECONDS_UNDER_LOAD", "60")), os.environ.get("SEED", "1")
    command = HESITANT if guarded else [*HESITANT, "--unguarded"]
    with ExitStack() as stack:
        site = Site(folder, stack, careful)
        site.begin()
        ours = stack.enter_context(fleet(folder, site.primary.url, command))
        nemesis = Nemesis(site, ours, random.Random(seed))
        apis = [nemesis.start("api") for _ in range(2)]
        for member in [*apis, *(nemesis.start("worker") for _ in range(3))]:
            member.wait_until_ready()
        with Client(apis[0].url) as client:
            for name, spec in STREAMS.items():
                client.create_stream(name, spec)
        urls = [member.url for member in apis]
        posters = [Poster(urls, name, ack) for name in sorted(STREAMS)]
        for poster in posters:
            poster.start()
        nemesis.run(seconds, FAILOVERS)
        for poster in posters:
            poster.stopping.set()
        for poster in posters:
            poster.join(60)
            assert poster.error is None, poster.error
        waiting = until_applied(site.primary, 60)
        _let_go(nemesis.of("worker"))
        refolded = [refold(site.primary.url, poster.stream) for poster in posters]
        said = ours.said()
    violations = [each for found in refolded for each in found.violations]
    violations += [f"partition {i}: {n} entries wait" for i, n in waiting.items() if n]
    return {
        "seed": int(seed),
        "ack": ack,
        "min_replicas_to_write": int(careful),
        "guarded": guarded,
        "seconds": seconds,
        "events": sum(each.events for each in refolded),
        "acknowledged": sum(len(each.acknowledged) for each in posters),
        "acknowledged_and_lost": sum(
            len(poster.acknowledged - found.ids)
            for poster, found in zip(posters, refolded, strict=True)
        ),
        "refused": sum(each.refused for each in posters),
        "did": dict(sorted(nemesis.done.items())),
        "hesitated": said.count(HESITATED),
        "commits_refused": {
            reason: len(re.findall(rf'"reason": ?"{reason}"', said))
            for reason in ("fenced", "stale", "phantom")
        },
        "violations": violations,
    }


def _let_go(workers: Sequence[Member]) -> None:
    """End workers in good order, as far as they can be."""
    for member in workers:
        member.send(signal.SIGTERM)
    for member in workers:
        try:
            member.process.wait(60)
        except subprocess.TimeoutExpired:
            member.end()


@pytest.mark.long
@pytest.mark.parametrize(
    ("ack", "careful"), [("logged", False), ("replicated", False), ("logged", True)]
)
def test_what_failovers_leave_is_consistent(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ack: Literal["logged", "replicated"],
    careful: bool,
) -> None:
    found = everything_at_once(tmp_path, ack, careful)
    with capsys.disabled():
        print(f"\n{json.dumps(found)}")
    assert found["violations"] == []
    if ack == "replicated":
        assert found["acknowledged_and_lost"] == 0
    assert found["events"] > 500
    assert found["did"]["failover"] == FAILOVERS


@pytest.mark.long
def test_without_the_fence_the_same_run_is_not_consistent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = everything_at_once(tmp_path, guarded=False)
    with capsys.disabled():
        print(f"\n{json.dumps(found)}")
    assert found["violations"] != []
