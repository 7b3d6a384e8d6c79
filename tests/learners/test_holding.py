"""Holding: when it begins, ends and gives up."""

from __future__ import annotations

import numpy as np
import pytest

from learners.base import StateError
from learners.holding import Hold


def held(hold: Hold, events: str, seconds: float = 1.0, begin: float = 0.0) -> str:
    """Return `h` for each event that is held; `x` is an anomaly."""
    answers = (hold.take(each == "x", begin + seconds * i) for i, each in enumerate(events))
    return "".join("h" if answer else "." for answer in answers)


def test_a_hold_begins_with_an_anomaly_and_ends_after_calm() -> None:
    assert held(Hold(release_events=3), "..x.x.......x") == "..hhhhh.....h"


def test_it_gives_up_after_so_many_events_and_waits_for_calm() -> None:
    hold = Hold(limit_events=4, release_events=2)
    assert held(hold, "xxxxxxxxx.xx..x") == "hhhh..........h"
    assert hold.signals() == {"hold_state": 1.0, "holds": 2.0, "holds_given_up": 1.0}


def test_it_gives_up_after_so_many_seconds() -> None:
    assert held(Hold(limit_seconds=30.0), "xxxxxx", seconds=10.0) == "hhhh.."


def test_without_times_the_events_count() -> None:
    hold = Hold(limit_seconds=1e-3, limit_events=3)
    assert [hold.take(True, None) for _ in range(5)] == [True, True, True, False, False]


def test_it_goes_on_in_a_copy_and_refuses_what_is_no_state() -> None:
    script = "..xx..x....xxxxxxxxx....x"
    for cut in range(len(script)):
        first, second = Hold(limit_events=5, release_events=3), Hold(5.0, 5, 3)
        held(first, script[:cut])
        second.limit_seconds = first.limit_seconds
        second.set_state(first.get_state())
        assert held(first, script[cut:], begin=cut) == held(second, script[cut:], begin=cut)
    good = Hold().get_state()
    for name, value in (("counts", 3), ("since", np.nan)):
        bad = {key: array.copy() for key, array in good.items()}
        bad[name][0] = value
        with pytest.raises(StateError):
            Hold().set_state(bad)


@pytest.mark.parametrize("name", ["limit_seconds", "limit_events", "release_events"])
def test_parameters_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: got 0"):
        Hold(**{name: 0})
