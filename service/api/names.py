"""What the routes share in their signatures and answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic_core import to_json
from starlette.responses import Response

from service.schemas import STREAM_NAME

StreamName = Annotated[
    str,
    Path(
        pattern=STREAM_NAME,
        description="1 to 128 letters, digits, dots, underscores, colons or hyphens, beginning "
        "with a letter or digit.",
        examples=["boiler-3"],
    ),
]


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return JSON."""
    return Response(to_json(content), status, headers, "application/json")
