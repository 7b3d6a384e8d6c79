"""A stream's surviving log, applied once more from its first record: what must have come of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from service.journal.base import START
from service.journal.redis import RedisJournal
from service.recovery import repeat_command
from service.schemas import Command, StreamSpec
from service.stream import Fate, Stream
from service.work import readable
from tests.acceptance.fleet import PARTITIONS

EVERYTHING = 2**62


@dataclass
class Refolded:
    """What a stream's log comes to, and where that is not what is kept."""

    events: int = 0
    ids: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)


def refold(url: str, name: str) -> Refolded:
    """Compare a stream's results, offset and digest with its log; nobody may be at work on it."""
    return asyncio.run(_refold(url, name))


async def pending(journal: RedisJournal, uid: int) -> int:
    """Return how many entries of a stream wait to be applied, as commits have counted."""
    keys = journal._keys[journal.partition_of(uid)]
    return int(await journal._server.call("HGET", keys.pending, uid))


async def _refold(url: str, name: str) -> Refolded:
    journal = RedisJournal(url, partitions=PARTITIONS, follows_results=False)
    await journal.open()
    try:
        row = await journal.look_up(name)
        stream = Stream(StreamSpec.model_validate_json(row.first_spec))
        expected: list[bytes] = []
        for record in await journal.history(row.uid, START, EVERYTHING):
            for entry in record.entries:
                if isinstance(entry, Command):
                    repeat_command(stream, entry)
                    continue
                reply = stream.apply(readable(entry), record.received_at)
                if reply.fate is Fate.APPLIED:
                    expected.append(reply.line)
        found: list[bytes] = []
        while page := await journal.results(row.uid, len(found), 10_000):
            found += page
        waiting = await pending(journal, row.uid)
    finally:
        await journal.close()
    refolded = Refolded(len(found), {json.loads(line)["event_id"] for line in found})
    for what, got, want in (
        ("offset", row.offset, stream.offset),
        ("digest", row.digest, stream.digest.hex()),
        ("results", len(found), len(expected)),
        ("entries that wait", waiting, 0),
    ):
        if got != want:
            refolded.violations.append(f"{name}: {what}: got {got}, expected {want}")
    different = [
        i for i, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]
    ]
    if different:
        refolded.violations.append(f"{name}: result {different[0] + 1} differs")
    return refolded
