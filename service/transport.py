"""Requests to a service: one kept connection, retries that never learn twice, and the errors."""

from __future__ import annotations

import http.client
import json
import selectors
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8000"
Json = dict[str, Any]
JSON = "application/json"
PROBLEM = "application/problem+json"

BROKEN = (OSError, http.client.HTTPException)
"""What a connection that cannot be made, or breaks, raises."""
_MAX_WAIT_SECONDS = 30.0
_SILENCE_SECONDS = 45.0
"""A live stream that is silent for three of the service's heartbeats is broken."""


class ClientError(Exception):
    """The service did not do what was asked."""


class Problem(ClientError):
    """The service refused, and said why."""

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[Json] = ()) -> None:
        super().__init__(f"{detail} ({status} {code})")
        self.status, self.code, self.detail = status, code, detail
        self.errors = list(errors)


class Unreachable(ClientError):
    """There is no connection, or it broke before the answer came."""


def problem_of(said: Any, status: int = 500) -> Problem:
    """Build the error that a problem document states."""
    if not isinstance(said, dict) or "code" not in said:
        return Problem(status, "unknown", str(said)[:200])
    detail = str(said.get("detail") or said.get("title") or "")
    return Problem(
        int(said.get("status", status)), str(said["code"]), detail, said.get("errors", [])
    )


@dataclass(slots=True)
class Reply:
    """A reply, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def problem(self) -> Problem:
        """Read the refusal; one that is not the service's own is shown as it came."""
        try:
            return problem_of(json.loads(self.body), self.status)
        except ValueError:
            return problem_of(self.body.decode("utf-8", "replace"), self.status)

    def checked(self) -> Reply:
        """Return this reply if it answers what was asked, or raise its problem."""
        if self.status < 300 or (self.status == 422 and self.kind != PROBLEM):
            return self
        raise self.problem()

    @property
    def wait_seconds(self) -> float:
        """How long the service asks to wait, within reason."""
        text = self.headers.get("retry-after", "")
        wanted = float(text) if text.isascii() and text.isdigit() else 1.0
        return min(wanted, _MAX_WAIT_SECONDS)


class Transport:
    """The way to one service."""

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        max_retries: int,
        reconnect_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: got {url!r}, expected one such as {DEFAULT_URL}")
        self.root = parts.path.rstrip("/")
        self.url = f"{parts.scheme}://{parts.netloc}{self.root}"
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self.timeout_seconds = timeout_seconds
        self.reconnect_seconds = reconnect_seconds
        self._max_retries = max_retries
        self.sleep, self.clock = sleep, clock
        self._connection: http.client.HTTPConnection | None = None
        self._was_connected = False

    def close(self) -> None:
        """Close the connection; the next request makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = JSON,
        repeatable: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Ask, and ask again where that promises something and cannot be a second update."""
        refusals = failures = 0
        failing_since = 0.0
        while True:
            try:
                reply = self.exchange(method, path, body, kind)
            except BROKEN as error:
                failing_since = failing_since if failures else self.clock()
                lasting = self.clock() - failing_since
                if not (self._was_connected and repeatable() and lasting < self.reconnect_seconds):
                    raise self.unreachable(error) from error
                self.sleep(min(0.1 * failures, 1.0))
                failures += 1
                continue
            failures = 0
            if refusals >= self._max_retries or not _passes(reply, repeatable):
                return reply
            refusals += 1
            self.sleep(reply.wait_seconds)

    def exchange(
        self, method: str, path: str, body: bytes | None = None, kind: str = JSON
    ) -> Reply:
        """Ask once; raise one of `BROKEN` when no answer comes."""
        headers = {} if body is None else {"Content-Type": kind}
        try:
            connection = self._connected()
            connection.request(method, self.root + path, body, headers)
            reply = _read(connection.getresponse())
        except BaseException:
            self.close()
            raise
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    @contextmanager
    def live(self, path: str, after: int) -> Iterator[Iterator[tuple[str, Json]]]:
        """Open server-sent events that begin after an offset, on a connection of their own."""
        connection = self._new_connection(max(self.timeout_seconds, _SILENCE_SECONDS))
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        try:
            connection.request("GET", self.root + path, headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise _read(response).problem()
            yield _events(response)
        finally:
            connection.close()

    def unreachable(self, error: Exception) -> Unreachable:
        """Say in a sentence that no answer came."""
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if not self._was_connected:
            return Unreachable(f"no service answers at {self.url}: {reason}")
        return Unreachable(f"the connection to {self.url} broke before the answer: {reason}")

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is not None and _is_stale(self._connection):
            self.close()
        if self._connection is None:
            connection = self._new_connection(self.timeout_seconds)
            connection.connect()
            self._connection, self._was_connected = connection, True
        return self._connection

    def _new_connection(self, timeout_seconds: float) -> http.client.HTTPConnection:
        https = self._scheme == "https"
        make = http.client.HTTPSConnection if https else http.client.HTTPConnection
        return make(self._host, self._port, timeout=timeout_seconds)


def _read(response: http.client.HTTPResponse) -> Reply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    """Say whether the other side has closed an idle connection, or said something unasked."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _passes(reply: Reply, repeatable: Callable[[], bool]) -> bool:
    """Say whether a refusal will pass and the same may be asked again.

    A queue that is full and a service that is not ready have taken nothing; of any other failure
    that is not known.
    """
    if reply.status == 429:
        return True
    return reply.status == 503 and (reply.problem().code == "not-ready" or repeatable())


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Json]]:
    """Yield the kind and the data of each server-sent event."""
    kind, data = "message", b""
    while line := response.readline():
        name, _, value = line.rstrip(b"\r\n").partition(b": ")
        if name == b"event":
            kind = value.decode()
        elif name == b"data":
            data += value
        elif not name and data:
            yield kind, json.loads(data)
            kind, data = "message", b""
