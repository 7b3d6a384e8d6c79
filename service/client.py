"""The Python client: the same routes that everyone has, with retries that never learn twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload
from urllib.parse import quote

from service.transport import (
    BROKEN,
    DEFAULT_URL,
    ClientError,
    Json,
    Problem,
    Reply,
    Transport,
    Unreachable,
    problem_of,
)

if TYPE_CHECKING:
    from service.client_socket import EventSocket

__all__ = ["DEFAULT_URL", "Client", "ClientError", "Problem", "Unreachable", "is_refused"]

Ack = Literal["applied", "logged", "received", "replicated"]
_NDJSON = "application/x-ndjson"
_OCTETS = "application/octet-stream"


def is_refused(result: Mapping[str, Any]) -> bool:
    """Say whether the answer to an event is a problem and not a result."""
    return "status" in result


class Client:
    """Speaks to one service over one connection, which is kept open; not for several threads.

    >>> with Client("http://127.0.0.1:8000") as client:
    ...     client.create_stream("boiler", {"learner": {"kind": "sequence_memory"}})
    ...     result = client.post("boiler", {"x": {"temperature": 21.5}})

    A reply of 429 or 503 is waited out, as often as `max_retries` and as long as it asks. A
    connection that breaks is made again for up to `reconnect_seconds`, but only where a second
    request cannot be a second update: always for reading, and for events when each has an `id`.

    Raises `Problem` when the service refuses and `Unreachable` when it cannot be asked; and
    `ValueError` if `url` is not the address of a service.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        timeout_seconds: float = 60.0,
        *,
        max_retries: int = 20,
        reconnect_seconds: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = Transport(
            url, timeout_seconds, max_retries, reconnect_seconds, sleep, clock
        )
        self.url = self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request makes another."""
        self._transport.close()

    # Streams

    def create_stream(self, name: str, spec: Mapping[str, Any]) -> Json:
        """Make a stream, or adjust one that exists, and return it as the service shows it."""
        return self._json("PUT", _of(name), json.dumps(spec).encode())

    def stream(self, name: str) -> Json:
        """Return a stream's spec, offset, digest and status."""
        return self._json("GET", _of(name))

    def streams(self) -> list[Json]:
        """Return every stream, by name."""
        return list(self._json("GET", "/v1/streams")["streams"])

    def delete_stream(self, name: str) -> None:
        """Delete a stream with all that is kept of it; this cannot be undone."""
        self._transport.request("DELETE", _of(name)).checked()

    def state(self, name: str) -> Json:
        """Return a stream's offset, digest, what it is doing, and its signals."""
        return self._json("GET", _of(name, "/state"))

    def put_learning(self, name: str, state: Literal["learning", "paused", "auto"]) -> Json:
        """Have a stream learn, pause, or do as its governor says; return offset and digest."""
        body = json.dumps({"state": state}).encode()
        return self._json("PUT", _of(name, "/learning"), body)

    def quality(self, name: str) -> Json:
        """Return prequential quality: each prediction judged before its event was learned from."""
        return self._json("GET", _of(name, "/metrics"))

    def overview(self, since: str | None = None, wait_seconds: float = 0.0) -> Json:
        """Return all streams at a glance, or, with the last reply's `cursor`, what changed."""
        query = f"?since={quote(since, safe='')}&wait={wait_seconds}" if since else ""
        return self._json("GET", f"/v1/overview{query}")

    def estimate(self, spec: Mapping[str, Any]) -> Json:
        """Return what a stream of this spec would take, without making one."""
        return self._json("POST", "/v1/estimate", json.dumps(spec).encode())

    def put_template(self, name: str, pattern: str, spec: Mapping[str, Any]) -> Json:
        """Have streams whose names match a pattern made of this spec by their first event."""
        body = json.dumps({"pattern": pattern, "spec": spec}).encode()
        return self._json("PUT", f"/v1/templates/{quote(name, safe='')}", body)

    def templates(self) -> list[Json]:
        """Return every template, by name."""
        return list(self._json("GET", "/v1/templates")["templates"])

    def delete_template(self, name: str) -> None:
        """Delete a template; the streams made from it stay."""
        self._transport.request("DELETE", f"/v1/templates/{quote(name, safe='')}").checked()

    # Events

    @overload
    def post(
        self, name: str, events: Mapping[str, Any], ack: Ack = "applied", *, atomic: bool = False
    ) -> Json: ...

    @overload
    def post(
        self,
        name: str,
        events: Sequence[Mapping[str, Any]],
        ack: Literal["applied"] = "applied",
        *,
        atomic: bool = False,
    ) -> list[Json]: ...

    @overload
    def post(
        self,
        name: str,
        events: Sequence[Mapping[str, Any]],
        ack: Literal["logged", "received", "replicated"],
        *,
        atomic: bool = False,
    ) -> Json: ...

    def post(
        self,
        name: str,
        events: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        ack: Ack = "applied",
        *,
        atomic: bool = False,
    ) -> Json | list[Json]:
        """Post one event and return its result, or a list and return its results in order.

        >>> client.post("boiler", {"x": {"temperature": 21.5}})["anomaly_score"]
        >>> client.post("boiler", [{"id": "reading-1", "x": {"temperature": 21.5}}])

        In a list, an event that was refused has its problem (see `is_refused`) in its place; one
        event that is refused, or a list posted as `atomic`, raises `Problem`. With another `ack`
        than `applied` the answer is `{"accepted": n}`.
        """
        each_of = (events,) if isinstance(events, Mapping) else events
        reply = self._transport.request(
            "POST",
            _of(name, f"/events?ack={ack}&atomic={str(atomic).lower()}"),
            json.dumps(events).encode(),
            repeatable=lambda: all(event.get("id") for event in each_of),
        )
        answer: Json | list[Json] = json.loads(reply.checked().body)
        return answer

    @overload
    def label(self, name: str, labels: Mapping[str, Any], ack: Ack = "applied") -> Json: ...

    @overload
    def label(
        self, name: str, labels: Sequence[Mapping[str, Any]], ack: Literal["applied"] = "applied"
    ) -> list[Json]: ...

    @overload
    def label(
        self,
        name: str,
        labels: Sequence[Mapping[str, Any]],
        ack: Literal["logged", "received", "replicated"],
    ) -> Json: ...

    def label(
        self,
        name: str,
        labels: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        ack: Ack = "applied",
    ) -> Json | list[Json]:
        """Say what was true of earlier events; return what it came to, as `post` does.

        >>> client.label("boiler", {"event_id": "reading-1", "y": "ok"})["learned"]

        A label is applied once, however often it is posted, so that one whose answer was lost is
        posted again; it may then be answered as a duplicate.
        """
        reply = self._transport.request(
            "POST", _of(name, f"/labels?ack={ack}"), json.dumps(labels).encode(), repeatable=_always
        )
        answer: Json | list[Json] = json.loads(reply.checked().body)
        return answer

    def label_ndjson(
        self,
        name: str,
        lines: Iterable[Mapping[str, Any] | bytes],
        batch: int = 500,
        ack: Ack = "applied",
    ) -> Iterator[Json]:
        """Post labels, `batch` at a time, and yield what became of each, as `post_ndjson` does."""
        numbered = ((n, line) for n, each in enumerate(lines, 1) if (line := _line(each)))
        while chunk := list(islice(numbered, batch)):
            reply = self._transport.request(
                "POST",
                _of(name, f"/labels?ack={ack}"),
                b"".join(line + b"\n" for _, line in chunk),
                _NDJSON,
                _always,
            )
            yield from _answers(reply.checked(), [n for n, _ in chunk], ack)

    def post_ndjson(
        self,
        name: str,
        lines: Iterable[Mapping[str, Any] | bytes],
        batch: int = 500,
        ack: Ack = "applied",
        ids: str | None = None,
    ) -> Iterator[Json]:
        """Post events, `batch` at a time, and yield the result of each, in order.

        >>> for result in client.post_ndjson("boiler", open("events.ndjson", "rb")):
        ...     print(result["offset"], result["anomaly_score"])

        Nothing is posted before the first result is asked for. An event that is refused yields its
        problem (see `is_refused`) with its `line`; blank lines are passed over, but counted. With
        `ids`, the event of line N is given the id `<ids>-N` unless it has one, so that a batch
        whose answer was lost is posted again without harm; ids are part of the digest. With
        another `ack` than `applied`, each batch yields one `{"accepted": n}`.
        """
        numbered = ((n, line) for n, each in enumerate(lines, 1) if (line := _line(each)))
        if ids is not None:
            numbered = ((n, _with_id(line, f"{ids}-{n}")) for n, line in numbered)
        while chunk := list(islice(numbered, batch)):
            reply = self._transport.request(
                "POST",
                _of(name, f"/events?ack={ack}"),
                b"".join(line + b"\n" for _, line in chunk),
                _NDJSON,
                lambda chunk=chunk: all(_has_id(line) for _, line in chunk),  # type: ignore[misc]
            )
            yield from _answers(reply.checked(), [n for n, _ in chunk], ack)

    def results(self, name: str, after: int = 0, limit: int = 1_000) -> list[Json]:
        """Return up to `limit` results with offsets above `after`, oldest first."""
        query = f"/results?after={after}&limit={limit}"
        return list(self._json("GET", _of(name, query))["results"])

    def follow(self, name: str, after: int | None = None) -> Iterator[Json]:
        """Yield results as they come, without an end: those after an offset, or from now on.

        >>> for result in client.follow("boiler", after=0):
        ...     print(result["offset"], result["anomaly_score"])

        Has a connection of its own. One that breaks is made again, for up to `reconnect_seconds`,
        and goes on after the last result. Raises `Problem` when the place is no longer kept.
        """
        transport = self._transport
        place: int = self.stream(name)["offset"] if after is None else after
        failing_since: float | None = None
        while True:
            error: Exception = ConnectionError("the service ended the live stream")
            try:
                with transport.live(_of(name, "/live"), place) as live:
                    failing_since = None
                    for kind, result in live:
                        if kind == "problem":
                            raise problem_of(result)
                        if result["offset"] > place:
                            place = result["offset"]
                            yield result
            except BROKEN as broken:
                error = broken
            except Problem as problem:
                if problem.status not in (429, 503):
                    raise
                error = problem
            failing_since = transport.clock() if failing_since is None else failing_since
            if transport.clock() - failing_since >= transport.reconnect_seconds:
                raise transport.unreachable(error) from error
            transport.sleep(0.25)

    def socket(self, name: str) -> EventSocket:
        """Open a WebSocket to a stream, for events in flight while earlier ones are answered.

        >>> with client.socket("boiler") as socket:
        ...     for result in socket.post_all({"x": {"temperature": t}} for t in readings):
        ...         print(result["anomaly_score"])
        """
        from service.client_socket import EventSocket

        address = "ws" + self.url.removeprefix("http") + _of(name, "/ws")
        return EventSocket(address, self._transport.timeout_seconds)

    # Snapshots

    def snapshot(self, name: str) -> Json:
        """Take a snapshot and return its id, offset, digest and size."""
        return self._json("POST", _of(name, "/snapshots"))

    def snapshots(self, name: str) -> list[Json]:
        """Return what snapshots there are, newest first."""
        return list(self._json("GET", _of(name, "/snapshots"))["snapshots"])

    def download_snapshot(self, name: str, snapshot_id: int) -> bytes:
        """Return a snapshot's bytes."""
        return self._transport.request("GET", _of(name, f"/snapshots/{snapshot_id}")).checked().body

    def restore(self, name: str, snapshot: bytes) -> Json:
        """Give a stream the learner in a snapshot's bytes; return its offset and digest.

        >>> blob = client.download_snapshot("boiler", client.snapshot("boiler")["id"])
        >>> client.restore("twin", blob)
        """
        reply = self._transport.request(
            "POST", _of(name, "/restore"), snapshot, _OCTETS, repeatable=lambda: False
        )
        answer: Json = json.loads(reply.checked().body)
        return answer

    # Operations

    def ready(self) -> bool:
        """Say whether the service takes events now."""
        try:
            return self._transport.exchange("GET", "/readyz").status == 200
        except BROKEN:
            return False

    def wait_until_ready(self, timeout_seconds: float = 180.0) -> None:
        """Return as soon as the service takes events, or raise `Unreachable` after that time.

        A service that was never started before compiles its learners first, for a minute or so.
        """
        deadline = self._transport.clock() + timeout_seconds
        while not self.ready():
            if self._transport.clock() >= deadline:
                raise Unreachable(f"{self.url} was not ready within {timeout_seconds:g} seconds")
            self._transport.sleep(0.05)

    def version(self) -> Json:
        """Return the version of the service."""
        return self._json("GET", "/version")

    def _json(self, method: str, path: str, body: bytes | None = None) -> Json:
        answer: Json = json.loads(self._transport.request(method, path, body).checked().body)
        return answer


def _always() -> bool:
    return True


def _of(name: str, rest: str = "") -> str:
    return f"/v1/streams/{quote(name, safe='')}{rest}"


def _line(line: Mapping[str, Any] | bytes) -> bytes:
    if not isinstance(line, bytes):
        return json.dumps(line).encode()
    line = line.strip()
    if b"\n" in line:
        raise ValueError(f"line: got {line[:40]!r}, expected no line break within it")
    return line


def _with_id(line: bytes, event_id: str) -> bytes:
    """Give an event an id unless it has one; what is not an event is left to be refused."""
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict) or event.get("id") is not None:
        return line
    return json.dumps(event | {"id": event_id}).encode()


def _has_id(line: bytes) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return True  # It is refused each time.
    return not isinstance(event, dict) or bool(event.get("id"))


def _answers(reply: Reply, numbers: Sequence[int], ack: Ack) -> Iterator[Json]:
    """Yield what a batch was answered with, problems under the numbers of their lines."""
    if ack != "applied":
        said: Json = json.loads(reply.body)
        if "refused" in said:
            said["refused"] = [_moved(each, numbers) for each in said["refused"]]
        yield said
        return
    for line in reply.body.splitlines():
        result: Json = json.loads(line)
        yield _moved(result, numbers) if is_refused(result) else result


def _moved(problem: Json, numbers: Sequence[int]) -> Json:
    number = numbers[problem["line"] - 1]
    errors = [each | {"line": number} for each in problem.get("errors", [])]
    return problem | {"line": number} | ({"errors": errors} if errors else {})
