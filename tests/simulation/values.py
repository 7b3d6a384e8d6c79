"""What a Redis server keeps under a key, and the commands on it that the service uses.

A model, so that a server's history can be cut short and its clock be anyone's. That it is a true
one is tested against a real server: see test_simulation.py.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Id = tuple[int, int]
Reply = Any
MOST = 2**64 - 1


class Refusal(Exception):
    """An error that the server answers with"""


@dataclass
class Stream:
    """Entries in the order of their ids."""

    ids: list[Id] = field(default_factory=list)
    entries: list[list[bytes]] = field(default_factory=list)
    last: Id = (0, 0)

    def cut(self, count: int) -> int:
        """Let the oldest entries go."""
        del self.ids[:count]
        del self.entries[:count]
        return count


class Values:
    """All keys of one server. Commands take bytes and return what the wire would carry."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Any] = {}
        self.ends: dict[bytes, float] = {}
        """When keys are let go of by themselves."""
        self.now = 0.0
        """Seconds; set by whoever runs a command."""
        self._commands: dict[bytes, Callable[..., Reply]] = {
            name.removeprefix("do_").upper().encode(): getattr(self, name)
            for name in dir(self)
            if name.startswith("do_")
        }

    def run(self, command: list[bytes]) -> Reply:
        """Run a command, or raise `Refusal`; `KeyError` for one that the model lacks."""
        return self._commands[command[0].upper()](*command[1:])

    def _get(self, key: bytes, default: Any) -> Any:
        """Return a value, or one that is not kept unless it is put."""
        if self.ends and self.ends.get(key, self.now + 1) <= self.now:
            self._drop(key)
        return self.kept.get(key, default)

    def _put(self, key: bytes, kind: Callable[[], Any]) -> Any:
        found = self._get(key, None)
        if found is None:
            found = self.kept[key] = kind()
        return found

    def _drop(self, key: bytes) -> bool:
        self.ends.pop(key, None)
        return self.kept.pop(key, None) is not None

    def _drop_empty(self, key: bytes) -> None:
        if not self.kept.get(key, True):
            self._drop(key)

    # Keys and strings

    def do_del(self, *keys: bytes) -> int:
        return sum(self._drop(key) for key in keys)

    do_unlink = do_del

    def do_exists(self, *keys: bytes) -> int:
        return sum(self._get(key, None) is not None for key in keys)

    def do_persist(self, key: bytes) -> int:
        return int(self._get(key, None) is not None and self.ends.pop(key, None) is not None)

    def do_expire(self, key: bytes, seconds: bytes) -> int:
        if self._get(key, None) is None:
            return 0
        self.ends[key] = self.now + int(seconds)
        return 1

    def do_set(self, key: bytes, value: bytes, *options: bytes) -> bytes:
        self._drop(key)
        self.kept[key] = value
        if options:
            assert options[0] == b"EX"
            self.ends[key] = self.now + int(options[1])
        return b"OK"

    def do_get(self, key: bytes) -> bytes | None:
        found: bytes | None = self._get(key, None)
        return found

    def do_getrange(self, key: bytes, first: bytes, last: bytes) -> bytes:
        assert int(first) >= 0 <= int(last)
        found: bytes = self._get(key, b"")
        return found[int(first) : int(last) + 1]

    def do_time(self) -> list[bytes]:
        seconds = int(self.now)
        return [b"%d" % seconds, b"%d" % int((self.now - seconds) * 1e6)]

    # Hashes

    def do_hset(self, key: bytes, *pairs: bytes) -> int:
        kept = self._put(key, dict)
        before = len(kept)
        kept.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(kept) - before

    def do_hsetnx(self, key: bytes, name: bytes, value: bytes) -> int:
        return 0 if name in self._get(key, {}) else self.do_hset(key, name, value)

    def do_hget(self, key: bytes, name: bytes) -> bytes | None:
        found: bytes | None = self._get(key, {}).get(name)
        return found

    def do_hmget(self, key: bytes, *names: bytes) -> list[bytes | None]:
        kept = self._get(key, {})
        return [kept.get(name) for name in names]

    def do_hgetall(self, key: bytes) -> list[bytes]:
        return [part for pair in self._get(key, {}).items() for part in pair]

    def do_hkeys(self, key: bytes) -> list[bytes]:
        return list(self._get(key, {}))

    def do_hvals(self, key: bytes) -> list[bytes]:
        return list(self._get(key, {}).values())

    def do_hexists(self, key: bytes, name: bytes) -> int:
        return int(name in self._get(key, {}))

    def do_hincrby(self, key: bytes, name: bytes, by: bytes) -> int:
        kept = self._put(key, dict)
        number = int(kept.get(name, b"0")) + int(by)
        kept[name] = b"%d" % number
        return number

    def do_hdel(self, key: bytes, *names: bytes) -> int:
        kept = self._get(key, {})
        gone = sum(kept.pop(name, None) is not None for name in names)
        self._drop_empty(key)
        return gone

    # Sorted sets

    def do_zadd(self, key: bytes, score: bytes, member: bytes) -> int:
        kept = self._put(key, dict)
        new = member not in kept
        kept[member] = float(score)
        return int(new)

    def do_zrem(self, key: bytes, *members: bytes) -> int:
        return self.do_hdel(key, *members)

    def _ranked(self, key: bytes) -> list[tuple[float, bytes]]:
        return sorted((score, member) for member, score in self._get(key, {}).items())

    def do_zrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> list[bytes]:
        ranked = self._ranked(key)
        if options:
            assert options == (b"BYSCORE",)
            return [member for score, member in ranked if _within(score, first, last)]
        assert (first, last) == (b"0", b"-1")
        return [member for _, member in ranked]

    def do_zcount(self, key: bytes, least: bytes, most: bytes) -> int:
        return sum(_within(score, least, most) for score, _ in self._ranked(key))

    def do_zremrangebyscore(self, key: bytes, least: bytes, most: bytes) -> int:
        gone = [member for score, member in self._ranked(key) if _within(score, least, most)]
        return self.do_hdel(key, *gone) if gone else 0

    # Streams

    def do_xadd(self, key: bytes, *words: bytes) -> bytes:
        most = None
        if words[0] == b"MAXLEN":
            most, words = int(words[1]), words[2:]
        stream, new = self._get(key, None), self._new_id(key, words[0])
        if new <= (stream.last if stream else (0, 0)):
            raise Refusal(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item"
            )
        stream = self._put(key, Stream)
        stream.ids.append(new)
        stream.entries.append(list(words[1:]))
        stream.last = new
        if most is not None:
            stream.cut(max(0, len(stream.ids) - most))
        return _shown(new)

    def _new_id(self, key: bytes, word: bytes) -> Id:
        stream = self._get(key, None)
        last: Id = stream.last if stream else (0, 0)
        if word == b"*":
            now = int(self.now * 1_000)
            return (now, 0) if now > last[0] else (last[0], last[1] + 1)
        major, _, minor = word.partition(b"-")
        if minor == b"*":
            return int(major), last[1] + 1 if int(major) == last[0] else 0
        return int(major), int(minor or 0)

    def do_xrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> list[Reply]:
        start, end = self._bounds(key, first, last)
        most = int(options[1]) if options else MOST
        return self._entries(key, range(start, min(end, start + most)))

    def do_xrevrange(self, key: bytes, last: bytes, first: bytes, *options: bytes) -> list[Reply]:
        start, end = self._bounds(key, first, last)
        most = int(options[1]) if options else MOST
        return self._entries(key, range(end - 1, max(start, end - most) - 1, -1))

    def _bounds(self, key: bytes, first: bytes, last: bytes) -> tuple[int, int]:
        ids = self._get(key, Stream()).ids
        low, open_low = _bound(first, 0)
        high, open_high = _bound(last, MOST)
        start = (bisect_right if open_low else bisect_left)(ids, low)
        end = (bisect_left if open_high else bisect_right)(ids, high)
        return start, max(start, end)

    def _entries(self, key: bytes, places: range) -> list[Reply]:
        stream = self._get(key, None)
        return [[_shown(stream.ids[i]), list(stream.entries[i])] for i in places] if stream else []

    def do_xtrim(self, key: bytes, how: bytes, most: bytes) -> int:
        stream: Stream | None = self._get(key, None)
        if stream is None:
            return 0
        if how == b"MAXLEN":
            return stream.cut(max(0, len(stream.ids) - int(most)))
        return stream.cut(bisect_left(stream.ids, _bound(most, 0)[0]))

    def do_xread(self, *words: bytes) -> list[Reply] | None:
        at, most = words.index(b"STREAMS"), MOST
        if b"COUNT" in words[:at]:
            most = int(words[words.index(b"COUNT") + 1])
        names = words[at + 1 :]
        half = len(names) // 2
        found = []
        for key, after in zip(names[:half], names[half:], strict=True):
            start, end = self._bounds(key, b"(" + after, b"+")
            if start < end:
                found.append([key, self._entries(key, range(start, min(end, start + most)))])
        return found or None


def _bound(word: bytes, minor: int) -> tuple[Id, bool]:
    """Read one end of a range: an id, and whether it is left out."""
    if word in (b"-", b"+"):
        return ((0, 0), False) if word == b"-" else ((MOST, MOST), False)
    is_open = word.startswith(b"(")
    major, dash, rest = word.removeprefix(b"(").partition(b"-")
    return (int(major), int(rest) if dash else minor), is_open


def _within(score: float, least: bytes, most: bytes) -> bool:
    low, high = float(least.removeprefix(b"(")), float(most.removeprefix(b"("))
    above = score > low if least.startswith(b"(") else score >= low
    below = score < high if most.startswith(b"(") else score <= high
    return above and below


def _shown(number: Id) -> bytes:
    return b"%d-%d" % number
