"""The socket: takes events and labels, and answers in order with as much as its credits allow."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket
from pydantic import Field, ValidationError
from pydantic_core import from_json, to_json
from starlette.websockets import WebSocketDisconnect

from service.api.bodies import EVENTS, LABELS, Batch, Kind, members, merge, parse_array
from service.api.live import HEARTBEAT_SECONDS, RESULTS_AT_ONCE
from service.api.state import Api, api_of, check_alive
from service.api.templates import stream_or_made
from service.errors import InvalidInput, MalformedBody, QueueFull, SynaptideError
from service.journal.base import Journal, StreamRow
from service.schemas import Wire, invalid, parse_frame
from service.tasks import end

router = APIRouter(prefix="/v1/streams")


class Follow(Wire):
    """Ask for all results after an offset."""

    type: str
    after: int = Field(ge=0, le=2**53)


@router.websocket("/{stream}/ws")
async def socket(websocket: WebSocket, stream: str) -> None:
    """Take events and answer with results, in order, as far as the credits go."""
    api = api_of(websocket)
    if not _same_origin(websocket):
        await websocket.close(1008, "cross-origin")
        return
    with suppress(WebSocketDisconnect):  # Whoever has gone away needs no answer.
        await _serve(api, stream, websocket)


async def _serve(api: Api, stream: str, websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        journal = api.writable()
        row = await stream_or_made(api, stream)
    except SynaptideError as error:
        await websocket.send_text(to_json(error.problem() | {"type": "problem"}).decode())
        await websocket.close(1008, error.code)
        return
    with api.metrics.sockets.track_inprogress():
        await Session(api, journal, row, websocket).run()


def _same_origin(websocket: WebSocket) -> bool:
    """A page of another origin must not post in its visitor's name."""
    origin = websocket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == websocket.headers.get("host")


def _parts(text: bytes) -> dict[str, bytes]:
    """Return what a frame says, by its names, however broken its events are."""
    if not text.lstrip().startswith(b"{"):
        shown = type(from_json(text)).__name__
        raise InvalidInput(f"frame: got {shown}, expected an object")
    return members(text)


class Closed(Exception):
    """The socket is to be closed, with a code and a reason"""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Session:
    """One socket: frames are read, appended and answered in order."""

    def __init__(self, api: Api, journal: Journal, row: StreamRow, websocket: WebSocket) -> None:
        self._api = api
        self._journal = journal
        self._uid, self._name = row.uid, row.name
        self._websocket = websocket
        # What the queue could never hold would be waited for without end.
        self._credits = min(api.settings.socket_credits, api.settings.max_queued_entries)
        # Frames without entries cost no credits: whoever does not read is not read from either.
        self._answers: asyncio.Queue[tuple[int, Batch, list[int], float, Kind]] = asyncio.Queue(
            self._credits
        )
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until either side ends it."""
        row = self._journal.stream_by_uid(self._uid)
        offset = 0 if row is None else row.offset
        await self._send({"type": "hello", "credits": self._credits, "offset": offset})
        tasks = [
            asyncio.create_task(work)
            for work in (self._read(), self._answer(), self._until_drained())
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if self._following is not None:
            tasks.append(self._following)
        await end(tasks)
        for task in done:
            error = task.exception()
            if isinstance(error, Closed):
                await self._close(error)
            elif error is not None and not isinstance(error, WebSocketDisconnect):
                await self._close(Closed(1011, "the service failed; its log says more"))
                raise error

    async def _close(self, closed: Closed) -> None:
        try:
            await self._websocket.close(closed.code, closed.reason)
        except RuntimeError:
            return  # It was closed from the other side meanwhile.

    async def _until_drained(self) -> None:
        await self._api.draining.wait()
        await self._answers.join()
        raise Closed(1012, "service restart")

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code") or 1005)
            text = message.get("text")
            await self._take(message["bytes"] if text is None else text.encode())

    async def _take(self, text: bytes) -> None:
        frame = parse_frame(text)
        if frame is not None:
            batch = Batch(list(frame.events), range(1, len(frame.events) + 1))
            await self._append(frame.seq, batch, EVENTS)
        else:
            await self._take_slowly(text)

    async def _take_slowly(self, text: bytes) -> None:
        """Find out what is wrong with a frame, or what kind of frame it is."""
        try:
            parts = _parts(text)
            kind, seq = (from_json(parts.get(name, b"null")) for name in ("type", "seq"))
        except (ValueError, MalformedBody) as error:
            await self._refuse(MalformedBody(f"frame: {error}"), None)
            raise Closed(1007, "a frame is JSON") from None
        except InvalidInput as error:
            await self._refuse(error, None)
            return
        if kind == "follow":
            await self._follow(text)
        elif kind == "events":
            await self._take_each(seq, parts, EVENTS)
        elif kind == "labels":
            await self._take_each(seq, parts, LABELS)
        else:
            wanted = f"type: got {repr(kind)[:40]}, expected events, labels or follow"
            await self._refuse(InvalidInput(wanted), None)

    async def _take_each(self, seq: Any, parts: dict[str, bytes], kind: Kind) -> None:
        """Name what is wrong in a frame of events or labels, and take the rest."""
        listed = parts.get(kind.name, b"").strip()
        if type(seq) is not int or abs(seq) >= 2**63 or not listed.startswith(b"["):
            wanted = f"frame: expected an integer seq of 64 bits and a list of {kind.name}"
            await self._refuse(InvalidInput(wanted), None)
            return
        unknown = sorted(parts.keys() - {"type", "seq", kind.name})
        if unknown:
            shown = ", ".join(repr(name[:40]) for name in unknown[:5])
            await self._refuse(InvalidInput(f"frame: got unknown fields {shown}"), seq)
            return
        try:
            batch = await parse_array(listed, kind)
        except MalformedBody as error:
            await self._refuse(error, seq)
            raise Closed(1007, "a frame is JSON") from None
        await self._append(seq, batch, kind)

    async def _append(self, seq: int, batch: Batch, kind: Kind) -> None:
        if len(batch.items) > self._credits:
            detail = f"{kind.name}: got {len(batch.items)}, expected at most {self._credits} now"
            await self._refuse(QueueFull(detail, credits=self._credits), seq)
            raise Closed(1008, f"more {kind.name} than credits")
        entries, problems = batch.entries, batch.problems
        if problems:
            self._api.metrics.refused(kind.name, "invalid", len(problems))
        begun = time.perf_counter()
        try:
            check_alive(self._journal.stream_by_uid(self._uid))
            positions = await self._append_patiently(entries) if entries else []
        except SynaptideError as error:
            await self._refuse(error, seq)
            return
        self._credits -= len(batch.items)
        self._api.metrics.took(kind.name, "websocket", len(entries))
        await self._answers.put((seq, batch, positions, begun, kind))

    async def _append_patiently(self, entries: list[Any]) -> list[int]:
        """Wait while the queue is full: not reading on is what slows a client down."""
        while True:
            try:
                return await self._journal.append(self._uid, entries, "applied")
            except QueueFull:
                await asyncio.sleep(0.01)

    async def _answer(self) -> None:
        while True:
            seq, batch, positions, begun, kind = await self._answers.get()
            try:
                await self._answer_one(seq, batch, positions, begun, kind)
            finally:
                self._answers.task_done()

    async def _answer_one(
        self, seq: int, batch: Batch, positions: list[int], begun: float, kind: Kind
    ) -> None:
        replies: list[bytes] = []
        try:
            for position in positions:
                replies += await self._journal.replies(self._uid, position)
        except SynaptideError as error:
            await self._refuse(error, seq)
            return
        finally:
            self._credits += len(batch.items)
        if replies and kind is EVENTS:
            seconds = time.perf_counter() - begun
            self._api.metrics.latency.observe("websocket", self._name, replies[-1], seconds)
        lines, _ = merge(batch, replies)
        text = b'{"type":"results","seq":%d,"credits":%d,"results":[%b]}' % (
            seq,
            len(lines),
            b",".join(lines),
        )
        await self._send_text(text)

    async def _follow(self, text: bytes) -> None:
        try:
            after = Follow.model_validate_json(text).after
        except ValidationError as error:
            await self._refuse(invalid(error), None)
            return
        if self._following is not None:
            await end([self._following])
        self._following = asyncio.create_task(self._send_live(after))

    async def _send_live(self, after: int) -> None:
        first = after
        try:
            while True:
                lines = await self._journal.results(
                    self._uid, after, RESULTS_AT_ONCE, HEARTBEAT_SECONDS
                )
                if lines:
                    text = b'{"type":"live","results":[%b]}' % b",".join(lines)
                    await self._send_text(text)
                    after += len(lines)
        except SynaptideError as error:
            if after > first:
                self._api.metrics.missed(error, after)
            await self._refuse(error, None)

    async def _refuse(self, error: SynaptideError, seq: Any) -> None:
        named = {} if seq is None else {"seq": seq}
        await self._send(error.problem() | named | {"type": "problem"})

    async def _send(self, content: dict[str, Any]) -> None:
        await self._send_text(to_json(content))

    async def _send_text(self, text: bytes) -> None:
        try:
            await self._websocket.send_text(text.decode())
        except RuntimeError:  # It was closed meanwhile, which another task has been told.
            raise WebSocketDisconnect(1006) from None
