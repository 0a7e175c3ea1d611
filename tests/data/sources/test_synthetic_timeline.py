"""Generated clips on a timeline: complete, resumable, and what the manifest says is what can be heard and seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avbalance.data import sources
from avbalance.data.manifest import Manifest, read_manifest, write_manifest
from avbalance.features.decode import decode_file
from avbalance.features.recipes import VisualRecipe, get_audio_recipe
from flowkeeper.files import sha256_file

FRAMES = VisualRecipe("all", "first", 2.0, 32, 20, 4)


def _spec(scheme: str = "parsing", **changes: Any) -> dict[str, Any]:
    options = {
        "scheme": scheme,
        "seed": 11,
        "classes": 4,
        "clips": {"train": 5, "val": 2, "test": 3},
        "discrepancy_beta": [2.4, 1.2],
        "snr_audio_db": [30.0, 30.0],  # hardly any noise: energy tells when events are
        "snr_visual_db": [30.0, 30.0],
        "side": 32,
        "fps": 2,
        "rate": 8000,
        **changes,
    }
    return {"kind": "synthetic-timeline", "stands_for": "Toy", "describe": "generated", "options": options}


def _build(folder: Path, scheme: str = "parsing", **changes: Any) -> Manifest:
    return sources.build("toy", _spec(scheme, **changes), folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("plain")
    manifest = _build(folder)
    write_manifest(manifest, folder / "manifest.parquet")
    return folder, manifest


@pytest.fixture(scope="module")
def localised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("localised")
    return folder, _build(folder, "localisation")


def test_the_manifest_says_what_is_in_every_clip_of_every_split(plain: tuple[Path, Manifest]) -> None:
    folder, manifest = plain
    again = read_manifest(folder / "manifest.parquet")
    assert again.frame.equals(manifest.frame) and again.card == manifest.card
    assert again.classes == ["class-00", "class-01", "class-02", "class-03"]
    assert again.frame["split"].value_counts().to_dict() == {"train": 5, "test": 3, "val": 2}
    heard, seen = again.timeline("events_audio"), again.timeline("events_visual")
    assert np.array_equal(again.label_matrix(), (heard | seen).any(axis=2))
    assert (heard | seen).any(axis=(1, 2)).all()
    for row in again.frame.itertuples():
        assert row.label == json.loads(row.labels)[0]
        assert sha256_file(folder / "media" / row.audio) == row.sha256


def test_background_is_a_class_of_localisation_and_of_no_event(localised: tuple[Path, Manifest]) -> None:
    manifest = localised[1]
    assert manifest.classes == ["class-00", "class-01", "class-02", "class-03", "Background"]
    truth = manifest.timeline("events_audio")
    assert np.array_equal(truth, manifest.timeline("events_visual"))
    assert not truth[:, -1].any() and (truth.any(axis=2).sum(axis=1) == 1).all()
    assert not manifest.label_matrix()[:, -1].any()


def _energy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Loudness and contrast of each second (10,), after encoding and decoding."""
    recipe = dataclasses.replace(get_audio_recipe("decibel64-10s"), rate=8000)
    sound, pictures = decode_file(path, recipe, FRAMES)
    assert sound is not None and pictures is not None
    frames = np.stack([np.asarray(image, dtype=float) for image in pictures.images]) - 127.5
    return np.mean(sound.waveform.reshape(10, 8000) ** 2, axis=1), np.mean(frames.reshape(10, -1) ** 2, axis=1)


@pytest.mark.parametrize("scheme", ["plain", "localised"])
def test_there_is_energy_where_events_are_and_none_elsewhere(request: pytest.FixtureRequest, scheme: str) -> None:
    folder, manifest = request.getfixturevalue(scheme)
    compared = 0
    for number, name in enumerate(manifest.frame["audio"]):
        measured = _energy(folder / "media" / name)
        for column, energy in zip(("events_audio", "events_visual"), measured, strict=True):
            active = manifest.timeline(column)[number].any(axis=0)
            if 0 < active.sum() < 10:
                # the noise is 30 dB below; coding smears a little sound and colour over the border
                assert energy[active].min() > 5 * energy[~active].max(), (name, column)
                compared += 1
    assert compared >= 5
