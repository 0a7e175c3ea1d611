"""Snakemake's scheduler, kept from waking itself up more and more often.

While ready jobs wait for a core, Snakemake (9.27) asks for another look at them one second later, after every look; and
every job that ends starts a further such chain. After a hundred jobs it looks a hundred times a second, which takes a
tenth of a core from the jobs. One pending look is enough: each look asks for the next.
"""

from __future__ import annotations

import threading
from typing import Any

_PENDING = "_avbalance_pending_look"


def look_once_at_a_time(scheduler: type[Any]) -> None:
    """Let the scheduler's class have one pending look per scheduler; a class without the method stays as it is.

    A shorter wait than the pending one's is not needed: looks are at most one limit's timespan apart.
    """
    if hasattr(scheduler, "_schedule_reevalutation"):
        scheduler._schedule_reevalutation = _ask_for_a_look


def _ask_for_a_look(scheduler: Any, delay: float) -> None:
    if getattr(scheduler, _PENDING, False):
        return

    def look() -> None:
        setattr(scheduler, _PENDING, False)  # before the scheduler wakes, which may ask again at once
        scheduler._open_jobs.release()

    timer = threading.Timer(delay, look)
    timer.daemon = True  # the end of snakemake need not wait for it
    setattr(scheduler, _PENDING, True)
    timer.start()
