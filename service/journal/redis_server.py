"""The connections to a Redis or Valkey server or cluster, and its refusals in our words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    NoScriptError,
    OutOfMemoryError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.errors import JournalUnavailable, QueueFull, SettingsError

SCRIPTS = (
    *("adopt", "append", "behind", "commit", "create", "delete", "find", "floor", "keep"),
    *("acquire", "mark", "need", "present", "release", "renew", "reserve", "stage"),
)
REPLY_SECONDS = 5.0
BLOCK_SECONDS = 5.0
LOOK_SECONDS = 0.2
UNREACHED = (ClusterDownError, ConnectionError, RedisTimeoutError)
SCHEMES = {
    "redis": ("redis", False),
    "rediss": ("rediss", False),
    "redis+cluster": ("redis", True),
    "rediss+cluster": ("rediss", True),
}

Command = tuple[Any, ...]


@contextmanager
def reached(doing: str) -> Iterator[None]:
    """Turn what a server refuses, or that it cannot be reached, into our own refusals."""
    try:
        yield
    except OutOfMemoryError as error:
        raise QueueFull(f"{doing}: the server's memory is full", retry_after_seconds=1) from error
    except (TimeoutError, RedisError, RedisClusterException, OSError) as error:
        raise JournalUnavailable(
            f"{doing}: got {str(error) or type(error).__name__!r}, expected a server that answers",
            retry_after_seconds=1,
        ) from error


class Server:
    """Two sets of connections: one whose every reply is due soon, one that waits for news.

    No command is sent twice by itself: an append that was carried out, but whose reply was lost,
    would be in the log twice.
    """

    def __init__(self, url: str) -> None:
        scheme, self.is_cluster = self._scheme(url)
        self._url = scheme + url[url.index(":") :]
        self._quick: Any = None
        self._patient: Any = None
        self._hashes: dict[str, str] = {}
        self._looked_at = 0.0
        self._texts = {
            name: (Path(__file__).parent / "lua" / f"{name}.lua").read_text("utf-8")
            for name in SCRIPTS
        }

    @staticmethod
    def _scheme(url: str) -> tuple[str, bool]:
        scheme = url.partition(":")[0]
        if scheme not in SCHEMES or not urlsplit(url).hostname:
            shown = ", ".join(f"{each}://" for each in SCHEMES)
            raise SettingsError(f"redis: got an address that is none, expected one of {shown}")
        return SCHEMES[scheme]

    async def open(self) -> None:
        """Connect and bring the scripts, or raise `SettingsError`."""
        try:
            self._quick = self._client(REPLY_SECONDS)
            self._patient = self._client(BLOCK_SECONDS + REPLY_SECONDS)
            await self._load()
        except (RedisError, RedisClusterException, OSError, ValueError) as error:
            await self.close()
            where = urlsplit(self._url)
            raise SettingsError(
                f"redis: got {str(error) or type(error).__name__!r} from "
                f"{where.hostname} port {where.port or 6379}, expected a server that answers"
            ) from error

    def _client(self, seconds: float) -> Any:
        common: dict[str, Any] = {"socket_timeout": seconds, "socket_connect_timeout": 2.0}
        common["protocol"] = 2
        common["retry"] = Retry(NoBackoff(), 0)
        if self.is_cluster:
            return RedisCluster.from_url(self._url, **common)
        return Redis.from_url(self._url, max_connections=4_096, **common)

    async def close(self) -> None:
        """Let all connections go."""
        for client in (self._quick, self._patient):
            if client is not None:
                await client.aclose()

    async def _load(self) -> None:
        for name, text in self._texts.items():
            sha = await self._quick.script_load(text)
            self._hashes[name] = sha.decode() if isinstance(sha, bytes) else sha

    def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Command:
        """Return the command that runs a script."""
        return ("EVALSHA", self._hashes[name], len(keys), *keys, *arguments)

    async def run(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script."""
        with reached(name):
            try:
                return await self._quick.execute_command(*self.script(name, keys, arguments))
            except NoScriptError:  # The server was started anew, or is another one.
                await self._load()
                return await self._quick.execute_command(*self.script(name, keys, arguments))

    async def call(self, *command: Any) -> Any:
        """Run one command."""
        with reached(str(command[0]).lower()):
            return await self._quick.execute_command(*command)

    async def call_all(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands at one go; each reply, or what was raised in its place."""
        if not commands:
            return []
        with reached("pipeline"):
            replies = await self._pipeline(commands)
            again = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if again:
                await self._load()
                redone = await self._pipeline([commands[i] for i in again])
                for i, reply in zip(again, redone, strict=True):
                    replies[i] = reply
            return replies

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        # On a single server the commands share a connection, which WAIT depends on.
        pipeline = self._quick.pipeline(*(() if self.is_cluster else (False,)))
        for command in commands:
            pipeline.execute_command(*command)
        try:
            found: list[Any] = await pipeline.execute(raise_on_error=False)
        except UNREACHED:
            await self._look_who_has_what()
            raise
        if any(isinstance(reply, UNREACHED) for reply in found):
            await self._look_who_has_what()
        return found

    async def _look_who_has_what(self) -> None:
        """Ask the cluster where slots are: pipelines, unlike commands, go on asking the dead."""
        if not self.is_cluster or time.monotonic() < self._looked_at + LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        with suppress(RedisError, RedisClusterException, OSError):
            await self._quick.nodes_manager.initialize()

    async def all_of(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands at one go; raise what any of them raised."""
        replies = await self.call_all(commands)
        with reached("pipeline"):
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies

    async def wait_for(
        self, places: Mapping[str, str], count: int, seconds: float = BLOCK_SECONDS
    ) -> dict[str, list[tuple[bytes, Mapping[bytes, bytes]]]]:
        """Return what streams hold after their places, waiting for the first; maybe nothing."""
        block = ("BLOCK", max(1, round(1_000 * seconds))) if seconds else ()
        command = ("XREAD", "COUNT", count, *block, "STREAMS", *places, *places.values())
        where = {}
        with reached("xread"):
            if self.is_cluster:
                # The client does not find the key among the words of this one command.
                await self._patient.initialize()
                where["target_nodes"] = self._patient.get_node_from_key(next(iter(places)))
            found = await self._patient.execute_command(*command, **where)
        return {name.decode(): entries for name, entries in found}
