"""Which partitions this process owns, and who else there is."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping, Sequence

from service.errors import Fenced
from service.formats import FORMAT, OLDEST
from service.journal.base import Place
from service.journal.redis_keys import Keys
from service.journal.redis_server import Server

PRESENT_SECONDS = 5.0
"""How much longer than a lease a process counts after its last note."""


class Leases:
    """Leases by partition. The server's clock decides; that none is used twice, the epoch does."""

    def __init__(
        self,
        server: Server,
        prefix: str,
        keys: Sequence[Keys],
        lease_seconds: float,
        write_format: int = FORMAT,
    ) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._server = server
        self._keys = keys
        self._workers = f"{prefix}:workers"
        self._processes = f"{prefix}:processes"
        self._write_format = write_format
        self._formats: dict[str, int] = {}
        self._milliseconds = round(1_000 * lease_seconds)
        self._owners: dict[int, str] = {}
        self._epochs: dict[int, int] = {}
        self.owned: Mapping[int, int] = self._epochs
        self._former: dict[int, str] = {}
        """What was owned until others took it, who are still to be told that this one lives."""
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
        self._former.pop(partition, None)
        self.deaths[partition] = int(deaths)
        return int(epoch)

    async def mark(self, partition: int, place: Place) -> int:
        """Note that an entry is about to be stepped; return how many owners left this very note.

        Not among them are those who were heard of since.
        """
        owner, epoch = self.token(partition)
        position, index = place
        died = await self._server.run(
            "mark", [self._keys[partition].own], owner, f"{position}:{index}"
        )
        if died < 0:
            self.fenced(partition)
            raise Fenced(f"epoch: got {epoch} of partition {partition}, which another process has")
        return int(died)

    async def renew(self) -> list[int]:
        """Hold on to what is owned; return what is lost. Of what was lost, say that one lives."""
        held = self._former | self._owners
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
        for partition, owner in held.items():
            if self._former.get(partition) == owner:
                del self._former[partition]
        return lost

    async def release(self, partition: int) -> None:
        """Give a partition up."""
        owner = self._owners.get(partition)
        self.lose(partition)
        if owner is not None:
            await self._server.run("release", [self._keys[partition].own], owner)

    def fenced(self, partition: int) -> None:
        """Forget a lease that another process was found to have."""
        if partition in self._owners:
            self._former[partition] = self._owners[partition]
        self.lose(partition)

    def lose(self, partition: int) -> None:
        """Forget a lease that is no more."""
        self._owners.pop(partition, None)
        self._epochs.pop(partition, None)

    def reads(self, name: str) -> int:
        """Return the newest format that a process reads; those that do not say know no newer."""
        return FORMAT if name == self.name else self._formats.get(name, OLDEST)

    @property
    def write_format(self) -> int:
        """The newest format to write: one that all processes read, of the two this one writes."""
        return max(OLDEST, min(self._write_format, *self._formats.values(), FORMAT))

    async def note(self) -> list[tuple[str, int]]:
        """Note that this process is there, in any role; return all, with what each reads."""
        milliseconds = self._milliseconds + round(1_000 * PRESENT_SECONDS)
        said = await self._server.run("present", [self._processes], self._said(), milliseconds)
        pairs = [each.decode().rpartition(" ") for each in said]
        return [(name, int(reads)) for name, _, reads in pairs]

    def _said(self) -> str:
        return f"{self.name} {FORMAT}"

    async def present(self) -> list[str]:
        """Note that this process applies partitions; return the names of all that do."""
        # Whoever is among the workers has said before what it reads, or does not know how to.
        await self.note()
        found = await self._server.run("present", [self._workers], self.name, self._milliseconds)
        names = [name.decode() for name in found]
        self._formats = dict.fromkeys(names, OLDEST) | dict(await self.note())
        return names

    async def need(self, partition: int, wanted: int) -> None:
        """Note which format it takes to read a partition, unless it is another's by now."""
        keys = self._keys[partition]
        await self._server.run("need", [keys.own, keys.head], self.token(partition)[0], wanted)

    async def anybody(self) -> bool:
        """Say whether there is any process that applies partitions."""
        now = (await self._server.call("TIME"))[0]
        return bool(await self._server.call("ZCOUNT", self._workers, 1_000 * int(now), "+inf"))

    async def leave(self) -> None:
        """Apply partitions no more."""
        await self._server.call("ZREM", self._workers, self.name)

    async def go(self) -> None:
        """Be there no more."""
        await self._server.call("ZREM", self._processes, self._said())
