"""What to compute for a folder of clips: recipes, network and schedule from their length, size and number.

The schedules are those on which the networks of the demo and of the recordings converge (config/tiers/demo.yaml and
real.yaml), stretched where clips are few, since networks need steps and not epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from avbalance.diagnosis.folder import Clips
from avbalance.errors import UserError

PROBED = 60  # clips whose length is read
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 700, 40, 120  # of the optimiser; a batch has BATCH clips
BATCH, RATE = 64, 0.05  # smaller batches have a rate that is smaller in proportion
LONGEST = 10  # s that are looked at
SECONDS_PER_STEP = 0.045  # of one core, one training: a guess, not yet compared with a run to its end
RUNS = 11  # trainings of one seed: models, methods and estimators of cross-fitting, in trainings of the joint model


@dataclass(frozen=True)
class Proposal:
    """What is proposed: the configuration as it is written, sentences that explain it, and its cost in minutes."""

    configuration: dict[str, Any]
    told: list[str]
    minutes: float


def lengths(clips: Clips) -> dict[str, float]:
    """Median seconds and pictures a second of some clips; 0 for what has no time. Unreadable ones are passed over."""
    seconds, rates = [], []
    step = max(1, len(clips.frame) // PROBED)
    for row in clips.frame.iloc[::step].to_dict("records"):
        named = row["video"] or row["audio"]
        try:
            with av.open(str(clips.root / named)) as container:
                if container.duration:
                    seconds.append(container.duration / 1e6)
                if row["video"] and container.streams.video:
                    rates.append(float(container.streams.video[0].average_rate or 0))
        except (av.FFmpegError, OSError, ValueError):
            continue
    if not seconds:
        raise UserError(
            f"{clips.root}: no clip can be opened, the first is {clips.frame.iloc[0]['id']!r}; are these media?"
        )
    return {"seconds": float(np.median(seconds)), "rate": float(np.median(rates)) if rates else 0.0}


def _side(clips: Clips) -> int:
    """Pixels that are looked at: 64, or 32 where the first picture has no more."""
    image = clips.frame.iloc[0]["image"]
    if not image:
        return 64
    try:
        with Image.open(clips.root / image) as picture:
            return 32 if max(picture.size) <= 48 else 64
    except OSError as error:
        raise UserError(f"{clips.root / image}: cannot be opened as a picture ({error}).") from error


def propose(name: str, clips: Clips, table: Path, minutes: float | None = None) -> Proposal:
    """The configuration of a diagnosis; minutes: how long it may take on two cores, by fewer seeds and methods.

    table: the file into which the clips are written, with their parts.
    """
    known = lengths(clips)
    side = _side(clips)
    whole = max(1, min(LONGEST, math.ceil(known["seconds"] - 0.25)))
    train = int((clips.frame["split"] == "train").sum())
    epochs = int(np.clip(math.ceil(STEPS * BATCH / max(train, 1) / 10) * 10, LEAST_EPOCHS, MOST_EPOCHS))
    still = (clips.frame["image"] != "").any()
    rate = 0 if still else max(1, math.ceil(4 / whole))
    frames = 1 if still else min(3, rate * whole)
    small = BATCH if train >= 8 * BATCH else BATCH // 2
    told = [f"clips last {known['seconds']:.1f} s (median); the first {whole} s are looked at"]
    told.append("one picture a clip" if still else f"{rate} pictures a second, {frames} in each step of training")
    cost = _minutes(train, epochs, small)
    seeds, methods = 3, True
    if minutes is not None and cost(seeds, methods) > minutes:
        methods = False
        while seeds > 2 and cost(seeds, methods) > minutes:
            seeds -= 1
        if cost(seeds, methods) > minutes:
            told.append(f"--minutes {minutes:g} is too short for these clips; {cost(seeds, methods):.0f} are needed")
    told.append(
        f"{epochs} epochs of a small network, {seeds} seeds" + ("" if methods else ", no methods against imbalance")
    )
    data = {
        "audio_recipe": f"logmel64x{32 * whole}-{whole}s",
        "visual_recipe": f"still-{side}" if still else f"fps{rate}-middle-{side}-{whole}s",
        "frames": frames,
        "crop": side,
        "crop_scale": [0.5, 1.0],
        "flip": 0.0,
    }
    protocol = {
        "epochs": epochs,
        "batch_size": small,
        "learning_rate": RATE * small / BATCH,
        "decay_every": round(0.7 * epochs),
        "patience": None,
    }
    left_out = ["gradient-blending-*", "branch-losses"]
    if not methods:
        left_out += ["ogm-ge", "gradient-blending", "greedy"]
    paper: dict[str, Any] = {
        "cells": "dataset",
        "datasets": {"own": name},
        "leave_out": left_out,
        "settings": {
            "data": data,
            "model": {"encoder": "convolutional", "width": 8, "dimension": 64},
            "protocol": protocol,
        },
        "runs": {
            "ogm-ge": {"settings": {"method": {"end_epoch": epochs // 2}}},
            "gradient-blending": {"settings": {"method": {"super_epoch": max(2, epochs // 10)}}},
        },
    }
    configuration = {
        "name": name,
        "tier": "demo",
        "seeds": list(range(seeds)),
        "cuts": [{"what": "small networks, trained from scratch", "reason": "a laptop; few clips"}],
        "datasets": {name: _dataset(clips, table)},
        "papers": {"diagnosis": paper},
    }
    return Proposal(configuration, told, cost(seeds, methods))


def _minutes(train: int, epochs: int, batch: int) -> Any:
    def cost(seeds: int, methods: bool) -> float:
        steps = epochs * math.ceil(train / batch) * batch / BATCH
        return steps * SECONDS_PER_STEP * seeds * (RUNS if methods else RUNS - 6) / 2 / 60 + 1

    return cost


def _dataset(clips: Clips, table: Path) -> Mapping[str, Any]:
    return {
        "kind": "folder",
        "stands_for": None,
        "describe": f"the clips in {clips.root}",
        "options": {"root": str(clips.root.absolute()), "manifest": str(table.absolute())},
    }
