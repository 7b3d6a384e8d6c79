"""The client's end of a WebSocket: events in flight, as many as the service gives credit for."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Self

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from service.transport import Json, Problem, Unreachable, problem_of


class Answer(NamedTuple):
    """What became of one frame of events or labels."""

    seq: int
    results: list[Json]


class EventSocket:
    """A stream's socket; made by `Client.socket`, not for several threads.

    >>> with client.socket("boiler") as socket:
    ...     seq = socket.send([{"x": {"temperature": 21.5}}])
    ...     answer = socket.receive()

    `credits` is how many more events may be sent now, `offset` where the stream stood on opening.
    Raises `Unreachable` when the connection cannot be made or is closed, and `Problem` when the
    service refuses a frame. Events on a broken socket may or may not have been applied: give them
    ids, and post again what was not answered.
    """

    def __init__(self, address: str, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._sent: dict[int, int] = {}
        self._answers: deque[Answer | tuple[int, Problem]] = deque()
        self._live: deque[Json] = deque()
        self._seq = 0
        self._stack = ExitStack()
        try:
            self._websocket = self._stack.enter_context(
                connect(
                    address,
                    open_timeout=timeout_seconds,
                    compression=None,
                    max_size=None,
                    proxy=None,
                )
            )
        except (OSError, WebSocketException) as error:
            raise Unreachable(f"no socket at {address}: {error}") from error
        try:
            hello = self._frame()
        except BaseException:
            self.close()
            raise
        self.credits: int = hello["credits"]
        self.offset: int = hello["offset"]

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
        """Close the socket; what was sent before is still applied."""
        self._stack.close()

    @property
    def pending(self) -> int:
        """How many frames have been sent whose answer was not yet received."""
        return len(self._sent) + len(self._answers)

    def send(self, events: Sequence[Mapping[str, Any]]) -> int:
        """Send a frame of events as soon as there is credit for it; return its number."""
        return self._send("events", events)

    def send_labels(self, labels: Sequence[Mapping[str, Any]]) -> int:
        """Send a frame of labels of earlier events, as `send` does; return its number."""
        return self._send("labels", labels)

    def _send(self, kind: str, entries: Sequence[Mapping[str, Any]]) -> int:
        outstanding = sum(self._sent.values())
        if len(entries) > self.credits + outstanding:
            most = self.credits + outstanding
            raise ValueError(f"{kind}: got {len(entries)}, expected at most {most}")
        while len(entries) > self.credits:
            self._take()
        self._seq += 1
        self._write({"type": kind, "seq": self._seq, kind: list(entries)})
        self.credits -= len(entries)
        self._sent[self._seq] = len(entries)
        return self._seq

    def receive(self) -> Answer:
        """Return the next answer, in the order of the frames, or raise the frame's `Problem`."""
        while not self._answers:
            if not self._sent:
                raise ValueError("receive: got no frame that is still to be answered")
            self._take()
        answer = self._answers.popleft()
        if isinstance(answer, Answer):
            return answer
        raise answer[1]

    def post_all(
        self, events: Iterable[Mapping[str, Any]], frame_events: int = 64
    ) -> Iterator[Json]:
        """Send events as fast as there is credit, and yield the result of each, in order.

        An event that is refused yields its problem, with `line` as its place in its frame.
        """
        each = iter(events)
        size = max(1, min(frame_events, self.credits))
        while frame := list(islice(each, size)):
            self.send(frame)
            while self._answers:
                yield from self.receive().results
        while self.pending:
            yield from self.receive().results

    def follow(self, after: int) -> None:
        """Ask for every result after an offset, whoever posted the event; see `live`."""
        self._write({"type": "follow", "after": after})

    def live(self) -> Iterator[Json]:
        """Yield the results that were asked for with `follow`, without an end."""
        while True:
            while not self._live:
                self._take(None)
            yield self._live.popleft()

    def _take(self, timeout_seconds: float | None = -1) -> None:
        """Read one frame and put it where it belongs."""
        frame = self._frame(timeout_seconds)
        if frame["type"] == "live":
            self._live.extend(frame["results"])
        elif frame["type"] == "results":
            self.credits += frame["credits"]
            self._sent.pop(frame["seq"], None)
            self._answers.append(Answer(frame["seq"], frame["results"]))

    def _frame(self, timeout_seconds: float | None = -1) -> Json:
        """Read a frame; a refusal of events is kept for `receive`, any other is raised."""
        wait = self._timeout_seconds if timeout_seconds == -1 else timeout_seconds
        try:
            frame: Json = json.loads(self._websocket.recv(wait))
        except ConnectionClosed as error:
            raise Unreachable(f"the socket was closed: {_reason(error)}") from error
        except TimeoutError:
            raise Unreachable(f"the socket was silent for {wait:g} seconds") from None
        if "code" in frame:
            seq = frame.get("seq")
            if seq not in self._sent:
                raise problem_of(frame)
            self.credits += self._sent.pop(seq)
            self._answers.append((seq, problem_of(frame)))
        return frame

    def _write(self, frame: Json) -> None:
        try:
            self._websocket.send(json.dumps(frame))
        except ConnectionClosed as error:
            raise Unreachable(f"the socket was closed: {_reason(error)}") from error


def _reason(error: ConnectionClosed) -> str:
    close = error.rcvd
    return str(error) if close is None else f"{close.code} {close.reason}".strip()
