"""Which partitions this process applies: its share among all that are there, with no leader.

Everyone works out the same shares from the same list of names, gives up what is not its own any
more, and takes only what is free. While two lists differ a partition may wait; it is never applied
by two, because the journal refuses the commits of all but one. A partition that was written by a
newer build goes to one of those that can read it, as long as there is one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b

import structlog

from service.errors import JournalUnavailable
from service.journal.base import Journal
from service.metrics import Metrics
from service.residents import Residents
from service.tasks import end
from service.worker import Worker

log = structlog.get_logger()

TICK_SECONDS = 0.5
EAGER_SECONDS = 0.2
"""Between looks while something is wanted that another still has."""
GIVEN_AT_ONCE = 2
"""Each waits for its snapshots; were all to begin at once, each would wait for those of all."""
RENEWALS_PER_LEASE = 3.3


def share(
    name: str,
    names: Sequence[str],
    partitions: Sequence[int],
    able: Callable[[int, str], bool] = lambda partition, name: True,
) -> set[int]:
    """Return a process's partitions: for each, whoever draws the highest number has it.

    Those who are not able to take a partition have no part in it, unless none is able.
    When one comes or goes, only the partitions move that it takes or leaves (rendezvous hashing,
    Thaler and Ravishankar, IEEE/ACM Trans. Networking 6(1), 1998).
    """
    others = set(names) | {name}
    taken = set()
    for partition in partitions:
        chosen = [who for who in others if able(partition, who)] or others
        if max(_draw(who, partition) for who in chosen)[1] == name:
            taken.add(partition)
    return taken


def _draw(name: str, partition: int) -> tuple[bytes, str]:
    return blake2b(f"{partition} {name}".encode(), digest_size=8).digest(), name


class Shares:
    """Runs a worker for each partition that this process owns."""

    def __init__(
        self,
        journal: Journal,
        make: Callable[[int], Worker],
        metrics: Metrics,
        lease_seconds: float,
        max_learners_bytes: int,
    ) -> None:
        self._journal = journal
        self._make = make
        self._metrics = metrics
        self._renew_seconds = lease_seconds / RENEWALS_PER_LEASE
        self._max_learners_bytes = max_learners_bytes
        self._renewed_at = 0.0
        # With one partition there is nothing to share, and nothing to tell.
        self._say = log.info if len(journal.partitions) > 1 else log.debug
        self._workers: dict[int, Worker] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(GIVEN_AT_ONCE)
        self._lacks = False
        self.memories: list[Residents] = []
        """The learners in memory, of one worker each."""
        self.reached = False
        """Whether the journal could be asked the last time."""

    def healthy(self) -> bool:
        """Say whether all that is owned is being applied."""
        return self.reached and all(worker.healthy for worker in self._workers.values())

    async def run(self) -> None:
        """Keep to the share until cancelled."""
        while True:
            try:
                await self.tick()
                self.reached = True
            except JournalUnavailable as error:
                self.reached = False
                log.warning("partitions cannot be shared out", detail=error.detail)
            except Exception:
                # Whoever stops sharing out keeps partitions that nobody applies.
                self.reached = False
                log.exception("sharing out failed")
            await asyncio.sleep(min(EAGER_SECONDS, TICK_SECONDS) if self._lacks else TICK_SECONDS)

    async def tick(self) -> None:
        """Look once at who is there, and give up or take what follows from it."""
        names = await self._journal.present()
        if time.monotonic() - self._renewed_at >= self._renew_seconds:
            for partition in await self._journal.renew():
                await self._lose(partition)
            self._renewed_at = time.monotonic()
        for partition, task in list(self._tasks.items()):
            if task.done() and partition not in self._leaving:  # It was refused a commit.
                await self._lose(partition)
        wanted = share(self._journal.name, names, self._journal.partitions, self._able)
        for partition in self._workers.keys() - wanted - self._leaving.keys():
            self._leaving[partition] = asyncio.create_task(self._give(partition))
        for partition in sorted(wanted - self._workers.keys()):
            await self._take(partition)
        self._lacks = bool(wanted - self._workers.keys())

    def _able(self, partition: int, name: str) -> bool:
        """Say whether a process can read all that a partition holds."""
        return self._journal.reads(name) >= self._journal.needed(partition)

    async def stop(self) -> None:
        """Finish, commit, leave snapshots, and let everything go."""
        with suppress(JournalUnavailable):
            await self._journal.leave()
        for partition in self._workers.keys() - self._leaving.keys():
            self._leaving[partition] = asyncio.create_task(self._give(partition))
        while self._leaving:
            await asyncio.wait(self._leaving.values(), timeout=self._renew_seconds)
            with suppress(JournalUnavailable):
                await self._journal.renew()

    async def tidy(self) -> None:
        """Let go of streams that were deleted."""
        for worker in list(self._workers.values()):
            await worker.tidy()

    async def _take(self, partition: int) -> None:
        begun = time.monotonic()
        epoch = await self._journal.acquire(partition)
        if epoch is None:
            return
        worker = self._workers[partition] = self._make(partition)
        self.memories.append(worker.live)
        self._share_memory()
        self._metrics.owns(partition)
        self._tasks[partition] = asyncio.create_task(worker.run())
        self._metrics.takeover.observe(time.monotonic() - begun)
        self._say("partition taken", partition=partition, epoch=epoch)

    async def _give(self, partition: int) -> None:
        """Stop a worker where it stands, and let another process begin there."""
        try:
            async with self._turns:
                await self._workers[partition].stop()
                with suppress(JournalUnavailable):  # Then the lease comes to its end.
                    await self._journal.release(partition)
            self._say("partition given up", partition=partition)
        finally:
            self._forget(partition)

    async def _lose(self, partition: int) -> None:
        """Drop everything of a partition that another process has."""
        task = self._tasks.get(partition)
        if task is None or partition in self._leaving:
            return
        log.warning("partition lost", partition=partition)
        self._metrics.lease_losses.inc()
        await end([task])
        await self._workers[partition].abandon()
        self._forget(partition)

    def _forget(self, partition: int) -> None:
        worker = self._workers.pop(partition)
        self.memories[:] = [each for each in self.memories if each is not worker.live]
        self._tasks.pop(partition, None)
        self._leaving.pop(partition, None)
        self._metrics.let_go(partition)
        self._share_memory()

    def _share_memory(self) -> None:
        for each in self.memories:
            each.limit_bytes = self._max_learners_bytes // len(self.memories)
