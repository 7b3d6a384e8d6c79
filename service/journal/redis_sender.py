"""Appends on their way to the server: what comes while one round is out goes with the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.errors import InvalidInput, JournalUnavailable, QueueFull, SynaptideError
from service.journal.mirror import gone
from service.journal.redis_keys import Keys
from service.journal.redis_server import Command, Server, reached

ROUND_BYTES = 4 << 20
WAIT_MILLISECONDS = 2_000


@dataclass(slots=True)
class Parcel:
    """One append: taken whole or not at all."""

    uid: int
    partition: int
    received_at: float
    asked: bool
    """Whether somebody will ask for the replies."""
    replicated: bool
    records: list[tuple[int, bytes, bytes]]
    """Of each record: how many entries it has, its token, its payload."""
    future: asyncio.Future[list[int]] = field(default_factory=asyncio.Future)

    def arguments(self) -> list[Any]:
        """Return what the script wants to know."""
        head = [self.uid, repr(self.received_at), int(self.asked), len(self.records)]
        return head + [part for record in self.records for part in record]

    def entries(self) -> int:
        """Return how many entries it holds."""
        return sum(n for n, _, _ in self.records)


class Sender:
    """Sends parcels in the order they came, one round at a time."""

    def __init__(
        self,
        server: Server,
        keys: Sequence[Keys],
        max_entries: int,
        max_bytes: int,
        replicas: int,
        deep: Callable[[int, int], None],
    ) -> None:
        self._server = server
        self._keys = keys
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._replicas = replicas
        self._deep = deep
        self._queue: deque[Parcel] = deque()
        self._task: asyncio.Task[None] | None = None
        self.full = ""
        """Why nothing is taken at all, if so."""

    async def send(self, parcel: Parcel) -> list[int]:
        """Append a parcel's records; return their positions."""
        if parcel.replicated and self._server.is_cluster:
            raise InvalidInput("ack: got 'replicated', which a cluster cannot be asked for")
        if self.full:
            raise QueueFull(self.full, retry_after_seconds=1)
        self._queue.append(parcel)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await parcel.future

    async def close(self) -> None:
        """Send what is queued."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._queue:
            parcels, size = [], 0
            while self._queue and size < ROUND_BYTES:
                parcels.append(self._queue.popleft())
                size += sum(len(payload) for _, _, payload in parcels[-1].records)
            try:
                await self._send(parcels)
            except Exception as error:
                for parcel in parcels:
                    _refuse(parcel, error)

    async def _send(self, parcels: Sequence[Parcel]) -> None:
        shares: dict[int, list[Parcel]] = {}
        for parcel in parcels:
            shares.setdefault(parcel.partition, []).append(parcel)
        commands = [self._command(partition, share) for partition, share in shares.items()]
        wanted = any(parcel.replicated for parcel in parcels)
        if wanted:
            commands.append(("WAIT", self._replicas, WAIT_MILLISECONDS))
        replies = await self._server.call_all(commands)
        copies = replies.pop() if wanted else 0
        for (partition, share), reply in zip(shares.items(), replies, strict=True):
            self._settle(partition, share, reply, copies)

    def _command(self, partition: int, share: Sequence[Parcel]) -> Command:
        keys = self._keys[partition]
        arguments: list[Any] = [keys.prefix, self._max_entries, self._max_bytes]
        for parcel in share:
            arguments += parcel.arguments()
        return self._server.script("append", [keys.log, keys.head, keys.pending], arguments)

    def _settle(self, partition: int, share: Sequence[Parcel], reply: Any, copies: Any) -> None:
        if isinstance(reply, Exception):
            error = _said(reply)
            for parcel in share:
                _refuse(parcel, error)
            return
        self._deep(partition, int(reply[-1]))
        for parcel, said in zip(share, reply, strict=False):
            if said[0] == b"GONE":
                _refuse(parcel, gone(parcel.uid))
            elif said[0] == b"FULL":
                _refuse(parcel, self._too_much(parcel, int(said[1]), int(said[2])))
            elif parcel.replicated and not (isinstance(copies, int) and copies >= self._replicas):
                shown = copies if isinstance(copies, int) else 0
                detail = f"replicas: got {shown} that have the events, expected {self._replicas}"
                _refuse(parcel, JournalUnavailable(detail, retry_after_seconds=1))
            elif not parcel.future.done():
                parcel.future.set_result([int(position) for position in said])

    def _too_much(self, parcel: Parcel, depth: int, size: int) -> QueueFull:
        return QueueFull(
            f"entries: got {parcel.entries()} beside {depth} waiting with {size} bytes, "
            f"expected at most {self._max_entries} in all and {self._max_bytes} bytes",
            retry_after_seconds=1,
        )


def _said(reply: Exception) -> SynaptideError:
    try:
        with reached("append"):
            raise reply
    except SynaptideError as error:
        return error


def _refuse(parcel: Parcel, error: Exception) -> None:
    if not parcel.future.done():
        parcel.future.set_exception(error)
        parcel.future.exception()  # Marks it as seen: its caller may have gone away.
