"""A tiny data set of videos whose seconds are to be classified, in memory, and trainers at the start of a run on it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avbalance.training.cell import make_trainer
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer
from avbalance.training.progress import Progress
from avbalance.training.state import Checkpoints

EVENTS = 3
CLASSES = EVENTS + 1  # and the background
SEGMENTS = 10
CHANNELS = 6
SIZES = {"train": 32, "val": 8, "test": 24}
SMALL = {
    "name": "psp", "visual_width": CHANNELS, "guide_width": 12, "projection_width": 12, "width": 8,
    "classifier_width": 8,
}  # fmt: skip


def make_clips() -> Clips:
    """Videos with one event of some seconds, heard as a pattern and seen as one at a single of 7 x 7 positions."""
    split = np.array([name for name, size in SIZES.items() for _ in range(size)])
    n, generator = len(split), np.random.default_rng(11)
    truth = np.zeros((n, CLASSES, SEGMENTS), dtype=bool)
    label = np.arange(n) % EVENTS
    for video in range(n):
        onset, length = generator.integers(0, 5), generator.integers(3, 6)
        truth[video, label[video], onset : onset + length] = True
    sounds, pictures = generator.normal(size=(EVENTS, 128)), 3 * generator.normal(size=(EVENTS, CHANNELS))
    audio = np.einsum("nct,cw->ntw", truth[:, :-1], sounds) + 0.3 * generator.normal(size=(n, SEGMENTS, 128))
    visual = 0.3 * generator.normal(size=(n, SEGMENTS, 7, 7, CHANNELS))
    places = generator.integers(0, 7, (n, 2))
    visual[np.arange(n), :, places[:, 0], places[:, 1]] += np.einsum("nct,cw->ntw", truth[:, :-1], pictures)
    return Clips(
        ids=np.array([f"{name}-{number:03d}" for number, name in enumerate(split)]),
        labels=label.astype(np.int64),
        split=split,
        classes=["bell", "bark", "bus", "Background"],
        audio=audio.astype(np.float16),
        audio_rows=np.arange(n),
        window=None,
        visual=visual.astype(np.float16),
        visual_rows=np.arange(n),
        counts=torch.ones(n, dtype=torch.int64),
        sizes=torch.ones(n, 2, dtype=torch.int64),
        losses={},
        digest="tiny",
        label_matrix=np.eye(CLASSES, dtype=bool)[label],
        truth={"events_audio": truth, "events_visual": truth},
        spectrograms=False,
    )


def localisation_trainer(
    clips: Clips, options: dict[str, Any] | None = None, *, state: Path | None = None, **protocol: Any
) -> Trainer:
    """A trainer of psp; with a folder `state` it saves after every step."""
    settings = {
        "data": {"task": "localisation"},
        "model": dict(SMALL),
        "method": options or {},
        "protocol": {
            "epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "weight_decay": 0.0, "decay_at": [60, 120],
            "decay_factor": 0.8, "optimiser": "adam", "drop_last": True, **protocol,
        },
    }  # fmt: skip
    checkpoints = None if state is None else Checkpoints(state, "key", every_s=0.0)
    progress = Progress("run", io.StringIO())
    return make_trainer("psp", settings, 0, clips, torch.device("cpu"), None, checkpoints, progress)
