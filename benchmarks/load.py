"""A load generator: a few connections, each with one request on its way at any time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit

import uvloop


@dataclass(slots=True)
class Load:
    """What came of a load."""

    seconds: float
    requests: int
    latencies: list[float] = field(repr=False)
    """Seconds from each request to the end of its reply, sorted."""

    def quantile(self, q: float) -> float:
        """Return a quantile of the latencies, in milliseconds."""
        return 1e3 * self.latencies[min(len(self.latencies) - 1, int(q * len(self.latencies)))]


class _Connection(asyncio.Protocol):
    """Sends a request as soon as the last one is answered, until there is none or time is up."""

    def __init__(self, requests: Iterator[bytes], deadline: float, done: asyncio.Future[None]):
        self.latencies: list[float] = []
        self._requests, self._deadline, self._done = requests, deadline, done
        self._received = bytearray()
        self._expected = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if not self._expected:
            head, end, _ = received.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 20"):
                self._end(RuntimeError(f"got {bytes(received[:300])!r}, expected success"))
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._expected = len(head) + 4 + int(length)
        if len(received) >= self._expected:
            now = time.perf_counter()
            self.latencies.append(now - self._sent_at)
            del received[:]
            self._expected = 0
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or RuntimeError("the service closed the connection"))

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        request = next(self._requests, None) if self._sent_at < self._deadline else None
        if request is None:
            self._end(None)
        else:
            self._transport.write(request)

    def _end(self, error: Exception | None) -> None:
        if not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)
        self._transport.abort()


def request(url: str, path: str, body: bytes, media: str = "application/json") -> bytes:
    """Return a request, ready to be sent."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: {media}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def repeat(url: str, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Send requests, over and over, until the time is up."""
    each = cycle(requests)
    return uvloop.run(_run(url, [each] * connections, seconds))


def send(url: str, *requests: Sequence[bytes]) -> Load:
    """Send each list of requests once, over a connection of its own."""
    return uvloop.run(_run(url, [iter(each) for each in requests], float("inf")))


async def _run(url: str, requests: Sequence[Iterator[bytes]], seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    host, _, port = urlsplit(url).netloc.rpartition(":")
    begun = time.perf_counter()
    done = [loop.create_future() for _ in requests]
    opened = await asyncio.gather(
        *(
            loop.create_connection(
                lambda each=each, ended=ended: _Connection(each, begun + seconds, ended),  # type: ignore[misc]
                host,
                int(port),
            )
            for each, ended in zip(requests, done, strict=True)
        )
    )
    await asyncio.gather(*done)
    elapsed = time.perf_counter() - begun
    latencies = sorted(each for _, connection in opened for each in connection.latencies)
    return Load(elapsed, len(latencies), latencies)
