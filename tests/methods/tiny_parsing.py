"""A tiny data set of videos to be parsed, in memory, and trainers at the start of a run on it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_cell import kill_after

from avbalance.models.base import Batch
from avbalance.training.cell import make_trainer
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer
from avbalance.training.progress import Progress
from avbalance.training.state import Checkpoints

__all__ = ["kill_after"]

CLASSES = 4
SEGMENTS = 10
SIZES = {"train": 36, "val": 8, "test": 24}
NAMES = [f"event{number}" for number in range(CLASSES)]
STEPS = 5  # of an epoch: 36 videos in batches of 8


def make_clips(**sizes: int) -> Clips:
    """Videos with one or two of four events; each is heard, seen or both, for some seconds, as a pattern in noise.

    The first video of all has every label, so that none is left for a video without common label.
    """
    sizes = {**SIZES, **sizes}
    split = np.array([name for name, size in sizes.items() for _ in range(size)])
    n, generator = len(split), np.random.default_rng([7, len(split)])
    heard, seen = (np.zeros((n, CLASSES, SEGMENTS), dtype=bool) for _ in range(2))
    for video in range(n):
        count = CLASSES if video == 0 else generator.integers(1, 3)
        for event in generator.permutation(CLASSES)[:count]:
            onset, kind = generator.integers(0, 6), generator.integers(3)
            for truth in [heard, seen] if kind == 0 else [(heard, seen)[kind - 1]]:
                truth[video, event, onset : onset + 4] = True
    label_matrix = (heard | seen).any(2)
    return Clips(
        ids=np.array([f"{name}-{number:03d}" for number, name in enumerate(split)]),
        labels=label_matrix.argmax(1).astype(np.int64),
        split=split,
        classes=list(NAMES),
        audio=_features(heard, 128, generator),
        audio_rows=np.arange(n),
        window=None,
        visual=_features(seen, 2560, generator),
        visual_rows=np.arange(n),
        counts=torch.ones(n, dtype=torch.int64),
        sizes=torch.ones(n, 2, dtype=torch.int64),
        losses={},
        digest="tiny",
        label_matrix=label_matrix,
        truth={"events_audio": heard, "events_visual": seen},
        spectrograms=False,
    )


def _features(truth: Any, width: int, generator: np.random.Generator) -> Any:
    patterns = generator.normal(size=(CLASSES, width))
    clean = np.einsum("nct,cw->ntw", truth, patterns)
    return (clean + 0.3 * generator.normal(size=clean.shape)).astype(np.float16)


def parsing_trainer(
    method: str,
    options: dict[str, Any] | None = None,
    *,
    clips: Clips,
    needs: dict[str, Any] | None = None,
    state: Path | None = None,
    seed: int = 0,
    model: dict[str, Any] | None = None,
    **protocol: Any,
) -> Trainer:
    """A trainer on `clips`; with a folder `state` it saves after every step."""
    settings = {
        "data": {"task": "parsing", "gate": "modality"},
        "model": {"name": "han", "width": 16, **(model or {})},
        "method": options or {},
        "protocol": {
            "epochs": 2, "batch_size": 8, "learning_rate": 5e-3, "weight_decay": 0.0, "decay_every": 6,
            "decay_factor": 0.25, "optimiser": "adam", "metric": "event_A", "ties": "later", **protocol,
        },
    }  # fmt: skip
    checkpoints = None if state is None else Checkpoints(state, "key", every_s=0.0)
    progress = Progress("run", io.StringIO())
    return make_trainer(method, settings, seed, clips, torch.device("cpu"), needs, checkpoints, progress)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The weights after the last epoch."""
    return trainer.states["last"]


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def ratios(audio: float = 0.5, visual: float = 0.5) -> dict[str, Any]:
    """Content of a noise_ratios.json."""
    return {"classes": list(NAMES), "audio": [audio] * CLASSES, "visual": [visual] * CLASSES}


def hand_batch(videos: int = 6, seed: int = 0) -> Batch:
    """Noise with one or two labels a video."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.eye(CLASSES)[torch.arange(videos) % CLASSES]
    label[::2, 0] = 1
    audio, visual = (torch.randn(videos, SEGMENTS, width, generator=generator) for width in (128, 2560))
    return Batch(audio, visual, label, torch.arange(videos))
