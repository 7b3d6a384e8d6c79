"""What a spec means: which streams it fits, what results depend on, how much memory it takes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic_core import to_json

from service import catalog
from service.schemas import LabelPolicy, StreamSpec


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


def estimate_bytes(spec: StreamSpec) -> int:
    """Return the most bytes a stream of this spec will hold in memory."""
    ring = 16 * spec.duplicates_remembered + 120 * spec.duplicates_remembered
    parts = sum(catalog.memory_bytes(part) for part in (spec.learner, *spec.indicators))
    policy = label_policy(spec, catalog.learns_labels(spec.learner))
    return ring + parts + (0 if policy is None else ring + policy.pending_bytes)


def label_policy(spec: StreamSpec, learns_labels: bool) -> LabelPolicy | None:
    """Return how events wait for their labels, or `None` if they do not."""
    policy = spec.labels or (LabelPolicy() if learns_labels else None)
    return policy if policy is not None and policy.pending else None


def meaning(spec: StreamSpec) -> bytes:
    """Return the part of a spec that results depend on, as canonical bytes."""
    passed_over = {"title", "snapshot_every_events"}
    # Streams older than labels go on with the digest they have.
    if spec.labels is None:
        passed_over.add("labels")
    return to_json(spec.model_dump(mode="json", exclude=passed_over))


def _shown(part: Any) -> str:
    parts = part if isinstance(part, list) else [part]
    return to_json([each.model_dump(mode="json") for each in parts]).decode()
