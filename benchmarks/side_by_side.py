"""Two ways of doing the same, timed in turn in one run: single times mean little on a shared machine."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

ROUNDS = 7
_unmet: list[str] = []  # names of rows whose wanted value was not reached


def row(
    name: str, value: float, wanted: float, unit: str = "times as fast", most: bool = False, more: str = ""
) -> None:
    """Print a value beside the wanted one, which is the least or, with `most`, the greatest that is good enough."""
    met = value <= wanted if most else value >= wanted
    if not met:
        _unmet.append(name)
    said = f"wanted {'at most ' if most else ''}{wanted:g}, {'met' if met else 'NOT met'}"
    print(f"{name}: {value:.3g} {unit}{more}; {said}", flush=True)


def absent(name: str, why: str) -> None:
    """Say that a row was not measured, and why."""
    print(f"{name}: not measured, {why}", flush=True)


def finish() -> None:
    """End with status 1 and the names of the rows that are not met, if there are any."""
    if _unmet:
        sys.exit("not met: " + "; ".join(_unmet))


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def ratio(
    name: str, naive: Callable[[], object], ours: Callable[[], object], wanted: float, rounds: int = ROUNDS
) -> None:
    """How many times as fast `ours` is as `naive`: median, least and greatest of paired CPU-time ratios."""
    ratio_of_seconds(name, lambda: cpu_seconds(naive), lambda: cpu_seconds(ours), wanted, rounds)


def ratio_of_seconds(
    name: str, naive: Callable[[], float], ours: Callable[[], float], wanted: float, rounds: int = ROUNDS
) -> None:
    """The same for two calls that tell their seconds themselves; the first round warms up."""
    ratios = [naive() / ours() for _ in range(rounds + 1)][1:]
    row(name, statistics.median(ratios), wanted, more=f" ({min(ratios):.2f} to {max(ratios):.2f})")
