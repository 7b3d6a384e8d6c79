"""A stream's whole state as one document, and streams built from one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json

from learners.base import Arrays, StateError, Stateful
from service import container
from service.errors import SnapshotError
from service.formats import DOWNGRADES, FORMAT, RAISED, Document, upgraded
from service.schemas import StreamSpec
from service.specs import same_learner
from service.standing import Standing
from service.stream import Stream


def snapshot(stream: Stream, write_format: int = FORMAT) -> bytes:
    """Return the whole state as a container, in the newest format or in the one before.

    What cannot be said in the format before is said in the newest.
    """
    if write_format < FORMAT:
        with suppress(StateError):
            return container.pack(*DOWNGRADES[FORMAT](*_document(stream, RAISED)))
    return container.pack(*_document(stream))


def _document(stream: Stream, lowered: Set[str] = frozenset()) -> Document:
    """Return header and arrays; parts of some kinds in the state schema before theirs."""
    states = {
        owner: _lowered(part) if kind in lowered else (part.state_schema, part.get_state())
        for owner, kind, part in _parts(stream)
    }
    header = {
        "format": FORMAT,
        "kind": stream.spec.learner.kind,
        "schemas": {owner: schema for owner, (schema, _) in states.items()},
        "spec": stream.spec.model_dump(mode="json"),
        "offset": stream.offset,
        "digest": stream.digest.hex(),
        "learning": stream.learning,
        "asked": stream.tutor.asked,
        "standing": stream.standing.get_state(),
        **_calibration(stream),
        "numpy": np.__version__,
    }
    arrays = {
        f"{owner}/{name}": array
        for owner, (_, state) in states.items()
        for name, array in state.items()
    }
    arrays |= {f"stream/{name}": array for name, array in stream.seen.get_state().items()}
    if stream.pending is not None:
        arrays |= {f"labels/{name}": array for name, array in stream.pending.get_state().items()}
    arrays |= {f"tutor/{name}": array for name, array in stream.tutor.get_state().items()}
    arrays["quality/state"] = np.frombuffer(stream.quality.get_state(), np.uint8)
    return header, arrays


def _parts(stream: Stream) -> Iterator[tuple[str, str, Stateful]]:
    """Yield what a stream's parts are called in a snapshot, their kinds, and themselves."""
    yield "learner", stream.spec.learner.kind, stream.learner
    for i, (params, part) in enumerate(zip(stream.spec.indicators, stream.indicators, strict=True)):
        yield f"indicator{i}", params.kind, part


def _lowered(part: Stateful) -> tuple[int, Arrays]:
    return part.state_schema - 1, part.to_previous(part.get_state())


def _set_state(part: Stateful, schema: Any, arrays: Arrays) -> None:
    if schema == part.state_schema - 1:
        arrays = part.from_previous(arrays)
    elif schema != part.state_schema:
        raise ValueError(f"state_schema: got {schema!r}, expected {part.state_schema}")
    part.set_state(arrays)


def _calibration(stream: Stream) -> dict[str, Any]:
    return {} if stream.calibration is None else {"calibration": stream.calibration.get_state()}


def restore(stream: Stream, blob: bytes, max_bytes: int) -> None:
    """Give a stream a snapshot's learner and indicators, or raise `SnapshotError`.

    A stream that has applied nothing becomes the stream the snapshot was taken of, with its
    offset and digest; any other keeps its own and records the change in its digest. After an
    error the stream is to be thrown away.
    """
    header, arrays = _unpacked(blob, max_bytes)
    spec = spec_in(header)
    conflict = same_learner(stream.spec, spec)
    if conflict:
        raise SnapshotError(f"snapshot: {conflict}")
    try:
        _take(stream, header, arrays, whole=stream.offset == 0)
    except (StateError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise SnapshotError(f"snapshot: does not fit: {error}") from None
    if stream.offset != int(header["offset"]) or stream.digest.hex() != header["digest"]:
        stream.seal(b"restore" + blake2b(blob, digest_size=16).digest())


def _take(stream: Stream, header: dict[str, Any], arrays: dict[str, Any], whole: bool) -> None:
    _check(header)
    parts = _by_owner(arrays)
    for owner, _, part in _parts(stream):
        _set_state(part, header["schemas"][owner], parts.pop(owner, {}))
    seen, quality = parts.pop("stream", {}), parts.pop("quality", {})
    labels, tutor = parts.pop("labels", {}), parts.pop("tutor", {})
    if parts:
        raise StateError(f"arrays: got {sorted(parts)} besides what the stream has")
    standing = Standing()
    standing.set_state(header["standing"])
    stream.learning = header["learning"]
    asked = header["asked"] if whole else stream.tutor.asked
    stream.tutor.set_state(stream.spec, asked, tutor)
    if whole:
        stream.offset = int(header["offset"])
        stream.digest = bytes.fromhex(header["digest"])
        stream.standing = standing
        stream.quality.set_state(quality["state"].tobytes())
        stream.seen.set_state(seen)
        # A snapshot from before there were labels has none that wait.
        if stream.pending is not None and labels:
            stream.pending.set_state(labels)
        if stream.calibration is not None and "calibration" in header:
            stream.calibration.set_state(header["calibration"])
    else:
        stream.standing.newest = standing.newest


def revived(blob: bytes, max_bytes: int) -> Stream:
    """Build the stream a snapshot was taken of, or raise `SnapshotError`."""
    header, _ = _unpacked(blob, max_bytes)
    stream = Stream(spec_in(header))
    restore(stream, blob, max_bytes)
    return stream


def _unpacked(blob: bytes, max_bytes: int) -> Document:
    header, arrays = container.unpack(blob, max_bytes)
    try:
        return upgraded(header, arrays)
    except ValueError as error:
        raise SnapshotError(f"snapshot: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"snapshot: header: {type(error).__name__}: {error}") from None


def restored(stream: Stream, blob: bytes, max_bytes: int) -> Stream:
    """Return a copy of a stream that has taken over a snapshot, or raise `SnapshotError`."""
    copy = Stream(stream.spec)
    if stream.offset:
        restore(copy, snapshot(stream), max_bytes)
    restore(copy, blob, max_bytes)
    return copy


def spec_in(header: dict[str, Any]) -> StreamSpec:
    """Return the spec a snapshot's header holds, or raise `SnapshotError`."""
    try:
        return StreamSpec.model_validate_json(to_json(header.get("spec")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SnapshotError(f"snapshot: spec: {first['msg']} at {first['loc']}") from None


def _check(header: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless a header is such as a stream has."""
    if header["learning"] not in ("warming", "learning", "paused", "quarantined"):
        raise ValueError(f"learning: got {header['learning']!r}")
    if header["asked"] not in ("learning", "paused", "auto"):
        raise ValueError(f"asked: got {header['asked']!r}")
    offset = header["offset"]
    if type(offset) is not int or not 0 <= offset <= 2**53:
        raise ValueError(f"offset: got {str(offset)[:40]}, expected 0 to 2**53")
    if not re.fullmatch("[0-9a-f]{32}", str(header["digest"])):
        raise ValueError("digest: expected 16 bytes in hexadecimal")


def _by_owner(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    owners: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        owner, _, own_name = name.partition("/")
        owners.setdefault(owner, {})[own_name] = array
    return owners
