"""Every refusal the service knows, as one tree. The docstring is the problem's title."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class SynaptideError(Exception):
    """The service refused"""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[dict[str, Any]] = (),
        retry_after_seconds: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.retry_after_seconds = retry_after_seconds
        self.facts = facts

    @property
    def title(self) -> str:
        """The first line of the class's docstring."""
        return (type(self).__doc__ or "").strip().splitlines()[0]

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 document that says this to a client."""
        problem: dict[str, Any] = {
            "type": f"urn:synaptide:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            problem["errors"] = self.errors
        return problem | self.facts


class InvalidInput(SynaptideError):
    """The request does not say what it must"""

    status = 422
    code = "invalid-input"


class MalformedBody(InvalidInput):
    """The body is not JSON"""

    status = 400
    code = "malformed-body"


class TooLarge(SynaptideError):
    """The body is larger than the limit"""

    status = 413
    code = "too-large"


class UnsupportedMedia(SynaptideError):
    """The body is in a form this route does not read"""

    status = 415
    code = "unsupported-media"


class UnfitEvent(InvalidInput):
    """The learner cannot take this event"""

    code = "invalid-event"


class LateEvent(InvalidInput):
    """The event is older than the stream accepts"""

    code = "late-event"


class UnknownEvent(InvalidInput):
    """The stream knows no event of this id"""

    status = 404
    code = "unknown-event"


class LabelNotAwaited(InvalidInput):
    """The event does not wait for a label"""

    status = 410
    code = "label-not-awaited"


class LabelConflict(InvalidInput):
    """The event had another label before"""

    status = 409
    code = "label-conflict"


class LabelsNotKept(InvalidInput):
    """The stream has no use for labels that come later"""

    status = 409
    code = "labels-not-kept"


class TooMuchMemory(InvalidInput):
    """The learner would need more memory than a stream may have"""

    code = "too-much-memory"


class TooManyStreams(InvalidInput):
    """There are as many streams as there may be"""

    code = "too-many-streams"


class UnknownKind(InvalidInput):
    """There is no learner or indicator of this kind"""

    code = "unknown-kind"


class SnapshotError(InvalidInput):
    """The snapshot is damaged or fits another stream"""

    code = "bad-snapshot"


class Quarantined(InvalidInput):
    """The learner failed on this event three times, and the stream has stopped learning"""

    code = "quarantined"


class StreamNotFound(SynaptideError):
    """There is no such stream"""

    status = 404
    code = "stream-not-found"


class TemplateNotFound(SynaptideError):
    """There is no such template"""

    status = 404
    code = "template-not-found"


class SnapshotNotFound(SynaptideError):
    """There is no such snapshot"""

    status = 404
    code = "snapshot-not-found"


class SpecConflict(SynaptideError):
    """The stream exists with another learner"""

    status = 409
    code = "spec-conflict"


class Unreadable(SynaptideError):
    """This build cannot bring the stream back"""

    status = 409
    code = "unreadable"


class NoSnapshots(SynaptideError):
    """The learner is recovered from the stream's log, and has no snapshots"""

    status = 409
    code = "no-snapshots"


class ResultsExpired(SynaptideError):
    """Results that old are no longer kept"""

    status = 410
    code = "results-expired"


class QueueFull(SynaptideError):
    """Events come faster than they are learned from"""

    status = 429
    code = "queue-full"


class JournalUnavailable(SynaptideError):
    """The journal cannot be written now"""

    status = 503
    code = "journal-unavailable"


class NotReady(SynaptideError):
    """The service is starting or stopping"""

    status = 503
    code = "not-ready"


class CommitRefused(SynaptideError):
    """The journal refused a commit"""


class Fenced(CommitRefused):
    """Another worker owns the partition"""

    code = "fenced"


class Stale(CommitRefused):
    """The partition has moved on from where this commit begins"""

    code = "stale"


class Phantom(CommitRefused):
    """The commit covers entries the log does not hold"""

    code = "phantom"


class SettingsError(SynaptideError):
    """The program cannot run with these settings"""

    code = "bad-settings"


class NotStill(SynaptideError):
    """The journal is in use, or has to be used first"""

    code = "not-still"
