"""Progress of a training: lines in a log, and one line on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from avbalance.training import progress as progress_module
from avbalance.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_log_is_one_line_per_epoch(make_trainer: Callable[..., Any]) -> None:
    out = io.StringIO()
    make_trainer(progress=Progress("paper/run", out)).train()
    lines = out.getvalue().split("\n")
    assert len(lines) == 4 and lines[-1] == ""
    assert "\x1b" not in out.getvalue() and "\r" not in out.getvalue()
    assert lines[0].startswith("paper/run: epoch 1/3, loss ") and lines[0].endswith(" %")
    assert lines[1].startswith("paper/run: epoch 2/3, loss ") and lines[1].endswith(" s left")


def test_progress_on_a_terminal_rewrites_one_line_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    out = Terminal()
    progress = Progress("run", out)
    for index, seconds in ((1, 10.0), (2, 10.05), (3, 20.0)):
        now[0] = seconds
        progress.step("main", 0, index, 4, epochs=2)
    # the second step comes within a tenth of a second of the first and is not shown; the clock starts at the
    # first, at a quarter of an epoch: three quarters are done after 10 s, 1.25 epochs of 2 are left
    assert out.getvalue().count("\n") == 0 and "step 2/4" not in out.getvalue()
    assert out.getvalue().split("\r\x1b[2K")[1] == "run: epoch 1/2, step 1/4"
    assert "step 3/4, " in out.getvalue() and out.getvalue().endswith(" left")
    progress.note("resumed")
    progress.epoch({"epoch": 2, "train_loss": 1.0, "val_accuracy": 50.0}, epochs=2)
    assert out.getvalue().endswith("\r\x1b[2Krun: epoch 2/2, loss 1.0000, validation accuracy 50.00 %, 0 s left\n")
    assert "\r\x1b[2Krun: resumed\n" in out.getvalue()
