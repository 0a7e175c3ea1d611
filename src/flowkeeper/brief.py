"""One line for each job that starts, in the place of Snakemake's six: how many are done, its name, its log."""

from __future__ import annotations

import logging

_LEFT_OUT = ("JOB_STARTED", "JOB_FINISHED")
_CHOICE = "Select jobs to execute..."


class Brief(logging.Filter):
    """A filter of Snakemake's logger; errors, the table of jobs and all else stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.done, self.total = 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        event = getattr(getattr(record, "event", None), "name", "")
        if event == "PROGRESS":
            self.done, self.total = vars(record)["done"], vars(record)["total"]
            return self.done == self.total
        if event == "RUN_INFO":
            self.total = int(vars(record)["stats"]["total"])
        if event == "JOB_INFO" and vars(record)["rule_msg"]:
            self._shorten(record)
        return event not in _LEFT_OUT and record.msg != _CHOICE

    def _shorten(self, record: logging.LogRecord) -> None:
        from snakemake.settings.enums import Quietness

        record.msg = f"{self.done} of {self.total} done: {vars(record)['rule_msg']}"
        vars(record).update(event=None, quietness=Quietness.RULES)  # plain text now, which --quiet rules still hides
