"""Servers, one of them the primary, and clients that reach them over a network that fails."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as Overdue

from service.journal.redis_server import Server
from tests.simulation.machine import Machine, Process, current
from tests.simulation.scripts import Scripts
from tests.simulation.values import Refusal, Reply, Values

EPOCH = 1_700_000_000.0
READS = {
    *(
        b"GET",
        b"GETRANGE",
        b"EXISTS",
        b"TIME",
        b"HGET",
        b"HMGET",
        b"HGETALL",
        b"HKEYS",
        b"HVALS",
        b"HEXISTS",
    ),
    *(b"ZRANGE", b"ZCOUNT", b"XRANGE", b"XREVRANGE", b"XREAD"),
}
HOP_SECONDS = 3e-4
"""How long a message is under way, in the mean."""


@dataclass
class Done:
    """A command that was carried out, and when by the server's clock."""

    now: float
    words: list[bytes]
    text: str = ""
    """Of the script, if it is one."""
    reply: Reply = None


@dataclass
class Node:
    """A server."""

    history: str
    skew: float
    """How far its clock is ahead, in seconds."""
    scripts: Scripts
    done: list[Done] = field(default_factory=list)
    """What a replica repeats, all of it."""
    asked: list[Done] | None = None
    """All there was to do, reads too, if that is wanted."""
    copied: int = 0
    """How much of what was done its replica has."""
    has_replica: bool = True
    alive: bool = True
    values: Values = field(default_factory=Values)
    texts: dict[str, str] = field(default_factory=dict)
    waiting: list[tuple[list[bytes], Callable[[Reply], None]]] = field(default_factory=list)
    """Who waits for news, and how to be told."""

    def run(self, now: float, words: list[bytes]) -> Reply:
        """Carry a command out; return the reply, or what is raised in its place."""
        text = ""
        if words[0] == b"INFO":
            return self._info()
        if words[0] == b"SCRIPT":
            sha = hashlib.sha1(words[2]).hexdigest()
            self.texts[sha] = words[2].decode()
            return sha.encode()
        if words[0] == b"EVALSHA":
            text = self.texts.get(words[1].decode(), "")
            if not text:
                return NoScriptError("No matching script.")
        done = Done(now + self.skew, words, text)
        if words[0] not in READS and "flags=no-writes" not in text.partition("\n")[0]:
            self.done.append(done)
        done.reply = self.repeat(done)
        if self.asked is not None:
            self.asked.append(done)
        return done.reply

    def _info(self) -> Mapping[str, Any]:
        return {
            "redis_version": "9.0.0",
            "role": "master",
            "maxmemory_policy": "noeviction",
            "connected_slaves": 0,
            "aof_enabled": 1,
            "used_memory": 0,
            "master_replid": self.history,
        }

    def repeat(self, done: Done) -> Reply:
        """Carry a command out as it was carried out elsewhere."""
        values, words = self.values, done.words
        values.now = done.now
        try:
            if done.text:
                keys = int(words[2])
                return self.scripts.run(done.text, words[3 : 3 + keys], words[3 + keys :], values)
            return values.run(words)
        except Refusal as refusal:
            return ResponseError(str(refusal).removeprefix("ERR "))

    def promoted(self, history: str, skew: float) -> Node:
        """Return the replica, with what it has, as a primary."""
        new = Node(history, skew, self.scripts)
        for done in self.done[: self.copied]:
            new.repeat(done)
        new.done = self.done[: self.copied]
        new.copied = self.copied
        return new


@dataclass
class Parcel:
    """Commands that go to a server at one go, and the replies so far."""

    node: Node
    process: Process
    commands: list[list[bytes]]
    reply_to: asyncio.Future[list[Any]]
    replies: list[Any] = field(default_factory=list)


class Network:
    """Between processes and servers: what is sent arrives later, not at all, or unanswered."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.rng = machine.rng
        self.process = Process("network")
        machine.processes.append(self.process)
        self._context: Context = machine.context_of(self.process)
        self._scripts = Scripts()
        self.primary = Node("history-0", 0.0, self._scripts)
        self.old: Node | None = None
        """The primary before, while some still speak to it."""
        self.late: set[Process] = set()
        """Who still speaks to the old one."""
        self.cut: set[Process] = set()
        """Who reaches nobody."""
        self.loss = 0.0
        """Of messages, by either way."""
        self.copy_seconds = 1e-3
        """How far the replica is behind, in the mean."""
        self.slow_until = 0.0
        """Until when the server answers nobody."""
        self.failovers = 0
        self.sent = 0
        self._pending: dict[asyncio.Future[list[Any]], Parcel] = {}

    def node(self, process: Process) -> Node:
        """Return the server that a process speaks to."""
        return self.old if self.old is not None and process in self.late else self.primary

    def later(self, seconds: float, do: Callable[..., object], *args: Any) -> None:
        """Have something happen that no process does."""
        self.machine.call_later(seconds, do, *args, context=self._context)

    def _hop(self) -> float:
        return self.rng.expovariate(1 / HOP_SECONDS)

    def send(
        self, commands: list[list[bytes]], patience: float, reply_to: asyncio.Future[list[Any]]
    ) -> None:
        """Send commands at one go; `patience` is how long the client waits for the replies."""
        process = current()
        node = self.node(process)
        if process.dead:
            return
        self.sent += 1
        self.machine.call_later(patience, _refuse, reply_to, Overdue("Timeout reading"))
        if process in self.cut or not node.alive:
            if self.rng.random() < 0.5:  # Else nobody says that nobody listens.
                self.later(self._hop(), _refuse, reply_to, Unreachable("Connection refused"))
            return
        parcel = self._pending[reply_to] = Parcel(node, process, commands, reply_to)
        reply_to.add_done_callback(lambda done: self._pending.pop(done, None))
        if self.rng.random() >= self.loss:
            wait = max(0.0, self.slow_until - self.machine.time())
            self.later(wait + self._hop(), self._arrive, parcel)
        elif self.rng.random() < 0.5:
            self.later(self._hop(), _refuse, reply_to, Unreachable("Connection reset by peer"))

    def _arrive(self, parcel: Parcel) -> None:
        """Carry out commands one by one; those of others may come between them."""
        node = parcel.node
        if not node.alive or parcel.process in self.cut:
            return
        while len(parcel.replies) < len(parcel.commands):
            words = parcel.commands[len(parcel.replies)]
            if words[0] == b"WAIT":
                self._wait_for_copy(parcel)
                return
            reply = node.run(EPOCH + self.machine.time(), words)
            if reply is None and words[0] == b"XREAD" and b"BLOCK" in words:
                self._wait_for_news(parcel)
                return
            parcel.replies.append(reply)
            if words[0] == b"EVALSHA" and node.waiting:
                self._tell(node, words[3 : 3 + int(words[2])])
            if self.rng.random() < 0.05:
                self.later(self._hop(), self._arrive, parcel)
                return
        self._copy(node)
        self._reply(parcel)

    def _reply(self, parcel: Parcel) -> None:
        if parcel.process in self.cut or self.rng.random() < self.loss:
            if self.rng.random() < 0.5:
                self.later(self._hop(), _refuse, parcel.reply_to, Unreachable("Connection lost"))
            return
        self.later(self._hop(), _settle, parcel.reply_to, parcel.replies)

    def _wait_for_news(self, parcel: Parcel) -> None:
        node, words = parcel.node, parcel.commands[0]
        seconds = int(words[words.index(b"BLOCK") + 1]) / 1_000

        def tell(found: Reply) -> None:
            parcel.replies.append(found)
            self._reply(parcel)

        waiter = (words, tell)
        node.waiting.append(waiter)

        def give_up() -> None:
            if waiter in node.waiting:
                node.waiting.remove(waiter)
                tell(None)

        self.later(seconds, give_up)

    def _tell(self, node: Node, keys: list[bytes]) -> None:
        """Answer those who wait for news under some keys."""
        still = []
        for words, tell in node.waiting:
            found = node.values.run(words) if any(key in words for key in keys) else None
            if found is None:
                still.append((words, tell))
            else:
                tell(found)
        node.waiting = still

    def _wait_for_copy(self, parcel: Parcel) -> None:
        """Answer WAIT once the replica has what was done so far, or after its time is up."""
        node, place = parcel.node, len(parcel.node.done)
        milliseconds = parcel.commands[len(parcel.replies)][2]
        deadline = self.machine.time() + int(milliseconds) / 1_000
        self._copy(node)

        def look() -> None:
            if not node.alive:
                return
            copies = int(node.has_replica and node.copied >= place)
            if not copies and self.machine.time() < deadline:
                self.later(2e-3, look)
                return
            parcel.replies.append(copies)
            self._arrive(parcel)

        look()

    def _copy(self, node: Node) -> None:
        """Bring what was done to the replica, some time later."""
        place = len(node.done)

        def arrive() -> None:
            if node.has_replica:
                node.copied = max(node.copied, place)

        self.later(self.rng.expovariate(1 / self.copy_seconds), arrive)

    def fail_over(self, late: set[Process], skew: float) -> None:
        """Make the replica the primary; whoever is late speaks to the old one for a while."""
        old = self.primary
        self.failovers += 1
        self.primary = old.promoted(f"history-{self.failovers}", skew)
        old.has_replica = False
        self.late, self.old = late, old
        self._cut_off(old)
        if not late:
            self.end_old()

    def end_old(self) -> None:
        """End the old primary, with all that only it knows."""
        if self.old is not None:
            self.old.alive = False
            old, self.old, self.late = self.old, None, set()
            self._cut_off(old)

    def _cut_off(self, node: Node) -> None:
        """End the connections to a server of all who do not speak to it any more."""
        for parcel in list(self._pending.values()):
            if parcel.node is node and self.node(parcel.process) is not node:
                closed = Unreachable("Connection closed by server")
                self.later(self._hop(), _refuse, parcel.reply_to, closed)


def _settle(reply_to: asyncio.Future[list[Any]], replies: list[Any]) -> None:
    if not reply_to.done():
        reply_to.set_result(replies)


def _refuse(reply_to: asyncio.Future[list[Any]], error: Exception) -> None:
    if not reply_to.done():
        reply_to.set_exception(error)


SWALLOWED = 0.3
"""Of cancellations: redis-py forgets one that comes at the same moment as a reply."""


class Client:
    """The part of a redis-py client that the service uses."""

    def __init__(self, network: Network, seconds: float) -> None:
        self._network = network
        self._seconds = seconds

    async def execute_command(self, *command: Any) -> Any:
        """Run a command."""
        (reply,) = await self.exchange([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands; return each reply, or what is to be raised in its place."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        wire = [[_wire(word) for word in command] for command in commands]
        self._network.send(wire, self._seconds, future)
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError:
            if self._network.rng.random() >= SWALLOWED:
                raise
            await asyncio.wait((future,))
        replies = future.result()
        return [shaped(words[0], reply) for words, reply in zip(wire, replies, strict=True)]

    async def script_load(self, text: str) -> bytes:
        """Bring a script."""
        found: bytes = await self.execute_command("SCRIPT", "LOAD", text)
        return found

    def pipeline(self, transaction: bool) -> Pipeline:
        """Return a pipeline."""
        assert not transaction
        return Pipeline(self)

    async def aclose(self) -> None:
        """Disconnect."""


class Pipeline:
    """Commands that go at one go."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._commands: list[Sequence[Any]] = []

    def execute_command(self, *command: Any) -> None:
        """Add a command."""
        self._commands.append(command)

    async def execute(self, raise_on_error: bool) -> list[Any]:
        """Run what was added."""
        assert not raise_on_error
        return await self._client.exchange(self._commands)


class SimulatedServer(Server):
    """The service's own server, connected to the model."""

    network: Network

    def _client(self, seconds: float) -> Client:
        return Client(self.network, seconds)


def _wire(word: Any) -> bytes:
    if isinstance(word, bytes):
        return word
    return repr(word).encode() if isinstance(word, float) else str(word).encode()


def shaped(name: bytes, reply: Reply) -> Any:
    """Turn a reply of the wire into what redis-py makes of it."""
    if isinstance(reply, Exception):
        return reply
    if name == b"HGETALL":
        return _pairs(reply)
    if name in (b"XRANGE", b"XREVRANGE"):
        return [(number, _pairs(fields)) for number, fields in reply]
    if name == b"SET":
        return True
    if name == b"XREAD":
        return [[key, shaped(b"XRANGE", entries)] for key, entries in reply or []]
    return (int(reply[0]), int(reply[1])) if name == b"TIME" else reply


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
