"""A tiny data set of videos whose seconds are to be classified, in memory."""

from __future__ import annotations

import numpy as np
import torch

from avbalance.training.data import Clips

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
