"""Labels become class indices, in the order in which they first come."""

from __future__ import annotations

from collections.abc import Sequence

from learners.base import Arrays, InvalidEvent, StateError, Target, class_name
from learners.parameters import check_state_arrays, list_in, require, require_state, text_array

LONGEST_LABEL = 1_024
_LARGEST = 1.7976931348623157e308


class Classes:
    """A table of at most `most` labels, numbers or strings.

    1, 1.0 and "1" are one class, for they have one name among probabilities; answers say the first.
    """

    def __init__(self, most: int) -> None:
        require(2 <= most <= 4_096, "classes", most, "2..4096")
        self.most = most
        self._labels: list[float | str] = []
        self._indices: dict[str, int] = {}

    @staticmethod
    def memory_bytes(most: int) -> int:
        """Return the most bytes that a table of a size will hold."""
        return most * 12 * LONGEST_LABEL

    def __len__(self) -> int:
        return len(self._labels)

    def __contains__(self, name: str) -> bool:
        return name in self._indices

    def label(self, index: int) -> float | str:
        """Return the label of a class."""
        return self._labels[index]

    def named(self, name: str) -> float | str:
        """Return the label that has a name among probabilities."""
        return self._labels[self._indices[name]]

    def find(self, y: float | str) -> int:
        """Return the class of a label, or -1 if it has none."""
        return self._indices.get(class_name(y), -1)

    def check(self, y: float | str) -> None:
        """Raise `InvalidEvent` if `index` could not take this label."""
        if isinstance(y, str):
            if len(y) > LONGEST_LABEL:
                want = f"{LONGEST_LABEL} or fewer"
                raise InvalidEvent(f"y: got a label of {len(y)} characters, expected {want}")
        elif not -_LARGEST <= y <= _LARGEST:  # An integer may be beyond what a float holds.
            raise InvalidEvent(f"y: got {y!r}, expected a finite number or a string")
        if class_name(y) not in self._indices and len(self._labels) >= self.most:
            raise InvalidEvent(f"y: got {y!r} beside {self.most} labels, expected no more of them")

    def index(self, y: float | str) -> int:
        """Return the class of a label, a new one if need be, or raise `InvalidEvent`."""
        self.check(y)
        name = class_name(y)
        if name not in self._indices:
            self._indices[name] = len(self._labels)
            self._labels.append(y)
        return self._indices[name]

    def answer(self, probabilities: Sequence[float]) -> tuple[Target, dict[str, float] | None]:
        """Return the most probable label and the probability of each, or nothing before any."""
        if not self._labels:
            return None, None
        shares = list(probabilities)[: len(self._labels)]
        best = max(range(len(shares)), key=shares.__getitem__)
        return self._labels[best], dict(zip(self._indices, shares, strict=True))

    def get_state(self) -> Arrays:
        """Return the labels."""
        return {"labels": text_array(self._labels)}

    def set_state(self, arrays: Arrays) -> None:
        """Replace the labels, or raise `StateError` and leave them untouched."""
        fresh = Classes(self.most)
        fresh._take(arrays)
        self.__dict__ = fresh.__dict__

    def _take(self, arrays: Arrays) -> None:
        check_state_arrays(arrays, {"labels": ((-1,), "uint8")})
        labels = list_in("labels", arrays["labels"])
        require_state(len(labels) <= self.most, "labels", f"got {len(labels)} labels")
        for label in labels:
            try:
                self.index(label)
            except InvalidEvent as error:
                raise StateError(f"labels: {error}") from None
        require_state(len(self) == len(labels), "labels", "expected each label once")
