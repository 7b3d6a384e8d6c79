"""Specs as requests bring them: checked against the limits, and built once to see if they work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from service import catalog
from service.catalog import Params
from service.errors import InvalidInput, TooMuchMemory
from service.schemas import StreamSpec
from service.specs import estimate_bytes

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


def check_memory(spec: StreamSpec, max_bytes: int) -> None:
    """Raise `TooMuchMemory` if a stream of this spec could grow beyond the limit."""
    for pointer, _, params in _parts(spec):
        with _contradictions(pointer, params):
            catalog.memory_bytes(params)
    need = estimate_bytes(spec)
    if need > max_bytes:
        raise TooMuchMemory(
            f"learner: needs up to {need} bytes, expected at most {max_bytes}",
            memory_bytes_estimate=need,
        )


def try_to_build(spec: StreamSpec) -> None:
    """Build every part of a stream once, or raise `InvalidInput` naming the parameter."""
    for pointer, build, params in _parts(spec):
        with _contradictions(pointer, params):
            build(params)


@contextmanager
def _contradictions(pointer: str, params: Params) -> Iterator[None]:
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
