"""A data set with a timeline as finished stores of vectors per second: a direction per class, and noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tiny_cell import TinyData

from avbalance.data.manifest import Manifest, make_manifest, write_manifest
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import INDEX_COLUMNS, StoreWriter

CLASSES = 4
SIZES = {"train": 40, "val": 12, "test": 16}


def segment_manifest(background: bool = False, repaired: bool = False) -> Manifest:
    """Clips with one or two events each; sound and picture of the second one differ."""
    names = [f"class{number}" for number in range(CLASSES)]
    rows: list[dict[str, Any]] = []
    for split, size in SIZES.items():
        for number in range(size):
            first, second = names[number % CLASSES], names[(number + 1) % CLASSES]
            audio = [[first, number % 5, number % 5 + 4]]
            visual = [*audio, *([] if background else [[second, 0, 3 + number % 4]])]
            labels = [name for name in names if name in {event[0] for event in visual}]
            row = {
                "id": f"{split}-{number:03d}", "audio": "a.wav", "visual": "v.mp4", "split": split, "label": labels[0],
                "labels": json.dumps(labels), "events_audio": json.dumps(audio), "events_visual": json.dumps(visual),
            }  # fmt: skip
            rows.append(row | ({"events_audio_repaired": json.dumps([])} if repaired else {}))
    card = {"dataset": "tiny", "kind": "folder", "stands_for": None, "describe": "directions and noise",
            "classes": [*names, *(["Background"] if background else [])], "media_root": ".", "options": {}}  # fmt: skip
    return make_manifest(rows, card, "tiny")


def make_segment_data(folder: Path, grid: bool = False, repaired: bool = False) -> TinyData:
    """Manifest and stores; with `grid` vectors at 7 x 7 positions and a background class, as AVE has."""
    manifest = segment_manifest(background=grid, repaired=repaired)
    folder.mkdir(parents=True, exist_ok=True)
    data = TinyData(folder / "manifest.parquet", folder / "audio", folder / "visual")
    write_manifest(manifest, data.manifest)
    generator = np.random.default_rng(5)
    recipes = (
        ("events_audio", data.audio, get_audio_recipe("seconds10-mel128")),
        ("events_visual", data.visual, get_visual_recipe("seconds10-grid4" if grid else "seconds10-conv2560")),
    )
    for column, target, recipe in recipes:
        active = manifest.timeline(column).transpose(0, 2, 1).astype(np.float64)  # (N, T, C)
        directions = generator.normal(size=(active.shape[2], *recipe.shape[1:]))
        arrays = np.tensordot(active, directions, 1) + 0.1 * generator.normal(size=(len(active), *recipe.shape))
        writer = StoreWriter(target.with_name(f"{target.name}.draft"), recipe)
        lines = [
            (name, writer.append(array.astype(np.float16)), "ok", "", 10, 40, 30, 10.0)
            for name, array in zip(manifest.frame["id"], arrays, strict=True)
        ]
        index = pd.DataFrame(lines, columns=list(INDEX_COLUMNS))
        writer.publish(target, index, writer.seal(index, {"manifest_digest": "tiny"}))
    return data


def segment_settings(task: str, model: dict[str, Any], **protocol: Any) -> dict[str, Any]:
    """Settings of a short run."""
    rule = {
        "optimiser": "adam", "epochs": 2, "batch_size": 16, "learning_rate": 0.01, "weight_decay": 0.0,
        "decay_every": 2, "decay_factor": 0.5, **protocol,
    }  # fmt: skip
    data = {"task": task, "audio_recipe": "seconds10-mel128", "validation_fraction": 0.1}
    data["visual_recipe"] = "seconds10-grid4" if task == "localisation" else "seconds10-conv2560"
    return {"data": data, "model": model, "method": {}, "protocol": rule}
