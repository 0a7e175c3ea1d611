"""A data set of random prototypes and noise as finished feature stores, and cells that train on it in seconds.

Run as a program it trains one cell described by a JSON file and may kill itself at a given optimiser step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.data.manifest import Manifest, make_manifest, write_manifest
from avbalance.features.recipes import AudioRecipe, VisualRecipe, get_audio_recipe, get_visual_recipe
from avbalance.features.store import INDEX_COLUMNS, StoreWriter

CLASSES = 4
SIZES = {"train": 96, "val": 32, "test": 120}
AUDIO, VISUAL = "logmel16x16-1s", "fps1-middle-16-3s"


@dataclass(frozen=True)
class TinyData:
    """Paths of a manifest and its two feature stores."""

    manifest: Path
    audio: Path
    visual: Path


def write_store(folder: Path, recipe: AudioRecipe | VisualRecipe, arrays: list[Any], ids: list[str]) -> Path:
    """A finished store; None in `arrays` is a clip that could not be decoded."""
    writer = StoreWriter(folder.with_name(f"{folder.name}.draft"), recipe)
    rows = []
    for name, array in zip(ids, arrays, strict=True):
        lost = array is None
        row = -1 if lost else writer.append(array)
        frames = 0 if lost else (2 + row % 2 if recipe.modality == "visual" else 1)
        rows.append((name, row, "corrupt" if lost else "ok", "", frames, 40, 30 + row % 3, 3.0))
    index = pd.DataFrame(rows, columns=list(INDEX_COLUMNS))
    card = writer.seal(index, {"manifest_digest": "tiny"})
    writer.publish(folder, index, card)
    return folder


def tiny_manifest(sizes: dict[str, int] | None = None, classes: int = CLASSES) -> Manifest:
    """Clips of all classes in turn."""
    rows = [
        {"id": f"{split}-{number:03d}", "audio": "a.wav", "visual": "v.mp4", "label": f"class{number % classes}",
         "split": split}
        for split, size in (sizes or SIZES).items() for number in range(size)
    ]  # fmt: skip
    card = {"dataset": "tiny", "kind": "folder", "stands_for": None, "describe": "prototypes and noise",
            "classes": [f"class{number}" for number in range(classes)], "media_root": ".", "options": {}}  # fmt: skip
    return make_manifest(rows, card, "tiny")


def make_data(
    folder: Path,
    sizes: dict[str, int] | None = None,
    noise: float = 0.5,
    lost_audio: tuple[int, ...] = (),
    lost_visual: tuple[int, ...] = (),
) -> TinyData:
    """Write a manifest and two stores: each class has one random pattern per modality, each clip adds noise."""
    manifest = tiny_manifest(sizes)
    ids, labels = manifest.frame["id"].tolist(), manifest.label_index()
    generator = np.random.default_rng([2024, len(ids)])
    sounds = generator.normal(size=(CLASSES, 16, 16))
    pictures = generator.normal(size=(CLASSES, 1, 16, 16, 3))
    audio, visual = [], []
    for number, label in enumerate(labels):
        sound = sounds[label] + noise * generator.normal(size=(16, 16))
        picture = 128 + 40 * (pictures[label] + noise * generator.normal(size=(3, 16, 16, 3)))
        audio.append(None if number in lost_audio else sound.astype(np.float16))
        visual.append(None if number in lost_visual else picture.clip(0, 255).astype(np.uint8))
    write_manifest(manifest, folder / "manifest.parquet")
    return TinyData(
        folder / "manifest.parquet",
        write_store(folder / "audio", get_audio_recipe(AUDIO), audio, ids),
        write_store(folder / "visual", get_visual_recipe(VISUAL), visual, ids),
    )


def tiny_settings(**changes: dict[str, Any]) -> dict[str, Any]:
    """Complete settings of a run; `changes` are laid over data, model, method and protocol."""
    settings: dict[str, Any] = {
        "data": {
            "audio_recipe": AUDIO, "visual_recipe": VISUAL, "frames": 2, "crop": 16, "crop_scale": [0.5, 1.0],
            "crop_ratio": [0.75, 1.3333333333333333], "flip": 0.5, "same_crop": False, "train_part": "all",
            "estimation_holdout": 0.0, "validation_fraction": 0.1,
        },
        "model": {"name": "fusion-net", "width": 4, "stem": "small", "stem_stride": 1},
        "method": {},
        "protocol": {
            "epochs": 3, "batch_size": 16, "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 1e-4,
            "decay_every": 2, "decay_factor": 0.1,
        },
    }  # fmt: skip
    for part, values in changes.items():
        settings[part] = {**settings[part], **values}
    return settings


def tiny_job(
    method: str, settings: dict[str, Any], run: str | None = None, seed: int = 0, **changes: Any
) -> dict[str, Any]:
    """One job of a cell as the run sheet writes it."""
    folder = f"paper/tiny/{run or method}/seed{seed}"
    names = ["predictions.parquet", "history.csv", "record.json", "model.safetensors"]
    if settings["protocol"].get("record_confidence"):
        names.append("confidence.npz")
    return {
        "run": run or method, "seed": seed, "method": method, "settings": settings, "folder": folder,
        "inputs": {}, "choose": None, "outputs": [f"{folder}/{name}" for name in names], **changes,
    }  # fmt: skip


def kill_after(trainer: Any, epoch: int, index: int) -> None:
    """Train until one optimiser step is done, the trainer's or that of one of its copies, and no further."""
    kind = type(trainer)
    original = kind._step

    def step(self: Any, batch: Any, where: Any) -> Any:
        loss = original(self, batch, where)
        if (where.epoch, where.index) == (epoch, index):
            raise KeyboardInterrupt
        return loss

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(kind, "_step", step)
        trainer.train() if trainer.method.card.predicts else trainer.method.prepare(trainer)


def write_request(path: Path, data: TinyData, jobs: list[dict[str, Any]], out: Path, cache: Path, kill: int) -> Path:
    """The JSON file that `main` reads; `kill` is the optimiser step before which the process dies, -1 for never."""
    where = {"manifest": data.manifest, "audio": data.audio, "visual": data.visual, "out": out, "cache": cache}
    path.write_text(json.dumps({"jobs": jobs, "kill": kill, **{name: str(value) for name, value in where.items()}}))
    return path


def main(request: Path) -> None:
    """Train the cell, with a state written after every step, and die by SIGKILL before step `kill`."""
    from avbalance.training.cell import CellOptions, train_cell
    from avbalance.training.loop import Trainer

    wanted = json.loads(request.read_text())
    kill, taken, original = wanted["kill"], 0, Trainer._step

    def step(self: Trainer, *arguments: Any) -> Any:
        nonlocal taken
        if taken == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        taken += 1
        return original(self, *arguments)

    Trainer._step = step  # type: ignore[method-assign]
    paths = {name: Path(wanted[name]) for name in ("manifest", "audio", "visual", "out", "cache")}
    train_cell(CellOptions(jobs=wanted["jobs"], code="tiny", device="cpu", checkpoint_every_s=0.0, **paths))
    loaded = sorted(name for name in sys.modules if name.split(".")[0] == "avbalance")
    print(json.dumps({"steps": taken, "modules": loaded}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
