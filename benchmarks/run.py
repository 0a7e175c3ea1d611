"""Speed as ratios, both sides measured in turn in one run: `make bench`.

Each comparison alternates the naive way and ours and prints the median of the ratios; single times mean little on a
shared machine. Nothing here is a test.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from avbalance.data.manifest import write_manifest
from avbalance.data.sources import synthetic
from avbalance.features.decode import decode_frames
from avbalance.features.extract import extract
from avbalance.features.recipes import get_visual_recipe
from avbalance.training.data import BatchSource, load_clips
from avbalance.training.transforms import FrameOptions, training_frames

ROUNDS = 7
FRAMES = FrameOptions(frames=3, crop=224, crop_scale=(0.08, 1.0), crop_ratio=(0.75, 4 / 3), flip=0.5, same_crop=False)


def ratio(name: str, naive: Callable[[], object], ours: Callable[[], object]) -> None:
    """Print how many times as fast `ours` is as `naive`: median, least and greatest of paired CPU-time ratios."""
    ratios = []
    for round_number in range(ROUNDS + 1):
        times = []
        for work in (naive, ours):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        if round_number:  # the first round warms up
            ratios.append(times[0] / times[1])
    print(f"{name}: {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})")


def augmentation() -> None:
    """Crop, flip and normalisation of 16 clips of 3 frames: frame by frame with torchvision, and as one batch."""
    from torchvision.transforms import v2

    stored = torch.randint(0, 256, (16, 3, 256, 256, 3), dtype=torch.uint8)
    sizes = torch.full((16, 2), 256)
    single = v2.Compose(
        [
            v2.RandomResizedCrop(224, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    generator = torch.Generator().manual_seed(0)
    ratio(
        "augmentation, batched against per frame",
        lambda: torch.stack([single(frame.permute(2, 0, 1)) for clip in stored for frame in clip]),
        lambda: training_frames(stored, sizes, FRAMES, generator),
    )


def store(folder: Path) -> None:
    """One epoch over 96 clips: decoding every clip's frames again, against reading the feature store."""
    spec = {
        "kind": "synthetic",
        "stands_for": "a benchmark",
        "describe": "generated clips",
        "options": {
            "seed": 1,
            "classes": 4,
            "clips": {"train": 64, "val": 16, "test": 16},
            "discrepancy_beta": [1.0, 1.0],
            "snr_audio_db": [-25.0, 3.0],
            "snr_visual_db": [-10.0, 14.0],
        },
    }
    manifest = folder / "data" / "manifest.parquet"
    write_manifest(synthetic.build("benchmark", spec, manifest.parent), manifest)
    recipe = "fps1-middle-32-4s"
    made = extract(manifest, {"audio": "logmel32x64-4s", "visual": recipe}, folder / "features")
    clips = load_clips(manifest, made["audio"], made["visual"])
    files = sorted((manifest.parent / "media").glob("*.mp4"))
    frames = FrameOptions(4, 32, (0.5, 1.0), (0.75, 4 / 3), 0.5, False)
    source = BatchSource(clips, ("audio", "visual"), frames, torch.device("cpu"), batch_size=64)
    everything = np.arange(len(clips.ids))
    ratio(
        "frames and spectrograms from the store, against decoding the frames alone",
        lambda: [decode_frames(path, get_visual_recipe(recipe)) for path in files],
        lambda: list(source.evaluation(everything)),
    )


def planning() -> None:
    """A dry run of the whole demo, against starting Snakemake at all."""
    program = str(Path(sys.executable).parent / "snakemake")
    times = []
    for arguments in (["--version"], ["-n", "--quiet", "all", "--forceall"]):
        start = time.monotonic()
        subprocess.run([program, *arguments], check=True, capture_output=True)
        times.append(time.monotonic() - start)
    print(f"planning: `snakemake -n` takes {times[1] / times[0]:.1f} times as long as `snakemake --version`")


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder))
    augmentation()
    planning()


if __name__ == "__main__":
    main()
