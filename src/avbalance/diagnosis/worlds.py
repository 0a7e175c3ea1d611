"""Small data sets of which it is known what each modality tells: the instruments are tried on them.

A world says which symbol each modality shows of a clip, how loud it is, and what an instrument must say. WORLDS are
generated: sound is a map of 16 x 16 numbers, pictures are frames of 16 x 16 pixels, a random pattern for each symbol,
and noise. RECORDED are made of real recordings (recorded.py): a symbol is a word that someone says, noise is added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.diagnosis.answers import JOINT
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import INDEX_COLUMNS, StoreWriter
from avbalance.plan.data import MODALITIES

GENERATED: dict[str, Any] = {
    "audio_recipe": "logmel16x16-1s", "visual_recipe": "fps1-middle-16-3s", "crop": 16, "crop_scale": [1.0, 1.0],
    "crop_ratio": [1.0, 1.0], "flip": 0.0,
}  # fmt: skip
EPOCHS = 25
CLASSES = 4
SIZES = {"train": 600, "val": 200, "test": 600}
LOUD, MIDDLE, FAINT = 16.0, 4.0, 2.5  # lengths of a pattern in standard deviations of the noise, alike for both

Symbols = NDArray[np.int64]
Findings = Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """What is planted, and what instruments must find: name of the instrument -> whether its findings say so.

    symbols: labels (N,) and a generator -> the symbols (N,) that sound and pictures show. loud: of sound and of
    pictures, the length of a pattern; of recordings the signal-to-noise ratio in dB, inf as they are.
    """

    planted: str
    symbols: Callable[[Symbols, np.random.Generator], tuple[Symbols, Symbols]]
    loud: tuple[float, float]
    wanted: Mapping[str, Callable[[Findings], bool]] = field(default_factory=dict)
    permuted: bool = False
    classes: int = CLASSES


def _same(labels: Symbols, generator: np.random.Generator) -> tuple[Symbols, Symbols]:
    return labels, labels


def _each_a_half(labels: Symbols, generator: np.random.Generator) -> tuple[Symbols, Symbols]:
    return labels // 2, labels % 2


def _only_together(labels: Symbols, generator: np.random.Generator) -> tuple[Symbols, Symbols]:
    first = generator.integers(0, CLASSES, len(labels))
    return first, (labels - first) % CLASSES


def _two_only_together(labels: Symbols, generator: np.random.Generator) -> tuple[Symbols, Symbols]:
    first = generator.integers(0, 2, len(labels))
    return first, (labels - first) % 2


def _sound_of_others(labels: Symbols, generator: np.random.Generator) -> tuple[Symbols, Symbols]:
    return generator.integers(0, CLASSES, len(labels)), labels


def _value(findings: Findings, *keys: str) -> float:
    for key in keys:
        findings = findings[key]
    return float(findings["value"])


def _fall(findings: Findings, modality: str, noisy: bool) -> float:
    """Points that the joint model loses with noise in a modality, or without it."""
    rows = (row for row in findings["disturbed"] if (row["disturbed"], row["snr_db"] is not None) == (modality, noisy))
    return _value(findings, "accuracy", JOINT) - _value(next(rows), "accuracy", JOINT)


def _leads(one: str, other: str) -> Mapping[str, Callable[[Findings], bool]]:
    """What must be found where one modality tells far more than the other."""
    sign = 1 if one == "audio" else -1
    return {
        "accuracy alone": lambda f: sign * _value(f, "differences", "audio_less_visual") > 10,
        "use": lambda f: _value(f, "uses", one) > _value(f, "uses", other) + 10,
        "Shapley value": lambda f: _value(f, "shapley", one) > _value(f, "shapley", other) + 10,
        "unique information": lambda f: (
            _value(f, "information", f"unique_{one}") > _value(f, "information", f"unique_{other}") + 0.2
        ),
        "accuracy with noise": lambda f: _fall(f, one, noisy=True) > _fall(f, other, noisy=True) + 5,
        "accuracy without a modality": lambda f: _fall(f, one, noisy=False) > _fall(f, other, noisy=False) + 10,
    }


def _tells_nothing(one: str, other: str) -> Mapping[str, Callable[[Findings], bool]]:
    """What must be found where one modality is noise, and the other tells the class."""
    return {
        "accuracy alone": lambda f: _value(f, "accuracy", one) < f["chance"] + 8 < _value(f, "accuracy", other),
        "use": lambda f: abs(_value(f, "uses", one)) < 8 < _value(f, "uses", other),
        "Shapley value": lambda f: abs(_value(f, "shapley", one)) < 8,
        "unique information": lambda f: _value(f, "information", f"unique_{one}") < 0.2,
        "gain of both": lambda f: _value(f, "differences", "both_less_best_alone") < 3,
        "accuracy with noise": lambda f: abs(_fall(f, one, noisy=True)) < 8,
        "accuracy without a modality": lambda f: abs(_fall(f, one, noisy=False)) < 8 < _fall(f, other, noisy=False),
    }


_NOTHING = {
    "accuracy alone": lambda f: max(_value(f, "accuracy", name) for name in MODALITIES) < f["chance"] + 8,
    "use": lambda f: max(abs(_value(f, "uses", name)) for name in MODALITIES) < 8,
    "Shapley value": lambda f: max(abs(_value(f, "shapley", name)) for name in MODALITIES) < 8,
    "redundant information": lambda f: _value(f, "information", "redundant") < 0.2,
    "accuracy with noise": lambda f: max(abs(_fall(f, name, noisy=True)) for name in MODALITIES) < 8,
    "accuracy without a modality": lambda f: max(abs(_fall(f, name, noisy=False)) for name in MODALITIES) < 8,
}
_HALVES = {
    "redundant information": lambda f: _value(f, "information", "redundant") < 0.3,
    "unique information": lambda f: min(_value(f, "information", f"unique_{name}") for name in MODALITIES) > 0.5,
    "use": lambda f: min(_value(f, "uses", name) for name in MODALITIES) > 25,
    "gain of both": lambda f: _value(f, "differences", "both_less_best_alone") > 25,
    "accuracy without a modality": lambda f: min(_fall(f, name, noisy=False) for name in MODALITIES) > 25,
}
_TOGETHER = {
    "accuracy alone": lambda f: max(_value(f, "accuracy", name) for name in MODALITIES) < f["chance"] + 10,
    "synergy": lambda f: _value(f, "information", "synergistic") > 0.5,
    "interaction": lambda f: _value(f, "interaction") > 20,
    "Shapley value": lambda f: min(_value(f, "shapley", name) for name in MODALITIES) > 10,
    "accuracy without a modality": lambda f: min(_fall(f, name, noisy=False) for name in MODALITIES) > 25,
}

WORLDS: dict[str, World] = {
    "sound leads": World("sound is loud, pictures are faint", _same, (LOUD, FAINT), _leads("audio", "visual")),
    "pictures lead": World("the same, modalities exchanged", _same, (FAINT, LOUD), _leads("visual", "audio")),
    "even": World(
        "both are equally loud, and neither tells all",
        _same,
        (MIDDLE, MIDDLE),
        {
            "accuracy alone": lambda f: abs(_value(f, "differences", "audio_less_visual")) < 15,
            "Shapley value": lambda f: abs(_value(f, "shapley", "audio") - _value(f, "shapley", "visual")) < 15,
            "gain of both": lambda f: _value(f, "differences", "ensemble_less_best_alone") > 2,
        },
    ),
    "redundant": World(
        "both are loud and show the same",
        _same,
        (LOUD, LOUD),
        {
            "redundant information": lambda f: _value(f, "information", "redundant") > 1.5,
            "unique information": lambda f: (
                max(_value(f, "information", f"unique_{name}") for name in MODALITIES) < 0.3
            ),
            "synergy": lambda f: abs(_value(f, "information", "synergistic")) < 0.3,
            "gain of both": lambda f: _value(f, "differences", "both_less_best_alone") < 3,
        },
    ),
    "each a half": World("each shows one of two bits of the class", _each_a_half, (LOUD, LOUD), _HALVES),
    "only together": World("the class is the sum of two symbols (XOR)", _only_together, (LOUD, LOUD), _TOGETHER),
    "pictures are noise": World("pictures show nothing", _same, (LOUD, 0.0), _tells_nothing("visual", "audio")),
    "labels permuted": World("training labels are permuted", _same, (LOUD, LOUD), _NOTHING, permuted=True),
}

# Colours that one talker says: sound tells them all, lips many. What must be found was written before anything was.
RECORDED: dict[str, World] = {
    "recordings as they are": World(
        "sound tells the word, and lips much of it",
        _same,
        (inf, inf),
        {
            "accuracy alone": lambda f: min(_value(f, "accuracy", name) for name in MODALITIES) > f["chance"] + 20,
            "redundant information": lambda f: _value(f, "information", "redundant") > 0.5,
            "unique information": lambda f: _value(f, "information", "unique_visual") < 0.3,
            "synergy": lambda f: abs(_value(f, "information", "synergistic")) < 0.3,
            "gain of both": lambda f: _value(f, "differences", "both_less_best_alone") < 3,
        },
    ),
    "recordings, sound drowned": World(
        "sound in noise of 40 dB more", _same, (-40.0, inf), _tells_nothing("audio", "visual")
    ),
    "recordings, pictures replaced": World(
        "blocks of noise in place of pictures", _same, (inf, -inf), _tells_nothing("visual", "audio")
    ),
    "recordings, sound of others": World(
        "sound of other clips of the same part", _sound_of_others, (inf, inf), _tells_nothing("audio", "visual")
    ),
    "recordings, each a half": World(
        "dubbed: sound says one of two bits of the class, lips the other", _each_a_half, (inf, inf), _HALVES
    ),
    "recordings, only together": World(
        "dubbed: the class is whether sound and lips say the same of two words (XOR)",
        _two_only_together,
        (inf, inf),
        _TOGETHER,
        classes=2,
    ),
    "recordings, labels permuted": World("training labels are permuted", _same, (inf, inf), _NOTHING, permuted=True),
}


@dataclass(frozen=True)
class Stores:
    """Paths of a world's manifest and feature stores; settings of the data and epochs of who trains on them."""

    manifest: Path
    audio: Path
    visual: Path
    data: Mapping[str, Any]
    epochs: int


def write_world(world: World, folder: Path, seed: int = 0) -> Stores:
    """Draw the clips of a generated world and write them as manifest and feature stores."""
    generator = np.random.default_rng(seed)
    clips = sum(SIZES.values())
    labels = np.arange(clips) % CLASSES
    sound, picture = world.symbols(labels, generator)
    patterns = [
        generator.normal(size=(CLASSES, *shape)) / np.sqrt(np.prod(shape)) for shape in ((16, 16), (1, 16, 16, 3))
    ]
    maps = world.loud[0] * patterns[0][sound] + generator.normal(size=(clips, 16, 16))
    frames = world.loud[1] * patterns[1][picture] + generator.normal(size=(clips, 3, 16, 16, 3))
    pictures = (128 + 32 * frames).clip(0, 255).astype(np.uint8)
    split = np.repeat(list(SIZES), list(SIZES.values()))
    features = maps.astype(np.float16), pictures
    return write_clips(world, WorldClips(labels, split, *features), (GENERATED, EPOCHS), generator, folder)


@dataclass(frozen=True)
class WorldClips:
    """Labels (N,), parts (N,), and stored arrays of sound and of pictures (N, ...)."""

    labels: Symbols
    split: NDArray[np.str_]
    audio: NDArray[Any]
    visual: NDArray[Any]


def write_clips(
    world: World,
    clips: WorldClips,
    training: tuple[Mapping[str, Any], int],
    generator: np.random.Generator,
    folder: Path,
) -> Stores:
    """Write the clips of a world; training: settings of the data, with both recipes, and epochs."""
    given = clips.labels.copy()
    if world.permuted:
        known = clips.split != "test"
        given[known] = generator.permutation(given[known])
    ids = [f"{part}-{number:04d}" for number, part in enumerate(clips.split)]
    rows = [
        {"id": name, "audio": "none", "visual": "none", "label": f"class{label}", "split": str(part)}
        for name, label, part in zip(ids, given, clips.split, strict=True)
    ]
    classes = [f"class{number}" for number in range(world.classes)]
    card: dict[str, Any] = {"dataset": "world", "kind": "folder", "stands_for": None, "describe": world.planted,
            "classes": classes, "media_root": ".", "options": {}}  # fmt: skip
    write_manifest(make_manifest(rows, card, "world"), folder / "manifest.parquet")
    data, epochs = training
    return Stores(
        folder / "manifest.parquet",
        _write_store(folder / "audio", get_audio_recipe(data["audio_recipe"]), clips.audio, ids),
        _write_store(folder / "visual", get_visual_recipe(data["visual_recipe"]), clips.visual, ids),
        data,
        epochs,
    )


def _write_store(folder: Path, recipe: Any, arrays: NDArray[Any], ids: list[str]) -> Path:
    writer = StoreWriter(folder.with_name(f"{folder.name}.draft"), recipe)
    frames, side = arrays.shape[1] if recipe.modality == "visual" else 1, arrays.shape[2]
    rows = [
        (name, writer.append(array), "ok", "", frames, side, side, 3.0) for name, array in zip(ids, arrays, strict=True)
    ]
    index = pd.DataFrame(rows, columns=list(INDEX_COLUMNS))
    card = writer.seal(index, {"manifest_digest": "world"})
    writer.publish(folder, index, card)
    return folder
