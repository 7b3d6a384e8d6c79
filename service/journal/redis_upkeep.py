"""What is let go of, and what is looked at every second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from service.journal.base import DeadLetter, TemplateRow
from service.journal.redis_check import infos
from service.journal.redis_keys import Fields, Keys, entry_id, position_in
from service.journal.redis_server import Server

WALKED_AT_ONCE = 500
MEMORY_SHARE = 0.7
"""Of the server's memory, beyond which no events are taken: commits need the rest."""


async def trim(server: Server, keys: Keys, entries_kept: int, received_before: float) -> int:
    """Delete the records that neither recovery nor retention needs; return how many went."""
    floor = int(await server.run("floor", [keys.head, keys.pending], keys.prefix))
    beyond = int(await server.call("HGET", keys.head, "count") or 0) - entries_kept
    first, last = "-", entry_id(floor)
    upto = 0
    while True:
        found: list[Any] = await server.call(
            "XRANGE", keys.log, first, last, "COUNT", WALKED_AT_ONCE
        )
        for entry, fields in found:
            if int(fields[b"c"]) > beyond and float(fields[b"t"]) >= received_before:
                break
            upto = position_in(entry)
        else:
            if len(found) == WALKED_AT_ONCE:
                first = f"({found[-1][0].decode()}"
                continue
        break
    trimmed = await server.call("XTRIM", keys.log, "MINID", entry_id(upto + 1)) if upto else 0
    await _forget_places(server, keys, floor)
    return int(trimmed)


async def _forget_places(server: Server, keys: Keys, floor: int) -> None:
    """Let go of where learners raised, up to where no replay begins any more."""
    uids = await server.call("HKEYS", keys.pending)
    await server.all_of(
        [("ZREMRANGEBYSCORE", keys.raised(int(uid)), "-inf", floor) for uid in uids]
    )


async def pulse(server: Server) -> tuple[str, str]:
    """Return which history the server tells, and why it takes no events now, if it does not.

    After a failover it is another history: what was read before may never have been.
    """
    found = await infos(server)
    return "+".join(str(info.get("master_replid")) for info in found), next(
        filter(None, map(_too_full, found)), ""
    )


def _too_full(info: Mapping[str, Any]) -> str:
    used, most = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    if most and used > MEMORY_SHARE * most:
        return f"memory: got {used} bytes in use, expected at most {MEMORY_SHARE:.0%} of {most}"
    return ""


def templates_in(found: Mapping[bytes, bytes]) -> list[TemplateRow]:
    """Read templates, by name."""
    said = {name.decode(): from_json(value) for name, value in sorted(found.items())}
    return [
        TemplateRow(name, pattern, spec.encode(), created_at)
        for name, (pattern, spec, created_at) in said.items()
    ]


def dead_letters_in(uid: int, found: Sequence[tuple[bytes, Fields]]) -> list[DeadLetter]:
    """Read dead letters that came newest first; return them oldest first."""
    letters = []
    for _, fields in reversed(found):
        reason: Any = fields[b"r"].decode()
        place = (uid, int(fields[b"p"]), int(fields[b"i"]), reason)
        detail = fields[b"d"].decode()
        letters.append(DeadLetter(*place, detail, fields[b"e"], float(fields[b"t"])))
    return letters
