"""Random videos of the shapes of LLP for benchmarks: a manifest, feature stores, and the .npy files of public code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.data import SEGMENTS
from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import INDEX_COLUMNS, StoreWriter

MANIFEST = "manifest.parquet"
CLASSES = [f"class{number:02d}" for number in range(25)]
PER_SECOND = 8  # frames
AUDIO, FRAME, CLIP = 128, 2048, 512
DISTINCT = 512  # videos drawn; the features of a larger set repeat, since nothing measured here depends on them


@dataclass(frozen=True)
class Videos:
    """A data set of random videos: `ids` per split, labels per id, `events`: id, modality, class, onset, offset.

    The folder holds the manifest and the feature stores "audio" and "visual".
    """

    folder: Path
    ids: dict[str, list[str]]
    labels: dict[str, list[str]]
    events: pd.DataFrame


def make_videos(folder: Path, sizes: Mapping[str, int]) -> Videos:
    """Write manifest and stores of so many videos per split."""
    generator = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    ids: dict[str, list[str]] = {}
    events: list[tuple[str, str, str, int, int]] = []
    labels: dict[str, list[str]] = {}
    for split, size in sizes.items():
        ids[split] = [f"{split}{number:07d}" for number in range(size)]
        for name in ids[split]:
            classes = sorted(generator.choice(len(CLASSES), size=generator.integers(1, 3), replace=False))
            own = {
                modality: [[CLASSES[number], *_span(generator)] for number in classes]
                for modality in ("audio", "visual")
            }
            labels[name] = [CLASSES[number] for number in classes]
            events += [(name, modality, *event) for modality, found in own.items() for event in found]
            told = {f"events_{modality}": json.dumps(found) for modality, found in own.items()}
            row = {"id": name, "audio": "a", "visual": "v", "split": split, "label": labels[name][0]}
            rows.append({**row, "labels": json.dumps(labels[name]), **told})
    card = {"dataset": "random", "kind": "folder", "stands_for": None, "describe": "random videos", "classes": CLASSES}
    folder.mkdir(parents=True, exist_ok=True)
    videos = Videos(folder, ids, labels, pd.DataFrame(events, columns=["id", "modality", "class", "onset", "offset"]))
    write_manifest(make_manifest(rows, {**card, "media_root": ".", "options": {}}, "random"), videos.folder / MANIFEST)
    _write_stores(videos, [row["id"] for row in rows])
    return videos


def _span(generator: np.random.Generator) -> tuple[int, int]:
    onset = int(generator.integers(0, SEGMENTS))
    return onset, int(generator.integers(onset + 1, SEGMENTS + 1))


def stored(number: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Audio (10, 128) and visual (10, 2560) of a video: what its seconds share, and less of their own."""
    generator = np.random.default_rng([2, number % DISTINCT])
    shared, own = (
        generator.normal(size=(1, AUDIO + FRAME + CLIP)),
        generator.normal(size=(SEGMENTS, AUDIO + FRAME + CLIP)),
    )
    values = (shared + 0.3 * own).astype(np.float16)
    return values[:, :AUDIO], values[:, AUDIO:]


def _write_stores(videos: Videos, ids: list[str]) -> None:
    distinct = [stored(number) for number in range(min(DISTINCT, len(ids)))]
    recipes = (get_audio_recipe("seconds10-mel128"), get_visual_recipe("seconds10-conv2560"))
    for which, (modality, recipe) in enumerate(zip(("audio", "visual"), recipes, strict=True)):
        writer = StoreWriter(videos.folder / f"{modality}.draft", recipe)
        lines = [
            (name, writer.append(distinct[number % DISTINCT][which]), "ok", "", 10, 40, 30, 10.0)
            for number, name in enumerate(ids)
        ]
        index = pd.DataFrame(lines, columns=list(INDEX_COLUMNS))
        writer.publish(videos.folder / modality, index, writer.seal(index, {"manifest_digest": "random"}))


def write_unpooled(videos: Videos) -> None:
    """The same features as public code reads them: float32, a file per video, 80 frames whose means are the stored."""
    for name in ("vggish", "res152", "r2plus1d_18"):
        (videos.folder / name).mkdir()
    generator = np.random.default_rng(3)
    for number, video in enumerate([name for names in videos.ids.values() for name in names]):
        audio, visual = (values.astype(np.float32) for values in stored(number))
        around = generator.standard_normal((SEGMENTS, PER_SECOND, FRAME), dtype=np.float32)
        frames = visual[:, None, :FRAME] + around - around.mean(1, keepdims=True)
        np.save(videos.folder / "vggish" / f"{video}.npy", audio)
        np.save(videos.folder / "res152" / f"{video}.npy", frames.reshape(-1, FRAME))
        np.save(videos.folder / "r2plus1d_18" / f"{video}.npy", np.ascontiguousarray(visual[:, FRAME:]))
