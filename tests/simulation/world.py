"""One schedule: workers, posters and followers over one server, what befalls them, and the check.

Everything that happens follows from the seed. The processes run the service's own journal, leases,
shares and workers; only the clock, the threads, the network and the server are models.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import structlog

from service.errors import SettingsError, SynaptideError
from service.formats import FORMAT, OLDEST
from service.journal import redis as redis_journal
from service.journal import redis_leases
from service.journal.redis import RedisJournal
from service.metrics import Metrics
from service.schemas import Command, Event, Label
from service.settings import Settings
from service.shares import Shares
from service.stream import Reply, Stream
from service.tasks import end
from service.turns import Turns
from service.worker import Worker
from tests.simulation.machine import Circles, Killed, Machine, Process, current
from tests.simulation.network import EPOCH, Network, SimulatedServer
from tests.simulation.verdict import verdict

PARTITIONS = 4
WORKERS, APIS = 3, 2
LEASE_SECONDS = 1.0
RAISES, KILLS = 666.0, 667.0
"""Values that a learner raises at, and that end the process that steps them."""
DISTURBED_SECONDS = 5.0
HEALED_SECONDS = 60.0
"""Within this everything has to be applied, once nothing fails any more."""
STREAMS: Mapping[str, Mapping[str, Any]] = {
    "often": {"learner": {"kind": "rolling_zscore", "window": 10}, "snapshot_every_events": 7},
    "seldom": {"learner": {"kind": "rolling_zscore", "window": 20}, "snapshot_every_events": 60},
    "never": {"learner": {"kind": "rolling_zscore", "window": 15}, "snapshot_every_events": 10**6},
}
NO_POOL: Any = None
"""The machine has threads of its own."""
Mutants = Mapping[str, Sequence[tuple[str, str]]]
"""What is replaced in scripts, by their names."""


@dataclass
class Poster:
    """What a client has posted to one stream, and what it was told."""

    stream: str
    first: int = 1
    acknowledged: set[str | None] = field(default_factory=set)
    replicated: set[str | None] = field(default_factory=set)
    answers: list[bytes] = field(default_factory=list)
    done: bool = False


@cache
def _settings() -> Settings:
    return Settings(redis="redis://model", redis_partitions=PARTITIONS, lease_seconds=LEASE_SECONDS)


@cache
def _metrics() -> Metrics:
    return Metrics()


class World:
    """A fleet, from its first process to the verdict."""

    def __init__(self, seed: int, mutants: Mutants) -> None:
        self.machine = Machine(seed)
        self.rng = self.machine.rng
        self.network = Network(self.machine)
        self.story: list[str] = []
        self.posters = {name: Poster(name) for name in STREAMS}
        self.followed: list[tuple[str, int, list[bytes]]] = []
        self.resting = False
        """Whether clients post no more."""
        self._mutants = mutants
        self._workers: list[Process] = []
        self._apis: list[Process] = []
        self._told: dict[Process, asyncio.Event] = {}
        self._ending = self._brief_rests = False
        self._places: dict[Process, int] = {}
        self._count = 0
        self._failovers_allowed = self.rng.random() < 0.5
        self._strange = self.rng.choice((None, None, RAISES, KILLS))
        self._memory_bytes = self.rng.choice((1, 1 << 30))
        self._most_queued = self.rng.choice((50, 100_000))

    def say(self, what: str) -> None:
        """Note what happened."""
        self.story.append(f"{self.machine.time():9.4f}  {what}")

    # Processes

    def start(self, role: Literal["worker", "api"], place: int = 0) -> None:
        """Start a process; an API process has a place, and with it the clients of one before."""
        if self._ending:
            return
        self._count += 1
        name = f"{role}-{self._count}"
        work = self._work if role == "worker" else lambda: self._serve(place)
        process = self.machine.spawn(name, work)
        (self._workers if role == "worker" else self._apis).append(process)
        self._places[process] = place
        self._told[process] = asyncio.Event()
        self.say(f"{name} starts")

    async def _opened(self, follows_results: bool) -> RedisJournal:
        """Return a journal once the server can be reached: whoever starts a process tries again."""
        while True:
            journal = RedisJournal(
                "redis://model",
                partitions=PARTITIONS,
                lease_seconds=LEASE_SECONDS,
                follows_results=follows_results,
                max_queued_entries=self._most_queued,
                write_format=self.rng.choice((OLDEST, FORMAT)),
                log_kept_entries=0,
                log_kept_seconds=0.0,
                clock=lambda: EPOCH + self.machine.time(),
            )
            for script, replacements in self._mutants.items():
                for found, instead in replacements:
                    assert found in journal._server._texts[script], (script, found)
                    text = journal._server._texts[script].replace(found, instead)
                    journal._server._texts[script] = text
            try:
                await journal.open()
                return journal
            except (SettingsError, SynaptideError) as error:
                self.say(f"cannot start: {error}")
                await asyncio.sleep(0.5)

    async def _work(self) -> None:
        me = current()
        journal = await self._opened(follows_results=False)
        settings, metrics, turns = _settings(), _metrics(), Turns()
        shares = Shares(
            journal,
            lambda partition: Worker(journal, partition, settings, metrics, NO_POOL, turns),
            metrics,
            LEASE_SECONDS,
            self._memory_bytes,
        )
        running = asyncio.create_task(shares.run())
        trimming = asyncio.create_task(self._trim(journal))
        await self._told[me].wait()
        await end([running, trimming])
        await shares.stop()
        await journal.close()
        self.say(f"{me} has ended")
        self.machine.kill(me)

    async def _trim(self, journal: RedisJournal) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(0.3, 2.0))
            try:
                await journal.trim(EPOCH + self.machine.time())
            except SynaptideError as error:
                self.say(f"no trim: {error}")

    async def _serve(self, place: int) -> None:
        journal = await self._opened(follows_results=True)
        names = [name for i, name in enumerate(sorted(STREAMS)) if i % APIS == place]
        await asyncio.gather(
            *(self._post(journal, self.posters[name]) for name in names),
            *(self._follow(journal, name) for name in STREAMS),
            *((self._come_and_go(journal),) if place == 0 else ()),
        )

    async def _uid(self, journal: RedisJournal, name: str) -> int:
        spec = json.dumps(STREAMS[name]).encode()
        return (await journal.create_stream(name, spec))[0].uid

    async def _post(self, journal: RedisJournal, poster: Poster) -> None:
        """Post events until told to rest; those that were not acknowledged once more."""
        while not self.resting:
            n = self.rng.randint(1, 6)
            ids = [f"e{i}" for i in range(poster.first, poster.first + n)]
            entries = [self._event(i) for i in range(poster.first, poster.first + n)]
            ack: Any = self.rng.choice(("logged", "replicated", "applied"))
            while True:
                try:
                    uid = await self._uid(journal, poster.stream)
                    if self.rng.random() < 0.05:
                        await self._command(journal, uid)
                    positions = await journal.append(uid, entries, ack)
                    if ack == "applied":
                        for position in positions:
                            poster.answers += await journal.replies(uid, position)
                    break
                except SynaptideError as error:
                    self.say(f"{poster.stream} {ids[0]}..{n} {ack}: {error}")
                    await asyncio.sleep(0.1 * self.rng.random())
            sound = {entry.id for entry in entries if entry.x["value"] not in (RAISES, KILLS)}
            poster.acknowledged |= sound
            if ack == "replicated":
                poster.replicated |= sound
            poster.first += n
            await asyncio.sleep(self.rng.expovariate(12.0))
        poster.done = True

    async def _command(self, journal: RedisJournal, uid: int) -> None:
        state: Any = self.rng.choice(("paused", "auto", "learning"))
        command = self.rng.choice(
            (Command(command="learning", state=state), Command(command="snapshot"))
        )
        for position in await journal.append(uid, [command], "applied"):
            await journal.replies(uid, position)

    async def _come_and_go(self, journal: RedisJournal) -> None:
        """Make a stream, post to it, and delete it, over and over."""
        spec = json.dumps(STREAMS["often"]).encode()
        while not self.resting:
            try:
                row, _ = await journal.create_stream("brief", spec)
                for first in range(1, 20, 5):
                    entries = [self._event(i) for i in range(first, first + 5)]
                    await journal.append(row.uid, entries, "logged")
                    await asyncio.sleep(self.rng.expovariate(10.0))
                await journal.delete_stream(row.uid)
            except SynaptideError as error:
                self.say(f"brief: {error}")
            await asyncio.sleep(self.rng.expovariate(10.0))
        self._brief_rests = True

    def _event(self, i: int) -> Event:
        value = float(i * 7 % 24)
        if self._strange is not None and i % 40 == 25:
            value = self._strange
        moment = datetime.fromtimestamp(EPOCH + 60 * i, UTC)
        return Event(id=f"e{i}", ts=moment, x={"value": value})

    def step(self, entry: Event | Label) -> None:
        """Let happen what comes of an entry at a learner: nothing, mostly."""
        if isinstance(entry, Label):
            return
        value = entry.x.get("value")
        if value == RAISES:
            raise RuntimeError("the learner raised")
        if value == KILLS and self._ending:
            raise RuntimeError("the process ended")
        if value == KILLS:
            self.say(f"{current()} dies of {entry.id}")
            self.machine.kill(current())
            self._start_anew(current())
            raise Killed

    async def _follow(self, journal: RedisJournal, name: str) -> None:
        """Read a stream's results as they come, as a live page does."""
        lines: list[bytes] = []
        while True:
            try:
                uid = await self._uid(journal, name)
                if not lines:
                    lines = []
                    self.followed.append((name, uid, lines))
                while True:
                    lines += await journal.results(uid, len(lines), 100, wait_seconds=1.0)
            except SynaptideError as error:
                self.say(f"follower of {name}: {error}")
                await asyncio.sleep(0.2)

    # What befalls them

    def begin(self) -> None:
        """Start the first processes."""
        for _ in range(WORKERS):
            self.start("worker")
        for place in range(APIS):
            self.start("api", place)

    def forbid_failovers(self) -> None:
        """Have one server do all."""
        self._failovers_allowed = False

    def disturb(self) -> None:
        """Let time pass in which nothing is sure."""
        actions = [self._kill, self._pause, self._end, self._cut, self._lose, self._stall]
        if self._failovers_allowed:
            actions += [self._fail_over, self._lag]
        chosen = self.rng.sample(actions, self.rng.randint(1, len(actions)))
        while self.machine.time() < DISTURBED_SECONDS:
            self.machine.run(self.rng.uniform(0.05, 1.0))
            self.rng.choice(chosen)()

    def _alive(self, of: list[Process]) -> list[Process]:
        return [each for each in of if not each.dead]

    def _someone(self) -> Process | None:
        chosen = self._alive(self._workers if self.rng.random() < 0.75 else self._apis)
        return self.rng.choice(chosen) if chosen else None

    def _kill(self) -> None:
        process = self._someone()
        if process is None:
            return
        self.say(f"kill -9 {process}")
        self.machine.kill(process)
        self._start_anew(process)

    def _start_anew(self, process: Process) -> None:
        role: Literal["worker", "api"] = "worker" if process in self._workers else "api"
        self.network.later(self.rng.uniform(0.0, 2.0), self.start, role, self._places[process])

    def _pause(self) -> None:
        process = self._someone()
        if process is None or process.paused:
            return
        seconds = self.rng.choice((0.2, 0.9, 1.1, 3.0)) * LEASE_SECONDS
        self.say(f"stop {process} for {seconds:.1f} s")
        process.paused = True
        self.network.later(seconds, self._go_on, process)

    def _go_on(self, process: Process) -> None:
        self.say(f"{process} goes on")
        process.paused = False

    def _end(self) -> None:
        workers = self._alive(self._workers)
        if not workers:
            return
        process = self.rng.choice(workers)
        self._terminate(process)
        self.network.later(self.rng.uniform(0.0, 2.0), self.start, "worker")

    def _terminate(self, process: Process) -> None:
        self.say(f"SIGTERM {process}")
        context = self.machine.context_of(process)
        self.machine.call_soon(self._told[process].set, context=context)

    def _cut(self) -> None:
        process = self._someone()
        if process is None:
            return
        seconds = self.rng.uniform(0.1, 3.0)
        self.say(f"{process} reaches nobody for {seconds:.1f} s")
        self.network.cut.add(process)
        self.network.later(seconds, self.network.cut.discard, process)

    def _lose(self) -> None:
        self.network.loss = self.rng.choice((0.0, 0.0, 0.02, 0.1))
        self.say(f"{self.network.loss:.0%} of messages are lost")

    def _stall(self) -> None:
        seconds = self.rng.choice((0.1, 1.0, 4.0))
        self.network.slow_until = self.machine.time() + seconds
        self.say(f"the server answers nobody for {seconds} s")

    def _lag(self) -> None:
        self.network.copy_seconds = self.rng.choice((1e-4, 1e-3, 0.05, 0.5))
        self.say(f"the replica is {self.network.copy_seconds} s behind")

    def _fail_over(self) -> None:
        self.network.end_old()
        everyone = self._alive([*self._workers, *self._apis])
        late = (
            set() if self.rng.random() < 0.5 else {p for p in everyone if self.rng.random() < 0.5}
        )
        skew = self.rng.choice((0.0, 0.0, 0.5, -0.5, -2.0))
        lost = len(self.network.primary.done) - self.network.primary.copied
        self.say(f"failover: {lost} writes lost, late are {sorted(map(str, late))}, clock {skew:+}")
        self.network.fail_over(late, skew)
        self.network.later(self.rng.uniform(0.05, 1.5), self.network.end_old)

    # To the end

    def heal(self) -> list[str]:
        """Let nothing fail any more; return what does not come right by itself."""
        self.say("all is well from here")
        self.resting = True
        self.network.cut.clear()
        self.network.loss = 0.0
        self.network.copy_seconds = 1e-3
        self.network.end_old()
        for process in self.machine.processes:
            process.paused = False
        if not self._alive(self._workers):
            self.start("worker")
        begun = self.machine.time()
        came = self.machine.run(HEALED_SECONDS, lambda: not self._unsettled())
        self._ending = True
        if not came:
            return [f"after {HEALED_SECONDS:.0f} s {each}" for each in self._unsettled()]
        self.say(f"all is applied, after {self.machine.time() - begun:.1f} s")
        for process in self._alive(self._workers):
            self._terminate(process)
        self.machine.run(HEALED_SECONDS, lambda: not self._alive(self._workers))
        return [f"{process} does not end" for process in self._alive(self._workers)]

    def _unsettled(self) -> list[str]:
        """Return who has not posted all of theirs, and where entries wait."""
        left = [f"{each.stream} is not posted" for each in self.posters.values() if not each.done]
        left += [] if self._brief_rests else ["brief comes and goes"]
        kept = self.network.primary.values.kept
        for partition in range(PARTITIONS):
            head = kept.get(b"synaptide:{%d}:head" % partition, {})
            if waiting := int(head.get(b"depth", 0)):
                left.append(f"{waiting} entries wait in partition {partition}")
        return left


@dataclass
class Outcome:
    """What came of a schedule."""

    seed: int
    violations: list[str]
    story: list[str]
    events: int
    failovers: int
    sent: int

    @property
    def mark(self) -> str:
        """Return what is the same whenever the same thing happened."""
        story = blake2b("\n".join(self.story).encode(), digest_size=8).hexdigest()
        return f"{story} {self.events} {self.sent}"


def simulate(seed: int, mutants: Mutants | None = None) -> Outcome:
    """Run the schedule of a seed."""
    world = World(seed, mutants or {})
    with patched(world):
        world.begin()
        try:
            world.disturb()
            unsettled = world.heal()
        except Circles as error:
            unsettled = [str(error)]
        found = verdict(world.network, world.posters.values(), world.followed)
        violations = [*found.violations, *unsettled, *world.machine.failures]
        story = list(world.story)  # What is closed now has no part in it.
        world.machine.close()
    network = world.network
    return Outcome(seed, violations, story, found.events, network.failovers, network.sent)


@contextmanager
def patched(world: World) -> Iterator[None]:
    """Have the service live in a world: its clock, its chance, its network, its log."""
    machine, chance = world.machine, random.Random(world.rng.random())

    def token(size: int) -> str:
        return chance.randbytes(size).hex()

    class Reached(SimulatedServer):
        network = world.network

    def hear(logger: Any, method: str, said: MutableMapping[str, Any]) -> Mapping[str, Any]:
        words = " ".join(f"{name}={value}" for name, value in said.items() if name != "exc_info")
        world.say(f"{current()}: {words}")
        if said.get("exc_info"):
            world.say("".join(traceback.format_exception(sys.exc_info()[1])))
        raise structlog.DropEvent

    before = structlog.get_config()
    with pytest.MonkeyPatch.context() as patch:
        apply = Stream.apply

        def stepped(self: Stream, entry: Event | Label, received_at: float) -> Reply:
            world.step(entry)
            return apply(self, entry, received_at)

        patch.setattr(Stream, "apply", stepped)
        patch.setattr(redis_journal, "Server", Reached)
        patch.setattr("secrets.token_hex", token)
        patch.setattr(redis_leases, "socket", SimpleNamespace(gethostname=lambda: "host"))
        patch.setattr(redis_leases, "os", SimpleNamespace(getpid=lambda: 1))
        for name in ("monotonic", "perf_counter"):
            patch.setattr(time, name, machine.time)
        patch.setattr(time, "time", lambda: EPOCH + machine.time())
        structlog.configure(
            processors=[hear],
            wrapper_class=structlog.make_filtering_bound_logger(30),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)
