"""Specs as requests bring them: checked against the limits, and built once to see if they work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from service import catalog
from service.catalog import Params
from service.errors import InvalidInput, TooMuchMemory
from service.schemas import GovernorPolicy, StreamSpec
from service.specs import estimate_bytes, read_spec, recovery
from service.tutor import Tutor

SPEC_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/StreamSpec"},
                "examples": {
                    "sequence memory": {"value": {"learner": {"kind": "sequence_memory"}}},
                    "baseline": {
                        "value": {"learner": {"kind": "rolling_zscore"}, "threshold": 0.6}
                    },
                },
            }
        },
    }
}


def _parts(spec: StreamSpec) -> list[tuple[str, Callable[[Params], object], Params]]:
    """Return the parts of a stream: where each stands in the spec, and what builds it."""
    indicators = enumerate(spec.indicators)
    return [
        ("/learner", catalog.build_learner, spec.learner),
        *((f"/indicators/{i}", catalog.build_indicator, params) for i, params in indicators),
    ]


async def accept(spec: StreamSpec, max_bytes: int) -> None:
    """Check what a stream of this spec could take, and build its parts once.

    Raises `InvalidInput` naming the parameter that is refused, or `TooMuchMemory`. Not on the event
    loop: some of River's estimators take seconds to build.
    """
    await asyncio.to_thread(_accept, spec, max_bytes)


def _accept(spec: StreamSpec, max_bytes: int) -> None:
    for pointer, _, params in _parts(spec):
        with _contradictions(pointer, params):
            catalog.memory_bytes(params)
    need: int = facts(spec.to_json())["memory_bytes_estimate"]
    if need > max_bytes:
        raise TooMuchMemory(
            f"learner: needs up to {need} bytes, expected at most {max_bytes}",
            memory_bytes_estimate=need,
        )
    for pointer, build, params in _parts(spec):
        with _contradictions(pointer, params):
            build(params)
    with _contradictions("/governor", spec.governor or GovernorPolicy()):
        Tutor(spec)


@lru_cache(maxsize=4_096)
def facts(spec: bytes) -> dict[str, Any]:
    """Return what follows from a spec; thousands of streams share a few of them."""
    parsed = read_spec(spec)
    if isinstance(parsed, str):
        return {"memory_bytes_estimate": 0, "recovery": "snapshot"}
    return {"memory_bytes_estimate": estimate_bytes(parsed), "recovery": recovery(parsed)}


@contextmanager
def _contradictions(pointer: str, params: BaseModel) -> Iterator[None]:
    """Name the parameter that a learner or an indicator does not take."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError) as error:
        field = str(error).partition(": ")[0]
        if field in type(params).model_fields:
            pointer = f"{pointer}/{field}"
        raise InvalidInput(
            f"{pointer}: {error}", errors=[{"pointer": pointer, "detail": str(error)}]
        ) from None
