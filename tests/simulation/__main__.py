"""Run schedules by their seeds; tell the story of each that goes wrong.

python -m tests.simulation 38            the schedule of one seed, with its story
python -m tests.simulation 0 --seeds 1000
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.simulation.world import simulate


def main() -> int:
    """Return 1 if any schedule went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=int, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--marks", type=int, help="print the marks of as many schedules alone")
    asked = parser.parse_args()
    begun, bad, events, failovers = time.process_time(), list[int](), 0, 0
    for seed in range(asked.first, asked.first + (asked.marks or asked.seeds)):
        outcome = simulate(seed)
        events, failovers = events + outcome.events, failovers + outcome.failovers
        if asked.marks:
            print(outcome.mark)
        elif outcome.violations or asked.seeds == 1:
            print("\n".join([*outcome.story, f"seed {seed}:", *outcome.violations]), flush=True)
        if outcome.violations:
            bad.append(seed)
    found = {
        "schedules": asked.marks or asked.seeds,
        "first_seed": asked.first,
        "events": events,
        "failovers": failovers,
        "seeds_that_failed": bad,
        "cpu_seconds": round(time.process_time() - begun, 1),
    }
    print(json.dumps(found))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
