"""Requests and sockets as they stand on the wire, without a client's kindness."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
PATIENCE_SECONDS = 30


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


def ask(
    url: str, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
) -> Answer:
    """Send a request as it stands; a body that is an iterator goes in chunks."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body, headers or {}, encode_chunked=True)
        response = connection.getresponse()
        got = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, got, response.read())
    finally:
        connection.close()


def opened(url: str, stream: str = "numbers", **options: Any) -> ClientConnection:
    """Open a stream's socket."""
    address = url.replace("http", "ws") + f"/v1/streams/{stream}/ws"
    socket: ClientConnection = connect(
        address, max_size=None, compression=None, proxy=None, **options
    )
    return socket


def heard(socket: ClientConnection) -> Any:
    """Return the next frame."""
    return json.loads(socket.recv(PATIENCE_SECONDS))


def close_code(socket: ClientConnection) -> int | None:
    """Read on to the end."""
    try:
        while True:
            socket.recv(PATIENCE_SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


class Sent(NamedTuple):
    """One server-sent event, or a comment."""

    id: int | None
    kind: str
    data: Any


@contextmanager
def listening(url: str, path: str, **headers: str) -> Iterator[Iterator[Sent]]:
    """Open server-sent events; the iterator ends when the server ends them."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=named)
    response = connection.getresponse()
    try:
        assert response.status == 200, response.read()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.readline() == b"retry: 1000\n"
        assert response.readline() == b"\n"
        yield _sent(response)
    finally:
        response.close()
        connection.close()


def _sent(response: http.client.HTTPResponse) -> Iterator[Sent]:
    fields: dict[str, str] = {}
    while line := response.readline().decode():
        if line != "\n":
            name, _, value = line.rstrip("\n").partition(": ")
            assert name not in fields, "a field came twice"
            fields[name] = value
        elif "" in fields:
            yield Sent(None, "comment", fields[""])
            fields = {}
        elif fields:
            place = int(fields["id"]) if "id" in fields else None
            yield Sent(place, fields["event"], json.loads(fields["data"]))
            fields = {}
