"""How the shared engine takes in a stream from another store.

A stream is too large for one script, so its parts are written first, under a number that nobody
knows: they go by themselves if the script never comes that makes them a stream.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_json

from service.errors import Fenced, Phantom
from service.journal.base import Moved, StreamRow
from service.journal.moved import payload_of, placed, renumbered, results_in, waiting
from service.journal.redis_keys import Keys, snapshot_meta
from service.journal.redis_server import Command, Server

STAGED_SECONDS = 3_600
STAGED_BYTES = 1 << 20
COMMANDS_AT_ONCE = 256


@dataclass(slots=True)
class Adoption:
    """Where streams are taken in: a partition, and the lease that proves it is ours."""

    server: Server
    keys: Keys
    partition: int
    partitions: int
    owner: str
    epoch: int
    results_kept: int

    async def take(self, moved: Moved) -> StreamRow | None:
        """Take in a stream, whole or not at all; return `None` if its name is taken."""
        name = moved.row.name
        numbers = await self.server.run(
            "reserve",
            [self.keys.names, self.keys.head],
            *(name, self.partition, self.partitions, len(moved.snapshots)),
        )
        if not numbers:
            return None
        uid, first_id, base, depth = map(int, numbers)
        if depth:
            raise waiting(self.partition, depth)
        own = renumbered(moved, range(first_id, first_id + len(moved.snapshots)))
        positions = [at for part in _parts(own) for at in await self._stage(uid, part)]
        here = placed(own, base, positions)
        row = replace(here.row, uid=uid)
        blobs = await self._stage_snapshots(uid, here)
        kinds = await self._stage_lines(uid, here)
        said = await self.server.run(
            "adopt",
            [self.keys.own, self.keys.names, self.keys.head, self.keys.pending, self.keys.news],
            *(self.keys.prefix, self.owner, self.epoch, uid, name, len(kinds), len(blobs) // 3),
            *kinds,
            *blobs,
            *_fields(here),
        )
        return row if self._settled(*said) else None

    def _settled(self, kind: bytes, detail: bytes) -> bool:
        if kind == b"FENCED":
            raise Fenced(
                f"epoch: got {self.epoch} of partition {self.partition}, "
                f"which is at {detail.decode()}"
            )
        if kind == b"WAITS":
            raise waiting(self.partition, int(detail))
        if kind == b"LOST":
            raise Phantom(f"{detail.decode()}: got nothing, expected what was written there")
        return kind == b"OK"

    async def _stage(self, uid: int, part: Sequence[Any]) -> list[int]:
        positions = await self.server.run("stage", [self.keys.log, self.keys.head], uid, *part)
        return [int(position) for position in positions]

    async def _stage_snapshots(self, uid: int, here: Moved) -> list[Any]:
        found: list[Any] = []
        for each, blob in here.snapshots:
            key = self.keys.blob(uid, secrets.token_hex(8))
            await self.server.call("SET", key, blob, "EX", STAGED_SECONDS)
            place = (each.position, each.offset, each.created_at)
            found += [each.id, snapshot_meta(*place, len(blob), each.kept, key), key]
        return found

    async def _stage_lines(self, uid: int, here: Moved) -> list[str]:
        """Write results and dead letters; return the kinds of keys that hold them."""
        results, dead, raised = (
            each(uid) for each in (self.keys.results, self.keys.dead, self.keys.raised)
        )
        commands: dict[str, list[Command]] = {results: [], dead: [], raised: []}
        for number, (last, lines) in enumerate(results_in(here, self.results_kept)):
            line = b"\n".join(lines)
            told = ("XADD", results, f"{last}-{number}", "n", len(lines), "d", line)
            commands[results].append(told)
        for each in here.dead:
            where = ("p", each.position, "i", each.index, "t", repr(each.created_at))
            said = ("r", each.reason, "d", each.detail, "e", each.entry)
            commands[dead].append(("XADD", dead, "*", *where, *said))
            if each.reason == "raised":
                place = f"{each.position}:{each.index}"
                commands[raised].append(("ZADD", raised, each.position, place))
        for key, writes in commands.items():
            for i in range(0, len(writes), COMMANDS_AT_ONCE):
                part = writes[i : i + COMMANDS_AT_ONCE]
                await self.server.all_of([*part, ("EXPIRE", key, STAGED_SECONDS)])
        kinds = {"results": results, "dead": dead, "raised": raised}
        return [kind for kind, key in kinds.items() if commands[key]]


def _parts(moved: Moved) -> Iterator[list[Any]]:
    """Return the records as the script takes them, so many at once that it is soon done."""
    part, size, total = list[Any](), 0, moved.before
    for record in moved.records:
        total += len(record.entries)
        payload = payload_of(record)
        size += len(payload)
        part += [repr(record.received_at), len(record.entries), total]
        part += [secrets.token_hex(6), payload]
        if size >= STAGED_BYTES or len(part) >= 5 * COMMANDS_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part


def _fields(here: Moved) -> Iterator[Any]:
    """Return what a stream's key holds, field after value."""
    row = here.row
    fields = {
        "name": row.name,
        "spec": row.spec,
        "version": row.version,
        "created_at": repr(row.created_at),
        "first_spec": row.first_spec,
        "offset": row.offset,
        "digest": row.digest,
        "status": to_json(row.status),
        "total": here.before + sum(len(record.entries) for record in here.records),
    }
    if here.records:
        fields["last"] = here.records[-1].position
    own = [each.position for each, _ in here.snapshots if each.position >= 0]
    if own:
        fields |= {"newest": own[-1], "oldest": own[-2:][0]}
    for name, value in fields.items():
        yield name
        yield value
