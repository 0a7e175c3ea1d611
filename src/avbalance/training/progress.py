"""Progress of a training: a live line with the time left on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any, TextIO


@dataclass
class Progress:
    """Writes to `out`; on a terminal one line is rewritten, elsewhere each epoch has a line of its own."""

    label: str = ""
    out: TextIO = field(default_factory=lambda: sys.stderr)
    _started: float = field(default_factory=time.monotonic)
    _first_epoch: int | None = None
    _shown: float = 0.0

    def step(self, stream: str, epoch: int, index: int, batches: int, epochs: int | None) -> None:
        """Show a step; at most ten times a second, and only on a terminal."""
        if not self.out.isatty() or time.monotonic() - self._shown < 0.1:
            return
        self._shown = time.monotonic()
        of = f"/{epochs}" if epochs else f" of {stream}"
        left = self._left(epoch + index / batches, epochs)
        self._write(f"{self.label}: epoch {epoch + 1}{of}, step {index}/{batches}{left}", "")

    def epoch(self, log: dict[str, Any], epochs: int, metric: str = "accuracy") -> None:
        """Show a finished epoch of the main training, with the metric that runs are selected by."""
        done = int(log["epoch"])
        text = (
            f"{self.label}: epoch {done}/{epochs}, loss {log['train_loss']:.4f}, "
            f"validation {metric} {log[f'val_{metric}']:.2f} %{self._left(done, epochs)}"
        )
        self._write(text, "" if self.out.isatty() and done < epochs else "\n")

    def note(self, text: str) -> None:
        """Show a remark on a line of its own."""
        self._write(f"{self.label}: {text}", "\n")

    def _write(self, text: str, end: str) -> None:
        start = "\r\x1b[2K" if self.out.isatty() else ""
        self.out.write(f"{start}{text}{end}")
        self.out.flush()

    def _left(self, done: float, epochs: int | None) -> str:
        """Time left, judged from the epochs that this process has run."""
        if epochs is None:
            return ""
        if self._first_epoch is None:
            # Measured from here: a resumed run has not spent the time of the epochs before.
            self._first_epoch = int(done)
            self._started = time.monotonic()
            return ""
        ran = done - self._first_epoch
        if ran <= 0:
            return ""
        seconds = (time.monotonic() - self._started) / ran * (epochs - done)
        return f", {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
