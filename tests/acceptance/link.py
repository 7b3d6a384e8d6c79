"""A network of two machines on one: a namespace, and a wire to it that delays and drops packets.

The kernels that tests run on have no `netem` as a rule. What does the same stands here: two TUN
devices, one of them inside the namespace, and a thread that carries packets from one to the other.
Needs root and /dev/net/tun.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pytest

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET_BYTES = 65_536
NEAR, FAR = "10.213.77.1", "10.213.77.2"


class Link:
    """The wire. Both directions are alike."""

    def __init__(self, near: int, far: int, seed: int) -> None:
        self.delay_seconds = 0.0
        self.loss = 0.0
        self.cut = False
        self.dropped = self.carried = 0
        self._other = {near: far, far: near}
        self._random = random.Random(seed)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Carry nothing more."""
        self._ends.set()
        self._thread.join()

    def _carry(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        numbers = count()
        while not self._ends.is_set():
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, end, packet = heapq.heappop(waiting)
                with suppress(OSError):  # The device is not up yet, or no more.
                    os.write(end, packet)
            pause = min(0.05, waiting[0][0] - now) if waiting else 0.05
            for end in select.select(list(self._other), [], [], max(0.0, pause))[0]:
                packet = os.read(end, PACKET_BYTES)
                if self.cut or self._random.random() < self.loss:
                    self.dropped += 1
                    continue
                self.carried += 1
                due = time.monotonic() + self.delay_seconds
                heapq.heappush(waiting, (due, next(numbers), self._other[end], packet))


@contextmanager
def link(name: str, seed: int = 1) -> Iterator[Link]:
    """Have a namespace of that name, with a wire to it, as long as the block."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("network namespaces and TUN devices need root here")
    _run(f"ip netns add {name}")
    ends = []
    try:
        for i in range(2):
            ends.append(os.open("/dev/net/tun", os.O_RDWR))
            request = struct.pack("16sH", f"{name}{i}".encode(), IFF_TUN | IFF_NO_PI)
            fcntl.ioctl(ends[-1], TUNSETIFF, request)
        _run(f"ip link set {name}1 netns {name}")
        inside = f"ip netns exec {name} "
        for where, device, mine, other in (
            ("", f"{name}0", NEAR, FAR),
            (inside, f"{name}1", FAR, NEAR),
        ):
            _run(f"{where}ip address add {mine} peer {other} dev {device}")
            _run(f"{where}ip link set {device} up")
        _run(f"{inside}ip link set lo up")
        made = Link(ends[0], ends[1], seed)
        try:
            yield made
        finally:
            made.close()
    finally:
        for end in ends:
            os.close(end)
        _run(f"ip netns delete {name}")


def _run(command: str) -> None:
    try:
        done = subprocess.run(command.split(), capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"{command}: {error}")
    if done.returncode:
        pytest.skip(f"{command}: {done.stderr.strip()}")
