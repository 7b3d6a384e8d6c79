"""Templates: streams that are made when their first event comes."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import StringConstraints, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from service.api import replies
from service.api.bodies import read_body
from service.api.names import answer
from service.api.specs import SPEC_BODY, accept, facts
from service.api.state import Api, ApiState
from service.errors import StreamNotFound, TemplateNotFound, TooManyStreams, Unreadable
from service.journal.base import StreamRow, TemplateRow
from service.schemas import STREAM_NAME, Wire, invalid, parse_spec
from service.specs import read_spec, shown_spec

router = APIRouter(prefix="/v1", tags=["templates"], responses=replies.PROBLEMS)

TemplateName = Annotated[
    str,
    Path(
        pattern=STREAM_NAME,
        description="As a stream's name.",
        examples=["sensors"],
    ),
]
_PATTERN = r"^[A-Za-z0-9*?\[][A-Za-z0-9._:*?\[\]!-]{0,127}$"


class Template(Wire):
    """Which names it is for, and the spec of the streams made from it."""

    pattern: Annotated[str, StringConstraints(pattern=_PATTERN)]
    spec: dict[str, Any]


_TEMPLATE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "pattern": {
                            "type": "string",
                            "pattern": _PATTERN,
                            "description": "Of the streams' names: * is any text, ? one character, "
                            "[abc] one of these.",
                        },
                        "spec": {"$ref": "#/components/schemas/StreamSpec"},
                    },
                    "required": ["pattern", "spec"],
                    "additionalProperties": False,
                },
                "examples": {
                    "a sequence memory for each sensor": {
                        "value": {
                            "pattern": "sensor-*",
                            "spec": {"learner": {"kind": "sequence_memory"}},
                        }
                    }
                },
            }
        },
    }
}


@router.put(
    "/templates/{template}",
    operation_id="put_template",
    responses={200: {"model": replies.TemplateView}, 201: {"model": replies.TemplateView}},
    openapi_extra=_TEMPLATE_BODY,
)
async def put_template(template: TemplateName, request: Request, api: ApiState) -> Response:
    """Make or replace a template. Streams that were made from it stay as they are."""
    body = await read_body(request, api.settings.max_body_bytes)
    try:
        wanted = Template.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None
    spec = parse_spec(to_json(wanted.spec))
    await accept(spec, api.settings.max_stream_bytes)
    row, made = await api.writable().put_template(template, wanted.pattern, spec.to_json())
    return answer(_describe(row), 201 if made else 200)


@router.get(
    "/templates", operation_id="list_templates", responses={200: {"model": replies.Templates}}
)
async def list_templates(api: ApiState) -> Response:
    """Return every template, by name."""
    return answer({"templates": [_describe(row) for row in await api.journal.templates()]})


@router.get(
    "/templates/{template}",
    operation_id="get_template",
    responses={200: {"model": replies.TemplateView}},
)
async def get_template(template: TemplateName, api: ApiState) -> Response:
    """Return a template."""
    for row in await api.journal.templates():
        if row.name == template:
            return answer(_describe(row))
    raise TemplateNotFound(f"template: got {template!r}, expected one that exists")


@router.delete("/templates/{template}", operation_id="delete_template", status_code=204)
async def delete_template(template: TemplateName, api: ApiState) -> Response:
    """Delete a template. Streams that were made from it stay."""
    await api.writable().delete_template(template)
    return Response(status_code=204)


@router.post(
    "/estimate",
    operation_id="estimate",
    responses={200: {"model": replies.Estimate}},
    openapi_extra=SPEC_BODY,
)
async def estimate(request: Request, api: ApiState) -> Response:
    """Return what a stream of this spec would take, without making one."""
    spec = parse_spec(await read_body(request, api.settings.max_body_bytes))
    await accept(spec, api.settings.max_stream_bytes)
    return answer(
        {
            **facts(spec.to_json()),
            "max_stream_bytes": api.settings.max_stream_bytes,
        }
    )


async def stream_or_made(api: Api, name: str) -> StreamRow:
    """Return the stream of that name, made from a template if there is one for it.

    Of several templates that match, the one with the longest pattern is taken, then the first by
    name. Raises `StreamNotFound` if there is none.
    """
    journal = api.writable()
    with suppress(StreamNotFound):
        return journal.stream(name)
    try:
        return await journal.look_up(name)
    except StreamNotFound:
        fitting = [row for row in await journal.templates() if fnmatchcase(name, row.pattern)]
        if not fitting:
            raise
    best = max(fitting, key=lambda row: len(row.pattern))
    spec = read_spec(best.spec)
    if isinstance(spec, str):
        raise Unreadable(f"template {best.name}: {spec}; PUT another spec, or DELETE the template")
    row, _ = await create(api, name, best.spec)
    return row


async def create(api: Api, name: str, spec: bytes) -> tuple[StreamRow, bool]:
    """Make a stream, or raise `TooManyStreams`."""
    journal = api.writable()
    most = api.settings.max_streams
    if journal.stream_count() >= most:
        raise TooManyStreams(f"streams: got {most} already, expected at most {most}")
    return await journal.create_stream(name, spec)


def _describe(row: TemplateRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "pattern": row.pattern,
        "spec": shown_spec(row.spec),
        "created_at": datetime.fromtimestamp(row.created_at, UTC),
        **facts(row.spec),
    }
