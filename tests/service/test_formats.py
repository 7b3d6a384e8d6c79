"""Snapshots in the formats this build knows, and parts whose state schema has risen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learners.base import Arrays, StateError
from learners.rolling_zscore import RollingZScore
from service import container, formats, snapshots
from service.errors import SnapshotError
from service.formats import FORMAT, OLDEST, START_BYTES, format_in
from service.schemas import Event, StreamSpec
from service.snapshots import restored, revived, snapshot
from service.stream import Stream

LIMIT = 1 << 26
SPEC: dict[str, Any] = {
    "learner": {"kind": "rolling_zscore", "window": 20},
    "indicators": [{"kind": "novelty"}, {"kind": "page_hinkley"}],
    "governor": {},
}


def fed(events: int) -> Stream:
    stream = Stream(StreamSpec.model_validate(SPEC))
    for i in range(events):
        stream.step(Event(id=f"e{i}", x={"v": float(i * 7 % 24)}), 0.0)
    return stream


@pytest.mark.parametrize("form", [OLDEST, FORMAT])
def test_a_stream_is_the_same_from_either_format(form: int) -> None:
    stream = fed(60)
    stream.ask("paused")
    blob = snapshot(stream, form)
    assert format_in(blob[:START_BYTES]) == container.unpack(blob, LIMIT)[0]["format"] == form
    back = revived(blob, LIMIT)
    assert snapshot(back) == snapshot(stream)
    assert restored(fed(0), blob, LIMIT).digest == stream.digest
    event = Event(id="next", x={"v": 3.0})
    assert back.step(event, 0.0) == stream.step(event, 0.0)


@pytest.mark.parametrize("form", [OLDEST - 1, FORMAT + 1, "3", None, [3]])
def test_a_format_that_is_not_known_is_refused(form: Any) -> None:
    header, arrays = container.unpack(snapshot(fed(3)), LIMIT)
    with pytest.raises(SnapshotError, match=r"format|header"):
        revived(container.pack(header | {"format": form}, arrays), LIMIT)


@pytest.mark.parametrize("change", [{"spec": None}, {"spec": {}}, {"spec": []}])
def test_an_older_header_that_is_none_is_refused(change: dict[str, Any]) -> None:
    header, arrays = container.unpack(snapshot(fed(3), OLDEST), LIMIT)
    with pytest.raises(SnapshotError, match="header"):
        revived(container.pack(header | change, arrays), LIMIT)


def test_what_is_no_snapshot_has_no_format() -> None:
    blob = snapshot(fed(1))
    for start in (b"", blob[:10], b"x" + blob, blob.replace(b'"format":3', b'"formal":3')):
        assert format_in(start[:START_BYTES]) == 0


def test_an_indicator_of_another_schema_is_refused() -> None:
    header, arrays = container.unpack(snapshot(fed(3)), LIMIT)
    for schema in (0, 2):
        header["schemas"]["indicator1"] = schema
        with pytest.raises(SnapshotError, match="state_schema"):
            revived(container.pack(header, arrays), LIMIT)
    del header["schemas"]["indicator1"]
    with pytest.raises(SnapshotError, match="does not fit"):
        revived(container.pack(header, arrays), LIMIT)


def from_previous(self: RollingZScore, arrays: Arrays) -> Arrays:
    return {name: -array if array.dtype == np.float64 else array for name, array in arrays.items()}


def test_a_part_whose_schema_has_risen_reads_and_writes_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, before = fed(60), snapshot(fed(60), OLDEST)
    monkeypatch.setattr(RollingZScore, "state_schema", 2)
    monkeypatch.setattr(snapshots, "RAISED", frozenset({"rolling_zscore"}))
    with pytest.raises(SnapshotError, match="state_schema: got 1, expected 2"):
        revived(before, LIMIT)
    # What cannot be said in the format before is said in the newest.
    assert format_in(snapshot(stream, OLDEST)) == FORMAT
    monkeypatch.setattr(RollingZScore, "from_previous", from_previous)
    monkeypatch.setattr(RollingZScore, "to_previous", from_previous)
    older = snapshot(stream, OLDEST)
    assert format_in(older) == OLDEST
    header, arrays = container.unpack(older, LIMIT)
    assert header["state_schema"] == 1
    assert any((array != 0).any() for array in arrays.values())
    assert snapshot(revived(older, LIMIT)) == snapshot(stream)
    assert container.unpack(snapshot(stream), LIMIT)[0]["schemas"]["learner"] == 2


def test_by_itself_a_part_has_no_way_to_another_schema() -> None:
    part = RollingZScore()
    for change in (part.from_previous, part.to_previous):
        with pytest.raises(StateError, match="state_schema"):
            change(part.get_state())


def test_there_is_a_way_from_the_format_before_and_back() -> None:
    assert formats.UPGRADES.keys() == {OLDEST}
    assert formats.DOWNGRADES.keys() == {FORMAT}
