"""Two ways of doing the same, timed in turn in one run: single times mean little on a shared machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ROUNDS = 7


def ratio(
    name: str,
    naive: Callable[[], object],
    ours: Callable[[], object],
    rounds: int = ROUNDS,
    wanted: float | None = None,
) -> None:
    """Print how many times as fast `ours` is as `naive`: median, least and greatest of paired CPU-time ratios.

    wanted: what the median should be at least; said beside it.
    """
    ratios = []
    for round_number in range(rounds + 1):
        times = []
        for work in (naive, ours):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        if round_number:  # the first round warms up
            ratios.append(times[0] / times[1])
    median = statistics.median(ratios)
    asked = "" if wanted is None else f"; wanted {wanted:g}, {'met' if median >= wanted else 'NOT met'}"
    print(f"{name}: {median:.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f}{asked})", flush=True)
