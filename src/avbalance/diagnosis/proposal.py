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

from avbalance.diagnosis import frozen
from avbalance.diagnosis.folder import FolderClips
from avbalance.errors import UserError

PROBED = 60  # clips whose length is read
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 700, 40, 120  # of the optimiser; a batch has BATCH clips
BATCH, RATE = 64, 0.05  # smaller batches have a rate that is smaller in proportion
LONGEST = 10  # s that are looked at
MINUTES = 10.0  # unless somebody says how long it may take
# Measured on one core: milliseconds that a clip costs in a step of the joint model, whatever its size, and further ones
# for each value of a spectrogram and each pixel of a picture.
PER_CLIP, PER_VALUE, PER_PIXEL = 0.34, 4.1e-5, 8.4e-5
SECONDS_PER_CLIP = 0.15  # to decode it
OVERHEAD, CORES = 0.7, 2  # minutes of planning, starting and reporting
METHODS, HALVES = ("ogm-ge", "gradient-blending", "greedy"), ("*-half-*",)


@dataclass(frozen=True)
class Workload:
    """How much is computed: seeds, runs that are left out, and how many trainings of the joint model that equals."""

    seeds: int
    leaves_out: tuple[str, ...]
    each: float
    without: str

    @property
    def trainings(self) -> float:
        return self.seeds * self.each


WORKLOADS = (  # each shorter than the one before it
    Workload(3, (), 10, ""),
    Workload(3, METHODS, 5, ", no methods against imbalance"),
    Workload(3, (*METHODS, *HALVES), 3, ", no methods against imbalance, no cross-fitting"),
    Workload(2, (*METHODS, *HALVES), 3, ", no methods against imbalance, no cross-fitting"),
)


@dataclass(frozen=True)
class Proposal:
    """What is proposed: the configuration as it is written, sentences that explain it, and its cost in minutes."""

    configuration: dict[str, Any]
    told: list[str]
    minutes: float


def lengths(clips: FolderClips) -> dict[str, float]:
    """Median seconds and pictures a second of some clips; 0 for what has no time. Unreadable ones are passed over."""
    seconds, rates = [], []
    step = max(1, len(clips.frame) // PROBED)
    for row in clips.frame.iloc[::step].to_dict("records"):
        named = row["video"] or row["audio"]
        try:
            with av.open(str(clips.root.absolute() / named)) as container:  # else FFmpeg takes `10:30/a` for a protocol
                if container.duration:
                    # FFmpeg counts in microseconds.
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


def _side(clips: FolderClips) -> int:
    """Pixels that are looked at: 64, or 32 where the first picture that can be opened has no more."""
    for image in clips.frame.query("image != ''")["image"].iloc[:PROBED]:
        try:
            with Image.open(clips.root / image) as picture:
                return 32 if max(picture.size) <= 48 else 64
        except (OSError, ValueError, Image.DecompressionBombError):
            continue  # lost later, with its reason
    return 64


def propose(
    name: str, clips: FolderClips, table: Path, minutes: float | None = None, see_frozen: bool = False
) -> Proposal:
    """The configuration of a diagnosis; minutes: how long it may take on two cores, by fewer methods, halves and seeds.

    Without minutes it takes MINUTES, or as long as it must.
    table: the file into which the clips are written, with their parts. see_frozen: also look at pictures through a
    frozen network, whose weights are at hand.
    """
    known = lengths(clips)
    side = _side(clips)
    # A quarter of a second less, so that a clip that is a few pictures longer than whole seconds does not get one more.
    whole = max(1, min(LONGEST, math.ceil(known["seconds"] - 0.25)))
    train = int((clips.frame["split"] == "train").sum())
    # Rounded up to tens, so that a few clips more or less do not change the configuration.
    epochs = int(np.clip(math.ceil(STEPS * BATCH / max(train, 1) / 10) * 10, LEAST_EPOCHS, MOST_EPOCHS))
    still = (clips.frame["image"] != "").any()
    # About four pictures of any clip, however short.
    rate = 0 if still else max(1, math.ceil(4 / whole))
    frames = 1 if still else min(3, rate * whole)
    small = BATCH if train >= 8 * BATCH else BATCH // 2
    told = [f"clips last {known['seconds']:.1f} s (median); the first {whole} s are looked at"]
    told.append("one picture a clip" if still else f"{rate} pictures a second, {frames} in each step of training")
    steps = epochs * math.ceil(train / small) * small  # times the clips of each
    step = (PER_CLIP + PER_VALUE * 64 * 32 * whole + PER_PIXEL * frames * side**2) / 1000
    fixed = len(clips.frame) * (SECONDS_PER_CLIP + (frozen.SECONDS_PER_CLIP if see_frozen else 0)) / 60 / CORES
    cost = {workload: OVERHEAD + fixed + steps * step * workload.trainings / 60 / CORES for workload in WORKLOADS}
    bound = MINUTES if minutes is None else minutes
    workload = next((workload for workload in WORKLOADS if cost[workload] <= bound), WORKLOADS[-1])
    if cost[workload] > bound:
        told.append(f"{bound:g} minutes are too few for these clips, which need {_minutes(cost[workload])}")
    longer = f" (with --minutes {math.ceil(cost[WORKLOADS[0]])}: all)" if workload.without else ""
    told.append(f"{epochs} epochs of a small network, {workload.seeds} seeds{workload.without}{longer}")
    if train < frozen.FEW:
        told.append(
            "pictures are also seen by a frozen ResNet-50 of torchvision, since few clips teach a network little"
            if see_frozen
            else f"few clips teach a network little; with --frozen, the weights of a ResNet-50 ({frozen.MEGABYTES} MB) "
            "are fetched from torchvision, to say what pictures could tell"
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
        # One decay for the last third.
        "decay_every": round(0.7 * epochs),
        "patience": None,
    }
    left_out = ["gradient-blending-*", "branch-losses", *workload.leaves_out]
    looked_at = {"only": ["own"], "settings": {"data": {"visual_recipe": frozen.RECIPE}}}
    paper: dict[str, Any] = {
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
            **(dict.fromkeys(frozen.RUNS, looked_at) if see_frozen else {}),
        },
    }
    configuration = {
        "name": name,
        "tier": "demo",
        "takes": f"about {_minutes(cost[workload])} on two idle cores, by the estimate of avbalance diagnose",
        "seeds": list(range(workload.seeds)),
        "cuts": [{"what": "small networks, trained from scratch", "reason": "a laptop; few clips"}],
        "datasets": {name: _dataset(clips, table)},
        "papers": {"diagnosis": paper},
    }
    return Proposal(configuration, told, cost[workload])


def _minutes(cost: float) -> str:
    whole = math.ceil(cost)
    return "1 minute" if whole == 1 else f"{whole} minutes"


def _dataset(clips: FolderClips, table: Path) -> Mapping[str, Any]:
    return {
        "kind": "folder",
        "stands_for": None,
        "describe": f"the clips in {clips.root}",
        "options": {"root": str(clips.root.absolute()), "manifest": str(table.absolute()), "found": clips.odd},
    }
