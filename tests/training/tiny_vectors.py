"""Clips of one spectrogram and one visual vector each, labelled in two ways, as finished stores: patterns and noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tiny_cell import TinyData

from avbalance.data.manifest import Manifest, make_manifest, write_manifest
from avbalance.features.recipes import Recipe, get_audio_recipe, get_visual_recipe
from avbalance.features.store import INDEX_COLUMNS, StoreWriter

CLASSES = ("dog", "owl", "cat")
FURTHER = ("quiet", "speech")  # of the labelling "speech", told by the sound alone
SIZES = {"train": 60, "val": 18, "test": 30}
AUDIO, VISUAL = "decibel64-0.5s", "uniform8-small16"
BINS, FRAMES, FEATURE = 64, 16, 16
SOUND = {"bins": BINS, "frames": FRAMES, "audio_width": 12}
MODELS: dict[str, dict[str, Any]] = {
    "audio-teacher": {"name": "audio-teacher", **SOUND, "channels": 2},
    "visual-teacher": {"name": "visual-teacher", "visual_feature": FEATURE, "hidden": 8},
    "kd-student": {"name": "kd-student", **SOUND, "visual_feature": FEATURE, "visual_width": 10},
    "late-fusion": {
        "name": "late-fusion", **SOUND, "channels": 2, "visual_feature": FEATURE, "visual_width": 10, "hidden": [8, 6],
    },
}  # fmt: skip


def vector_manifest(sizes: dict[str, int], classes: tuple[str, ...] = CLASSES) -> Manifest:
    """Clips of all classes in turn, every other round of them with speech."""
    rows = [
        {
            "id": f"{split}-{number:03d}", "audio": "a.wav", "visual": "v.mp4", "split": split,
            "label": classes[number % len(classes)], "label_speech": FURTHER[number // len(classes) % 2],
        }
        for split, size in sizes.items()
        for number in range(size)
    ]  # fmt: skip
    card = {
        "dataset": "tiny", "kind": "folder", "stands_for": None, "describe": "patterns and noise", "media_root": ".",
        "classes": list(classes), "labellings": {"speech": list(FURTHER)}, "options": {},
    }  # fmt: skip
    return make_manifest(rows, card, "tiny")


def write_vectors(folder: Path, recipe: Recipe, arrays: Any, ids: list[str], **card: Any) -> Path:
    """A finished store of float16 arrays; `card` is added to its card."""
    writer = StoreWriter(folder.with_name(f"{folder.name}.draft"), recipe)
    lines = [(name, writer.append(np.float16(array)), "ok", "", 8, 0, 0, 0.5) for name, array in zip(ids, arrays)]  # noqa: B905
    index = pd.DataFrame(lines, columns=list(INDEX_COLUMNS))
    writer.publish(folder, index, writer.seal(index, {"manifest_digest": "tiny", **card}))
    return folder


def make_vector_data(
    folder: Path, sizes: dict[str, int] | None = None, black: bool = True, audio: str = AUDIO
) -> TinyData:
    """Manifest and stores; sound in decibels around -40 tells class and speech, the vector the class."""
    manifest = vector_manifest(sizes or SIZES)
    folder.mkdir(parents=True, exist_ok=True)
    label, speech = manifest.label_index(), manifest.label_index("speech")
    generator = np.random.default_rng(6)
    heard, seen = get_audio_recipe(audio), get_visual_recipe(VISUAL)
    sounds, voices = (generator.normal(size=(n, *heard.shape)) for n in (len(CLASSES), 2))
    pictures = generator.normal(size=(len(CLASSES), FEATURE))
    noise = generator.normal(size=(len(label), *heard.shape)), generator.normal(size=(len(label), FEATURE))
    spectrograms = -40 + 10 * (sounds[label] + voices[speech] + noise[0])
    vectors = np.maximum(pictures[label] + 0.5 * noise[1], 0)
    write_manifest(manifest, folder / "manifest.parquet")
    ids = manifest.frame["id"].tolist()
    dark = {"black": np.linspace(0, 1, FEATURE).tolist()} if black else {}
    return TinyData(
        folder / "manifest.parquet",
        write_vectors(folder / "audio", heard, spectrograms, ids),
        write_vectors(folder / "visual", seen, vectors, ids, **dark),
    )


def vector_settings(network: str = "kd-student", **changes: dict[str, Any]) -> dict[str, Any]:
    """Complete settings of a short run; `changes` are laid over data, model, method and protocol."""
    settings: dict[str, Any] = {
        "data": {"task": "relevance", "audio_recipe": AUDIO, "visual_recipe": VISUAL, "standardise": "train"},
        "model": dict(MODELS[network]),
        "method": {},
        "protocol": {
            "optimiser": "adam", "epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "weight_decay": 0.0,
            "decay_every": 3, "decay_factor": 1.0, "metric": "balanced_accuracy", "min_delta": 1e-6, "patience": 10,
        },
    }  # fmt: skip
    return settings | {part: {**settings[part], **values} for part, values in changes.items()}


def vector_job(run: str, method: str, settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """One job of a cell as the run sheet writes it."""
    folder = f"paper/tiny/{run}/seed0"
    names = ("predictions.parquet", "history.csv", "record.json", "model.safetensors")
    return {
        "run": run, "seed": 0, "method": method, "settings": settings, "folder": folder, "inputs": {}, "choose": None,
        "outputs": [f"{folder}/{name}" for name in names], **changes,
    }  # fmt: skip
