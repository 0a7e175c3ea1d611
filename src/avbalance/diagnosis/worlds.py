"""Small generated data sets of which it is known what each modality tells: the instruments are tried on them.

Sound is a map of 16 x 16 numbers, pictures are frames of 16 x 16 pixels: a random pattern for each symbol, and noise.
A world says which symbol each modality shows of a clip, how loud its pattern is, and what an instrument must say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import INDEX_COLUMNS, StoreWriter

AUDIO, VISUAL = "logmel16x16-1s", "fps1-middle-16-3s"
CLASSES = 4
SIZES = {"train": 600, "val": 200, "test": 600}
LOUD, MIDDLE, FAINT = 16.0, 4.0, 2.5  # lengths of a pattern in standard deviations of the noise, alike for both

Symbols = NDArray[np.int64]
Findings = Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """What is planted, and what instruments must find: name of the instrument -> whether its findings say so.

    symbols: labels (N,) and a generator -> the symbols (N,) that sound and pictures show.
    """

    planted: str
    symbols: Callable[[Symbols, np.random.Generator], tuple[Symbols, Symbols]]
    loud: tuple[float, float]
    wanted: Mapping[str, Callable[[Findings], bool]] = field(default_factory=dict)
    permuted: bool = False


def _same(labels: Symbols, generator: np.random.Generator) -> tuple[Symbols, Symbols]:
    return labels, labels


def _each_a_half(labels: Symbols, generator: np.random.Generator) -> tuple[Symbols, Symbols]:
    return labels // 2, labels % 2


def _only_together(labels: Symbols, generator: np.random.Generator) -> tuple[Symbols, Symbols]:
    first = generator.integers(0, CLASSES, len(labels))
    return first, (labels - first) % CLASSES


def _value(findings: Findings, *keys: str) -> float:
    for key in keys:
        findings = findings[key]
    return float(findings["value"])


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
    }


_NOTHING = {
    "accuracy alone": lambda f: max(_value(f, "accuracy", name) for name in ("audio", "visual")) < f["chance"] + 8,
    "use": lambda f: max(abs(_value(f, "uses", name)) for name in ("audio", "visual")) < 8,
    "Shapley value": lambda f: max(abs(_value(f, "shapley", name)) for name in ("audio", "visual")) < 8,
    "redundant information": lambda f: _value(f, "information", "redundant") < 0.2,
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
                max(_value(f, "information", f"unique_{name}") for name in ("audio", "visual")) < 0.3
            ),
            "synergy": lambda f: abs(_value(f, "information", "synergistic")) < 0.3,
            "gain of both": lambda f: _value(f, "differences", "both_less_best_alone") < 3,
        },
    ),
    "each a half": World(
        "each shows one of two bits of the class",
        _each_a_half,
        (LOUD, LOUD),
        {
            "redundant information": lambda f: _value(f, "information", "redundant") < 0.3,
            "unique information": lambda f: (
                min(_value(f, "information", f"unique_{name}") for name in ("audio", "visual")) > 0.5
            ),
            "use": lambda f: min(_value(f, "uses", name) for name in ("audio", "visual")) > 25,
            "gain of both": lambda f: _value(f, "differences", "both_less_best_alone") > 25,
        },
    ),
    "only together": World(
        "the class is the sum of two symbols (XOR)",
        _only_together,
        (LOUD, LOUD),
        {
            "accuracy alone": lambda f: max(_value(f, "accuracy", name) for name in ("audio", "visual")) < 35,
            "synergy": lambda f: _value(f, "information", "synergistic") > 0.5,
            "interaction": lambda f: _value(f, "interaction") > 20,
            "Shapley value": lambda f: min(_value(f, "shapley", name) for name in ("audio", "visual")) > 10,
        },
    ),
    "pictures are noise": World(
        "pictures show nothing",
        _same,
        (LOUD, 0.0),
        {
            "use": lambda f: abs(_value(f, "uses", "visual")) < 8 < _value(f, "uses", "audio"),
            "Shapley value": lambda f: abs(_value(f, "shapley", "visual")) < 8,
            "unique information": lambda f: _value(f, "information", "unique_visual") < 0.2,
            "gain of both": lambda f: _value(f, "differences", "both_less_best_alone") < 3,
        },
    ),
    "labels permuted": World("training labels are permuted", _same, (LOUD, LOUD), _NOTHING, permuted=True),
}


@dataclass(frozen=True)
class Stores:
    """Paths of a world's manifest and feature stores."""

    manifest: Path
    audio: Path
    visual: Path


def write_world(world: World, folder: Path, seed: int = 0) -> Stores:
    """Draw the clips of a world and write them as manifest and feature stores."""
    generator = np.random.default_rng(seed)
    clips = sum(SIZES.values())
    labels = np.arange(clips) % CLASSES
    sound, picture = world.symbols(labels, generator)
    patterns = [
        generator.normal(size=(CLASSES, *shape)) / np.sqrt(np.prod(shape)) for shape in ((16, 16), (1, 16, 16, 3))
    ]
    maps = world.loud[0] * patterns[0][sound] + generator.normal(size=(clips, 16, 16))
    frames = world.loud[1] * patterns[1][picture] + generator.normal(size=(clips, 3, 16, 16, 3))
    split = np.repeat(list(SIZES), list(SIZES.values()))
    given = labels.copy()
    if world.permuted:
        known = split != "test"
        given[known] = generator.permutation(labels[known])
    ids = [f"{part}-{number:04d}" for number, part in enumerate(split)]
    rows = [
        {"id": name, "audio": "none", "visual": "none", "label": f"class{label}", "split": str(part)}
        for name, label, part in zip(ids, given, split, strict=True)
    ]
    card: dict[str, Any] = {"dataset": "world", "kind": "folder", "stands_for": None, "describe": world.planted,
            "classes": [f"class{number}" for number in range(CLASSES)], "media_root": ".", "options": {}}  # fmt: skip
    write_manifest(make_manifest(rows, card, "world"), folder / "manifest.parquet")
    pictures = (128 + 32 * frames).clip(0, 255).astype(np.uint8)
    return Stores(
        folder / "manifest.parquet",
        _write_store(folder / "audio", get_audio_recipe(AUDIO), maps.astype(np.float16), ids),
        _write_store(folder / "visual", get_visual_recipe(VISUAL), pictures, ids),
    )


def _write_store(folder: Path, recipe: Any, arrays: NDArray[Any], ids: list[str]) -> Path:
    writer = StoreWriter(folder.with_name(f"{folder.name}.draft"), recipe)
    frames = 3 if recipe.modality == "visual" else 1
    rows = [
        (name, writer.append(array), "ok", "", frames, 16, 16, 3.0) for name, array in zip(ids, arrays, strict=True)
    ]
    index = pd.DataFrame(rows, columns=list(INDEX_COLUMNS))
    card = writer.seal(index, {"manifest_digest": "world"})
    writer.publish(folder, index, card)
    return folder
