"""What a spec means: which streams it fits, what results depend on, how much memory it takes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from pydantic_core import from_json, to_json

from service import catalog
from service.errors import SynaptideError
from service.schemas import LabelPolicy, StreamSpec, parse_spec


def same_learner(old: StreamSpec, new: StreamSpec) -> str:
    """Say why a stream of the old spec cannot go on under the new one, or return nothing."""
    for name in ("learner", "indicators"):
        before, after = (getattr(spec, name) for spec in (old, new))
        if before != after:
            return f"{name}: got {_shown(after)}, expected {_shown(before)}"
    return ""


def recovery(spec: StreamSpec) -> Literal["snapshot", "replay"]:
    """Say how a stream of this spec is recovered: from a snapshot, or from its whole log."""
    return "snapshot" if catalog.keeps_state(spec.learner) else "replay"


@lru_cache(maxsize=4_096)
def read_spec(spec: bytes) -> StreamSpec | str:
    """Return a stored spec, or why this build cannot read it."""
    try:
        return parse_spec(spec)
    except SynaptideError as error:
        said = error.detail.replace("Extra inputs are not permitted", "not known to this build")
        return f"spec: {said}"
    except (ValueError, TypeError) as error:
        return f"spec: {error}"


_NEEDED: dict[str, tuple[Any, Any]] = {
    "learner": (dict, {}),
    "indicators": (list, []),
    "threshold": ((int, float), 0.5),
}


@lru_cache(maxsize=4_096)
def shown_spec(spec: bytes) -> dict[str, Any]:
    """Return a stored spec as a client sees it, and of one that is none what a list needs."""
    try:
        said = from_json(spec)
    except (ValueError, TypeError):
        said = None
    if not isinstance(said, dict):
        said = {}
    for name, (kind, instead) in _NEEDED.items():
        if not isinstance(said.get(name), kind):
            said[name] = instead
    said["learner"] = {"kind": "unknown"} | said["learner"]
    return said


def estimate_bytes(spec: StreamSpec) -> int:
    """Return the most bytes a stream of this spec will hold in memory."""
    ring = 16 * spec.duplicates_remembered + 120 * spec.duplicates_remembered
    parts = sum(catalog.memory_bytes(part) for part in (spec.learner, *spec.indicators))
    policy = label_policy(spec, catalog.learns_labels(spec.learner))
    if spec.governor is not None and spec.governor.pause is not None:
        parts += catalog.memory_bytes(spec.learner)  # Its best weights.
    return ring + parts + (0 if policy is None else ring + policy.pending_bytes)


def label_policy(spec: StreamSpec, learns_labels: bool) -> LabelPolicy | None:
    """Return how events wait for their labels, or `None` if they do not."""
    policy = spec.labels or (LabelPolicy() if learns_labels else None)
    return policy if policy is not None and policy.pending else None


def meaning(spec: StreamSpec) -> bytes:
    """Return the part of a spec that results depend on, as canonical bytes."""
    passed_over = {"title", "snapshot_every_events"}
    # Streams older than these fields go on with the digest they have.
    if spec.labels is None:
        passed_over.add("labels")
    if not spec.calibrate:
        passed_over.add("calibrate")
    if spec.governor is None:
        passed_over.add("governor")
    return to_json(spec.model_dump(mode="json", exclude=passed_over))


def _shown(part: Any) -> str:
    parts = part if isinstance(part, list) else [part]
    return to_json([each.model_dump(mode="json") for each in parts]).decode()
