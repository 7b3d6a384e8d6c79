"""The check: what is kept has to be what the log comes to, and what clients were told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from service.journal.redis_keys import position_in, row_in
from service.recovery import repeat_command
from service.schemas import Command, StreamSpec, decode_entry
from service.stream import Fate, Stream
from service.work import readable
from tests.simulation.network import Network, Node
from tests.simulation.values import Stream as Stored


class Told(Protocol):
    """What one client was told."""

    stream: str
    acknowledged: set[str | None]
    replicated: set[str | None]
    answers: list[bytes]


@dataclass
class Verdict:
    """What is wrong, and how much was looked at."""

    violations: list[str] = field(default_factory=list)
    events: int = 0


@dataclass
class Kept:
    """A stream as the server holds it in the end."""

    uid: int
    results: list[bytes]
    ids: set[str]


def verdict(
    network: Network, posters: Iterable[Told], followed: Sequence[tuple[str, int, list[bytes]]]
) -> Verdict:
    """Compare results, offsets and digests with the log, and with what clients were told."""
    found, node = Verdict(), network.primary
    whole = _untrimmed(node)
    kept = {
        name.decode(): _stream(found, node, whole, partition, int(uid))
        for partition in range(_partitions(node))
        for name, uid in node.values.kept.get(b"synaptide:{%d}:names" % partition, {}).items()
    }
    found.violations += _left_behind(node, {own.uid for own in kept.values()})
    for poster in posters:
        own = kept.get(poster.stream)
        ids = own.ids if own else set()
        owed = poster.replicated if network.failovers else poster.acknowledged
        if lost := {str(each) for each in owed - ids}:
            found.violations.append(f"{poster.stream}: lost {len(lost)}, {sorted(lost)[:3]} first")
        if not network.failovers and own is not None:
            _check_answers(found, poster, own)
    if not network.failovers:
        for name, uid, lines in followed:
            own = kept.get(name)
            if own and own.uid == uid and lines != own.results[: len(lines)]:
                found.violations.append(f"{name}: a follower read what is not kept")
    return found


def _left_behind(node: Node, uids: set[int]) -> list[str]:
    """Return what is still kept of streams that were deleted."""
    left = []
    for key in node.values.kept:
        kind, _, uid = key.decode().rpartition(":")
        if kind.rpartition(":")[2] in ("stream", "results", "snapshots", "dead", "raised"):
            left += [] if int(uid) in uids else [f"{key.decode()} is left of a deleted stream"]
    return left


def _partitions(node: Node) -> int:
    return int(node.values.kept[b"synaptide:meta"][b"partitions"])


def _untrimmed(node: Node) -> Node:
    """Return a server as it would be if nothing had ever been trimmed."""
    whole = Node("", 0.0, node.scripts)
    for done in node.done:
        if done.words[0] not in (b"XTRIM", b"ZREMRANGEBYSCORE"):
            whole.repeat(done)
    return whole


def _stream(found: Verdict, node: Node, whole: Node, partition: int, uid: int) -> Kept:
    values, prefix = node.values, b"synaptide:{%d}:" % partition
    row = row_in(uid, values.kept[prefix + b"stream:%d" % uid])
    raised = {key.decode() for key in whole.values.kept.get(prefix + b"raised:%d" % uid, {})}
    stream = Stream(StreamSpec.model_validate_json(row.first_spec))
    expected: list[bytes] = []
    for position, received_at, lines in _log(whole, prefix + b"log", b"%d" % uid):
        for index, line in enumerate(lines):
            entry = decode_entry(line)
            if isinstance(entry, Command):
                repeat_command(stream, entry)
            elif f"{position}:{index}" in raised:
                stream.quarantine(entry)
            else:
                try:
                    reply = stream.apply(readable(entry), received_at)
                except RuntimeError as error:
                    found.violations.append(f"{row.name}: {position}:{index}: {error}")
                    continue
                if reply.fate is Fate.APPLIED:
                    expected.append(reply.line)
    _, chunks = _entries(values.kept.get(prefix + b"results:%d" % uid))
    results = [line for fields in chunks for line in fields[b"d"].split(b"\n")]
    ids = [json.loads(line)["event_id"] for line in results]
    for what, got, want in (
        ("offset", row.offset, stream.offset),
        ("digest", row.digest, stream.digest.hex() if stream.offset or row.digest else ""),
        ("results", len(results), len(expected)),
        ("ids", len(set(ids)), len(ids)),
    ):
        if got != want:
            found.violations.append(f"{row.name}: {what}: got {got}, expected {want}")
    if results != expected:
        found.violations.append(f"{row.name}: results are not those of the log")
    found.events += len(results)
    return Kept(uid, results, set(ids))


def _log(whole: Node, key: bytes, uid: bytes) -> Iterable[tuple[int, float, list[bytes]]]:
    """Return a stream's records."""
    for number, fields in zip(*_entries(whole.values.kept.get(key)), strict=True):
        if fields[b"u"] == uid:
            yield position_in(number), float(fields[b"t"]), fields[b"d"].split(b"\n")


def _entries(stream: Stored | None) -> tuple[list[bytes], list[dict[bytes, bytes]]]:
    if stream is None:
        return [], []
    ids = [b"%d-%d" % each for each in stream.ids]
    return ids, [dict(zip(each[::2], each[1::2], strict=True)) for each in stream.entries]


def _check_answers(found: Verdict, poster: Told, own: Kept) -> None:
    """Each answer has to be the result that is kept, or say that it is the same once more."""
    results = {json.loads(line)["event_id"]: line for line in own.results}
    for answer in poster.answers:
        said = json.loads(answer)
        if "offset" not in said:
            continue
        kept = results.get(said["event_id"], b"")
        if not answer.startswith(kept[:-1]) or not kept:
            found.violations.append(f"{poster.stream}: answered {answer!r}, kept {kept!r}")
            return
