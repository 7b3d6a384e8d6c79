"""What the shared engine lets go of."""

from __future__ import annotations

from typing import Any

from service.journal.redis_keys import Keys, entry_id, position_in
from service.journal.redis_server import Server

WALKED_AT_ONCE = 500


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
