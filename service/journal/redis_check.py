"""What a server must be before anything is entrusted to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from service.errors import SettingsError
from service.journal.redis_server import Server

log = structlog.get_logger()

FORMAT = 1
OLDEST = (7, 0)


async def check(server: Server, prefix: str, partitions: int) -> None:
    """Refuse a server that would lose what it is given; name what is doubtful.

    Raises `SettingsError`.
    """
    for info in await infos(server):
        examine(info)
    await _check_partitions(server, prefix, partitions)


async def infos(server: Server) -> list[Mapping[str, Any]]:
    """Return what each server that takes writes says of itself."""
    found = await server.call("INFO", "server", "memory", "persistence", "replication")
    if server.is_cluster and all(isinstance(each, dict) for each in found.values()):
        return list(found.values())
    return [found]


def examine(info: Mapping[str, Any]) -> None:
    """Check what one server says of itself."""
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise SettingsError(f"redis: got version {version}, expected 7.0 or newer, or Valkey")
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        raise SettingsError(
            f"redis: got maxmemory-policy {policy}, which lets go of the log and of what was "
            "learned when memory is full; expected noeviction"
        )
    if info["role"] != "master":
        raise SettingsError("redis: got a replica, expected the server that takes writes")
    if int(info["connected_slaves"]) and "min_slaves_good_slaves" not in info:
        raise SettingsError(
            "redis: got a server with replicas and min-replicas-to-write 0, which goes on taking "
            "events when it is cut off from all of them; expected 1 or more"
        )
    if not info.get("aof_enabled"):
        log.warning("the server keeps no append-only file: events since its last dump may be lost")


async def _check_partitions(server: Server, prefix: str, partitions: int) -> None:
    key, wanted = f"{prefix}:meta", {b"format": FORMAT, b"partitions": partitions}
    for name, value in wanted.items():
        await server.call("HSETNX", key, name, value)
    found = await server.call("HGETALL", key)
    for name, value in wanted.items():
        if int(found[name]) != value:
            raise SettingsError(
                f"redis: got {name.decode()} {value}, expected {int(found[name])}, "
                "which what is stored there was made with"
            )
