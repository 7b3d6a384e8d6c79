"""Which features and labels were ever learned from, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from learners.base import Arrays, InvalidEvent
from learners.parameters import Layout, check_state_arrays, names_in, require_state, text_array
from learners.river.codec import LONGEST_NAME, Label, Size, labels_in

LAYOUT: Layout = {"names": ((-1,), np.uint8), "labels": ((-1,), np.uint8)}


class Known:
    """Names of features and labels, each in the order in which it came, up to a most of each."""

    def __init__(self, most: Size) -> None:
        self.most = most
        self.names: dict[str, None] = {}
        self.labels: dict[Label, None] = {}

    def size_with(self, names: Iterable[str], label: Label | None) -> Size:
        """Return how many there would be with these, or raise `InvalidEvent` if too many."""
        new = [name for name in names if name not in self.names]
        if new:
            self._check_names(new)
        classes = len(self.labels)
        if label is not None and label not in self.labels:
            self._check_label(label)
            classes += 1
        return Size(len(self.names) + len(new), classes)

    def add(self, names: Iterable[str], label: Label | None) -> None:
        """Remember names and label."""
        self.names |= dict.fromkeys(names)
        if label is not None:
            self.labels[label] = None

    def get_state(self) -> Arrays:
        """Return names and labels, each a JSON list in uint8[n]."""
        return {"names": text_array(list(self.names)), "labels": text_array(list(self.labels))}

    def restored(self, arrays: Arrays) -> Known:
        """Return what the arrays hold, or raise `StateError`."""
        check_state_arrays(arrays, LAYOUT)
        known = Known(self.most)
        known.names = dict.fromkeys(names_in("names", arrays["names"], self.most.features))
        known.labels = dict.fromkeys(labels_in("labels", arrays["labels"]))
        good = len(known.labels) <= self.most.classes
        require_state(good, "labels", f"got {len(known.labels)}")
        return known

    def _check_names(self, new: list[str]) -> None:
        if len(self.names) + len(new) > self.most.features:
            raise InvalidEvent(
                f"{new[-1]}: got one more feature than max_features, {self.most.features}"
            )
        for name in new:
            if len(name) > LONGEST_NAME:
                raise InvalidEvent(
                    f"{name[:20]}...: got {len(name)} characters, expected {LONGEST_NAME} at most"
                )

    def _check_label(self, label: Label) -> None:
        first = next(iter(self.labels), label)
        if type(label) is not type(first):
            raise InvalidEvent(f"y: got {label!r}, expected a label of the type of {first!r}")
        if len(self.labels) >= self.most.classes:
            raise InvalidEvent(f"y: got {label!r}, one more than max_classes, {self.most.classes}")
