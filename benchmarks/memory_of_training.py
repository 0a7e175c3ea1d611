"""Train some steps of JoMoLD on the videos of a folder; prints the greatest anonymous memory, see parsing.py."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np
import torch
from parsing import settings_of, trainer_on

STEPS = 10


def anonymous() -> int:
    """Bytes of this process's memory that no file lies behind."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


class Peak(threading.Thread):
    """Looks every 5 ms until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.value, self.over = 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.005):
            self.value = max(self.value, anonymous())


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    before = anonymous()
    peak = Peak()
    peak.start()
    trainer = trainer_on(folder, settings_of(0.1, 0.5, epochs=2, max_steps=STEPS))
    assert isinstance(trainer.source.clips.visual, np.memmap), "the store must be memory-mapped"
    trainer.train()
    peak.over.set()
    peak.join()
    print(json.dumps({"videos": len(trainer.source.clips.ids), "peak": peak.value, "before": before}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
