"""Every run of the paper tier at full size on a few random clips: the clips, and trainers that do two steps of them.

Settings are those of the paper tier but for the protocol's epochs, steps and small batches; where an epoch differs from
the first (a second stage, labels denoised, videos contrasted), that epoch is reached. Files that a run needs of another
one are made up in the form that their makers write. Used by tests/training/test_full_size*.py on the processor, and by
gpu_check.py. Needs no more than torch, NumPy, pandas, pyarrow, SciPy, safetensors, PyYAML and pydantic.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import Fit
from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.data.sources.llp import CLASSES as LLP_CLASSES
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import StoreWriter
from avbalance.methods import base as methods
from avbalance.methods import fine_tuning
from avbalance.methods.parts import gaps
from avbalance.plan.plan import load_plan
from avbalance.plan.sheet import Row
from avbalance.training.cell import make_trainer
from avbalance.training.data import Clips, load_clips
from avbalance.training.loop import Trainer
from avbalance.training.outputs import Tensors

REPOSITORY = Path(__file__).resolve().parents[1]
BALANCED, PARSING, RELEVANCE, GAPS = (
    "balanced-audiovisual",
    "avvp-gradient-modulation",
    "modality-relevance",
    "gmm-adaptive-loss",
)


def numbered(count: int) -> list[str]:
    return [f"class{number:03d}" for number in range(count)]


CLASSES: dict[str, dict[str, list[str]]] = {  # paper -> role -> as many classes as the data set has
    BALANCED: {"kinetics-sounds": numbered(31), "vggsound": numbered(309), "balanced": numbered(30)},
    PARSING: {
        "llp": list(LLP_CLASSES),
        "cremad": ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"],
        "ave": [*(f"event{number}" for number in range(28)), "Background"],
    },
    RELEVANCE: {"audioset": ["urban", "rural"], "kinetics-sounds": numbered(26)},
    GAPS: {"cremad": numbered(6), "ave": numbered(28), "kinetics-sounds": numbered(31)},
}
SPEECH = ["quiet", "speech"]  # the further labelling of AudioSet
BATCH = {"llp": 4}  # clips in a step; two elsewhere, the smallest batch that is one
STAGES = {"jomold": 2, "co-teaching": 2, "jocor": 2, "cvcms": 3, "adaptive-loss": 2}  # epochs, of one step each
STEPS = 2


def rows_of(slug: str) -> list[Row]:
    """The rows of a paper in the paper tier that take optimiser steps: references are fitted without."""
    plan = load_plan(REPOSITORY, {"tier": "paper", "papers": {slug: {}}})
    return [row for row in plan.rows[slug] if not row.combine and not methods.load(row.method).card.fits]


def random_values(recipe: Any, generator: np.random.Generator) -> Any:
    """An array as the recipe stores it: pixels, decibels, other logarithms of spectrograms, or features around 0."""
    if recipe.dtype == np.uint8:
        return generator.integers(0, 256, recipe.shape).astype(recipe.dtype)
    if recipe.name.startswith("decibel"):
        mean, deviation = -40, 15
    else:
        spectrogram = recipe.modality == "audio" and not recipe.name.startswith("seconds")
        mean, deviation = (-6, 3) if spectrogram else (0, 1)
    return generator.normal(mean, deviation, recipe.shape).astype(recipe.dtype)


def write_store(folder: Path, recipe: Any, ids: list[str], **card: Any) -> Path:
    """A finished store of random clips; `card` is added to its card."""
    generator = np.random.default_rng(len(recipe.name))
    writer = StoreWriter(folder.with_name(f"draft-{folder.name}"), recipe)
    for _ in ids:
        writer.append(random_values(recipe, generator))
    index = pd.DataFrame(
        {"id": ids, "row": range(len(ids)), "status": "ok", "reason": "", "n_frames": recipe.shape[0]}
        | {"width": 480, "height": 360, "duration": 10.0}
    )
    writer.publish(folder, index, writer.seal(index, {"dataset": "random", **card}))
    return folder


def manifest_rows(slug: str, role: str, train: int | None = None) -> list[dict[str, Any]]:
    """Lines of the manifest of random clips; `train`: how many to train on, by default as few as will do."""
    names = CLASSES[slug][role]
    if slug == RELEVANCE:  # every class in every part
        count = max(4, len(names))
        labels = [(split, number % len(names)) for split in ("train", "val", "test") for number in range(count)]
    elif slug == PARSING:
        splits = ["train"] * (train or 8) + ["val"] * 2 + ["test"] * 2
        labels = [(split, number % 5) for number, split in enumerate(splits)]
    else:
        # Six clips of one class to train on: either half of them has three, which is two steps' worth, and the tenth
        # that Gradient-Blending holds out is one clip, so that its eight evaluations stay cheap.
        labels = [("train", 3)] * (train or 6) + [("val", 5), ("test", 5)]
    rows: list[dict[str, Any]] = []
    for number, (split, label) in enumerate(labels):
        row = {"id": f"clip{number:04d}", "audio": "a", "visual": "v", "label": names[label], "split": split}
        if slug == RELEVANCE:
            row["label_speech"] = SPEECH[number // len(names) % 2]
        rows.append(row | (_events(role, number, split, names) if slug == PARSING and role != "cremad" else {}))
    return rows


def _events(role: str, number: int, split: str, names: list[str]) -> dict[str, Any]:
    """Labels and events as the sources write them; every second video of LLP has two labels."""
    first, second = names[number % 5], names[number % 5 + 1]
    labels = [first, second] if role == "llp" and number % 2 else [first]
    known = json.dumps([[label, number % 4, number % 4 + 5] for label in labels])
    if role == "ave":
        return {"labels": json.dumps(labels), "events_audio": known, "events_visual": known}
    events = {f"events_{name}": None if split == "train" else known for name in ("audio", "visual", "audio_repaired")}
    return {"labels": json.dumps(labels), **events}


def make_clips(folder: Path, slug: str, role: str, train: int | None = None, visual: str | None = None) -> Clips:
    """Random clips of a paper's data set with its classes and shapes; `visual`: another visual recipe than declared."""
    data = next(row.settings["data"] for row in rows_of(slug) if row.role == role)
    recipes = (get_audio_recipe(data["audio_recipe"]), get_visual_recipe(visual or data["visual_recipe"]))
    rows = manifest_rows(slug, role, train)
    card: dict[str, Any] = {"dataset": role, "kind": role, "stands_for": None, "describe": "random", "media_root": "."}
    card |= {"classes": CLASSES[slug][role], "options": {}}
    black: dict[str, Any] = {}
    if slug == RELEVANCE:
        card["labellings"] = {"speech": SPEECH}
        black["black"] = np.random.default_rng(0).normal(size=recipes[1].shape[0]).tolist()
    write_manifest(make_manifest(rows, card, role), folder / "manifest.parquet")
    ids = [str(row["id"]) for row in rows]
    audio = write_store(folder / "audio", recipes[0], ids)
    return load_clips(folder / "manifest.parquet", audio, write_store(folder / "visual", recipes[1], ids, **black))


def short_trainer(
    row: Row,
    clips: Clips,
    device: torch.device | str = "cpu",
    needs: dict[str, Any] | None = None,
    **changes: dict[str, Any],
) -> Trainer:
    """A trainer of two steps of a run of the paper tier; `changes` are laid over the parts of its settings."""
    settings = copy.deepcopy(row.settings)
    epochs = STAGES.get(row.method, 1)
    steps = 1 if epochs > 1 else STEPS
    settings["protocol"] |= {"epochs": epochs, "max_steps": steps, "batch_size": BATCH.get(row.role, 2)}
    if settings.get("method", {}).get("warm_up_epochs"):
        settings["method"]["warm_up_epochs"] = 1
    for part, values in changes.items():
        settings[part] |= values
    return make_trainer(row.method, settings, row.seeds[0], clips, torch.device(device), needs)


def with_needs(row: Row, rows: list[Row], clips: Clips, device: torch.device | str = "cpu", **changes: Any) -> Trainer:
    """A short trainer with all that the run needs of other runs of `rows`, made up."""
    needs: dict[str, Any] = {}
    for name, need in row.needs.items():
        if need["file"].endswith(".safetensors"):
            other = next(each for each in rows if (each.role, each.run) == (row.role, need["run"]))
            needs[name] = weights_of(short_trainer(other, clips, **changes))
        else:
            needs[name] = made_up(need["file"], clips)
    return short_trainer(row, clips, device, needs, **changes)


def weights_of(trainer: Trainer) -> Tensors:
    """The weights of a run that has not begun, in the form of a finished one's file."""
    weights = Tensors({name: value.detach().cpu().clone() for name, value in trainer.model.state_dict().items()})
    weights.facts = dict(trainer.facts)
    return weights


def made_up(file: str, clips: Clips) -> dict[str, Any]:
    """Content of a JSON file that a run needs of another."""
    ratios = np.linspace(0.1, 0.9, len(clips.classes)).tolist()
    contents: dict[str, dict[str, Any]] = {
        "noise_ratios.json": {"classes": clips.classes, "audio": ratios, "visual": ratios[::-1]},
        "labels.json": {"removed": {str(clips.ids[1]): {"audio": [1], "visual": []}}},
        "weights.json": {"weights": {"audio": 0.2, "visual": 0.3, "joint": 0.5}},
    }
    return contents[file]


@contextmanager
def made_up_fits() -> Iterator[None]:
    """While this holds, mixtures are not fitted: the few clips here are too few."""
    real, users = gaps.fit, (gaps, fine_tuning)
    for module in users:
        module.fit = _fit  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in users:
            module.fit = real


def _fit(values: Any, seed: int, kind: str = "abs", start: Any = None) -> Fit:
    """A mixture that takes the clips with the larger gaps for imbalanced."""
    low, high = float(np.min(values)), float(np.max(values))
    spread = (high - low) / 4 + 1e-6
    return Fit(Mixture(0.5, low, spread, 0.5, high, spread), "", len(values), True, 1.0, 0.0)
