"""Train some steps of the ResNet-18 pair on random clips and print CPU seconds and losses as JSON.

A process of its own, since the memory settings of the C library are read when a process starts: `python
benchmarks/trained.py '{"width": 8}'`; see `DEFAULTS` for the options.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch

from avbalance.training.cell import make_trainer, prepare_torch
from avbalance.training.data import Clips

CLASSES = 6
EVALUATED = 24  # clips of the parts that no epoch trains on
DEFAULTS: dict[str, Any] = {
    "width": 8, "stem": "small", "audio": [32, 64], "side": 32, "crop": 32, "batch": 64, "steps": 12,
    "fill": False, "protocol": {},
}  # fmt: skip
PAPER = {"width": 64, "stem": "imagenet", "audio": [257, 188], "side": 256, "crop": 224, "batch": 16, "steps": 2}


def random_clips(count: int, audio: tuple[int, int], side: int) -> Clips:
    """Clips of noise: a spectrogram of so many bands and columns, and one square frame."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    rows = np.arange(count)
    return Clips(
        ids=np.array([f"clip{number}" for number in rows]),
        labels=labels,
        split=np.array(["train", "val", "test"])[np.where(rows < count - EVALUATED, 0, 1 + rows % 2)],
        classes=[f"class{number}" for number in range(CLASSES)],
        audio=generator.normal(size=(count, *audio)).astype(np.float16),
        audio_rows=rows,
        window=None,
        visual=generator.integers(0, 256, (count, 1, side, side, 3), dtype=np.uint8),
        visual_rows=rows,
        counts=torch.ones(count, dtype=torch.int64),
        sizes=torch.tensor([[480, 360]]).expand(count, 2),
        losses={},
        digest="random",
        label_matrix=np.eye(CLASSES, dtype=bool)[labels],
        truth={},
    )


def settings_of(options: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run of the baseline."""
    return {
        "data": {
            "frames": 1, "crop": options["crop"], "crop_scale": [0.08, 1.0], "crop_ratio": [0.75, 4 / 3], "flip": 0.5,
            "same_crop": False,
        },
        "model": {"name": "fusion-net", "width": options["width"], "stem": options["stem"]},
        "method": {},
        "protocol": {
            "epochs": 1, "batch_size": options["batch"], "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-4,
            "decay_every": 70, "decay_factor": 0.1, **options["protocol"],
        },
    }  # fmt: skip


def main(options: dict[str, Any]) -> None:
    """An epoch to warm up, and an epoch that is timed."""
    device = prepare_torch("cpu", 1)
    torch.utils.deterministic.fill_uninitialized_memory = options["fill"]  # type: ignore[attr-defined]
    clips = random_clips(options["batch"] * options["steps"] + EVALUATED, tuple(options["audio"]), options["side"])
    trainer = make_trainer("baseline", settings_of(options), 0, clips, device)
    losses = []
    for epoch in range(2):
        start = time.process_time()
        losses.append(trainer._epoch(epoch, 0, 0.0, main=False))
        seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "losses": losses}))


if __name__ == "__main__":
    main({**DEFAULTS, **json.loads(sys.argv[1])})
