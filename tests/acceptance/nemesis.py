"""What befalls a fleet, and when: all of it follows from a seed."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import Literal
from urllib.request import urlopen

from tests.acceptance.fleet import LEASE_SECONDS, Fleet, Member
from tests.acceptance.relay import Relay
from tests.acceptance.site import Site

What = Literal["kill", "stop", "failover"]
SECONDS_PER_KILL = 5.0
SECONDS_PER_STOP = 7.5


@dataclass(frozen=True, order=True)
class Act:
    """One thing that happens."""

    at: float
    what: What
    number: int


def plan(rng: random.Random, seconds: float, failovers: int) -> list[Act]:
    """Return what happens in so many seconds: kills and stops at random, failovers spread out."""
    counts: dict[What, int] = {
        "kill": round(seconds / SECONDS_PER_KILL),
        "stop": round(seconds / SECONDS_PER_STOP),
    }
    acts = [Act(rng.uniform(0, seconds), what, i) for what, n in counts.items() for i in range(n)]
    for i in range(failovers):
        acts.append(Act(seconds * (i + rng.uniform(0.3, 0.7)) / failovers, "failover", i))
    return sorted(acts)


@dataclass
class Slot:
    """One process of the fleet, or the one that came after it."""

    role: str
    relay: Relay
    member: Member


class Nemesis:
    """Carries a plan out on `api`s and workers that each have a relay of their own."""

    def __init__(self, site: Site, ours: Fleet, rng: random.Random) -> None:
        self._site, self._fleet, self._random = site, ours, rng
        self.slots: list[Slot] = []
        self.done: Counter[str] = Counter()

    def start(self, role: str) -> Member:
        """Start a process that may be killed later."""
        relay = self._site.relay()
        self.slots.append(Slot(role, relay, self._fleet.start(role, relay.url)))
        return self.slots[-1].member

    def of(self, role: str) -> list[Member]:
        """Return the processes of a role there are now."""
        return [slot.member for slot in self.slots if slot.role == role]

    def run(self, seconds: float, failovers: int) -> None:
        """Let the plan happen. Late acts follow at once on those that took long."""
        begun = time.monotonic()
        stopped: list[tuple[float, Member]] = []
        acts = plan(self._random, seconds, failovers)
        while acts or stopped or time.monotonic() < begun + seconds:
            now = time.monotonic()
            if stopped and stopped[0][0] <= now:
                stopped.pop(0)[1].send(signal.SIGCONT)
            elif acts and begun + acts[0].at <= now:
                if (woken := self._happen(acts.pop(0))) is not None:
                    stopped = sorted([*stopped, woken], key=lambda each: each[0])
            else:
                self._revive()
                time.sleep(0.005)
        for slot in self.slots:
            while not _is_ready(slot.member):
                assert time.monotonic() < begun + seconds + 180
                self._revive()
                time.sleep(0.1)

    def _happen(self, act: Act) -> tuple[float, Member] | None:
        """Do one thing; return who is to be woken up again, and when."""
        self.done[act.what] += 1
        if act.what == "failover":
            self._site.fail_over(split=act.number == 0)
            return None
        slot = self._victim(act)
        if act.what == "kill":
            self.done[f"kill {slot.role}"] += 1
            slot.member.end()
            self._start_again(slot)
            return None
        slot.member.send(signal.SIGSTOP)
        return time.monotonic() + LEASE_SECONDS + self._random.uniform(0.5, 2.0), slot.member

    def _revive(self) -> None:
        """Start what ended by itself, as whoever runs processes does: it met no fit server."""
        for slot in self.slots:
            if slot.member.process.poll() is not None:
                self.done[f"ended {slot.role}"] += 1
                self._start_again(slot)

    def _start_again(self, slot: Slot) -> None:
        slot.member = self._fleet.start(slot.role, slot.relay.url, slot.member.port)

    def _victim(self, act: Act) -> Slot:
        """Choose a worker; one kill in four is of an `api`."""
        role = "api" if act.what == "kill" and act.number % 4 == 3 else "worker"
        return self._random.choice([slot for slot in self.slots if slot.role == role])


def _is_ready(member: Member) -> bool:
    try:
        with urlopen(f"{member.url}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
