"""Posts to a fleet while things befall it, and what is found when it is left in peace."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from service.client import Client
from service.journal.base import Ack
from service.transport import ClientError
from tests.acceptance.fleet import Asked, Fleet, Member, until_applied
from tests.acceptance.refold import refold
from tests.acceptance.test_kill import MEMORY, ZSCORE

STREAMS = {
    **{f"often-{i}": {"learner": ZSCORE, "snapshot_every_events": 200} for i in range(4)},
    **{f"seldom-{i}": {"learner": ZSCORE, "snapshot_every_events": 5_000} for i in range(2)},
    "memory": {"learner": MEMORY, "snapshot_every_events": 300},
}
PAUSE_SECONDS = 0.05
"""After each post: what is posted has to be applied twice, and by one process the second time."""


class Poster(threading.Thread):
    """Posts a stream's events, each with an id, and notes which were acknowledged.

    What is not acknowledged by one process it posts to the next.
    """

    def __init__(self, urls: Sequence[str], stream: str, ack: Ack) -> None:
        super().__init__(name=stream)
        self.urls, self.stream, self.ack = urls, stream, ack
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.longest_seconds = 0.0
        """Between two acknowledgements."""
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
        first, turn, since = 1, len(self.stream), time.monotonic()
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
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - since)
            since = time.monotonic()
            first += n
            self.stopping.wait(PAUSE_SECONDS)


@contextmanager
def under_load(urls: Sequence[str], ack: Ack = "logged") -> Iterator[list[Poster]]:
    """Post to all streams as long as the block."""
    with Client(urls[0]) as client:
        for name, spec in STREAMS.items():
            client.create_stream(name, spec)
    posters = [Poster(urls, name, ack) for name in sorted(STREAMS)]
    for poster in posters:
        poster.start()
    try:
        yield posters
    finally:
        for poster in posters:
            poster.stopping.set()
    for poster in posters:
        poster.join(60)
        assert poster.error is None, poster.error


@dataclass
class Outcome:
    """What a run comes to."""

    events: int
    acknowledged: int
    acknowledged_and_lost: int
    refused: int
    commits_refused: dict[str, int]
    violations: list[str]


def settled(
    server: Asked, posters: Sequence[Poster], ours: Fleet, workers: Sequence[Member]
) -> Outcome:
    """Wait until all is applied, end the workers, and hold what is kept against the log."""
    waiting = until_applied(server, 120)
    _let_go(workers)
    refolded = [refold(server.url, poster.stream) for poster in posters]
    said = ours.said()
    violations = [each for found in refolded for each in found.violations]
    return Outcome(
        events=sum(each.events for each in refolded),
        acknowledged=sum(len(each.acknowledged) for each in posters),
        acknowledged_and_lost=sum(
            len(poster.acknowledged - found.ids)
            for poster, found in zip(posters, refolded, strict=True)
        ),
        refused=sum(each.refused for each in posters),
        commits_refused={
            reason: len(re.findall(rf'"reason": ?"{reason}"', said))
            for reason in ("fenced", "stale", "phantom")
        },
        violations=violations
        + [f"partition {i}: {n} entries wait" for i, n in waiting.items() if n],
    )


def _let_go(workers: Sequence[Member]) -> None:
    """End workers in good order, as far as they can be."""
    for member in workers:
        member.send(signal.SIGTERM)
    for member in workers:
        try:
            member.process.wait(60)
        except subprocess.TimeoutExpired:
            member.end()
