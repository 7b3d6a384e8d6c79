"""The overview: every stream at a glance, and from then on only what changes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from service.api import replies
from service.api.names import answer
from service.api.state import Api, ApiState
from service.journal.base import StreamChanges, StreamRow
from service.specs import shown_spec

router = APIRouter(prefix="/v1", tags=["streams"], responses=replies.PROBLEMS)

LONGEST_WAIT_SECONDS = 30.0


@router.get("/overview", operation_id="get_overview", responses={200: {"model": replies.Overview}})
async def get_overview(
    api: ApiState,
    since: str | None = Query(
        None, max_length=64, description="The `cursor` of the last reply: return what changed."
    ),
    wait: float = Query(
        0.0, ge=0, le=LONGEST_WAIT_SECONDS, description="Seconds to wait for the first change."
    ),
) -> Response:
    """Return the streams that changed since a cursor and the names of those that are gone.

    Without a cursor, or with one the service does not know any more, `full` is true and the reply
    holds every stream.
    """
    changes = await _changes(api, since, wait)
    return answer(
        {
            "cursor": changes.cursor,
            "full": changes.full,
            "now": datetime.now(UTC),
            "total": api.journal.stream_count(),
            "gone": changes.gone,
            "streams": [_glance(row) for row in changes.rows],
        },
        headers={"Cache-Control": "no-store"},
    )


async def _changes(api: Api, since: str | None, seconds: float) -> StreamChanges:
    """Wait for a change, but no longer than the service goes on."""
    changes = asyncio.ensure_future(api.journal.changes(since, seconds))
    drained = asyncio.ensure_future(api.draining.wait())
    try:
        await asyncio.wait((changes, drained), return_when=asyncio.FIRST_COMPLETED)
        return await (changes if changes.done() else api.journal.changes(since))
    finally:
        changes.cancel()
        drained.cancel()


def _glance(row: StreamRow) -> dict[str, Any]:
    status = row.shown
    return {
        "name": row.name,
        **_of_spec(row.spec),
        "state": status.get("learning", "warming"),
        "offset": row.offset,
        "anomaly_score": status.get("anomaly_score"),
        "is_anomaly": status.get("is_anomaly", False),
        "anomalies": status.get("anomalies", 0),
        "newest_ts": status.get("newest_ts"),
        "received_at": status.get("received_at"),
        "drifts": sum(status.get("drifts", {}).values()),
        "last_anomaly": status.get("last_anomaly"),
        "last_drift": status.get("last_drift"),
        "silence_after_seconds": status.get("signals", {}).get("silence_alarm_after_seconds"),
        "recent": status.get("recent", []),
    }


@lru_cache(maxsize=4_096)
def _of_spec(spec: bytes) -> dict[str, Any]:
    """Return what a glance takes from a spec; thousands of streams share a few of them."""
    said = shown_spec(spec)
    return {
        "title": said.get("title"),
        "kind": said["learner"]["kind"],
        "threshold": said["threshold"],
    }
