"""What a run shows of its jobs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from flowkeeper.brief import Brief


def record(event: LogEvent | None, message: str | None = None, **further: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", logging.INFO, "file", 1, message, None, None)
    vars(made).update({"event": event, **further} if event else further)
    return made


def test_a_job_is_one_line_with_how_many_are_done() -> None:
    brief = Brief()
    assert brief.filter(record(LogEvent.RUN_INFO, "Job stats:", stats={"total": 3, "train": 2, "all": 1}))
    first = record(LogEvent.JOB_INFO, rule_msg="train a, see logs/a.log", jobid=1)
    assert brief.filter(first) and first.msg == "0 of 3 done: train a, see logs/a.log"
    assert vars(first)["event"] is None  # plain text: Snakemake would put its time and number above it
    assert not brief.filter(record(LogEvent.PROGRESS, done=1, total=3))
    second = record(LogEvent.JOB_INFO, rule_msg="train b", jobid=2)
    assert brief.filter(second) and second.msg.startswith("1 of 3 done")
    assert brief.filter(record(LogEvent.PROGRESS, done=3, total=3))


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (record(None, "Select jobs to execute..."), False),
        (record(LogEvent.JOB_STARTED, "Execute 1 jobs..."), False),
        (record(LogEvent.JOB_FINISHED, job_id=1), False),
        (record(LogEvent.JOB_ERROR, "failed"), True),
        (record(LogEvent.JOB_INFO, rule_msg=None), True),
        (record(None, "Building DAG of jobs..."), True),
    ],
)
def test_what_tells_nothing_is_left_out_and_errors_stay(made: logging.LogRecord, shown: bool) -> None:
    assert Brief().filter(made) == shown
