"""Which partitions this process owns, and who else there is."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping, Sequence

from service.errors import Fenced
from service.journal.base import Place
from service.journal.redis_keys import Keys
from service.journal.redis_server import Server


class Leases:
    """Leases by partition. The server's clock decides; that none is used twice, the epoch does."""

    def __init__(
        self, server: Server, prefix: str, keys: Sequence[Keys], lease_seconds: float
    ) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._server = server
        self._keys = keys
        self._workers = f"{prefix}:workers"
        self._milliseconds = round(1_000 * lease_seconds)
        self._owners: dict[int, str] = {}
        self._epochs: dict[int, int] = {}
        self.owned: Mapping[int, int] = self._epochs
        self.deaths: dict[int, int] = {}
        """How many owners in a row died before this one, without a commit."""

    def token(self, partition: int) -> tuple[str, int]:
        """Return what proves that this process owns a partition; it may be out of date."""
        return self._owners.get(partition, "-"), self._epochs.get(partition, 0)

    async def acquire(self, partition: int) -> int | None:
        """Take a partition if it is free; return the epoch."""
        owner = self._owners.get(partition) or secrets.token_hex(8)
        epoch, deaths = await self._server.run(
            "acquire", [self._keys[partition].own], owner, self.name, self._milliseconds
        )
        if not epoch:
            self.lose(partition)
            return None
        self._owners[partition], self._epochs[partition] = owner, int(epoch)
        self.deaths[partition] = int(deaths)
        return int(epoch)

    async def mark(self, partition: int, place: Place) -> int:
        """Note that an entry is about to be stepped; return how many owners died at this note.

        Before several are taken for dead, those who only stood still have as long as a lease to
        say so.
        """
        died = await self._mark(partition, place)
        if died > 1:
            await asyncio.sleep(self._milliseconds / 1_000)
            died = await self._mark(partition, place)
        return died

    async def _mark(self, partition: int, place: Place) -> int:
        owner, epoch = self.token(partition)
        position, index = place
        died = await self._server.run(
            "mark", [self._keys[partition].own], owner, f"{position}:{index}"
        )
        if died < 0:
            self.lose(partition)
            raise Fenced(f"epoch: got {epoch} of partition {partition}, which another process has")
        return int(died)

    async def renew(self) -> list[int]:
        """Hold on to what is owned; return what is lost."""
        held = dict(self._owners)
        commands = [
            self._server.script(
                "renew", [self._keys[partition].own], [owner, self._milliseconds, self.name]
            )
            for partition, owner in held.items()
        ]
        kept = await self._server.all_of(commands)
        lost = [
            partition
            for (partition, owner), said in zip(held.items(), kept, strict=True)
            if not said and self._owners.get(partition) == owner
        ]
        for partition in lost:
            self.lose(partition)
        return lost

    async def release(self, partition: int) -> None:
        """Give a partition up."""
        owner = self._owners.get(partition)
        self.lose(partition)
        if owner is not None:
            await self._server.run("release", [self._keys[partition].own], owner)

    def lose(self, partition: int) -> None:
        """Forget a lease that is no more."""
        self._owners.pop(partition, None)
        self._epochs.pop(partition, None)

    async def present(self) -> list[str]:
        """Note that this process is there; return the names of all that are."""
        names = await self._server.run("present", [self._workers], self.name, self._milliseconds)
        return [name.decode() for name in names]

    async def anybody(self) -> bool:
        """Say whether there is any process that applies partitions."""
        now = (await self._server.call("TIME"))[0]
        return bool(await self._server.call("ZCOUNT", self._workers, 1_000 * int(now), "+inf"))

    async def leave(self) -> None:
        """Take the note back."""
        await self._server.call("ZREM", self._workers, self.name)
